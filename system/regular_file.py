"""Opens regular files only, for everything that is read from a folder of other people's.

The standard library is enough for it.
"""

import hashlib
import os
import stat
from typing import IO, Any, Dict


def open_regular(path: str) -> IO[bytes]:
    """Opens a regular file, or a link to one, for reading in binary mode.

    A pipe would block for ever, a device may never end.

    Raises:
        OSError: it is no regular file, or cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "not a regular file", path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_text(path: str) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        OSError: it is no regular file, or cannot be read.
        ValueError: it is not UTF-8.
    """
    with open_regular(path) as file:
        return file.read().decode("utf-8")


def fingerprint(path: str) -> Dict[str, Any]:
    """The size and the SHA-256 sum of a file, as {"bytes": int, "sha256": hexadecimal text}.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return {"bytes": os.path.getsize(path), "sha256": digest.hexdigest()}
