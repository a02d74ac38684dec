"""SIGINT and SIGTERM during training: the first finishes the step, a second stops at once."""

import os
import signal
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from devices.ranks import Ranks

SIGNALS = (signal.SIGINT, signal.SIGTERM)
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
        self._handlers_before: Dict[int, Any] = {}

    def __enter__(self) -> "SignalCatcher":
        for number in SIGNALS:
            self._handlers_before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *unused: Any) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: Any) -> None:
        del frame
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = number
        self._warn(
            f"{signal.Signals(number).name}: finishing this step and saving; "
            "once more to stop at once"
        )


class StopVote:
    """The vote of a single process: it stops for the signal that it received.

    Attributes:
        initializer: op, to be run once.
        fetches: name -> tensor, to be fetched with each step.
    """

    def __init__(self) -> None:
        """Builds the ops."""
        self.initializer: tf.Operation = tf.no_op()
        self.fetches: Dict[str, tf.Tensor] = {}

    def cast(self, session: tf.Session, signal_number: Optional[int]) -> None:
        """Casts this rank's vote before a step.

        Args:
            signal_number: of the signal that this rank received, or None.
        """

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
    """Makes all ranks stop after the same step, whichever of them got the signal.

    A rank's vote is a variable, and the step's own run averages it: voting costs no run of its own.
    """

    def __init__(self, ranks: Ranks) -> None:
        """Builds the ops."""
        super().__init__()
        self._vote = tf.get_variable(
            "stop_wish",
            [len(SIGNALS)],
            tf.float32,
            tf.zeros_initializer(),
            trainable=False,
            use_resource=True,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
        )
        self.initializer = self._vote.initializer
        self.fetches = {STOP_REQUESTS: ranks.allreduce_mean(tf.identity(self._vote.read_value()))}

    def cast(self, session: tf.Session, signal_number: Optional[int]) -> None:
        """See `StopVote.cast`."""
        if signal_number is not None:
            vote = np.array([signal_number == number for number in SIGNALS], np.float32)
            self._vote.load(vote, session)

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
