"""Session options by key: what is sent, what a release does not know, and --npu_option."""

import os

import pytest
import tensorflow.compat.v1 as tf
from documents import read
from fake_npu import factory
from npu_sessions import npu_config, open_quietly, parameters, refusal, said

import main
from config import Config
from config_npu import PRECISION_MODES
from devices import npu_keys, npu_options
from flags_file import checked_options
from options import UserError

UNKNOWN = "this release of the NPU adapter does not know"
# (option, value, accessor, the last release played that does not know it)
ROWS = [
    ("aoe_mode", "2", "s", "r1.3"),
    ("op_precision_mode", "FILE", "s", "r1.3"),
    ("customize_dtypes", "FILE", "s", "r1.5.1"),
    ("jit_compile", "auto", "s", "r1.9"),
    ("op_compiler_cache_mode", "enable", "s", None),
    ("op_compiler_cache_dir", "/cache", "s", None),
    ("op_debug_config", "FILE", "s", "r1.5.1"),
    ("hcom_parallel", True, "b", None),
    ("hcom_parallel", False, "b", None),
    ("hccl_timeout", 600, "i", "r1.3"),
    ("dump_data", "stats", "s", "r1.9"),
    ("dump_layer", "a b", "s", "r1.9"),
]


def run_once(config):
    with tf.Graph().as_default(), tf.Session(config=open_quietly(config).session_config) as run:
        return run.run(tf.constant(3) + 4)


@pytest.mark.parametrize("option, value, accessor, unknown", ROWS)
def test_an_option_is_sent_where_the_release_knows_it(tmp_path, option, value, accessor, unknown):
    (tmp_path / "file").write_text("")
    value = str(tmp_path / "file") if value == "FILE" else value
    more = dict(data_dump_flag=option.startswith("dump_"), data_dump_path=str(tmp_path / "dump"))
    config = npu_config(**{option: value}, **more)
    with factory.adapter("r1.15") as npu_bridge:
        sent = value.encode() if accessor == "s" else value
        assert parameters(config)[option] == (accessor, sent)
        assert run_once(config) == 7
        assert npu_bridge.record.of("session")[0]["problems"] == []
    if unknown:
        with factory.adapter(unknown):
            assert refusal(config) == f"--{option}: {UNKNOWN} it"


@pytest.mark.parametrize("option", sorted({row[0] for row in ROWS}))
def test_an_option_that_is_not_given_is_not_sent(npu_bridge, option):
    assert option not in parameters(npu_config())


@pytest.mark.parametrize("option", ["op_precision_mode", "customize_dtypes", "op_debug_config"])
def test_a_file_that_is_not_there_is_named(npu_bridge, option):
    line = refusal(npu_config(**{option: "/no/such/file"}))
    assert line == f"--{option}: /no/such/file: no such file"


@pytest.mark.parametrize("option", ["dump_data", "dump_layer"])
def test_an_option_of_the_data_dump_needs_one(npu_bridge, option):
    assert refusal(npu_config(**{option: "stats"})) == (
        f"--{option}: only together with --data_dump_flag"
    )


@pytest.mark.parametrize(
    "mode, mixlist, scaled",
    [
        ("fp16", False, True),
        ("origin", False, False),
        ("cube_fp16in_fp32out", False, True),
        ("mixed_float16", True, True),
        ("mixed_bfloat16", False, False),
    ],
)
def test_precision_mode_v2_replaces_precision_mode(mode, mixlist, scaled):
    config = npu_config(precision_mode_v2=mode)
    with factory.adapter("r1.13") as npu_bridge:
        found = parameters(config)
        assert found["precision_mode_v2"] == ("s", mode.encode())
        assert "precision_mode" not in found and ("modify_mixlist" in found) == mixlist
        assert open_quietly(config).loss_scale.on == scaled
        assert f"--precision_mode_v2={mode}," in said(config)[0]
        run_once(config)
        assert npu_bridge.record.of("session")[0]["problems"] == []
    with factory.adapter("r1.9"):
        assert refusal(config) == f"--precision_mode_v2: {UNKNOWN} it"


def test_options_whose_switch_is_off_are_named():
    given = dict(dump_mode="input", dump_debug_mode="aicore_overflow", over_dump=True)
    with factory.adapter("r1.13"):
        lines = said(npu_config(given=frozenset(given), **given))
    assert lines[1:] == ["--dump_mode: has no effect without --data_dump_flag"]


def test_both_precision_modes_on_one_command_line():
    with pytest.raises(UserError) as error:
        main.parse(["main.py", "--precision_mode_v2=fp16", "--precision_mode=force_fp16"])
    assert str(error.value) == "--precision_mode_v2: not together with --precision_mode"


