"""Messages, images and files."""

import os
import queue
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

import utils


@pytest.mark.parametrize("count", [1, 2, 5, 7, 12, 64, 100])
def test_a_grid_of_any_number_of_images(count):
    shades = np.arange(1, count + 1, dtype=np.uint8)
    images = np.tile(shades[:, None, None, None], (1, 2, 3, 1))
    grid = utils.grid(images)
    rows, columns = grid.shape[0] // 2, grid.shape[1] // 3
    assert rows * columns >= count and abs(rows - columns) <= 1
    assert grid[::2, ::3, 0].ravel()[:count].tolist() == list(range(1, count + 1))
    assert not grid[::2, ::3, 0].ravel()[count:].any()


def test_pixels_span_the_value_range():
    assert utils.to_pixels([0.0, 0.5, 1.0], (0, 1)).tolist() == [0, 128, 255]
    assert utils.to_pixels([-1.0, 0.0, 1.0, 7.0], (-1, 1)).tolist() == [0, 128, 255, 255]
    assert utils.to_pixels([float("nan"), 1.0], (0, 1)).tolist() == [0, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_read_as_it_was_written(tmp_path, channels):
    image = np.random.RandomState(0).randint(0, 256, (5, 7, channels)).astype(np.uint8)
    path = str(tmp_path / "new" / "a.png")
    utils.write_png(path, image)
    assert np.array_equal(utils.read_png(path), image)


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


def test_an_unfinished_json_line_is_skipped(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert list(utils.read_json_lines(str(path))) == [{"step": 1}, {"step": 2}]


def test_a_folder_is_locked_by_one_process_until_it_ends(tmp_path):
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


def test_a_locked_folder_is_waited_for(tmp_path, monkeypatch):
    locked, results, said = utils.lock_folder(str(tmp_path)), [], queue.Queue()
    monkeypatch.setattr(utils, "warn", said.put)

    def wait():
        utils.lock_folder(str(tmp_path), waiting="waiting for another process").close()
        results.append(1)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert said.get(timeout=60) == "waiting for another process"
    assert waiter.is_alive() and not results
    locked.close()
    waiter.join(60)
    assert results == [1]


def test_a_staging_folder_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), utils.staging_folder(str(tmp_path)) as staged:
        with open(os.path.join(staged, "a.txt"), "w") as file:
            file.write("half")
        raise RuntimeError
    assert os.listdir(str(tmp_path)) == []


def test_staging_folders_of_killed_processes_are_removed(tmp_path):
    with utils.staging_folder(str(tmp_path)) as staged:
        os.mkdir(os.path.join(staged, "half"))
        utils.clear_staging(str(tmp_path))
        assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("count, text", [(0, "0.00B"), (999, "999B"), (1443490838, "1.44GB")])
def test_bytes_for_people(count, text):
    assert utils.format_bytes(count) == text


def test_results_and_messages_have_their_streams(capsys):
    utils.say("a result")
    utils.warn("a message")
    assert capsys.readouterr() == ("a result\n", "a message\n")


def test_curves_are_plotted_without_a_display(tmp_path):
    path = str(tmp_path / "loss.png")
    utils.plot_curves(path, {"d_loss": ([1, 2, 3], [3, 2, None])}, xlabel="step", ylabel="loss")
    assert utils.read_png(path).shape[:2] == (450, 800)


@pytest.mark.parametrize("title", ["a$x_$", "$\\b$", "100 $"])
def test_a_title_is_no_formula(tmp_path, title):
    """Seen: `--out_name='a$x_$'` ended a finished training with a traceback."""
    path = str(tmp_path / "c.png")
    utils.plot_curves(path, {"x": ([0, 1], [1, 2])}, xlabel="x", ylabel="y", title=title)
    assert (tmp_path / "c.png").stat().st_size > 0


def test_a_curve_of_one_value_is_visible(tmp_path):
    """Two plots whose only difference is where that value is."""
    path, plots = str(tmp_path / "curve.png"), []
    for value in (1.0, 2.0):
        curves = {"kid": ([1], [value]), "frechet": ([0, 2], [0, 3])}
        utils.plot_curves(path, curves, xlabel="", ylabel="")
        plots.append(utils.read_png(path).astype(int))
    assert np.abs(plots[0] - plots[1]).max() > 50


@pytest.mark.parametrize("show", [utils.say, utils.warn])
def test_a_terminal_obeys_nothing_that_comes_from_outside(show, capsys):
    """Seen: a file's name held an escape sequence that cleared the terminal."""
    hostile = "".join(
        map(chr, [*range(9), *range(10, 32), *range(127, 160), 0x202E, 0x2028, 0xDCFF])
    )
    show(f"a{hostile}b.jpg: é 图\tok \\n")
    out, err = capsys.readouterr()
    shown = out + err
    assert shown.count("\n") == 1 and shown.isprintable() is False
    assert all(c not in shown[:-1] for c in hostile)
    assert r"\x1b" in shown and r"\udcff" in shown and shown.endswith("b.jpg: é 图\tok \\n\n")


def test_a_user_error_is_one_line_whatever_it_names(capsys):
    import main

    assert main.main(["main.py", "--out_name=x", "--config=/no\x1b[2Jwhere\n"]) == 2
    err = capsys.readouterr().err
    assert (
        err.count("\n") == 1 and "\x1b" not in err and r"\x1b[2Jwhere" in err.replace("\\\\", "\\")
    )


def test_a_png_of_any_kind_is_read_as_gray_or_rgb(tmp_path):
    for mode, channels in (("L", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)):
        path = str(tmp_path / f"{mode}.png")
        Image.new(mode, (5, 4)).save(path)
        pixels = utils.read_png(path)
        assert (pixels.shape, pixels.dtype) == ((4, 5, channels), np.uint8)


def test_a_png_that_declares_too_many_pixels_is_not_decoded(tmp_path):
    path = str(tmp_path / "a.png")
    Image.new("1", (1 << 15, (1 << 13) + 1)).save(path)
    with pytest.raises(ValueError, match="declares 8193x32768 pixels, too many"):
        utils.read_png(path)
