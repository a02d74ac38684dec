"""Learning rates over a run."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from final_states import assert_equal_runs, final_state
from programs import ONE_THREAD, log_lines, train_here

import checkpoint
from config import OPTIONS, Config
from training.optimizers import SCHEDULES, Schedule

SHORT = ["--train_size=96", "--seed=4", *ONE_THREAD]  # 6 steps an epoch


@pytest.mark.parametrize(
    "name, factors",
    [("linear", [1, 0.75, 0.5, 0.25, 0, 0]), ("cosine", [1, 0.8536, 0.5, 0.1464, 0, 0])],
)
def test_rates_of_the_steps(graph, name, factors):
    config = Config(learning_rate=0.2, d_learning_rate=0.4, lr_schedule=name)
    schedule = Schedule(config, ranks_size=1, total_steps=4)
    rates = [schedule.rate(network) for network in ("d", "g")]
    count = schedule.count(tf.no_op())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for factor in factors:
            np.testing.assert_allclose(
                session.run(rates), [0.4 * factor, 0.2 * factor], rtol=1e-3, atol=1e-7
            )
            session.run(count)


def test_constant_builds_no_op(graph):
    schedule = Schedule(Config(), ranks_size=1, total_steps=4)
    assert (schedule.rate("d"), schedule.rate("g")) == (0.0002, 0.0002)
    assert graph.get_operations() == []


@pytest.mark.slow
@pytest.mark.parametrize("fused", ["--fused_step", "--nofused_step"])
def test_a_scheduled_run_resumes_bit_for_bit(tmp_path, fused):
    arguments = ["--lr_schedule=linear", "--d_learning_rate=1e-4", "--epoch=2", fused, *SHORT]
    _, whole = train_here(tmp_path / "whole", *arguments)
    code, first = train_here(
        tmp_path / "parts", *arguments, at_step=4, action=lambda: os.kill(os.getpid(), 2)
    )
    assert code == 130
    _, rest = train_here(tmp_path / "parts", *arguments)
    assert log_lines(first) + log_lines(rest) == log_lines(whole)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert final_state(tmp_path / "whole")[1]["schedule_steps"] == 12


def test_the_rates_begin_to_fall_after_the_start(graph):
    config = Config(learning_rate=0.2, lr_schedule="linear", lr_decay_start=1, epoch=2)
    schedule = Schedule(config, ranks_size=1, total_steps=4)
    rate, count = schedule.rate("g"), schedule.count(tf.no_op())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for expected in (0.2, 0.2, 0.2, 0.1, 0.0):
            np.testing.assert_allclose(session.run(rate), expected, atol=1e-7)
            session.run(count)


def test_the_schedule_keeps_its_place_with_another_number_of_ranks(tmp_path):
    """6 steps that two ranks made are 12 of one: half of the run, so the rate has fallen to half."""
    arguments = ["--lr_schedule=linear", "--epoch=4", *SHORT]
    train_here(tmp_path, *arguments, at_step=6, action=lambda: os.kill(os.getpid(), 2))
    found = checkpoint.newest(str(tmp_path / "run" / "checkpoint"), warn=pytest.fail)
    manifest = checkpoint._read_manifest(found.prefix)
    manifest["state"]["ranks"] = 2
    checkpoint._write_manifest(found.prefix, manifest)
    train_here(tmp_path, *arguments)
    step, values = final_state(tmp_path)
    assert (step, values["schedule_steps"]) == (18, 24)


def test_the_flags_choices_are_the_tables_rows():
    assert set(OPTIONS["lr_schedule"].declared.choices) == set(SCHEDULES)
