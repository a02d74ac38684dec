"""LSUN's databases, read as they are: an LMDB whose values are encoded pictures.

Format: https://github.com/fyu/lsun - key: 40 hexadecimal digits, value: the bytes of a JPEG (WebP in
the newer copies) with a short side of 256 pixels.
"""

import functools
import io
import os

import numpy as np

import download
from datasets.images import Source
from options import UserError

DATA_FILE = "data.mdb"


def is_database(folder):
    """Whether a folder holds an LMDB."""
    return os.path.isfile(os.path.join(folder, DATA_FILE))


def find_database(folder, category):
    """The database of a category in a folder or in the folder of that category below it; None if none.

    Args:
        folder: such as `bedroom_train_lmdb` or the folder above it.
        category: such as "bedroom".
    """
    for candidate in (folder, os.path.join(folder, category + "_train_lmdb")):
        if is_database(candidate):
            return candidate
    return None


def find_values(folder, *, name):
    """The `Source` of all values of an LMDB, in the order of their keys.

    The keys are held in memory: 0.1 GB for a million of them, listed in a few seconds.

    Args:
        folder: with the data.mdb.
        name: of the set, for people.

    Raises:
        UserError: it is no LMDB, not whole, may not be read, or holds nothing.
    """
    path = os.path.join(folder, DATA_FILE)
    lmdb = _lmdb()
    try:
        fault = download.lmdb_fault(path)
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
        raise UserError(f"--data_path: {path} holds no pictures")

    def open_value(index):
        with environment.begin(buffers=True) as transaction:
            value = transaction.get(names[index].encode("utf-8", "surrogateescape"))
            if value is None:
                raise OSError(0, "gone from the database")
            return io.BytesIO(value)

    def stamp():
        status = os.stat(path)
        return f"{status.st_size} {status.st_mtime_ns} {len(names)}"

    return Source(
        name=name,
        place=folder,
        names=names,
        open=open_value,
        stamp=stamp,
        classes=np.zeros(len(names), np.int32),
    )


@functools.lru_cache(maxsize=None)
def _environment(folder):
    """An LMDB open for reading; a process may open each only once."""
    return _lmdb().open(
        folder, readonly=True, lock=False, readahead=False, create=False, max_spare_txns=64
    )


def _lmdb():
    """The module lmdb, which only this file needs."""
    try:
        import lmdb
    except ImportError as error:
        raise UserError(f"--data_path: a database is read with the package lmdb: {error}")
    return lmdb
