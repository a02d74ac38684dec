"""What may happen to a run of a day: kills, a full disk, losses that are no numbers, a lost folder."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from final_states import assert_equal_runs, final_state
from programs import ONE_THREAD, SMALL, command, log_lines, train_here

import checkpoint
import main
import utils
from options import UserError
from system.terminal import unfailing_stream
from training import checkpointer, samples, sinks
from training.graph import TrainGraph


def kill_at_random(folder, arguments, moments):
    """Starts `folder`/run and kills it at some moment; returns whether it ended before that."""
    child = subprocess.Popen(
        command("--train", "--out_dir=" + str(folder), "--out_name=run", *(SMALL + arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    if moments.random() < 0.7:  # while it trains; else at any moment of its start
        next((line for line in child.stdout if line.startswith("[ ")), None)
        time.sleep(moments.uniform(0, 1.5))
    else:
        time.sleep(moments.uniform(0.5, 5))
    ended = child.poll() is not None
    child.kill()
    child.communicate()
    return ended


@pytest.mark.marathon
def test_twenty_kills(tmp_path):
    """kill -9 twenty times; the run that is left equals one that nothing happened to."""
    arguments = ONE_THREAD + [
        "--seed=6",
        "--train_size=1600",
        "--epoch=20",
        "--ckpt_freq=7",
        "--sample_freq=50",
        "--log_freq=10",
    ]
    code, _ = train_here(tmp_path / "whole", *arguments)
    assert code == 0
    moments = random.Random(6)
    early = sum(kill_at_random(tmp_path / "killed", arguments, moments) for _ in range(20))
    code, text = train_here(tmp_path / "killed", *arguments)
    assert code == 0
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")
    print(
        "kills: 20 ({} after the run's end), runs lost: 0, wrong: 0; last resume at step {}".format(
            early, log_lines(text)[0][0] if log_lines(text) else "the end"
        )
    )
    assert early < 20


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(tmp_path):
    """No file may grow beyond 40 kB in the second run: the checkpoint, of 100 kB, cannot be written."""
    train_here(tmp_path, "--seed=1", "--train_size=32", "--epoch=1")
    before = final_state(tmp_path)
    script = (
        "import resource, runpy, sys; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000)); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    arguments = command(
        "--train",
        "--out_dir=" + str(tmp_path),
        "--out_name=run",
        "--seed=1",
        "--train_size=32",
        "--epoch=2",
        *SMALL,
    )[1:]
    done = subprocess.run(
        [sys.executable, "-c", script] + arguments,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("main.py: --checkpoint_dir: no checkpoint")
    assert done.stderr.count("trying again") == 2 and "Traceback" not in done.stderr
    after = final_state(tmp_path)
    assert after[0] == before[0] == 2
    assert all(np.array_equal(after[1][name], before[1][name]) for name in before[1])


@pytest.mark.slow
def test_a_checkpoint_that_fails_once_is_tried_again(tmp_path, monkeypatch, capsys):
    real, failures = checkpoint.Saver.save, [OSError("No space left on device")]
    monkeypatch.setattr(checkpointer, "SECONDS_BETWEEN_TRIES", 0)
    monkeypatch.setattr(
        checkpoint.Saver,
        "save",
        lambda *args, **kwargs: _raise(failures.pop()) if failures else real(*args, **kwargs),
    )
    code, _ = train_here(tmp_path, "--train_size=16", "--epoch=1")
    assert code == 0 and final_state(tmp_path)[0] == 1
    assert "trying again: No space left on device" in capsys.readouterr().err


def _raise(error):
    raise error


@pytest.mark.slow
def test_a_grid_that_cannot_be_written_ends_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    code, text = train_here(
        tmp_path,
        "--train_size=32",
        "--epoch=1",
        "--sample_freq=1",
        "--sample_dir=" + str(tmp_path / "file"),
    )
    assert code == 0 and len(log_lines(text)) == 2 and final_state(tmp_path)[0] == 2
    assert capsys.readouterr().err.count("sample grids: cannot be written") == 1


@pytest.mark.slow
def test_reports_that_cannot_be_written_are_said_once(tmp_path, monkeypatch, capsys):
    class Full:
        def write(self, *unused):
            raise OSError(28, "No space left on device")

        add_summary = write
        close = write

    monkeypatch.setattr(sinks, "_open_metrics", lambda *unused: Full())
    code, text = train_here(tmp_path, "--train_size=48", "--epoch=1")
    assert code == 0 and len(log_lines(text)) == 3
    assert capsys.readouterr().err.count("metrics.jsonl: cannot be written") == 1


@pytest.mark.slow
def test_a_log_on_a_full_disk_ends_nothing_and_goes_on_when_there_is_room(tmp_path, monkeypatch):
    """From the first step to the first checkpoint neither output nor errors can be written."""
    real, steps = TrainGraph.run_steps, []

    def run_steps(*args, **kwargs):
        steps.append(True)
        return real(*args, **kwargs)

    def write(descriptor, data):
        if steps and not checkpoint.kept(str(tmp_path / "run" / "checkpoint")):
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data)

    real_write = os.write
    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(TrainGraph, "run_steps", run_steps)
    with open(str(tmp_path / "log"), "wb") as file:
        log = unfailing_stream(file.fileno())
        monkeypatch.setattr(sys, "stderr", log)
        monkeypatch.setattr(sys, "stdout", log)
        words = ["--train", f"--out_dir={tmp_path}", "--out_name=run", "--train_size=64", *SMALL]
        assert main.main(["main.py", *words, "--epoch=1", "--ckpt_freq=2"]) == 0
    text = (tmp_path / "log").read_text()
    assert [step for step, _, _ in log_lines(text)] == ["3", "4"]
    assert "cannot be written" not in text
    assert final_state(tmp_path)[0] == 4


@pytest.mark.slow
def test_a_summary_writer_that_fails_as_that_of_2_x_does_ends_nothing(
    tmp_path, monkeypatch, capsys
):
    def full(*unused):
        raise RuntimeError("events: No space left on device")

    for name in ("add_summary", "close"):
        monkeypatch.setattr(tf.summary.FileWriter, name, full)
    code, text = train_here(tmp_path, "--train_size=48", "--epoch=1", "--summary_freq=1")
    assert code == 0 and len(log_lines(text)) == 3
    assert capsys.readouterr().err.count("TensorBoard: cannot be written") == 1


@pytest.mark.slow
@pytest.mark.parametrize("freq", [1, 100])
def test_a_signal_while_a_grid_is_drawn_saves(tmp_path, monkeypatch, freq):
    real, drawn = samples.SampleGrid.draw, []

    def draw(grid, session):
        drawn.append(grid)
        if len(drawn) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(grid, session)

    monkeypatch.setattr(samples.SampleGrid, "draw", draw)
    code, text = train_here(
        tmp_path, "--train_size=160", "--epoch=1", "--sample_freq=2", f"--ckpt_freq={freq}"
    )
    last = len(log_lines(text))
    assert code == 143 and last < 10 and final_state(tmp_path)[0] == last


@pytest.mark.slow
def test_a_folder_that_vanishes_is_made_again(tmp_path):
    run = tmp_path / "run"
    code, _ = train_here(
        tmp_path,
        "--train_size=96",
        "--epoch=1",
        "--summary_freq=1",
        at_step=2,
        action=lambda: shutil.rmtree(str(run)),
    )
    assert code == 0 and final_state(tmp_path)[0] == 6
    steps = [line["step"] for line in utils.read_json_lines(str(run / "metrics.jsonl"))]
    assert sorted(set(steps)) == [1, 2, 3, 4, 5, 6]  # a grid's line has its step too
    assert [step for step, _, _ in log_lines((run / "train.log").read_text())] == list("123456")
    assert (run / "FLAGS.json").is_file() and (run / "index.html").is_file()
    assert os.listdir(str(run / "events"))


@pytest.mark.slow
@pytest.mark.parametrize("still_trains", [True, False])
def test_a_folder_that_became_another_run_is_left_alone(tmp_path, still_trains):
    """Seen: after `rm -rf` and a second start, the first process wrote into the second one's run."""
    folder, locks = tmp_path / "run", []

    def begin_anew():
        shutil.rmtree(str(folder))
        folder.mkdir()
        locks.append(utils.lock_folder(str(folder)))
        if not still_trains:
            locks.pop().close()

    with pytest.raises(UserError, match="^--out_name: .*run was removed, and another process"):
        train_here(
            tmp_path,
            "--train_size=96",
            "--epoch=1",
            "--ckpt_freq=1",
            "--sample_freq=1",
            at_step=2,
            action=begin_anew,
        )
    assert os.listdir(str(folder)) == [".lock"]


