"""The pictures of a folder and of all folders in it."""

import fnmatch
import functools
import hashlib
import os

import numpy as np

from datasets.images import Source
from datasets.names import IMAGE_SUFFIXES
from options import UserError


def find_pictures(folder, *, name, pattern=None, labelled=False):
    """The `Source` of a folder's pictures, in the order of their paths.

    Links are followed, each folder is visited once, what starts with a dot is left out.

    Args:
        folder: the path to search.
        name: of the set, for people.
        pattern: a glob that a file's name matches or, if it holds a slash, the path below `folder`;
            None takes `IMAGE_SUFFIXES` in upper or lower case.
        labelled: whether the folders directly in `folder` are classes.

    Raises:
        UserError: no such folder, one that may not be read, no picture, a picture outside the classes.
    """
    if not os.path.isdir(folder):
        raise UserError(f"--data_path: there is no folder {folder}")
    try:
        files = sorted(_walk(folder))
    except OSError as error:
        raise UserError(
            f"--data_path: {error.filename or folder} cannot be searched: {error.strerror}"
        )
    paths = [path for path in files if _matches(path, pattern)]
    if not paths:
        _refuse_empty(folder, pattern, len(files))
    classes, class_names = (
        _classes(paths, folder) if labelled else (np.zeros(len(paths), np.int32), ())
    )
    return Source(
        name=name,
        place=folder,
        names=paths,
        classes=classes,
        class_names=class_names,
        open=lambda index: open(os.path.join(folder, paths[index]), "rb"),
        stamp=functools.partial(_stamp, folder, paths),
    )


def _walk(root):
    """Yields the path below `root` of every file.

    A folder that several paths lead to is entered once, by its own path rather than by a link.
    """
    entered = set()
    folders, links = [""], []
    while folders or links:
        below = folders.pop() if folders else links.pop(0)
        status = os.stat(os.path.join(root, below))
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(os.path.join(root, below)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = os.path.join(below, entry.name)
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    (links if entry.is_symlink() else folders).append(path)
                elif _may_be_read(entry):
                    yield path


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _may_be_read(entry):
    """Whether it is a file, or a link that leads nowhere and is to be named; a pipe would block."""
    return (
        entry.is_file(follow_symlinks=False)
        or entry.is_symlink()
        and (os.path.isfile(entry.path) or not os.path.exists(entry.path))
    )


def _matches(path, pattern):
    name = os.path.basename(path)
    if pattern is None:
        return name.lower().endswith(IMAGE_SUFFIXES)
    return fnmatch.fnmatchcase(path if "/" in pattern else name, pattern)


def _refuse_empty(folder, pattern, count):
    if pattern is not None:
        raise UserError(
            f"--input_fname_pattern: {pattern!r} matches none of the {count:,} files in {folder}"
        )
    raise UserError(
        "--data_path: no pictures ({}) among the {:,} files in {}".format(
            " ".join("*" + kind for kind in IMAGE_SUFFIXES), count, folder
        )
    )


def _classes(paths, folder):
    """(class of each path int32 [n], names of the classes): the first folder of the path."""
    first_folders = [path.split(os.sep, 1)[0] if os.sep in path else None for path in paths]
    if None in first_folders:
        raise UserError(
            f"--labels: {paths[first_folders.index(None)]} is in no sub-folder of {folder}, so it has no class"
        )
    class_names = sorted(set(first_folders))
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[name] for name in first_folders], np.int32), tuple(class_names)


def _stamp(folder, paths):
    """A digest that changes when a file is added, removed, renamed, resized or written to."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(os.path.join(folder, path))
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(os.fsencode(path) + b"\0" + state.encode() + b"\n")
    return digest.hexdigest()
