"""The mathematics of the metrics: how far generated images are from real ones. No TensorFlow."""

from typing import Tuple

import numpy as np

import utils

QUERY_BLOCK = 500  # queries compared at once with
POINT_BLOCK = 4000  # images: 8 MB of distances
EXACT_PIXELS = 1 << 10  # times 128 * 128: float32 holds all integers up to that
# A sum of 1,024 such products and of |p|^2 / 2 stays below 2^25, where float32 is off by at most 1:
# so its 1,025 additions are off by less than half of this.
ROUNDING = 4 * EXACT_PIXELS
KID_SUBSETS = 20
KID_SUBSET_SIZE = 1000

Split = Tuple[np.ndarray, np.ndarray]  # images and their labels


def nearest_neighbor_error(known: Split, unknown: Split, *, progress: str = "off") -> float:
    """The error of a 1-nearest-neighbor classifier in pixel space, in percent.

    The measure of arXiv 1511.06434, section 6: labeled samples classify the real test images.
    It is exact: centered on 0, pixels are integers of at most 128, and single precision holds each
    sum of 1,024 of their products without rounding.

    Args:
        known: what is searched: uint8 [N, ...] of at most 1,024 values and integers [N].
        unknown: what is classified: uint8 [M, ...] and integers [M].
        progress: "on", "off" or "auto", for the progress bar.
    """
    (images, labels), (test_images, test_labels) = known, unknown
    neighbors = NearestNeighbors(test_images)
    with utils.progress_bar(progress, total=len(images), unit="image", desc="neighbors") as bar:
        for start in range(0, len(images), POINT_BLOCK):
            block = slice(start, start + POINT_BLOCK)
            neighbors.add(images[block], labels[block])
            bar.update(len(labels[block]))
    return neighbors.error(test_labels)


