"""Who owns what in a training step; the values themselves are in test_golden.py."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import model
import ops
from datasets.pipeline import Batch
from devices.loss_scale import NetworkOptimizer
from training import step as training_step

SIZES = model.Sizes(8, 8, 1, 2, 3, gf_dim=2, df_dim=2, gfc_dim=4, dfc_dim=4)


def build(fused, networks=None, learning_rate=1e-3, images=None, constant=False, **options):
    """A step on random numbers; with `images`, or if they are to be `constant`, on the same ones."""
    tf.set_random_seed(1)
    z = tf.random.uniform([4, 3])
    if constant or images is not None:
        random = np.random.RandomState(1)
        z = tf.constant(random.uniform(-1, 1, (4, 3)).astype(np.float32))
        images = random.uniform(size=(4, 8, 8, 1)) if images is None else images
    real = tf.random.uniform([4, 8, 8, 1]) if images is None else tf.constant(images, tf.float32)
    batch = Batch(real, tf.one_hot([0, 1, 0, 1], 2), z)
    d_optimizer, g_optimizer = [
        NetworkOptimizer(tf.train.AdamOptimizer(learning_rate)) for _ in range(2)
    ]
    return training_step.build_train_step(
        networks=networks or model.build_networks("mnist", SIZES),
        batch=batch,
        d_optimizer=d_optimizer,
        g_optimizer=g_optimizer,
        fused=fused,
        **options,
    )


@pytest.mark.parametrize("fused, runs", [(True, 1), (False, 3)])
def test_runs_of_a_step(graph, fused, runs):
    step = build(fused)
    assert len(step.runs) == runs
    names = set().union(*step.runs)
    assert {"d_loss_real", "d_loss_fake", "d_loss", "d_accuracy", "g_loss_first", "g_loss"} <= names


def test_each_run_moves_only_its_own_network(graph):
    d_run, g_run, _ = build(fused=False).runs
    trainable = tf.trainable_variables()
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

        def moved_by(run):
            before = session.run(trainable)
            session.run(run)
            after = session.run(trainable)
            return {
                v.op.name.split("/")[0]
                for v, a, b in zip(trainable, before, after)
                if not np.array_equal(a, b)
            }

        assert moved_by(d_run) == {"discriminator"}
        assert moved_by(g_run) == {"generator"}


def test_an_orphan_statistic_is_an_error(graph):
    stray = tf.get_variable("discriminator/stray", [1], use_resource=True, trainable=False)
    tf.add_to_collection(ops.STATISTICS, (stray, tf.zeros([1], name="nobodys")))
    with pytest.raises(AssertionError, match="no update applies.*nobodys"):
        build(fused=True)


def test_a_statistic_of_the_other_network_is_an_error(graph):
    class ReachingOver(model.MnistNetworks):
        def generator(self, z, y, training):
            images = super().generator(z, y, training)
            self.discriminator(images, y, training)  # its statistics count as G's here
            return images

    with pytest.raises(AssertionError, match="counted twice|other network"):
        build(True, ReachingOver(SIZES))


def test_the_second_generator_update_sees_the_first(graph):
    """Had the second seen the weights that the first one saw, its loss would be the first's."""
    step = build(fused=True, learning_rate=0.3)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        values = session.run(step.runs[0])
        assert abs(values["g_loss"] - values["g_loss_first"]) > 1e-3


def losses_of(step):
    """The values of one step, and the weights after it, in a new session."""
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        values = {}
        for run in step.runs:
            values.update(session.run(run))
        return values, session.run(tf.trainable_variables())


@pytest.mark.parametrize("g_updates, runs", [(1, 2), (3, 4)])
def test_the_number_of_generator_updates(graph, g_updates, runs):
    """Fused and separate steps make them alike; the first one's loss is told from the last one's."""
    results = {}
    for fused in (True, False):
        with tf.Graph().as_default():
            step = build(fused, learning_rate=0.03, g_updates=g_updates, constant=True)
            assert len(step.runs) == (1 if fused else runs)
            results[fused] = losses_of(step)
    (values, weights), (others, other_weights) = results[True], results[False]
    assert (values["g_loss"] == values["g_loss_first"]) == (g_updates == 1)
    for name in training_step.MEASURED:
        np.testing.assert_allclose(values[name], others[name], rtol=1e-4, err_msg=name)
    for weight, other in zip(weights, other_weights):
        np.testing.assert_allclose(weight, other, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("fused", [True, False])
def test_alternating_updates_use_one_half_of_the_batch_each(graph, fused):
    """The other half of the real images changes nothing; D's z is the first half, G's the second."""
    images = np.random.RandomState(0).uniform(size=(4, 8, 8, 1)).astype(np.float32)
    changed = images.copy()
    changed[2:] = 0.5
    found = []
    for each in (images, changed):
        with tf.Graph().as_default():
            step = build(fused, g_updates=1, updates="alternating", learning_rate=0.03, images=each)
            assert step.watched["z"].shape[0] == 2
            found.append(losses_of(step))
    (values, weights), (others, other_weights) = found
    assert values["d_loss"] == others["d_loss"] and values["g_loss"] == others["g_loss"]
    assert all(np.array_equal(a, b) for a, b in zip(weights, other_weights))
    with tf.Graph().as_default():
        whole, _ = losses_of(build(fused, g_updates=1, learning_rate=0.03, images=images))
    assert whole["d_loss"] != values["d_loss"]