@pytest.fixture
def bad_loss(monkeypatch):
    """Makes d_loss NaN the next times that the given steps are run; returns the list of steps."""
    steps, real, run = [], TrainGraph.run_steps, {"count": 0}

    def run_step(*args, **kwargs):
        result = real(*args, **kwargs)
        run["count"] += 1
        if run["count"] in steps:
            result.scalars["d_loss"] = float("nan")
        return result

    monkeypatch.setattr(TrainGraph, "run_steps", run_step)
    return steps


FEW = ["--seed=1", "--train_size=96", "--epoch=1", "--ckpt_freq=2"]


def test_nan_stops_the_run_and_names_loss_and_step(tmp_path, bad_loss):
    bad_loss.append(4)
    with pytest.raises(UserError, match="d_loss is nan at step 4"):
        train_here(tmp_path, *FEW)
    assert final_state(tmp_path)[0] == 2
    last = json.loads(open(str(tmp_path / "run" / "metrics.jsonl")).read().splitlines()[-1])
    assert last["step"] == 4 and last["d_loss"] is None


def test_rollback_continues_with_new_random_numbers(tmp_path, bad_loss, capsys):
    bad_loss.append(4)
    code, text = train_here(tmp_path, "--on_nan=rollback", *FEW)
    assert code == 0
    assert [step for step, _, _ in log_lines(text)] == list("12343456")
    lines = log_lines(text)
    assert lines[2][1] != lines[4][1]  # step 3 again, on other pictures and z
    assert "back to step 2, with new random numbers" in capsys.readouterr().err
    newest = checkpoint.newest(str(tmp_path / "run" / "checkpoint"), warn=pytest.fail)
    assert newest.state["draw"] == 1


