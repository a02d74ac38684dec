"""A path of a checkpoint that TensorFlow does not take for a glob."""

import contextlib
import glob
import os
import re
import shutil
import tempfile
from typing import Iterator

from system.regular_file import open_regular

_SPECIAL = re.compile(r"[^\w./ -]", re.ASCII)
_NAME = "model"


@contextlib.contextmanager
def plain_prefix(prefix: str) -> Iterator[str]:
    """A prefix without special characters under which TensorFlow can read a checkpoint.

    TensorFlow takes a prefix for a glob when it restores. Where a path holds one of a glob's
    characters, this is a prefix of links in a temporary folder.

    Raises:
        OSError: a file of the checkpoint is missing or not a regular file.
    """
    files = [prefix + ".index", *glob.glob(glob.escape(prefix) + ".data-*")]
    for path in files:
        open_regular(path).close()
    if not _SPECIAL.search(prefix):
        yield prefix
        return
    parent = tempfile.gettempdir()
    links = tempfile.mkdtemp(prefix="dcgan-", dir="/tmp" if _SPECIAL.search(parent) else parent)
    try:
        for path in files:
            os.symlink(os.path.abspath(path), os.path.join(links, _NAME + path[len(prefix) :]))
        yield os.path.join(links, _NAME)
    finally:
        shutil.rmtree(links, ignore_errors=True)
