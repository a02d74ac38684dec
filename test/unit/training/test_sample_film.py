"""The film of the sample grids: in the order of their steps, whatever else is in the folder."""

import os

import numpy as np
import pytest
from PIL import Image

import utils
from config import OPTIONS
from training import film, samples


def write_grid(folder, step, value):
    pixels = np.full((4, 6, 1), value, np.uint8)
    path = samples.grid_path(str(folder), step)
    utils.write_png(path, pixels)
    return path


def frames_of(path):
    with Image.open(path) as film:
        for index in range(film.n_frames):
            film.seek(index)
            yield np.asarray(film.convert("L"))[0, 0]


def test_grids_are_in_the_order_of_their_steps(tmp_path):
    for step, value in ((99999999, 120), (200, 0), (100000000, 250)):
        write_grid(tmp_path, step, value)
    assert list(frames_of(film.write(str(tmp_path), "gif"))) == [0, 120, 250]


def test_what_is_no_grid_is_left_out(tmp_path, capsys):
    write_grid(tmp_path, 1, 0)
    write_grid(tmp_path, 2, 250)
    damaged = write_grid(tmp_path, 3, 120)
    with open(damaged, "r+b") as file:
        file.truncate(40)
    os.symlink("nowhere", str(tmp_path / "train_00000004.png"))
    (tmp_path / "train_9.png").mkdir()
    os.mkfifo(str(tmp_path / "train_00000005.png"))
    (tmp_path / "train_mine.png").write_text("")
    assert list(frames_of(film.write(str(tmp_path), "gif"))) == [0, 250]
    assert "train_00000003.png: skipped" in capsys.readouterr().err


def test_without_grids_there_is_no_film(tmp_path):
    assert film.write(str(tmp_path), "gif") is None
    assert os.listdir(str(tmp_path)) == []


def test_each_choice_but_none_has_a_film():
    assert {*film.FILMS, "none"} == set(OPTIONS["film"].declared.choices)


@pytest.mark.parametrize("kind", [*sorted(film.FILMS), "none"])
def test_a_film_of_each_kind(tmp_path, kind):
    if kind == "mp4":
        pytest.importorskip("imageio_ffmpeg", reason="see requirements-optional.txt")
    write_grid(tmp_path, 1, 0)
    path = film.write(str(tmp_path), kind)
    made = [name for name in os.listdir(str(tmp_path)) if name.startswith("train.")]
    assert made == ([] if kind == "none" else ["train." + kind])
    assert path == (os.path.join(str(tmp_path), made[0]) if made else None)


def write_noise(folder, count, side=40):
    """Grids whose first pixel says which one it is."""
    random = np.random.RandomState(0)
    for number in range(count):
        pixels = random.randint(0, 256, (side, side, 1)).astype(np.uint8)
        pixels[0, 0] = 10 * number
        utils.write_png(samples.grid_path(str(folder), number), pixels)


def test_a_gif_is_thinned_evenly_to_its_limit(tmp_path, monkeypatch, capsys):
    write_noise(tmp_path, 21)
    whole = os.path.getsize(film.write(str(tmp_path), "gif"))
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(film, "MOST_BYTES", whole // 3)
    path = film.write(str(tmp_path), "gif")
    assert whole // 5 < os.path.getsize(path) <= whole // 3
    shown = list(frames_of(path))
    assert shown[0] == 0 and shown[-1] == 200 and len(set(np.diff(shown[:-1]))) <= 2
    assert f"film: {len(shown)} of 21 grids, evenly" in capsys.readouterr().out


def test_the_frames_in_memory_are_bounded_too(tmp_path, monkeypatch):
    write_noise(tmp_path, 21)
    monkeypatch.setattr(film, "MOST_PIXELS", 5 * 40 * 40)
    assert list(frames_of(film.write(str(tmp_path), "gif"))) == [0, 50, 100, 150, 200]


def test_two_grids_that_are_too_large_are_no_film(tmp_path, monkeypatch, capsys):
    write_noise(tmp_path, 3)
    monkeypatch.setattr(film, "MOST_BYTES", 1000)
    assert film.write(str(tmp_path), "gif") is None
    assert not (tmp_path / "train.gif").exists()
    assert "not written: 2 grids take more than 1.00kB; take --film=mp4" in capsys.readouterr().err
