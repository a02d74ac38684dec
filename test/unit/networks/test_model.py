"""Shapes, ranges, first values and names of the networks and the layers."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import model
import ops
from config import OPTIONS

SMALL = dict(gf_dim=4, df_dim=4, gfc_dim=8, dfc_dim=8)
CASES = [
    ("mnist", model.Sizes(28, 28, 1, 10, 5, **SMALL)),
    ("mnist", model.Sizes(12, 20, 3, 3, 5, **SMALL)),
    ("image", model.Sizes(32, 32, 3, 0, 5, **SMALL)),
    ("image", model.Sizes(50, 37, 1, 0, 5, **SMALL)),  # sizes that halve unevenly
    ("image", model.Sizes(32, 16, 3, 4, 5, **SMALL)),  # with labels
]


def build(architecture, sizes, training):
    networks = model.build_networks(architecture, sizes)
    z = tf.placeholder(tf.float32, [None, sizes.z_dim])
    y = tf.placeholder(tf.float32, [None, sizes.num_classes])
    images = networks.generator(z, y, training=training)
    return networks, z, y, images, networks.discriminator(images, y, training=training)


@pytest.mark.parametrize("architecture, sizes", CASES)
@pytest.mark.parametrize("training", [True, False])
def test_shapes_and_ranges_for_any_batch_size(graph, architecture, sizes, training):
    networks, z, y, images, logits = build(architecture, sizes, training)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for count in (1, 7):
            feed = {
                z: np.random.RandomState(0).normal(0, 50, (count, sizes.z_dim)),
                y: np.eye(max(sizes.num_classes, 1))[[0] * count][:, : sizes.num_classes],
            }
            pixels, scores = session.run([images, logits], feed)
            assert pixels.shape == (count, sizes.height, sizes.width, sizes.channels)
            assert scores.shape == (count, 1)
            assert (
                networks.value_range[0] <= pixels.min() <= pixels.max() <= networks.value_range[1]
            )


def test_a_sample_does_not_depend_on_its_batch(graph):
    _, z, y, images, _ = build("mnist", CASES[0][1], training=False)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        latents = np.random.RandomState(1).uniform(-1, 1, (9, 5))
        labels = np.eye(10)[:9]
        together = session.run(images, {z: latents, y: labels})
        alone = session.run(images, {z: latents[3:4], y: labels[3:4]})
    np.testing.assert_allclose(together[3:4], alone, atol=1e-5)


def test_labels_change_what_is_drawn(graph):
    _, z, y, images, logits = build("image", CASES[4][1], training=False)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        latents = np.zeros((2, 5))
        pixels, scores = session.run([images, logits], {z: latents, y: np.eye(4)[:2]})
    assert np.abs(pixels[0] - pixels[1]).max() > 1e-6
    assert scores[0] != scores[1]


def test_first_values(graph):
    build("mnist", model.Sizes(28, 28, 1, 10, 100), training=True)
    with tf.Session() as session:
        tf.set_random_seed(3)
        session.run(tf.global_variables_initializer())
        values = {v.op.name: session.run(v) for v in tf.global_variables()}
    for name, value in values.items():
        kind = name.rsplit("/", 1)[1]
        if kind in ("bias", "biases", "beta", "moving_mean"):
            assert not value.any(), name
        elif kind in ("gamma", "moving_variance"):
            assert (value == 1).all(), name
        elif "conv" in name:  # a truncated normal of sd 0.02 ends at 0.04 and has sd 0.0176
            assert np.abs(value).max() <= 0.04, name
            assert abs(value.std() - 0.0176) < 0.001, name
        else:
            assert abs(value.std() - 0.02) < 0.001, name
            assert value.size < 10000 or np.abs(value).max() > 0.05, name


def test_first_values_depend_on_seed_and_name_alone():
    def first_weights(seed, ops_before):
        with tf.Graph().as_default():
            tf.set_random_seed(seed)
            for _ in range(ops_before):
                tf.random.normal([1])
            build("image", CASES[2][1], training=True)
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                return session.run(
                    [
                        v
                        for v in tf.trainable_variables()
                        if v.op.name in ("generator/g_h2/w", "generator/g_h3/w")
                    ]
                )

    first, other = first_weights(1, 0)
    assert np.array_equal(first, first_weights(1, 5)[0])
    assert not np.array_equal(first, first_weights(2, 0)[0])
    assert not np.array_equal(first.ravel()[:8], other.ravel()[:8])


def test_losses_are_those_of_the_definition(graph):
    real, fake = np.array([[2.0], [-1.0]]), np.array([[0.5], [-3.0]])
    losses = model.gan_losses(
        model.LOSSES["sigmoid_cross_entropy"],
        tf.constant(real, tf.float32),
        tf.constant(fake, tf.float32),
    )
    with tf.Session() as session:
        values = session.run(losses)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    expected_real = -np.log(sigmoid(real)).mean()
    expected_fake = -np.log(1 - sigmoid(fake)).mean()
    np.testing.assert_allclose(
        values,
        [
            expected_real,
            expected_fake,
            expected_real + expected_fake,
            -np.log(sigmoid(fake)).mean(),
        ],
        rtol=1e-6,
    )


def test_concat_labels(graph):
    x = tf.zeros([2, 3, 4, 1])
    y = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    with tf.Session() as session:
        planes = session.run(ops.concat_labels(x, y))
        vector = session.run(ops.concat_labels(tf.zeros([2, 1]), y))
    assert planes.shape == (2, 3, 4, 3)
    assert (planes[0, ..., 1] == 1).all() and (planes[0, ..., 2] == 0).all()
    assert vector.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert ops.concat_labels(x, tf.zeros([2, 0])) is x


def test_batch_norm_offers_unbiased_variance_and_moves_nothing_itself(graph):
    values = np.random.RandomState(0).normal(3, 2, (6, 2)).astype(np.float32)
    with tf.variable_scope("scope", use_resource=True):
        y = ops.batch_norm(tf.constant(values), training=True, name="bn")
    (mean_variable, mean), (variance_variable, variance) = tf.get_collection(ops.STATISTICS)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        normalized, mean, variance = session.run([y, mean, variance])
        assert session.run(mean_variable).tolist() == [0, 0]
        assert session.run(variance_variable).tolist() == [1, 1]
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, values.var(0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(normalized.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std(0), 1, atol=1e-3)


def test_moved_average_takes_its_passes_in_order(graph):
    average = tf.get_variable("average", initializer=tf.constant(1.0), use_resource=True)
    move = ops.moved_average(average, [tf.constant(2.0), tf.constant(5.0)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(move)
        assert session.run(average) == pytest.approx((1 * 0.9 + 2 * 0.1) * 0.9 + 5 * 0.1)


def test_the_flags_choices_are_the_tables_rows():
    assert set(OPTIONS["loss"].declared.choices) == set(model.LOSSES)
    assert set(OPTIONS["architecture"].declared.choices) == set(model.ARCHITECTURES)


def test_widths_of_the_mnist_pair_are_options_and_default_to_the_references(graph):
    def shapes(**widths):
        with tf.Graph().as_default():
            build("mnist", model.Sizes(28, 28, 1, 10, 5, **SMALL, **widths), False)
            return {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}

    default, changed = shapes(), shapes(g_h2_dim=64, d_h0_dim=6, d_h1_dim=7)
    assert default["generator/g_h2/w"] == [5, 5, 8, 18]
    assert default["discriminator/d_h0_conv/w"] == [5, 5, 11, 11]
    assert default["discriminator/d_h1_conv/w"] == [5, 5, 21, 14]
    assert changed["generator/g_h2/w"] == [5, 5, 64, 18]
    assert changed["generator/g_h3/w"] == [5, 5, 1, 74]
    assert changed["discriminator/d_h0_conv/w"] == [5, 5, 11, 6]
    assert changed["discriminator/d_h1_conv/w"] == [5, 5, 16, 7]
