"""Reports: every sink gets every value, a failing one warns once, a further one is a row."""

import json

import pytest
import tensorflow.compat.v1 as tf

from config import Config
from devices.ranks import SINGLE_PROCESS, Ranks
from training import report, sinks
from training.graph import StepResult
from training.progress import Progress
from training.samples import DrawnGrid
from training.sink import Sink

RESULT = StepResult({"d_loss": 1.0, "g_loss": float("nan")})


class Recorder(Sink):
    """A further reporter: it records its calls, every second step, and fails when told to."""

    every = 2
    calls = []
    failing = False

    def __init__(self, run):
        super().__init__(run)
        self.calls.append(("open", run.progress.step))

    def step(self, progress, result):
        self.calls.append(("step", progress.step))
        if Recorder.failing:
            raise OSError("no room")

    def sample(self, progress, grid):
        self.calls.append(("sample", progress.step))

    def close(self):
        self.calls.append(("close",))


@pytest.fixture
def calls(monkeypatch):
    """The calls of a recorder that is the only sink."""
    monkeypatch.setattr(report, "SINKS", {"recorder": Recorder})
    monkeypatch.setattr(Recorder, "calls", [])
    monkeypatch.setattr(Recorder, "failing", False)
    return Recorder.calls


def opened(progress=None, *, ranks=SINGLE_PROCESS, folder="nowhere"):
    config = Config(out_dir=str(folder), out_name="run", progress="off")
    return report.open_reporter(config, progress or Progress(), steps_per_epoch=4, ranks=ranks)


def test_a_further_sink_gets_what_it_has_a_method_for(calls):
    with opened(Progress(step=4)) as reporter:
        reporter.start(Progress(step=4), {})
        for step in (5, 6, 7, 8):
            reporter.step(Progress(step=step), RESULT)
        reporter.sample(lambda: (Progress(step=8), DrawnGrid(None, 1.0, 1.0)))
        reporter.finish(Progress(step=8), RESULT)
    assert calls == [("open", 4), ("step", 6), ("step", 8), ("sample", 8), ("close",)]


def test_a_sink_is_closed_when_training_fails(calls):
    with pytest.raises(KeyError), opened():
        raise KeyError("training")
    assert calls[-1] == ("close",)


def test_consecutive_failures_are_one_warning(calls, capsys):
    with opened() as reporter:
        for failing in (True, True, False, True, True):
            Recorder.failing = failing
            reporter.step(Progress(step=2), RESULT)
    assert (
        capsys.readouterr().err == 2 * "recorder: cannot be written, left out meanwhile: no room\n"
    )


def test_a_sink_that_cannot_be_opened_is_left_out(monkeypatch, capsys):
    def fail(run):
        raise OSError("no room")

    fail.failures = Sink.failures
    monkeypatch.setattr(report, "SINKS", {"bad": fail, "recorder": Recorder})
    monkeypatch.setattr(Recorder, "calls", [])
    with opened() as reporter:
        reporter.step(Progress(step=2), RESULT)
    assert ("step", 2) in Recorder.calls
    assert capsys.readouterr().err.count("bad: cannot be written") == 1


def test_a_grid_that_cannot_be_drawn_is_left_out(calls, capsys):
    def fail():
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    with opened() as reporter:
        reporter.sample(fail)
        reporter.sample(lambda: (Progress(step=8), DrawnGrid(None, 1.0, 1.0)))
    assert calls[1:-1] == [("sample", 8)]
    assert capsys.readouterr().err.count("a sample grid: cannot be written") == 1


def test_an_error_of_the_program_is_no_failed_report(calls, monkeypatch):
    monkeypatch.setattr(Recorder, "step", lambda *unused: {}["missing"])
    with pytest.raises(KeyError), opened() as reporter:
        reporter.step(Progress(step=2), RESULT)


def test_other_ranks_report_nothing(calls):
    with opened(ranks=Ranks(rank=1, size=2)) as reporter:
        reporter.step(Progress(step=2), RESULT)
        reporter.sample(lambda: pytest.fail("drawn"))
    assert calls == []


def test_a_line_of_metrics_says_which_images_a_step_stands_for(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    with opened(folder=tmp_path, ranks=Ranks(rank=0, size=8)) as reporter:
        reporter.step(Progress(step=6, seconds=1.5, offset=1), RESULT)
    (line,) = [json.loads(line) for line in open(str(tmp_path / "run" / "metrics.jsonl"))]
    assert line == {
        "step": 6,
        "seconds": 1.5,
        "epoch": 1,
        "ranks": 8,
        "d_loss": 1.0,
        "g_loss": None,
    }
    assert capsys.readouterr().out.startswith("[       6 Epoch:  1/25    0/   4 time: 1.5000, ")


def test_each_row_is_a_sink():
    assert all(issubclass(kind, Sink) for kind in sinks.SINKS.values())
