"""The overview of `--visualize --option=1`: one sheet that shows what each latent dimension changes."""

import math
from typing import List

import numpy as np
from PIL import Image, ImageDraw

import utils

COLUMNS = 8  # images of a dimension, evenly from one end of its sweep to the other
LARGEST_SIDE = 64  # pixels of an image on the sheet
MOST_ROWS = 400  # dimensions, so that a sheet can be looked at
LABEL_WIDTH, GAP = 32, 12  # pixels


class Overview:
    """The rows of a sheet, one for each of the first `MOST_ROWS` dimensions."""

    def __init__(self) -> None:
        """Begins without a row."""
        self._rows: List[np.ndarray] = []

    def add(self, images: np.ndarray) -> None:
        """Adds the next dimension's row.

        Args:
            images: its sweep, uint8 [STEPS, H, W, C].
        """
        if len(self._rows) < MOST_ROWS:
            places = np.linspace(0, len(images) - 1, COLUMNS).round().astype(int)
            small = np.stack([_small(images[place]) for place in places])
            self._rows.append(_labelled(utils.grid(small, COLUMNS), f"z{len(self._rows):03d}"))

    def sheet(self) -> np.ndarray:
        """The sheet, about square: uint8 [H, W, C]. There must be a row."""
        height, width, channels = self._rows[0].shape
        blocks = max(1, round(math.sqrt(len(self._rows) * height / width)))
        rows = -(-len(self._rows) // blocks)
        sheet = np.full((rows * height, blocks * width, channels), 255, np.uint8)
        for index, row in enumerate(self._rows):
            block, place = divmod(index, rows)
            top, left = place * height, block * width
            sheet[top : top + height, left : left + width] = row
        return sheet


def _small(pixels: np.ndarray) -> np.ndarray:
    image = utils.pillow_image(pixels)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    small = np.asarray(image)
    return small if small.ndim == 3 else small[..., None]


def _labelled(row: np.ndarray, text: str) -> np.ndarray:
    """A row on white, its dimension's name on the left and a gap on the right."""
    height, width, channels = row.shape
    label = Image.new("L", (LABEL_WIDTH, height), 255)
    ImageDraw.Draw(label).text((3, max(0, height // 2 - 6)), text, fill=0)
    left = np.repeat(np.asarray(label)[..., None], channels, axis=2)
    right = np.full((height, GAP, channels), 255, np.uint8)
    return np.concatenate([left, row, right], axis=1)