def test_a_saved_run_with_precision_mode_v2_is_a_preset(tmp_path):
    """FLAGS.json holds every option, precision_mode with its default too."""
    path = tmp_path / "FLAGS.json"
    path.write_text(Config(precision_mode_v2="fp16").to_json())
    assert main.parse(["main.py", f"--config={path}"]).precision_mode_v2 == "fp16"
    asked = main.parse(["main.py", f"--config={path}", "--precision_mode=force_fp32"])
    assert (asked.precision_mode, asked.precision_mode_v2) == ("force_fp32", None)


def test_the_stand_in_refuses_both_precision_modes(npu_bridge):
    proto = open_quietly(npu_config()).session_config
    (optimizer,) = proto.graph_options.rewrite_options.custom_optimizers
    optimizer.parameter_map["precision_mode_v2"].s = b"fp16"
    refused = pytest.raises(tf.errors.InternalError, match="precision_mode_v2")
    with refused, tf.Graph().as_default(), tf.Session(config=proto) as run:
        run.run(tf.constant(1))


def test_npu_option_can_be_repeated(npu_bridge):
    arguments = ["--npu_option=op_wait_timeout=120", "--npu_option", "static_memory_policy=2"]
    config = main.parse(["main.py", *arguments]).replace(device="npu")
    assert config.npu_option == ("op_wait_timeout=120", "static_memory_policy=2")
    found = parameters(config)
    assert found["op_wait_timeout"] == ("i", 120) and found["static_memory_policy"] == ("i", 2)
    run_once(config)
    assert npu_bridge.record.of("session")[0]["problems"] == []


def test_npu_option_is_saved_as_a_list():
    config = Config(npu_option=("work_path=/a b", "op_debug_level=1"))
    assert '"npu_option": [' in config.to_json()
    saved = dict(npu_option=list(config.npu_option))
    assert checked_options(saved, "x")["npu_option"] == config.npu_option
    with pytest.raises(UserError, match="x: npu_option must not be empty"):
        checked_options(dict(npu_option=[""]), "x")


def test_the_values_of_npu_option_have_the_type_of_their_key():
    assert npu_keys.parse(["hcom_multi_mode=True", "frozen_variable=0", "work_path=a=b"]) == [
        ("hcom_multi_mode", "b", True),
        ("frozen_variable", "b", False),
        ("work_path", "s", "a=b"),
    ]


@pytest.mark.parametrize(
    "texts, line",
    [
        (["op_wait_timeouts=1"], "unknown key 'op_wait_timeouts'; did you mean op_wait_timeout"),
        (["zzz=1"], "unknown key 'zzz'; docs/ascend.md lists the keys"),
        (["op_wait_timeout"], "must be KEY=VALUE, not 'op_wait_timeout'"),
        (["op_wait_timeout="], "must be KEY=VALUE, not 'op_wait_timeout='"),
        (["=1"], "must be KEY=VALUE, not '=1'"),
        (["op_wait_timeout=\u00b2"], "op_wait_timeout must be a whole number, not '\u00b2'"),
        (["op_wait_timeout=1\n"], "op_wait_timeout must be a whole number, not '1\\n'"),
        (["frozen_variable=2"], "frozen_variable must be True or False, not '2'"),
        (["op_debug_level=1", "op_debug_level=2"], "op_debug_level is given twice"),
        (["aoe_mode=1"], "aoe_mode has a flag of its own, --aoe_mode"),
        (["enable_dump=True"], "enable_dump has a flag of its own, --data_dump_flag"),
        (["use_off_line=False"], "use_off_line is set by the program itself"),
    ],
)
@pytest.mark.parametrize("device", ["npu", "cpu"])
def test_a_wrong_npu_option_is_one_line_on_any_device(npu_bridge, device, texts, line):
    found = refusal(npu_config(npu_option=tuple(texts), device=device))
    assert found.startswith(f"--npu_option: {line}")


def test_a_key_that_the_release_does_not_know():
    with factory.adapter("r1.9"):
        line = refusal(npu_config(npu_option=("static_memory_policy=1",)))
    assert line == f"--npu_option: {UNKNOWN} static_memory_policy"


def test_a_key_that_another_option_sets(npu_bridge):
    options = dict(iterations_per_loop=10, npu_option=("mix_compile_mode=True",))
    line = refusal(npu_config(**options))
    assert line == "--npu_option: mix_compile_mode is set by the other options of this run"


def test_every_key_is_taken_in_one_way():
    keys = [*npu_keys.OTHERS, *npu_keys._flags_by_key(), *npu_keys._SET_BY_PROGRAM]
    assert len(keys) == len(set(keys))
    assert set(npu_keys.OTHERS.values()) == set("bis")
    assert set(npu_options._MODES_V2.values()) < set(PRECISION_MODES)


def test_the_documentation_lists_the_keys():
    text = read(os.path.join("docs", "ascend.md"))
    for accessor in "bis":
        keys = [f"`{key}`" for key, each in npu_keys.OTHERS.items() if each == accessor]
        assert f"| {accessor} | {', '.join(keys)} |" in text
