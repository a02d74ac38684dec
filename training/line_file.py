"""A text file that a training adds lines to."""

import os
import shutil
from typing import TextIO


class LineFile:
    """A file that lines are added to. Each is in it once `write` returns.

    If the file is removed, a later `write` makes it again with all its lines.
    """

    def __init__(self, path: str) -> None:
        """Opens or makes it; raises `OSError`."""
        self._path = path
        self._file = self._opened()

    def write(self, line: str) -> None:
        """Adds a line, which has no end of its own; raises `OSError`."""
        if (
            os.fstat(self._file.fileno()).st_nlink == 0
        ):  # removed: the open file alone has the lines
            self._make_again()
        self._file.write(line + "\n")

    def close(self) -> None:
        """Closes it."""
        self._file.close()

    def _make_again(self) -> None:
        try:
            made = self._opened()
        except OSError:
            return  # its folder is not back yet
        removed, self._file = self._file, made
        with removed:
            removed.seek(0)
            shutil.copyfileobj(removed, made)

    def _opened(self) -> TextIO:
        return open(self._path, "a+", encoding="utf-8", errors="surrogateescape", buffering=1)
