"""Images made on the spot: every path of the program runs on them, on a CPU, in seconds.

Each example is a bright disc on a dark ground. Its place, size and color follow from its index: a
GAN has something to learn, and two readings of an index agree.
"""

import numpy as np

from datasets.dataset import Dataset

NUM_EXAMPLES = 2048


class ColoredDiscs(Dataset):
    """Unlabelled images of any size for the image pair."""

    def __init__(self, *, height: int = 32, width: int = 32, channels: int = 3):
        super().__init__(
            name="synthetic",
            architecture="image",
            image_shape=(height, width, channels),
            num_examples=NUM_EXAMPLES,
        )

    def _read(self, indices):
        return _discs(indices, *self.image_shape), np.zeros(len(indices), np.int64)


class LabelledDiscs(Dataset):
    """Grey images of 28x28 for the MNIST pair; the class, of ten, is the size of the disc."""

    def __init__(self):
        super().__init__(
            name="synthetic_mnist",
            architecture="mnist",
            image_shape=(28, 28, 1),
            num_examples=NUM_EXAMPLES,
            class_names=[f"size {size}" for size in range(10)],
        )

    def _read(self, indices):
        classes = indices % 10
        return _discs(indices, *self.image_shape, radius=0.1 + 0.35 * classes / 10), classes


def open_colored_discs(config):
    """`ColoredDiscs` of the output size that a config asks for."""
    height = config.output_height or 32
    return ColoredDiscs(
        height=height, width=config.output_width or height, channels=config.channels or 3
    )


def open_labelled_discs(config):
    """`LabelledDiscs`."""
    del config
    return LabelledDiscs()


def _discs(indices, height, width, channels, *, radius=None):
    """uint8 [n, height, width, channels]; positions and radii are shares of the sides."""
    traits = np.stack([np.random.RandomState(int(index)).uniform(size=6) for index in indices])
    y, x = np.mgrid[0:height, 0:width]
    center_y, center_x = [(0.3 + 0.4 * traits[:, k])[:, None, None] for k in (0, 1)]
    radius = (0.1 + 0.3 * traits[:, 2]) if radius is None else radius
    distance = np.hypot(y / height - center_y, x / width - center_x)
    inside = distance < np.reshape(radius, (-1, 1, 1))  # [n, height, width]
    colors = (128 + 127 * traits[:, 3 : 3 + channels])[:, None, None, :]
    return np.where(inside[..., None], colors, 16).astype(np.uint8)
