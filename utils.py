"""Pictures and files: grids, PNG, GIF, plots, atomic writes, locks. No TensorFlow here."""

import contextlib
import fcntl
import json
import math
import os
import sys
import tempfile

import imageio
import numpy as np
from PIL import Image
from tqdm import tqdm


def warn(line):
    """Prints a line on standard error without breaking a progress bar; or not, if the disk is full."""
    with contextlib.suppress(OSError):
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()


def to_pixels(images, value_range):
    """Network output to pixels: float [...] in `value_range` -> uint8 [...].

    Outliers are clipped; what is no number is 0.
    """
    lowest, highest = value_range
    unit = (np.asarray(images, np.float32) - lowest) / (highest - lowest)
    return np.clip(np.rint(255 * np.nan_to_num(unit)), 0, 255).astype(np.uint8)


def grid(images, columns=None):
    """One picture of many, row by row; places left over are black.

    Args:
        images: uint8 [N, H, W, C], any N >= 1.
        columns: pictures in a row; by default as many as make the grid about square.

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


def picture(image):
    """uint8 [H, W, 1 or 3] as a `PIL.Image.Image`."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def write_png(path, image):
    """Writes uint8 [H, W, 1 or 3] as a PNG, atomically."""
    with atomic_path(path) as partial:
        picture(image).save(partial, format="PNG")


def read_png(path):
    """Reads a grey or RGB PNG as uint8 [H, W, 1 or 3]."""
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def write_gif(path, frames, *, seconds_per_frame):
    """Writes uint8 frames, each [H, W, 1 or 3], as an endless GIF, atomically.

    Args:
        frames: an iterable; one frame is held in memory at a time.
    """
    with atomic_path(path) as partial:
        # Milliseconds from imageio 2.28 on, when its Pillow plugin replaced the older one.
        with imageio.get_writer(
            partial, format="GIF", mode="I", loop=0, duration=1000 * seconds_per_frame
        ) as writer:
            for frame in frames:
                writer.append_data(frame[..., 0] if frame.shape[-1] == 1 else frame)


def plot_curves(path, curves, *, xlabel, ylabel, title=""):
    """Draws named curves into a PNG.

    Args:
        curves: name -> (x values, y values); one value is a dot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no display needed
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    for name, (x, y) in curves.items():
        x = list(x)
        axes.plot(
            x, list(y), label=name, linewidth=0.8, marker="o" * (len(x) == 1)
        )  # no line, a dot
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png")


@contextlib.contextmanager
def atomic_path(path):
    """A path to write to beside `path`; renamed to `path` if the block ends well, else removed.

    Raises:
        OSError: the disk is full, the folder is gone or may not be written.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=".partial-", suffix="-" + name, dir=folder)
    os.close(handle)
    os.chmod(partial, 0o666 & ~_umask())  # mkstemp's files are the owner's alone
    try:
        yield partial
        _flush_to_disk(partial)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise


def write_text(path, text):
    """Writes a text file atomically."""
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8") as file:
        file.write(text)


def read_json_lines(path):
    """The values of a JSON-lines file; an unfinished last line (of a killed run) is left out."""
    objects = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                objects.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
    return objects


def read_curves(path, names):
    """Curves over the steps of a JSON-lines file: {name: (steps, values)}; only numbers count."""
    lines = [
        line
        for line in read_json_lines(path)
        if isinstance(line, dict) and is_number(line.get("step"))
    ]
    curves = {}
    for name in names:
        points = [(line["step"], line[name]) for line in lines if is_number(line.get(name))]
        curves[name] = tuple(zip(*points)) or ((), ())
    return curves


def is_number(value):
    """Whether a JSON value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def progress_bar(progress, iterable=None, **tqdm_options):
    """A `tqdm` bar on standard error where `--progress` (auto, on or off) asks for one."""
    wanted = progress == "on" or (progress == "auto" and sys.stderr.isatty())
    return tqdm(iterable, file=sys.stderr, disable=not wanted, dynamic_ncols=True, **tqdm_options)


def lock_folder(folder):
    """Holds a folder for this process until the returned file is closed or the process has ended.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the folder may not be written.
    """
    file = open(os.path.join(folder, ".lock"), "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_to_disk(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
