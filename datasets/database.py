"""LMDBs of encoded images, such as LSUN's, read as they are.

Format: https://github.com/fyu/lsun - key: 40 hexadecimal digits, value: the bytes of a JPEG (WebP
in the newer copies) with a short side of 256 pixels.
"""

import functools
import io
import os

import numpy as np

import verify
from datasets.images import Source, open_images
from options import UserError

DATA_FILE = "data.mdb"


def is_database(folder):
    """Whether a folder holds an LMDB."""
    return os.path.isfile(os.path.join(folder, DATA_FILE))


def open_database(config, folder):
    """The `Dataset` of the LMDB in a folder.

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
            value = transaction.get(self.names[index].encode("utf-8", "surrogateescape"))
            if value is None:
                raise OSError(0, "gone from the database")
            return io.BytesIO(value)

    def stamp(self):
        status = os.stat(os.path.join(self.location, DATA_FILE))
        return f"{status.st_size} {status.st_mtime_ns} {len(self.names)}"


def find_values(folder, *, name):
    """The `Source` of all values of an LMDB, in the order of their keys.

    The keys are held in memory: 0.1 GB for a million of them, listed in a few seconds.

    Args:
        folder: with the data.mdb.
        name: of the set, for people.

    Raises:
        UserError: it is not an LMDB, not complete, may not be read or holds nothing.
    """
    path = os.path.join(folder, DATA_FILE)
    lmdb = _lmdb()
    try:
        fault = verify.lmdb_fault(path)
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
