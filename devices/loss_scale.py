"""Loss scaling: gradients too small for float16 are kept by multiplying the loss, and divided again.

Where they overflow all the same, the device's optimizer leaves out the update. What is said here is
the same on every device: what `--loss_scale` may hold, and how skipped updates are counted.
"""

import math
from typing import Callable, NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

from config import UserError

# The dynamic scale, as the reference set it: where it starts, after how many good updates in a row
# it grows, after how many overflows it falls, and by what.
INITIAL = 2.0**16
GOOD_UPDATES_TO_GROW = 1000
OVERFLOWS_TO_FALL = 2
GROWTH = 2.0
FALL = 0.5


class LossScale(NamedTuple):
    """What `--loss_scale` asks for.

    Attributes:
        on: whether the loss is scaled at all.
        fixed: the constant scale, at least 1; None where it is dynamic (or off).
    """

    on: bool
    fixed: Optional[float] = None

    def __str__(self):
        return f"{self.fixed:g}" if self.fixed else "dynamic" if self.on else "off"


OFF = LossScale(on=False)


def parse(text):
    """`--loss_scale` as a `LossScale`; raises `UserError` where it is none."""
    if text in ("dynamic", "off"):
        return LossScale(on=text == "dynamic")
    try:
        fixed = float(text)
    except ValueError:
        fixed = math.nan
    if not (math.isfinite(fixed) and fixed >= 1):
        raise UserError(f"--loss_scale: must be dynamic, off or a number of at least 1, not {text}")
    return LossScale(on=True, fixed=fixed)


class NetworkOptimizer(NamedTuple):
    """One network's optimizer and what it tells.

    Attributes:
        optimizer: has `compute_gradients` and `apply_gradients` as `tf.train.Optimizer` has.
        readings: `() -> dict`: builds float32 and int64 scalars of its state, read where (under
            which control dependencies) it is called: the present loss scale and how many updates
            were skipped. Empty where no loss is scaled.
        state: the variables beside the inner optimizer's own. A checkpoint of another device lacks
            them.
    """

    optimizer: tf.train.Optimizer
    readings: Callable = dict
    state: Tuple = ()


def counted(network, build):
    """The loss-scaling optimizer of one network, its variables under a scope of their own.

    Args:
        network: "d" or "g".
        build: called once, inside the scope; returns the optimizer and a function that gives its
            loss scale as a tensor.

    Returns:
        `NetworkOptimizer` with the readings NETWORK_loss_scale and NETWORK_skipped.
    """
    scope = network + "_loss_scale"
    # Resource variables: a read after an update within one run is ordered.
    with tf.variable_scope(scope, use_resource=True):
        optimizer, present = build()
        tried, applied = [
            tf.get_variable(name, [], tf.int64, tf.zeros_initializer(), trainable=False)
            for name in ("updates_tried", "updates_applied")
        ]

    def readings():
        return {
            network + "_loss_scale": tf.identity(present()),
            network + "_skipped": tried.read_value() - applied.read_value(),
        }

    return NetworkOptimizer(
        _Counting(optimizer, tried, applied), readings, tuple(tf.global_variables(scope + "/"))
    )


class _Counting:
    """An optimizer that counts the updates it tried and those that were applied.

    An applied update is one that reached the inner optimizer: that one alone moves the step which
    `apply_gradients` is given, whichever way the device found the overflow.
    """

    def __init__(self, optimizer, tried, applied):
        self._optimizer = optimizer
        self._tried = tried
        self._applied = applied

    def compute_gradients(self, loss, var_list=None):
        return self._optimizer.compute_gradients(loss, var_list=var_list)

    def apply_gradients(self, grads_and_vars):
        update = self._optimizer.apply_gradients(grads_and_vars, global_step=self._applied)
        return tf.group(update, self._tried.assign_add(1, read_value=False))
