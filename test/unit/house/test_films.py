"""Moving images: frames, speed, size, and what an MP4 needs."""

import os

import numpy as np
import pytest
from PIL import Image
from programs import parsed

import config_checks
import films
from options import UserError


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_has_its_frames_and_its_speed(tmp_path, channels):
    frames = [np.full((6, 8, channels), 60 * k, np.uint8) for k in range(4)]
    path = str(tmp_path / "a.gif")
    films.write_gif(path, iter(frames), seconds_per_frame=0.2)
    with Image.open(path) as gif:
        assert gif.n_frames == 4 and gif.info["loop"] == 0 and gif.info["duration"] == 200
        gif.seek(2)
        assert np.asarray(gif.convert("RGB"))[0, 0, 0] == pytest.approx(120, abs=4)


def test_a_gif_that_is_too_large_is_not_written(tmp_path):
    path = str(tmp_path / "a.gif")
    frames = np.random.RandomState(0).randint(0, 256, (3, 50, 50, 1)).astype(np.uint8)
    size = films.write_gif(path, frames, seconds_per_frame=0.2)
    assert size == os.path.getsize(path)
    assert films.write_gif(path, frames, seconds_per_frame=0.2, most_bytes=size) == size
    os.remove(path)
    with pytest.raises(films.TooLarge) as error:
        films.write_gif(path, frames, seconds_per_frame=0.2, most_bytes=size - 1)
    assert error.value.num_bytes == size and os.listdir(str(tmp_path)) == []


@pytest.fixture
def ffmpeg():
    """The package that writes MP4s."""
    return pytest.importorskip("imageio_ffmpeg", reason="see requirements-optional.txt")


def read_mp4(path, imageio_ffmpeg):
    """(frames uint8 [n, H, W, 3], frames a second)."""
    reader = imageio_ffmpeg.read_frames(path)
    about = next(reader)
    width, height = about["size"]
    return [np.frombuffer(each, np.uint8).reshape(height, width, 3) for each in reader], about[
        "fps"
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_mp4_has_its_frames_and_its_speed(tmp_path, channels, ffmpeg):
    path = str(tmp_path / "a zip.zip" / "a.mp4")
    frames = [np.full((31, 40, channels), 60 * k, np.uint8) for k in range(4)]
    frames.append(np.full((90, 20, channels), 240, np.uint8))
    films.write_mp4(path, iter(frames), seconds_per_frame=0.2)
    read, speed = read_mp4(path, ffmpeg)
    assert os.listdir(os.path.dirname(path)) == ["a.mp4"]
    assert speed == 5 and len(read) == 5 and read[0].shape == (32, 40, 3)
    for k in range(4):
        assert abs(int(read[k][8, 8, 0]) - 60 * k) < 6, k
    assert read[4][8, 8].min() > 230 and read[4][8, 30].max() < 20


def test_an_mp4_that_cannot_be_written_is_an_oserror(tmp_path, monkeypatch, ffmpeg):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "missing"))
    with pytest.raises(OSError):
        films.write_mp4(
            str(tmp_path / "a.mp4"), [np.zeros((4, 4, 1), np.uint8)], seconds_per_frame=1
        )
    assert os.listdir(str(tmp_path)) == []


def test_an_mp4_that_ffmpeg_did_not_finish_leaves_the_earlier_one(tmp_path, monkeypatch, ffmpeg):
    def unreadable(path):
        raise RuntimeError("moov atom not found")

    (tmp_path / "a.mp4").write_text("earlier")
    frames = 2 * [np.zeros((4, 4, 1), np.uint8)]
    for count, written in ((lambda path: (1, 1.0), 1), (unreadable, 0)):
        monkeypatch.setattr(ffmpeg, "count_frames_and_secs", count)
        with pytest.raises(OSError, match=f"a.mp4: ffmpeg wrote {written} of 2 frames"):
            films.write_mp4(str(tmp_path / "a.mp4"), frames, seconds_per_frame=1)
        assert (tmp_path / "a.mp4").read_text() == "earlier"


def test_a_missing_package_is_said_before_training(monkeypatch):
    asked = parsed("--train", "--film=mp4")
    monkeypatch.setattr(config_checks.importlib.util, "find_spec", lambda name: "found")
    config_checks.check_config(asked)
    monkeypatch.setattr(config_checks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="^--film: .* -m pip install -r requirements-optional.txt$"):
        config_checks.check_config(asked)
    for arguments in (["--train", "--film=gif"], ["--film=mp4"]):
        config_checks.check_config(parsed(*arguments))
