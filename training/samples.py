"""The sample grid: images that training draws again and again from the same z and labels."""

import glob
import os
import re
from typing import List, NamedTuple, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

import model
import utils
from config import Config
from datasets import pipeline
from datasets.dataset import Dataset

GRID_NAME = re.compile(r"train_(\d{1,18})\.png$")


class DrawnGrid(NamedTuple):
    """A sample grid as the networks of one moment draw it.

    Attributes:
        pixels: uint8 [sample_num, H, W, C].
        d_loss, g_loss: of the moving-average networks on the grid's inputs.
    """

    pixels: np.ndarray
    d_loss: float
    g_loss: float

    @property
    def spread(self) -> float:
        """See `spread`."""
        return spread(self.pixels)


class SampleGrid:
    """Ops that draw the grid, and the fixed arrays that they are fed."""

    def __init__(self, *, networks: model.Networks, dataset: Dataset, config: Config):
        """Builds the ops in the default graph; they change no variable."""
        fixed = pipeline.sample_inputs(dataset, config=config, value_range=networks.value_range)
        inputs = pipeline.SampleInputs(
            *[tf.placeholder(tf.float32, (None,) + part.shape[1:]) for part in fixed]
        )
        images = networks.generator(inputs.z, inputs.labels, training=False)
        losses = model.gan_losses(
            networks.loss,
            networks.discriminator(inputs.images, inputs.image_labels, training=False),
            networks.discriminator(images, inputs.labels, training=False),
        )
        self._fetches = {"images": images, "d_loss": losses.d, "g_loss": losses.g}
        self._feed = dict(zip(inputs, fixed))
        self._value_range: Tuple[float, float] = networks.value_range

    def draw(self, session: tf.Session) -> DrawnGrid:
        """The grid as the networks draw it now."""
        values = session.run(self._fetches, self._feed)
        return DrawnGrid(
            utils.to_pixels(values["images"], self._value_range),
            float(values["d_loss"]),
            float(values["g_loss"]),
        )


def grid_path(folder: str, step: int) -> str:
    """The path of a step's grid."""
    return os.path.join(folder, f"train_{step:08d}.png")


def grid_paths(folder: str) -> List[str]:
    """The grids in a folder in the order of their steps: regular files `train_STEP.png` only."""
    found = glob.glob(os.path.join(glob.escape(folder), "train_*.png"))
    grids = [path for path in found if os.path.isfile(path) and not os.path.islink(path)]
    return sorted(filter(GRID_NAME.search, grids), key=step_of)


def step_of(path: str) -> int:
    """The step of a grid, from its file name; -1 for another file."""
    match = GRID_NAME.search(path)
    return int(match.group(1)) if match else -1


def spread(pixels: np.ndarray) -> float:
    """Root-mean-square distance between two of the grid's images, in pixel units of 0 to 255.

    It is 0 where all images are equal: the generator has collapsed. Computed in one pass, from the
    identity sum_ij |a_i - a_j|^2 = 2 n sum_i |a_i - mean|^2.

    Args:
        pixels: uint8 [N, H, W, C].
    """
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    if len(flat) < 2:
        return 0.0
    squared = 2.0 * len(flat) * np.square(flat - flat.mean(axis=0)).sum()
    pairs = len(flat) * (len(flat) - 1)
    return float(np.sqrt(squared / pairs / flat.shape[1]))
