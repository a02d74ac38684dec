"""SIGINT and SIGTERM during training: finish the step first; a second one stops at once."""

import os
import signal
from typing import Callable, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WISHES = "stop_wishes"  # the fetch that tells which of them any rank was sent


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
        self._say(
            f"{signal.Signals(number).name}: finishing this step and saving; once more to stop at once"
        )


class StopVote(NamedTuple):
    """How ranks that are sent a signal at different moments, or not at all, stop after one step.

    Attributes:
        initialize: op, to be run once.
        fetches: name -> tensor, to be fetched with each step.
        cast: `(session, signal number or None)`: tells the other ranks, with the next step.
        result: `(values, signal number or None) -> signal number or None`: what all are to heed
            after the step of these fetched values.
    """

    initialize: tf.Operation
    fetches: dict
    cast: Callable
    result: Callable


def build_stop_vote(ranks):
    """The `StopVote` of these ranks; a rank of one does at once what it was told.

    What a rank wants stands in a variable, so that asking costs no run of its own.
    """
    if ranks.size == 1:
        return StopVote(tf.no_op(), {}, lambda session, number: None, lambda values, number: number)
    wish = tf.get_variable(
        "stop_wish",
        [len(SIGNALS)],
        tf.float32,
        tf.zeros_initializer(),
        trainable=False,
        use_resource=True,
        collections=[tf.GraphKeys.LOCAL_VARIABLES],
    )

    def cast(session, number):
        if number is not None:
            wish.load(np.array([number == each for each in SIGNALS], np.float32), session)

    def result(values, number):
        del number  # it counts once all know of it
        return next((number for number, share in zip(SIGNALS, values[WISHES]) if share > 0), None)

    return StopVote(
        wish.initializer,
        {WISHES: ranks.allreduce_mean(tf.identity(wish.read_value()))},
        cast,
        result,
    )
