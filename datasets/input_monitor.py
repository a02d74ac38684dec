"""What became of the batches that other threads make: waits and errors."""

import time

from options import UserError


class InputError(UserError):
    """The input of a step could not be read; the step was not executed."""


class InputMonitor:
    """Measures input waits and keeps input errors, which session.run reports only as text.

    The threads that make batches report to it; the thread that trains asks it.
    """

    def __init__(self):
        self._ready = {}  # (stream, step) -> time
        self._failures = {}  # (stream, step) -> UserError
        self._next = (0, 0)

    def start(self, step: int, stream: int) -> None:
        """The next step that runs is this one."""
        self._ready.clear()
        self._next = (stream, step)

    def ready(self, step: int, stream: int) -> None:
        """The batch of a step is ready now."""
        self._ready[stream, step] = time.perf_counter()

    def failed(self, step: int, stream: int, error: UserError) -> None:
        """The batch of a step cannot be made."""
        self._failures[stream, step] = error

    def raise_failure(self, steps: int = 1) -> None:
        """Raises `InputError` if the batch of one of the next steps could not be made."""
        stream, first = self._next
        for step in range(first, first + steps):
            if (stream, step) in self._failures:
                raise InputError(str(self._failures[stream, step]))

    def share_waited(self, started: float, steps: int = 1) -> float:
        """The share in [0, 1] of the run just made that it waited for the batch of its first step.

        Args:
            started: `time.perf_counter()` when the run began, which is when it asked for the batch.
            steps: how many it made.
        """
        now = time.perf_counter()
        stream, first = self._next
        self._next = (stream, first + steps)
        waited = self._ready.get((stream, first), started) - started
        for step in range(first, first + steps):
            self._ready.pop((stream, step), None)
        return min(max(waited / (now - started), 0.0), 1.0)
