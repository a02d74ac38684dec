"""All the ops of a training run."""

import time
from typing import Callable, NamedTuple

import tensorflow.compat.v1 as tf

import checkpoint
import model
import ops_cpu
from datasets import pipeline
from devices.ranks import Barrier, IntegerBroadcast
from training import optimizers, report, samples, signals
from training import step as training_step

# What of `training.checkpointer.Progress` all ranks must agree on.
SHARED = ("step", "draw", "offset")


class TrainGraph(NamedTuple):
    """The ops of a run; with them built the graph can be finalized.

    Attributes:
        pipeline: `datasets.pipeline.InputPipeline`.
        step: `training.step.TrainStep`.
        runs: how many training steps -> the fetches of the session runs that make them, as
            `TrainStep.runs`. Always holds 1.
        summary: TensorBoard's histograms and pictures, for the step's first run.
        grid: `training.samples.SampleGrid`.
        saver: `checkpoint.Saver` of all variables, the optimizers' included.
        finite: bool scalar: every variable is a number.
        initialize: gives all variables their first values.
        share: gives all variables the values that they have on rank 0.
        broadcast_object: `(session, integers) -> integers`, those of `SHARED`, as rank 0 has them.
        vote: `training.signals.StopVote`.
        wait_for_first: `session -> None`: waits until rank 0 has come there too.
    """

    pipeline: pipeline.InputPipeline
    step: training_step.TrainStep
    runs: dict
    summary: tf.Tensor
    grid: samples.SampleGrid
    saver: checkpoint.Saver
    finite: tf.Tensor
    initialize: tf.Operation
    share: tf.Operation
    broadcast_object: Callable
    vote: signals.StopVote
    wait_for_first: Callable


def build_train_graph(*, config, dataset, ranks, device):
    """Builds everything that a training run of `config` on `dataset` needs, in the default graph."""
    tf.set_random_seed(config.seed)
    networks = model.build_networks(
        config.architecture, model.sizes_of(config), ops_cpu.products_of_device(device.kind)
    )
    batches = pipeline.InputPipeline(
        dataset, config=config, value_range=networks.value_range, ranks=ranks
    )
    d, g = [
        optimizers.build_optimizer(network, config=config, device=device, ranks=ranks)
        for network in ("d", "g")
    ]
    step = training_step.build_train_step(
        networks=networks,
        batch=batches.batch,
        d_optimizer=d,
        g_optimizer=g,
        fused=config.fused_step,
        ranks=ranks,
    )
    grid = samples.build_sample_grid(networks=networks, dataset=dataset, config=config)
    summary = report.summary_op(
        step.watched, value_range=networks.value_range, with_images=config.G_img_sum
    )
    variables, vote = tf.global_variables(), signals.build_stop_vote(ranks)
    broadcast_object = IntegerBroadcast(ranks, len(SHARED)).run
    runs = step.runs[:-1] + (dict(step.runs[-1], **vote.fetches),)
    return TrainGraph(
        batches,
        step,
        {1: runs},
        summary,
        grid,
        checkpoint.Saver(variables, optional=d.state + g.state),
        _all_finite(variables),
        tf.group(tf.global_variables_initializer(), vote.initialize),
        ranks.broadcast_variables(variables),
        broadcast_object,
        vote,
        Barrier(ranks).wait,
    )


def with_loop(program, session, device):
    """The program with the runs of many steps that the device can make; before the graph is finalized.

    Local variables must not be initialized afterwards: what the loop counts with is one.
    """
    if device.steps_per_loop == 1:
        return program
    (fetches,) = program.runs[1]
    updates = [fetches[name] for name in training_step.UPDATES]
    losses = {name: fetch for name, fetch in fetches.items() if name not in training_step.UPDATES}
    looped = dict(losses, g_update=device.loop(session, tf.group(*updates)))
    return program._replace(runs={1: program.runs[1], device.steps_per_loop: (looped,)})


def steps_of_run(program, step, last_step):
    """How many steps to make at once after `step` steps: a loop from one of its multiples to the next.

    Up to the first multiple (a run may be taken up anywhere) and after the last it is one by one.
    """
    loop = max(program.runs)
    return loop if step % loop == 0 and step + loop <= last_step else 1


def run_steps(run, program, *, steps, with_summary):
    """Runs one training step, or at once as many as the device loops.

    Args:
        run: called like `session.run`.
        steps: a key of `program.runs`.

    Returns:
        The last step's fetched values by name (see `TrainStep`) and `input_wait`, the share of the
        time in [0, 1] that was spent waiting for the (first) batch.

    Raises:
        datasets.pipeline.InputError: a batch cannot be had; that step was not done.
    """
    values = {}
    started = time.perf_counter()
    try:
        for index, fetches in enumerate(program.runs[steps]):
            if with_summary and index == 0:
                fetches = dict(fetches, summary=program.summary)
            values.update(run(fetches))
    except tf.errors.OpError:
        program.pipeline.monitor.raise_failure(steps)
        raise
    values["input_wait"] = program.pipeline.monitor.share_waited(started, steps)
    return values


def _all_finite(variables):
    return tf.reduce_all(
        [
            tf.reduce_all(tf.is_finite(variable.read_value()))
            for variable in variables
            if variable.dtype.is_floating
        ]
    )
