"""A text file that a training adds lines to."""

import os
import shutil
from typing import TextIO


class LineFile:
    """A file that lines are added to. Each is in it once `write` returns."""

    def __init__(self, path: str) -> None:
        """Opens or makes it; raises `OSError`."""
        self._path = path
        self._file = self._opened()

    def write(self, line: str) -> None:
        """Adds a line, which has no end of its own."""
        self._file.write(line + "\n")

    def reopen(self) -> None:
        """Makes the file again, with all its lines, if it was removed."""
        if os.path.exists(self._path):
            return
        with self._file as removed:
            self._file = self._opened()
            removed.seek(0)
            shutil.copyfileobj(removed, self._file)

    def close(self) -> None:
        """Closes it."""
        self._file.close()

    def _opened(self) -> TextIO:
        # "+": once it was removed, only this open file holds the lines.
        return open(self._path, "a+", encoding="utf-8", buffering=1)
