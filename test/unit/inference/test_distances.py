"""The distances on cases whose answer is known."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import distances


def test_nearest_neighbor_error_of_constructed_points():
    """Corners that are 20 gray values apart; a fifth of the test labels are of another corner."""
    random = np.random.RandomState(0)
    corners = (20 * random.randint(0, 12, (40, 3, 3, 1)) + 5).astype(np.uint8)
    labels = np.arange(40) % 10
    near = np.clip(corners.astype(int) + random.randint(-2, 3, corners.shape), 0, 255).astype(
        np.uint8
    )
    asked = labels.copy()
    asked[::5] = (asked[::5] + 1) % 10
    assert distances.nearest_neighbor_error((corners, labels), (near, labels)) == 0
    assert distances.nearest_neighbor_error((corners, labels), (near, asked)) == 20


def test_nearest_neighbor_is_that_of_all_distances(monkeypatch):
    monkeypatch.setattr(distances, "QUERY_BLOCK", 7)
    monkeypatch.setattr(distances, "POINT_BLOCK", 40)
    random = np.random.RandomState(1)
    images, tests = [
        random.randint(0, 256, (count, 28, 28, 1)).astype(np.uint8) for count in (90, 50)
    ]
    labels, test_labels = random.randint(0, 10, 90), random.randint(0, 10, 50)
    squared = np.square(tests.reshape(50, 1, -1).astype(int) - images.reshape(1, 90, -1)).sum(2)
    expected = 100 * (labels[squared.argmin(1)] != test_labels).mean()
    assert distances.nearest_neighbor_error((images, labels), (tests, test_labels)) == expected


def test_nearest_neighbors_of_black_and_white_are_exact():
    """The largest possible numbers, which differ in the last place only."""
    images = np.zeros((3, 28, 28, 1), np.uint8)
    images[1] = 255
    images[2] = 255
    images[2, 0, 0] = 254
    tests = images[1:].copy()
    tests[1, 0, 0] = 253  # nearest by 1 in 253**2 + ...
    known, unknown = (images, np.arange(3)), (tests, np.array([1, 2]))
    assert distances.nearest_neighbor_error(known, unknown) == 0


def naive_neighbors(queries, images):
    """(nearness int64 [M], the number of the first nearest image [M]), in integers."""
    q, p = [each.reshape(len(each), -1).astype(np.int64) - 128 for each in (queries, images)]
    nearness = 2 * q.dot(p.T) - np.square(p).sum(1)
    return nearness.max(1), nearness.argmax(1)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_neighbors_are_those_of_integer_arithmetic(data):
    """Added in parts of any size; few values and copies make ties, of which the first one counts."""
    draw = data.draw
    random = np.random.RandomState(draw(st.integers(0, 1 << 31)))
    values = draw(st.sampled_from([1, 3, 28 * 28, 32 * 32]))
    shades = draw(st.sampled_from([[0, 255], [0, 1, 254, 255], [127, 128, 129], range(256)]))
    queries, images = [
        random.choice(shades, (draw(st.integers(1, most)), values)).astype(np.uint8)
        for most in (40, 90)
    ]
    images = np.concatenate([images, images[::2], queries[::3]])
    images[:, 0] ^= random.randint(0, 2, len(images)).astype(np.uint8)  # apart by 1 in a value
    blocks = dict(QUERY_BLOCK=draw(st.integers(1, 50)), POINT_BLOCK=draw(st.integers(1, 200)))
    with mock.patch.multiple(distances, **blocks):
        neighbors = distances.NearestNeighbors(queries)
        part = draw(st.integers(1, len(images)))
        for first in range(0, len(images), part):
            neighbors.add(
                images[first : first + part], np.arange(len(images))[first : first + part]
            )
    nearness, numbers = naive_neighbors(queries, images)
    assert neighbors.nearness.dtype == np.int32 and neighbors.labels.dtype == np.int64
    assert np.array_equal(neighbors.nearness, nearness)
    assert np.array_equal(neighbors.labels, numbers)


def test_rounding_decides_nothing():
    """Sums beyond 2^24, which float32 rounds: the exact order is kept."""
    queries = np.full((1, 1024), 255, np.uint8)
    queries[:, :20] = 128
    images = np.full((3000, 1024), 0, np.uint8)
    images[:, :20] = 127
    for number in range(20):  # the nearest come last, by less than is rounded
        images[100 * number + 1000 :, number] = 128
    neighbors = distances.NearestNeighbors(queries)
    neighbors.add(images, np.arange(3000))
    nearness, numbers = naive_neighbors(queries, images)
    assert neighbors.nearness[0] == nearness[0] < -(1 << 24) and neighbors.labels[0] == numbers[0]
    scores = neighbors._queries.dot(distances._Block(images, numbers).extended.T)
    assert scores.argmax() != numbers[0]  # the test is worth something


def test_frechet_distance_of_two_gaussians():
    """Samples with exactly the moments wanted, against the closed form for diagonal covariances."""
    random = np.random.RandomState(2)
    white = random.standard_normal((400, 3))
    white -= white.mean(0)
    white = white.dot(np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T)
    one, other = white * [1, 2, 3] + [0, 1, 0], white[::-1] * [3, 2, 0.5] + [2, 1, 1]
    expected = (2**2 + 1**2) + (1 - 3) ** 2 + (3 - 0.5) ** 2
    assert distances.frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)
    assert distances.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert distances.frechet_distance(one[:, :1], other[:, :1]) == pytest.approx(
        2**2 + (1 - 3) ** 2
    )


def test_kernel_distance_is_the_unbiased_estimate():
    """On few points, against sums over all pairs; on halves of one set about 0, of two sets not."""
    random = np.random.RandomState(3)
    x, y = random.standard_normal((2, 6, 4))

    def k(a, b):
        return (a.dot(b) / 4 + 1) ** 3

    pairs = [(i, j) for i in range(6) for j in range(6)]
    expected = sum((k(x[i], x[j]) + k(y[i], y[j])) / 30 for i, j in pairs if i != j) - sum(
        2 * k(x[i], y[j]) / 36 for i, j in pairs
    )
    assert distances.kernel_distance(x, y) == pytest.approx(expected)
    many = random.standard_normal((2400, 4))
    same = distances.kernel_distance(many[:1200], many[1200:])
    assert abs(same) < 0.05 < distances.kernel_distance(many[:1200], many[1200:] + 1)
    assert same == distances.kernel_distance(many[:1200], many[1200:])
