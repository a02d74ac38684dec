"""Whole runs on the fake NPU: trained, resumed, sampled, moved to another device.

A step looks for an overflow three times, for D, G and G: check 3 * step - 2 is the discriminator's.
"""

import glob
import json
import os
import subprocess

import pytest
import tensorflow.compat.v1 as tf
from fake_npu import factory
from programs import ONE_THREAD, SMALL, command, log_lines, parsed, train_here

import checkpoint
import main

EPOCH = ("--train_size=96", "--epoch=1")  # 6 steps
EPOCHS = ("--train_size=96", "--epoch=2")
STEADY = ("--device=npu", "--seed=5") + tuple(ONE_THREAD)


def metrics(run):
    with open(str(run / "metrics.jsonl"), encoding="utf-8") as file:
        return [line for line in map(json.loads, file) if "d_loss" in line]


def saved(run):
    """{name: value} of the newest checkpoint's variables."""
    newest = checkpoint.newest(str(run / "checkpoint"), warn=pytest.fail)
    reader = tf.train.load_checkpoint(newest.prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def problems(events):
    return [problem for event in events for problem in event.get("problems", [])]


def finish(*arguments, record, overflow=()):
    """Runs main.py with the fake adapter in a process of its own; returns (process, events)."""
    environment = factory.environment(record=record, overflow=overflow)
    process = subprocess.run(
        command(*arguments),
        env=environment,
        timeout=300,
        text=True,
        capture_output=True,
    )
    assert process.returncode == 0, process.stderr
    return process, factory.events(record)


def test_as_a_user_trains_and_resumes(tmp_path):
    run = tmp_path / "run"
    train = SMALL + [
        "--train",
        "--device=npu",
        "--out_dir=" + str(tmp_path),
        "--out_name=run",
        "--over_dump=True",
        "--over_dump_path=" + str(tmp_path / "overflow"),
    ]
    process, events = finish(*(train + list(EPOCH)), record=tmp_path / "first", overflow=(1, 4))
    lines = process.stdout.splitlines()
    assert lines[0].startswith("device: NPU, --precision_mode=allow_mix_precision, mixlist ")
    assert (
        "step 2: updates skipped, their gradients overflowed: 1 of the discriminator (loss scale "
        "now 32768)" in process.stderr
    )
    assert process.stderr.count("skipped") == 2
    assert len(log_lines(process.stdout)) == 6
    assert problems(events) == []
    kinds = [event["kind"] for event in events]
    assert kinds.count("imported") == 1 and kinds.count("session") == 1
    assert "session_captured" not in kinds and "aborted" not in kinds
    assert kinds.count("check") == 18
    options = next(event["options"] for event in events if event["kind"] == "session")
    assert options["enable_dump_debug"] is True and os.path.isdir(options["dump_path"])

    process, events = finish(*(train + list(EPOCHS)), record=tmp_path / "second")
    assert "skipped" not in process.stderr and problems(events) == []
    assert [line["step"] for line in metrics(run)] == list(range(1, 13))
    assert [line["d_loss_scale"] for line in metrics(run)] == [2**16] + 11 * [2**15]
    assert [line["d_skipped"] for line in metrics(run)] == [1] + 11 * [2]
    assert metrics(run)[-1]["g_loss_scale"] == 2**16
    assert saved(run)["d_loss_scale/loss_scale"] == 2**15
    assert saved(run)["d_loss_scale/updates_tried"] == 12
    assert saved(run)["g_loss_scale/updates_applied"] == 24


@pytest.mark.slow
def test_tensorboard_has_the_loss_scale(tmp_path):
    with factory.adapter(overflow=(2,)):
        code, _ = train_here(tmp_path, "--device=npu", "--summary_freq=3", *EPOCH)
    assert code == 0
    told = {}
    for path in glob.glob(str(tmp_path / "run" / "events" / "*")):
        for event in tf.train.summary_iterator(path):
            for value in event.summary.value:
                told.setdefault(value.tag, []).append((event.step, value.simple_value))
    assert told["g_skipped"] == [(3, 1), (6, 1)]
    assert told["d_skipped"] == [(3, 0), (6, 0)]
    assert told["g_loss_scale"] == [(3, 2**16), (6, 2**16)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "release, schedule",
    [(release, "--fused_step") for release in factory.RELEASES] + [("r1.15", "--nofused_step")],
)
def test_every_release_and_schedule(tmp_path, capsys, release, schedule):
    with factory.adapter(release, overflow=(3, 6)) as npu_bridge:
        code, _ = train_here(tmp_path, "--device=npu", schedule, *EPOCH)
        assert problems(npu_bridge.record.events) == []
        assert npu_bridge.record.of("session_captured") == []
    assert code == 0
    warnings = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in warnings if "skipped" in line] == ["step 1", "step 2"]
    assert metrics(tmp_path / "run")[-1]["g_loss_scale"] == 2**15


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path):
    with factory.adapter(overflow=(1, 4, 20)):
        train_here(tmp_path / "whole", *(STEADY + EPOCHS))
    with factory.adapter(overflow=(1, 4)):
        train_here(tmp_path / "parts", *(STEADY + EPOCH))
    with factory.adapter(overflow=(2,)):  # check 20 of the whole run
        train_here(tmp_path / "parts", *(STEADY + EPOCHS))
    whole, parts = [saved(tmp_path / name / "run") for name in ("whole", "parts")]
    assert set(whole) == set(parts)
    assert [name for name in whole if not (whole[name] == parts[name]).all()] == []
    assert whole["g_loss_scale/updates_applied"] == 23


