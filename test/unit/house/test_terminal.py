"""A log that goes away: what cannot be shown changes neither results nor exit codes."""

import os
import subprocess
import sys

import pytest
from paths import ROOT
from programs import ONE_THREAD, SMALL, command, train_here

# What a shell does with a command's messages.
LOGS = {
    "head": '"$@" | head -1; exit ${PIPESTATUS[0]}',
    "nobody reads": '"$@" 2>&1 | true; exit ${PIPESTATUS[0]}',
    "full disk": '"$@" >/dev/full',
    "two full disks": '"$@" >/dev/full 2>/dev/full',
    "no output": '"$@" >&-',
    "no errors": '"$@" 2>&-',
    "neither": '"$@" <&- >&- 2>&-',
}
# What must not be said: that something was not done, or that a message was not shown.
WRONG = ("not written", "cannot be written", "Traceback", "Exception ignored", "Errno")


@pytest.fixture(params=sorted(LOGS))
def run_with_log(request):
    """Runs a command line with one of `LOGS`; returns its exit code and what could be shown."""

    def run(*words, cwd=None):
        done = subprocess.run(
            ["bash", "-c", LOGS[request.param], "bash", *words],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert not [word for word in WRONG if word in done.stdout], done.stdout
        return done.returncode

    return run


@pytest.mark.marathon
def test_a_training(tmp_path, run_with_log):
    """Seen: `>/dev/full` made neither loss curve nor film, `2>&-` was a traceback."""
    flags = ["--train_size=64", "--epoch=1", "--sample_freq=2", "--seed=1", "--device=cpu"]
    command_line = command("--train", "--out_name=run", *SMALL, *ONE_THREAD, *flags)
    assert run_with_log(*command_line, cwd=str(tmp_path)) == 0
    run = tmp_path / "out" / "run"
    for name in ("loss.png", "index.html", "samples/train.gif", "checkpoint/DCGAN.model-4.json"):
        assert (run / name).stat().st_size > 0, name
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 4 + 2


@pytest.mark.marathon
def test_drawing(tmp_path, run_with_log):
    assert train_here(tmp_path, "--train_size=16", "--epoch=1", "--device=cpu")[0] == 0
    flags = ["--dataset=synthetic_mnist", "--device=cpu", "--seeds=1-3", "--generate_format=grid"]
    words = command(f"--out_dir={tmp_path}", *flags)
    assert run_with_log(*words) == 0
    assert (tmp_path / "run" / "samples" / "generated_00000001.png").stat().st_size > 0


@pytest.mark.parametrize("program", ["main.py", "download.py"])
def test_the_help(run_with_log, program):
    """Seen: `--help | head -1` was a BrokenPipeError, exit code 120."""
    assert run_with_log(sys.executable, os.path.join(ROOT, program), "--help") == 0


def test_a_user_error(run_with_log):
    assert run_with_log(*command("--epoch=0")) == 2


def test_a_missing_library(run_with_log, tmp_path):
    """An interpreter without absl, and without an environment to continue in."""
    (tmp_path / "absl.py").write_text("raise ImportError('no absl')")
    environment = [f"PYTHONPATH={tmp_path}", f"DCGAN_PYTHON={tmp_path}/none"]
    assert run_with_log("env", *environment, *command("--help")) == 2


def test_the_help_of_a_launch_script(run_with_log):
    script = os.path.join(ROOT, "test", "train_full_1p.sh")
    assert run_with_log("env", f"DCGAN_PYTHON={sys.executable}", "bash", script, "--help") == 0


def test_the_choice_of_an_interpreter(run_with_log):
    """Seen: a script died of SIGPIPE before it began to train."""
    script = os.path.join(ROOT, "test", "env.sh")
    assert run_with_log("env", f"DCGAN_PYTHON={sys.executable}", "bash", script) == 0
