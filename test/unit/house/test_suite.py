"""The suite's own rules: see `helpers/suite.py`."""

import os
import subprocess
import sys

import pytest
from paths import ROOT

TESTS = """
import pytest

def test_quick():
    pass

@pytest.mark.slow
def test_slow():
    pass

@pytest.mark.marathon
def test_marathon():
    pass

def test_skipped():
    pytest.skip({reason!r})
"""


def run_suite(folder, reason, ci):
    (folder / "test_it.py").write_text(TESTS.format(reason=reason))
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: s\n  marathon: m\n")
    helpers = os.path.join(ROOT, "test", "unit", "helpers")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "suite", "-p", "no:cacheprovider"],
        cwd=str(folder),
        env=dict(os.environ, CI=ci, PYTHONPATH=helpers),
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "reason, ci, code",
    [
        ("no time for it", "true", 1),
        ("needs hardware: an NPU", "true", 0),
        ("no time for it", "", 0),
    ],
)
def test_a_skipped_test_fails_in_ci_unless_it_needs_hardware(tmp_path, reason, ci, code):
    done = run_suite(tmp_path, reason, ci)
    assert done.returncode == code, done.stdout
    assert ("skipped, which fails in CI" in done.stdout) == bool(code)


def test_the_longest_tests_come_first(tmp_path):
    text = run_suite(tmp_path, "", "").stdout
    assert text.index("test_marathon") < text.index("test_slow") < text.index("test_quick")
