"""The launch scripts for several devices, with a made-up main.py, horovodrun and npu_bridge."""

import json
import os
import signal
from types import SimpleNamespace

import pytest
from launching import (
    CASE,
    HOROVODRUN,
    LAST,
    PERFORMANCE,
    PERFORMANCE_8P,
    Project,
    log_of,
    on_a_terminal,
    read,
    wait_for,
)
from paths import ROOT

from launch import processes

CASE_2P = CASE.replace("_1p_", "_2p_")
TABLE = os.path.join(ROOT, "configs", "rank_table_8p.json")
LOG = log_of([1, 3, 3.5, 4, 4.5]) + LAST


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def with_horovod(project):
    project.module("horovod.runner.launch", HOROVODRUN)
    return project


def with_npus(project, size=2):
    """The project on a machine with an NPU adapter; returns the rank table's path."""
    project.module("npu_bridge")
    with open(TABLE) as file:
        table = json.load(file)
    table["server_list"][0]["device"] = table["server_list"][0]["device"][:size]
    return project.write("table.json", json.dumps(table))


def test_horovod_elsewhere(project):
    with_horovod(project.training(LOG))
    finished = project.run(PERFORMANCE_8P, "--np=2", "--data_path=mnist", "--", "--seed=1")
    assert finished.returncode == 0, finished.stderr
    assert "Final Performance images/sec : 256.00" in finished.stdout  # 2 x 64 / 0.5 s
    assert "RankSize = 2\n" in read(project.output(CASE_2P + ".log"))
    assert read(project.output("train_0.log")) == LOG
    assert read(project.path("test", "output", "1", "train_1.log")) == LOG
    for rank in "01":
        seen = project.seen(f"seen_by_{rank}.json")
        assert "--out_dir=" + project.output() in seen["argv"] and "--seed=1" in seen["argv"]
        assert seen["environment"]["RANK_SIZE"] == "2"


def test_npus_by_themselves(project):
    table = with_npus(project.training(LOG))
    finished = project.run(PERFORMANCE_8P, "--np=2", "--rank_table=" + table)
    assert finished.returncode == 0, finished.stderr
    assert "CaseName = " + CASE_2P in read(project.output(CASE_2P + ".log"))
    for rank in "01":
        environment = project.seen(f"seen_by_{rank}.json")["environment"]
        told = [
            environment[name]
            for name in ("RANK_ID", "RANK_SIZE", "ASCEND_DEVICE_ID", "RANK_TABLE_FILE", "JOB_ID")
        ]
        assert told == [rank, "2", rank, table, "10086"]


def test_the_projects_own_rank_table_is_used_once_it_is_filled_in(project):
    table = with_npus(project.training(LOG))
    own = project.path("configs", "rank_table_8p.json")
    project.write(own, read(table))
    refused = project.run(PERFORMANCE_8P, "--np=2")
    assert refused.returncode == 2 and "--rank_table: must name" in refused.stderr
    project.write(own, read(table).replace("192.0.2.", "10.0.0."))
    finished = project.run(PERFORMANCE_8P, "--np=2")
    assert finished.returncode == 0, finished.stderr
    assert project.seen("seen_by_1.json")["environment"]["RANK_TABLE_FILE"] == own


def test_ranks_on_several_servers_are_not_started_on_one(project):
    path = with_npus(project.training(LOG))
    with open(path) as file:
        table = json.load(file)
    (first,) = table["server_list"]
    second = dict(first, server_id="192.0.2.99", device=[first["device"].pop()])
    table.update(server_list=[first, second], server_count="2")
    project.write("table.json", json.dumps(table))
    finished = project.run(PERFORMANCE_8P, "--np=2", "--rank_table=" + path)
    assert finished.returncode == 2
    assert f"--np: the 2 ranks of {path} are on several servers" in finished.stderr


def test_npus_are_those_of_the_rank_table(project):
    table = with_npus(project.training(LOG))
    with open(table) as file:
        content = file.read()
    with open(table, "w") as file:
        file.write(content.replace('"device_id": "', '"device_id": "4'))
    finished = project.run(PERFORMANCE_8P, "--np=2", "--rank_table=" + table)
    assert finished.returncode == 0, finished.stderr
    for rank in "01":
        environment = project.seen(f"seen_by_{rank}.json")["environment"]
        assert environment["ASCEND_DEVICE_ID"] == "4" + rank
        assert os.path.exists(project.path("test", "output", rank, f"train_{rank}.log"))


def test_a_device_in_use_leaves_every_last_output(project):
    """Device 0 is in use: the folder of device 1, which is free, is not emptied."""
    project.training(LOG, wait=True)
    kept = project.write("test/output/1/kept")
    first = project.start(PERFORMANCE)
    wait_for(project.output("train_0.log"), "Final")
    finished = with_horovod(project).run(PERFORMANCE_8P, "--np=2")
    assert finished.returncode == 2
    assert "ASCEND_DEVICE_ID=0: another launch uses" in finished.stderr
    assert os.path.exists(kept)
    first.send_signal(signal.SIGTERM)
    first.communicate()


