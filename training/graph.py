"""All the ops of a training run."""

import math
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import tensorflow.compat.v1 as tf

import checkpoint
import kernels
import model
from config import Config
from datasets import pipeline
from datasets.dataset import Dataset
from devices.device import Device
from devices.ranks import Barrier, IntegerBroadcast, Ranks
from training import augment, optimizers, samples, signals, step_dump
from training import step as training_step
from training.initial_weights import InitialWeights
from training.progress import SHARED, Progress
from training.weight_average import WeightAverage

# A loss this large means training has diverged beyond recovery.
DIVERGED_LOSS = 1e4
SUMMARY = "summary"  # the name of TensorBoard's fetch
DUMP = "dump"  # that of --step_dump


class StepResult(NamedTuple):
    """What the last training step of a session run gave.

    Attributes:
        scalars: name -> value: the losses, D's accuracy and the optimizers' readings (see
            `training.step.TrainStep`), and `input_wait`, the share of the time in [0, 1] that was
            spent waiting for the first batch.
        summary: TensorBoard's histograms and images, serialized, if they were asked for.
        stop_requests: what `training.signals.StopVote` fetched, if it fetches anything.
        dump: what the step computed, by name, if it was asked for; see `training.step_dump`.
    """

    scalars: Dict[str, float]
    summary: Optional[bytes] = None
    stop_requests: Optional[Sequence[float]] = None
    dump: Optional[Dict[str, np.ndarray]] = None

    @property
    def trouble(self) -> str:
        """Which loss is NaN, infinite or diverged; "" if training can go on from this step."""
        for name in ("d_loss", "g_loss"):
            loss = self.scalars[name]
            if not math.isfinite(loss) or abs(loss) >= DIVERGED_LOSS:
                return f"{name} is {loss}"
        return ""


class TrainGraph:
    """The ops of a run and what is done with them; once built, the graph can be finalized.

    Attributes:
        pipeline: `datasets.pipeline.InputPipeline`.
        saver: `checkpoint.Saver` of all variables, the optimizers' included.
        grid: `training.samples.SampleGrid`.
        stop_vote: `training.signals.StopVote`.
        initial_weights: `training.initial_weights.InitialWeights`.
        schedule: `training.optimizers.Schedule`.
    """

    def __init__(self, *, config: Config, dataset: Dataset, ranks: Ranks, device: Device) -> None:
        """Builds all ops in the default graph."""
        tf.set_random_seed(config.seed)
        networks = _build_networks(config, device)
        self.pipeline = pipeline.InputPipeline(
            dataset,
            config=config,
            value_range=networks.value_range,
            ranks=ranks,
            noise_size=augment.NOISE_SIZES[config.augment],
        )
        self.schedule = schedule = optimizers.Schedule(
            config, ranks_size=ranks.size, total_steps=_total_steps(config, dataset, ranks)
        )
        d, g = optimizers.build_optimizers(config, device, ranks, schedule=schedule)
        step = training_step.build_train_step(
            networks=networks,
            batch=self.pipeline.batch,
            d_optimizer=d,
            g_optimizer=g,
            fused=config.fused_step,
            ranks=ranks,
            g_updates=config.g_updates,
            updates=config.updates,
        )
        self._dumped = step_dump.find_tensors(self.pipeline.batch, training_step.GRADIENTS)
        self.grid = samples.SampleGrid(networks=networks, dataset=dataset, config=config)
        self._summary = build_summary(
            step.watched,
            {network: schedule.rate(network) for network in ("d", "g")},
            value_range=networks.value_range,
            with_images=config.G_img_sum,
        )
        # Before the average: that of another run is not taken.
        self.initial_weights = InitialWeights(config, tf.global_variables())
        average = WeightAverage(config.g_ema)
        variables = tf.global_variables()
        self.stop_vote = signals.build_stop_vote(ranks)
        self._device = device
        self._readings = step.readings
        # Number of training steps -> the fetches of the session runs that make them.
        update = average.update_after(step.runs[-1]["g_update"])
        last = dict(step.runs[-1], g_update=schedule.count(update))
        self._runs = {1: step.runs[:-1] + (dict(last, **self.stop_vote.fetches),)}
        self._shared = IntegerBroadcast(ranks, len(SHARED))
        self.saver = checkpoint.Saver(variables, optional=d.state + g.state + average.variables)
        self._finite_here, self._share_not_finite = _build_all_finite(variables, ranks)
        self._initialize = tf.group(tf.global_variables_initializer(), self.stop_vote.initializer)
        self._broadcast_variables = ranks.broadcast_variables(variables)
        self._barrier = Barrier(ranks)

    def build_loop(self, session: tf.Session) -> None:
        """Adds the run of many steps, if the device can loop; call it before `Graph.finalize`.

        Local variables must not be initialized afterwards: the loop's counter is one.
        """
        if self._device.steps_per_loop == 1:
            return
        (fetches,) = self._runs[1]
        updates = tf.group(*[fetches[name] for name in training_step.UPDATES])
        looped = {name: part for name, part in fetches.items() if name not in training_step.UPDATES}
        looped["g_update"] = self._device.loop(session, updates)
        self._runs[self._device.steps_per_loop] = (looped,)

    def initialize(self, session: tf.Session) -> None:
        """Gives all variables their initial values."""
        session.run(self._initialize)

    def broadcast_variables(self, session: tf.Session) -> None:
        """Gives all variables the values that they have on rank 0."""
        session.run(self._broadcast_variables)

    def broadcast_progress(self, session: tf.Session, progress: Progress) -> Progress:
        """The progress with rank 0's values of the fields in `SHARED`."""
        shared = self._shared.run(session, [getattr(progress, name) for name in SHARED])
        return progress._replace(**dict(zip(SHARED, shared)))

    def barrier(self, session: tf.Session) -> None:
        """Waits until rank 0 has called this too."""
        self._barrier.wait(session)

    def start_input(self, session: tf.Session, progress: Progress) -> None:
        """Starts the stream of batches at the step after `progress`."""
        self.pipeline.start(session, progress.step, progress.stream, offset=progress.offset)

    def readings(self, session: tf.Session) -> Dict[str, Any]:
        """The optimizers' readings between two steps (see `training.step.TrainStep`)."""
        return session.run(self._readings)

    def all_finite(self, session: tf.Session) -> bool:
        """Whether no rank's variables hold a value that is NaN or infinite; all ranks call this."""
        return bool(session.run(self._share_not_finite) == 0)

    def all_finite_here(self, session: tf.Session) -> bool:
        """Whether no variable of this rank holds a value that is NaN or infinite."""
        return bool(session.run(self._finite_here))

    def steps_per_run(self, step: int, *, remaining: int) -> int:
        """How many steps to make in the next session run, after `step` steps.

        The device loops from one multiple of its number of steps to the next. Up to the first
        multiple (a run may be resumed anywhere) and after the last one, steps are made one by one.
        """
        loop = max(self._runs)
        return loop if step % loop == 0 and loop <= remaining else 1

    def run_steps(
        self,
        run: Callable[..., Any],
        *,
        steps: int = 1,
        with_summary: bool = False,
        with_dump: bool = False,
    ) -> StepResult:
        """Makes one training step, or at once as many as the device loops.

        Args:
            run: called like `session.run`.
            steps: 1, or the device's number of steps.
            with_summary: also fetch TensorBoard's histograms and images.
            with_dump: also fetch what the step computes; of a fused step alone.

        Returns:
            The `StepResult` of the last step.

        Raises:
            datasets.input_monitor.InputError: the input of a step could not be read; that step was not
                executed.
        """
        values: Dict[str, Any] = {}
        started = time.perf_counter()
        first, *rest = self._runs[steps]
        if with_summary:
            first = dict(first, **{SUMMARY: self._summary})
        if with_dump:
            first = dict(first, **{DUMP: self._dumped})
        try:
            for fetches in (first, *rest):
                values.update(run(fetches))
        except tf.errors.OpError:
            self.pipeline.monitor.raise_failure(steps)
            raise
        waited = self.pipeline.monitor.share_waited(started, steps)
        summary, requests = values.pop(SUMMARY, None), values.pop(signals.STOP_REQUESTS, None)
        dump = values.pop(DUMP, None)
        scalars = {
            name: float(value)
            for name, value in values.items()
            if name not in training_step.UPDATES
        }
        return StepResult(dict(scalars, input_wait=waited), summary, requests, dump)


