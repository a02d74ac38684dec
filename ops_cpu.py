"""How the layers' products are computed; the variables and, but for rounding, the numbers are the same.

`NATIVE` is TensorFlow's own operations. `CPU` computes the same sums with operations that
TensorFlow's CPU kernels are good at: there a forward convolution runs at the speed of a matrix
product, a convolution's gradients (and so a transposed convolution) at a tenth to a half of it.
Where TensorFlow 2.x uses oneDNN, on GPUs and on NPUs there is no such gap: they keep `NATIVE`.

All convolutions are 5x5 with stride 2 and SAME padding, between a big picture [N, H, W, B] and a
small one [N, ceil(H/2), ceil(W/2), S] with weights [5, 5, B, S]: `conv` goes from big to small,
`deconv` back. In one dimension, tap k of the kernel joins small place i and big place
2 i + k - before, where `before` is the padding (1 or 2) that SAME puts in front.
"""

import os
from typing import Callable, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

KERNEL = 5
STRIDE = 2
PROCESSOR = "/proc/cpuinfo"
ONEDNN_FEATURES = ("avx512_vnni", "avx512_bf16", "amx_tile")
# Below so many channels made, TensorFlow's own transposed convolution is the faster one.
LEAST_CHANNELS = 16


class Kernels(NamedTuple):
    """The products of a layer, all differentiable. Labels y [N, K] stand for K constant planes.

    Attributes:
        matmul: (x [N, C], w [C, U]) -> [N, U].
        conv: (x [N, H, W, C], y, w [5, 5, C + K, S]) -> [N, ceil(H/2), ceil(W/2), S].
        deconv: (x [N, ceil(H/2), ceil(W/2), C], y, w [5, 5, B, C + K], (H, W)) -> [N, H, W, B].
    """

    matmul: Callable
    conv: Callable
    deconv: Callable


def with_planes(x, y):
    """Appends labels y [N, K] to a picture [N, H, W, C] as K constant planes."""
    planes = tf.tile(y[:, None, None, :], [1, x.shape[1], x.shape[2], 1])
    return tf.concat([x, planes], 3)


def _native_conv(x, y, w):
    return _shrunk(with_planes(x, y), w)


def _native_deconv(x, y, w, size):
    return _native_grown(with_planes(x, y), w, size)


def _shrunk(big, w):
    return tf.nn.conv2d(big, w, strides=[1, STRIDE, STRIDE, 1], padding="SAME")


def _native_grown(small, w, size):
    shape = tf.stack([tf.shape(small)[0], size[0], size[1], w.shape[2]])
    big = tf.nn.conv2d_transpose(small, w, shape, strides=[1, STRIDE, STRIDE, 1], padding="SAME")
    big.set_shape([small.shape[0], size[0], size[1], w.shape[2]])
    return big


@tf.custom_gradient
def _matmul(x, w):
    """A product whose gradient to x is computed transposed: for few rows 2.5 to 5 times as fast."""

    def gradients(dy):
        return tf.transpose(tf.matmul(w, dy, transpose_b=True)), tf.matmul(x, dy, transpose_a=True)

    return tf.matmul(x, w), gradients


def _conv(x, y, w):
    if _channels(y) == 0:
        return _differentiable_shrunk(x, w)
    of_x, of_y = tf.split(w, [_channels(x), _channels(y)], 2)
    reaches = [_joined(size).any(1) for size in _size(x)]
    return _differentiable_shrunk(x, of_x) + _of_planes(y, of_y, reaches)


def _deconv(x, y, w, size):
    if _channels(y) == 0:
        return _differentiable_grown(size)(x, w)
    of_x, of_y = tf.split(w, [_channels(x), _channels(y)], 3)
    reaches = [_joined(length).any(0) for length in size]
    return _differentiable_grown(size)(x, of_x) + _of_planes(
        y, tf.transpose(of_y, [0, 1, 3, 2]), reaches
    )


def _of_planes(y, w, reaches):
    """What K constant planes contribute, as one map a class: [N, H, W, C].

    Args:
        y: the planes' values [N, K].
        w: their weights [5, 5, K, C].
        reaches: for rows and for columns a bool array [H or W, 5]: whether a tap meets the picture.
    """
    classes, channels = int(w.shape[2]), int(w.shape[3])
    sums = tf.constant(np.kron(*reaches), w.dtype)  # [H W, 25]
    maps = tf.matmul(sums, tf.reshape(w, [KERNEL**2, classes * channels]))
    maps = tf.transpose(tf.reshape(maps, [-1, classes, channels]), [1, 0, 2])
    planes = tf.matmul(y, tf.reshape(maps, [classes, -1]))
    return tf.reshape(planes, [-1] + [len(reach) for reach in reaches] + [channels])


