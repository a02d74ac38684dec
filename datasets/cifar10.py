"""CIFAR-10 in its binary form, kept in memory as uint8 (154 MB for the 50,000 training pictures).

Format: https://www.cs.toronto.edu/~kriz/cifar.html - records of one label byte and 3,072 bytes, the
planes red, green and blue of 32x32, row by row. The Python form of the set is pickled and not read.
"""

import os

import numpy as np

from datasets.pipeline import Dataset
from options import UserError

SIDE = 32
NAME = "cifar-10-batches-bin"
FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
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


def open_cifar10(folder):
    """The training pictures as a labelled `Dataset` for the image pair.

    Args:
        folder: with the five data_batch files, or with the folder `cifar-10-batches-bin` of them.

    Raises:
        UserError: a file is missing or not what its name says.
    """
    inner = os.path.join(folder, NAME)
    records = np.concatenate(
        [_read(os.path.join(inner if os.path.isdir(inner) else folder, name)) for name in FILES]
    )
    labels = records[:, 0]
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    one_hot = np.eye(len(CLASS_NAMES), dtype=np.float32)

    def read(indices):
        return images[indices], one_hot[labels[indices]]

    return Dataset(
        name="cifar10",
        architecture="image",
        image_shape=(SIDE, SIDE, 3),
        num_classes=len(CLASS_NAMES),
        num_examples=len(images),
        read=read,
        class_names=CLASS_NAMES,
    )


def _read(path):
    """The records of a file: uint8 [n, 3073]."""
    try:
        size = os.path.getsize(path)
        if size == 0 or size % _RECORD:
            raise UserError(f"{path}: {size} bytes are no whole number of records of {_RECORD}")
        records = np.fromfile(path, np.uint8).reshape(-1, _RECORD)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; the binary form of CIFAR-10, {NAME}, belongs there"
        )
    if records[:, 0].max() >= len(CLASS_NAMES):
        raise UserError(
            f"{path}: holds the label {records[:, 0].max()}; labels are 0 to {len(CLASS_NAMES) - 1}"
        )
    return records
