"""What a pair of networks costs, from its sizes alone, without building a graph.

Biases and batch norm are left out: they are a small part.
"""

from typing import Dict, Type

import model
from model import Sizes

_KERNEL = 5 * 5  # of every convolution, in pixels


class Cost:
    """The cost of one architecture."""

    @staticmethod
    def num_weights(sizes: Sizes) -> int:
        """How many weights both networks have."""
        raise NotImplementedError

    @staticmethod
    def num_activations(sizes: Sizes) -> int:
        """How many values the layers of both networks put out for one image."""
        raise NotImplementedError


class MnistCost(Cost):
    """The cost of `model.MnistNetworks`."""

    @staticmethod
    def num_weights(sizes: Sizes) -> int:
        _, _, channels, classes, z_dim, gf, _, gfc, dfc, *_ = sizes
        g_h2, d_h0, d_h1 = model.mnist_widths(sizes)
        quarter = (sizes.height // 4) * (sizes.width // 4)
        generator = (z_dim + classes) * gfc + (gfc + classes) * 2 * gf * quarter
        generator += _KERNEL * ((2 * gf + classes) * g_h2 + (g_h2 + classes) * channels)
        discriminator = _KERNEL * ((channels + classes) * d_h0 + (d_h0 + classes) * d_h1)
        discriminator += (d_h1 * quarter + classes) * dfc + dfc + classes
        return generator + discriminator

    @staticmethod
    def num_activations(sizes: Sizes) -> int:
        g_h2, d_h0, d_h1 = model.mnist_widths(sizes)
        quarter = (sizes.height // 4) * (sizes.width // 4)
        generator = sizes.gfc_dim + quarter * (2 * sizes.gf_dim + 4 * g_h2 + 16 * sizes.channels)
        return generator + quarter * (4 * d_h0 + d_h1) + sizes.dfc_dim + 1


class ImageCost(Cost):
    """The cost of `model.ImageNetworks`."""

    @staticmethod
    def num_weights(sizes: Sizes) -> int:
        _, _, channels, classes, z_dim, gf, df, *_ = sizes
        smallest = _pixels(sizes, 16)
        generator = (z_dim + classes) * 8 * gf * smallest
        generator += _KERNEL * (gf * gf * (8 * 4 + 4 * 2 + 2 * 1) + gf * channels)
        discriminator = _KERNEL * ((channels + classes) * df + df * df * (1 * 2 + 2 * 4 + 4 * 8))
        return generator + discriminator + 8 * df * smallest + classes

    @staticmethod
    def num_activations(sizes: Sizes) -> int:
        full, half, quarter, eighth, smallest = (_pixels(sizes, 1 << k) for k in range(5))
        channels = half + 2 * quarter + 4 * eighth + 8 * smallest
        return (sizes.gf_dim + sizes.df_dim) * channels + full * sizes.channels + 1


def _pixels(sizes: Sizes, stride: int) -> int:
    """Pixels of an image after SAME layers of that stride altogether."""
    return -(-sizes.height // stride) * -(-sizes.width // stride)


COSTS: Dict[str, Type[Cost]] = {"mnist": MnistCost, "image": ImageCost}
