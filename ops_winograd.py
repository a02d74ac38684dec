"""The products of layers with many channels, with a third of the multiplications.

Winograd's minimal filtering, as in Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks" (arXiv 1509.09308), here for 5x5 kernels with stride 2. `WinogradProducts` computes the
same sums as `ops_cpu.CpuProducts`; results differ by rounding only. In single precision that of 256
channels is 2e-6 of a result's size (root mean square), six times that of a plain convolution.

In one dimension, 4 neighbouring small positions need 4 * 5 = 20 multiplications by taps. The even
taps meet every second big position, and the odd taps those between: two convolutions with stride 1,
with 3 and 2 taps. Toom and Cook's algorithm computes 4 results of these with 6 and 5
multiplications: multiply transforms of the positions and of the taps, then transform back. In two
dimensions these are 11 * 11 = 121 multiplications instead of 20 * 20 = 400.

Each product of the transforms, summed over channels, is a matrix product. With B, G and A the
transforms of big image, weights and small image,

    conv              small = A (B big * G weights)
    deconv            big = B' (A' small * G weights)
    weights_gradient  dw = G' (B big * A' small)

where ' is the transposed transform. So a layer and both its gradients share three transforms.

A transformed tensor is a list of `PRODUCTS` float tensors, one for each column product: those of
images are [PRODUCTS, tiles * N, channels], those of weights [PRODUCTS, B, S]. All at once would take
4 to 8 times the memory of the image.
"""

from typing import List, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from ops_cpu import KERNEL, STRIDE, CpuProducts, Size, before, size_of

TILE = 4  # small positions that are computed together
# Points at which Toom and Cook's polynomials are evaluated, besides infinity,
# for the even taps and for the odd ones.
POINTS = ((0.0, 1.0, -1.0, 0.5, -2.0), (0.0, 1.0, -1.0, 0.5))
PRODUCTS = 2 * TILE + 3
# With fewer channels on either side, or fewer tiles in all images of a batch, the transforms take
# longer than what they save.
LEAST_CHANNELS = 32
LEAST_TILES = 16

Transformed = List[tf.Tensor]


class WinogradProducts(CpuProducts):
    """The same products, by minimal filtering where both images have many channels."""

    def _differentiable_conv(self, big, w):
        if not _is_worth_it(big, w, size_of(big)):
            return super()._differentiable_conv(big, w)

        @tf.custom_gradient
        def product(big, w):
            size = size_of(big)
            of_big, of_w = _of_big(big), _of_weights(w)

            def gradients(small):
                of_small = _of_small(small, size)
                dx = _to_big(_multiplied_back(of_small, of_w, size), size)
                return dx, _to_weights(_multiplied(of_big, of_small, transpose_a=True), w)

            return _to_small(_multiplied(of_big, of_w), size), gradients

        return product(big, w)

    def _differentiable_conv_transpose(self, size):
        plain = super()._differentiable_conv_transpose(size)

        @tf.custom_gradient
        def product(small, w):
            of_small, of_w = _of_small(small, size), _of_weights(w)

            def gradients(big):
                of_big = _of_big(big)
                dx = _to_small(_multiplied(of_big, of_w), size)
                return dx, _to_weights(_multiplied(of_big, of_small, transpose_a=True), w)

            return _to_big(_multiplied_back(of_small, of_w, size), size), gradients

        def chosen(small, w):
            return product(small, w) if _is_worth_it(small, w, size) else plain(small, w)

        return chosen


WINOGRAD = WinogradProducts()


def _is_worth_it(image, w, size):
    """Whether minimal filtering is faster for a batch of big images of `size`, or its small ones.

    A batch of unknown size counts as a large one. Half precision has too few digits.
    """
    batch = tf.dimension_value(image.shape[0])
    few_tiles = batch is not None and batch * _num_tiles(size) < LEAST_TILES
    few_channels = min(int(w.shape[2]), int(w.shape[3])) < LEAST_CHANNELS
    return not (few_tiles or few_channels or w.dtype == tf.float16)


def _multiplied(a: Transformed, b: Transformed, **transposed: bool) -> Transformed:
    return [tf.matmul(*pair, **transposed) for pair in zip(a, b)]


def _multiplied_back(of_small: Transformed, of_w: Transformed, size: Size) -> Transformed:
    """The products of a small image with the transposed weights.

    With a single tile they have few rows. Then it is faster to turn these than the weights.
    """
    if _num_tiles(size) > 1:
        return _multiplied(of_small, of_w, transpose_b=True)
    return [
        tf.matrix_transpose(tf.matmul(w, small, transpose_b=True))
        for small, w in zip(of_small, of_w)
    ]


def _of_big(big: tf.Tensor) -> Transformed:
    return _of_image(big, [_big_transform(length) for length in size_of(big)])


def _to_big(transformed: Transformed, size: Size) -> tf.Tensor:
    return _to_image(transformed, [_big_transform(length) for length in size])


def _of_small(small: tf.Tensor, size: Size) -> Transformed:
    """Of a small image that belongs to a big one of `size`."""
    return _of_image(small, [_small_transform(length) for length in size])


def _to_small(transformed: Transformed, size: Size) -> tf.Tensor:
    return _to_image(transformed, [_small_transform(length) for length in size])


