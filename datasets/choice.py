"""Which files of a folder or an archive are images, and what their classes are."""

import collections
import fnmatch
import os
import re
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

import utils
from datasets.names import IMAGE_SUFFIXES
from options import UserError

# What telephones and cameras write and Pillow does not read by itself, nor by another name.
_TO_BE_CONVERTED = (".heic", ".heif", ".avif", ".dng", ".cr2", ".nef", ".arw")
MOST_PATTERNS = 1000  # that one pattern with braces may stand for
_PARTS_OF_A_SET = {"train", "training", "val", "valid", "validation", "test", "testing"}


class Choice(NamedTuple):
    """The images among the files of a set.

    Attributes:
        names: the paths of the images, below the folder or in the archive.
        classes: int32 [n]; all 0 if there are no labels.
        class_names: the names of the classes; none if there are no labels.
        left_out: one phrase on the files that were not chosen; "" if a pattern chose, or all are.
    """

    names: List[str]
    classes: np.ndarray
    class_names: Tuple[str, ...]
    left_out: str


def choose(
    files: Sequence[str],
    location: str,
    *,
    pattern: Optional[str] = None,
    labelled: bool = False,
    in_one_folder: bool = False,
) -> Choice:
    """The images among files.

    Args:
        files: their paths below `location`, sorted.
        location: of the folder or the archive, for messages.
        pattern: globs that a file's name matches or, if a glob holds a slash, its path: several are
            listed as in `*.{jpg,tif}` or `*.jpg,*.tif`. None takes `IMAGE_SUFFIXES` in upper or
            lower case.
        labelled: whether the first folder of a path is the class.
        in_one_folder: whether one folder that holds all images, such as "faces/", is no class.

    Raises:
        UserError: there is no image, or an image has no class.
    """
    globs = None if pattern is None else _alternatives(pattern)
    names = [path for path in files if _matches(path, globs)]
    if not names:
        _refuse_empty(files, location, pattern)
    classes, class_names = np.zeros(len(names), np.int32), ()
    if labelled:
        root = _common_root(names) if in_one_folder else ""
        classes, class_names = _classes([path[len(root) :] for path in names], location)
        _warn_of_parts(class_names, location)
    left_out = _left_out(files) if pattern is None else ""
    return Choice(names, classes, class_names, left_out)


def natural_key(name: str) -> Tuple:
    """A key for sorting names that compares the numbers in them as numbers: 2 comes before 10."""
    parts = re.split("([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def _alternatives(pattern):
    """The globs that a pattern lists, and the pattern itself: a name may hold braces or commas."""
    listed = {part.strip() for text in _expanded(pattern) for part in text.split(",")}
    return [pattern, *sorted(listed)]


def _expanded(text):
    """`a.{b,c}` is a.b and a.c; innermost braces come first, so no comma outside braces splits."""
    pending, expanded = [text], []
    while pending:
        text = pending.pop()
        braces = re.search(r"\{([^{}]*)\}", text)
        if not braces:
            expanded.append(text)
            continue
        words = braces.group(1).split(",")
        pending += [text[: braces.start()] + word + text[braces.end() :] for word in words]
        if len(pending) + len(expanded) > MOST_PATTERNS:
            raise UserError(f"--input_fname_pattern: more than {MOST_PATTERNS} patterns in one")
    return expanded


def _matches(path, globs):
    name = os.path.basename(path)
    if globs is None:
        return name.lower().endswith(IMAGE_SUFFIXES)
    return any(fnmatch.fnmatchcase(path if "/" in glob else name, glob) for glob in globs)


def endings(paths: Iterable[str], most: int = 4) -> str:
    """How many files of which endings: "200 .heic, 2 .txt", the most frequent first."""
    counts = collections.Counter(
        os.path.splitext(path)[1].lower() or "without an ending" for path in paths
    ).most_common()
    named = [f"{count:,} {ending}" for ending, count in counts[:most]]
    return ", ".join(named + (["..."] if len(counts) > most else []))


def _left_out(files):
    others = [path for path in files if not _matches(path, None)]
    if not others:
        return ""
    return (
        f"left out: {endings(others)} ({_advice(others) or '--input_fname_pattern chooses files'})"
    )


def _advice(paths):
    """What to do about images of kinds that are not read; "" where there are none."""
    kinds = sorted({os.path.splitext(path)[1].lower() for path in paths} & set(_TO_BE_CONVERTED))
    return f"{' and '.join(kinds)} must be converted to JPEG or PNG first" if kinds else ""


def _refuse_empty(files, location, pattern):
    there = f": {endings(files)}" if files else ""
    if pattern is not None:
        raise UserError(
            f"--input_fname_pattern: {pattern!r} matches none of the {len(files):,} files in "
            f"{location}{there}"
        )
    zips = [path for path in files if path.lower().endswith(".zip")]
    raise UserError(
        "--data_path: no images ({}) among the {:,} files in {}{}{}".format(
            " ".join("*" + suffix for suffix in IMAGE_SUFFIXES),
            len(files),
            location,
            there,
            f"; --data_path={os.path.join(location, zips[0])} reads a zip in place" if zips else "",
        )
        + (f"; {_advice(files)}" if _advice(files) else "")
    )


def _common_root(paths):
    """The one folder that all paths are in, as "faces/"; "" if there is none."""
    roots = {path.split("/", 1)[0] if "/" in path else "" for path in paths}
    root = roots.pop() if len(roots) == 1 else ""
    return root + "/" if root else ""


def _classes(paths, location):
    """(class of each path int32 [n], names of the classes): the first folder of the path."""
    first_folders = [path.split("/", 1)[0] if "/" in path else None for path in paths]
    if None in first_folders:
        raise UserError(
            f"--labels: {paths[first_folders.index(None)]} is in no sub-folder of {location}, "
            "so it has no class"
        )
    class_names = sorted(set(first_folders), key=natural_key)
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[name] for name in first_folders], np.int32), tuple(class_names)


def _warn_of_parts(class_names, location):
    if _PARTS_OF_A_SET.issuperset(name.lower() for name in class_names):
        utils.warn(
            f"--labels: the classes are {', '.join(class_names)}, which look like parts of the set; "
            f"--data_path={os.path.join(location, class_names[0])} trains on the classes in one"
        )
