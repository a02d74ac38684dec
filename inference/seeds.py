"""Seeds and classes from the command line, and their latents and labels.

The latent of a seed depends on the seed and `--z_dist` alone. Its class, if the command line names
none, is the seed modulo the number of classes. So one seed always gives the same image.
"""

import re
from typing import List, Sequence

import numpy as np

from config import Config
from datasets import pipeline
from options import UserError

LARGEST_SEED = (1 << 32) - 1
LONGEST_LIST = 10**7


def parse_seeds(text: str) -> List[int]:
    """The seeds that `--seeds` names: "600-605,7" is [600, 601, 602, 603, 604, 605, 7].

    Raises:
        UserError: not of that form, or a seed is beyond 2**32 - 1.
    """
    return _parse_ranges("--seeds", text, LARGEST_SEED)


def parse_classes(config: Config) -> List[int]:
    """The classes that `--class` names, such as "0-9"; empty without `--class`.

    Raises:
        UserError: not of that form, no such class, or the run has no classes.
    """
    if config.classes is None:
        return []
    if config.num_classes == 0:
        raise UserError(f"--class: {config.dataset} has no classes")
    return _parse_ranges("--class", config.classes, config.num_classes - 1)


def _parse_ranges(flag: str, text: str, largest: int) -> List[int]:
    numbers: List[int] = []
    for part in text.replace(" ", "").split(","):
        match = re.match(r"(\d{1,10})(?:-(\d{1,10}))?$", part)
        if not match:
            raise UserError(f"{flag}: {text!r} is not of the form 3-5,7")
        first, last = int(match.group(1)), int(match.group(2) or match.group(1))
        if last < first:
            raise UserError(f"{flag}: {part} goes backwards")
        if last > largest:
            raise UserError(f"{flag}: {last} is beyond {largest}")
        if last - first + len(numbers) >= LONGEST_LIST:
            raise UserError(f"{flag}: more than {LONGEST_LIST} of them")
        numbers.extend(range(first, last + 1))
    return numbers


def latents_of(config: Config, seeds: Sequence[int]) -> np.ndarray:
    """The latents of seeds: float32 [len(seeds), Z]."""
    return np.concatenate(
        [pipeline.latents(config.z_dist, (1, config.z_dim), (int(seed),)) for seed in seeds]
    )


def class_of(config: Config, seed: int) -> int:
    """The class of a seed's image if `--class` names none; 0 for a run without classes."""
    return seed % config.num_classes if config.num_classes else 0


def labels_of(config: Config, classes: Sequence[int]) -> np.ndarray:
    """One-hot labels float32 [len(classes), K]; [N, 0] for a run without classes."""
    one_hot = np.eye(max(config.num_classes, 1), dtype=np.float32)[:, : config.num_classes]
    return one_hot[np.asarray(classes, np.int64)]
