"""One rank of scaling.py, started by horovodrun: steps with and without the other ranks, in turns.

    python benchmarks/scaling_rank.py mnist|image BATCH_SIZE THREADS TURNS STEPS

Rank 0 prints a line of JSON: the seconds of each step "together" and "apart" (the same process, the
same step, nothing averaged), and the bytes that a step averages.
"""

import json
import sys
import time

import own
import tensorflow.compat.v1 as tf

from devices.device import open_device
from devices.ranks import SINGLE_PROCESS, Barrier, guarded

WARM_UP = 3


def main(architecture, batch_size, *, threads, turns, steps):
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    config, dataset = own.random_inputs(architecture, int(batch_size))
    config = config.replace(intra_op_threads=int(threads))
    device = open_device(config, say=lambda line: None)
    ranks = device.open_ranks()
    steps_of, seconds = {}, {"together": [], "apart": []}
    for name, among in (("together", ranks), ("apart", SINGLE_PROCESS)):
        with tf.Graph().as_default() as graph:
            session = tf.Session(config=device.session_config)
            steps_of[name] = own.default_iteration(
                session, config, dataset, device=device, ranks=among
            )
    with guarded(ranks), tf.Session(graph=tf.Graph(), config=device.session_config) as session:
        with session.graph.as_default():
            barrier = Barrier(ranks)
        for turn in range(int(turns) + 1):
            for name, step in steps_of.items():
                barrier.wait(session)  # nobody begins before rank 0
                times = [_seconds_of(step) for _ in range(WARM_UP if turn == 0 else int(steps))]
                seconds[name] += times if turn else []
    if ranks.rank == 0:
        print("figures " + json.dumps(dict(seconds, bytes=_bytes_averaged(graph))))


def _seconds_of(step):
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _bytes_averaged(graph):
    """Gradients of D once and of G twice; float32. Statistics and losses are a thousandth of them."""
    with graph.as_default():
        return sum(
            4 * times * variable.shape.num_elements()
            for scope, times in (("discriminator", 1), ("generator", 2))
            for variable in tf.trainable_variables(scope + "/")
        )


if __name__ == "__main__":
    main(*sys.argv[1:3], threads=sys.argv[3], turns=sys.argv[4], steps=sys.argv[5])
