"""The products of a layer where TensorFlow computes with oneDNN, as 2.x does on many processors.

oneDNN runs a forward convolution at the speed of a matrix product or above it, and most of
TensorFlow's own gradients nearly so. What is slow there: gradients to the weights where images are
small, and a transposed convolution to few channels. So `OneDnnProducts` is
`ops_winograd.WinogradProducts` with two exceptions, each measured (docs/performance.md).
"""

import numpy as np
import tensorflow.compat.v1 as tf

from ops_cpu import (
    KERNEL,
    LEAST_CHANNELS,
    STRIDE,
    Size,
    native_weights_gradient,
    phases,
    size_of,
)
from ops_winograd import WinogradProducts

# With more pixels than this in a big image, TensorFlow's own gradient to the weights is faster.
MOST_PIXELS = 20 * 20
NEIGHBOURS = 3  # small positions p - 1, p and p + 1, which a big position near p may meet


class OneDnnProducts(WinogradProducts):
    """The same products, each by the operation that oneDNN does fast."""

    def conv_transpose(self, small: tf.Tensor, w: tf.Tensor, size: Size) -> tf.Tensor:
        """See `ops_cpu.CpuProducts.conv_transpose`; to few channels it is a single convolution."""
        if w.shape[2] < LEAST_CHANNELS:
            return _single_conv_transpose(small, w, size)
        return super().conv_transpose(small, w, size)

    def weights_gradient(self, big: tf.Tensor, small: tf.Tensor) -> tf.Tensor:
        """See `ops_cpu.CpuProducts.weights_gradient`; of large images it is TensorFlow's own."""
        if np.prod(size_of(big)) > MOST_PIXELS:
            return native_weights_gradient(big, small)
        return super().weights_gradient(big, small)


ONEDNN = OneDnnProducts()


def _single_conv_transpose(small, w, size):
    """All four phases in one 3x3 convolution to 4 B channels.

    It multiplies by zeros where a phase has fewer than 3 taps, and reads `small` once, not four
    times; with few channels, reading is what takes the time.
    """
    made, channels = int(w.shape[2]), int(w.shape[3])
    taps = np.add.outer(
        KERNEL * _taps_of(size[0]), _taps_of(size[1])
    )  # [row phase, 3, column phase, 3]
    outside = np.logical_or.outer(_taps_of(size[0]) < 0, _taps_of(size[1]) < 0)
    taps = np.where(outside, KERNEL**2, taps).transpose([1, 3, 0, 2])
    table = tf.pad(tf.reshape(w, [KERNEL**2, made, channels]), [[0, 1], [0, 0], [0, 0]])
    weights = tf.reshape(tf.gather(table, taps.ravel()), list(taps.shape) + [made, channels])
    weights = tf.reshape(
        tf.transpose(weights, [0, 1, 5, 2, 3, 4]), [NEIGHBOURS, NEIGHBOURS, channels, -1]
    )
    blocks = tf.nn.conv2d(small, weights, strides=[1, 1, 1, 1], padding="SAME")
    height, width = size_of(small)
    blocks = tf.reshape(blocks, [-1, height, width, STRIDE, STRIDE * made])
    big = tf.reshape(
        tf.transpose(blocks, [0, 1, 3, 2, 4]), [-1, STRIDE * height, STRIDE * width, made]
    )
    return big[:, : size[0], : size[1]]


def _taps_of(size):
    """[2, 3]: for each phase of a big length the taps that meet p - 1, p, p + 1; -1 is none."""
    found = np.full([STRIDE, NEIGHBOURS], -1)
    for start, phase in enumerate(phases(size)):
        first = 1 - phase.padding[0]
        found[start, first : first + len(phase.taps)] = phase.taps
    return found
