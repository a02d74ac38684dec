"""The optimizers, and how the learning rate grows with the number of ranks."""

import math
from typing import Callable, Dict, Tuple, Union

import tensorflow.compat.v1 as tf

import model
from config import Config
from devices.base import Device
from devices.loss_scale import NetworkOptimizer
from devices.ranks import Ranks


class Adam(tf.train.AdamOptimizer):
    """Adam whose variables have the same names under every wrapper, so a run may change devices.

    Loss scaling applies the optimizer within a branch, whose name would become part of theirs.
    """

    def __init__(self, rate: Union[float, tf.Tensor], config: Config) -> None:
        """Args: rate: the learning rate; config: `Config`, with the other hyperparameters."""
        super().__init__(rate, beta1=config.beta1)
        self._weight_decay = config.weight_decay

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        """Adds the gradient of the weight decay: here gradients are averaged and without a scale."""
        if self._weight_decay:
            grads_and_vars = [
                (gradient + self._weight_decay * variable.read_value(), variable)
                if model.is_layer_weight(variable)
                else (gradient, variable)
                for gradient, variable in grads_and_vars
            ]
        return super().apply_gradients(grads_and_vars, global_step, name)

    def _create_slots(self, var_list):
        with tf.name_scope(tf.get_variable_scope().name + "/"):
            super()._create_slots(var_list)


# --scale_lr -> number of ranks -> the factor of --learning_rate.
LEARNING_RATES: Dict[str, Callable[[int], float]] = {
    "none": lambda ranks: 1.0,
    "linear": float,
    "sqrt": math.sqrt,
}


# --lr_schedule -> share of the training done, a float32 scalar in [0, 1] -> the factor of the rate.
SCHEDULES: Dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "constant": tf.ones_like,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + tf.cos(math.pi * done)),
}


COUNTER = "schedule_steps"  # the name of the variable that counts a schedule's steps


class Schedule:
    """The learning rates of a run: `--learning_rate`, `--d_learning_rate`, `--lr_schedule`.

    A schedule that is not constant counts the steps in a variable, which is saved with the others.
    It begins after `--lr_decay_start` epochs.
    """

    def __init__(self, config: Config, *, ranks_size: int, total_steps: int) -> None:
        """Builds the counter if there is something to count.

        Args:
            total_steps: of all epochs.
        """
        self._config, self._ranks_size = config, ranks_size
        self._steps = None
        if config.lr_schedule != "constant":
            self._steps = tf.get_variable(
                COUNTER, [], tf.int64, tf.zeros_initializer(),
                trainable=False, use_resource=True,
            )  # fmt: skip
            start = total_steps * config.lr_decay_start // config.epoch
            steps = tf.cast(self._steps.read_value() - start, tf.float32)
            done = tf.clip_by_value(steps / max(total_steps - start, 1), 0.0, 1.0)
            self._factor = SCHEDULES[config.lr_schedule](done)

    def rate(self, network: str) -> Union[float, tf.Tensor]:
        """The learning rate of one network ("d" or "g"): a float, or a scalar of the current step."""
        rate = learning_rate(self._config, self._ranks_size, network)
        return rate if self._steps is None else rate * self._factor

    def set_steps(self, session: tf.Session, steps: int) -> None:
        """Sets the counter: with another number of ranks, the same place has another number."""
        if self._steps is not None:
            self._steps.load(steps, session)

    def count(self, update: tf.Operation) -> tf.Operation:
        """The last update of a step, and then the counting of that step."""
        if self._steps is None:
            return update
        with tf.control_dependencies([update]):
            return self._steps.assign_add(1, read_value=False)


def learning_rate(config: Config, ranks_size: int, network: str = "g") -> float:
    """The initial learning rate of a network ("d" or "g") of a run with that many ranks."""
    rate = config.learning_rate
    if network == "d" and config.d_learning_rate is not None:
        rate = config.d_learning_rate
    return rate * LEARNING_RATES[config.scale_lr](ranks_size)


def build_optimizer(
    network: str, *, config: Config, device: Device, ranks: Ranks, schedule: Schedule
) -> NetworkOptimizer:
    """The optimizer of one network, wrapped for the ranks and for the device's loss scaling.

    Not to be called under control dependencies.

    Args:
        network: "d" or "g".
        config: `Config`.
        device: `devices.base.Device`.
        ranks: `devices.ranks.Ranks`.
        schedule: `Schedule` of the run.
    """
    optimizer = Adam(schedule.rate(network), config)
    return device.wrap(optimizer, network, ranks)


def build_optimizers(
    config: Config, device: Device, ranks: Ranks, *, schedule: Schedule
) -> Tuple[NetworkOptimizer, NetworkOptimizer]:
    """(the optimizer of D, that of G); see `build_optimizer`."""
    d, g = [
        build_optimizer(network, config=config, device=device, ranks=ranks, schedule=schedule)
        for network in ("d", "g")
    ]
    return d, g