def _build_networks(config: Config, device: Device) -> model.Networks:
    assert config.architecture is not None, "the data set was not opened"
    return model.build_networks(
        config.architecture,
        model.sizes_of(config),
        kernels.products_of(config, native=device.native_kernels),
        loss=config.loss,
    )


def _total_steps(config: Config, dataset: Dataset, ranks: Ranks) -> int:
    steps = pipeline.steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks.size, train_size=config.train_size
    )
    return config.epoch * steps


def build_summary(
    watched: Dict[str, tf.Tensor],
    rates: Mapping[str, Union[float, tf.Tensor]],
    *,
    value_range: Tuple[float, float],
    with_images: bool,
) -> tf.Tensor:
    """Builds TensorBoard's histograms, learning rates and, if asked for, images.

    Args:
        watched: see `training.step.TrainStep`.
        rates: of each network.
        value_range: of the images.
    """
    for name in ("z", "d_real", "d_fake"):
        tf.summary.histogram(name, watched[name])
    for network, rate in rates.items():
        tf.summary.scalar("learning_rate/" + network, rate)
    if with_images:
        lowest, highest = value_range
        pixels = tf.cast(255 * (watched["images"] - lowest) / (highest - lowest), tf.uint8)
        tf.summary.image("G", pixels, max_outputs=8)
    return tf.summary.merge_all()


def _build_all_finite(
    variables: Sequence[tf.Variable], ranks: Ranks
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Whether no variable holds a value that is NaN or infinite; the share of ranks where one does."""
    here = tf.reduce_all(
        [
            tf.reduce_all(tf.is_finite(variable.read_value()))
            for variable in variables
            if variable.dtype.is_floating
        ]
    )
    return here, ranks.allreduce_mean(tf.cast(tf.logical_not(here), tf.float32))
