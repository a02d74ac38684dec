"""How fast a run trains, from what it wrote: the one definition of images/s.

The launch scripts, the report page and the log show this figure. Standard library only, since the
launcher imports it.
"""

import itertools
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from config import METRICS_FILE, OPTIONS_FILE
from system.regular_file import open_regular, read_text

TICK = 0.0001  # seconds; what metrics.jsonl rounds its times to
OUTLIER = 3  # times the median
LARGEST = 1 << 53  # a number in a file of a run; a float holds every smaller whole one
MOST_LINES = 20000  # read of a metrics.jsonl, so that the time it takes is bounded


class Speed(NamedTuple):
    """How fast a run trains.

    Attributes:
        step_seconds: seconds a step, all ranks together.
        step_images: images a step trains on, ranks x batch_size.
    """

    step_seconds: float
    step_images: int

    @property
    def images_per_second(self) -> float:
        """Images that all ranks together train on in a second."""
        return self.step_images / self.step_seconds


def of_run(folder: str) -> Optional[Speed]:
    """The speed of the run in a folder; None where it wrote too little to tell."""
    options = _read_options(os.path.join(folder, OPTIONS_FILE))
    if not 1 <= options.get("batch_size", 0) < LARGEST:
        return None
    return measure(
        _read_lines(os.path.join(folder, METRICS_FILE)),
        batch_size=options["batch_size"],
        ckpt_freq=options.get("ckpt_freq", 0),
    )


def has_steps(folder: str) -> bool:
    """Whether the run in a folder has made a step that it wrote down."""
    return any(map(_is_step, _read_lines(os.path.join(folder, METRICS_FILE))))


def measure(lines: List[Dict[str, Any]], *, batch_size: int, ckpt_freq: int) -> Optional[Speed]:
    """The speed in the first epoch that was written, while the number of ranks was the same.

    It is the mean over neighbouring lines without outliers: those over three times the median.

    Args:
        lines: of metrics.jsonl. A line that has no `ranks` counts as one rank's.
        batch_size: of one rank.
        ckpt_freq: steps between checkpoints; 0 is none.
    """
    usual, others = _step_times(lines, ckpt_freq)
    times = sorted(usual or others)
    if not times:
        return None
    limit = OUTLIER * times[(len(times) - 1) // 2] + 2 * TICK
    taken = [seconds for seconds in times if seconds <= limit]
    mean = round(sum(taken) / len(taken), 9)
    ranks = next(line for line in lines if _is_step(line)).get("ranks")
    ranks = ranks if isinstance(ranks, int) and 1 <= ranks < LARGEST else 1
    return Speed(mean, ranks * batch_size) if mean > 0 else None


def text(value: float) -> str:
    """A figure as people read it: four digits, or two decimals from 100 on."""
    return f"{value:.4g}" if value < 100 else f"{value:.2f}"


def _step_times(lines: List[Dict[str, Any]], ckpt_freq: int) -> Tuple[List[float], List[float]]:
    """Seconds a step between neighbouring lines: (usual ones, others).

    The others are the first, which holds the start, and those with a sample grid or a checkpoint.
    """
    usual: List[float] = []
    others: List[float] = []
    previous, sampled = None, False
    for line in lines:
        if not _is_step(line):
            sampled = sampled or "sample_spread" in line
            continue
        if previous is not None:
            if any(line.get(name) != previous.get(name) for name in ("epoch", "ranks")):
                break
            steps = line["step"] - previous["step"]
            seconds = line["seconds"] - previous["seconds"]
            saved = (
                ckpt_freq > 0
                and (line["step"] - 1) // ckpt_freq > (previous["step"] - 1) // ckpt_freq
            )
            if steps > 0 and seconds >= 0:
                first = not usual and not others
                (others if first or sampled or saved else usual).append(seconds / steps)
        previous, sampled = line, False
    return usual, others


def _is_step(line: Dict[str, Any]) -> bool:
    return "epoch" in line


def _read_options(path: str) -> Dict[str, int]:
    """The whole numbers among the options of a FLAGS.json; empty where it cannot be read."""
    try:
        options = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(options, dict):
        return {}
    return {name: value for name, value in options.items() if isinstance(value, int)}


def _read_lines(path: str) -> List[Dict[str, Any]]:
    """The first lines of a metrics.jsonl that have a step and a time; empty if it is unreadable."""
    try:
        with open_regular(path) as file:
            found = [_parsed(line) for line in itertools.islice(file, MOST_LINES)]
    except OSError:
        return []
    return [
        line for line in found if all(_is_number(line.get(name)) for name in ("step", "seconds"))
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and -LARGEST < value < LARGEST


def _parsed(line: bytes) -> Dict[str, Any]:
    """A line's object; empty for anything else, such as the last line of a killed run."""
    try:
        value = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
