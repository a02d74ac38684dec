"""From a data set to the tensors of a training step.

A step's batch is a pure function of (seed, step, rank): the epoch's permutation comes from
(seed, epoch), z from (seed, step, rank). So a run that starts again at step k goes on with the
very batches it would have seen.
"""

import functools
import os
import time
from typing import Callable, NamedTuple, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from options import UserError

# Streams of random numbers that must not be each other's.
_ORDER, _SUBSET, _LATENT, _SAMPLE = range(4)


class Dataset(NamedTuple):
    """Pictures (and labels) that can be read by index.

    Attributes:
        name: of the set, for people.
        architecture: the key of `model.ARCHITECTURES` that fits it.
        image_shape: (H, W, C) in pixels.
        num_classes: K; 0 where there are no labels.
        num_examples: how many indices there are.
        read: indices [n] int64 -> (images [n, H, W, C] uint8, labels [n, K] float32 one-hot). Called
            from several threads at once.
        class_names: K names, for people.
    """

    name: str
    architecture: str
    image_shape: Tuple[int, int, int]
    num_classes: int
    num_examples: int
    read: Callable
    class_names: Tuple[str, ...] = ()


class Batch(NamedTuple):
    """One step's input.

    Attributes:
        images: [N, H, W, C] in the networks' value range.
        labels: [N, K] one-hot; K == 0 where there are none.
        z: [N, Z].
    """

    images: tf.Tensor
    labels: tf.Tensor
    z: tf.Tensor


class InputError(UserError):
    """A step's input cannot be had; nothing of that step was done."""


class InputMonitor:
    """What a session does not tell of its input: how long a step waited for it and why it failed.

    The threads that make batches report to it; the one that trains asks it.
    """

    def __init__(self):
        self._ready = {}  # (draw, step) -> time
        self._failures = {}  # (draw, step) -> UserError
        self._next = (0, 0)

    def start(self, step, draw):
        """The next step that runs is this one."""
        self._ready.clear()
        self._next = (draw, step)

    def ready(self, step, draw):
        """A step's batch is ready now."""
        self._ready[draw, step] = time.perf_counter()

    def failed(self, step, draw, error):
        """A step's batch cannot be made."""
        self._failures[draw, step] = error

    def raise_failure(self, steps=1):
        """Raises `InputError` if it was a batch of the next steps that a session failed for."""
        draw, first = self._next
        for step in range(first, first + steps):
            if (draw, step) in self._failures:
                raise InputError(str(self._failures[draw, step]))

    def share_waited(self, started, steps=1):
        """The share of the run just made, in [0, 1], that it waited for the batch of its first step.

        Args:
            started: `time.perf_counter()` when the run began, which is when it asked for the batch.
            steps: that it made.
        """
        now = time.perf_counter()
        draw, first = self._next
        self._next = (draw, first + steps)
        waited = [
            self._ready.pop((draw, step), started) - started for step in range(first, first + steps)
        ][0]
        return min(max(waited / (now - started), 0.0), 1.0)


class Pipeline(NamedTuple):
    """The prefetched batches of a run.

    Attributes:
        batch: `Batch` of float32 tensors with known shapes.
        start: `(session, first_step, draw, offset)`: (re)starts the stream at a step, counted from
            0. Another `draw` gives other z and other permutations; `offset` is that of `batch_indices`.
        watch: `InputMonitor` on the stream.
    """

    batch: Batch
    start: Callable
    watch: InputMonitor


def steps_per_epoch(dataset, *, batch_size, ranks_size=1, train_size=None):
    """Steps an epoch: incomplete batches are dropped, every rank has as many.

    Raises:
        UserError: the set holds fewer pictures than one step takes.
    """
    examples = dataset.num_examples if train_size is None else min(dataset.num_examples, train_size)
    steps = examples // (batch_size * ranks_size)
    if steps == 0:
        raise UserError(
            f"--batch_size: {batch_size} x {ranks_size} rank(s) is more than the {examples} pictures of {dataset.name}"
        )
    return steps


def latents(z_dist, shape, key):
    """Draws z: float32 array of `shape`, the same for the same `key` (a tuple of integers >= 0).

    `uniform_signed` is uniform in [-1, 1), `uniform_unsigned` in [0, 1), `normal01` standard normal.
    """
    random = _random(_LATENT, *key)
    if z_dist == "normal01":
        return random.standard_normal(shape).astype(np.float32)
    lowest = {"uniform_signed": -1.0, "uniform_unsigned": 0.0}[z_dist]
    return random.uniform(lowest, 1.0, shape).astype(np.float32)


