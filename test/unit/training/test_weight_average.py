"""--g_ema and --weight_decay in a training step."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import checkpoint
import model
from config import Config
from training.optimizers import Adam
from training.weight_average import WARM_UP, WeightAverage

STATE = {"seconds": 1.0, "draw": 0}


def generator_with(decay):
    """(G's weight, an op that adds 1 to it, its average) of a network of one layer."""
    with tf.variable_scope("generator/g_h0_lin", use_resource=True):
        weight = tf.get_variable("Matrix", [2], tf.float32, tf.zeros_initializer())
    return weight, weight.assign_add([1.0, 2.0], read_value=False), WeightAverage(decay)


def test_the_average_follows_its_definition(graph):
    weight, update, average = generator_with(0.5)
    step = average.update_after(update)
    assert [v.op.name for v in average.variables] == [
        "generator_ema/g_h0_lin/Matrix",
        "generator_ema/steps",
    ]
    expected = np.zeros(2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for steps in range(20):
            session.run(step)
            decay = min(0.5, steps / (steps + WARM_UP))
            expected = decay * expected + (1 - decay) * (steps + 1) * np.array([1.0, 2.0])
            np.testing.assert_allclose(session.run(average.variables[0]), expected, rtol=1e-5)
        assert session.run(average.variables[1]) == 20


def test_a_decay_of_0_builds_nothing(graph):
    weight, update, average = generator_with(0.0)
    before = len(graph.get_operations())
    assert average.update_after(update) is update and average.variables == ()
    assert len(graph.get_operations()) == before


def test_a_checkpoint_without_averages_loads_and_they_begin_with_its_weights(graph, tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        weight, update, _ = generator_with(0.0)
        session.run(tf.global_variables_initializer())
        session.run(update)
        checkpoint.Saver(tf.global_variables()).save(
            session, str(tmp_path), step=1, state=STATE, max_to_keep=2
        )
    weight, update, average = generator_with(0.9)
    step = average.update_after(update)
    saver = checkpoint.Saver(tf.global_variables(), optional=average.variables)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        saver.restore_newest(session, str(tmp_path), warn=pytest.fail)
        session.run(step)
        assert np.array_equal(session.run(average.variables[0]), [2.0, 4.0])


class Recorded(Adam):
    """Adam that keeps the gradients which it applies."""

    def _resource_apply_dense(self, gradient, variable):
        self.applied = dict(getattr(self, "applied", {}), **{variable.op.name: gradient})
        return super()._resource_apply_dense(gradient, variable)


@pytest.mark.parametrize("weight_decay", [0.0, 0.25])
def test_weight_decay_is_that_of_the_l2_loss_on_layer_weights(graph, weight_decay):
    sizes = model.Sizes(8, 8, 1, 2, 3, gf_dim=2, df_dim=2, gfc_dim=4, dfc_dim=4)
    networks = model.build_networks("mnist", sizes)
    z, y = tf.ones([2, 3]), tf.one_hot([0, 1], 2)
    loss = tf.reduce_sum(networks.generator(z, y, training=False))
    variables = model.weights_of("generator")
    optimizer = Recorded(0.1, Config(weight_decay=weight_decay))
    gradients = optimizer.compute_gradients(loss, var_list=variables)
    before = len(graph.get_operations())
    with tf.variable_scope("g_optim", reuse=tf.AUTO_REUSE):
        optimizer.apply_gradients(gradients)
    added = [operation.type for operation in graph.get_operations()[before:]]
    assert ("AddV2" in added or "Add" in added) == bool(weight_decay)
    layers = [v for v in variables if model.is_layer_weight(v)]
    assert len(layers) == 4 and len(layers) < len(variables)
    penalty = weight_decay * tf.add_n([tf.nn.l2_loss(v) for v in layers])
    expected = dict(zip([v.op.name for v in variables], tf.gradients(loss + penalty, variables)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for name, gradient in session.run(expected).items():
            np.testing.assert_allclose(
                session.run(optimizer.applied[name]), gradient, rtol=1e-4, atol=1e-6, err_msg=name
            )
