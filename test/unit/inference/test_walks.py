"""Walks through the latent space: what varies, what stays, what is drawn."""

import glob
import os

import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL, make_run

import utils
from config import Config
from inference import walks
from inference.seeds import class_of, latents_of
from inference.trained_run import Generator, open_run

BOTH = pytest.mark.parametrize("architecture", ["mnist", "image"])
Z_DIM = SMALL["z_dim"]


class Recorder:
    """Stands for a generator and keeps what it is asked for."""

    def __init__(self, config):
        self.config = config
        self.calls = []

    def pixels_of(self, z, classes):
        self.calls.append((z, classes))
        return np.zeros((len(z), 2, 2, 1), np.uint8)


@pytest.mark.parametrize(
    "z_dist, lowest, highest",
    [("uniform_signed", -1, 1), ("uniform_unsigned", 0, 1), ("normal01", -2, 2)],
)
def test_a_sweep_moves_one_coordinate(z_dist, lowest, highest):
    config = Config(z_dist=z_dist, z_dim=Z_DIM, num_classes=10)
    base = np.linspace(0.1, 0.6, Z_DIM).astype(np.float32)
    recorder = Recorder(config)
    assert len(list(walks._sweeps(recorder, base))) == Z_DIM
    for dimension, (z, classes) in enumerate(recorder.calls):
        others = np.arange(Z_DIM) != dimension
        np.testing.assert_array_equal(z[:, others], np.tile(base[others], (walks.STEPS, 1)))
        assert z[0, dimension] == lowest and z[-1, dimension] == highest
        assert (np.diff(z[:, dimension]) > 0).all()
        assert classes == [dimension % 10] * walks.STEPS


@pytest.mark.slow
@BOTH
def test_visualize(tmp_path, architecture, monkeypatch):
    monkeypatch.setattr(walks, "STEPS", 9)
    asked = make_run(tmp_path, architecture).replace(visualize=True)
    height, width = (28, 28) if architecture == "mnist" else (16, 24)
    assert os.path.isfile(walks.visualize(asked.replace(visualize_option=0)))
    sweeps = glob.glob(os.path.join(walks.visualize(asked.replace(visualize_option=1)), "*.png"))
    names = [f"z{k:03d}.png" for k in range(Z_DIM)]
    assert sorted(map(os.path.basename, sweeps)) == ["overview.png", *names]
    sweeps.sort()
    assert utils.read_png(sweeps[1]).shape[:2] == (3 * height, 3 * width)
    for option in (2, 3):
        gifs = glob.glob(
            os.path.join(walks.visualize(asked.replace(visualize_option=option)), "*.gif")
        )
        assert sorted(map(os.path.basename, gifs)) == [f"z{k:03d}.gif" for k in range(Z_DIM)]
        with Image.open(gifs[0]) as film:
            assert film.size == (width, height) and film.n_frames > 1
    with Image.open(walks.visualize(asked.replace(visualize_option=4))) as film:
        assert film.size == (2 * width, 2 * height) and film.n_frames > 1


def test_visualize_around_a_point_and_from_the_origin(tmp_path, monkeypatch):
    asked = make_run(tmp_path, "image")
    bases = {}
    monkeypatch.setattr(walks, "STEPS", 2)
    monkeypatch.setattr(
        walks,
        "_sweeps",
        lambda generator, base: (
            bases.setdefault(generator.config.visualize_option, base) is None
            or iter([np.zeros((2, 4, 4, 1), np.uint8)] * 2)
        ),
    )
    for option in (1, 2, 3, 4):
        walks.visualize(asked.replace(visualize_option=option))
    assert bases[1].any() and bases[2].any()
    assert not bases[3].any() and not bases[4].any()


def test_a_straight_walk_stays_inside_the_cube():
    random = np.random.RandomState(0)
    start, end = random.uniform(-1, 1, (2, 100)).astype(np.float32)
    points = walks.between(start, end, steps=11, z_dist="uniform_signed")
    assert points.dtype == np.float32 and np.abs(points).max() <= 1
    np.testing.assert_array_equal(points[[0, -1]], [start, end])
    np.testing.assert_allclose(
        np.diff(points, axis=0), np.tile((end - start) / 10, (10, 1)), atol=1e-6
    )


