"""Any hostile value of any flag, through the whole program: it works, or is one line, exit code 2."""

import contextlib
import io
import os
import shutil
import signal

import pytest
from hostile import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import make_run

import main
from config import OPTIONS

CPU_SECONDS = 10  # of the process, so that a busy machine makes no difference
OPTION = {option.flag: option for option in OPTIONS.values() if option.flag}
TRAINING = [
    "--train", "--out_dir=trained", "--dataset=synthetic_mnist", "--train_size=16", "--epoch=1",
    "--batch_size=8", "--gf_dim=4", "--df_dim=4", "--gfc_dim=16", "--dfc_dim=16", "--z_dim=4",
    "--sample_num=4", "--seed=1", "--device=cpu",
]  # fmt: skip
DRAWING = ["--out_dir=.", "--out_name=run", "--dataset=synthetic_mnist", "--device=cpu"]
# The job without which these flags are not read.
READ_BY = {
    "option": ["--visualize"],
    "generate_format": ["--generate=3"],
    "batch_norm": ["--generate=3"],
    "export_batch_size": ["--export"],
    "export_format": ["--export"],
}
# Their greatest values ask for work that may take as long as it takes.
LONG_WORK = {"epoch", "generate", "sample_num", "g_updates", "eval_samples", "batch_size"}


class TooSlow(BaseException):
    """The program computes longer than it may."""


def _too_slow(*unused):
    raise TooSlow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The current folder, with a run in it; the first training has loaded what it needs."""
    path, before = str(tmp_path_factory.mktemp("hostile")), os.getcwd()
    make_run(path, "mnist")
    os.chdir(path)
    handler = signal.signal(signal.SIGPROF, _too_slow)
    assert outcome(TRAINING)[0] == 0
    yield path
    signal.signal(signal.SIGPROF, handler)
    os.chdir(before)


def outcome(arguments, *, seconds=1000):
    """(exit code, standard error) of the program."""
    out, err = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return main.main(["main.py", *arguments]), err.getvalue()
    except SystemExit as done:  # --help
        return done.code, err.getvalue()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@st.composite
def hostile_arguments(draw):
    """A training or a drawing with one hostile value."""
    option = OPTION[draw(st.sampled_from(sorted(OPTION)))]
    declared, values = option.declared, list(HOSTILE)
    for bound in (declared.low, None if option.flag in LONG_WORK else declared.high):
        if bound is not None and option.kind in (int, float):
            values += [str(bound), str(bound - 1), str(bound + 1)]
    job = draw(st.sampled_from([TRAINING, DRAWING + READ_BY.get(option.flag, [])]))
    return [*job, f"--{option.flag}={draw(st.sampled_from(values))}"]


@pytest.mark.marathon
@given(hostile_arguments())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_it_works_or_is_one_line(folder, arguments):
    shutil.rmtree("trained", ignore_errors=True)
    code, err = outcome(arguments, seconds=CPU_SECONDS)
    refused = [line for line in err.splitlines() if line.startswith("main.py: ")]
    assert code in (0, 2) and len(refused) == (code == 2), (arguments[-1], code, err)
    assert len(max(refused, default="")) < 1000 and "Traceback" not in err
