"""Signals to the launcher are passed on to the training, once each."""

import contextlib
import os
import signal
import subprocess
from typing import Callable, List, Optional

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def own_group() -> None:
    """For a new process: a terminal's Ctrl-C reaches the launcher alone, which passes it on."""
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


class SignalRelay:
    """Passes signals on to processes.

    Attributes:
        processes: those that get the signals.
        received: the last signal that came, or None.
        only_term: whether the processes heed SIGINT and SIGTERM alone: the others become SIGTERM.
        leader: gives the number of the process that gets the signals instead, or None.
    """

    def __init__(self) -> None:
        """Holds signals back until `release`, so that none comes between two processes."""
        self.processes: List[subprocess.Popen] = []
        self.received: Optional[signal.Signals] = None
        self.only_term = False
        self.leader: Callable[[], Optional[int]] = lambda: None
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        for number in PASSED_ON:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup's, for one, stays ignored
                signal.signal(number, self._receive)

    def release(self) -> None:
        """From now on signals are passed on, those that were held back at once."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)

    def _receive(self, number: int, frame: object) -> None:
        del frame
        self.received = signal.Signals(number)
        leader = self.leader()
        if leader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, number)
            return
        becomes_term = self.only_term and number != signal.SIGINT
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM if becomes_term else number)
