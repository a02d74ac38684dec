"""What a terminal or a log is shown. The standard library is enough for it."""

import io
import os
import re
import sys
from typing import TextIO

# Control characters (all but the tab), line and paragraph separators, what turns the direction of
# writing, and the bytes of a file name that are not UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    r"""A text as one line that a terminal only shows: a newline is \n, an escape character \x1b.

    File names, addresses and servers' answers may hold what a terminal obeys.
    """
    return _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], text)


class _Unfailing(io.RawIOBase):
    """The bytes of a standard stream: what cannot be written is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return len(data)


def unfailing_stream(descriptor: int, *, encoding: str = "utf-8") -> TextIO:
    """A text stream that drops what cannot be written; a character it lacks is escaped.

    Args:
        descriptor: open for writing; it stays open.
    """
    return io.TextIOWrapper(
        io.BufferedWriter(_Unfailing(descriptor)),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def keep_streams() -> None:
    """Makes standard output and error streams that never fail; for the start of a program.

    A message that cannot be shown (`| head -1`, a full disk, `2>&-`) then changes neither the
    result nor the exit code. A number that was closed is opened on nothing: else the next file that
    is opened gets it, and TensorFlow's messages with it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        before = getattr(sys, name)  # None if it was closed
        encoding = before.encoding if before else "utf-8"
        setattr(sys, name, unfailing_stream(descriptor, encoding=encoding))
