"""MNIST and sets in its format: IDX files, kept in memory as uint8 (55 MB for all 70,000).

Format: http://yann.lecun.com/exdb/mnist/ - big-endian, two zero bytes, a type byte (8: uint8), the
number of dimensions, the dimensions as 32-bit integers, the data.
"""

import gzip
import os
import struct
import zlib

import numpy as np

from datasets.dataset import ArrayDataset
from datasets.fetched import fetched_folder
from options import UserError

NUM_CLASSES = 10
SIDE = 28
MAX_EXAMPLES = 1000000  # a damaged header may announce more than memory holds
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
SPLITS = {"all": ("train", "test"), "train": ("train",), "test": ("test",)}


def open_mnist(config):
    """The labelled `Dataset` of the IDX files in --data_path, or in --data_dir, fetched if need be.

    Args:
        config: `dataset` is a key of `CLASS_NAMES`; `mnist_split` is "all" (train and test
            together, as the reference trains), "train" or "test".

    Raises:
        UserError: a file is missing or not what its name says.
    """
    folder = config.data_path or fetched_folder(config)
    images, labels = read_split(folder, config.mnist_split)
    return ArrayDataset(
        images,
        labels,
        name=config.dataset,
        architecture="mnist",
        class_names=CLASS_NAMES[config.dataset],
    )


def read_split(folder, split):
    """(images uint8 [n, 28, 28, 1], labels uint8 [n]) of the IDX files in a folder."""
    parts = [_read_pair(folder, *FILES[part]) for part in SPLITS[split]]
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts))


def _read_pair(folder, images_name, labels_name):
    images_path, labels_path = (_find(folder, name) for name in (images_name, labels_name))
    images = _read_idx(images_path, (SIDE, SIDE))[..., None]
    labels = _read_idx(labels_path, ())
    if len(images) != len(labels):
        raise UserError(
            f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path}"
        )
    if len(labels) and labels.max() >= NUM_CLASSES:
        raise UserError(
            f"{labels_path}: holds the label {labels.max()}; labels are 0 to {NUM_CLASSES - 1}"
        )
    return images, labels


def _find(folder, name):
    for spelling in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = os.path.join(folder, spelling + suffix)
            if os.path.isfile(path):
                return path
    raise UserError(f"{folder}: neither {name} nor {name}.gz is there")


def _read_idx(path, item_shape):
    """The uint8 array [n, *item_shape] of an IDX file.

    Reads at most one byte more than the header announces.
    """
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            header = file.read(8 + 4 * len(item_shape))
            count = _count(path, header, item_shape)
            size = count * int(np.prod(item_shape, dtype=np.int64))
            data = _read_up_to(file, size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}")
    if len(data) != size:
        raise UserError(
            "{}: its header announces {} bytes of data, the file holds {}".format(
                path, size, "more" if len(data) > size else len(data)
            )
        )
    return np.frombuffer(data, np.uint8).reshape((count,) + item_shape)


def _count(path, header, item_shape):
    magic = struct.pack(">BBBB", 0, 0, 8, 1 + len(item_shape))
    if len(header) != 8 + 4 * len(item_shape) or header[:4] != magic:
        raise UserError(
            "{}: not an IDX file of {}".format(path, "images" if item_shape else "labels")
        )
    shape = struct.unpack(f">{1 + len(item_shape)}I", header[4:])
    if shape[1:] != item_shape:
        raise UserError(
            "{}: images of {} instead of {}".format(
                path, "x".join(map(str, shape[1:])), "x".join(map(str, item_shape))
            )
        )
    if shape[0] > MAX_EXAMPLES:
        raise UserError(
            f"{path}: its header announces {shape[0]} items; at most {MAX_EXAMPLES} are read"
        )
    return shape[0]


def _read_up_to(file, size):
    """At most `size` bytes, read in chunks: `read(size)` would allocate them before it reads."""
    chunks = []
    while size > 0:
        chunk = file.read(min(size, 1 << 20))
        if not chunk:
            break
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