def _of_weights(w: tf.Tensor) -> Transformed:
    """Of w [5, 5, B, S]."""
    matrix = _ALGORITHM.taps
    shape = [PRODUCTS, int(w.shape[2]), int(w.shape[3])]
    parts = _transformed(tf.reshape(w, [KERNEL, KERNEL, -1]), matrix, matrix)
    return [tf.reshape(part, shape) for part in parts]


def _to_weights(transformed: Transformed, w: tf.Tensor) -> tf.Tensor:
    """The transposed of `_of_weights`: [5, 5, B, S], the shape of `w`."""
    matrix = _ALGORITHM.taps
    parts = [tf.reshape(part, [PRODUCTS, -1]) for part in transformed]
    return tf.reshape(_transposed(parts, matrix, matrix), w.shape)


def _of_image(image, matrices):
    """The transformed image [N, H, W, C]; the rows of the matrices are products and tiles."""
    height, width = size_of(image)
    channels = int(image.shape[3])
    turned = tf.reshape(tf.transpose(image, [1, 2, 0, 3]), [height, width, -1])
    return [tf.reshape(part, [PRODUCTS, -1, channels]) for part in _transformed(turned, *matrices)]


def _to_image(transformed, matrices):
    """The transposed of `_of_image`."""
    rows, columns = matrices
    height, width, channels = rows.shape[1], columns.shape[1], int(transformed[0].shape[2])
    parts = [tf.reshape(part, [rows.shape[0], -1]) for part in transformed]
    turned = tf.reshape(_transposed(parts, rows, columns), [height, width, -1, channels])
    return tf.transpose(turned, [2, 0, 1, 3])


def _transformed(x, rows, columns):
    """`PRODUCTS` tensors [R, T * D] of x [H, W, D].

    Args:
        x: see above.
        rows: a matrix [R, H].
        columns: a matrix [PRODUCTS * T, W].
    """
    rows, columns = tf.constant(rows, x.dtype), tf.constant(columns, x.dtype)
    x = tf.matmul(columns, x)  # [H, PRODUCTS * T, D]
    parts = tf.unstack(tf.reshape(x, [int(x.shape[0]), PRODUCTS, -1]), axis=1)
    return [tf.matmul(rows, part) for part in parts]


def _transposed(parts, rows, columns):
    """The transposed of `_transformed`: [H, W, D]."""
    rows_back, columns_back = [tf.constant(each.T, parts[0].dtype) for each in (rows, columns)]
    x = tf.stack([tf.matmul(rows_back, part) for part in parts], axis=1)
    x = tf.reshape(x, [rows.shape[1], columns.shape[0], -1])
    return tf.matmul(columns_back, x)


class _Algorithm(NamedTuple):
    """The transforms of one dimension and one tile.

    Attributes:
        positions: B [PRODUCTS, PRODUCTS], for the big positions that a tile meets.
        taps: G [PRODUCTS, KERNEL].
        results: A' [PRODUCTS, TILE], for the small positions.
    """

    positions: np.ndarray
    taps: np.ndarray
    results: np.ndarray


def _algorithm() -> _Algorithm:
    """The even and the odd taps side by side."""
    found = _Algorithm(
        np.zeros([PRODUCTS, PRODUCTS]), np.zeros([PRODUCTS, KERNEL]), np.zeros([PRODUCTS, TILE])
    )
    first = 0
    for parity, points in enumerate(POINTS):
        count = len(points) + 1  # products
        rows = slice(first, first + count)
        positions = np.linalg.inv(_powers(points, count)).T
        # Powers of two, which round nothing, bring all rows of B to about the same size.
        scale = 2.0 ** np.round(np.log2(np.abs(positions).max(1, keepdims=True)))
        found.positions[rows, parity::STRIDE] = positions / scale
        found.taps[rows, parity::STRIDE] = scale * _powers(points, count - TILE + 1)
        found.results[rows] = _powers(points, TILE)
        first += count
    return found


def _powers(points, count: int) -> np.ndarray:
    """[points + 1, count]: the powers 0 to count - 1 of each point; infinity has only the last."""
    return np.vstack([np.vander(points, count, increasing=True), np.eye(count)[-1]])


_ALGORITHM = _algorithm()


def _big_transform(size: int) -> np.ndarray:
    """B of all tiles of a big length: [PRODUCTS * tiles, size]. Outside the image there are zeros."""
    tiles = _tiles_along(size)
    front, step = before(size), STRIDE * TILE
    matrix = np.zeros([PRODUCTS, tiles, front + tiles * step + PRODUCTS])
    for tile in range(tiles):
        matrix[:, tile, step * tile : step * tile + PRODUCTS] = _ALGORITHM.positions
    return matrix[:, :, front : front + size].reshape(PRODUCTS * tiles, size)


def _small_transform(size: int) -> np.ndarray:
    """A' of all tiles of the small length of a big one: [PRODUCTS * tiles, ceil(size / 2)]."""
    tiles = _tiles_along(size)
    matrix = np.kron(np.eye(tiles), _ALGORITHM.results[:, None])  # [PRODUCTS, tiles, tiles * TILE]
    return matrix[:, :, : -(-size // STRIDE)].reshape(PRODUCTS * tiles, -1)


def _tiles_along(length: int) -> int:
    return -(-length // (STRIDE * TILE))


def _num_tiles(size: Size) -> int:
    """The tiles of an image."""
    return _tiles_along(size[0]) * _tiles_along(size[1])
