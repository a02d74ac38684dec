"""The training's standard error: into its log, and on a terminal shown there as well.

On a terminal a process of its own shows it as it is, progress bar and all, and writes it into the
log without the bars. It lives until the last process that could write to it has ended, so that it
heeds no signal.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from typing import Dict, List, Optional

from launch.console import ROOT
from launch.output import Output
from launch.signals import PASSED_ON, own_group

BAR = re.compile(rb"^[^|]*[0-9]%\|[^|]*\|[^]]*\]")
IGNORED = (*PASSED_ON, signal.SIGTTOU)


class ErrorDisplay:
    """Where rank 0's standard error goes.

    Attributes:
        bar: "on" where a terminal shows the progress bar, else "off"; for --progress.
        path: what standard error is to be opened as: the log, or a FIFO.
        environment: variables that tell the size of the terminal.
    """

    def __init__(self, output: Output, *, python: str):
        """Starts the display on a terminal."""
        self._process: Optional[subprocess.Popen] = None
        self.environment: Dict[str, str] = {}
        self.bar = "on" if os.isatty(2) else "off"
        if self.bar == "off":
            self.path = output.log
            return
        self.path = output.path(".stderr")
        self.environment = _terminal_size()
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.path)  # of a launcher that was killed
        os.mkfifo(self.path)
        # Held open until the training has ended: the display's input must not end before it begins.
        self._held = os.open(self.path, os.O_RDWR)
        reading = os.open(self.path, os.O_RDONLY)
        self._process = subprocess.Popen(
            [python, os.path.join(ROOT, "launch"), "display", output.log],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            preexec_fn=_in_the_background,
        )
        os.close(reading)

    def close(self) -> None:
        """Waits until all is shown; to be called when the training has ended."""
        if self._process is not None:
            os.close(self._held)
            self._process.wait()
            os.remove(self.path)


def show(words: List[str]) -> int:
    """Copies standard input to the terminal as it is, and into the log without progress bars."""
    (log,) = words
    with open(log, "ab", buffering=0) as file:
        rest = b""
        for data in iter(lambda: os.read(0, 1 << 16), b""):
            with contextlib.suppress(OSError):  # the terminal is gone
                _write(data)
            *lines, rest = re.split(rb"[\r\n]", rest + data)
            _append(file, b"".join(_without_bar(line + b"\n") for line in lines))
        _append(file, _without_bar(rest))
    return 0


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(sys.stderr.fileno(), data) :]


def _append(file, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a full disk ends no training
        file.write(data)


def _without_bar(line: bytes) -> bytes:
    """A line of the log; empty where it holds nothing but a bar."""
    line = BAR.sub(b"", line)
    return line if line.strip() else b""


def _terminal_size() -> Dict[str, str]:
    """LINES and COLUMNS for a process whose standard error is no terminal."""
    with contextlib.suppress(OSError):
        columns, lines = os.get_terminal_size(2)
        if columns:
            return {"LINES": str(lines), "COLUMNS": str(columns)}
    return {}


def _in_the_background() -> None:
    own_group()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
