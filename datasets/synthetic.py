"""Pictures made on the spot: every path of the program runs on them, on a CPU, in seconds.

Each example is a bright disc on a dark ground; place, size and colour follow from its index, so
that a GAN has something to learn and two readings agree.
"""

import numpy as np

from datasets.pipeline import Dataset

NUM_EXAMPLES = 2048


def coloured_discs(*, height=32, width=32, channels=3):
    """Unlabelled pictures for the image pair, as a `Dataset`."""

    def read(indices):
        return _discs(indices, height, width, channels), np.zeros((len(indices), 0), np.float32)

    return Dataset(
        name="synthetic",
        architecture="image",
        image_shape=(height, width, channels),
        num_classes=0,
        num_examples=NUM_EXAMPLES,
        read=read,
    )


def labelled_discs(*, height=28, width=28, num_classes=10):
    """Grey pictures for the MNIST pair, as a `Dataset`; the class is the disc's size."""

    def read(indices):
        classes = np.asarray(indices) % num_classes
        images = _discs(indices, height, width, 1, radius=0.1 + 0.35 * classes / num_classes)
        return images, np.eye(num_classes, dtype=np.float32)[classes]

    return Dataset(
        name="synthetic_mnist",
        architecture="mnist",
        image_shape=(height, width, 1),
        num_classes=num_classes,
        num_examples=NUM_EXAMPLES,
        read=read,
        class_names=tuple("size %d" % k for k in range(num_classes)),
    )


def _discs(indices, height, width, channels, radius=None):
    """uint8 [n, height, width, channels]; positions and radii are shares of the sides."""
    traits = np.stack([np.random.RandomState(int(index)).uniform(size=6) for index in indices])
    y, x = np.mgrid[0:height, 0:width]
    centre_y, centre_x = [(0.3 + 0.4 * traits[:, k])[:, None, None] for k in (0, 1)]
    radius = (0.1 + 0.3 * traits[:, 2]) if radius is None else radius
    distance = np.hypot(y / height - centre_y, x / width - centre_x)
    inside = distance < np.reshape(radius, (-1, 1, 1))  # [n, height, width]
    colours = (128 + 127 * traits[:, 3 : 3 + channels])[:, None, None, :]
    return np.where(inside[..., None], colours, 16).astype(np.uint8)
