"""The NPU's session: what it is configured with, what is refused, and on which machine."""

import glob
import json
import os
import re
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from absl import flags
from fake_npu import factory
from npu_sessions import npu_config, open_quietly, parameters, refusal
from paths import ROOT

import kernels
import main
from config import Config
from config_npu import PRECISION_MODES
from devices import npu_options
from devices.device import open_device
from devices.ranks import SINGLE_PROCESS
from flags_file import read_options
from options import UserError


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs the whole program with options, which must end it with code 2; returns its one line."""

    def run(**options):
        values = flags.FlagValues()
        main.define_flags(values)
        monkeypatch.setattr(flags, "FLAGS", values)
        arguments = [f"--{name}={value}" for name, value in options.items()]
        assert main.main(["main.py", "--train", "--dataset=synthetic"] + arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("main.py: ")
        return line[len("main.py: ") :]

    return run


def run_once(config):
    with tf.Graph().as_default(), tf.Session(config=open_quietly(config).session_config) as run:
        return run.run(tf.constant(3) + 4)


def test_plain_session_on_the_npu(any_release):
    assert run_once(npu_config()) == 7
    (event,) = any_release.record.of("session")
    assert event["problems"] == []
    assert any_release.record.of("session_captured") == []
    expected = {"use_off_line": True, "precision_mode": "allow_mix_precision"}
    if any_release.release.since(5):
        expected["modify_mixlist"] = npu_options.DEFAULT_MIXLIST
    assert event["options"] == expected


def test_rewrites_and_placement(any_release):
    proto = open_quietly(npu_config()).session_config
    rewrite = proto.graph_options.rewrite_options
    assert (rewrite.remapping, rewrite.memory_optimization) == (rewrite.OFF, rewrite.OFF)
    assert proto.allow_soft_placement and not proto.log_device_placement
    assert proto.graph_options.optimizer_options.global_jit_level == tf.OptimizerOptions.OFF


def test_adapter_without_npu_config_proto(npu_bridge):
    del npu_bridge.npu_init.npu_config_proto
    assert parameters(npu_config())["use_off_line"] == ("b", True)


@pytest.mark.parametrize("mode", PRECISION_MODES)
def test_every_precision_mode(npu_bridge, mode):
    config = npu_config(precision_mode=mode)
    found = parameters(config)
    assert found["precision_mode"] == ("s", mode.encode())
    assert ("modify_mixlist" in found) == (mode in npu_options.MIXED_FP16)
    run_once(config)
    assert npu_bridge.record.of("session")[0]["problems"] == []


def test_own_mixlist_is_sent_as_an_absolute_path(npu_bridge, tmp_path, monkeypatch):
    (tmp_path / "mine.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    found = parameters(npu_config(modify_mixlist="mine.json"))
    assert found["modify_mixlist"] == ("s", str(tmp_path / "mine.json").encode())


def test_overflow_dump(npu_bridge, tmp_path):
    folder = tmp_path / "new" / "overflow"
    found = parameters(
        npu_config(over_dump=True, over_dump_path=str(folder), dump_debug_mode="aicore_overflow")
    )
    assert found["enable_dump_debug"] == ("b", True)
    assert found["dump_path"] == ("s", str(folder).encode())
    assert found["dump_debug_mode"] == ("s", b"aicore_overflow")
    assert "enable_dump" not in found and "dump_step" not in found
    assert folder.is_dir()


def test_data_dump(npu_bridge, tmp_path):
    folder = tmp_path / "dump"
    found = parameters(
        npu_config(
            data_dump_flag=True,
            data_dump_path=str(folder),
            data_dump_step="0|5|10-20",
            dump_mode="output",
        )
    )
    assert found["enable_dump"] == ("b", True)
    assert found["dump_path"] == ("s", str(folder).encode())
    assert found["dump_step"] == ("s", b"0|5|10-20")
    assert found["dump_mode"] == ("s", b"output")
    assert "enable_dump_debug" not in found
    assert folder.is_dir()


def test_no_dump_makes_no_folder(npu_bridge, tmp_path):
    found = parameters(
        npu_config(
            over_dump_path=str(tmp_path / "a"),
            data_dump_path=str(tmp_path / "b"),
            data_save_path=str(tmp_path / "c"),
        )
    )
    assert "dump_path" not in found and "profiling_mode" not in found
    assert list(tmp_path.iterdir()) == []


def test_profiling(npu_bridge, tmp_path):
    found = parameters(
        npu_config(
            profiling=True,
            data_save_path=str(tmp_path / "profile"),
            profiling_options='{"aicpu": "off"}',
        )
    )
    assert found["profiling_mode"] == ("b", True)
    accessor, text = found["profiling_options"]
    assert accessor == "s"
    assert json.loads(text.decode()) == {
        "output": str(tmp_path / "profile"),
        "training_trace": "on",
        "task_trace": "on",
        "hccl": "on",
        "aicpu": "off",
        "fp_point": "",
        "bp_point": "",
        "aic_metrics": "PipeUtilization",
    }
    assert (tmp_path / "profile").is_dir()


@pytest.mark.parametrize(
    "option, value, expected",
    [
        ("op_select_implmode", "high_precision", ("s", b"high_precision")),
        ("session_device_id", 0, ("i", 0)),
        ("session_device_id", 3, ("i", 3)),
        ("graph_memory_max_size", 27917287424, ("s", b"27917287424")),
        ("variable_memory_max_size", 5368709120, ("s", b"5368709120")),
        ("iterations_per_loop", 10, ("i", 10)),
    ],
)
def test_option_as_given(npu_bridge, option, value, expected):
    assert parameters(npu_config(**{option: value}))[option] == expected
    assert option not in parameters(npu_config())


def test_sinking_keys(npu_bridge):
    found = parameters(npu_config(iterations_per_loop=10))
    assert found["enable_data_pre_proc"] == ("b", True)
    assert found["mix_compile_mode"] == ("b", False)


def test_everything_at_once_is_understood(any_release, tmp_path):
    tuned = {} if any_release.release.since(13) else {"auto_tune_mode": "GA"}
    run_once(
        npu_config(
            over_dump=True,
            over_dump_path=str(tmp_path / "o"),
            profiling=True,
            data_save_path=str(tmp_path / "p"),
            op_select_implmode="high_performance",
            session_device_id=1,
            graph_memory_max_size=1 << 30,
            variable_memory_max_size=1 << 30,
            iterations_per_loop=4,
            **tuned,
        )
    )
    (event,) = any_release.record.of("session")
    assert event["problems"] == []
    assert len(event["options"]) == 14 + len(tuned) + any_release.release.since(5)


@pytest.mark.parametrize(
    "options, flag",
    [
        (dict(precision_mode="half"), "flag --precision_mode=half: must be one of"),
        (dict(loss_scale="0.5"), "--loss_scale"),
        (dict(loss_scale="inf"), "--loss_scale"),
        (dict(loss_scale="fast"), "--loss_scale"),
        (dict(loss_scale="1e38"), "--loss_scale: must be dynamic, off or a number from 1 to 2^60"),
        (dict(loss_scale="\u0661\u0662"), "--loss_scale"),
        (dict(modify_mixlist="x.json", precision_mode="force_fp16"), "--modify_mixlist"),
        (dict(modify_mixlist="/no/such/file.json"), "--modify_mixlist: /no/such/file.json"),
        (dict(over_dump=True, data_dump_flag=True), "--data_dump_flag"),
        (dict(data_dump_step=""), "flag --data_dump_step=: must not be empty"),
        (dict(data_dump_step="1,2"), "--data_dump_step"),
        (dict(data_dump_step="1||2"), "--data_dump_step"),
        (dict(data_dump_step="-1"), "--data_dump_step"),
        (dict(data_dump_step="10\n"), "--data_dump_step"),
        (dict(data_dump_step="\u00b2"), "--data_dump_step"),
        (dict(modify_mixlist="/no such/file.json"), "--modify_mixlist: '/no such/file.json'"),
        (
            dict(profiling_options='{"aic_metrics": "Everything"}'),
            "--profiling_options: line 1, column 2: aic_metrics: must be one of",
        ),
        (dict(data_dump_step="20-10"), "--data_dump_step: the range 20-10"),
        (dict(data_dump_step="5-5"), "--data_dump_step: the range 5-5"),
        (dict(data_dump_step="|".join(map(str, range(101)))), "--data_dump_step: 101 items"),
        (dict(profiling_options="{"), "--profiling_options: line 1, column 2"),
        (dict(profiling_options="[]"), "--profiling_options"),
        (
            dict(profiling_options='{"aicpu": "yes"}'),
            "--profiling_options: line 1, column 2: aicpu",
        ),
        (dict(profiling_options='{"output": 3}'), "--profiling_options: line 1, column 2: output"),
        (dict(auto_tune_mode="RL;GA"), "--auto_tune_mode"),
        (dict(auto_tune_mode="RL,RL"), "--auto_tune_mode"),
    ],
)
@pytest.mark.parametrize("device", ["npu", "cpu"])
def test_refused_on_any_device(npu_bridge, refused, device, options, flag):
    assert refused(device=device, **options).startswith(flag)


@pytest.mark.parametrize(
    "options, flag",
    [
        (dict(over_dump=True), "over_dump_path"),
        (dict(data_dump_flag=True), "data_dump_path"),
        (dict(profiling=True), "data_save_path"),
    ],
)
def test_folder_that_cannot_be_made(npu_bridge, refused, tmp_path, options, flag):
    (tmp_path / "file").write_text("")
    options[flag] = str(tmp_path / "file" / "folder")
    assert refused(device="npu", **options).startswith(f"--{flag}: cannot be made or written")


def test_folder_that_cannot_be_written(npu_bridge):
    """Nobody can make a file in /proc, not even root."""
    assert refusal(npu_config(over_dump=True, over_dump_path="/proc")).startswith(
        "--over_dump_path: cannot be made or written"
    )


def test_folder_of_the_profiling_options(npu_bridge, refused, tmp_path):
    (tmp_path / "file").write_text("")
    options = json.dumps({"output": str(tmp_path / "file" / "x")})
    assert refused(device="npu", profiling=True, profiling_options=options).startswith(
        "--profiling_options: cannot be made"
    )


@pytest.mark.parametrize(
    "release, option, known",
    [
        ("r1.3", "modify_mixlist", False),
        ("r1.9", "modify_mixlist", True),
        ("r1.3", "auto_tune_mode", True),
        ("r1.9", "auto_tune_mode", True),
        ("r1.15", "auto_tune_mode", False),
    ],
)
def test_option_that_not_every_release_knows(tmp_path, release, option, known):
    (tmp_path / "mine.json").write_text("{}")
    value = {"modify_mixlist": str(tmp_path / "mine.json"), "auto_tune_mode": "RL,GA"}[option]
    config = npu_config(**{option: value})
    with factory.adapter(release):
        if known:
            assert parameters(config)[option] == ("s", value.encode())
        else:
            assert refusal(config) == (
                f"--{option}: this release of the NPU adapter does not know it"
            )


def test_old_adapter_is_not_sent_the_default_mixlist():
    lines = []
    with factory.adapter("r1.3"):
        open_device(npu_config(), say=lines.append)
    assert "mixlist none" in lines[0]


def test_what_is_said_of_the_npu(npu_bridge):
    lines = []
    device = open_device(npu_config(), say=lines.append)
    assert device.kind == "npu"
    (line,) = lines
    assert "NPU" in line and "allow_mix_precision" in line and "dynamic" in line
    assert npu_options.DEFAULT_MIXLIST in line


def test_auto_takes_the_npu_where_there_is_one(npu_bridge):
    assert open_quietly(Config()).kind == "npu"
    assert len(npu_bridge.record.of("imported")) == 1
    open_quietly(Config())
    assert len(npu_bridge.record.of("imported")) == 1


def test_auto_without_an_adapter():
    lines = []
    assert open_device(Config(), say=lines.append).kind == "cpu"
    assert lines == ["device: CPU (no NPU adapter: No module named 'npu_bridge')"]


def test_npu_without_an_adapter(refused):
    line = refused(device="npu")
    assert line.startswith("--device: ") and "No module named 'npu_bridge'" in line


@pytest.mark.parametrize(
    "source, text",
    [
        ("from npu_bridge import npu_bridge_handle", "cannot import name 'npu_bridge_handle'"),
        ("import hccl.manage.api", "No module named 'hccl'"),
        ("raise OSError('libascendcl.so: cannot open')", "libascendcl.so: cannot open"),
    ],
)
def test_adapter_whose_cann_is_broken(tmp_path, monkeypatch, source, text):
    (tmp_path / "npu_bridge").mkdir()
    (tmp_path / "npu_bridge" / "__init__.py").write_text("")
    (tmp_path / "npu_bridge" / "npu_init.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert text in refusal(Config(device="npu"))
        lines = []
        assert open_device(Config(), say=lines.append).kind == "cpu"
        assert text in lines[0]
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "npu_bridge"]:
            del sys.modules[name]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_no_adapter_is_imported_off_the_npu(npu_bridge, device, monkeypatch):
    monkeypatch.setattr(tf.config.experimental, "list_physical_devices", lambda kind: ["GPU:0"])
    assert open_quietly(Config(device=device)).kind == device
    assert "npu_bridge.npu_init" not in sys.modules


def test_gpu_that_is_not_there(refused):
    line = refused(device="gpu")
    assert line.startswith("--device: no GPU is visible")


def test_cpu_hides_gpus():
    assert open_quietly(Config(device="cpu")).session_config.device_count["GPU"] == 0


def test_without_effect_is_said_once():
    lines = []
    open_device(
        Config(
            device="cpu",
            over_dump=True,
            precision_mode="force_fp16",
            over_dump_path=os.path.abspath("overflow"),
            given=frozenset({"over_dump", "precision_mode"}),
        ),
        say=lines.append,
    )
    assert lines[1:] == ["Ascend options have no effect on a CPU: --precision_mode --over_dump"]
    lines = []
    open_device(
        Config(device="cpu", profiling=True, given=frozenset({"profiling"})), say=lines.append
    )
    assert len(lines) == 1
    open_device(
        Config(
            device="cpu",
            over_dump_path="/o",
            data_dump_path="/d",
            given=frozenset({"over_dump_path", "data_dump_path"}),
        ),
        say=lines.append,
    )
    assert len(lines) == 2  # a folder without its switch asks for nothing
    lines = []
    given = frozenset({"hcom_parallel", "over_dump"})
    open_device(Config(device="cpu", hcom_parallel=False, given=given), say=lines.append)
    assert lines[1:] == ["Ascend options have no effect on a CPU: --hcom_parallel"]


def test_a_precision_mode_of_an_edited_options_file(tmp_path):
    path = tmp_path / "FLAGS.json"
    path.write_text(Config(device="cpu", precision_mode="half").to_json())
    with pytest.raises(UserError, match=f"^{path}: precision_mode .*allow_mix_precision"):
        read_options(str(path))


def test_nothing_of_the_npu_is_sent_off_it():
    proto = open_quietly(Config(device="cpu", over_dump=True)).session_config
    assert not proto.graph_options.rewrite_options.custom_optimizers
    rewrite = proto.graph_options.rewrite_options
    assert rewrite.auto_mixed_precision == rewrite.DEFAULT


def adam():
    return tf.train.AdamOptimizer(0.1)


@pytest.fixture
def visible_gpu(monkeypatch):
    """TensorFlow's list of devices with a GPU; none is computed on."""
    monkeypatch.setattr(tf.config.experimental, "list_physical_devices", lambda kind: ["GPU:0"])


