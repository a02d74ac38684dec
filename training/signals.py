"""Signals during training: the first finishes the step and saves; a second Ctrl-C stops at once.

Ranks also agree here, in the same vote, on when a checkpoint is due by the clock.
"""

import os
import signal
import time
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from devices.ranks import Ranks

# Each stops the run with exit code 128 + its number. SIGHUP is sent when a terminal closes, SIGUSR1
# by schedulers before a job's time is over.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
# Of these the second stops at once. SIGHUP comes twice, from the terminal and from its shell.
_URGENT = (signal.SIGINT, signal.SIGTERM)
# A second one sooner than this counts as the first: `timeout` signals a program, then its group.
SECONDS_BETWEEN = 1.0
STOP_REQUESTS = "stop_requests"  # the name of the vote's fetch


class SignalCatcher:
    """A context in which the first signal is only remembered.

    Attributes:
        received: the number of the signal received, or None.
    """

    def __init__(self, *, warn: Callable[[str], None]) -> None:
        """Args: warn: called with one line when the first signal comes."""
        self.received: Optional[int] = None
        self._warn = warn
        self._urgent_at: Optional[float] = None
        self._handlers_before: Dict[int, Any] = {}

    def __enter__(self) -> "SignalCatcher":
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup's
            self._handlers_before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *unused: Any) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: Any) -> None:
        del frame
        if number in _URGENT:
            now = time.monotonic()
            if self._urgent_at is None:
                self._urgent_at = now
            elif now - self._urgent_at >= SECONDS_BETWEEN:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
                return
        if self.received is not None:
            return
        self.received = number
        self._warn(
            f"{signal.Signals(number).name}: finishing this step and saving; "
            "Ctrl-C or SIGTERM again stops at once"
        )


class StopVote:
    """The vote of a single process: it stops for its own signal and saves by its own clock.

    Attributes:
        initializer: op, to be run once.
        fetches: name -> tensor, to be fetched with each step.
    """

    def __init__(self) -> None:
        """Builds the ops."""
        self.initializer: tf.Operation = tf.no_op()
        self.fetches: Dict[str, tf.Tensor] = {}

        self._save = False

    def cast(self, session: tf.Session, signal_number: Optional[int], *, save: bool) -> None:
        """Casts this rank's vote before a step.

        Args:
            signal_number: of the signal that this rank received, or None.
            save: whether a checkpoint is due by this rank's clock; only rank 0's counts.
        """
        self._save = save

    def save_due(self, requests: Optional[Sequence[float]]) -> bool:
        """Whether all ranks save after a step, because a checkpoint was due by rank 0's clock.

        Args:
            requests: the value of `fetches` in that step.
        """
        del requests
        return self._save

    def result(
        self, requests: Optional[Sequence[float]], signal_number: Optional[int]
    ) -> Optional[int]:
        """The number of the signal that all ranks stop for after a step, or None.

        Args:
            requests: the value of `fetches` in that step.
            signal_number: of the signal that this rank received, or None.
        """
        del requests
        return signal_number


class RanksStopVote(StopVote):
    """Makes all ranks stop after the same step, whichever got the signal, and save by one clock.

    A rank's vote is a variable, and the step's own run averages it: voting costs no run of its own.
    """

    def __init__(self, ranks: Ranks) -> None:
        """Builds the ops."""
        super().__init__()
        self._rank = ranks.rank
        self._cast = [False] * (len(SIGNALS) + 1)
        self._vote = tf.get_variable(
            "stop_wish",
            [len(self._cast)],
            tf.float32,
            tf.zeros_initializer(),
            trainable=False,
            use_resource=True,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
        )
        self.initializer = self._vote.initializer
        self.fetches = {STOP_REQUESTS: ranks.allreduce_mean(tf.identity(self._vote.read_value()))}

    def cast(self, session: tf.Session, signal_number: Optional[int], *, save: bool) -> None:
        """See `StopVote.cast`."""
        vote = [signal_number == number for number in SIGNALS] + [save and self._rank == 0]
        if any(vote) or vote != self._cast:  # a rollback initializes the variable
            self._vote.load(np.array(vote, np.float32), session)
            self._cast = vote

    def save_due(self, requests: Optional[Sequence[float]]) -> bool:
        """See `StopVote.save_due`."""
        assert requests is not None, "the step did not fetch the vote"
        return requests[-1] > 0

    def result(
        self, requests: Optional[Sequence[float]], signal_number: Optional[int]
    ) -> Optional[int]:
        """See `StopVote.result`; a rank's own signal counts once all ranks know of it."""
        del signal_number
        assert requests is not None, "the step did not fetch the vote"
        return next((number for number, share in zip(SIGNALS, requests) if share > 0), None)


def build_stop_vote(ranks: Ranks) -> StopVote:
    """The vote of these ranks, its ops built in the default graph."""
    return StopVote() if ranks.size == 1 else RanksStopVote(ranks)
