"""docs/make_preview.py on made-up runs."""

import json
import os
import sys

import numpy as np
import pytest
from paths import ROOT

import utils
from system import opening


@pytest.fixture(scope="module")
def make_preview():
    sys.path.insert(0, os.path.join(ROOT, "docs"))
    try:
        import make_preview
    finally:
        sys.path.pop(0)
    return make_preview


def made_run(folder, shape, *, steps, walk):
    """A run's folder with noise as its grids; `shape` is that of an image."""
    height, width, _ = shape
    (folder / "samples").mkdir()
    (folder / "FLAGS.json").write_text(json.dumps({"output_height": height, "output_width": width}))
    random = np.random.RandomState(0)
    for step in steps:
        images = random.randint(0, 256, (64, *shape)).astype(np.uint8)
        utils.write_png(str(folder / "samples" / f"train_{step:08d}.png"), utils.grid(images))
    if walk:
        images = random.randint(0, 256, (12, *shape)).astype(np.uint8)
        path = folder / "samples" / "interpolate_3_21_12.png"
        utils.write_png(str(path), utils.grid(images, 12))
    return str(folder)


@pytest.mark.parametrize(
    "shape, steps, walk",
    [((28, 28, 1), range(200, 4000, 200), True), ((64, 48, 3), [10], False)],
)
def test_the_preview_is_small_and_of_one_size(make_preview, tmp_path, shape, steps, walk):
    """Noise is the hardest to compress: the limit must hold for it too."""
    run = made_run(tmp_path, shape, steps=steps, walk=walk)
    output = str(tmp_path / "preview.png")
    assert make_preview.main([run, "--output=" + output]) == 0
    assert os.path.getsize(output) < 300_000
    with opening.open_image(output) as image:
        assert image.size == (1280, 640)


def test_a_run_without_a_grid_is_one_line(make_preview, tmp_path, capsys):
    run = made_run(tmp_path, (28, 28, 1), steps=[], walk=False)
    assert make_preview.main([run, "--output=" + str(tmp_path / "preview.png")]) == 2
    assert (
        capsys.readouterr().err
        == f"make_preview.py: {run}: no sample grid samples/train_STEP.png\n"
    )
    assert not (tmp_path / "preview.png").exists()