@tf.custom_gradient
def _differentiable_shrunk(big, w):
    def gradients(small):
        return _grown(small, w, _size(big)), _weights_gradient(big, small)

    return _shrunk(big, w), gradients


def _differentiable_grown(size):
    @tf.custom_gradient
    def product(small, w):
        def gradients(big):
            return _shrunk(big, w), _weights_gradient(big, small)

        return _grown(small, w, size), gradients

    return product


def _grown(small, w, size):
    """A transposed convolution as four plain ones, one for each pixel of 2x2 that a place becomes."""
    if w.shape[2] < LEAST_CHANNELS:
        return _native_grown(small, w, size)
    w = tf.transpose(tf.reshape(w, [KERNEL**2, w.shape[2], w.shape[3]]), [0, 2, 1])
    rows = [
        tf.stack([_pixel(small, w, row, column) for column in _phases(size[1])], 3)
        for row in _phases(size[0])
    ]  # twice [N, h, w, 2, B]
    big = tf.reshape(
        tf.stack(rows, 2), [-1] + [STRIDE * length for length in _size(small)] + [int(w.shape[2])]
    )
    return big[:, : size[0], : size[1]]


def _pixel(small, w, row, column):
    """The convolution that makes one of the four pixels; `w` is [25, S, B]."""
    taps = np.add.outer(KERNEL * row.taps, column.taps)
    weights = tf.reshape(tf.gather(w, taps.ravel()), taps.shape + (w.shape[1], w.shape[2]))
    return tf.nn.conv2d(
        small, weights, strides=[1, 1, 1, 1], padding=[[0, 0], row.padding, column.padding, [0, 0]]
    )


class _Phase(NamedTuple):
    """What the big places 2 i + p of one p see: their taps, and how far these reach beyond i."""

    taps: np.ndarray
    padding: list


def _phases(size):
    """The two `_Phase` of a length: big place 2 i + p meets small place i + a through tap
    p + before - 2 a."""
    phases = []
    for start in range(STRIDE):
        taps = start + _before(size) - STRIDE * np.array([-1, 0, 1])
        inside = (taps >= 0) & (taps < KERNEL)
        phases.append(_Phase(taps[inside], [int(inside[0]), int(inside[2])]))
    return phases


def _weights_gradient(big, small):
    """The gradient to the weights as a forward convolution: pictures as channels, channels as pictures.

    dw[k, l, b, s] sums big[n, 2 i + k, 2 j + l, b] small[n, i, j, s] over n, i and j: that is the
    convolution of big with small as its weights, dilated by the stride.
    """
    height, width = _size(big)
    paddings = (
        [[0, 0]]
        + [[_before(size), _padding(size) - _before(size)] for size in (height, width)]
        + [[0, 0]]
    )
    pictures = tf.reshape(
        tf.transpose(tf.reshape(big, [-1, height * width * int(big.shape[3])])),
        [height, width, int(big.shape[3]), -1],
    )
    dw = tf.nn.conv2d(
        tf.transpose(pictures, [2, 0, 1, 3]),
        tf.transpose(small, [1, 2, 0, 3]),
        strides=[1, 1, 1, 1],
        padding=paddings,
        dilations=[1, STRIDE, STRIDE, 1],
    )
    return tf.transpose(dw, [1, 2, 0, 3])


def _joined(size):
    """Which places of a length are joined by which tap: bool [small, big, 5]."""
    small, big, tap = np.ogrid[: -(-size // STRIDE), :size, :KERNEL]
    return STRIDE * small + tap - _before(size) == big


def _padding(size):
    return max((-(-size // STRIDE) - 1) * STRIDE + KERNEL - size, 0)


def _before(size):
    return _padding(size) // 2


def _channels(x):
    return int(x.shape[-1])


def _size(x):
    return int(x.shape[1]), int(x.shape[2])


NATIVE = Kernels(tf.matmul, _native_conv, _native_deconv)
CPU = Kernels(_matmul, _conv, _deconv)


def of_device(kind):
    """The faster `Kernels` on a device of a kind: "cpu", "gpu" or "npu"."""
    return CPU if kind == "cpu" and not _has_onednn() else NATIVE


def _has_onednn():
    """Whether this TensorFlow computes with oneDNN here.

    It does from 2.9 on, where the variable asks for it or, without it, on processors that have
    instructions for neural networks.
    """
    if tf.__version__.startswith("1."):
        return False
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "")
    if asked in ("0", "1"):
        return asked == "1"
    try:
        with open(PROCESSOR, encoding="utf-8") as file:
            features = file.read()
        return any(feature in features for feature in ONEDNN_FEATURES)
    except OSError:
        return False