@functools.lru_cache(maxsize=4)
def epoch_order(num_examples, *, train_size, seed, draw, epoch):
    """The order of an epoch: a fresh permutation of the (at most `train_size`) examples in use.

    Which examples a smaller `train_size` uses depends on the seed alone.
    """
    order = _random(_ORDER, seed, draw, epoch).permutation
    if train_size is None or train_size >= num_examples:
        return order(num_examples)
    return order(_random(_SUBSET, seed).permutation(num_examples)[:train_size])


def batch_indices(dataset, step, *, config, draw=0, offset=0, rank=0, ranks_size=1):
    """The indices [batch_size] of a step; the ranks' indices of one step are disjoint.

    Args:
        offset: the step at which the first epoch would have begun with so many ranks; not 0 once a
            run has gone on with another number of them.
    """
    steps = steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks_size, train_size=config.train_size
    )
    epoch, position = divmod(step - offset, steps)
    order = epoch_order(
        dataset.num_examples, train_size=config.train_size, seed=config.seed, draw=draw, epoch=epoch
    )
    first = (position * ranks_size + rank) * config.batch_size
    return order[first : first + config.batch_size]


def read_batch(dataset, step, *, config, draw=0, offset=0, rank=0, ranks_size=1):
    """One step's (images uint8 [N, H, W, C], labels float32 [N, K], z float32 [N, Z]) arrays."""
    images, labels = dataset.read(
        batch_indices(
            dataset, step, config=config, draw=draw, offset=offset, rank=rank, ranks_size=ranks_size
        )
    )
    z = latents(config.z_dist, (config.batch_size, config.z_dim), (config.seed, draw, step, rank))
    return images, labels, z


def sample_inputs(dataset, *, config, value_range):
    """The fixed (images, labels, z) arrays of the sample grid: `Batch` of float32 arrays.

    The images are real ones; labels count through the classes; all depend on the seed alone.
    """
    count = config.sample_num
    chosen = _random(_SAMPLE, config.seed).randint(0, dataset.num_examples, count)
    images, _ = dataset.read(chosen)
    return Batch(
        images=scaled(images.astype(np.float32), value_range),
        labels=class_labels(count, dataset.num_classes),
        z=latents(config.z_dist, (count, config.z_dim), (config.seed,)),
    )


def class_labels(count, num_classes):
    """One-hot labels [count, K] float32 that count through the classes: 0, 1, ..., K-1, 0, ..."""
    if num_classes == 0:
        return np.zeros((count, 0), np.float32)
    return np.eye(num_classes, dtype=np.float32)[np.arange(count) % num_classes]


def scaled(images, value_range):
    """Float pixels in 0..255 (array or tensor) to the networks' value range."""
    lowest, highest = value_range
    return images * ((highest - lowest) / 255.0) + lowest


def input_pipeline(dataset, *, config, value_range, ranks):
    """Builds the prefetched stream of batches, whose pictures travel as uint8.

    Args:
        dataset: `Dataset`.
        config: a config with every size and the seed filled in.
        value_range: of the networks.
        ranks: `devices.ranks.Ranks`.

    Returns:
        `Pipeline`.
    """
    first_step = tf.placeholder(tf.int64, [], "first_step")
    draw = tf.placeholder(tf.int64, [], "draw")
    offset = tf.placeholder(tf.int64, [], "offset")
    watch = InputMonitor()

    def load(step, draw, offset):
        step, draw, offset = int(step), int(draw), int(offset)
        try:
            batch = read_batch(
                dataset,
                step,
                config=config,
                draw=draw,
                offset=offset,
                rank=ranks.rank,
                ranks_size=ranks.size,
            )
        except UserError as error:  # TensorFlow hands on no more than its text
            watch.failed(step, draw, error)
            raise
        watch.ready(step, draw)
        return batch

    def load_tensors(step):
        return tf.numpy_function(load, [step, draw, offset], [tf.uint8, tf.float32, tf.float32])

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    batches = steps.map(load_tensors, num_parallel_calls=min(os.cpu_count() or 1, 8)).prefetch(4)
    iterator = tf.data.make_initializable_iterator(batches)
    images, labels, z = iterator.get_next()
    images.set_shape((config.batch_size,) + tuple(dataset.image_shape))
    labels.set_shape((config.batch_size, dataset.num_classes))
    z.set_shape((config.batch_size, config.z_dim))

    def start(session, step, draw_number=0, steps_before=0):
        watch.start(step, draw_number)
        session.run(
            iterator.initializer, {first_step: step, draw: draw_number, offset: steps_before}
        )

    batch = Batch(scaled(tf.cast(images, tf.float32), value_range), labels, z)
    return Pipeline(batch, start, watch)


def _random(*key):
    return np.random.RandomState([part & 0xFFFFFFFF for part in key])
