"""system/import_notes.py: what TensorFlow says while it is imported."""

import os
import subprocess
import sys

import pytest
from paths import ROOT

NOTES = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1795895424.955690   27497 port.cc:153] oneDNN custom operations are on.\n"
)
SCRIPT = """
import os, sys
from system.import_notes import without_notes
with without_notes():
    os.write(2, {notes!r}.encode() + b"E0000 real trouble\\n")
    {action}
os.write(2, b"afterwards\\n")
"""


@pytest.mark.parametrize(
    "action, code, last",
    [
        ("pass", 0, ["afterwards"]),
        ("os.abort()", -6, []),
        ("raise ImportError('gone')", 1, ["ImportError: gone"]),
    ],
)
def test_only_the_notes_are_dropped_even_if_the_import_crashes(action, code, last):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(notes=NOTES, action=action)],
        cwd=ROOT,
        env=dict(os.environ, PYTHONFAULTHANDLER=""),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    lines = done.stderr.splitlines()
    assert done.returncode == code and lines[0] == "E0000 real trouble"
    assert lines[1:][-1:] == last and "absl" not in done.stderr and "oneDNN" not in done.stderr
