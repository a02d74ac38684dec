"""The curves of a run, from its metrics.jsonl, however long the training was.

A file of any length is read in bounded time and memory: about `WINDOWS` places of it, the first
lines of each.
"""

import json
import os
from typing import IO, Any, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

import utils
from config import METRICS_FILE
from system.regular_file import open_regular

WINDOWS = 2000  # points of a curve, about
WINDOW_BYTES = 1 << 16  # read at one place at most, so that 128 MB are read of a larger file

Points = Tuple[Sequence[float], Sequence[float]]  # steps, values


class Curve(NamedTuple):
    """One plot.

    Attributes:
        file_name: of its PNG in the run's folder.
        title: for readers.
        unit: of the values.
        names: what is plotted, as in metrics.jsonl.
    """

    file_name: str
    title: str
    unit: str
    names: Tuple[str, ...]


LOSSES = Curve("loss.png", "Losses", "loss", ("d_loss", "g_loss"))
CURVES = (
    LOSSES,
    Curve("d_accuracy.png", "The discriminator's right answers", "share", ("d_accuracy",)),
    Curve("sample_spread.png", "Spread of the sample grid", "pixel units", ("sample_spread",)),
)


def read(folder: str, names: Sequence[str]) -> Dict[str, Points]:
    """{name: (steps, values)} of a run's metrics.jsonl, thinned; empty if there is no such file.

    Values that are not finite numbers are skipped. After a rollback, the steps that were undone do
    not count.
    """
    points: Dict[str, List[Tuple[float, float]]] = {name: [] for name in names}
    path = os.path.join(folder, METRICS_FILE)
    if os.path.isfile(path):
        with open_regular(path) as file:
            for values in _values(file, names):
                for name, point in values.items():
                    _append(points[name], point)
    return {name: tuple(zip(*found)) or ((), ()) for name, found in points.items()}  # type: ignore


def plot(folder: str, curve: Curve, points: Dict[str, Points]) -> str:
    """Plots a curve into its PNG, unless that is newer than metrics.jsonl; returns the PNG's path.

    Raises:
        OSError: there is no metrics.jsonl, or the folder cannot be written.
    """
    path = os.path.join(folder, curve.file_name)
    written = os.path.getmtime(os.path.join(folder, METRICS_FILE))
    if not (os.path.isfile(path) and os.path.getmtime(path) >= written):
        chosen = {name: points[name] for name in curve.names}
        title = os.path.basename(folder)
        utils.plot_curves(path, chosen, xlabel="step", ylabel=curve.unit, title=title)
    return path


def _values(file: IO[bytes], names: Sequence[str]) -> Iterator[Dict[str, Tuple[float, float]]]:
    """{name: (step, value)}, from the start to the end of the file, which is read in full."""
    size = os.fstat(file.fileno()).st_size
    for index in range(WINDOWS):
        start, end = index * size // WINDOWS, (index + 1) * size // WINDOWS
        yield _first(_lines(file, start, min(end, start + WINDOW_BYTES)), names)
    last = list(_lines(file, max(0, size - WINDOW_BYTES), size))
    yield _first(reversed(last), names)


def _lines(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    """The lines that begin in [start, end)."""
    file.seek(max(start - 1, 0))
    position = start
    if start > 0:  # to the end of the line before
        position = start - 1 + len(file.readline(WINDOW_BYTES))
    while position < end:
        line = file.readline(WINDOW_BYTES)
        position += len(line)
        yield line


def _first(lines: Iterator[bytes], names: Sequence[str]) -> Dict[str, Tuple[float, float]]:
    """{name: (step, value)} of the first line that has it."""
    missing: Set[str] = set(names)
    found = {}
    for line in lines:
        if any(name.encode() in line for name in missing):
            content = _parsed(line)
            for name in sorted(missing):
                if utils.is_number(content.get(name)) and utils.is_number(content.get("step")):
                    found[name] = content["step"], content[name]
                    missing.discard(name)
        if not missing:
            break
    return found


def _parsed(line: bytes) -> Dict[str, Any]:
    """A line's object; empty for anything else, such as the unfinished line of a killed run."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _append(points: List[Tuple[float, float]], point: Tuple[float, float]) -> None:
    while points and points[-1][0] >= point[0]:  # undone by a rollback, or read twice
        points.pop()
    points.append(point)
