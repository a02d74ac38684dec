"""The film of a run's sample grids: `--film` names a row of `FILMS`."""

import os
from typing import Callable, Dict, Iterator, List, Optional, Set

import numpy as np

import films
import utils
from training.samples import grid_paths

MOST_BYTES = 20 * 10**6  # of a GIF
MOST_PIXELS = 1 << 27  # bytes of a GIF's frames, which are in memory while it is written
PROBE = 8  # grids whose size tells about how many fit: encoding takes up to a second each
SECONDS_A_FRAME = 0.2


class Grids:
    """The grids in a folder, in the order of their steps. Damaged ones are named and left out."""

    def __init__(self, folder: str) -> None:
        """`folder`: of the grids and of the film."""
        self.folder = folder
        self._paths = grid_paths(folder)
        self._damaged: Set[str] = set()

    def __len__(self) -> int:
        return len(self._sound())

    def frames(self, count: Optional[int] = None) -> Iterator[np.ndarray]:
        """uint8 [H, W, C] of each grid, one in memory at a time.

        Args:
            count: how many, evenly, the first and the last among them; None is all.
        """
        sound = self._sound()
        count = len(sound) if count is None else count
        for place in np.linspace(0, len(sound) - 1, count).round():
            path = sound[int(place)]
            try:
                yield utils.read_png(path)
            except (OSError, SyntaxError, ValueError) as error:  # Pillow's, of a damaged file
                self._damaged.add(path)
                utils.warn(f"{path}: skipped: {error}")

    def _sound(self) -> List[str]:
        return [path for path in self._paths if path not in self._damaged]


def write(folder: str, kind: str) -> Optional[str]:
    """Makes the film of all the grids in a folder.

    Args:
        folder: of the grids and of the film.
        kind: a key of `FILMS`, or "none".

    Returns:
        The film's path; None if there is none to make.

    Raises:
        OSError: it cannot be written.
    """
    if kind == "none":
        return None
    grids = Grids(folder)
    first = next(grids.frames(), None)
    return None if first is None else FILMS[kind](grids, first)


def _write_gif(grids: Grids, first: np.ndarray) -> Optional[str]:
    """All grids, or as many of them, evenly, as `MOST_BYTES` and `MOST_PIXELS` hold."""
    path = os.path.join(grids.folder, "train.gif")
    every = len(grids)
    count = min(every, max(2, MOST_PIXELS // first.nbytes))
    if count > PROBE:
        count = min(count, _fitting(PROBE, _gif_size(path, grids, PROBE)))
    size = _gif_size(path, grids, count)
    while size > MOST_BYTES and count > 2:
        count = min(count - 1, _fitting(count, size))
        size = _gif_size(path, grids, count)
    limit = utils.format_bytes(MOST_BYTES)
    if size > MOST_BYTES:
        utils.warn(f"{path}: not written: {count} grids take more than {limit}; take --film=mp4")
        return None
    if count < every:
        utils.say(f"film: {count} of {every:,} grids, evenly, so that it takes at most {limit}")
    return path


def _fitting(count: int, size: int) -> int:
    """How many grids `MOST_BYTES` will hold if `count` of them take `size` bytes; 2 at least."""
    return max(2, int(0.95 * count * MOST_BYTES / size))


def _gif_size(path: str, grids: Grids, count: int) -> int:
    """Writes a GIF of `count` grids if `MOST_BYTES` hold it; returns how many it takes."""
    try:
        return films.write_gif(
            path,
            grids.frames(count),
            seconds_per_frame=SECONDS_A_FRAME,
            most_bytes=MOST_BYTES,
        )
    except films.TooLarge as error:
        return error.num_bytes


def _write_mp4(grids: Grids, first: np.ndarray) -> str:
    path = os.path.join(grids.folder, "train.mp4")
    films.write_mp4(path, grids.frames(), seconds_per_frame=SECONDS_A_FRAME)
    return path


FILMS: Dict[str, Callable[[Grids, np.ndarray], Optional[str]]] = {
    "gif": _write_gif,
    "mp4": _write_mp4,
}
