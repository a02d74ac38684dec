"""The film of the sample grids: in the order of their steps, whatever else is in the folder."""

import os

import numpy as np
from PIL import Image

import utils
from training import samples


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
    assert list(frames_of(samples.animate(str(tmp_path)))) == [0, 120, 250]


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
    assert list(frames_of(samples.animate(str(tmp_path)))) == [0, 250]
    assert "train_00000003.png: skipped" in capsys.readouterr().err


def test_without_grids_there_is_no_film(tmp_path):
    assert samples.animate(str(tmp_path)) is None
    assert os.listdir(str(tmp_path)) == []
