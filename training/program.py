"""All the ops of a training run, built before its session exists."""

import time
from typing import NamedTuple

import tensorflow.compat.v1 as tf

import checkpoint
import kernels
import model
from datasets import pipeline
from training import report, samples
from training import step as training_step


class Program(NamedTuple):
    """The ops of a run; with them built the graph can be finalized.

    Attributes:
        pipeline: `datasets.pipeline.Pipeline`.
        step: `training.step.TrainStep`.
        summary: TensorBoard's histograms and pictures, for the step's first run.
        grid: `training.samples.SampleGrid`.
        saver: `checkpoint.Saver` of all variables, the optimizers' included.
        finite: bool scalar: every variable is a number.
        initialize: gives all variables their first values.
    """
    pipeline: pipeline.Pipeline
    step: training_step.TrainStep
    summary: tf.Tensor
    grid: samples.SampleGrid
    saver: checkpoint.Saver
    finite: tf.Tensor
    initialize: tf.Operation


def build_program(*, config, dataset, ranks, device):
    """Builds everything that a training run of `config` on `dataset` needs, in the default graph."""
    tf.set_random_seed(config.seed)
    networks = model.build_networks(config.architecture, model.sizes_of(config),
                                    kernels.of_device(device.kind))
    batches = pipeline.input_pipeline(dataset, config=config, value_range=networks.value_range,
                                      ranks=ranks)
    d, g = [device.build_optimizer(network, ranks) for network in ("d", "g")]
    optimizers = training_step.Optimizers(d.optimizer, g.optimizer, d.readings, g.readings)
    step = training_step.build_train_step(networks=networks, batch=batches.batch,
                                          optimizers=optimizers, fused=config.fused_step)
    grid = samples.build_sample_grid(networks=networks, dataset=dataset, config=config)
    summary = report.summary_op(step.watched, value_range=networks.value_range,
                                with_images=config.G_img_sum)
    variables = tf.global_variables()
    return Program(batches, step, summary, grid,
                   checkpoint.make_saver(variables, optional=d.state + g.state),
                   _all_finite(variables),
                   tf.group(tf.global_variables_initializer(), tf.local_variables_initializer()))


def run_step(run, program, *, with_summary):
    """Runs one training step.

    Args:
        run: called like `session.run`.

    Returns:
        Its fetched values by name (see `TrainStep`) and `input_wait`, the share of the step in
        [0, 1] that was spent waiting for its batch.

    Raises:
        datasets.pipeline.InputError: its batch cannot be had; the step was not done.
    """
    values = {}
    started = time.perf_counter()
    try:
        for index, fetches in enumerate(program.step.runs):
            if with_summary and index == 0:
                fetches = dict(fetches, summary=program.summary)
            values.update(run(fetches))
    except tf.errors.OpError:
        program.pipeline.watch.raise_failure()
        raise
    values["input_wait"] = program.pipeline.watch.share_waited(started)
    return values


def _all_finite(variables):
    return tf.reduce_all([tf.reduce_all(tf.is_finite(variable.read_value()))
                          for variable in variables if variable.dtype.is_floating])