def test_mixed_precision_on_a_gpu(visible_gpu, graph):
    lines = []
    device = open_device(Config(device="gpu"), say=lines.append)
    rewrite = device.session_config.graph_options.rewrite_options
    assert rewrite.auto_mixed_precision == rewrite.ON
    assert "mixed precision" in lines[0] and "dynamic" in lines[0]
    assert device.native_kernels
    measuring = device.measuring_config.graph_options.rewrite_options
    assert measuring.auto_mixed_precision == rewrite.DEFAULT
    assert measuring.remapping == rewrite.OFF
    assert set(device.wrap(adam(), "d", SINGLE_PROCESS).readings()) == {
        "d_loss_scale",
        "d_skipped",
    }


@pytest.mark.parametrize(
    "option", [{"precision_mode": "must_keep_origin_dtype"}, {"precision_mode_v2": "origin"}]
)
def test_single_precision_on_a_gpu(visible_gpu, graph, option):
    lines = []
    config = Config(device="gpu", given=frozenset(["device", *option]), **option)
    device = open_device(config, say=lines.append)
    rewrite = device.session_config.graph_options.rewrite_options
    assert rewrite.auto_mixed_precision == rewrite.DEFAULT
    assert "single precision" in lines[0] and len(lines) == 1
    assert device.wrap(adam(), "d", SINGLE_PROCESS).readings() == {}


