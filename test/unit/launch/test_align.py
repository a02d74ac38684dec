"""test/align.sh: the same steps with two settings, and their comparison."""

import glob
import os
import subprocess
import sys

import pytest
from paths import ROOT

from launch import align
from options import UserError

TINY = ("--batch_size=8", "--gf_dim=4", "--df_dim=4", "--gfc_dim=16", "--dfc_dim=16", "--z_dim=4")


def test_both_sides_have_the_same_steps_seed_and_data():
    plan = align.parse(["--steps=30", "--batch_size=8", "--b=--device=gpu"], python=sys.executable)
    assert plan.sides == {
        "a": align.Side(sys.executable, ("--device=cpu",)),
        "b": align.Side(sys.executable, ("--device=gpu",)),
    }
    assert plan.epochs == (1, 3)  # the first call leaves a checkpoint of step 10
    flags = ("--train_size=80", "--ckpt_freq=30", "--seed=0", "--step_dump=1")
    assert set(flags) <= set(plan.flags) and "--dataset=synthetic_mnist" in plan.flags


def test_fewer_steps_are_one_epoch_and_flags_win():
    plan = align.parse(["--steps=3", "--seed=9", "--data_path=x"], python=sys.executable)
    assert plan.epochs == (1,)
    assert {"--train_size=192", "--seed=9", "--data_path=x"} <= set(plan.flags)
    assert not [flag for flag in plan.flags if flag.startswith("--dataset")]


def test_a_repeated_flag_is_passed_on_each_time():
    words = ["--npu_option=a=1", "--steps=3", "--npu_option=b=2"]
    plan = align.parse(words, python=sys.executable)
    assert [flag for flag in plan.flags if "npu_option" in flag] == [words[0], words[2]]


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--steps=0"], "--steps=0"),
        (["--steps=²"], "--steps=²"),
        (["--steps=15"], "--steps=15: must be a multiple of 10"),
        (["steps=10"], "steps=10: not an option"),
        (["--epoch=2"], "--epoch=2: set by the script"),
        (["--a=--train_size=9"], "--train_size=9: set by the script"),
        (["--a=x"], "x: set by the script itself, or not a flag"),
        (["--b='"], "--b='"),
        (["--python_b=/nowhere/python"], "--python_b=/nowhere/python: not an interpreter"),
    ],
)
def test_what_cannot_be_done_is_one_line(words, reason):
    with pytest.raises(UserError) as error:
        align.parse(words, python=sys.executable)
    assert str(error.value).startswith(reason) and "\n" not in str(error.value)


def test_a_training_that_fails_ends_it_with_its_exit_code(tmp_path, monkeypatch):
    calls = []

    def failing(python, *flags):
        calls.append(flags)
        return 3

    monkeypatch.setattr(align, "_main", failing)
    assert align.align([f"--python={sys.executable}", f"--out_dir={tmp_path}"]) == 3
    assert len(calls) == 1


@pytest.mark.marathon
def test_the_script_trains_both_sides_and_compares_them(tmp_path):
    result = subprocess.run(
        [
            "bash",
            os.path.join(ROOT, "test", "align.sh"),
            "--steps=20",
            "--b=--device=cpu --intra_op_threads=1",
            f"--out_dir={tmp_path}",
            *TINY,
        ],
        env=dict(os.environ, DCGAN_PYTHON=sys.executable),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith(("verdict: identical", "verdict: equal"))
    assert "weights at step 10, " in result.stdout and "weights at step 20, " in result.stdout
    assert glob.glob(str(tmp_path / "a" / "comparison.png"))
    assert len(glob.glob(str(tmp_path / "?" / "step_dump" / "step_00000001.npz"))) == 2
