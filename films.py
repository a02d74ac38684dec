"""Moving images: endless GIFs and, with the package imageio-ffmpeg, MP4s."""

import itertools
import os
from typing import Iterable, Optional, Sequence

import imageio
import numpy as np

import utils


class TooLarge(Exception):
    """A GIF takes more bytes than it may.

    Attributes:
        num_bytes: what it takes.
    """

    def __init__(self, num_bytes: int) -> None:
        """See the attributes."""
        super().__init__(f"{num_bytes:,} bytes are more than the film may take")
        self.num_bytes = num_bytes


def write_gif(
    path: str,
    frames: Iterable[np.ndarray],
    *,
    seconds_per_frame: float,
    most_bytes: Optional[int] = None,
) -> int:
    """Writes uint8 frames, each [H, W, 1 or 3], as an endless GIF, atomically.

    Args:
        frames: an iterable; imageio holds all of them in memory until the last.
        most_bytes: what the file may take; None is any size.

    Returns:
        How many bytes it takes.

    Raises:
        TooLarge: it would be larger; nothing is written.
        OSError: it cannot be written.
    """
    milliseconds = 1000 * seconds_per_frame  # imageio's unit from 2.28 on
    with utils.atomic_path(path) as partial:
        with open(partial, "wb") as file, imageio.get_writer(
            file, format="GIF", mode="I", loop=0, duration=milliseconds
        ) as writer:  # a file, not its path: imageio takes a folder named x.zip for an archive
            for frame in frames:
                writer.append_data(frame[..., 0] if frame.shape[-1] == 1 else frame)
        size = os.path.getsize(partial)
        if most_bytes is not None and size > most_bytes:
            raise TooLarge(size)
    return size


def write_mp4(path: str, frames: Iterable[np.ndarray], *, seconds_per_frame: float) -> None:
    """Writes uint8 frames, each [H, W, 1 or 3], as an MP4 (H.264) of the first one's size, atomically.

    A side of an odd number of pixels gets a black one more: the codec halves both sides.

    Args:
        frames: an iterable of at least one; one frame is held in memory at a time.

    Raises:
        OSError: it cannot be written, or there is no ffmpeg for this machine.
    """
    import imageio_ffmpeg  # optional; `config_checks` has looked for it

    frames = iter(frames)
    first = next(frames)
    height, width, channels = first.shape
    shape = (height + height % 2, width + width % 2, channels)
    sent = 0
    with utils.atomic_path(path) as partial:
        writer = imageio_ffmpeg.write_frames(
            partial,
            (shape[1], shape[0]),
            pix_fmt_in="gray" if channels == 1 else "rgb24",
            fps=1 / seconds_per_frame,
            macro_block_size=1,
        )
        try:
            writer.send(None)
            for frame in itertools.chain([first], frames):
                writer.send(_on_canvas(frame, shape))
                sent += 1
        except RuntimeError as error:  # no program ffmpeg
            raise OSError(str(error))
        finally:
            writer.close()
        # The writer does not say that ffmpeg failed at the end, as on a full disk.
        try:
            written = imageio_ffmpeg.count_frames_and_secs(partial)[0]
        except RuntimeError:  # ffmpeg cannot read it
            written = 0
        if written != sent:
            raise OSError(f"{path}: ffmpeg wrote {written} of {sent} frames")


def _on_canvas(frame: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The frame's upper left part on black, uint8 of that shape."""
    canvas = np.zeros(shape, np.uint8)
    height, width = (min(pair) for pair in zip(frame.shape[:2], shape))
    canvas[:height, :width] = frame[:height, :width]
    return canvas
