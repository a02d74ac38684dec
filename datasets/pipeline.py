"""From a data set to the tensors of a training step.

The batch of a step is a pure function of (seed, step, rank): the epoch's permutation comes from
(seed, epoch), z from (seed, step, rank). So a run resumed at step k sees the batches that it would
have seen.
"""

import functools
import os
from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.blur import blurred
from datasets.dataset import Dataset
from datasets.input_monitor import InputMonitor
from options import UserError

# Random numbers for different uses must be independent of each other.
_ORDER, _SUBSET, _LATENT, _SAMPLE, _MIRROR, _NOISE = range(6)


class Batch(NamedTuple):
    """One step's input.

    Attributes:
        images: [N, H, W, C] in the networks' value range.
        labels: [N, K] one-hot; K == 0 where there are none.
        z: [N, Z].
        noise: [N, A] uniform in [0, 1), what `training.augment` takes; None without it.
    """

    images: tf.Tensor
    labels: tf.Tensor
    z: tf.Tensor
    noise: Optional[tf.Tensor] = None


def steps_per_epoch(
    dataset: Dataset, *, batch_size: int, ranks_size: int = 1, train_size: Optional[int] = None
) -> int:
    """Steps in an epoch: incomplete batches are dropped, and every rank makes as many steps.

    Raises:
        UserError: the set holds fewer images than one step takes.
    """
    examples = dataset.num_examples if train_size is None else min(dataset.num_examples, train_size)
    steps = examples // (batch_size * ranks_size)
    if steps == 0:
        raise UserError(
            f"--batch_size: {batch_size} x {ranks_size} rank(s) is more than the {examples} images "
            f"of {dataset.name}"
        )
    return steps


def latents(z_dist: str, shape: Tuple[int, ...], key: Tuple[int, ...]) -> np.ndarray:
    """Random z: float32 array of `shape`, the same for the same `key` (integers >= 0).

    `uniform_signed` is uniform in [-1, 1), `uniform_unsigned` in [0, 1), `normal01` is standard
    normal.
    """
    return _drawn(_random(_LATENT, *key), z_dist, shape)


def latents_of_keys(z_dist: str, z_dim: int, keys: Sequence[int]) -> np.ndarray:
    """float32 [len(keys), z_dim]; each row is `latents(z_dist, (z_dim,), (key,))`."""
    random = np.random.RandomState(0)  # to seed one takes a tenth of the time of making one
    z = np.empty((len(keys), z_dim), np.float32)
    for row, key in zip(z, keys):
        random.seed(_seed(_LATENT, int(key)))
        row[:] = _drawn(random, z_dist, (z_dim,))
    return z


def _drawn(random, z_dist, shape):
    if z_dist == "normal01":
        return random.standard_normal(shape).astype(np.float32)
    lowest = {"uniform_signed": -1.0, "uniform_unsigned": 0.0}[z_dist]
    return random.uniform(lowest, 1.0, shape).astype(np.float32)


@functools.lru_cache(maxsize=4)
def epoch_order(num_examples, *, train_size, seed, stream, epoch):
    """The order of an epoch: int64 [n], a permutation of the (at most `train_size`) examples used.

    Which examples a smaller `train_size` uses depends on the seed alone.
    """
    order = _random(_ORDER, seed, stream, epoch).permutation
    if train_size is None or train_size >= num_examples:
        return order(num_examples)
    return order(used_and_held_out(num_examples, train_size=train_size, seed=seed)[0])


def used_and_held_out(num_examples: int, *, train_size: Optional[int], seed: int):
    """(the examples that a training uses, those that it leaves out), two int64 arrays."""
    examples = _random(_SUBSET, seed).permutation(num_examples)
    return examples[:train_size], examples[num_examples if train_size is None else train_size :]


def batch_indices(dataset, step, *, config, stream=0, offset=0, rank=0, ranks_size=1):
    """The indices [batch_size] of a step; the indices of the ranks of one step are disjoint.

    Args:
        stream: number of the random stream; each rollback takes another.
        offset: the step at which epoch 0 would have begun with this number of ranks; not 0 once a
            run was resumed with another number of ranks.
    """
    steps = steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks_size, train_size=config.train_size
    )
    epoch, position = divmod(step - offset, steps)
    order = epoch_order(
        dataset.num_examples,
        train_size=config.train_size,
        seed=config.seed,
        stream=stream,
        epoch=epoch,
    )
    first = (position * ranks_size + rank) * config.batch_size
    return order[first : first + config.batch_size]


def read_batch(dataset, step, *, config, stream=0, offset=0, rank=0, ranks_size=1):
    """The (images uint8 [N, H, W, C], labels float32 [N, K], z float32 [N, Z]) of a step.

    Args:
        stream, offset: see `batch_indices`.
    """
    indices = batch_indices(
        dataset,
        step,
        config=config,
        stream=stream,
        offset=offset,
        rank=rank,
        ranks_size=ranks_size,
    )
    images, labels = dataset.read(indices)
    if config.mirror:
        flipped = _random(_MIRROR, config.seed, stream, step, rank).rand(len(images)) < 0.5
        images = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
    z = latents(config.z_dist, (config.batch_size, config.z_dim), (config.seed, stream, step, rank))
    return blurred(images, config.blur), labels, z


