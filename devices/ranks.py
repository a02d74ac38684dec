"""Ranks of a data-parallel run: one process a device, Horovod off the NPU, HCCL on it.

One process is a rank of one, whose collectives hand back what they are given, so that nobody who
trains asks how many there are. Every rank must call the same collectives in the same order.
"""

import contextlib
import json
import os
import re
from typing import Callable, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from devices import adapter, launcher, rank_table
from options import RankLost, UserError


class Ranks(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: 0 to size - 1; rank 0 alone writes files.
        size: how many processes.
        wrap_optimizer: `optimizer -> optimizer` that averages gradients over the ranks.
        mean: `tensor -> tensor` of the same shape, float32: the mean over the ranks, equal to the
            bit on all of them.
        broadcast: `tensor -> tensor`, float or integer, as rank 0 has it.
    """

    rank: int = 0
    size: int = 1
    wrap_optimizer: Callable = lambda optimizer: optimizer
    mean: Callable = lambda tensor: tensor
    broadcast: Callable = lambda tensor: tensor


SINGLE_PROCESS = Ranks()


def open_ranks(kind):
    """The ranks that the environment sets up.

    Args:
        kind: of the device ("npu", "gpu" or "cpu"), which decides who averages.

    Raises:
        UserError: naming the variable that does not fit the device, or what is missing.
    """
    place, cluster = launcher.place(), rank_table.read(os.environ) if kind == "npu" else None
    if kind == "npu":
        if place.size > 1:
            raise UserError(
                f"HOROVOD_SIZE: {place.size}: NPUs train together by RANK_SIZE and a rank table, not "
                "by horovodrun (see test/train_full_8p.sh)"
            )
        return _hccl(cluster)
    if os.environ.get("RANK_SIZE", "") not in ("", "1") and place.size == 1:
        raise UserError(
            "RANK_SIZE: {}: is for NPUs; elsewhere horovodrun starts several processes "
            "(see test/train_full_8p.sh)".format(os.environ["RANK_SIZE"])
        )
    return _horovod(place)


def _hccl(cluster):
    if cluster.size == 1:
        return SINGLE_PROCESS
    return Ranks(
        cluster.rank,
        cluster.size,
        adapter.average_gradients,
        lambda tensor: adapter.sum_over_devices(tensor) / cluster.size,
        adapter.broadcast,
    )


def _horovod(place):
    if place.size == 1:
        return SINGLE_PROCESS
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise UserError(
            f"HOROVOD_SIZE: {place.size}: Horovod cannot be imported ({error}); build it with: "
            "bash test/horovod.sh"
        )
    hvd.init()
    return Ranks(
        hvd.rank(),
        hvd.size(),
        hvd.DistributedOptimizer,
        lambda tensor: hvd.allreduce(tensor, op=hvd.Average),
        lambda tensor: hvd.broadcast(tensor, root_rank=0),
    )


def allreduce_means(ranks, tensors):
    """Each tensor's mean over the ranks, all in one collective.

    Args:
        ranks: `Ranks`.
        tensors: a list of float32 tensors with known shapes.
    """
    if ranks.size == 1 or not tensors:
        return list(tensors)
    sizes = [tensor.shape.num_elements() for tensor in tensors]
    joined = ranks.mean(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0))
    return [
        tf.reshape(part, tensor.shape) for part, tensor in zip(tf.split(joined, sizes), tensors)
    ]


def build_broadcast_variables(ranks, variables):
    """The op that gives every rank rank 0's values of all variables, integers included."""
    if ranks.size == 1:
        return tf.no_op()
    return tf.group(
        *[
            variable.assign(ranks.broadcast(variable.read_value()), read_value=False)
            for variable in variables
        ]
    )


def build_broadcast_integers(ranks, count):
    """A function `(session, count integers) -> count integers`: what rank 0 was called with."""
    if ranks.size == 1:
        return lambda session, numbers: list(numbers)
    said = tf.placeholder(tf.int64, [count], "announced")
    heard = ranks.broadcast(said)
    return lambda session, numbers: [int(n) for n in session.run(heard, {said: list(numbers)})]


def broadcast_object(ranks, value, *, session_config):
    """A JSON value as rank 0 has it, before there is a graph; its own one is used up for that.

    Args:
        ranks: `Ranks`.
        value: of any size; ignored on other ranks than 0.
        session_config: `tf.ConfigProto`.
    """
    if ranks.size == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode() if ranks.rank == 0 else b"", np.uint8)
    (length,) = _announced(ranks, np.array([len(text)], np.int64), session_config)
    text = text if ranks.rank == 0 else np.zeros(length, np.uint8)
    return json.loads(_announced(ranks, text, session_config).tobytes().decode())


def _announced(ranks, array, session_config):
    with tf.Graph().as_default(), tf.Session(config=session_config) as session:
        said = tf.placeholder(array.dtype, array.shape)
        return session.run(ranks.broadcast(said), {said: array})


@contextlib.contextmanager
def guarded(ranks):
    """A context in which a session that fails among several ranks ends this one in one line.

    A collective fails where another rank has ended; which one, its own last line and the launcher tell.

    Raises:
        RankLost: instead of `tf.errors.OpError`.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if ranks.size == 1:
            raise
        reason = re.sub(r"\s+", " ", error.message or str(error))
        raise RankLost(
            f"rank {ranks.rank} of {ranks.size}: stopped, since another rank has ended or a step failed: "
            f"{reason:.200}"
        )
