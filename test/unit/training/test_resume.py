"""Going on with a run gives the run that would have been, bit for bit on one thread."""

import json
import os
import signal
import subprocess
import time

import pytest
from final_states import assert_equal_runs, final_state
from programs import ONE_THREAD, SMALL, command, log_lines, run_main, train_here

import checkpoint
import utils
from options import UserError

SYNTHETIC = ["--dataset=synthetic", "--output_height=16"]


def interrupted_at(folder, step, *arguments):
    return train_here(
        folder, *arguments, at_step=step, action=lambda: os.kill(os.getpid(), signal.SIGINT)
    )


@pytest.mark.parametrize(
    "extra",
    [
        [],
        pytest.param(["--nofused_step"], marks=pytest.mark.slow),
        pytest.param(SYNTHETIC, marks=pytest.mark.slow),
        pytest.param(SYNTHETIC + ["--nofused_step"], marks=pytest.mark.slow),
    ],
    ids=["fused", "separate", "pictures-fused", "pictures-separate"],
)
def test_stopped_in_the_middle_of_an_epoch_and_across_one(tmp_path, extra):
    """6 steps an epoch: 12 at once against a run interrupted in epoch 0 and resumed over its end."""
    extra = extra + ONE_THREAD + ["--seed=4", "--train_size=96", "--epoch=2"]
    _, whole = train_here(tmp_path / "whole", *extra)
    code, first = interrupted_at(tmp_path / "parts", 4, *extra)
    assert code == 130 and len(log_lines(first)) == 4
    code, rest = train_here(tmp_path / "parts", *extra)
    assert code == 0 and log_lines(first) + log_lines(rest) == log_lines(whole)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


