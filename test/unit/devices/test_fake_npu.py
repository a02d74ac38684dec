"""The fake adapter itself: that it would notice what the real one ignores or aborts for."""

import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf
from fake_npu import factory
from paths import HELPERS

RANK = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
from npu_bridge.npu_init import *
mine = float(sys.argv[1])
both = hccl_ops.allreduce(tf.constant([mine, 1.0]), "sum")
first = hccl_ops.broadcast([tf.constant(mine)], 0)[0]
with tf.Session(config=npu_config_proto()) as session:
    for _ in range(2):
        print(session.run([both, first]))
"""


def config_with(**parameters):
    proto = tf.ConfigProto()
    rewrite = proto.graph_options.rewrite_options
    optimizer = rewrite.custom_optimizers.add()
    optimizer.name = "NpuOptimizer"
    rewrite.remapping = rewrite.memory_optimization = rewrite.OFF
    for name, value in parameters.items():
        key, accessor = name.rsplit("_", 1)
        setattr(optimizer.parameter_map[key], accessor, value)
    return proto


def run_with(proto):
    with tf.Graph().as_default(), tf.Session(config=proto) as session:
        session.run(tf.constant(1))


@pytest.mark.parametrize(
    "parameters, problem",
    [
        (dict(graph_memory_max_size_i=5), "graph_memory_max_size under .i instead of .s"),
        (dict(use_off_line_i=1), "use_off_line under .i instead of .b"),
        (dict(use_of_line_b=True), "unknown key use_of_line"),
    ],
)
def test_what_is_passed_over_in_silence_is_noted(parameters, problem):
    with factory.adapter() as npu_bridge:
        _ = npu_bridge.npu_init
        run_with(config_with(**parameters))
        assert npu_bridge.record.of("session")[0]["problems"] == [problem]


def test_rewrites_left_on_are_noted():
    with factory.adapter() as npu_bridge:
        _ = npu_bridge.npu_init
        proto = config_with(use_off_line_b=True)
        proto.graph_options.rewrite_options.remapping = proto.graph_options.rewrite_options.DEFAULT
        run_with(proto)
        assert npu_bridge.record.of("session")[0]["problems"] == ["remapping is not off"]


def test_the_first_sessions_options_win():
    with factory.adapter() as npu_bridge:
        _ = npu_bridge.npu_init
        run_with(config_with(use_off_line_b=True, session_device_id_i=0))
        run_with(config_with(use_off_line_b=True, session_device_id_i=1))
        first, second = npu_bridge.record.of("session")
        assert first["problems"] == [] and "first session" in second["problems"][0]


BAD_VALUES = pytest.mark.parametrize(
    "parameters",
    [
        dict(enable_dump_b=True, dump_path_s=b"/no/such"),
        dict(enable_dump_debug_b=True),
        dict(dump_mode_s=b"none"),
        dict(iterations_per_loop_i=2, mix_compile_mode_b=True),
        dict(enable_dump_b=True, dump_path_s=b"/tmp", dump_step_s=b"10\n"),
    ],
)


@BAD_VALUES
@pytest.mark.parametrize("release", factory.RELEASES)
def test_a_bad_value_ends_the_process_or_is_an_error_status(parameters, release):
    with factory.adapter(release) as npu_bridge:
        _ = npu_bridge.npu_init
        aborts = not npu_bridge.release.since(12)
        expected = npu_bridge.options.Aborted if aborts else tf.errors.InternalError
        with pytest.raises(expected):
            run_with(config_with(use_off_line_b=True, **parameters))


@pytest.mark.parametrize("release", factory.RELEASES)
def test_an_unknown_precision_mode_goes_on_to_an_old_device(release):
    with factory.adapter(release) as npu_bridge:
        _ = npu_bridge.npu_init
        proto = config_with(use_off_line_b=True, precision_mode_s=b"half")
        if npu_bridge.release.since(12):
            with pytest.raises(tf.errors.InternalError, match="precision_mode: half"):
                run_with(proto)
        else:
            run_with(proto)


@pytest.mark.parametrize("mode", ["allow_mix_precision_fp16", "allow_mix_precision_bf16"])
@pytest.mark.parametrize("release, taken", [("r1.9", False), ("r1.13", True), ("r1.15", True)])
def test_releases_take_a_mixlist_in_different_modes(release, taken, mode):
    with factory.adapter(release) as npu_bridge:
        _ = npu_bridge.npu_init
        proto = config_with(
            use_off_line_b=True, modify_mixlist_s=b"/list.json", precision_mode_s=mode.encode()
        )
        if taken:
            run_with(proto)
        else:
            with pytest.raises(tf.errors.InternalError, match="modify_mixlist"):
                run_with(proto)


@pytest.mark.parametrize("release, captured", [("r1.3", 0), ("r1.9", 1), ("r1.15", 1)])
def test_plain_sessions_are_captured(release, captured):
    with factory.adapter(release) as npu_bridge:
        _ = npu_bridge.npu_init
        run_with(None)
        assert len(npu_bridge.record.of("session_captured")) == captured
    before = tf.Session.__init__
    run_with(None)
    assert tf.Session.__init__ is before and "fake_npu" not in before.__code__.co_filename


def test_what_each_release_has():
    has = {}
    for release in factory.RELEASES:
        with factory.adapter(release) as npu_bridge:
            has[release] = [
                name
                for name in ("npu_config_proto", "npu_distributed_optimizer_wrapper")
                if hasattr(npu_bridge.npu_init, name)
            ]
    assert has["r1.3"] == ["npu_config_proto"]
    assert (
        has["r1.5.1"]
        == has["r1.9"]
        == has["r1.15"]
        == ["npu_config_proto", "npu_distributed_optimizer_wrapper"]
    )


@pytest.fixture
def counting(graph):
    """(fake adapter, session, a train op that counts, the count)."""
    with factory.adapter() as npu_bridge:
        _ = npu_bridge.npu_init
        count = tf.get_variable("count", [], tf.int64, tf.zeros_initializer(), use_resource=True)
        train = tf.group(count.assign_add(1))
        with tf.Session(config=config_with(use_off_line_b=True)) as session:
            session.run(count.initializer)
            yield npu_bridge, session, train, count


def test_a_sunk_run_makes_many_iterations(counting):
    npu_bridge, session, train, count = counting
    util = npu_bridge.npu_init.util
    node = util.set_iteration_per_loop(session, train, 5)
    session.run(node)
    assert session.run(count) == 5
    (noted,) = npu_bridge.record.of("set_iteration_per_loop")
    assert (noted["node"], noted["iterations"], noted["finalized"]) == ("IterationOp", 5, False)
    (run,) = npu_bridge.record.of("sunk_run")
    assert (run["iterations"], run["fetches"], run["fed"]) == (5, ["IterationOp"], False)


def test_initializing_local_variables_afterwards_ends_the_sinking(counting):
    npu_bridge, session, train, count = counting
    node = npu_bridge.npu_init.util.set_iteration_per_loop(session, train, 5)
    session.run(tf.local_variables_initializer())
    session.run(node)
    assert session.run(count) == 1 and npu_bridge.record.of("sunk_run") == []


def test_a_second_node_is_not_sunk(counting):
    npu_bridge, session, train, count = counting
    util = npu_bridge.npu_init.util
    util.set_iteration_per_loop(session, train, 5)
    second = util.set_iteration_per_loop(session, train, 5)
    assert second.name != "IterationOp"
    session.run(second)
    assert session.run(count) == 1


def test_a_finalized_graph_cannot_be_sunk(counting):
    npu_bridge, session, train, _ = counting
    session.graph.finalize()
    with pytest.raises(RuntimeError):
        npu_bridge.npu_init.util.set_iteration_per_loop(session, train, 5)
    assert npu_bridge.record.of("set_iteration_per_loop")[0]["finalized"]


def test_two_processes_meet(tmp_path):
    ranks = []
    for rank in range(2):
        environment = dict(factory.environment(meeting=tmp_path), RANK_ID=str(rank), RANK_SIZE="2")
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-c", RANK, str(rank + 5)],
                env=environment,
                cwd=HELPERS,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
            )
        )
    for rank in ranks:
        out, err = rank.communicate(timeout=200)
        assert rank.returncode == 0, err
        assert out.count("11.") == 2 and out.count("5.0") == 2, out


def collectives(npu_bridge, *, dependent, **fusion):
    """Two sums over the devices, the second of the first one's result if they are dependent."""
    hccl_ops = npu_bridge.npu_init.hccl_ops
    start = tf.zeros([2])
    first = hccl_ops.allreduce(start, "sum", **fusion)
    with tf.control_dependencies([first] if dependent else []):
        return [first, hccl_ops.allreduce(start + 1, "sum", **fusion)]


FUSIONS = pytest.mark.parametrize(
    "fusion, fused", [({}, True), (dict(fusion=2, fusion_id=7), True), (dict(fusion=0), False)]
)


@FUSIONS
def test_dependent_collectives_that_would_be_fused_are_refused(graph, npu_bridge, fusion, fused):
    sums = collectives(npu_bridge, dependent=True, **fusion)
    with tf.Session(config=config_with(use_off_line_b=True)) as session:
        session.run(sums[0])  # alone, it waits for nobody
        if fused:
            with pytest.raises(tf.errors.InternalError, match="1 dependent pairs"):
                session.run(sums)
        else:
            session.run(sums)


@FUSIONS
def test_independent_collectives_are_not_refused(graph, npu_bridge, fusion, fused):
    del fused
    sums = collectives(npu_bridge, dependent=False, **fusion)
    with tf.Session(config=config_with(use_off_line_b=True)) as session:
        session.run(sums)
    noted = npu_bridge.record.of("allreduce")
    assert [event["fusion"] for event in noted] == 2 * [fusion.get("fusion", 1)]