@pytest.fixture
def bfloat16_cpu():
    """(the config of a CPU with bfloat16, the device, the lines that report it)"""
    lines = []
    config = Config(
        device="cpu",
        precision_mode=npu_options.MIXED_BF16,
        kernels="winograd",
        given=frozenset(["device", "precision_mode"]),
    )
    return config, open_device(config, say=lines.append), lines


def test_mixed_precision_on_a_cpu(bfloat16_cpu):
    config, device, lines = bfloat16_cpu
    rewrite = device.session_config.graph_options.rewrite_options
    products = kernels.products_of(config, native=device.native_kernels)
    if tf.__version__.startswith("1."):
        assert lines[1:] == ["Ascend options have no effect on a CPU: --precision_mode"]
        assert "bfloat16" not in lines[0]
        assert products is kernels.PRODUCTS["winograd"]
    else:
        assert rewrite.auto_mixed_precision_onednn_bfloat16 == rewrite.ON
        measuring = device.measuring_config.graph_options.rewrite_options
        assert measuring.auto_mixed_precision_onednn_bfloat16 == rewrite.DEFAULT
        assert "bfloat16" in lines[0] and len(lines) == 1
        assert products is kernels.PRODUCTS["native"]


def test_products_of_a_cpu_with_bfloat16(bfloat16_cpu, graph):
    """They have 8 bits where the processor has bfloat16, and all bits on TensorFlow 1.15."""
    given = np.random.RandomState(1).uniform(1, 2, (64, 64)).astype(np.float32)
    # What is fetched is never rewritten, so it is not the product itself.
    product = 1.0 * tf.matmul(*[tf.Variable(given) for _ in range(2)])
    _, device, _ = bfloat16_cpu
    with tf.Session(config=device.session_config) as session:
        session.run(tf.global_variables_initializer())
        found = session.run(product)
    error = np.abs(found / (given @ given) - 1).max()
    with open("/proc/cpuinfo") as file:
        has_bfloat16 = "amx_bf16" in file.read()
    assert error < 2**-7
    if tf.__version__.startswith("1."):
        assert error < 2**-20
    elif has_bfloat16:
        assert error > 2**-12


