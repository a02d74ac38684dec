"""The arrays of a file that may come from anywhere."""

import zipfile
import zlib
from typing import Dict

import numpy as np

from system.regular_file import open_regular


def read_arrays(path: str) -> Dict[str, np.ndarray]:
    """The arrays of an .npz, by name.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is damaged, holds objects, or is no .npz.
    """
    try:
        with open_regular(path) as opened:
            if not zipfile.is_zipfile(opened):  # numpy would take it for an array or a pickle
                raise ValueError("not an .npz")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
    except (EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__)
