"""Differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738): less memorizing of few images.

Real and generated images are changed alike before D sees them, in the updates of both networks, and
gradients flow through the change. The generator's images themselves are not changed.
"""

from typing import Dict, NamedTuple, Optional

import tensorflow.compat.v1 as tf

import model

SHIFT = 1 / 8  # the greatest translation, as a share of the side
HOLE = 1 / 2  # the side of the cut-out square, as a share of the image's


class Numbers(NamedTuple):
    """The random numbers of one image, each uniform in [0, 1): float32 [N]."""

    brightness: tf.Tensor
    saturation: tf.Tensor
    contrast: tf.Tensor
    shift_y: tf.Tensor
    shift_x: tf.Tensor
    hole_y: tf.Tensor
    hole_x: tf.Tensor


NUMBERS = len(Numbers._fields)
# --augment -> random numbers of an example: one set for its real image, one for the generated one.
NOISE_SIZES: Dict[str, int] = {"none": 0, "diff": 2 * NUMBERS}


class AugmentedDiscriminator:
    """The discriminator of a pair, which sees augmented images."""

    def __init__(self, networks: model.Networks, noise: tf.Tensor, *, real: bool) -> None:
        """Builds no op.

        Args:
            networks: the pair.
            noise: float32 [N, 2 * NUMBERS], uniform in [0, 1).
            real: whether the images to come are real ones; they have numbers of their own.
        """
        self._networks = networks
        self._noise = noise[:, :NUMBERS] if real else noise[:, NUMBERS:]

    def __call__(self, x: tf.Tensor, y: Optional[tf.Tensor], training: bool) -> tf.Tensor:
        """Logits [N, 1] of images x [N, H, W, C]; see `model.Networks.discriminator`."""
        numbers = Numbers(*tf.unstack(self._noise, axis=1))
        changed = augmented(x, numbers, value_range=self._networks.value_range)
        return self._networks.discriminator(changed, y, training)


def discriminator(networks: model.Networks, noise: Optional[tf.Tensor], *, real: bool):
    """The discriminator to train with: the pair's own where there is no noise to augment with."""
    if noise is None:
        return networks.discriminator
    return AugmentedDiscriminator(networks, noise, real=real)


def augmented(images: tf.Tensor, numbers: Numbers, *, value_range) -> tf.Tensor:
    """Images [N, H, W, C] with another color, moved, and with a hole; same shape and dtype.

    Args:
        images: float32, in `value_range` before; afterwards they may leave it a little.
        numbers: of each image.
    """
    lowest, highest = value_range
    with tf.name_scope("augment"):
        x = images + (highest - lowest) / 2 * (_each(numbers.brightness) - 0.5)
        if int(x.shape[3]) > 1:
            gray = tf.reduce_mean(x, 3, keepdims=True)
            x = (x - gray) * (2 * _each(numbers.saturation)) + gray
        mean = tf.reduce_mean(x, [1, 2, 3], keepdims=True)
        x = (x - mean) * (_each(numbers.contrast) + 0.5) + mean
        return _with_hole(_moved(x, numbers), numbers)


def _each(numbers: tf.Tensor) -> tf.Tensor:
    return tf.reshape(numbers, [-1, 1, 1, 1])


def _moved(x: tf.Tensor, numbers: Numbers) -> tf.Tensor:
    """Translates by whole pixels; 0 comes in. Two matrix products: static shapes, any device."""
    height, width, channels = (int(size) for size in x.shape[1:])
    rows = _shifting_matrix(numbers.shift_y, height)
    columns = _shifting_matrix(numbers.shift_x, width)
    x = tf.matmul(rows, tf.reshape(x, [-1, height, width * channels]))
    x = tf.transpose(tf.reshape(x, [-1, height, width, channels]), [0, 2, 1, 3])
    x = tf.matmul(columns, tf.reshape(x, [-1, width, height * channels]))
    return tf.transpose(tf.reshape(x, [-1, width, height, channels]), [0, 2, 1, 3])


def _shifting_matrix(number: tf.Tensor, side: int) -> tf.Tensor:
    """[N, side, side]: row i of a product is row i + shift of what it is multiplied with."""
    most = int(side * SHIFT + 0.5)
    shift = tf.floor(number * (2 * most + 1)) - most
    source = tf.range(side, dtype=tf.float32)[None, :] + shift[:, None]
    return tf.one_hot(tf.cast(source, tf.int32), side)


def _with_hole(x: tf.Tensor, numbers: Numbers) -> tf.Tensor:
    """Sets a square around a random pixel to 0."""
    height, width, _ = (int(size) for size in x.shape[1:])
    hole = _within(numbers.hole_y, height)[:, :, None] * _within(numbers.hole_x, width)[:, None, :]
    return x * (1 - hole[..., None])


def _within(number: tf.Tensor, side: int) -> tf.Tensor:
    """float32 [N, side]: 1 where a pixel lies in the hole, else 0."""
    half = int(side * HOLE + 0.5) / 2
    center = tf.floor(number * side)[:, None]
    return tf.cast(
        tf.abs(tf.range(side, dtype=tf.float32)[None, :] + 0.5 - center) < half, tf.float32
    )
