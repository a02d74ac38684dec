"""Several ranks: what each is told, and two of them on the fake NPU adapter."""

import json
import os
import subprocess
import sys

import pytest
from fake_npu import factory
from paths import HELPERS, ROOT
from programs import SMALL, command, log_lines, train_here

import checkpoint
import utils
from config import Config
from datasets import pipeline
from datasets.registry import open_dataset
from devices import launcher, rank_table, ranks
from devices.device import open_device
from options import RankLost, UserError
from training.optimizers import learning_rate
from training.progress import Progress

HERE = HELPERS
HOROVOD = {
    "HOROVOD_RANK": "1",
    "HOROVOD_SIZE": "2",
    "HOROVOD_LOCAL_RANK": "1",
    "HOROVOD_LOCAL_SIZE": "2",
}
TABLE = os.path.join(ROOT, "configs", "rank_table_8p.json")


def table_of(size, folder):
    """A rank table for `size` devices, made of the template; its path."""
    with open(TABLE) as file:
        table = json.load(file)
    table["server_list"][0]["device"] = table["server_list"][0]["device"][:size]
    path = str(folder / "table.json")
    with open(path, "w") as file:
        json.dump(table, file)
    return path


def npu_environment(rank, folder, size, overflow):
    (folder / "meeting").mkdir(exist_ok=True)
    fake = factory.environment(
        meeting=folder / "meeting", record=folder / f"record{rank}", overflow=overflow
    )
    return dict(
        fake,
        RANK_SIZE=str(size),
        RANK_ID=str(rank),
        JOB_ID="1",
        RANK_TABLE_FILE=table_of(size, folder),
    )


def start(words, rank, folder, size=2, overflow=()):
    # The fake's collectives wait in TensorFlow's threads, so there must be as many of them.
    environment = dict(npu_environment(rank, folder, size, overflow), TF_NUM_INTEROP_THREADS="64")
    return subprocess.Popen(
        words,
        env=environment,
        universal_newlines=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(processes):
    outputs = [process.communicate(timeout=300) for process in processes]
    return [(process.returncode,) + output for process, output in zip(processes, outputs)]


def trained(folder, *arguments, overflow=()):
    """main.py in two processes on the fake adapter: [(exit code, standard output, error)].

    Args:
        overflow: numbers of the checks at which rank 1 finds an overflow.
    """
    words = [
        command(
            "--train",
            "--device=npu",
            "--out_dir=" + str(folder / of_rank),
            "--out_name=run",
            "--inter_op_threads=64",
            *(SMALL + list(arguments)),
        )
        for of_rank in ("", "other")
    ]
    return finish([start(words[0], 0, folder), start(words[1], 1, folder, overflow=overflow)])


def test_the_template_is_a_rank_table():
    assert rank_table.read_table(TABLE, size=8).device_ids == {rank: rank for rank in range(8)}


def test_a_process_by_itself_is_a_rank_of_one(monkeypatch):
    for name in list(HOROVOD) + ["RANK_SIZE"]:
        monkeypatch.delenv(name, raising=False)
    single = ranks.open_horovod_ranks()
    assert single is ranks.SINGLE_PROCESS
    assert single.allreduce_means(["anything"]) == ["anything"]
    assert single.broadcast_object({"a": 1}, None) == {"a": 1}
    assert ranks.IntegerBroadcast(single, 2).run(None, (3, 4)) == [3, 4]


@pytest.mark.parametrize(
    "open_ranks, environment, text",
    [
        (ranks.open_horovod_ranks, {"RANK_SIZE": "2"}, "RANK_SIZE: 2: is for NPUs"),
        (ranks.open_hccl_ranks, HOROVOD, "HOROVOD_SIZE: 2: NPUs train together by RANK_SIZE"),
        (ranks.open_hccl_ranks, {"RANK_SIZE": "2"}, "JOB_ID: must be set"),
        (ranks.open_horovod_ranks, {"HOROVOD_SIZE": "2"}, "HOROVOD_RANK: must be a number"),
        (
            ranks.open_horovod_ranks,
            dict(HOROVOD, HOROVOD_RANK="one"),
            "HOROVOD_RANK: must be a number",
        ),
    ],
)
def test_an_environment_that_does_not_fit(monkeypatch, open_ranks, environment, text):
    for name in list(HOROVOD) + ["RANK_SIZE", "RANK_ID", "JOB_ID", "RANK_TABLE_FILE"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="^" + text):
        open_ranks()


def test_without_horovod_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "horovod", None)
    for name, value in HOROVOD.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="^HOROVOD_SIZE: 2: .*bash test/horovod.sh$"):
        ranks.open_horovod_ranks()


