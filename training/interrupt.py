"""SIGINT and SIGTERM during training: finish the step first; a second one stops at once."""

import os
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context in which the first signal only sets `signal_number`.

    Attributes:
        signal_number: of the signal received, or None.
    """

    def __init__(self, *, say):
        """Args: say: called with one line when the first signal comes."""
        self.signal_number = None
        self._say = say
        self._before = {}

    def __enter__(self):
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *unused):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number, frame):
        del frame
        if self.signal_number is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.signal_number = number
        self._say("{}: finishing this step and saving; once more to stop at once".format(
            signal.Signals(number).name))
