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
        """Adds a line, which has no end of its own; raises `OSError`."""
        self._file.write(line + "\n")

    def reopen(self) -> None:
        """Makes the file again, with all its lines, if it was removed; raises `OSError`.

        To be called where its folder is known to be this process's: another may have begun there.
        """
        if os.fstat(self._file.fileno()).st_nlink > 0:
            return
        removed, self._file = self._file, self._opened()
        with removed:  # it alone has the lines
            removed.seek(0)
            shutil.copyfileobj(removed, self._file)

    def close(self) -> None:
        """Closes it."""
        self._file.close()

    def _opened(self) -> TextIO:
        return open(self._path, "a+", encoding="utf-8", errors="surrogateescape", buffering=1)
