"""--profiling off the NPU: a trace of some warm runs that Chrome's viewer reads."""

import glob
import json

import pytest
import tensorflow.compat.v1 as tf
from fake_npu import factory
from programs import train_here

from config import Config
from devices.device import open_device
from training import timeline


def traces(folder):
    return glob.glob(str(folder / "timeline-*.json"))


@pytest.mark.slow
def test_a_training_is_traced_once_it_is_warm(tmp_path):
    code, out = train_here(
        tmp_path,
        "--device=cpu",
        "--profiling",
        "--train_size=320",
        "--epoch=1",
        "--data_save_path=" + str(tmp_path / "profile"),
    )
    assert code == 0
    (path,) = traces(tmp_path / "profile")
    assert f"timeline: {path} " in out
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    updates = [
        event for event in events if event["ph"] == "X" and event["name"] == "ResourceApplyAdam"
    ]
    assert len(updates) % timeline.TRACED_RUNS == 0 and updates
    assert all(event["dur"] >= 0 and event["ts"] > 0 for event in updates)


@pytest.fixture
def counted_runs(graph):
    """(session, list that gets whether each of its runs was traced)."""
    with tf.Session() as session:
        real, traced = session.run, []

        def run(fetches, feed_dict=None, **more):
            traced.append("run_metadata" in more)
            return real(fetches, feed_dict, **more)

        session.run = run
        yield session, traced


def run_often(session, times, config, device):
    lines = []
    with timeline.traced_run(session, config=config, device=device, say=lines.append) as run:
        for number in range(times):
            assert run(tf.constant(number, name=f"n{number}")) == number
    return lines


def open_cpu(config):
    return open_device(config, say=lambda line: None)


@pytest.mark.parametrize("times", [30, timeline.WARM_RUNS + 2])
def test_only_a_few_warm_runs_are_traced(counted_runs, tmp_path, times):
    session, traced = counted_runs
    config = Config(device="cpu", profiling=True, data_save_path=str(tmp_path))
    (line,) = run_often(session, times, config, open_cpu(config))
    warm, some = timeline.WARM_RUNS, min(times - timeline.WARM_RUNS, timeline.TRACED_RUNS)
    assert traced == [False] * warm + [True] * some + [False] * (times - warm - some)
    (path,) = traces(tmp_path)
    assert path in line


def test_a_short_training_says_that_there_is_none(counted_runs, tmp_path):
    session, traced = counted_runs
    config = Config(device="cpu", profiling=True, data_save_path=str(tmp_path))
    (line,) = run_often(session, 3, config, open_cpu(config))
    assert "--profiling: no timeline" in line and traces(tmp_path) == []


def test_a_disk_that_refuses_it_ends_nothing(counted_runs, tmp_path):
    session, traced = counted_runs
    (tmp_path / "file").write_text("")
    config = Config(device="cpu", profiling=True, data_save_path=str(tmp_path / "file" / "x"))
    (line,) = run_often(session, 30, config, open_cpu(config))
    assert line.startswith("--data_save_path: timeline not written")


def test_without_profiling_nothing_is_traced(counted_runs, tmp_path):
    session, traced = counted_runs
    config = Config(device="cpu", data_save_path=str(tmp_path))
    assert run_often(session, 30, config, open_cpu(config)) == []
    assert traced == [False] * 30


def test_the_npu_profiles_itself(counted_runs, tmp_path):
    session, traced = counted_runs
    config = Config(device="npu", profiling=True, data_save_path=str(tmp_path))
    with factory.adapter():
        assert run_often(session, 30, config, open_cpu(config)) == []
    assert traced == [False] * 30 and traces(tmp_path) == []