@pytest.mark.slow
def test_a_skip_that_follows_a_resume_is_said(tmp_path, capsys):
    with factory.adapter(overflow=(1,)):
        train_here(tmp_path, "--device=npu", *EPOCH)
    capsys.readouterr()
    with factory.adapter(overflow=(1,)):
        train_here(tmp_path, "--device=npu", *EPOCHS)
    skipped = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert len(skipped) == 1 and skipped[0].startswith("step 7: ")


@pytest.mark.slow
@pytest.mark.parametrize("first, second", [("cpu", "npu"), ("npu", "cpu")])
def test_a_run_moves_to_another_device(tmp_path, capsys, first, second):
    with factory.adapter():
        train_here(tmp_path, "--device=" + first, *EPOCH)
        train_here(tmp_path, "--device=" + second, *EPOCHS)
    assert "skipped" not in capsys.readouterr().err  # no checkpoint was
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert ["d_loss_scale" in line for line in lines] == 6 * [first == "npu"] + 6 * [
        second == "npu"
    ]
    if second == "npu":
        assert saved(tmp_path / "run")["d_loss_scale/updates_tried"] == 6


@pytest.mark.slow
def test_a_rollback_takes_the_scale_back_too(tmp_path, monkeypatch, capsys):
    from training.graph import TrainGraph

    real, runs = TrainGraph.run_steps, []

    def run_step(*arguments, **more):
        result = real(*arguments, **more)
        runs.append(result.scalars["d_skipped"])
        if len(runs) == 4:
            result.scalars["d_loss"] = float("nan")
        return result

    monkeypatch.setattr(TrainGraph, "run_steps", run_step)
    with factory.adapter(overflow=(10, 13)):  # in the bad step and the one after it
        train_here(tmp_path, "--device=npu", "--on_nan=rollback", "--ckpt_freq=2", *EPOCH)
    assert runs == [0, 0, 0, 1, 1, 1, 1, 1]  # steps 1 2 3 4, then 3 4 5 6
    skipped = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert [line.split(":")[0] for line in skipped] == ["step 4", "step 3"]


@pytest.mark.slow
def test_off_the_npu_the_run_is_the_same_with_ascend_options(tmp_path, capsys):
    plain = ("--device=cpu", "--seed=5") + tuple(ONE_THREAD) + EPOCH
    _, out = train_here(tmp_path / "a", *plain)
    assert "Ascend" not in out
    _, out = train_here(
        tmp_path / "b",
        "--over_dump=True",
        "--precision_mode=force_fp16",
        "--over_dump_path=" + str(tmp_path / "overflow"),
        *plain,
    )
    assert (
        out.count(
            "Ascend options have no effect on a CPU: --precision_mode --over_dump "
            "--over_dump_path\n"
        )
        == 1
    )
    assert not (tmp_path / "overflow").exists()
    first, second = saved(tmp_path / "a" / "run"), saved(tmp_path / "b" / "run")
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.slow
def test_sampling_takes_the_precision_of_the_run(tmp_path):
    with factory.adapter() as npu_bridge:
        train_here(tmp_path, "--device=npu", "--precision_mode=force_fp16", *EPOCH)
        (trained,) = npu_bridge.record.of("session")
    with factory.adapter() as npu_bridge:
        main.run(parsed("--dataset=synthetic_mnist", "--out_dir=" + str(tmp_path), "--device=npu"))
        assert len(glob.glob(str(tmp_path / "run" / "samples" / "test_*.png"))) == 1
        (sampled,) = npu_bridge.record.of("session")
    sessions = [trained, sampled]
    assert [event["options"]["precision_mode"] for event in sessions] == 2 * ["force_fp16"]
    assert "graph_run_mode" not in trained["options"]
    assert sampled["options"]["graph_run_mode"] == 0
    assert problems(sessions) == []
