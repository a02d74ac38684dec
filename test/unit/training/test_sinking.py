"""--iterations_per_loop on the fake NPU: fewer runs, the same training; elsewhere no effect.

The small run here has 8 steps; the fake device makes a looped run's steps one after the other.
"""

import os
import signal

import pytest
from fake_npu import factory
from programs import ONE_THREAD, log_lines, train_here

import checkpoint
from datasets import pipeline
from devices import adapter
from options import UserError
from training.graph import TrainGraph

STEPS = ("--train_size=128", "--epoch=1", "--seed=5") + tuple(ONE_THREAD)
BY_FOUR = (
    "--device=npu",
    "--iterations_per_loop=4",
    "--log_freq=4",
    "--sample_freq=4",
    "--ckpt_freq=4",
    "--summary_freq=4",
)


def train(folder, *arguments, **more):
    """(log lines, the fake adapter's events) of a run that ends well."""
    with factory.adapter() as npu_bridge:
        code, out = train_here(folder, *(STEPS + arguments), **more)
        assert code == 0
        assert [event["problems"] for event in npu_bridge.record.of("session")] in ([], [[]])
        return log_lines(out), npu_bridge.record.events


def of(kind, events):
    return [event for event in events if event["kind"] == kind]


def variables(folder, step):
    """{name: value} of the newest checkpoint, which must be that of `step`."""
    newest = checkpoint.newest(str(folder / "run" / "checkpoint"), warn=pytest.fail)
    assert newest.step == step
    reader = checkpoint.tf.train.load_checkpoint(newest.prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_variables(*folders, step):
    one, other = [variables(folder, step) for folder in folders]
    assert set(one) == set(other)
    assert [name for name in one if not (one[name] == other[name]).all()] == []


def test_a_loop_is_one_run_and_the_training_is_the_same(tmp_path):
    single, _ = train(tmp_path / "single", "--device=npu")
    looped, events = train(tmp_path / "looped", *BY_FOUR)
    assert_same_variables(tmp_path / "single", tmp_path / "looped", step=8)
    assert looped == [line for line in single if line[0] in "48"]  # losses of each loop's last step

    (noted,) = of("set_iteration_per_loop", events)
    assert (noted["node"], noted["iterations"], noted["finalized"]) == (
        adapter.LOOPED_NODE,
        4,
        False,
    )
    runs = of("sunk_run", events)
    assert [(run["iterations"], run["fed"]) for run in runs] == 2 * [(4, False)]
    assert all(run["fetches"].count(adapter.LOOPED_NODE) == 1 for run in runs)
    options = of("session", events)[0]["options"]
    assert [
        options[key] for key in ("iterations_per_loop", "enable_data_pre_proc", "mix_compile_mode")
    ] == [4, True, False]


@pytest.mark.slow
@pytest.mark.parametrize(
    "examples, expected", [(128, [4, 8]), (160, [4, 8, 9, 10])], ids=["8 steps", "10 steps"]
)
def test_what_is_left_after_the_last_loop_is_made_step_by_step(
    tmp_path, monkeypatch, examples, expected
):
    done, real = [], TrainGraph.run_steps

    def run_steps(*arguments, steps, **more):
        done.append(steps)
        return real(*arguments, steps=steps, **more)

    monkeypatch.setattr(TrainGraph, "run_steps", run_steps)
    _, events = train(tmp_path, f"--train_size={examples}", *BY_FOUR)
    assert [sum(done[: number + 1]) for number in range(len(done))] == expected
    assert len(of("sunk_run", events)) == 2
    assert len(variables(tmp_path, examples // 16))


@pytest.mark.slow
def test_a_run_that_stopped_within_a_loop_goes_on_step_by_step_to_its_end(tmp_path):
    code, _ = train_here(
        tmp_path / "parts",
        *STEPS,
        "--device=cpu",
        at_step=3,
        action=lambda: os.kill(os.getpid(), signal.SIGINT),
    )
    assert code == 130 and len(variables(tmp_path / "parts", step=3))
    _, events = train(tmp_path / "parts", *BY_FOUR)
    assert len(of("sunk_run", events)) == 1  # 4 alone, 5 to 8 at once
    assert len(variables(tmp_path / "parts", step=8))


@pytest.mark.slow
def test_a_picture_that_cannot_be_read_within_a_loop_leaves_the_last_checkpoint(
    tmp_path, monkeypatch
):
    real = pipeline.read_batch

    def read_batch(dataset, step, **more):
        if step == 6:
            raise UserError("--max_bad_files: enough")
        return real(dataset, step, **more)

    monkeypatch.setattr(pipeline, "read_batch", read_batch)
    with pytest.raises(UserError, match="^--max_bad_files: enough$"):
        train(tmp_path, *BY_FOUR)
    assert len(variables(tmp_path, step=4))


@pytest.mark.slow
def test_elsewhere_it_has_no_effect_and_says_so(tmp_path, capsys):
    arguments = BY_FOUR[1:] + ("--device=cpu",) + STEPS
    code, out = train_here(tmp_path, *arguments)
    assert code == 0
    assert "Ascend options have no effect on a CPU: --iterations_per_loop\n" in out
    assert [step for step, _, _ in log_lines(out)] == ["4", "8"]


@pytest.mark.parametrize(
    "wrong, said",
    [
        ("--log_freq=2", "--log_freq: 2 is not a multiple of --iterations_per_loop=4"),
        ("--ckpt_freq=6", "--ckpt_freq: 6 is not a multiple of --iterations_per_loop=4"),
    ],
)
def test_intervals_are_multiples_of_the_loop(wrong, said):
    import main

    with pytest.raises(UserError, match="^" + said + "$"):
        main.parse(["main.py", "--train"] + list(BY_FOUR) + [wrong])