def test_only_a_cpu_in_single_precision_rearranges_products(npu_bridge):
    assert not open_quietly(Config(device="cpu")).native_kernels
    assert open_quietly(npu_config()).native_kernels


def test_only_one_file_imports_the_adapter_by_its_name():
    """Import statements are `test_imports`' business."""
    paths = glob.glob(os.path.join(ROOT, "*.py"))
    for room in ("datasets", "devices", "training", "inference"):
        paths += glob.glob(os.path.join(ROOT, room, "*.py"))
    importers = set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            if re.search(r"""["']npu_bridge""", file.read()):
                importers.add(os.path.relpath(path, ROOT))
    assert importers == {os.path.join("devices", "adapter.py")}


@pytest.mark.parametrize(
    "environment, text",
    [
        ({"RANK_SIZE": "8"}, "JOB_ID: must be set where RANK_SIZE is 8"),
        ({"RANK_SIZE": "8", "JOB_ID": "1"}, "RANK_TABLE_FILE: must be set"),
        (
            {"RANK_SIZE": "8", "JOB_ID": "1", "RANK_TABLE_FILE": "table.json"},
            "RANK_TABLE_FILE: must be an absolute path",
        ),
        (
            {"RANK_SIZE": "8", "JOB_ID": "1", "RANK_TABLE_FILE": "/no/such.json"},
            "RANK_TABLE_FILE: /no/such.json: cannot be read",
        ),
        ({"CM_WORKER_SIZE": "8"}, "CM_WORKER_SIZE: 8: a cluster without a rank table"),
        ({"RANK_SIZE": "eight"}, "RANK_SIZE: must be a whole number"),
        ({"RANK_SIZE": "0"}, "RANK_SIZE: must be"),
        ({"RANK_SIZE": "2", "RANK_ID": "2"}, "RANK_ID: 2 is not below"),
    ],
)
def test_ranks_that_cannot_meet(npu_bridge, refused, monkeypatch, environment, text):
    for name in ("RANK_SIZE", "RANK_ID", "JOB_ID", "RANK_TABLE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert refused(device="npu").startswith(text)
    open_quietly(Config(device="cpu"))  # nobody else's business


def test_several_ranks_take_their_devices_from_the_rank_table(npu_bridge, monkeypatch):
    table = os.path.join(ROOT, "configs", "rank_table_8p.json")
    for name, value in (
        ("RANK_SIZE", "8"),
        ("RANK_ID", "3"),
        ("JOB_ID", "1"),
        ("RANK_TABLE_FILE", table),
        ("ASCEND_DEVICE_ID", "0"),
    ):
        monkeypatch.setenv(name, value)
    assert refusal(npu_config(session_device_id=3)).startswith(
        "--session_device_id: not together with RANK_SIZE=8"
    )
    open_quietly(npu_config())
    assert os.environ["ASCEND_DEVICE_ID"] == "3"


@pytest.mark.parametrize(
    "environment",
    [{}, {"RANK_SIZE": "1"}, {"RANK_SIZE": ""}, {"RANK_SIZE": "1", "RANK_ID": "0", "JOB_ID": "9"}],
)
def test_one_device_needs_no_table(npu_bridge, monkeypatch, environment):
    for name in ("RANK_SIZE", "RANK_ID", "JOB_ID", "RANK_TABLE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert open_quietly(npu_config()).kind == "npu"
