"""Pictures and files."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import utils


@pytest.mark.parametrize("count", [1, 2, 5, 7, 12, 64, 100])
def test_a_grid_takes_any_number(count):
    shades = np.arange(1, count + 1, dtype=np.uint8)
    images = np.tile(shades[:, None, None, None], (1, 2, 3, 1))
    picture = utils.grid(images)
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 3
    assert rows * columns >= count and abs(rows - columns) <= 1
    assert picture[::2, ::3, 0].ravel()[:count].tolist() == list(range(1, count + 1))
    assert not picture[::2, ::3, 0].ravel()[count:].any()


def test_pixels_are_not_washed_out():
    assert utils.to_pixels([0.0, 0.5, 1.0], (0, 1)).tolist() == [0, 128, 255]
    assert utils.to_pixels([-1.0, 0.0, 1.0, 7.0], (-1, 1)).tolist() == [0, 128, 255, 255]
    assert utils.to_pixels([float("nan"), 1.0], (0, 1)).tolist() == [0, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_goes_out_and_comes_back(tmp_path, channels):
    image = np.random.RandomState(0).randint(0, 256, (5, 7, channels)).astype(np.uint8)
    path = str(tmp_path / "new" / "a.png")
    utils.write_png(path, image)
    assert np.array_equal(utils.read_png(path), image)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_has_its_frames_and_its_speed(tmp_path, channels):
    frames = [np.full((6, 8, channels), 60 * k, np.uint8) for k in range(4)]
    path = str(tmp_path / "a.gif")
    utils.write_gif(path, iter(frames), seconds_per_frame=0.2)
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.info["loop"] == 0 and film.info["duration"] == 200
        film.seek(2)
        assert np.asarray(film.convert("RGB"))[0, 0, 0] == pytest.approx(120, abs=4)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = str(tmp_path / "a.txt")
    utils.write_text(path, "old")
    with pytest.raises(RuntimeError), utils.atomic_path(path) as partial:
        with open(partial, "w") as file:
            file.write("half")
        raise RuntimeError
    assert os.listdir(str(tmp_path)) == ["a.txt"]
    with open(path) as file:
        assert file.read() == "old"


def test_files_get_the_users_permissions(tmp_path):
    path = str(tmp_path / "a.txt")
    with open(str(tmp_path / "plain"), "w"):
        pass
    utils.write_text(path, "x")
    assert os.stat(path).st_mode == os.stat(str(tmp_path / "plain")).st_mode


def test_an_unfinished_json_line_is_left_out(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert utils.read_json_lines(str(path)) == [{"step": 1}, {"step": 2}]


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path):
    hold = (
        "import sys, utils; lock = utils.lock_folder(sys.argv[1]); print('held', flush=True); "
        "sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=os.path.dirname(utils.__file__),
    )
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BlockingIOError):
        utils.lock_folder(str(tmp_path))
    holder.kill()
    holder.communicate()
    utils.lock_folder(str(tmp_path)).close()


def test_curves_are_drawn_without_a_display(tmp_path):
    path = str(tmp_path / "loss.png")
    utils.plot_curves(path, {"d_loss": ([1, 2, 3], [3, 2, None])}, xlabel="step", ylabel="loss")
    assert utils.read_png(path).shape[:2] == (450, 800)


def test_a_curve_of_one_value_is_seen(tmp_path):
    """Two pictures whose only difference is where that value is."""
    path, pictures = str(tmp_path / "curve.png"), []
    for value in (1.0, 2.0):
        curves = {"kid": ([1], [value]), "frechet": ([0, 2], [0, 3])}
        utils.plot_curves(path, curves, xlabel="", ylabel="")
        pictures.append(utils.read_png(path).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() > 50
