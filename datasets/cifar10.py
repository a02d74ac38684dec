"""CIFAR-10 in its binary form, kept in memory as uint8 (154 MB for the 50,000 training images).

Format: https://www.cs.toronto.edu/~kriz/cifar.html - records of one label byte and 3,072 bytes, the
planes red, green and blue of 32x32, row by row. The Python form of the set is pickled and not read.
"""

import os

import numpy as np

from datasets.dataset import ArrayDataset
from datasets.fetched import fetched_folder
from datasets.names import CIFAR10_FILES
from options import UserError
from system.regular_file import open_regular

SIDE = 32
NAME = "cifar-10-batches-bin"
CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_RECORD = 1 + 3 * SIDE * SIDE


def open_cifar10(config):
    """The training images in --data_path, or in --data_dir, fetched if need be, with labels.

    The five data_batch files are in that folder or in its folder `cifar-10-batches-bin`.

    Raises:
        UserError: a file is missing or not what its name says.
    """
    folder = config.data_path or fetched_folder(config)
    records = np.concatenate([_read(_find(folder, name)) for name in CIFAR10_FILES])
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return ArrayDataset(
        images, records[:, 0], name="cifar10", architecture="image", class_names=CLASS_NAMES
    )


def _find(folder, name):
    inner = os.path.join(folder, NAME, name)
    return inner if os.path.exists(inner) else os.path.join(folder, name)


def _read(path):
    """The records of a file: uint8 [n, 3073]."""
    try:
        size = os.path.getsize(path)
        if size == 0 or size % _RECORD:
            raise UserError(f"{path}: {size} bytes, not a multiple of a record ({_RECORD})")
        with open_regular(path) as file:
            records = np.fromfile(file, np.uint8).reshape(-1, _RECORD)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; the binary form of CIFAR-10, {NAME}, is expected there"
        )
    if records[:, 0].max() >= len(CLASS_NAMES):
        raise UserError(
            f"{path}: holds the label {records[:, 0].max()}; labels are 0 to {len(CLASS_NAMES) - 1}"
        )
    return records
