"""Importing TensorFlow without its notes on the processor, which no setting switches off."""

import contextlib
import os
import re
import signal
from typing import Iterator

# What TensorFlow 2.x says of oneDNN before it reads TF_CPP_MIN_LOG_LEVEL.
_NOTE = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog\(\)")


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Drops TensorFlow's notes from standard error while the block runs; all else is shown.

    A child process filters: if the import crashes this one, what it says last is shown all the same.
    """
    shown = os.dup(2)
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(sink)
        _pass_on(source, shown)
    os.close(source)
    os.dup2(sink, 2)
    os.close(sink)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)
        os.waitpid(child, 0)


def _pass_on(source: int, shown: int) -> None:
    """Copies lines but for the notes until the last writer has ended; does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent
    with open(source, "rb") as lines, contextlib.suppress(OSError):
        for line in lines:
            if not _NOTE.match(line):
                os.write(shown, line)
    os._exit(0)
