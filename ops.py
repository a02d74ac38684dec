"""The layers of DCGAN. They own nothing but their variables' names.

Every layer creates (or, inside a reused variable scope, fetches) its variables under
`current scope/name`; the names are those of carpedm20's DCGAN, so that its checkpoints load.
All tensors are float, NHWC. Kernels are 5x5 with stride 2 and SAME padding, as in the paper
(arXiv 1511.06434, section 3).
"""

import zlib
from typing import Iterable, Optional, Tuple

import tensorflow.compat.v1 as tf

from ops_cpu import KERNEL, NATIVE, NativeProducts, num_planes, with_planes

DECAY = 0.9
EPSILON = 1e-5
LEAK = 0.2
WEIGHT_STDDEV = 0.02

# Graph collection of (moving average variable, this pass's value): what a training-mode pass of
# batch_norm leaves for the training step, which alone decides when the averages move.
STATISTICS = "batch_norm_statistics"


class Layers:
    """The layers that hold products, for one choice of how these are computed."""

    def __init__(self, products: NativeProducts = NATIVE):
        self._products = products

    def linear(self, x: tf.Tensor, units: int, *, name: str) -> tf.Tensor:
        """A fully connected layer.

        Args:
            x: [N, C].
            units: width of the result.
            name: scope of the variables `Matrix` [C, units] and `bias` [units].

        Returns:
            [N, units].
        """
        with tf.variable_scope(name):
            matrix = tf.get_variable(
                "Matrix",
                [_channels(x), units],
                x.dtype,
                _random(tf.random_normal_initializer, "Matrix"),
            )
            bias = tf.get_variable("bias", [units], x.dtype, tf.zeros_initializer())
            return tf.nn.bias_add(self._products.matmul(x, matrix), bias)

    def conv2d(
        self, x: tf.Tensor, channels: int, *, name: str, labels: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        """A strided convolution that halves the size (rounding up).

        Args:
            x: [N, H, W, C].
            channels: of the result.
            name: scope of the variables `w` [5, 5, C + K, channels] and `biases` [channels].
            labels: [N, K], which join the image as K constant planes; None or K = 0: no labels.

        Returns:
            [N, ceil(H / 2), ceil(W / 2), channels].
        """
        with tf.variable_scope(name):
            w = tf.get_variable(
                "w",
                [KERNEL, KERNEL, _channels(x) + num_planes(labels), channels],
                x.dtype,
                _random(tf.truncated_normal_initializer, "w"),
            )
            biases = tf.get_variable("biases", [channels], x.dtype, tf.zeros_initializer())
            product = self._products.conv(x, w, labels=_cast(labels, x.dtype))
            return tf.nn.bias_add(product, biases)

    def deconv2d(
        self,
        x: tf.Tensor,
        size: Tuple[int, int],
        channels: int,
        *,
        name: str,
        labels: Optional[tf.Tensor] = None,
    ) -> tf.Tensor:
        """A strided transposed convolution to a given size.

        Args:
            x: [N, ceil(H / 2), ceil(W / 2), C].
            size: (H, W) of the result.
            channels: of the result.
            name: scope of the variables `w` [5, 5, channels, C + K] and `biases` [channels].
            labels: [N, K], which join the image as K constant planes; None or K = 0: no labels.

        Returns:
            [N, H, W, channels].
        """
        with tf.variable_scope(name):
            w = tf.get_variable(
                "w",
                [KERNEL, KERNEL, channels, _channels(x) + num_planes(labels)],
                x.dtype,
                _random(tf.random_normal_initializer, "w"),
            )
            biases = tf.get_variable("biases", [channels], x.dtype, tf.zeros_initializer())
            product = self._products.deconv(x, w, size, labels=_cast(labels, x.dtype))
            return tf.nn.bias_add(product, biases)


def batch_norm(x: tf.Tensor, *, training: bool, name: str) -> tf.Tensor:
    """Batch normalization over all axes but the last.

    In training mode the statistics are those of the batch, and (variable, batch statistic) pairs
    are added to the graph collection `STATISTICS`; the moving averages themselves do not move
    here. The batch variance offered to the moving average is the unbiased one, as the fused
    kernel gives it.

    Args:
        x: [N, C] or [N, H, W, C].
        training: a Python bool: statistics of the batch, or the moving averages.
        name: scope of `beta`, `gamma`, `moving_mean`, `moving_variance`, each [C].

    Returns:
        The shape of `x`.
    """
    channels = _channels(x)
    with tf.variable_scope(name):
        beta = tf.get_variable("beta", [channels], tf.float32, tf.zeros_initializer())
        gamma = tf.get_variable("gamma", [channels], tf.float32, tf.ones_initializer())
        moving_mean = tf.get_variable(
            "moving_mean", [channels], tf.float32, tf.zeros_initializer(), trainable=False
        )
        moving_variance = tf.get_variable(
            "moving_variance", [channels], tf.float32, tf.ones_initializer(), trainable=False
        )
        planes = x if x.shape.ndims == 4 else tf.reshape(x, [-1, 1, 1, channels])
        if training:
            y, mean, variance = tf.nn.fused_batch_norm(planes, gamma, beta, epsilon=EPSILON)
            tf.add_to_collection(STATISTICS, (moving_mean, mean))
            tf.add_to_collection(STATISTICS, (moving_variance, variance))
        else:
            y, _, _ = tf.nn.fused_batch_norm(
                planes,
                gamma,
                beta,
                moving_mean,
                moving_variance,
                epsilon=EPSILON,
                is_training=False,
            )
        return y if x.shape.ndims == 4 else tf.reshape(y, tf.shape(x))


def moved_average(average: tf.Variable, values: Iterable[tf.Tensor]) -> tf.Operation:
    """The op that moves a moving average by each of `values` in order, in a single assignment."""
    moved = average.read_value()
    for value in values:
        moved = moved * DECAY + value * (1 - DECAY)
    return average.assign(moved, read_value=False)


def lrelu(x: tf.Tensor) -> tf.Tensor:
    """Leaky ReLU with leak 0.2; any shape."""
    return tf.nn.leaky_relu(x, LEAK)


def concat_labels(x: tf.Tensor, y: Optional[tf.Tensor]) -> tf.Tensor:
    """Appends labels to the channels: to a vector as they are, to an image as constant planes.

    Args:
        x: [N, C] or [N, H, W, C].
        y: [N, K]; if it is None or K = 0, the result is `x` itself.

    Returns:
        [N, C + K] or [N, H, W, C + K].
    """
    if num_planes(y) == 0:
        return x
    y = _cast(y, x.dtype)
    return tf.concat([x, y], 1) if x.shape.ndims == 2 else with_planes(x, y)


def _random(initializer, variable):
    """An initializer whose values depend on the graph's seed and the variable's name alone.

    So the initial weights are the same whatever else is in the graph. TensorFlow's own choice of
    a seed counts the ops built before.
    """
    name = tf.get_variable_scope().name + "/" + variable
    return initializer(stddev=WEIGHT_STDDEV, seed=zlib.crc32(name.encode()) & 0x7FFFFFFF)


def _cast(labels: Optional[tf.Tensor], dtype: tf.DType) -> Optional[tf.Tensor]:
    """The labels in `dtype`; None, and no op, if there are none."""
    return tf.cast(labels, dtype) if num_planes(labels) else None


def _channels(x: tf.Tensor) -> int:
    return int(x.shape[-1])
