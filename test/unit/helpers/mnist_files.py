"""MNIST's files with made-up images."""

import gzip
import struct

import numpy as np

from datasets import mnist


def idx(items):
    """The bytes of an IDX file that holds an array as uint8."""
    return (
        struct.pack(">BBBB", 0, 0, 8, items.ndim)
        + struct.pack(">%dI" % items.ndim, *items.shape)
        + items.astype(np.uint8).tobytes()
    )


def write_set(folder, count=12, packed=False):
    """Writes the four files of MNIST with `count` images a split into a folder; returns it."""
    random = np.random.RandomState(0)
    for names, offset in ((mnist.FILES["train"], 0), (mnist.FILES["test"], 100)):
        parts = (random.randint(0, 256, (count, 28, 28)), (np.arange(count) + offset) % 10)
        for name, items in zip(names, parts):
            data = idx(items)
            path = folder / (name + ".gz" * packed)
            path.write_bytes(gzip.compress(data) if packed else data)
    return folder
