"""How the layers compute their products: with TensorFlow's own operations, or fast on a CPU.

All convolutions are 5x5 with stride 2 and SAME padding, between a big image [N, H, W, B] and a
small one [N, ceil(H/2), ceil(W/2), S] with weights [5, 5, B, S]: `conv` goes from big to small,
`deconv`, the transposed convolution, from small to big. `CpuProducts` computes the same sums as
`NativeProducts`, so results differ by rounding only and variables not at all.

TensorFlow's CPU kernels run a forward convolution at the speed of a matrix product, but both
gradients of a convolution (and so a transposed convolution) at a tenth to a half of that speed.
`CpuProducts` therefore writes all three as forward convolutions with stride 1:

* A transposed convolution is four convolutions, one for each phase (row parity, column parity) of
  the big image, whose results are interleaved: sub-pixel convolution, as in Shi et al., "Is the
  deconvolution layer the same as a convolutional layer?" (arXiv 1609.07009).
* The gradient to the weights is a convolution of the big image with the small one as its kernel,
  dilated by the stride, with batch and channels exchanged. It follows from the arithmetic in
  Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (arXiv 1603.07285).

A worked example in one dimension, for a big length of 6 and so a small one of 3. SAME pads by 3 in
all, `before` = 1 of them in front. Tap k joins small position i and big position 2 i + k - 1:

    conv      small[i] = w[0] big[2i-1] + w[1] big[2i] + w[2] big[2i+1]
                         + w[3] big[2i+2] + w[4] big[2i+3]

The transposed convolution sums over the same pairs for each big position j, so k = j + 1 - 2 i.
Even positions (phase 0) meet odd taps, odd positions (phase 1) meet even taps:

    deconv    big[2p]   = w[3] small[p-1] + w[1] small[p]
              big[2p+1] = w[4] small[p-1] + w[2] small[p] + w[0] small[p+1]

Each line is a convolution of the small image with stride 1. The gradient to the weights is

    dw[k] = big[k-1] small[0] + big[k+1] small[1] + big[k+3] small[2]

which slides the kernel (small[0], 0, small[1], 0, small[2]) along the padded big image.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

KERNEL = 5
STRIDE = 2
# For fewer output channels than this, TensorFlow's own transposed convolution is faster.
LEAST_CHANNELS = 16

Labels = Optional[tf.Tensor]  # [N, K]
Size = Tuple[int, int]


class NativeProducts:
    """The products of a layer, by TensorFlow's own operations. All are differentiable.

    Labels [N, K], where given, are K constant planes behind the channels of the input image. No op
    is built for labels that are None or have K = 0.
    """

    def matmul(self, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        """x [N, C] times w [C, U]: [N, U]."""
        return tf.matmul(x, w)

    def conv(self, x: tf.Tensor, w: tf.Tensor, *, labels: Optional[tf.Tensor] = None) -> tf.Tensor:
        """A convolution of x [N, H, W, C] with w [5, 5, C + K, S]: [N, ceil(H/2), ceil(W/2), S]."""
        return _conv(with_planes(x, labels), w)

    def deconv(self, x: tf.Tensor, w: tf.Tensor, size: Size, *, labels: Labels = None) -> tf.Tensor:
        """A transposed convolution to `size`, which is (H, W).

        x [N, ceil(H/2), ceil(W/2), C] with w [5, 5, B, C + K]: [N, H, W, B].
        """
        return _native_conv_transpose(with_planes(x, labels), w, size)


class CpuProducts(NativeProducts):
    """The same products as forward convolutions, which TensorFlow's CPU kernels do fast."""

    def matmul(self, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        return _differentiable_matmul(x, w)

    def conv(self, x: tf.Tensor, w: tf.Tensor, *, labels: Optional[tf.Tensor] = None) -> tf.Tensor:
        classes = num_planes(labels)
        if classes == 0:
            return self._differentiable_conv(x, w)
        w_image, w_labels = tf.split(w, [_channels(x), classes], 2)
        masks = [_tap_mask(length).any(1) for length in size_of(x)]
        return self._differentiable_conv(x, w_image) + _label_planes_conv(labels, w_labels, masks)

    def deconv(self, x: tf.Tensor, w: tf.Tensor, size: Size, *, labels: Labels = None) -> tf.Tensor:
        classes = num_planes(labels)
        product = self._differentiable_conv_transpose(size)
        if classes == 0:
            return product(x, w)
        w_image, w_labels = tf.split(w, [_channels(x), classes], 3)
        masks = [_tap_mask(length).any(0) for length in size]
        return product(x, w_image) + _label_planes_conv(
            labels, tf.transpose(w_labels, [0, 1, 3, 2]), masks
        )

    def conv_transpose(self, small: tf.Tensor, w: tf.Tensor, size: Size) -> tf.Tensor:
        """The transposed convolution, without its gradients and labels; see `deconv`."""
        return _conv_transpose(small, w, size)

    def weights_gradient(self, big: tf.Tensor, small: tf.Tensor) -> tf.Tensor:
        """The gradient [5, 5, B, S] to the weights of a convolution of `big` [N, H, W, B].

        Args:
            big: see above.
            small: the gradient [N, ceil(H/2), ceil(W/2), S] to its result.
        """
        return _weights_gradient(big, small)

    def _differentiable_conv(self, big, w):
        @tf.custom_gradient
        def product(big, w):
            def gradients(small):
                dx = self.conv_transpose(small, w, size_of(big))
                return dx, self.weights_gradient(big, small)

            return _conv(big, w), gradients

        return product(big, w)

    def _differentiable_conv_transpose(self, size):
        @tf.custom_gradient
        def product(small, w):
            def gradients(big):
                return _conv(big, w), self.weights_gradient(big, small)

            return self.conv_transpose(small, w, size), gradients

        return product


NATIVE = NativeProducts()
CPU = CpuProducts()


def num_planes(labels: Labels) -> int:
    """K of labels [N, K]; 0 for None."""
    return 0 if labels is None else _channels(labels)


def with_planes(x: tf.Tensor, labels: Labels) -> tf.Tensor:
    """Appends labels as constant planes to x [N, H, W, C]: [N, H, W, C + K]; `x` itself for K = 0."""
    if labels is None or num_planes(labels) == 0:
        return x
    planes = tf.tile(labels[:, None, None, :], [1, x.shape[1], x.shape[2], 1])
    return tf.concat([x, planes], 3)


def _conv(big, w):
    return tf.nn.conv2d(big, w, strides=[1, STRIDE, STRIDE, 1], padding="SAME")


def _native_conv_transpose(small, w, size):
    shape = tf.stack([tf.shape(small)[0], size[0], size[1], w.shape[2]])
    big = tf.nn.conv2d_transpose(small, w, shape, strides=[1, STRIDE, STRIDE, 1], padding="SAME")
    big.set_shape([small.shape[0], size[0], size[1], w.shape[2]])
    return big


def native_weights_gradient(big: tf.Tensor, small: tf.Tensor) -> tf.Tensor:
    """The same as `CpuProducts.weights_gradient`, by TensorFlow's own operation."""
    shape = [KERNEL, KERNEL, _channels(big), _channels(small)]
    return tf.nn.conv2d_backprop_filter(big, shape, small, [1, STRIDE, STRIDE, 1], "SAME")


@tf.custom_gradient
def _differentiable_matmul(x, w):
    """A product whose gradient to x is computed transposed: for few rows 2.5 to 5 times as fast."""

    def gradients(dy):
        return tf.transpose(tf.matmul(w, dy, transpose_b=True)), tf.matmul(x, dy, transpose_a=True)

    return tf.matmul(x, w), gradients


def _label_planes_conv(labels, w, masks: Sequence[np.ndarray]):
    """The share of a convolution that K constant planes contribute: one map a class, [N, H, W, C].

    Args:
        labels: the planes' values [N, K].
        w: their weights [5, 5, K, C].
        masks: for rows and columns a bool array [H or W, 5]: whether a tap falls into the image.
    """
    classes, channels = int(w.shape[2]), int(w.shape[3])
    sums = tf.constant(np.kron(*masks), w.dtype)  # [H W, 25]
    maps = tf.matmul(sums, tf.reshape(w, [KERNEL**2, classes * channels]))
    maps = tf.transpose(tf.reshape(maps, [-1, classes, channels]), [1, 0, 2])
    planes = tf.matmul(labels, tf.reshape(maps, [classes, -1]))
    return tf.reshape(planes, [-1] + [len(mask) for mask in masks] + [channels])


def _conv_transpose(small, w, size):
    """A transposed convolution as four convolutions, one for each pixel of a 2x2 block."""
    if w.shape[2] < LEAST_CHANNELS:
        return _native_conv_transpose(small, w, size)
    w = tf.transpose(tf.reshape(w, [KERNEL**2, w.shape[2], w.shape[3]]), [0, 2, 1])
    rows = [
        tf.stack([_phase_conv(small, w, row, column) for column in phases(size[1])], 3)
        for row in phases(size[0])
    ]  # twice [N, h, w, 2, B]
    big = tf.reshape(
        tf.stack(rows, 2), [-1] + [STRIDE * length for length in size_of(small)] + [int(w.shape[2])]
    )
    return big[:, : size[0], : size[1]]


def _phase_conv(small, w, row, column):
    """The convolution that computes one pixel of each 2x2 block; `w` is [25, S, B]."""
    taps = np.add.outer(KERNEL * row.taps, column.taps)
    weights = tf.reshape(tf.gather(w, taps.ravel()), taps.shape + (w.shape[1], w.shape[2]))
    return tf.nn.conv2d(
        small, weights, strides=[1, 1, 1, 1], padding=[[0, 0], row.padding, column.padding, [0, 0]]
    )


class Phase(NamedTuple):
    """The big positions 2 p + start of one start, 0 or 1.

    Attributes:
        taps: the taps that meet small positions p - 1, p and p + 1, in this order; those outside
            the kernel are left out.
        padding: [1 if p - 1 is met, 1 if p + 1 is met], else 0.
    """

    taps: np.ndarray
    padding: List[int]


def phases(size: int) -> List[Phase]:
    """The two phases of a big length.

    Big position 2 p + start meets small position p + a through tap start + before - 2 a.
    """
    phases = []
    for start in range(STRIDE):
        taps = start + before(size) - STRIDE * np.array([-1, 0, 1])
        inside = (taps >= 0) & (taps < KERNEL)
        phases.append(Phase(taps[inside], [int(inside[0]), int(inside[2])]))
    return phases


def _weights_gradient(big, small):
    """The gradient to the weights as a forward convolution, with batch and channels exchanged.

    dw[k, l, b, s] sums big[n, 2 i + k, 2 j + l, b] small[n, i, j, s] over n, i and j: that is the
    convolution of big with small as its weights, dilated by the stride.
    """
    height, width = size_of(big)
    sides = [[before(size), _padding(size) - before(size)] for size in (height, width)]
    exchanged = tf.reshape(
        tf.transpose(tf.reshape(big, [-1, height * width * int(big.shape[3])])),
        [height, width, int(big.shape[3]), -1],
    )
    dw = tf.nn.conv2d(
        tf.transpose(exchanged, [2, 0, 1, 3]),
        tf.transpose(small, [1, 2, 0, 3]),
        strides=[1, 1, 1, 1],
        padding=[[0, 0], *sides, [0, 0]],
        dilations=[1, STRIDE, STRIDE, 1],
    )
    return tf.transpose(dw, [1, 2, 0, 3])


def _tap_mask(size: int) -> np.ndarray:
    """Which tap joins which positions of a small and a big length: bool [small, big, 5]."""
    small, big, tap = np.ogrid[: -(-size // STRIDE), :size, :KERNEL]
    return STRIDE * small + tap - before(size) == big


def _padding(size: int) -> int:
    """What SAME pads a big length by, in front and behind together."""
    return max((-(-size // STRIDE) - 1) * STRIDE + KERNEL - size, 0)


def before(size: int) -> int:
    """What SAME pads in front."""
    return _padding(size) // 2


def _channels(x) -> int:
    return int(x.shape[-1])


def size_of(x: tf.Tensor) -> Size:
    """(H, W) of x [N, H, W, C]."""
    return int(x.shape[1]), int(x.shape[2])
