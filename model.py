"""The two DCGAN pairs and their losses, as functions of tensors.

`build_networks` picks a pair once from `ARCHITECTURES`; what it returns is called with tensors only.
The layers, their order and their names are those of carpedm20's DCGAN; the paper is arXiv
1511.06434.
"""

import functools
from typing import Callable, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

import ops
from ops_cpu import NATIVE


class Sizes(NamedTuple):
    """What the layers' sizes follow from."""

    height: int
    width: int
    channels: int
    num_classes: int  # K; 0 where there are no labels
    z_dim: int  # Z
    gf_dim: int = 64
    df_dim: int = 64
    gfc_dim: int = 1024
    dfc_dim: int = 1024


def sizes_of(config):
    """The `Sizes` of a config with everything filled in."""
    return Sizes(
        config.output_height,
        config.output_width,
        config.channels,
        config.num_classes,
        config.z_dim,
        config.gf_dim,
        config.df_dim,
        config.gfc_dim,
        config.dfc_dim,
    )


class Networks(NamedTuple):
    """A generator and a discriminator that fit each other.

    Attributes:
        generator: `(z [N, Z], y [N, K], training) -> images [N, H, W, C]` in `value_range`.
        discriminator: `(x [N, H, W, C], y [N, K], training) -> logits [N, 1]`.
        sizes: the `Sizes` both were built for.
        value_range: (lowest, highest) value of a picture.
    """

    generator: Callable
    discriminator: Callable
    sizes: Sizes
    value_range: Tuple[float, float]


class GanLosses(NamedTuple):
    """Batch means of sigmoid cross entropies, each a float32 scalar; d = d_real + d_fake."""

    d_real: tf.Tensor
    d_fake: tf.Tensor
    d: tf.Tensor
    g: tf.Tensor


def build_networks(architecture, sizes, kernels=NATIVE):
    """The pair named `architecture` ("mnist" or "image") for `sizes`, as `Networks`.

    How its products are computed, `kernels`, changes nothing else.
    """
    generator, discriminator, value_range = ARCHITECTURES[architecture]
    bound = dict(sizes=sizes, layers=ops.layers(kernels))
    return Networks(
        functools.partial(generator, **bound),
        functools.partial(discriminator, **bound),
        sizes,
        value_range,
    )


def variables_of(scope, *, trainable):
    """The variables of "generator" or "discriminator", in the order of their making."""
    if trainable:
        return tf.trainable_variables(scope + "/")
    return [
        v
        for v in tf.global_variables(scope + "/")
        if v.op.name.rsplit("/", 1)[1] in ("moving_mean", "moving_variance")
    ]


def gan_losses(real_logits, fake_logits):
    """The losses of both networks from D's logits [N, 1] of real and of generated pictures."""
    d_real = _cross_entropy(real_logits, tf.ones_like(real_logits))
    d_fake = _cross_entropy(fake_logits, tf.zeros_like(fake_logits))
    return GanLosses(d_real, d_fake, d_real + d_fake, generator_loss(fake_logits))


def generator_loss(fake_logits):
    """G's non-saturating loss from D's logits [N, 1] of generated pictures."""
    return _cross_entropy(fake_logits, tf.ones_like(fake_logits))


def _cross_entropy(logits, labels):
    logits = tf.cast(logits, tf.float32)
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=tf.cast(labels, tf.float32))
    )


def _scope(name):
    return tf.variable_scope(name, reuse=tf.AUTO_REUSE, use_resource=True)


def _norm_relu(x, training, name):
    return tf.nn.relu(ops.batch_norm(x, training=training, name=name))


def _norm_lrelu(x, training, name):
    return ops.lrelu(ops.batch_norm(x, training=training, name=name))


