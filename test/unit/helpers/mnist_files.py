"""Small sets in MNIST's format."""

import gzip
import struct

import numpy as np

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def idx(items):
    """The bytes of an IDX file of an array of integers in [0, 255]."""
    return (
        struct.pack(">BBBB", 0, 0, 8, items.ndim)
        + struct.pack(f">{items.ndim}I", *items.shape)
        + items.astype(np.uint8).tobytes()
    )


def write_set(folder, *, count=12, compressed=False):
    """Writes the four files, `count` images in each pair, the classes in turn; returns `folder`."""
    random = np.random.RandomState(0)
    for names, offset in ((FILES["train"], 0), (FILES["test"], 100)):
        parts = (random.randint(0, 256, (count, 28, 28)), (np.arange(count) + offset) % 10)
        for name, items in zip(names, parts):
            data = idx(items)
            if compressed:
                (folder / (name + ".gz")).write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)
    return folder
