"""Seeds and classes from the command line, and their latents and labels.

The latent of a seed depends on the seed and `--z_dist` alone. Its class, if the command line names
none, is the seed modulo the number of classes. So one seed always gives the same image,
unless `--batch_norm=batch` makes it depend on the others of its batch.
"""

import re
from typing import List, Sequence

import numpy as np

import utils
from config import Config
from datasets import pipeline
from datasets.dataset import class_listing
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
    """The classes that `--class` lists by number or by name, such as "0-3,cat"; empty without it.

    A number that is a class's name too is taken as the number, with a warning.

    Raises:
        UserError: not of that form, no such class, or the run has no classes.
    """
    if config.classes is None:
        return []
    if config.num_classes == 0:
        raise UserError(f"--class: {config.dataset} has no classes")
    numbers: List[int] = []
    whole = config.classes.strip() in config.class_names  # a name may hold commas
    for part in [config.classes] if whole else config.classes.split(","):
        numbers += _classes_of(part.strip(), config)
        if len(numbers) >= LONGEST_LIST:
            raise UserError(f"--class: more than {LONGEST_LIST} of them")
    return numbers


def _classes_of(part: str, config: Config) -> List[int]:
    """The classes that one item of `--class` names."""
    names = config.class_names
    number = int(part) if re.match(r"\d{1,10}$", part) else None
    if part in names and (number is None or number >= config.num_classes):
        return [names.index(part)]
    listing = class_listing(names)
    if listing and not re.match(r"[\d -]+$", part):
        raise UserError(f"--class: {part!r:.80} is no class; there are {listing}")
    if number is not None and part in names and names[number] != part:
        utils.warn(
            f"--class: {part} is the number of the class {names[number]}; the class named {part} "
            f"has the number {names.index(part)}"
        )
    return _parse_ranges("--class", part, config.num_classes - 1)


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
    return pipeline.latents_of_keys(config.z_dist, config.z_dim, seeds)


def class_of(config: Config, seed: int) -> int:
    """The class of a seed's image if `--class` names none; 0 for a run without classes."""
    return seed % config.num_classes if config.num_classes else 0


def labels_of(config: Config, classes: Sequence[int]) -> np.ndarray:
    """One-hot labels float32 [len(classes), K]; [N, 0] for a run without classes."""
    one_hot = np.eye(max(config.num_classes, 1), dtype=np.float32)[:, : config.num_classes]
    return one_hot[np.asarray(classes, np.int64)]
