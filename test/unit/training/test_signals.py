"""The vote of several ranks: a stop for any rank's signal, a checkpoint by rank 0's clock alone."""

import os
import signal

import pytest
import tensorflow.compat.v1 as tf

from devices.ranks import Ranks
from training import signals
from training.signals import STOP_REQUESTS, build_stop_vote


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_votes_and_takes_its_request_back(graph, rank):
    """The other rank votes for nothing; a mean over the ranks is what this one says."""
    vote = build_stop_vote(Ranks(rank=rank, size=2))
    with tf.Session() as session:
        session.run(vote.initializer)
        seen = []
        for number, save in ((None, False), (None, True), (None, False), (signal.SIGHUP, True)):
            vote.cast(session, number, save=save)
            requests = session.run(vote.fetches)[STOP_REQUESTS]
            seen.append((vote.result(requests, None), vote.save_due(requests)))
    first = rank == 0
    assert seen == [(None, False), (None, first), (None, False), (signal.SIGHUP, first)]


def test_a_vote_outlives_a_rollback(graph):
    """A rollback initializes the variables, the vote's among them."""
    vote = build_stop_vote(Ranks(rank=1, size=2))
    with tf.Session() as session:
        for _ in range(2):
            session.run(vote.initializer)
            vote.cast(session, signal.SIGTERM, save=False)
            requests = session.run(vote.fetches)[STOP_REQUESTS]
            assert vote.result(requests, None) == signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once_but_an_echo_of_the_first_does_not(monkeypatch, number):
    """`timeout` signals a program and then its group, so the first one comes twice."""
    clock, killed, lines = [10.0], [], []
    monkeypatch.setattr(signals.time, "monotonic", lambda: clock[0])
    with signals.SignalCatcher(warn=lines.append) as catcher:
        kill = os.kill
        kill(os.getpid(), number)
        clock[0] += 0.5
        kill(os.getpid(), number)
        assert catcher.received == number and len(lines) == 1
        monkeypatch.setattr(signals.os, "kill", lambda *what: killed.append(what))
        clock[0] += 0.6
        kill(os.getpid(), number)
        assert signal.getsignal(number) == signal.SIG_DFL
    assert killed == [(os.getpid(), number)]