def started(folder, *arguments):
    """A training process of `folder`/run whose first log line is out."""
    child = subprocess.Popen(
        command(
            "--train", "--out_dir=" + str(folder), "--out_name=run", *(SMALL + list(arguments))
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    next(line for line in child.stdout if line.startswith("[ "))
    return child


@pytest.mark.parametrize(
    "number, code",
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_finishes_the_step_saves_and_exits(tmp_path, number, code):
    child = started(tmp_path, "--epoch=5000")
    child.send_signal(number)
    out, err = child.communicate(timeout=120)
    assert child.returncode == code
    assert final_state(tmp_path)[0] == int(log_lines(out)[-1][0] if log_lines(out) else 1)
    assert signal.Signals(number).name in err and "Traceback" not in err
    assert "Final accuracy" not in out


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers, code",
    [
        ([signal.SIGUSR1], 138),
        ([signal.SIGHUP, signal.SIGHUP], 129),  # the terminal sends one and its shell another
        ([signal.SIGUSR1, signal.SIGTERM], 138),  # a scheduler's warning, and soon its end
    ],
)
def test_a_closed_terminal_and_a_scheduler_lose_nothing(tmp_path, numbers, code):
    ended, text = train_here(
        tmp_path,
        "--train_size=96",
        "--epoch=1",
        at_step=3,
        action=lambda: [os.kill(os.getpid(), number) for number in numbers],
    )
    assert ended == code and final_state(tmp_path)[0] == 3 == len(log_lines(text))


@pytest.mark.slow
def test_nohup_stays_in_force(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code, _ = train_here(
            tmp_path,
            "--train_size=64",
            "--epoch=1",
            at_step=2,
            action=lambda: os.kill(os.getpid(), signal.SIGHUP),
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    assert code == 0 and final_state(tmp_path)[0] == 4


@pytest.mark.slow
def test_checkpoints_by_the_clock_change_nothing_but_what_a_crash_costs(tmp_path):
    """Every step is saved by the clock; of these the newest two stay, besides those of --ckpt_freq."""
    options = ["--seed=3", "--train_size=128", "--epoch=1", "--ckpt_freq=3", "--max_to_keep=9"]
    train_here(tmp_path / "without", "--ckpt_minutes=0", *ONE_THREAD, *options)
    found = []
    train_here(
        tmp_path / "with",
        "--ckpt_minutes=1e-9",
        *ONE_THREAD,
        *options,
        at_step=8,
        action=lambda: found.extend(checkpoint.kept(str(tmp_path / "with/run/checkpoint"))),
    )
    assert [each.step for each in found] == [7, 6, 3]
    assert [each.state["interim"] for each in found] == [True, False, False]
    assert_equal_runs(tmp_path / "without", tmp_path / "with")


@pytest.mark.slow
def test_a_clock_that_is_set_back_does_not_matter(tmp_path, monkeypatch):
    """`time:` of the log used to be -3599."""
    clock = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    train_here(tmp_path, "--train_size=48", "--epoch=1")
    lines = [json.loads(line) for line in open(str(tmp_path / "run" / "metrics.jsonl"))]
    seconds = [line["seconds"] for line in lines]
    assert min(seconds) >= 0 and seconds == sorted(seconds)


@pytest.mark.slow
def test_counter_time_and_metrics_go_on(tmp_path):
    texts = [
        train_here(tmp_path, "--seed=2", "--train_size=64", "--epoch=" + epochs)[1]
        for epochs in ("1", "2", "2")
    ]
    assert [[int(step) for step, _, _ in log_lines(text)] for text in texts] == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [],
    ]
    assert "--epoch" in texts[2]
    lines = [json.loads(line) for line in open(str(tmp_path / "run" / "metrics.jsonl"))]
    steps = [line for line in lines if "d_loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 9))
    seconds = [line["seconds"] for line in steps]
    assert seconds == sorted(seconds)
    assert all(0 <= line["d_accuracy"] <= 1 for line in steps)


@pytest.mark.slow
def test_resume_takes_the_newest_run_that_fits(tmp_path):
    options = ["--out_dir=" + str(tmp_path), "--train_size=16"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        train_here(tmp_path, "--out_name=" + name, "--seed=" + seed, "--epoch=1", *options)
    _, text = train_here(tmp_path, "--out_name=", "--resume", "--seed=1", "--epoch=2", *options)
    assert "run: {}\n".format(tmp_path / "b") in text
    assert [step for step, _, _ in log_lines(text)] == ["2"]


@pytest.mark.slow
def test_options_of_another_run_are_refused_with_both_values(tmp_path):
    same = ["--train_size=16", "--epoch=2"]
    train_here(tmp_path, "--seed=1", *same)
    saved = (tmp_path / "run" / "FLAGS.json").read_text()
    for flag, there, asked in (
        ("--seed", "1", "2"),
        ("--z_dim", "8", "9"),
        ("--learning_rate", "0.0002", "0.1"),
        ("--batch_size", "16", "8"),
    ):
        with pytest.raises(UserError) as error:
            train_here(tmp_path, flag + "=" + asked, *same)
        assert all(word in str(error.value) for word in (flag, there, asked))
    assert (tmp_path / "run" / "FLAGS.json").read_text() == saved


@pytest.mark.slow
def test_a_second_process_on_one_run_is_refused_and_a_dead_one_holds_nothing(tmp_path):
    first = started(tmp_path, "--epoch=5000", "--seed=1", "--ckpt_freq=1000000")
    second = run_main(
        "--train", "--out_dir=" + str(tmp_path), "--out_name=run", "--epoch=6000", *SMALL
    )
    first.kill()
    first.communicate()
    assert second.returncode == 2 and second.stderr.count("\n") == 1
    assert "another process" in second.stderr
    code, _ = train_here(
        tmp_path, "--epoch=5000", at_step=1, action=lambda: os.kill(os.getpid(), signal.SIGINT)
    )
    assert code == 130


@pytest.mark.slow
def test_checkpoints_of_another_run_in_a_folder_given_by_itself_are_refused(tmp_path):
    shared = "--checkpoint_dir=" + str(tmp_path / "shared")
    train_here(tmp_path, shared, "--out_name=one", "--seed=1", "--train_size=16", "--epoch=1")
    with pytest.raises(UserError, match="--learning_rate: the run in .*shared has 0.0002, not 0.1"):
        train_here(
            tmp_path,
            shared,
            "--out_name=other",
            "--seed=1",
            "--train_size=16",
            "--epoch=2",
            "--learning_rate=0.1",
        )
    _, text = train_here(tmp_path, shared, "--out_name=third", "--train_size=16", "--epoch=2")
    assert "seed: 1\n" in text and [step for step, _, _ in log_lines(text)] == ["2"]


@pytest.mark.slow
def test_two_runs_with_one_folder_of_checkpoints_are_refused(tmp_path):
    shared = str(tmp_path / "shared")
    os.mkdir(shared)
    with utils.lock_folder(shared), pytest.raises(
        UserError, match="another process .* in .*shared"
    ):
        train_here(tmp_path, "--checkpoint_dir=" + shared, "--train_size=16", "--epoch=1")
    code, _ = train_here(tmp_path, "--checkpoint_dir=" + shared, "--train_size=16", "--epoch=1")
    assert code == 0


@pytest.mark.slow
def test_a_state_that_says_too_little_is_one_line(tmp_path):
    train_here(tmp_path, "--seed=1", "--train_size=16", "--epoch=1")
    newest = checkpoint.newest(str(tmp_path / "run" / "checkpoint"), warn=pytest.fail)
    manifest = json.loads(open(newest.prefix + ".json").read())["content"]
    del manifest["state"]["seconds"]
    checkpoint._write_manifest(newest.prefix, manifest)
    with pytest.raises(UserError, match="DCGAN.model-1.json: does not say where the run stood"):
        train_here(tmp_path, "--seed=1", "--train_size=16", "--epoch=2")


@pytest.mark.slow
def test_lines_in_the_metrics_that_are_none_are_left_out(tmp_path):
    train_here(tmp_path, "--seed=1", "--train_size=16", "--epoch=1")
    with open(str(tmp_path / "run" / "metrics.jsonl"), "a") as file:
        file.write('7\n{"step": "x"}\nnull\n' + "[" * 100000 + "\n")
    train_here(tmp_path, "--seed=1", "--train_size=16", "--epoch=2")
    lines = [json.loads(line) for line in open(str(tmp_path / "run" / "metrics.jsonl"))]
    assert [line["step"] for line in lines if "d_loss" in line] == [1, 2]
