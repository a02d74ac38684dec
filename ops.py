"""The layers of DCGAN: functions of tensors that own nothing but their variables' names.

Every function creates (or, inside a reused variable scope, fetches) its variables under
`current scope/name`; the names are those of carpedm20's DCGAN, so that its checkpoints load.
All tensors are float, NHWC. Kernels are 5x5 with stride 2 and SAME padding, as in the paper
(arXiv 1511.06434, section 3).
"""

import functools
import zlib
from typing import Callable, NamedTuple

import tensorflow.compat.v1 as tf

from ops_cpu import KERNEL, NATIVE, with_planes

DECAY = 0.9
EPSILON = 1e-5
LEAK = 0.2
WEIGHT_STDDEV = 0.02

# Graph collection of (moving average variable, this pass's value): what a training-mode pass of
# batch_norm leaves for the training step, which alone decides when the averages move.
STATISTICS = "batch_norm_statistics"


class Layers(NamedTuple):
    """The layers that hold products, for one choice of kernels: the functions of these names below."""

    linear: Callable
    conv2d: Callable
    deconv2d: Callable


def layers(kernels):
    """`Layers` that compute their products with `kernels`, a `ops_cpu.Kernels`."""
    return Layers(
        *[functools.partial(layer, kernels=kernels) for layer in (linear, conv2d, deconv2d)]
    )


def linear(x, units, *, name, kernels=NATIVE):
    """A fully connected layer.

    Args:
        x: [N, C].
        units: width of the result.
        name: scope of the variables `Matrix` [C, units] and `bias` [units].
        kernels: `ops_cpu.Kernels`; how the product is computed.

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
        return tf.nn.bias_add(kernels.matmul(x, matrix), bias)


def conv2d(x, channels, *, name, labels=None, kernels=NATIVE):
    """A strided convolution that halves the size (rounding up).

    Args:
        x: [N, H, W, C].
        channels: of the result.
        name: scope of the variables `w` [5, 5, C + K, channels] and `biases` [channels].
        labels: [N, K], which join the picture as K constant planes; K = 0 without them.
        kernels: `ops_cpu.Kernels`; how the product is computed.

    Returns:
        [N, ceil(H / 2), ceil(W / 2), channels].
    """
    labels = _labels_of(labels, x)
    with tf.variable_scope(name):
        w = tf.get_variable(
            "w",
            [KERNEL, KERNEL, _channels(x) + _channels(labels), channels],
            x.dtype,
            _random(tf.truncated_normal_initializer, "w"),
        )
        biases = tf.get_variable("biases", [channels], x.dtype, tf.zeros_initializer())
        return tf.nn.bias_add(kernels.conv(x, labels, w), biases)


def deconv2d(x, height, width, channels, *, name, labels=None, kernels=NATIVE):
    """A strided transposed convolution to a given size.

    Args:
        x: [N, H, W, C] with H = ceil(height / 2) and W = ceil(width / 2).
        height, width, channels: of the result.
        name: scope of the variables `w` [5, 5, channels, C + K] and `biases` [channels].
        labels: [N, K], which join the picture as K constant planes; K = 0 without them.
        kernels: `ops_cpu.Kernels`; how the product is computed.

    Returns:
        [N, height, width, channels].
    """
    labels = _labels_of(labels, x)
    with tf.variable_scope(name):
        w = tf.get_variable(
            "w",
            [KERNEL, KERNEL, channels, _channels(x) + _channels(labels)],
            x.dtype,
            _random(tf.random_normal_initializer, "w"),
        )
        biases = tf.get_variable("biases", [channels], x.dtype, tf.zeros_initializer())
        return tf.nn.bias_add(kernels.deconv(x, labels, w, (height, width)), biases)


def batch_norm(x, *, training, name):
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


def moved_average(average, values):
    """The op that moves one moving average by each of `values` in order, in a single assignment."""
    moved = average.read_value()
    for value in values:
        moved = moved * DECAY + value * (1 - DECAY)
    return average.assign(moved, read_value=False)


def lrelu(x):
    """Leaky ReLU with leak 0.2; any shape."""
    return tf.nn.leaky_relu(x, LEAK)


def concat_labels(x, y):
    """Appends the labels to the channels: as they are to a vector, as constant planes to a picture.

    Args:
        x: [N, C] or [N, H, W, C].
        y: [N, K]; with K == 0 the result is `x` itself.

    Returns:
        [N, C + K] or [N, H, W, C + K].
    """
    classes = _channels(y)
    if classes == 0:
        return x
    y = tf.cast(y, x.dtype)
    return tf.concat([x, y], 1) if x.shape.ndims == 2 else with_planes(x, y)


def _random(initializer, variable):
    """An initializer whose draw depends on the graph's seed and the variable's name alone.

    So the first weights are the same whatever else stands in the graph (TensorFlow's own choice
    of a seed counts the ops built before).
    """
    name = tf.get_variable_scope().name + "/" + variable
    return initializer(stddev=WEIGHT_STDDEV, seed=zlib.crc32(name.encode()) & 0x7FFFFFFF)


def _labels_of(labels, x):
    """The labels in the dtype of x; [N, 0] where there are none."""
    return tf.zeros([tf.shape(x)[0], 0], x.dtype) if labels is None else tf.cast(labels, x.dtype)


def _channels(x):
    return int(x.shape[-1])
