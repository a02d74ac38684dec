"""The vote of several ranks: a stop for any rank's signal, a checkpoint by rank 0's clock alone."""

import signal

import pytest
import tensorflow.compat.v1 as tf

from devices.ranks import Ranks
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
