"""An exponential moving average of the generator's weights, for drawing images after training."""

from typing import Tuple

import tensorflow.compat.v1 as tf

import model

WARM_UP = 10.0  # steps: after n of them the decay is at most n / (n + WARM_UP)


class WeightAverage:
    """Averages of all of G's variables, those of batch norm included; none if the decay is 0.

    They begin as a copy of the weights after the first step that they see.

    Attributes:
        variables: the averages and the number of steps in them. A checkpoint may lack them.
    """

    def __init__(self, decay: float) -> None:
        """Creates the variables of a decay in [0, 1]. G must have been built."""
        self.variables: Tuple[tf.Variable, ...] = ()
        self._decay = decay
        if not decay:
            return
        self._weights = model.variables_of("generator")
        with tf.variable_scope("", use_resource=True):
            self._averages = [
                tf.get_variable(
                    model.average_name(weight.op.name),
                    weight.shape,
                    weight.dtype.base_dtype,
                    tf.zeros_initializer(),
                    trainable=False,
                )
                for weight in self._weights
            ]
            self._steps = tf.get_variable(
                model.average_name("generator/steps"),
                [],
                tf.float32,
                tf.zeros_initializer(),
                trainable=False,
            )
        self.variables = (*self._averages, self._steps)

    def update_after(self, update: tf.Operation) -> tf.Operation:
        """`update`, the last one of a step, and then the step of the averages."""
        if not self.variables:
            return update
        with tf.control_dependencies([update]):
            steps = self._steps.read_value()
            decay = tf.minimum(self._decay, steps / (steps + WARM_UP))
            moved = [
                average.assign(
                    decay * average.read_value() + (1 - decay) * weight.read_value(),
                    read_value=False,
                )
                for average, weight in zip(self._averages, self._weights)
            ]
        with tf.control_dependencies(moved):
            return self._steps.assign_add(1.0, read_value=False)
