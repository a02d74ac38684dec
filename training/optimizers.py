"""The optimizers, and how the learning rate grows with the number of ranks."""

import math
from typing import Callable, Dict, Type

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

    def __init__(self, rate: float, config: Config) -> None:
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


# name -> optimizer class; it is called with a learning rate and the config.
OPTIMIZERS: Dict[str, Type[Adam]] = {"adam": Adam}

# --scale_lr -> number of ranks -> the factor of --learning_rate.
LEARNING_RATES: Dict[str, Callable[[int], float]] = {
    "none": lambda ranks: 1.0,
    "linear": float,
    "sqrt": math.sqrt,
}


def learning_rate(config: Config, ranks_size: int) -> float:
    """The learning rate of a run with that many ranks."""
    return config.learning_rate * LEARNING_RATES[config.scale_lr](ranks_size)


def build_optimizer(
    network: str, *, config: Config, device: Device, ranks: Ranks
) -> NetworkOptimizer:
    """The optimizer of one network, wrapped for the ranks and for the device's loss scaling.

    Not to be called under control dependencies.

    Args:
        network: "d" or "g".
        config: `Config`.
        device: `devices.base.Device`.
        ranks: `devices.ranks.Ranks`.
    """
    optimizer = OPTIMIZERS["adam"](learning_rate(config, ranks.size), config)
    return device.wrap(optimizer, network, ranks)
