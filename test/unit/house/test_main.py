"""The command line: flags and their defaults, one line for each mistake, training and drawing."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from paths import ROOT
from programs import SMALL, parsed, run_main, train_here

import main
import utils
from config import OPTIONS, Config
from options import UserError

# The reference's flags and their defaults; sizes follow the data set here.
REFERENCE = dict(
    epoch=25,
    learning_rate=0.0002,
    beta1=0.5,
    train_size=None,
    batch_size=64,
    input_height=None,
    input_width=None,
    output_height=None,
    output_width=None,
    dataset="celebA",
    input_fname_pattern=None,
    out_name="",
    checkpoint_dir="checkpoint",
    sample_dir="samples",
    train=False,
    crop=False,
    visualize=False,
    export=False,
    freeze=False,
    max_to_keep=1,
    sample_freq=200,
    ckpt_freq=200,
    z_dim=100,
    z_dist="uniform_signed",
    G_img_sum=False,
    precision_mode="allow_mix_precision",
    over_dump=False,
    modify_mixlist=None,
)


def test_flags_of_the_reference_and_their_defaults():
    config = parsed()
    assert {name: getattr(config, name) for name in REFERENCE} == REFERENCE


def test_every_field_has_its_flag_and_its_default():
    config, defaults = parsed(), Config()
    for name in OPTIONS:
        if not OPTIONS[name].declared.path:
            assert getattr(config, name) == getattr(defaults, name), name


def test_values_reach_the_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parsed(
        "--train_size=6400", "--class=3", "--nofused_step", "--data_dir=x", "--train=True"
    )
    assert (config.train_size, config.classes, config.fused_step, config.train) == (
        6400,
        "3",
        False,
        True,
    )
    assert config.data_dir == str(tmp_path / "x")


@pytest.mark.parametrize(
    "arguments, flag",
    [
        (["--no_such_flag=1"], "no_such_flag"),
        (["--epoch=x"], "--epoch"),
        (["--epoch=0"], "--epoch"),
        (["--batch_size=-1"], "--batch_size"),
        (["--z_dist=gauss"], "--z_dist"),
        (["--precision_mode=fp8"], "--precision_mode"),
        (["--over_dump=perhaps"], "--over_dump"),
        (["--train_size=0"], "--train_size"),
        (["--resume"], "--resume"),
        (["mnist"], "mnist"),
        (["--seed=-5"], "--seed"),
        (["--learning_rate=nan", "--train"], "--learning_rate"),
        (["--train_size=nan"], "--train_size"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(arguments, flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["main.py"] + arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and flag in err
    assert not list(tmp_path.iterdir())


def test_a_value_of_thousands_of_characters_is_not_repeated(tmp_path, monkeypatch, capsys):
    """Seen: a line of 4,152 characters."""
    monkeypatch.chdir(tmp_path)
    flags = ["--train", "--dataset=synthetic", "--device=cpu", "--auto_tune_mode=" + 4096 * "é"]
    assert main.main(["main.py", *flags]) == 2
    err = capsys.readouterr().err
    assert err.startswith("main.py: --auto_tune_mode: ") and len(err) < 1000


def test_the_program_itself_exits_with_2(tmp_path):
    done = run_main("--no_such_flag=1", cwd=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "no_such_flag" in done.stderr


def test_help_names_every_flag():
    done = run_main("--help=all")
    assert done.returncode == 0
    for name in ("epoch", "over_dump_path", "class", "iterations_per_loop"):
        assert "--" + name in done.stdout or "--[no]" + name in done.stdout


def test_without_tensorflow_it_says_what_to_run(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('No module named tensorflow')")
    done = run_main("--dataset=mnist", env={"PYTHONPATH": str(tmp_path), "DCGAN_VENV": "/nowhere"})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "bash test/env.sh" in done.stderr


def test_without_absl_it_says_what_to_run(tmp_path):
    (tmp_path / "absl.py").write_text("raise ImportError('No module named absl')")
    done = subprocess.run(
        [sys.executable, main.__file__],
        env={"PYTHONPATH": str(tmp_path), "DCGAN_VENV": "/nowhere"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "bash test/env.sh" in done.stderr


@pytest.mark.parametrize(
    "arguments, flag",
    [
        (["--dataset=nowhere", "--train"], "--data"),
        (["--dataset=synthetic", "--train", "--batch_size=60000"], "--batch_size"),
        (["--dataset=synthetic_mnist", "--train", "--output_height=64"], "--output_height"),
        (["--dataset=synthetic", "--out_name=none"], "none/FLAGS.json"),
        (["--dataset=synthetic"], "--out_dir"),
        (["--dataset=synthetic", "--train", "--resume"], "--resume"),
        (["--dataset=synthetic", "--train", "--out_dir=/dev/null/x"], "--out_dir"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, flag, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(flag)) as error:
        main.run(parsed(*arguments))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_train_then_draw_from_another_folder(tmp_path):
    done = run_main(
        "--train",
        "--out_dir=out",
        "--out_name=run",
        "--train_size=160",
        "--epoch=2",
        "--sample_freq=8",
        *SMALL,
        cwd=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("[ ")]
    assert len(lines) == 20
    assert re.fullmatch(
        r"\[      11 Epoch:  1/ 2    0/  10 time: \d+\.\d{4}, d_loss: \d+\.\d{8}  "
        r"g_loss: \d+\.\d{8}",
        lines[10],
    )
    assert done.stdout.count("[Sample] d_loss: ") == 3
    assert re.search(r"^Final accuracy d_loss \d+\.\d{8}$", done.stdout, re.MULTILINE)
    run = tmp_path / "out" / "run"
    for name in (
        "FLAGS.json",
        "metrics.jsonl",
        "loss.png",
        "events",
        "samples/train.gif",
        "samples/train_00000020.png",
        "checkpoint/DCGAN.model-20.json",
    ):
        assert (run / name).exists(), name

    drawn = run_main(
        "--dataset=synthetic_mnist", "--out_dir=out", "--sample_num=7", cwd=str(tmp_path)
    )
    assert drawn.returncode == 0, drawn.stderr
    assert "DCGAN.model-20" in drawn.stdout
    picture = utils.read_png(str(run / "samples" / "test_00000020.png"))
    assert picture.shape == (3 * 28, 3 * 28, 1)
    assert not picture[56:, 28:].any() and picture[:56].any()


@pytest.mark.slow
def test_two_runs_of_one_seed_are_equal(tmp_path):
    logs = []
    for name in ("one", "two"):
        _, text = train_here(tmp_path / name, "--train_size=64", "--epoch=1", "--seed=3")
        logs.append(re.findall(r"[dg]_loss: \S+", text))
    assert logs[0] == logs[1] and len(logs[0]) == 10
    grids = [
        utils.read_png(str(tmp_path / name / "run" / "samples" / "train_00000004.png"))
        for name in ("one", "two")
    ]
    assert np.array_equal(*grids)


@pytest.mark.slow
def test_the_drawn_seed_is_printed_and_saved(tmp_path):
    _, text = train_here(tmp_path, "--train_size=32", "--epoch=1")
    seed = re.search(r"^seed: (\d+)$", text, re.MULTILINE).group(1)
    assert f'"seed": {seed},' in (tmp_path / "run" / "FLAGS.json").read_text()


@pytest.mark.parametrize(
    "arguments, asked",
    [
        (["--evaluate"], "last"),
        (["--evaluate", "--dataset=mnist"], "last"),
        (["--evaluate", "all"], "all"),
        (["--evaluate=features"], "features"),
        ([], None),
    ],
)
def test_evaluate_by_itself_is_the_last_checkpoint(arguments, asked):
    assert main.parse(["main.py"] + arguments).evaluate == asked


@pytest.mark.parametrize(
    "argument, answer",
    [
        ("--train_epochs=3", "--epoch"),
        ("--nz=50", "--z_dim"),
        ("--generate_test_images=9", "--generate"),
        ("--is_crop", "--crop"),
        ("--c_dim=3", "--channels"),
        ("--epcoh=3", "Did you mean: epoch"),
    ],
)
def test_a_flag_of_another_version_is_answered_with_this_ones(argument, answer, capsys):
    assert main.main(["main.py", argument]) == 2
    err = capsys.readouterr().err
    assert answer in err and err.count("\n") == 1


def test_no_name_of_another_version_is_a_flag_here():
    flags_here = {option.flag for option in OPTIONS.values()}
    others = [name for option in OPTIONS.values() for name in option.declared.other_names]
    assert not flags_here.intersection(others) and len(others) == len(set(others))


def test_a_preset_gives_what_the_command_line_does_not():
    config = main.parse(["main.py", "--train", "--config=celebA", "--output_height=32"])
    assert (config.dataset, config.crop, config.input_width) == ("celebA", True, 108)
    assert (config.output_height, config.output_width) == (32, None)  # a square
    assert {"dataset", "crop", "output_height"} <= config.given


def test_the_options_of_a_run_are_a_preset_but_not_its_place(tmp_path):
    run = Config(train=True, z_dim=7, out_name="there", seed=5, num_classes=10, dataset="mnist")
    (tmp_path / "FLAGS.json").write_text(run.to_json())
    for name in (str(tmp_path), str(tmp_path / "FLAGS.json")):
        config = main.parse(["main.py", f"--config={name}", "--seed=6"])
        assert (config.z_dim, config.seed, config.dataset) == (7, 6, "mnist")
        assert (config.train, config.out_name, config.num_classes) == (False, "", None)


def test_an_npus_options_that_a_run_had_by_default_are_not_given(tmp_path):
    """Loss scaling, for one, is dynamic where it was asked for, even in a mode without float16."""
    (tmp_path / "FLAGS.json").write_text(Config(z_dim=7, over_dump=True).to_json())
    given = main.parse(["main.py", f"--config={tmp_path}"]).given
    assert {"z_dim", "over_dump", "batch_size"} <= given
    assert not given.intersection({"loss_scale", "precision_mode", "data_dump_flag"})


FACES = dict(
    dataset="faces",
    data_path="/faces",
    checkpoint_dir="/far/ckpt",
    sample_dir="/far/samples",
    output_height=96,
    output_width=48,
    input_height=96,
    input_width=48,
    channels=1,
)


@pytest.mark.parametrize(
    "run, flags, expected",
    [
        (FACES, [], dict(FACES, input_height=None, input_width=None)),
        (FACES, ["--crop"], dict(output_height=96, input_height=None, crop=True)),
        (dict(FACES, crop=True), [], dict(input_height=96, input_width=48)),
        (dict(FACES, crop=True), ["--input_width=32"], dict(input_height=None, input_width=32)),
        (FACES, ["--output_height=64"], dict(output_height=64, output_width=None)),
        (
            FACES,
            ["--dataset=cats"],
            dict(dataset="cats", data_path=None, channels=None, output_height=96),
        ),
        (FACES, ["--data_path=/cats"], dict(dataset="cats", data_path="/cats", channels=None)),
        (FACES, ["--dataset=mnist"], dict(data_path=None, output_height=None, output_width=None)),
        (
            dict(dataset="mnist", data_path="/m", output_height=28, output_width=28),
            ["--data_path=/n"],
            dict(dataset="mnist", data_path="/n", output_height=28),
        ),
        (
            dict(dataset="mnist", output_height=28, output_width=28, channels=1),
            ["--dataset=faces"],
            dict(dataset="faces", output_height=None, output_width=None, channels=None),
        ),
    ],
)
def test_a_runs_options_that_do_not_fit_other_data_are_left_out(tmp_path, run, flags, expected):
    (tmp_path / "FLAGS.json").write_text(Config(z_dim=7, **run).to_json())
    config = main.parse(["main.py", f"--config={tmp_path}", *flags])
    expected = dict(expected, z_dim=7)
    expected.update(checkpoint_dir=Config().checkpoint_dir, sample_dir=Config().sample_dir)
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize("name", sorted(os.listdir(os.path.join(ROOT, "configs", "presets"))))
def test_every_preset_can_be_read(name):
    assert main.parse(["main.py", "--config=" + name[: -len(".json")]]).preset


def test_a_preset_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "x.json").write_text('{"z_dim": 0}')
    for name, text in (("nothing", "celebA, lsun, mnist"), (str(tmp_path / "x.json"), "z_dim")):
        assert main.main(["main.py", "--config=" + name]) == 2
        err = capsys.readouterr().err
        assert text in err and err.count("\n") == 1


@pytest.mark.parametrize("program", ["main.py"])
def test_another_interpreter_continues_in_the_projects_own(program, tmp_path):
    """An interpreter without absl: the environment's, which has it, does what was asked."""
    (tmp_path / "absl.py").write_text("raise ImportError('No module named absl')")
    own = tmp_path / "venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec "{sys.executable}" "$@"\n')
    own.chmod(0o755)
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, program), "--version"],
        env={"PYTHONPATH": str(tmp_path), "DCGAN_VENV": str(tmp_path / "venv"), "PATH": "/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.startswith("DCGAN for TensorFlow")
    assert done.stderr.count("\n") == 1 and f"continuing with {own}" in done.stderr


def test_a_folder_without_its_flag_is_answered():
    with pytest.raises(UserError, match="^'faces/': not a flag; .* as --data_path=FOLDER does$"):
        main.parse(["main.py", "--train", "faces/"])
