"""What the NPU's session is told for an option, by release of the adapter."""

import os

import pytest
import tensorflow.compat.v1 as tf
from fake_npu import factory
from npu_sessions import npu_config, open_quietly, parameters, refusal, said
from programs import parsed
from small_runs import make_run

import main
from devices import adapter, npu_options

FP16 = "allow_mix_precision_fp16"
BF16 = "allow_mix_precision_bf16"


@pytest.fixture
def mixlist(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text("{}")
    return str(path)


def test_the_mixlist_can_be_switched_off(npu_bridge):
    config = npu_config(modify_mixlist="off")
    assert "modify_mixlist" not in parameters(config)
    assert "mixlist none, " in said(config)[0]


def test_an_old_adapter_needs_no_mixlist_switched_off():
    with factory.adapter("r1.3"):
        assert "modify_mixlist" not in parameters(npu_config(modify_mixlist="off"))


def test_the_line_on_the_device_says_what_the_default_mixlist_does(npu_bridge, mixlist):
    hint = "(MatMulV2 in float32; --modify_mixlist=off goes without)"
    assert hint in said(npu_config())[0]
    assert hint not in said(npu_config(modify_mixlist=mixlist))[0]


@pytest.mark.parametrize("mode", [FP16, BF16])
def test_old_releases_take_a_mixlist_with_one_mode_only(mixlist, mode):
    config = npu_config(precision_mode=mode, modify_mixlist=mixlist)
    with factory.adapter("r1.9"):
        assert refusal(config) == (
            "--modify_mixlist: this release of the NPU adapter takes it with "
            "--precision_mode=allow_mix_precision only"
        )
        assert "modify_mixlist" not in parameters(npu_config(precision_mode=mode))
    with factory.adapter("r1.13"):
        assert parameters(config)["modify_mixlist"] == ("s", mixlist.encode())


def test_the_default_mixlist_goes_with_float16_only():
    default = ("s", npu_options.DEFAULT_MIXLIST.encode())
    with factory.adapter("r1.13"):
        assert parameters(npu_config(precision_mode=FP16))["modify_mixlist"] == default
        assert "modify_mixlist" not in parameters(npu_config(precision_mode=BF16))


def test_a_mode_that_a_910_cannot_run_is_one_warning(npu_bridge):
    (_, warning) = said(npu_config(precision_mode="must_keep_origin_dtype"))
    assert warning.startswith("--precision_mode=must_keep_origin_dtype: an Ascend 910 has no")
    assert len(said(npu_config(precision_mode="force_fp16"))) == 1


@pytest.mark.parametrize(
    "release, deterministic, seed, sent",
    [
        ("r1.15", "auto", 3, True),
        ("r1.13", "on", None, True),
        ("r1.15", "auto", None, False),
        ("r1.15", "off", 3, False),
        ("r1.9", "auto", 3, False),
    ],
)
def test_deterministic(release, deterministic, seed, sent):
    with factory.adapter(release):
        found = parameters(npu_config(deterministic=deterministic, seed=seed))
    assert found.get("deterministic") == (("i", 1) if sent else None)


def test_deterministic_where_a_run_is_resumed(npu_bridge, tmp_path):
    """Seen: only --seed counted, so that a resumed run computed unlike the one it went on with."""
    anew = npu_config(out_dir=str(tmp_path), out_name="run")
    assert "deterministic" not in parameters(anew)
    assert "deterministic" in parameters(anew.replace(out_name="", resume=True))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "FLAGS.json").write_text(anew.replace(seed=4).to_json())
    assert "deterministic" in parameters(anew)
    preset = parsed(f"--config={tmp_path / 'run'}", "--device=npu", "--train")
    assert "deterministic" in parameters(preset)


def test_an_old_adapter_cannot_be_deterministic():
    with factory.adapter("r1.9"):
        assert refusal(npu_config(deterministic="on")) == (
            "--deterministic: this release of the NPU adapter does not know it"
        )


@pytest.mark.parametrize(
    "job, inference",
    [
        (dict(train=True), False),
        (dict(train=False), True),
        (dict(train=False, generate=4), True),
        (dict(train=False, evaluate="last"), False),  # it may train a classifier
    ],
)
def test_sampling_is_inference(npu_bridge, job, inference):
    found = parameters(npu_config(**job))
    assert found.get("graph_run_mode") == (("i", 0) if inference else None)


def dump_path(**options):
    return parameters(npu_config(**options))["dump_path"][1].decode()


@pytest.mark.parametrize(
    "switch, name, default",
    [
        ("over_dump", "over_dump_path", "overflow"),
        ("data_dump_flag", "data_dump_path", "data_dump"),
    ],
)
def test_data_save_path_moves_a_dump_without_its_own_folder(
    npu_bridge, tmp_path, switch, name, default
):
    moved, own = str(tmp_path / "moved"), str(tmp_path / "own")
    options = {switch: True, "data_save_path": moved}
    given = frozenset(["data_save_path"])
    assert dump_path(**options, given=given) == os.path.join(moved, default)
    assert os.path.isdir(os.path.join(moved, default))
    assert dump_path(**options, **{name: own}, given=given | {name}) == own


def test_folding_of_constants_is_off_where_it_would_fold_the_overflow_flag(any_release):
    rewrite = open_quietly(npu_config()).session_config.graph_options.rewrite_options
    expected = rewrite.DEFAULT if any_release.release.since(5) else rewrite.OFF
    assert rewrite.constant_folding == expected


@pytest.mark.parametrize("job", ["--train", "--generate=1"])
def test_an_error_of_the_device_at_the_first_run_is_one_line(tmp_path, capsys, job):
    asked = make_run(tmp_path, "mnist")
    arguments = ["main.py", job, f"--dataset={asked.dataset}", f"--out_dir={tmp_path}"]
    with factory.adapter() as npu_bridge:
        npu_bridge.options.CHOICES["precision_mode"] = ["another"]
        assert main.main([*arguments, "--device=npu", "--z_dim=4", "--batch_size=8"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "main.py" in line]
    assert line == "main.py: the NPU failed (InternalError): precision_mode: allow_mix_precision"


def test_an_error_elsewhere_stays_what_it_is():
    with pytest.raises(tf.errors.InternalError), adapter.errors_in_one_line():
        raise tf.errors.InternalError(None, None, "ours")