def _mnist_generator(z, y, training, *, sizes, layers):
    """Label-conditioned generator for pictures whose sides divide by 4; values in [0, 1]."""
    height, width = sizes.height, sizes.width
    h4, w4 = height // 4, width // 4
    assert (4 * h4, 4 * w4) == (height, width), "the MNIST pair needs sides that divide by 4"
    with _scope("generator"):
        h = layers.linear(ops.concat_labels(z, y), sizes.gfc_dim, name="g_h0_lin")
        h = ops.concat_labels(_norm_relu(h, training, "g_bn0"), y)  # [N, gfc + K]
        h = layers.linear(h, 2 * sizes.gf_dim * h4 * w4, name="g_h1_lin")
        h = _norm_relu(h, training, "g_bn1")
        h = tf.reshape(h, [-1, h4, w4, 2 * sizes.gf_dim])  # [N, H/4, W/4, 2 gf]
        h = layers.deconv2d(h, 2 * h4, 2 * w4, 2 * sizes.gf_dim, labels=y, name="g_h2")
        h = _norm_relu(h, training, "g_bn2")  # [N, H/2, W/2, 2 gf]
        return tf.nn.sigmoid(
            layers.deconv2d(h, height, width, sizes.channels, labels=y, name="g_h3")
        )


def _mnist_discriminator(x, y, training, *, sizes, layers):
    """Label-conditioned discriminator for pictures in [0, 1]."""
    with _scope("discriminator"):
        h = layers.conv2d(x, sizes.channels + sizes.num_classes, labels=y, name="d_h0_conv")
        h = layers.conv2d(
            ops.lrelu(h), sizes.df_dim + sizes.num_classes, labels=y, name="d_h1_conv"
        )
        h = _norm_lrelu(h, training, "d_bn1")  # [N, H/4, W/4, df + K]
        h = ops.concat_labels(_flat(h), y)
        h = _norm_lrelu(layers.linear(h, sizes.dfc_dim, name="d_h2_lin"), training, "d_bn2")
        return layers.linear(ops.concat_labels(h, y), 1, name="d_h3_lin")  # [N, 1]


def _image_generator(z, y, training, *, sizes, layers):
    """Generator for pictures of any size; values in [-1, 1]. Labels, if any, join z."""
    extents = _halvings(sizes, 4)
    with _scope("generator"):
        height, width = extents[4]
        h = layers.linear(
            ops.concat_labels(z, y), 8 * sizes.gf_dim * height * width, name="g_h0_lin"
        )
        h = tf.reshape(h, [-1, height, width, 8 * sizes.gf_dim])  # [N, H/16, W/16, 8 gf]
        h = _norm_relu(h, training, "g_bn0")
        for layer, multiple in ((1, 4), (2, 2), (3, 1)):
            height, width = extents[4 - layer]
            h = layers.deconv2d(h, height, width, multiple * sizes.gf_dim, name="g_h%d" % layer)
            h = _norm_relu(h, training, "g_bn%d" % layer)  # [N, H/2, W/2, gf] at last
        return tf.tanh(layers.deconv2d(h, sizes.height, sizes.width, sizes.channels, name="g_h4"))


def _image_discriminator(x, y, training, *, sizes, layers):
    """Discriminator for pictures in [-1, 1]. Labels, if any, join the picture and the last layer."""
    with _scope("discriminator"):
        h = ops.lrelu(layers.conv2d(x, sizes.df_dim, labels=y, name="d_h0_conv"))
        for layer, multiple in ((1, 2), (2, 4), (3, 8)):
            h = layers.conv2d(h, multiple * sizes.df_dim, name="d_h%d_conv" % layer)
            h = _norm_lrelu(h, training, "d_bn%d" % layer)  # [N, H/16, W/16, 8 df] at last
        return layers.linear(ops.concat_labels(_flat(h), y), 1, name="d_h4_lin")  # [N, 1]


def _halvings(sizes, times):
    """[(H, W), (ceil(H/2), ceil(W/2)), ...]: what strided layers with SAME padding make of a size."""
    extents = [(sizes.height, sizes.width)]
    for _ in range(times):
        height, width = extents[-1]
        extents.append(((height + 1) // 2, (width + 1) // 2))
    return extents


def _flat(x):
    return tf.reshape(x, [-1, int(x.shape[1] * x.shape[2] * x.shape[3])])


ARCHITECTURES = {
    "mnist": (_mnist_generator, _mnist_discriminator, (0.0, 1.0)),
    "image": (_image_generator, _image_discriminator, (-1.0, 1.0)),
}
