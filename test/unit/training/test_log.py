"""The log: on the screen as asked for, whole in train.log, and as lines of progress."""

import re

import pytest
from programs import log_lines, train_here

import utils
from config import Config
from training import log
from training.graph import StepResult
from training.progress import Progress
from training.sink import RunInfo

EPOCHS = ["--train_size=64", "--epoch=3", "--sample_freq=4"]  # four steps each
RESULT = StepResult({"d_loss": 1.0, "g_loss": 2.0})


@pytest.mark.parametrize(
    "flags, steps, grids",
    [
        (["--log_freq=5"], [5, 10], 3),
        pytest.param([], list(range(1, 13)), 3, marks=pytest.mark.slow),
        pytest.param(["--log=epochs", "--log_freq=5"], [4, 8, 12], 0, marks=pytest.mark.slow),
        pytest.param(["--log=none"], [], 0, marks=pytest.mark.slow),
    ],
)
def test_the_screen_shows_what_is_asked_and_the_files_have_all(tmp_path, flags, steps, grids):
    code, text = train_here(tmp_path, *EPOCHS, *flags)
    run = tmp_path / "run"
    assert code == 0 and [int(step) for step, _, _ in log_lines(text)] == steps
    assert text.count("[Sample] d_loss: ") == grids
    assert len(re.findall(r"^Final accuracy d_loss \d+\.\d{8}$", text, re.MULTILINE)) == 1
    whole = (run / "train.log").read_text()
    assert [int(step) for step, _, _ in log_lines(whole)] == list(range(1, 13))
    shown = [line for line in text.splitlines() if line.startswith(("[ ", "[Sample]", "Final"))]
    assert set(shown) <= set(whole.splitlines()) and whole.count("[Sample]") == 3
    metrics = list(utils.read_json_lines(str(run / "metrics.jsonl")))
    assert [line["step"] for line in metrics if "d_loss" in line] == list(range(1, 13))


@pytest.mark.slow
def test_the_log_goes_on_after_a_resume(tmp_path):
    for epoch in ("--epoch=1", "--epoch=2"):
        train_here(tmp_path, "--train_size=64", epoch, "--log=epochs", "--seed=1")
    whole = (tmp_path / "run" / "train.log").read_text()
    assert [int(step) for step, _, _ in log_lines(whole)] == list(range(1, 9))


def test_the_command_for_tensorboard_is_printed_once(tmp_path):
    folder = tmp_path / "a b"
    _, text = train_here(folder, "--train_size=32", "--epoch=1")
    assert text.count(f"TensorBoard: tensorboard --logdir '{folder / 'run'}'\n") == 1


def progress_lines(monkeypatch, capsys, *, progress="auto", terminal=False):
    """What is said of steps that take 20 seconds each, on 2 ranks."""
    now = [1000.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(log.sys.stderr, "isatty", lambda: terminal, raising=False)
    config = Config(epoch=100, batch_size=30, progress=progress)
    lines = log.ProgressLines(RunInfo(config, Progress(step=5), 10, 2))
    lines.start(Progress(step=5), {})
    for step in range(6, 14):
        now[0] += 20
        lines.step(Progress(step=step), RESULT)
    return capsys.readouterr().err.splitlines()


def test_a_line_a_minute_where_there_is_no_terminal(monkeypatch, capsys):
    assert progress_lines(monkeypatch, capsys) == [
        "progress: step 8 of 1,000, 3 images/s, 5 h 31 min left",
        "progress: step 11 of 1,000, 3 images/s, 5 h 30 min left",
    ]


@pytest.mark.parametrize("progress, terminal", [("auto", True), ("on", False), ("off", False)])
def test_no_line_beside_a_bar_or_if_none_is_wanted(monkeypatch, capsys, progress, terminal):
    assert progress_lines(monkeypatch, capsys, progress=progress, terminal=terminal) == []
