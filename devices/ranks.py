"""The ranks of a data-parallel run: one process a device, through HCCL on NPUs, else Horovod.

A single process is rank 0 of 1, whose collectives return their arguments, so that training code
never asks how many ranks there are. All ranks must call the same collectives in the same order.
"""

import contextlib
import itertools
import json
import os
import re
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from devices import adapter, launcher, rank_table
from options import RankLost, UserError

Gradient = Tuple[tf.Tensor, tf.Variable]


class Ranks:
    """This process among those that train together; this class is a process by itself.

    Attributes:
        rank: 0 to size - 1. Rank 0 alone writes files.
        size: the number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        """Args: see the attributes."""
        self.rank = rank
        self.size = size

    def wrap_optimizer(self, optimizer: tf.train.Optimizer) -> tf.train.Optimizer:
        """The optimizer with gradients averaged over the ranks."""
        return optimizer

    def allreduce_mean(self, tensor: tf.Tensor) -> tf.Tensor:
        """The mean of a float32 tensor over the ranks: of its shape, equal bit for bit on all."""
        return tensor

    def broadcast(self, tensor: tf.Tensor) -> tf.Tensor:
        """Rank 0's value of a tensor, float or integer."""
        return tensor

    def allreduce_means(self, tensors: Sequence[tf.Tensor]) -> List[tf.Tensor]:
        """The mean of each tensor over the ranks, with one collective for all.

        Args:
            tensors: float32, with known shapes.
        """
        if self.size == 1 or not tensors:
            return list(tensors)
        sizes = [tensor.shape.num_elements() for tensor in tensors]
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)
        parts = tf.split(self.allreduce_mean(flat), sizes)
        return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors)]

    def broadcast_variables(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        """An op that assigns rank 0's values to the variables, integer ones included."""
        if self.size == 1:
            return tf.no_op()
        return tf.group(
            *[
                variable.assign(self.broadcast(variable.read_value()), read_value=False)
                for variable in variables
            ]
        )

    def broadcast_object(self, value: Any, session_config: tf.ConfigProto) -> Any:
        """Rank 0's JSON value, broadcast in temporary graphs.

        Args:
            value: of any size; ignored on the other ranks.
            session_config: of the temporary sessions.
        """
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.rank == 0 else b""
        array = np.frombuffer(text, np.uint8)
        (length,) = self._broadcast_array(np.array([len(array)], np.int64), session_config)
        if self.rank != 0:
            array = np.zeros(length, np.uint8)
        return json.loads(self._broadcast_array(array, session_config).tobytes().decode())

    def _broadcast_array(self, array, session_config):
        with tf.Graph().as_default(), tf.Session(config=session_config) as session:
            placeholder = tf.placeholder(array.dtype, array.shape)
            return session.run(self.broadcast(placeholder), {placeholder: array})


class HorovodRanks(Ranks):
    """Several processes on CPUs or GPUs, started by horovodrun."""

    def __init__(self, hvd: Any) -> None:
        """Args: hvd: the module `horovod.tensorflow`, initialized."""
        super().__init__(hvd.rank(), hvd.size())
        self._hvd = hvd

    def wrap_optimizer(self, optimizer: tf.train.Optimizer) -> tf.train.Optimizer:
        """See `Ranks.wrap_optimizer`."""
        return self._hvd.DistributedOptimizer(optimizer)

    def allreduce_mean(self, tensor: tf.Tensor) -> tf.Tensor:
        """See `Ranks.allreduce_mean`."""
        return self._hvd.allreduce(tensor, op=self._hvd.Average)

    def broadcast(self, tensor: tf.Tensor) -> tf.Tensor:
        """See `Ranks.broadcast`."""
        return self._hvd.broadcast(tensor, root_rank=0)


class HcclRanks(Ranks):
    """Several processes on NPUs, described by RANK_SIZE, RANK_ID and a rank table.

    The adapter's own distributed optimizer leaves it to the device which gradients of a graph it
    fuses into one collective. Here one graph holds three updates, each depending on the one before,
    so a fused collective might wait for itself. Therefore the gradients of each update form a fusion
    group of their own, and everything else is not fused.
    """

    def __init__(self, rank: int, size: int) -> None:
        """Args: see the attributes of `Ranks`."""
        super().__init__(rank, size)
        self._fusion_ids = itertools.count(1)

    def wrap_optimizer(self, optimizer: tf.train.Optimizer) -> tf.train.Optimizer:
        """See `Ranks.wrap_optimizer`."""
        return AveragingOptimizer(optimizer, self)

    def average_gradients(self, gradients: List[Gradient]) -> List[Gradient]:
        """The means over the ranks of the gradients of one update, in a fusion group of their own.

        Args:
            gradients: [(gradient, variable)] as `compute_gradients` returns them.
        """
        fusion_id = next(self._fusion_ids)
        return [
            (adapter.sum_over_devices(gradient, fusion_id=fusion_id) / self.size, variable)
            for gradient, variable in gradients
        ]

    def allreduce_mean(self, tensor: tf.Tensor) -> tf.Tensor:
        """See `Ranks.allreduce_mean`."""
        return adapter.sum_over_devices(tensor) / self.size

    def broadcast(self, tensor: tf.Tensor) -> tf.Tensor:
        """See `Ranks.broadcast`.

        Integers travel as int32, the only type of theirs that every release of HCCL takes: those
        broadcast here are counters, sizes and bytes.
        """
        if tensor.dtype.is_floating:
            return adapter.broadcast(tensor)
        return tf.cast(adapter.broadcast(tf.cast(tensor, tf.int32)), tensor.dtype)


class AveragingOptimizer(tf.train.Optimizer):
    """An optimizer whose gradients are averaged over the devices by HCCL."""

    def __init__(self, optimizer: tf.train.Optimizer, ranks: HcclRanks) -> None:
        """Args: optimizer: computes and applies the gradients; ranks: `HcclRanks`."""
        super().__init__(use_locking=False, name="Averaging" + type(optimizer).__name__)
        self._optimizer = optimizer
        self._ranks = ranks

    def compute_gradients(self, *arguments: Any, **more: Any) -> List[Gradient]:
        """As `tf.train.Optimizer.compute_gradients`; each call is one update."""
        return self._ranks.average_gradients(self._optimizer.compute_gradients(*arguments, **more))

    def apply_gradients(self, *arguments: Any, **more: Any) -> tf.Operation:
        """As `tf.train.Optimizer.apply_gradients`."""
        return self._optimizer.apply_gradients(*arguments, **more)


SINGLE_PROCESS = Ranks()


class IntegerBroadcast:
    """Broadcasts integers of rank 0 in a graph that may be finalized after this is built."""

    def __init__(self, ranks: Ranks, count: int) -> None:
        """Builds the ops in the default graph.

        Args:
            ranks: `Ranks`.
            count: of integers.
        """
        self._single = ranks.size == 1
        if not self._single:
            self._placeholder = tf.placeholder(tf.int64, [count], "integers")
            self._of_rank_0 = ranks.broadcast(self._placeholder)

    def run(self, session: tf.Session, integers: Sequence[int]) -> List[int]:
        """Rank 0's integers; those of the other ranks are ignored."""
        if self._single:
            return list(integers)
        values = session.run(self._of_rank_0, {self._placeholder: list(integers)})
        return [int(value) for value in values]


class Barrier:
    """Makes the other ranks wait for rank 0, in a graph that may be finalized after this is built."""

    def __init__(self, ranks: Ranks) -> None:
        """Builds the ops in the default graph."""
        self._broadcast = IntegerBroadcast(ranks, 1)

    def wait(self, session: tf.Session) -> None:
        """Returns once rank 0 has come here too."""
        self._broadcast.run(session, [0])


def open_hccl_ranks() -> Ranks:
    """The ranks of NPUs that the environment describes.

    Raises:
        UserError: naming the variable, or the rank table and the position in it.
    """
    process = rank_table.read(os.environ)
    started = launcher.horovod_process()
    if started.size > 1:
        raise UserError(
            f"HOROVOD_SIZE: {started.size}: NPUs train together by RANK_SIZE and a rank table, not "
            "by horovodrun (see test/train_full_8p.sh)"
        )
    return HcclRanks(process.rank, process.size) if process.size > 1 else SINGLE_PROCESS


def open_horovod_ranks() -> Ranks:
    """The ranks that horovodrun started.

    Raises:
        UserError: naming the variable that does not fit, or Horovod cannot be imported.
    """
    process = launcher.horovod_process()
    if process.size == 1:
        if os.environ.get("RANK_SIZE", "") not in ("", "1"):
            raise UserError(
                f"RANK_SIZE: {os.environ['RANK_SIZE']}: is for NPUs; elsewhere horovodrun starts "
                "several processes (see test/train_full_8p.sh)"
            )
        return SINGLE_PROCESS
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise UserError(
            f"HOROVOD_SIZE: {process.size}: Horovod cannot be imported ({error}); build it with: "
            "bash test/horovod.sh"
        )
    hvd.init()
    return HorovodRanks(hvd)


@contextlib.contextmanager
def guarded(ranks: Ranks) -> Iterator[None]:
    """A context in which a failed session ends one of several ranks with one line.

    A collective fails where another rank has ended. Which one, its own last line and the launcher
    say.

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
            f"rank {ranks.rank} of {ranks.size}: stopped, since another rank has ended or a step "
            f"failed: {reason:.200}"
        )
