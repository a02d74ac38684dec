"""Running the program: in a process of its own, as a user does, or in this one, which is quicker."""

import contextlib
import io
import os
import re
import subprocess
import sys

from absl import flags
from paths import ROOT

import main

# A run that takes a second or two beyond TensorFlow's own start.
SMALL = [
    "--dataset=synthetic_mnist",
    "--batch_size=16",
    "--gf_dim=4",
    "--df_dim=4",
    "--gfc_dim=16",
    "--dfc_dim=16",
    "--z_dim=8",
    "--sample_num=12",
    "--progress=off",
]
ONE_THREAD = ["--intra_op_threads=1", "--inter_op_threads=1"]


def command(*arguments):
    """The command line of `main.py` with these arguments."""
    return [sys.executable, os.path.join(ROOT, "main.py")] + list(arguments)


def run_main(*arguments, cwd=None, timeout=300, env=None):
    """Runs `main.py` in a process; returns it, finished, with text in stdout and stderr."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        timeout=timeout,
        text=True,
        env=dict(os.environ, **env or {}),
        capture_output=True,
    )


def run_apart(command_line, folder):
    """Runs a command that must succeed, in a folder where it finds none of the project's modules."""
    done = subprocess.run(
        command_line,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=str(folder),
        timeout=300,
    )
    assert done.returncode == 0, done.stdout


def parsed(*arguments):
    """The `Config` of these arguments."""
    values = flags.FlagValues()
    main.define_flags(values)
    values(["main.py"] + list(arguments))
    return main.config_from_flags(values)


class _Watched(io.StringIO):
    """Text that calls `action` once, when a line that starts with `start` is written."""

    def __init__(self, start, action):
        super().__init__()
        self._start, self._action = start, action

    def write(self, text):
        if self._action and text.startswith(self._start):
            action, self._action = self._action, None
            action()
        return super().write(text)


def train_here(folder, *arguments, at_step=None, action=None):
    """Trains the small run in `folder`/run in this process.

    Args:
        at_step, action: a step and what to call when its log line is out.

    Returns:
        (exit code, what it printed on standard output).
    """
    config = parsed(
        "--train", "--out_dir=" + str(folder), "--out_name=run", *(SMALL + list(arguments))
    )
    out = _Watched(f"[{at_step or 0:8d} ", action)
    with contextlib.redirect_stdout(out):
        code = main.run(config)
    return code, out.getvalue()


def log_lines(text):
    """[(step, d_loss, g_loss)] of the log lines in `text`, as they are printed."""
    return re.findall(r"^\[ *(\d+) .*, d_loss: (\S+)  g_loss: (\S+)$", text, re.MULTILINE)
