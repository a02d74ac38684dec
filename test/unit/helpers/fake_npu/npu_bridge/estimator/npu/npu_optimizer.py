"""Averaging gradients over the devices of RANK_SIZE."""

import os

import tensorflow.compat.v1 as tf

from npu_bridge import record
from npu_bridge.hccl import hccl_ops

_MARK = "_fake_npu_averages"


class NPUDistributedOptimizer(tf.train.Optimizer):
    """Wraps an optimizer; RANK_SIZE is read when it is made."""

    def __init__(self, optimizer, is_weight_update_sharding=False, name=None):
        super().__init__(use_locking=False, name=name or "Distributed" + type(optimizer).__name__)
        self._optimizer = optimizer
        self._size = _mark(self, optimizer)

    def compute_gradients(self, *arguments, **more):
        return _averaged(self._optimizer.compute_gradients(*arguments, **more), self._size)

    def apply_gradients(self, *arguments, **more):
        return self._optimizer.apply_gradients(*arguments, **more)


def npu_distributed_optimizer_wrapper(optimizer):
    """The same optimizer with `compute_gradients` replaced by one that averages."""
    compute = optimizer.compute_gradients
    size = _mark(optimizer, optimizer)

    def averaging(*arguments, **more):
        return _averaged(compute(*arguments, **more), size)

    optimizer.compute_gradients = averaging
    return optimizer


def _mark(wrapper, inner):
    stacked = hasattr(inner, _MARK)
    record.note(
        "distributed",
        inner=type(inner).__name__,
        problems=["two distributed wrappers stacked"] if stacked else [],
    )
    setattr(wrapper, _MARK, True)
    return int(os.environ.get("RANK_SIZE") or 1)


def _averaged(gradients, size):
    if size <= 1:
        return gradients
    return [
        (None if gradient is None else hccl_ops.allreduce(gradient, "sum") / size, variable)
        for gradient, variable in gradients
    ]
