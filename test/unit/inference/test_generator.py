"""A generator's chunks: in their order, some at once, the same whatever their number."""

import threading
import time

import numpy as np
import pytest

from config import Config
from inference.generator import CHUNK, Generator, in_chunks

CONFIG = Config(z_dim=3, num_classes=2, progress="off")


def images_of(z, y):
    """Images of 1x2 pixels that say which latents and labels they are of."""
    assert z.shape == (CHUNK, 3) and y.shape == (CHUNK, 2)
    return np.stack([np.abs(z[:, 0]), y[:, 1]], axis=-1)[:, None, :, None]


@pytest.mark.parametrize("count", [1, CHUNK, 10 * CHUNK + 5])
def test_several_chunks_at_once_give_what_one_at_a_time_does(count):
    def slow_at_first(z, y):
        time.sleep(0.05 * (not at_work))
        at_work.append(threading.get_ident())
        return images_of(z, y)

    at_work = []
    one, many = [
        Generator(CONFIG, function, (0.0, 1.0), at_once=at_once)
        for function, at_once in ((images_of, 1), (slow_at_first, 3))
    ]
    seeds, classes = range(count), [seed % 2 for seed in range(count)]
    expected = list(one.blocks(seeds, classes))
    drawn = list(many.draw(seeds, classes))
    assert [len(block) for block in drawn] == [len(block) for block in expected]
    assert np.array_equal(np.concatenate(drawn), np.concatenate(expected))
    assert len(set(at_work)) == min(3, -(-count // CHUNK))
    z, y = np.random.RandomState(0).rand(count, 3), np.eye(2)[classes]
    assert np.array_equal(many.images_of(z, y), one.images_of(z, y))


def test_the_error_of_a_chunk_is_raised():
    def broken(z):
        raise ValueError("broken")

    for at_once in (1, 2):
        with pytest.raises(ValueError, match="broken"):
            in_chunks(broken, np.zeros((3 * CHUNK, 1)), at_once=at_once)
