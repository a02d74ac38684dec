"""The moving average of a generator's weights, which `--g_ema` keeps during training."""

import tensorflow.compat.v1 as tf

import model
from system.plain_prefix import plain_prefix


def load_average(session: tf.Session, prefix: str) -> None:
    """Gives the generator of the default graph the average of its weights.

    Without effect if the checkpoint has none, or if there is no generator in the graph.

    Args:
        prefix: of the checkpoint, which has been restored.
    """
    with plain_prefix(prefix) as path:
        reader = tf.train.load_checkpoint(path)
        if not reader.has_tensor(model.average_name("generator/steps")):
            return
        for variable in model.variables_of("generator"):
            variable.load(reader.get_tensor(model.average_name(variable.op.name)), session)