def test_bound_to_their_shares_of_the_cores(project):
    with_horovod(project.training(LOG))
    assert project.run(PERFORMANCE_8P, "--np=2", "--bind_core=True").returncode == 0
    first, second = [project.seen(f"seen_by_{rank}.json")["cores"] for rank in "01"]
    share = max(1, os.cpu_count() // 2)
    assert len(first) == len(second) == share
    assert os.cpu_count() == 1 or not set(first) & set(second)


@pytest.mark.parametrize("on_npus", [False, True])
def test_a_rank_that_fails_is_named_and_ends_the_others(project, on_npus):
    project.training(LOG, codes={"1": 7}, errors="rank's last words\n")
    options = ["--rank_table=" + with_npus(project)] if on_npus else []
    if not on_npus:
        with_horovod(project)
    finished = project.run(PERFORMANCE_8P, "--np=2", *options)
    assert finished.returncode == 7
    assert (
        "Training failed with exit code 7 in rank 1. The last lines of its log:" in finished.stderr
    )
    assert "rank's last words" in finished.stderr and "Final result" not in finished.stdout
    assert project.path("test", "output", "1", "train_1.log") in finished.stderr


class Rank:
    """A process that ends with a code, of itself or at its third look after SIGTERM."""

    def __init__(self, returncode=None):
        self.returncode = returncode
        self.terminated = self.looks = 0

    def poll(self):
        self.looks += bool(self.terminated)
        if self.looks == 3:
            self.returncode = 143
        return self.returncode

    def terminate(self):
        self.terminated += 1

    def kill(self):
        self.returncode = -9


@pytest.mark.parametrize("code", [7, 130])
def test_one_sigterm_for_each_other_rank_since_a_second_one_stops_a_save(monkeypatch, code):
    monkeypatch.setattr(processes, "POLL_SECONDS", 0)
    ranks = [Rank(), Rank(code), Rank()]
    job = SimpleNamespace(processes=ranks)
    ending = processes.NpuProcesses(None, relay=job, display=None).wait()
    assert ending == (code, 1)
    assert [rank.terminated for rank in ranks] == [1, 0, 1]
    assert [rank.returncode for rank in ranks] == [143, code, 143]


@pytest.mark.parametrize(
    "on_npus, number, code",
    [(False, signal.SIGINT, 130), (False, signal.SIGHUP, 129), (True, signal.SIGUSR1, 138)],
)
def test_a_signal_reaches_all(project, on_npus, number, code):
    project.training(LOG, wait=True)
    options = ["--rank_table=" + with_npus(project)] if on_npus else []
    if not on_npus:
        with_horovod(project)
    process = project.start(PERFORMANCE_8P, "--np=2", *options)
    for rank in "01":
        wait_for(project.path("test", "output", rank, f"train_{rank}.log"), "Final")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code and "Training stopped by a signal. To go on" in errors
    by_hand = ["RANK_SIZE=2", "RANK_ID=N", "ASCEND_DEVICE_ID=D"] if on_npus else ["-np 2 --gloo"]
    assert all(words in errors for words in by_hand)
    for rank in "01":
        assert len(project.seen(f"seen_by_{rank}.json")["signals"]) == 1


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--np=0"], "--np=0: must be a whole number from 1 to 999"),
        (["--np=many"], "--np=many: must be"),
        (["--bind=1"], "--bind: unknown option"),
        (["--device_id=1"], "--device_id: the rank table says which device a rank uses"),
        ([], "Horovod: "),
    ],
)
def test_mistakes_are_one_line(project, arguments, text):
    finished = project.training(LOG).run(PERFORMANCE_8P, *arguments)
    assert finished.returncode == 2 and finished.stderr.splitlines()[-1].startswith(text)
    assert not os.path.exists(project.output())


@pytest.mark.parametrize(
    "change, text",
    [
        (
            None,
            "--rank_table: must name the devices' addresses (template: configs/rank_table_8p.json)",
        ),
        (("completed", "initializing"), "RANK_TABLE_FILE: {}: "),
        (("192.0.2.11", "somewhere"), "RANK_TABLE_FILE: {}: "),
    ],
)
def test_a_wrong_rank_table_is_refused_once(project, change, text):
    table = with_npus(project.training(LOG))
    options = []
    if change:
        project.write(table, read(table).replace(*change))
        options = ["--rank_table=" + table]
    finished = project.run(PERFORMANCE_8P, "--np=2", *options)
    assert finished.returncode == 2
    assert [line for line in finished.stderr.splitlines() if line.startswith(text.format(table))]
    assert len(finished.stderr.splitlines()) == 2 and not os.path.exists(project.output())


def test_a_refused_training_leaves_every_last_output(project):
    with_horovod(project.training(LOG))
    assert project.run(PERFORMANCE_8P, "--np=2").returncode == 0
    with_horovod(project.training("", code=2, errors="main.py: --epoch: no\n"))
    finished = project.run(PERFORMANCE_8P, "--np=2")
    assert finished.returncode == 2 and finished.stderr.count("main.py: --epoch: no") == 1
    assert read(project.output("train_0.log")) == LOG
    assert read(project.path("test", "output", "1", "train_1.log")) == LOG
    assert os.path.exists(project.output(CASE_2P + ".log"))


@pytest.mark.parametrize("on_npus", [False, True])
def test_on_a_terminal_rank_0_alone_shows_its_progress(project, on_npus):
    project.training(LOG, errors="\rstep:  50%|#####     | 1/2 [00:01<00:01]\nsaid aloud\n")
    if on_npus:
        project.environment["RANK_TABLE_FILE"] = with_npus(project, size=8)
    else:
        with_horovod(project)
    code, seen = on_a_terminal(project, PERFORMANCE_8P)
    assert code == 0 and "Final Performance images/sec : 1024.00" in seen
    assert seen.count("50%|") == 1
    assert "said aloud" in read(project.output("train_0.log"))
    assert "50%|" not in read(project.output("train_0.log"))
    bars = [
        argument
        for rank in range(8)
        for argument in project.seen(f"seen_by_{rank}.json")["argv"]
        if "--progress" in argument
    ]
    assert bars == ["--progress=on"] + 7 * ["--progress=off"]