def test_a_spherical_walk_keeps_its_distance_from_the_origin():
    random = np.random.RandomState(0)
    start, end = random.standard_normal((2, 100)).astype(np.float32)
    points = walks.between(start, end, steps=11, z_dist="normal01")
    np.testing.assert_allclose(points[[0, -1]], [start, end], atol=1e-6)
    lengths = np.linalg.norm(points, axis=1)
    np.testing.assert_allclose(lengths, np.linspace(lengths[0], lengths[-1], 11), rtol=1e-5)
    directions = points / lengths[:, None]
    angles = np.arccos(np.clip((directions[1:] * directions[:-1]).sum(axis=1), -1, 1))
    np.testing.assert_allclose(angles, angles.mean(), rtol=1e-3)
    still = walks.between(start, start, steps=3, z_dist="normal01")
    np.testing.assert_allclose(still, [start] * 3, atol=1e-6)


@BOTH
def test_interpolate(tmp_path, architecture):
    asked = make_run(tmp_path, architecture).replace(interpolate="7:8:5")
    strip = utils.read_png(walks.interpolate(asked))
    with open_run(asked) as run, run.open_generator() as generator:
        classes = [class_of(run.config, 7)] * 2
        ends = generator.pixels_of(latents_of(run.config, [7, 8]), classes)
    width = ends.shape[2]
    np.testing.assert_array_equal(strip[:, :width], ends[0])
    np.testing.assert_array_equal(strip[:, -width:], ends[1])
    with Image.open(glob.glob(os.path.join(run.config.sample_path, "*.gif"))[0]) as film:
        assert film.n_frames == 5


def test_interpolate_in_several_classes(tmp_path):
    asked = make_run(tmp_path, "mnist").replace(interpolate="7:8:5", classes="0-2")
    assert utils.read_png(walks.interpolate(asked)).shape[:2] == (3 * 28, 5 * 28)


@pytest.mark.parametrize(
    "text, terms",
    [
        ("1+2-3", [(1, [1]), (1, [2]), (-1, [3])]),
        (" 1, 2 - 3,4 ", [(1, [1, 2]), (-1, [3, 4])]),
        ("-5", [(-1, [5])]),
    ],
)
def test_terms(text, terms):
    assert walks.parse_terms(text) == terms


def test_the_grid_of_option_0_takes_the_classes(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        Generator, "images_of", lambda self, z, y: seen.append(y) or np.zeros((3, 4, 4, 1))
    )
    asked = make_run(tmp_path, "mnist").replace(visualize=True, visualize_option=0, sample_num=3)
    for classes in (None, "7,2"):
        walks.visualize(asked.replace(classes=classes))
    assert [each.argmax(1).tolist() for each in seen] == [[0, 1, 2], [7, 2, 7]]


def test_a_long_arithmetic_has_a_file_name_that_fits(tmp_path):
    asked = make_run(tmp_path, "mnist")
    seeds = ",".join(str(seed) for seed in range(10000, 10060))
    paths = {walks.arithmetic(asked.replace(arithmetic=f"{seeds}-{last}")) for last in (1, 2)}
    assert len(paths) == 2
    assert all(len(os.path.basename(path)) < 200 and os.path.exists(path) for path in paths)


@BOTH
@pytest.mark.parametrize("text", ["1+2-3", "1,2-3,4+5,6"])
def test_arithmetic(tmp_path, architecture, text):
    asked = make_run(tmp_path, architecture).replace(arithmetic=text)
    figure = utils.read_png(walks.arithmetic(asked))
    with open_run(asked) as run, run.open_generator() as generator:
        z = {seed: latents_of(run.config, [seed])[0] for seed in range(1, 7)}
        result = (
            z[1] + z[2] - z[3]
            if text == "1+2-3"
            else (z[1] + z[2]) / 2 - (z[3] + z[4]) / 2 + (z[5] + z[6]) / 2
        )
        expected = generator.pixels_of(result[None], [class_of(run.config, 1)])[0]
    height, width = expected.shape[:2]
    middle = figure.shape[0] // 2 - height // 2
    cell = figure[middle : middle + height, -2 * width : -width]
    np.testing.assert_allclose(cell.astype(int), np.broadcast_to(expected, cell.shape), atol=1)