class SampleInputs(NamedTuple):
    """The fixed inputs of the sample grid, float32 arrays.

    Attributes:
        images: [N, H, W, C] real ones, in the networks' value range.
        image_labels: [N, K] one-hot, those of the real images.
        labels: [N, K] one-hot, those of the images that are drawn.
        z: [N, Z].
    """

    images: np.ndarray
    image_labels: np.ndarray
    labels: np.ndarray
    z: np.ndarray


def sample_inputs(dataset: Dataset, *, config, value_range: Tuple[float, float]) -> SampleInputs:
    """The fixed inputs of the sample grid; they depend on the seed alone.

    The labels of the images that are drawn count through the classes.
    """
    count = config.sample_num
    chosen = _random(_SAMPLE, config.seed).randint(0, dataset.num_examples, count)
    images, image_labels = dataset.read(chosen)
    return SampleInputs(
        images=scaled(blurred(images, config.blur).astype(np.float32), value_range),
        image_labels=image_labels,
        labels=class_labels(count, dataset.num_classes),
        z=latents(config.z_dist, (count, config.z_dim), (config.seed,)),
    )


def class_labels(count: int, num_classes: int) -> np.ndarray:
    """One-hot labels [count, K] float32 that count through the classes: 0, 1, ..., K-1, 0, ..."""
    if num_classes == 0:
        return np.zeros((count, 0), np.float32)
    return np.eye(num_classes, dtype=np.float32)[np.arange(count) % num_classes]


def scaled(images, value_range: Tuple[float, float]):
    """Float pixels in [0, 255] (array or tensor) to the networks' value range."""
    lowest, highest = value_range
    return images * ((highest - lowest) / 255.0) + lowest


class InputPipeline:
    """The prefetched batches of a run. The images travel as uint8.

    Attributes:
        batch: `Batch` of float32 tensors with known shapes.
        monitor: `InputMonitor` of the batches.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        config,
        value_range: Tuple[float, float],
        ranks,
        noise_size: int = 0,
    ):
        """Adds the ops to the default graph.

        Args:
            dataset: what the batches are read from.
            config: `Config` with every size and the seed filled in.
            value_range: of the networks.
            ranks: `devices.ranks.Ranks`.
            noise_size: random numbers of each example beside its z.
        """
        self.monitor = InputMonitor()
        self._dataset, self._config, self._ranks = dataset, config, ranks
        self._noise_size = noise_size
        self._first_step = tf.placeholder(tf.int64, [], "first_step")
        self._stream = tf.placeholder(tf.int64, [], "stream")
        self._offset = tf.placeholder(tf.int64, [], "offset")
        steps = tf.data.Dataset.range(self._first_step, np.iinfo(np.int64).max)
        threads = min(os.cpu_count() or 1, 8)

        types = [tf.uint8, tf.float32, tf.float32] + ([tf.float32] if noise_size else [])

        # AutoGraph would take a second: to read this function, it imports all of tf.contrib on 1.15.
        @tf.autograph.experimental.do_not_convert
        def load(step):
            inputs = [step, self._stream, self._offset]
            return tf.numpy_function(self._load, inputs, types)

        batches = steps.map(load, num_parallel_calls=threads).prefetch(4)
        options = tf.data.Options()
        if hasattr(options, "autotune"):  # TensorFlow 2.x
            # There is nothing to tune, and closing a session would wait up to a minute for the tuner.
            options.autotune.enabled = False
            batches = batches.with_options(options)
        self._iterator = tf.data.make_initializable_iterator(batches)
        images, labels, z, *noise = self._iterator.get_next()
        images.set_shape((config.batch_size,) + tuple(dataset.image_shape))
        labels.set_shape((config.batch_size, dataset.num_classes))
        z.set_shape((config.batch_size, config.z_dim))
        for part in noise:
            part.set_shape((config.batch_size, noise_size))
        self.batch = Batch(scaled(tf.cast(images, tf.float32), value_range), labels, z, *noise)

    def start(self, session: tf.Session, step: int, stream: int = 0, *, offset: int = 0) -> None:
        """(Re)starts the batches.

        Args:
            session: of the graph of these ops.
            step: the next one, counted from 0.
            stream: another number gives other z and other permutations.
            offset: see `batch_indices`.
        """
        self.monitor.start(step, stream)
        session.run(
            self._iterator.initializer,
            {self._first_step: step, self._stream: stream, self._offset: offset},
        )

    def _load(self, step, stream, offset):
        step, stream, offset = int(step), int(stream), int(offset)
        try:
            batch = read_batch(
                self._dataset,
                step,
                config=self._config,
                stream=stream,
                offset=offset,
                rank=self._ranks.rank,
                ranks_size=self._ranks.size,
            )
        except UserError as error:  # TensorFlow passes on no more than its text
            self.monitor.failed(step, stream, error)
            raise
        if self._noise_size:
            random = _random(_NOISE, self._config.seed, stream, step, self._ranks.rank)
            batch += (random.rand(self._config.batch_size, self._noise_size).astype(np.float32),)
        self.monitor.ready(step, stream)
        return batch


def _random(*key):
    return np.random.RandomState(_seed(*key))


def _seed(*key):
    return [part & 0xFFFFFFFF for part in key]
