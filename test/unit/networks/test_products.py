"""All products against TensorFlow's own: results and gradients, at every kind of size."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import kernels
import model
import ops_cpu
import ops_winograd

# (H, W, C, K, S): even and odd sides, sides of one and two pixels, with labels and without.
SHAPES = [
    (28, 28, 3, 2, 5),
    (7, 13, 3, 0, 4),
    (25, 50, 2, 3, 4),
    (14, 9, 4, 10, 3),
    (1, 2, 3, 2, 4),
    (16, 8, 3, 1, 2),
]
# The largest difference, as a share of the largest number.
TOLERANCE = {tf.float32: 1e-5, tf.float16: 1e-2, tf.float64: 1e-12}
BATCH = 3


@pytest.fixture(autouse=True, params=[1, 1000], ids=["filtered", "convolved"])
def narrow(monkeypatch, request):
    """Few channels take what is for many too; those for minimal filtering may be too few for it."""
    monkeypatch.setattr(ops_cpu, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(ops_winograd, "LEAST_CHANNELS", request.param)
    monkeypatch.setattr(ops_winograd, "LEAST_TILES", 1)


def numbers(shape, seed):
    return np.random.RandomState(seed).uniform(-1, 1, shape)


def results(product, x, w):
    """The product and its gradients to x and w for the same random gradient of the product."""
    y = product(x, w)
    dy = tf.constant(numbers([int(side) for side in y.shape], seed=4), y.dtype)
    return [y] + tf.gradients(y, [x, w], dy)


def assert_equal(product, x_shape, w_shape, dtype):
    """That `product(products, x, w)` gives the same with both."""
    x, w = (
        tf.constant(numbers(shape, seed), dtype) for seed, shape in enumerate((x_shape, w_shape))
    )
    found = {
        name: results(lambda x, w, chosen=chosen: product(chosen, x, w), x, w)
        for name, chosen in kernels.PRODUCTS.items()
    }
    with tf.Session() as session:
        found = session.run(found)
    for kind in sorted(set(found) - {"native"}):
        for name, native, rearranged in zip(("y", "dx", "dw"), found["native"], found[kind]):
            assert native.shape == rearranged.shape, name
            np.testing.assert_allclose(
                native.astype(np.float64),
                rearranged,
                rtol=0,
                err_msg=f"{kind}: {name}",
                atol=TOLERANCE[dtype] * np.abs(native).max(),
            )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float32", "float16", "float64"])
@pytest.mark.parametrize("height,width,channels,classes,made", SHAPES)
def test_convolution(graph, dtype, height, width, channels, classes, made):
    labels = tf.constant(numbers([BATCH, classes], seed=9), dtype)
    assert_equal(
        lambda chosen, x, w: chosen.conv(x, w, labels=labels),
        [BATCH, height, width, channels],
        [5, 5, channels + classes, made],
        dtype,
    )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float32", "float16", "float64"])
@pytest.mark.parametrize("height,width,channels,classes,made", SHAPES)
def test_transposed_convolution(graph, dtype, height, width, channels, classes, made):
    labels = tf.constant(numbers([BATCH, classes], seed=9), dtype)
    assert_equal(
        lambda chosen, x, w: chosen.deconv(x, w, (height, width), labels=labels),
        [BATCH, (height + 1) // 2, (width + 1) // 2, channels],
        [5, 5, made, channels + classes],
        dtype,
    )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float32", "float16", "float64"])
def test_matrix_product(graph, dtype):
    assert_equal(lambda chosen, x, w: chosen.matmul(x, w), [BATCH, 5], [5, 7], dtype)


def test_few_channels_keep_the_native_operation(graph, monkeypatch):
    monkeypatch.setattr(ops_cpu, "LEAST_CHANNELS", 4)
    assert_equal(
        lambda chosen, x, w: chosen.deconv(x, w, (7, 6)),
        [BATCH, 4, 3, 2],
        [5, 5, 3, 2],
        tf.float32,
    )
    kinds = {op.type for op in tf.get_default_graph().get_operations()}
    assert "Conv2DBackpropInput" in kinds


@pytest.mark.parametrize(
    "batch, side, made, dtype, filtered",
    [
        (16, 8, 32, tf.float32, True),
        (None, 8, 32, tf.float32, True),
        (4, 16, 32, tf.float32, True),
        (15, 8, 32, tf.float32, False),
        (16, 8, 31, tf.float32, False),
        (16, 8, 32, tf.float16, False),
    ],
)
def test_which_layers_are_filtered(graph, monkeypatch, batch, side, made, dtype, filtered):
    monkeypatch.setattr(ops_winograd, "LEAST_CHANNELS", 32)
    monkeypatch.setattr(ops_winograd, "LEAST_TILES", 16)
    x = tf.placeholder(dtype, [batch, side, side, 32])
    y = ops_winograd.WINOGRAD.conv(x, tf.zeros([5, 5, 32, made], dtype))
    small = tf.placeholder(dtype, [batch, side // 2, side // 2, 32])
    w = tf.zeros([5, 5, made, 32], dtype)
    big = ops_winograd.WINOGRAD.deconv(small, w, (side, side))
    tf.gradients([y, big], [x, small])
    kinds = {op.type for op in tf.get_default_graph().get_operations()}
    assert ("Conv2D" not in kinds) == filtered


def test_rounding_of_many_channels(graph):
    """Single precision and minimal filtering, against double precision and TensorFlow's own."""

    def in_precision(chosen, dtype):
        x, w = [
            tf.constant(numbers(shape, seed), dtype)
            for seed, shape in enumerate(([4, 16, 16, 256], [5, 5, 256, 64]))
        ]
        return results(chosen.conv, x, w)

    with tf.Session() as session:
        found = session.run(in_precision(kernels.PRODUCTS["winograd"], tf.float32))
        exact = session.run(in_precision(kernels.PRODUCTS["native"], tf.float64))
    for each, reference in zip(found, exact):
        assert np.sqrt(np.mean((each - reference) ** 2) / np.mean(reference**2)) < 4e-6


def test_any_batch_size(graph):
    """The images of one generator call, whose number is unknown when the graph is built."""
    x = tf.placeholder(tf.float32, [None, 4, 3, 2])
    w = tf.constant(numbers([5, 5, 3, 4], 1), tf.float32)
    y = tf.placeholder(tf.float32, [None, 2])
    native, *others = [
        chosen.deconv(x, w, (7, 6), labels=y) for chosen in kernels.PRODUCTS.values()
    ]
    assert [each.shape.as_list() for each in others] == 3 * [[None, 7, 6, 3]]
    with tf.Session() as session:
        for count in (1, 5):
            feed = {x: numbers([count, 4, 3, 2], 2), y: numbers([count, 2], 3)}
            expected, *found = session.run([native, *others], feed)
            for each in found:
                np.testing.assert_allclose(each, expected, atol=1e-5)


@pytest.mark.parametrize("architecture", sorted(model.ARCHITECTURES))
def test_same_variables(graph, architecture):
    sizes = model.Sizes(12, 8, 1, 3, 5, gf_dim=2, df_dim=2, gfc_dim=4, dfc_dim=4)
    variables = []
    for chosen in kernels.PRODUCTS.values():
        with tf.Graph().as_default():
            networks = model.build_networks(architecture, sizes, chosen)
            images = networks.generator(tf.zeros([2, 5]), tf.zeros([2, 3]), training=True)
            networks.discriminator(images, tf.zeros([2, 3]), training=True)
            variables.append([(v.op.name, v.shape.as_list()) for v in tf.global_variables()])
    assert all(each == variables[0] for each in variables)
