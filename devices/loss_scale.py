"""Loss scaling: the loss is multiplied so that small gradients survive float16, then divided out.

If gradients still overflow, the optimizer skips the update. This file holds what is the same on
every device: the values of `--loss_scale`, and how skipped updates are counted.
"""

import math
import re
from typing import Dict, NamedTuple, Optional

import tensorflow.compat.v1 as tf

from options import UserError

# The dynamic scale as the reference sets it: the initial scale, the good updates in a row after which
# it grows, the overflows after which it falls, and both factors.
INITIAL = 2.0**16
GOOD_UPDATES_TO_GROW = 1000
OVERFLOWS_TO_FALL = 2
GROWTH = 2.0
FALL = 0.5


# Beyond this, every gradient of a usual size overflows float32 and every update would be skipped.
LARGEST = 2.0**60
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+]?[0-9]+)?")


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
    """The `LossScale` that the text of `--loss_scale` asks for; raises `UserError` if it is invalid."""
    if text in ("dynamic", "off"):
        return LossScale(on=text == "dynamic")
    fixed = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 1 <= fixed <= LARGEST:
        raise UserError(
            f"--loss_scale: must be dynamic, off or a number from 1 to 2^60, not {text!r}"
        )
    return LossScale(on=True, fixed=fixed)


class NetworkOptimizer:
    """The optimizer of one network, without loss scaling.

    Attributes:
        optimizer: has `compute_gradients` and `apply_gradients`, as `tf.train.Optimizer` has.
        state: tuple of the variables beside the inner optimizer's own. A checkpoint from another
            device lacks them.
    """

    def __init__(self, optimizer, state=()):
        """Args: see the attributes."""
        self.optimizer = optimizer
        self.state = tuple(state)

    def readings(self) -> Dict[str, tf.Tensor]:
        """Builds scalars that report the optimizer's state; none here.

        They are read where, that is under which control dependencies, this is called.
        """
        return {}


class ScaledNetworkOptimizer(NetworkOptimizer):
    """The optimizer of one network with loss scaling; counts the updates that it skips."""

    def __init__(self, network, build):
        """Builds the optimizer, its variables in a variable scope of their own.

        Args:
            network: "d" or "g".
            build: called once, inside the scope; returns the loss-scaling optimizer and a function
                that returns the current loss scale as a tensor or variable.
        """
        scope = network + "_loss_scale"
        # Resource variables: a read after an update within one run is ordered.
        with tf.variable_scope(scope, use_resource=True):
            optimizer, self._current_scale = build()
            self._tried, self._applied = [
                tf.get_variable(name, [], tf.int64, tf.zeros_initializer(), trainable=False)
                for name in ("updates_tried", "updates_applied")
            ]
        self._network = network
        counting = _CountingOptimizer(optimizer, self._tried, self._applied)
        super().__init__(counting, tf.global_variables(scope + "/"))

    def readings(self) -> Dict[str, tf.Tensor]:
        """NETWORK_loss_scale (float32) and NETWORK_skipped (int64, updates skipped so far)."""
        return {
            self._network + "_loss_scale": tf.identity(self._current_scale()),
            self._network + "_skipped": self._tried.read_value() - self._applied.read_value(),
        }


class _CountingOptimizer:
    """An optimizer that counts the updates it tried and those that were applied.

    An applied update is one that reached the inner optimizer: that one alone increments the step
    which `apply_gradients` is given, whichever way the device found the overflow.
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
