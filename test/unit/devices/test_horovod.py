"""Two and three real processes that train together by Horovod, on one CPU."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from paths import HELPERS
from programs import SMALL, command, log_lines
from rank_worker import CONFIG

import checkpoint

pytestmark = [
    pytest.mark.marathon,
    pytest.mark.skipif(
        importlib.util.find_spec("horovod") is None,
        reason="Horovod is not installed (bash test/horovod.sh builds it for TensorFlow 1.15)",
    ),
]

WORKER = os.path.join(HELPERS, "rank_worker.py")
LONG = ["--train_size=2048", "--epoch=100", "--ckpt_freq=10", "--log_freq=1"]


def horovodrun(size, *words):
    return [sys.executable, "-m", "horovod.runner.launch", "-np", str(size), "--gloo"] + list(words)


def environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    return dict(kept, PYTHONUNBUFFERED="1")


def run(words, timeout=300):
    return subprocess.run(
        words,
        env=environment(),
        timeout=timeout,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def train(size, folder, *arguments):
    """main.py in `size` processes, in `folder`/run; returns what all of them printed."""
    words = command(
        "--train", "--out_dir=" + str(folder), "--out_name=run", *(SMALL + list(arguments))
    )
    finished = run(horovodrun(size, *words) if size > 1 else words)
    assert finished.returncode == 0, finished.stdout
    return re.sub(r"^\[\d+\]<std\w+>:", "", finished.stdout, flags=re.MULTILINE)


def newest(folder):
    return checkpoint.newest(str(folder / "run" / "checkpoint"), warn=pytest.fail)


@pytest.mark.parametrize("size", [2, 3])
def test_all_ranks_hold_the_same_after_each_of_20_steps(tmp_path, size):
    finished = run(horovodrun(size, sys.executable, WORKER, str(tmp_path), "program", "20"))
    assert finished.returncode == 0, finished.stdout
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(size)]
    assert all(each["digests"] == told[0]["digests"] for each in told)
    assert len(set(told[0]["digests"])) == 20
    drawn = [index for each in told for batch in each["batches"] for index in batch]
    assert len(drawn) == len(set(drawn)) == 20 * size * CONFIG.batch_size


def test_without_batch_norm_it_is_one_process_over_the_joined_batch(tmp_path):
    for folder, words in (("two", horovodrun(2, sys.executable)), ("one", [sys.executable])):
        (tmp_path / folder).mkdir()
        finished = run(words + [WORKER, str(tmp_path / folder), "plain", "20", "2"])
        assert finished.returncode == 0, finished.stdout
    two, one = [np.load(str(tmp_path / folder / "0.npz")) for folder in ("two", "one")]
    assert set(two.files) == set(one.files) and len(one.files) == 9
    for name in one.files:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_run_goes_on_with_other_numbers_of_ranks(tmp_path):
    size = "--train_size=192"
    first = train(2, tmp_path, size, "--epoch=1", "--seed=3")
    assert len(log_lines(first)) == 6  # rank 0 alone reports, 32 images a step
    assert newest(tmp_path).step == 6
    second = train(1, tmp_path, size, "--epoch=2")
    assert "step 6: going on with 1 rank(s) instead of 2: 16 images a step, not 32" in second
    assert [int(step) for step, _, _ in log_lines(second)] == list(range(7, 19))
    third = train(3, tmp_path, size, "--epoch=3")
    assert "step 18: going on with 3 rank(s) instead of 1: 48 images a step, not 16" in third
    assert [int(step) for step, _, _ in log_lines(third)] == list(range(19, 23))
    assert (newest(tmp_path).step, newest(tmp_path).state["offset"]) == (22, 10)


def test_a_resumed_run_of_two_equals_one_that_never_stopped(tmp_path):
    options = ["--train_size=192", "--seed=3", "--intra_op_threads=1", "--inter_op_threads=1"]
    train(2, tmp_path / "whole", "--epoch=2", *options)
    train(2, tmp_path / "parts", "--epoch=1", *options)
    train(2, tmp_path / "parts", "--epoch=2", *options)
    import tensorflow.compat.v1 as tf

    whole, parts = [
        tf.train.load_checkpoint(newest(tmp_path / name).prefix) for name in ("whole", "parts")
    ]
    names = set(whole.get_variable_to_shape_map())
    assert names == set(parts.get_variable_to_shape_map())
    assert all((whole.get_tensor(name) == parts.get_tensor(name)).all() for name in names)


def started(folder):
    """A long training of two ranks that has a checkpoint, and the processes of the ranks."""
    words = command(
        "--train", "--out_dir=" + str(folder), "--out_name=run", "--seed=3", *(SMALL + LONG)
    )
    with open(str(folder / "log"), "w") as log:
        launcher = subprocess.Popen(
            horovodrun(2, *words), env=environment(), stdout=log, stderr=subprocess.STDOUT
        )
    deadline = time.time() + 120
    while newest(folder) is None:
        assert launcher.poll() is None and time.time() < deadline, (folder / "log").read_text()
        time.sleep(0.2)
    return launcher, dict(ranks_of(launcher.pid, str(folder)))


def ranks_of(launcher, folder):
    """(rank, process id) of the processes of main.py below a launcher that train in a folder."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read().split("\0")
            with open(f"/proc/{pid}/environ") as file:
                rank = re.search("(?:^|\0)HOROVOD_RANK=([0-9]+)", file.read())
        except OSError:  # it has ended meanwhile
            continue
        if (
            rank
            and len(words) > 1
            and words[1].endswith("main.py")
            and "--out_dir=" + folder in words
        ):
            yield int(rank.group(1)), int(pid)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_others_and_costs_no_checkpoint(tmp_path, rank):
    launcher, processes = started(tmp_path)
    os.kill(processes[rank], signal.SIGKILL)
    since = time.time()
    assert launcher.wait(timeout=60) != 0 and time.time() - since < 30
    assert f"Process {rank} exit with status code 137." in (tmp_path / "log").read_text()
    assert dict(ranks_of(launcher.pid, str(tmp_path))) == {}
    step = newest(tmp_path).step
    out = train(2, tmp_path, "--train_size=2048", f"--epoch={step // 64 + 1}")
    assert int(log_lines(out)[0][0]) == step + 1


def test_a_signal_to_one_rank_stops_all_after_the_same_step(tmp_path):
    launcher, processes = started(tmp_path)
    os.kill(processes[1], signal.SIGTERM)
    assert launcher.wait(timeout=60) != 0
    text = (tmp_path / "log").read_text()
    assert "Process 0 exit with status code 143." in text and "Process 1 exit" not in text
    (page,) = tmp_path.glob("**/index.html")  # rank 0 draws its results after all others have ended
    assert page.stat().st_size > 1000
    assert int(log_lines(re.sub(r"(?m)^\[0\]<stdout>:", "", text))[-1][0]) == newest(tmp_path).step
