"""What a pair of networks costs, from its sizes alone, without building a graph.

Biases and batch norm are left out: they are a small part.
"""

from typing import Dict, Type

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
        _, _, channels, classes, z_dim, gf, df, gfc, dfc = sizes
        quarter = (sizes.height // 4) * (sizes.width // 4)
        mixed = channels + classes
        generator = (z_dim + classes) * gfc + (gfc + classes) * 2 * gf * quarter
        generator += _KERNEL * (2 * gf + classes) * (2 * gf + channels)
        discriminator = _KERNEL * mixed * (mixed + df + classes)
        discriminator += _KERNEL * classes * (df + classes)
        discriminator += ((df + classes) * quarter + classes) * dfc + dfc + classes
        return generator + discriminator

    @staticmethod
    def num_activations(sizes: Sizes) -> int:
        _, _, channels, classes, _, gf, df, gfc, dfc = sizes
        quarter = (sizes.height // 4) * (sizes.width // 4)
        generator = gfc + quarter * (2 * gf + 4 * 2 * gf + 16 * channels)
        return generator + quarter * (4 * (channels + classes) + df + classes) + dfc + 1


class ImageCost(Cost):
    """The cost of `model.ImageNetworks`."""

    @staticmethod
    def num_weights(sizes: Sizes) -> int:
        _, _, channels, classes, z_dim, gf, df, _, _ = sizes
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
