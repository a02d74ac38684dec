"""LMDBs of encoded images, such as LSUN's, read as they are.

Format: https://github.com/fyu/lsun - key: 40 hexadecimal digits, value: the bytes of a JPEG (WebP
in the newer copies) with a short side of 256 pixels.
"""

import functools
import io
import os

import numpy as np

from datasets import database_walk
from datasets.images import Source, open_images
from fetching import verify
from options import UserError

DATA_FILE = "data.mdb"


def is_database(path):
    """Whether a folder holds an LMDB, or a file is one."""
    if not os.path.isfile(path):
        return os.path.isfile(os.path.join(path, DATA_FILE))
    try:
        with open(path, "rb") as file:
            return verify.is_lmdb(file.read(verify.LMDB_HEAD))
    except OSError:  # the caller's error says more
        return False


def _file_of(path):
    """The LMDB's file: `path`, or the one in that folder."""
    return path if os.path.isfile(path) else os.path.join(path, DATA_FILE)


def open_database(config, folder):
    """The `Dataset` of the LMDB in a folder, or of an LMDB that is a file of its own.

    Raises:
        UserError: it is not an LMDB, not complete, may not be read or holds nothing; an option is
            given that is for folders of images.
    """
    for name, given in (
        ("labels", config.labels == "folder"),
        ("input_fname_pattern", config.input_fname_pattern is not None),
    ):
        if given:
            raise UserError(f"--{name}: {folder} is a database, not a folder of images")
    return open_images(find_values(folder, name=config.dataset), config)


class DatabaseSource(Source):
    """The values of an LMDB; `names` are their keys."""

    def __init__(self, *, name, location, names, environment):
        super().__init__(
            name=name, location=location, names=names, classes=np.zeros(len(names), np.int32)
        )
        self._environment = environment

    def open(self, index):
        with self._environment.begin(buffers=True) as transaction:
            try:
                value = transaction.get(self.names[index].encode("utf-8", "surrogateescape"))
            except _lmdb().Error as error:
                raise OSError(0, f"cannot be read from the database: {error}")
            if value is None:
                raise OSError(0, "gone from the database")
            return io.BytesIO(value)

    def stamp(self):
        status = os.stat(_file_of(self.location))
        return f"{status.st_size} {status.st_mtime_ns} {len(self.names)}"


def find_values(folder, *, name):
    """The `Source` of all values of an LMDB, in the order of their keys.

    The keys are held in memory: 0.1 GB for a million of them, listed in a few seconds.

    Args:
        folder: with the data.mdb; or the LMDB's own file.
        name: of the set, for people.

    Raises:
        UserError: it is not an LMDB, not complete, may not be read or holds nothing.
    """
    path = _file_of(folder)
    lmdb = _lmdb()
    try:
        fault = verify.lmdb_fault(path)
        fault = fault or database_walk.fault(path)
        if fault:
            raise UserError(f"--data_path: {folder} {fault}")
        environment = _environment(os.path.realpath(folder))
        with environment.begin() as transaction:
            names = [
                key.decode("utf-8", "surrogateescape")
                for key in transaction.cursor().iternext(values=False)
            ]
    except (OSError, lmdb.Error) as error:
        raise UserError(f"--data_path: {path} cannot be read: {error}")
    if not names:
        raise UserError(f"--data_path: {path} holds no images")
    return DatabaseSource(name=name, location=folder, names=names, environment=environment)


@functools.lru_cache(maxsize=None)
def _environment(path):
    """An LMDB (a folder or a file) open for reading; a process may open each only once."""
    return _lmdb().open(
        path,
        subdir=os.path.isdir(path),
        readonly=True,
        lock=False,
        readahead=False,
        create=False,
        max_spare_txns=64,
    )


def _lmdb():
    """The module lmdb, which only this file needs."""
    try:
        import lmdb
    except ImportError as error:
        raise UserError(f"--data_path: a database is read with the package lmdb: {error}")
    return lmdb
