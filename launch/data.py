"""Which data set `--data_path` means, and where it is."""

import glob
import os
from typing import Iterator, NamedTuple, Optional

from datasets.names import CIFAR10_FILES, IMAGE_SUFFIXES
from datasets.registry import DATASETS
from launch.console import ROOT
from options import UserError

FETCHED_BY_PART = ("mnist", "fashion_mnist")  # main.py fetches what such a folder lacks
IMAGE_DEPTH = 3  # how deep images may lie in a folder, as celebA's do
FILES = (".zip", ".mdb", ".lmdb")  # sets that are one file
NAMES = ", ".join(DATASETS)
# Where a folder that is given may hold the sets' own folders, as the model zoo's scripts lay them out.
LAYOUTS = ("", "data", "train_data", os.path.join("train_data", "data"))


class Location(NamedTuple):
    """A data set and its place, as main.py is told of it.

    Attributes:
        dataset: the name.
        data_dir: the folder above the set's own, where it is fetched to.
        data_path: the set's folder where there is something in it, else None.
    """

    dataset: str
    data_dir: str
    data_path: Optional[str] = None


def find(where: str) -> Location:
    """The data set that a value of --data_path means.

    Args:
        where: a data set's name, its folder, the folder above it, or the file of a zip or LMDB.

    Raises:
        UserError: neither a data set nor a folder with one in it.
    """
    data_dir = os.path.join(ROOT, "data")
    is_name = "/" not in where and not where.startswith(".")
    if is_name and (where in DATASETS or os.path.isdir(os.path.join(data_dir, where))):
        return Location(where, data_dir)
    if os.path.isfile(where) and where.lower().endswith(FILES):
        path = _absolute(where)
        return Location(os.path.basename(path), os.path.dirname(path), path)
    if not os.path.isdir(where) or not os.access(where, os.R_OK | os.X_OK):
        raise UserError(f"--data_path={where}: neither a data set ({NAMES}) nor a readable folder")
    folder = _set_below(_absolute(where))
    data_dir, name = os.path.split(folder)
    if name in FETCHED_BY_PART:
        return Location(name, data_dir)
    kind = _kind(folder, name)
    if kind:
        return Location(kind, data_dir, folder)
    if name in DATASETS:
        return Location(name, data_dir)
    raise UserError(f"--data_path={where}: holds no images and no data set's folder ({NAMES})")


def _absolute(path: str) -> str:
    """An absolute path as the shell has it: a link in the working folder's path keeps its name."""
    here = os.environ.get("PWD", "")
    if not os.path.isabs(here) or not os.path.exists(here) or not os.path.samefile(here, "."):
        here = os.getcwd()
    return os.path.normpath(os.path.join(here, path))


def _set_below(folder: str) -> str:
    """The first data set's folder in a folder of such a layout, or else the folder itself."""
    for layout in LAYOUTS:
        for name in DATASETS:
            path = os.path.normpath(os.path.join(folder, layout, name))
            if os.path.isdir(path):
                return path
    return folder


def _kind(folder: str, name: str) -> Optional[str]:
    """The data set whose files are in a folder, the folder's name for images; None for neither."""
    if glob.glob(os.path.join(glob.escape(folder), "*-idx[13]-ubyte*")):
        return "fashion_mnist" if "fashion" in name.lower() else "mnist"
    records = set(CIFAR10_FILES).intersection(_files(folder, depth=2))
    is_whole = len(records) == len(CIFAR10_FILES)
    if is_whole or (records and name != "cifar10"):  # main.py fetches what cifar10/ lacks
        return "cifar10"
    is_image = any(
        file.lower().endswith(IMAGE_SUFFIXES) or file == "data.mdb"
        for file in _files(folder, depth=IMAGE_DEPTH)
    )
    return name if is_image else None


def _files(folder: str, *, depth: int) -> Iterator[str]:
    """The names of the files in a folder and those in it; `depth` 1 is the folder alone."""
    for path, folders, files in os.walk(folder, followlinks=True):
        yield from files
        if path[len(folder) :].count(os.sep) >= depth - 1:
            folders.clear()
