"""Messages, images and files: say and warn, grids, PNG, plots, atomic writes, locks.

No TensorFlow here.
"""

import contextlib
import errno
import fcntl
import glob
import io
import json
import math
import os
import shutil
import sys
import tempfile
import time
from typing import IO, Any, Dict, Iterable, Iterator, Optional, Tuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from system import opening, regular_file
from system.terminal import escaped

LARGEST = 1e100  # a number in a file of a run
_STAGING = ".saving-"
_PARTIAL = ".partial-"
_ABANDONED_S = 600  # nobody has written to such a file for so long


# Messages


def say(line: str) -> None:
    """Prints a result in one line on standard output, at once and without breaking a progress bar."""
    tqdm.write(escaped(line), file=sys.stdout)
    sys.stdout.flush()


def warn(line: str) -> None:
    """Prints a message in one line on standard error without breaking a progress bar."""
    tqdm.write(escaped(line), file=sys.stderr)
    sys.stderr.flush()


def progress_bar(progress: str, iterable: Optional[Iterable] = None, **tqdm_options: Any) -> tqdm:
    """A `tqdm` bar on standard error if `--progress` (auto, on or off) asks for one."""
    tqdm_options["desc"] = escaped(tqdm_options.get("desc") or "") or None
    wanted = progress == "on" or (progress == "auto" and sys.stderr.isatty())
    return tqdm(iterable, file=sys.stderr, disable=not wanted, dynamic_ncols=True, **tqdm_options)


def format_bytes(count: int) -> str:
    """A number of bytes for people: 1443490838 is "1.44GB"."""
    return tqdm.format_sizeof(count, "B", 1000)


# Images


def to_pixels(images: np.ndarray, value_range: Tuple[float, float]) -> np.ndarray:
    """Network output to pixels: float [...] in `value_range` -> uint8 [...].

    Outliers are clipped; NaN becomes 0.
    """
    lowest, highest = value_range
    unit = (np.asarray(images, np.float32) - lowest) / (highest - lowest)
    return np.clip(np.rint(255 * np.nan_to_num(unit)), 0, 255).astype(np.uint8)


def grid(images: np.ndarray, columns: Optional[int] = None) -> np.ndarray:
    """Many images in one, row by row; cells without an image are black.

    Args:
        images: uint8 [N, H, W, C], any N >= 1.
        columns: images in a row; by default as many as make the grid about square.

    Returns:
        uint8 [rows * H, columns * W, C].
    """
    count, height, width, channels = images.shape
    columns = columns or int(math.ceil(math.sqrt(count)))
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:count] = images
    cells = cells.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return cells.reshape(rows * height, columns * width, channels)


def pillow_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, 1 or 3] as a Pillow image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def write_png(path: str, pixels: np.ndarray) -> None:
    """Writes uint8 [H, W, 1 or 3] as a PNG, atomically."""
    with atomic_path(path) as partial:
        pillow_image(pixels).save(partial, format="PNG")


def read_png(path: str) -> np.ndarray:
    """Reads a PNG as uint8 [H, W, 1 or 3]."""
    with opening.open_image(path, formats=("PNG",), most_pixels=1 << 28) as image:
        pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def plot_curves(
    path: str, curves: Dict[str, Tuple], *, xlabel: str, ylabel: str, title: str = ""
) -> None:
    """Plots named curves into a PNG, atomically.

    Args:
        curves: name -> (x values, y values); a curve of one value is drawn as a dot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no display needed
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    for name, (x, y) in curves.items():
        marker = "o" if len(x) == 1 else ""  # a line of one point is invisible
        axes.plot(list(x), list(y), label=name, linewidth=0.8, marker=marker)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(without_formulas(title))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png")


def without_formulas(text: str) -> str:
    """A text that matplotlib shows as it is: between two dollar signs it would read a formula."""
    return text.replace("$", r"\$")


# Files


@contextlib.contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """A path beside `path` to write to; renamed to `path` at the end of the block.

    If the block raises, the file is removed and `path` is left as it was.

    Raises:
        OSError: the disk is full, the folder is gone or may not be written.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=_PARTIAL, suffix="-" + name, dir=folder)
    os.close(handle)
    os.chmod(partial, 0o666 & ~_umask())  # mkstemp's files are the owner's alone
    try:
        yield partial
        flush_to_disk(partial)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise


def flush_to_disk(path: str) -> None:
    """Returns once a file, or the names in a folder, have reached the disk; raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot flush a folder
            raise
    finally:
        os.close(handle)


def write_text(path: str, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8") as file:
        file.write(text)


def set_aside(path: str, ending: str) -> str:
    """Renames a file that cannot be used: adds `ending`, and "_" while that name is taken."""
    other = path + ending
    while os.path.lexists(other):
        other += "_"
    os.rename(path, other)
    return other


def read_json_lines(path: str) -> Iterator[Any]:
    """Yields the values of a JSON-lines file, but for an unfinished last line (of a killed run)."""
    with regular_file.open_regular(path) as file, io.TextIOWrapper(
        file, "utf-8", "replace"
    ) as lines:
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            yield value


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that can be calculated with and plotted.

    Not NaN, nor infinite, nor so large that a sum or a difference would be.
    """
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -LARGEST <= value <= LARGEST
    )


# Folders


def lock_path(folder: str) -> str:
    """The file whose lock is the folder's."""
    return os.path.join(folder, ".lock")


def lock_folder(folder: str, *, waiting: str = "") -> IO[str]:
    """Locks a folder for this process, until the returned file is closed or the process has ended.

    Args:
        folder: its path.
        waiting: the message for the user if another process holds the folder, which is then waited
            for. Without a message it is not waited for.

    Raises:
        BlockingIOError: another process holds the folder, and `waiting` is empty.
        OSError: the folder may not be written, or its file system has no locks.
    """
    file = open(lock_path(folder), "a", opener=_open_at_once)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not waiting:
            file.close()
            raise
        warn(waiting)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        file.close()
        raise
    return file


def _open_at_once(path, flags):
    return os.open(path, flags | os.O_NONBLOCK, 0o666)  # a pipe of that name would block for ever


@contextlib.contextmanager
def staging_folder(folder: str) -> Iterator[str]:
    """A new folder in `folder` for files that are moved to their place once they are complete.

    It is removed at the end of the block, with what is left in it.
    """
    staged = tempfile.mkdtemp(prefix=_STAGING, dir=folder)
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def clear_staging(folder: str) -> None:
    """Removes the staging folders of processes that were killed.

    Only the process that holds the lock of `folder` may call this.
    """
    for path in glob.glob(os.path.join(glob.escape(folder), _STAGING + "*")):
        shutil.rmtree(path, ignore_errors=True)
    clear_partial(folder)


def clear_partial(folder: str) -> None:
    """Removes the unfinished files of processes that were killed, in a folder that others may use."""
    for path in glob.glob(os.path.join(glob.escape(folder), _PARTIAL + "*")):
        with contextlib.suppress(OSError):  # its process has just finished it
            if time.time() - os.path.getmtime(path) > _ABANDONED_S:
                os.remove(path)


def user_cache_dir() -> str:
    """The folder of this program in the user's cache folder; it may not exist yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "dcgan")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