class NearestNeighbors:
    """The nearest image to each query, of all those that were added. Of equals the first one counts.

    Attributes:
        nearness: int32 [M]: 2 q p - |p|^2 of each query q and its nearest p.
        labels: int64 [M], those of the nearest images.
    """

    def __init__(self, queries: np.ndarray) -> None:
        """`queries`: uint8 [M, ...] of at most 1,024 values."""
        self._queries = _with_column(_centered(queries), np.ones(len(queries)))
        self._scores = np.empty(QUERY_BLOCK * POINT_BLOCK, np.float32)
        self.nearness = np.full(len(queries), np.iinfo(np.int32).min, np.int32)
        self.labels = np.full(len(queries), -1, np.int64)

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Compares all queries with images uint8 [N, ...] and their labels, integers [N].

        A matrix product gives q p - |p|^2 / 2 for all of them, but for rounding. What counts is
        computed exactly, of the few queries that may have a nearer image in a block.
        """
        for start in range(0, len(images), POINT_BLOCK):
            block = _Block(images[start : start + POINT_BLOCK], labels[start : start + POINT_BLOCK])
            for first in range(0, len(self._queries), QUERY_BLOCK):
                queries = self._queries[first : first + QUERY_BLOCK]
                shape = (len(queries), len(block.points))
                scores = self._scores[: shape[0] * shape[1]].reshape(shape)
                np.dot(queries, block.extended.T, out=scores)
                best = self.nearness[first : first + QUERY_BLOCK] / 2.0
                maybe = np.flatnonzero(scores.max(1) >= best - ROUNDING)
                if len(maybe):
                    self._compare(first + maybe, scores[maybe], block)

    def _compare(self, rows: np.ndarray, scores: np.ndarray, block: "_Block") -> None:
        """Takes the nearest image of a block where it is nearer: of queries [R], scores [R, N]."""
        nearest, nearness = block.nearest(self._queries[rows, :-1], scores)
        nearer = nearness > self.nearness[rows]
        self.nearness[rows[nearer]] = nearness[nearer]
        self.labels[rows[nearer]] = block.labels[nearest[nearer]]

    def error(self, labels: np.ndarray) -> float:
        """The share of the queries, in percent, whose label [M] is not that of the nearest image."""
        return 100.0 * int((self.labels != labels).sum()) / len(labels)


class _Block:
    """Images that are compared together, with their labels."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.labels = labels
        self.points = _centered(images)
        self._lengths = np.einsum("ij,ij->i", self.points, self.points).astype(np.int32)
        self.extended = _with_column(self.points, self._lengths / -2.0)

    def nearest(self, queries: np.ndarray, scores: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """(int64 [R], the first of the nearest images; int32 [R], its nearness), both exact.

        Args:
            queries: float32 [R, values].
            scores: [R, N], off by less than half of `ROUNDING`.
        """
        nearest = scores.argmax(1)
        chosen = self.points[nearest]
        nearness = _doubled(np.einsum("ij,ij->i", queries, chosen)) - self._lengths[nearest]
        close = scores >= scores.max(1, keepdims=True) - np.float32(ROUNDING)
        tied = np.flatnonzero(close.sum(1) > 1)
        if len(tied):
            exact = _doubled(queries[tied].dot(self.points.T)) - self._lengths
            nearest[tied], nearness[tied] = exact.argmax(1), exact.max(1)
        return nearest, nearness


def _doubled(products: np.ndarray) -> np.ndarray:
    return 2 * products.astype(np.int32)  # |q - p|^2 = |q|^2 - (2 q p - |p|^2)


def _with_column(rows: np.ndarray, column: np.ndarray) -> np.ndarray:
    """float32 [N, F] and [N] as float32 [N, F + 1]."""
    return np.concatenate([rows, column[:, None].astype(np.float32)], axis=1)


def _centered(images: np.ndarray) -> np.ndarray:
    points = images.reshape(len(images), -1).astype(np.float32) - 128
    assert points.shape[1] <= EXACT_PIXELS, points.shape
    return points


def frechet_distance(features: np.ndarray, other: np.ndarray) -> float:
    """The Frechet distance of two Gaussians with the features' means and covariances.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), as in arXiv 1706.08500.

    Args:
        features, other: float [N, F] and [M, F], N and M at least 2.

    Returns:
        At least 0, in squared units of the features.
    """
    import scipy.linalg  # takes a second

    means = [array.mean(0, dtype=np.float64) for array in (features, other)]
    covariances = [np.atleast_2d(np.cov(array, rowvar=False)) for array in (features, other)]
    # The product has the eigenvalues of S1^(1/2) S2 S1^(1/2), which are real and not negative.
    eigenvalues = scipy.linalg.eigvals(covariances[0].dot(covariances[1])).real
    root_trace = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    distance = (
        np.square(means[0] - means[1]).sum()
        + np.trace(covariances[0])
        + np.trace(covariances[1])
        - 2 * root_trace
    )
    return max(float(distance), 0.0)


def kernel_distance(features: np.ndarray, other: np.ndarray) -> float:
    """The kernel distance KID of arXiv 1801.01401: unbiased, so it may be a little below 0.

    The mean over subsets, drawn by a fixed seed, of the squared maximum mean discrepancy under the
    kernel (x y / F + 1)^3.

    Args:
        features, other: float [N, F] and [M, F], N and M at least 2.
    """
    random = np.random.RandomState(0)
    size = min(KID_SUBSET_SIZE, len(features), len(other))
    discrepancies = []
    for _ in range(KID_SUBSETS):
        chosen = [array[random.permutation(len(array))[:size]] for array in (features, other)]
        discrepancies.append(_discrepancy(*[array.astype(np.float64) for array in chosen]))
    return float(np.mean(discrepancies))


def _discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    n = len(x)
    kernels = [_kernel(a, a) for a in (x, y)]
    within = [(kernel.sum() - np.trace(kernel)) / (n * (n - 1)) for kernel in kernels]
    return sum(within) - 2 * _kernel(x, y).mean()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x.dot(y.T) / x.shape[1] + 1) ** 3
