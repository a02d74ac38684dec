"""The image grid that training draws again and again from the same z and labels."""

import glob
import os
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import model
import utils
from datasets import pipeline


class SampleGrid(NamedTuple):
    """Ops that draw the grid, and what they are fed.

    Attributes:
        fetches: images [sample_num, H, W, C], d_loss and g_loss of the moving-average networks.
        feed: the fixed real pictures, labels and z.
        value_range: of the pictures.
    """

    fetches: dict
    feed: dict
    value_range: tuple


def build_sample_grid(*, networks, dataset, config):
    """Builds the grid's ops; they train nothing and move no average."""
    fixed = pipeline.sample_inputs(dataset, config=config, value_range=networks.value_range)
    inputs = pipeline.Batch(
        *[tf.placeholder(tf.float32, (None,) + part.shape[1:]) for part in fixed]
    )
    images = networks.generator(inputs.z, inputs.labels, training=False)
    losses = model.gan_losses(
        networks.loss,
        networks.discriminator(inputs.images, inputs.labels, training=False),
        networks.discriminator(images, inputs.labels, training=False),
    )
    fetches = {"images": images, "d_loss": losses.d, "g_loss": losses.g}
    return SampleGrid(fetches, dict(zip(inputs, fixed)), networks.value_range)


def draw(session, sample_grid):
    """(pixels uint8 [sample_num, H, W, C], d_loss, g_loss) of the networks as they are now."""
    values = session.run(sample_grid.fetches, sample_grid.feed)
    return (
        utils.to_pixels(values["images"], sample_grid.value_range),
        float(values["d_loss"]),
        float(values["g_loss"]),
    )


def grid_path(folder, step):
    """Where a step's grid is filed."""
    return os.path.join(folder, f"train_{step:08d}.png")


def animate(folder):
    """Makes one GIF of all the grids of a folder in the order of their steps; its path, or None."""
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), "train_*.png")))
    if not paths:
        return None
    film = os.path.join(folder, "train.gif")
    utils.write_gif(film, (utils.read_png(path) for path in paths), seconds_per_frame=0.2)
    return film


def spread(pixels):
    """Distance between two of the grid's pictures, in root-mean-square pixel units of 0 to 255.

    0 where all are one: the generator has collapsed. From the identity sum_ij |a_i - a_j|^2 =
    2 n sum_i |a_i - mean|^2, so it costs one pass: it is the root of the mean squared distance.
    """
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    if len(flat) < 2:
        return 0.0
    squared = 2.0 * len(flat) * np.square(flat - flat.mean(axis=0)).sum()
    pairs = len(flat) * (len(flat) - 1)
    return float(np.sqrt(squared / pairs / flat.shape[1]))
