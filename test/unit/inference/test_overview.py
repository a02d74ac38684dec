"""The overview of the swept dimensions: each has its row, and the sheet stays of a size to look at."""

import numpy as np
import pytest

from inference import overview
from inference.overview import COLUMNS, GAP, LABEL_WIDTH, Overview


def sweep(value, *, side=28, channels=1, steps=64):
    """A sweep that brightens by one a step from `value` on."""
    images = np.zeros((steps, side, side, channels), np.uint8)
    return images + (value + np.arange(steps, dtype=np.uint8))[:, None, None, None]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_goes_from_one_end_to_the_other(channels):
    made = Overview()
    made.add(sweep(100, channels=channels))
    sheet = made.sheet()
    assert sheet.shape == (28, LABEL_WIDTH + COLUMNS * 28 + GAP, channels)
    row = sheet[14, LABEL_WIDTH : LABEL_WIDTH + COLUMNS * 28, 0]
    assert row[14::28].tolist() == [100, 109, 118, 127, 136, 145, 154, 163]
    label = sheet[:, :LABEL_WIDTH, 0]
    assert label.min() < 128 and label.max() == 255


def test_a_hundred_dimensions_are_about_square_and_in_order():
    made = Overview()
    for dimension in range(100):
        made.add(sweep(dimension))
    height, width, _ = made.sheet().shape
    assert 0.5 < height / width < 2
    rows = height // 28
    blocks = width // (LABEL_WIDTH + COLUMNS * 28 + GAP)
    first_images = made.sheet()[14::28, LABEL_WIDTH + 14 :: width // blocks, 0]
    assert first_images.T.ravel()[:100].tolist() == list(range(100)) and rows * blocks >= 100


def test_large_images_and_many_dimensions_are_bounded(monkeypatch):
    monkeypatch.setattr(overview, "MOST_ROWS", 3)
    made = Overview()
    for dimension in range(5):
        made.add(sweep(dimension, side=200, channels=3, steps=9))
    height, width, _ = made.sheet().shape
    assert height * width == 3 * 64 * (LABEL_WIDTH + COLUMNS * 64 + GAP)