def test_processes_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert open_device(Config(device="cpu")).session_config.intra_op_parallelism_threads == 0
    for name, value in HOROVOD.items():
        monkeypatch.setenv(name, value)
    assert launcher.horovod_process() == launcher.HorovodProcess(1, 2, 1, 2)
    proto = open_device(Config(device="cpu")).session_config
    assert proto.intra_op_parallelism_threads == 4
    assert proto.gpu_options.visible_device_list == "1"
    proto = open_device(Config(device="cpu", intra_op_threads=3)).session_config
    assert proto.intra_op_parallelism_threads == 3


@pytest.mark.parametrize("rule, rate", [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_learning_rate(rule, rate):
    assert learning_rate(Config(learning_rate=0.1, scale_lr=rule), 4) == pytest.approx(rate)


@pytest.mark.parametrize(
    "step, before, now, done",
    [(10, 10, 5, 5), (10, 5, 10, 20), (3, 10, 5, 2), (0, 3, 7, 0), (7, 5, 3, 5)],
)
def test_another_number_of_ranks_goes_on_at_the_same_place(step, before, now, done):
    progress = Progress(step=step).rescaled(before, now)
    assert (progress.step, progress.step - progress.offset) == (step, done)
    assert progress.rescaled(now, now).rescaled(now, now) == progress


def test_no_picture_comes_twice_in_an_epoch_that_two_numbers_of_ranks_share():
    config, dataset = open_dataset(
        Config(train=True, dataset="synthetic_mnist", batch_size=8, seed=1, train_size=160)
    )

    def seen(steps, offset, size):
        return [
            index
            for step in steps
            for rank in range(size)
            for index in pipeline.batch_indices(
                dataset, step, config=config, offset=offset, rank=rank, ranks_size=size
            ).tolist()
        ]

    first = seen(range(0, 7), 0, 2)  # 7 of 10 steps with two ranks
    offset = Progress(step=7).rescaled(10, 20).offset
    second = seen(range(7, 7 + 6), offset, 1)  # the other 6 of 20 with one
    assert sorted(first + second) == sorted(set(first + second)) and len(first + second) == 160


def test_a_session_that_fails_ends_one_of_several_ranks_in_one_line():
    import tensorflow.compat.v1 as tf

    error = tf.errors.UnknownError(None, None, "Connection closed\n by peer")
    text = "^rank 1 of 2: stopped, .*: Connection closed by peer$"
    with pytest.raises(RankLost, match=text), ranks.guarded(ranks.Ranks(1, 2)):
        raise error
    with pytest.raises(tf.errors.UnknownError), ranks.guarded(ranks.SINGLE_PROCESS):
        raise error


@pytest.mark.slow
def test_npus_hold_the_same_after_every_step(tmp_path):
    words = [sys.executable, os.path.join(HERE, "rank_worker.py"), str(tmp_path), "program", "5"]
    for code, _, errors in finish([start(words, rank, tmp_path) for rank in range(2)]):
        assert code == 0, errors
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert told[0]["digests"] == told[1]["digests"] and len(set(told[0]["digests"])) == 5
    events = factory.events(tmp_path / "record0")
    assert {event["root"] for event in events if event["kind"] == "broadcast"} == {0}
    assert [problem for event in events for problem in event.get("problems", [])] == []


@pytest.mark.slow
def test_npus_train_and_go_on_with_another_number(tmp_path):
    first = trained(  # 6 steps of 2 x 16; rank 0's clock alone says when to save
        tmp_path, "--train_size=192", "--epoch=1", "--seed=3", "--ckpt_minutes=1e-9"
    )
    assert [code for code, _, _ in first] == [0, 0], first
    assert len(log_lines(first[0][1])) == 6 and log_lines(first[1][1]) == []
    assert not (tmp_path / "other").exists()  # rank 0 alone writes
    assert all(
        event["distributed"]
        for event in factory.events(tmp_path / "record0")
        if event["kind"] == "optimizer"
    )
    found, before = checkpoint.kept(str(tmp_path / "run" / "checkpoint"), warn=pytest.fail)
    assert (found.step, found.state["ranks"], found.state["offset"]) == (6, 2, 0)
    assert (before.step, before.state["interim"], found.state["interim"]) == (5, True, False)

    with factory.adapter():
        code, out = train_here(
            tmp_path, "--device=npu", "--train_size=192", "--epoch=2", "--seed=3"
        )
    assert code == 0
    steps = [line for line in out.splitlines() if "Epoch" in line]
    metrics = list(utils.read_json_lines(str(tmp_path / "run" / "metrics.jsonl")))
    assert [line["ranks"] for line in metrics if "d_loss" in line] == 6 * [2] + 12 * [1]
    assert len(steps) == 12 and steps[0].startswith("[       7 Epoch:  1/ 2    0/  12 ")
    found = checkpoint.newest(str(tmp_path / "run" / "checkpoint"), warn=pytest.fail)
    assert (found.step, found.state["ranks"], found.state["offset"]) == (18, 1, -6)


@pytest.mark.slow
def test_an_update_that_overflows_on_one_npu_is_skipped_on_all(tmp_path):
    (code, _, errors), _ = trained(tmp_path, "--train_size=64", "--epoch=1", overflow=(1, 5))
    assert code == 0
    assert [line for line in errors.splitlines() if "skipped" in line] == [
        "step 1: updates skipped, their gradients overflowed: 1 of the discriminator (loss scale now "
        "65536)",
        "step 2: updates skipped, their gradients overflowed: 1 of the generator (loss scale now "
        "65536)",
    ]


@pytest.mark.slow
def test_what_changes_with_the_number_of_ranks_is_said(tmp_path, capsys):
    train_here(tmp_path, "--train_size=96", "--epoch=1")
    path = next((tmp_path / "run" / "checkpoint").glob("*.json"))
    manifest = json.loads(path.read_text())
    manifest["content"]["state"]["ranks"] = 3
    manifest["sha256"] = checkpoint._digest(manifest["content"])
    path.write_text(json.dumps(manifest))
    capsys.readouterr()
    train_here(tmp_path, "--train_size=96", "--epoch=4")
    assert (
        "step 6: going on with 1 rank(s) instead of 3: 16 images a step, not 48; 6 steps an "
        "epoch, not 2; learning rate 0.0002, not 0.0002" in capsys.readouterr().err
    )
    found = checkpoint.newest(str(tmp_path / "run" / "checkpoint"), warn=pytest.fail)
    assert (found.step, found.state["offset"]) == (
        12,
        -12,
    )  # 18 of 24 steps were done: three epochs


def test_options_that_are_not_those_of_rank_0_are_refused(tmp_path):
    words = command(
        "--train",
        "--device=npu",
        "--out_dir=" + str(tmp_path),
        "--out_name=run",
        "--inter_op_threads=64",
        *SMALL,
    )
    first, second = [start(words + [f"--epoch={1 + rank}"], rank, tmp_path) for rank in (0, 1)]
    _, errors = second.communicate(timeout=300)
    first.kill()  # the fake's collectives do not notice that the other has ended
    first.communicate()
    assert second.returncode == 2
    assert errors.splitlines()[-1] == "main.py: --epoch: rank 1 has 2, rank 0 has 1"