@pytest.mark.slow
def test_a_stop_after_a_rollback_beyond_a_damaged_checkpoint_saves(tmp_path, bad_loss):
    bad_loss.append(7)

    def damage_and_stop():
        with open(str(tmp_path / "run" / "checkpoint" / "DCGAN.model-6.index"), "ab") as file:
            file.write(b"x")
        os.kill(os.getpid(), signal.SIGTERM)

    code, _ = train_here(
        tmp_path,
        "--on_nan=rollback",
        "--seed=1",
        "--train_size=160",
        "--epoch=1",
        "--ckpt_freq=3",
        "--max_to_keep=3",
        at_step=7,
        action=damage_and_stop,
    )
    newest = checkpoint.newest(str(tmp_path / "run" / "checkpoint"), warn=lambda line: None)
    assert code == 143 and newest.step == 4


@pytest.mark.slow
def test_three_rollbacks_at_most(tmp_path, bad_loss, capsys):
    bad_loss.extend(range(3, 100))
    with pytest.raises(UserError, match="stopped after 3 rollbacks"):
        train_here(tmp_path, "--on_nan=rollback", *FEW)
    assert capsys.readouterr().err.count("back to step 2") == 3


def test_weights_that_are_no_numbers_are_rolled_back(tmp_path, monkeypatch, capsys):
    """The losses of a step are taken before its last update, so that they may be sound."""
    real, steps = TrainGraph.run_steps, []

    def poisoned(graph, run, **kwargs):
        result = real(graph, run, **kwargs)
        steps.append(result)
        if len(steps) in (4, 8):  # where a checkpoint is due, and the last step
            weight = graph.saver.variables[0]
            weight.load(np.full(weight.shape, np.nan), run.__self__)
        return result

    monkeypatch.setattr(TrainGraph, "run_steps", poisoned)
    code, text = train_here(tmp_path, "--on_nan=rollback", *FEW)
    assert code == 0 and final_state(tmp_path)[0] == 6
    assert [step for step, _, _ in log_lines(text)] == list("1234345656")
    err = capsys.readouterr().err
    assert "a weight is NaN or infinite at step 4; back to step 2" in err
    assert "a weight is NaN or infinite at step 6; back to step 4" in err


def test_a_loss_out_of_all_bounds_stops_too(tmp_path):
    with pytest.raises(UserError, match="_loss is .* at step|a weight is NaN or infinite"):
        train_here(tmp_path, "--learning_rate=1e6", "--train_size=96", "--epoch=1")
    assert not checkpoint.kept(str(tmp_path / "run" / "checkpoint"))


def test_weights_that_are_no_numbers_are_never_saved(tmp_path, monkeypatch):
    real = TrainGraph.run_steps

    def poisoned(graph, run, **kwargs):
        result = real(graph, run, **kwargs)
        weight = graph.saver.variables[0]
        weight.load(np.full(weight.shape, np.nan), run.__self__)
        return result

    monkeypatch.setattr(TrainGraph, "run_steps", poisoned)
    with pytest.raises(UserError, match="a weight is NaN or infinite"):
        train_here(tmp_path, "--train_size=16", "--epoch=1")
    assert not checkpoint.kept(str(tmp_path / "run" / "checkpoint"))


def test_a_collapse_is_said_once_and_seen_in_the_metrics(tmp_path, monkeypatch, capsys):
    equal = samples.DrawnGrid(np.full((4, 28, 28, 1), 9, np.uint8), 1.0, 1.0)
    monkeypatch.setattr(samples.SampleGrid, "draw", lambda grid, session: equal)
    train_here(tmp_path, "--train_size=64", "--epoch=1", "--sample_freq=1")
    assert capsys.readouterr().err.count("the generator has collapsed") == 1
    lines = [json.loads(line) for line in open(str(tmp_path / "run" / "metrics.jsonl"))]
    assert [line["sample_spread"] for line in lines if "sample_spread" in line] == [0.0] * 4


def test_spread_is_the_root_mean_square_distance_of_pairs():
    pixels = np.random.RandomState(0).randint(0, 256, (5, 2, 3, 1)).astype(np.uint8)
    pairs = [
        np.square(pixels[i].astype(float) - pixels[j]).mean()
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    assert samples.spread(pixels) == pytest.approx(np.sqrt(np.mean(pairs)))
    assert samples.spread(pixels[:1]) == 0
