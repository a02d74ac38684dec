"""The two DCGAN pairs and their losses.

`build_networks` picks a pair from `ARCHITECTURES` and the loss it is trained with from `LOSSES`.
The layers, their order and their names are those of carpedm20's DCGAN; the paper is arXiv
1511.06434.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple, Type

import tensorflow.compat.v1 as tf

import ops
from ops_cpu import NATIVE, NativeProducts


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
    # Widths of the MNIST pair's layers; None is what the reference has.
    g_h2_dim: Optional[int] = None
    d_h0_dim: Optional[int] = None
    d_h1_dim: Optional[int] = None


def sizes_of(config) -> Sizes:
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
        config.g_h2_dim,
        config.d_h0_dim,
        config.d_h1_dim,
    )


def mnist_widths(sizes: Sizes) -> Tuple[int, int, int]:
    """The channels of the MNIST pair's layers g_h2, d_h0_conv and d_h1_conv."""
    return (
        sizes.g_h2_dim or 2 * sizes.gf_dim,
        sizes.d_h0_dim or sizes.channels + sizes.num_classes,
        sizes.d_h1_dim or sizes.df_dim + sizes.num_classes,
    )


class GanLosses(NamedTuple):
    """The losses of both networks, each a float32 scalar; d = d_real + d_fake."""

    d_real: tf.Tensor
    d_fake: tf.Tensor
    d: tf.Tensor
    g: tf.Tensor


class Loss:
    """A row of `LOSSES`: what both networks are trained with."""

    def discriminator(
        self, real_logits: tf.Tensor, fake_logits: tf.Tensor
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        """D's loss on real and on generated images, which add up to its loss.

        Args:
            real_logits, fake_logits: D's logits [N, 1] of real and of generated images.

        Returns:
            (real, fake), float32 scalars.
        """
        raise NotImplementedError

    def generator(self, fake_logits: tf.Tensor) -> tf.Tensor:
        """G's loss from D's logits [N, 1] of generated images, a float32 scalar."""
        raise NotImplementedError


class SigmoidCrossEntropy(Loss):
    """The reference's loss: batch means of sigmoid cross entropies, non-saturating for G."""

    def discriminator(self, real_logits, fake_logits):
        return (
            _cross_entropy(real_logits, tf.ones_like(real_logits)),
            _cross_entropy(fake_logits, tf.zeros_like(fake_logits)),
        )

    def generator(self, fake_logits):
        return _cross_entropy(fake_logits, tf.ones_like(fake_logits))


def gan_losses(loss: Loss, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> GanLosses:
    """The losses of both networks from D's logits [N, 1] of real and of generated images."""
    d_real, d_fake = loss.discriminator(real_logits, fake_logits)
    return GanLosses(d_real, d_fake, d_real + d_fake, loss.generator(fake_logits))


LOSSES: Dict[str, Loss] = {"sigmoid_cross_entropy": SigmoidCrossEntropy()}


def _cross_entropy(logits, labels):
    logits = tf.cast(logits, tf.float32)
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=tf.cast(labels, tf.float32))
    )


class Networks:
    """A generator and a discriminator that fit each other.

    Both create their variables on the first call and reuse them afterwards. Labels y [N, K] are
    one-hot; without classes they are None or K = 0, and no op is built for them.

    Attributes:
        sizes: the `Sizes` of both.
        loss: what they are trained with, a value of `LOSSES`.
        value_range: (lowest, highest) value of an image.
    """

    value_range: Tuple[float, float]

    def __init__(
        self,
        sizes: Sizes,
        products: NativeProducts = NATIVE,
        *,
        loss: Loss = LOSSES["sigmoid_cross_entropy"],
    ):
        """Builds no op.

        Args:
            sizes: see the attributes.
            products: how the layers compute their products; changes nothing but rounding and speed.
            loss: see the attributes; the reference's by default.
        """
        self.sizes = sizes
        self.layers = ops.Layers(products)
        self.loss = loss

    def generator(self, z: tf.Tensor, y: Optional[tf.Tensor], training: bool) -> tf.Tensor:
        """Images [N, H, W, C] in `value_range` from latents z [N, Z] and labels y."""
        raise NotImplementedError

    def discriminator(self, x: tf.Tensor, y: Optional[tf.Tensor], training: bool) -> tf.Tensor:
        """Logits [N, 1] of images x [N, H, W, C] in `value_range` with labels y."""
        raise NotImplementedError


class MnistNetworks(Networks):
    """The label-conditioned pair for images in [0, 1] whose sides are divisible by 4."""

    value_range = (0.0, 1.0)

    def generator(self, z: tf.Tensor, y: Optional[tf.Tensor], training: bool) -> tf.Tensor:
        sizes, layers = self.sizes, self.layers
        height, width = sizes.height, sizes.width
        h4, w4 = height // 4, width // 4
        assert (4 * h4, 4 * w4) == (height, width), "the MNIST pair needs sides divisible by 4"
        with _scope("generator"):
            h = layers.linear(ops.concat_labels(z, y), sizes.gfc_dim, name="g_h0_lin")
            h = ops.concat_labels(_norm_relu(h, training, "g_bn0"), y)  # [N, gfc + K]
            h = layers.linear(h, 2 * sizes.gf_dim * h4 * w4, name="g_h1_lin")
            h = _norm_relu(h, training, "g_bn1")
            h = tf.reshape(h, [-1, h4, w4, 2 * sizes.gf_dim])  # [N, H/4, W/4, 2 gf]
            channels, _, _ = mnist_widths(sizes)
            h = layers.deconv2d(h, (2 * h4, 2 * w4), channels, labels=y, name="g_h2")
            h = _norm_relu(h, training, "g_bn2")  # [N, H/2, W/2, 2 gf]
            h = layers.deconv2d(h, (height, width), sizes.channels, labels=y, name="g_h3")
            return tf.nn.sigmoid(h)

    def discriminator(self, x: tf.Tensor, y: Optional[tf.Tensor], training: bool) -> tf.Tensor:
        sizes, layers = self.sizes, self.layers
        _, h0_channels, h1_channels = mnist_widths(sizes)
        with _scope("discriminator"):
            h = ops.lrelu(layers.conv2d(x, h0_channels, labels=y, name="d_h0_conv"))
            h = layers.conv2d(h, h1_channels, labels=y, name="d_h1_conv")
            h = _norm_lrelu(h, training, "d_bn1")  # [N, H/4, W/4, df + K]
            h = ops.concat_labels(_flat(h), y)
            h = _norm_lrelu(layers.linear(h, sizes.dfc_dim, name="d_h2_lin"), training, "d_bn2")
            return layers.linear(ops.concat_labels(h, y), 1, name="d_h3_lin")  # [N, 1]


class ImageNetworks(Networks):
    """The pair for images in [-1, 1] of any size.

    Labels, if any, join z, the discriminator's input image and its last layer.
    """

    value_range = (-1.0, 1.0)

    def generator(self, z: tf.Tensor, y: Optional[tf.Tensor], training: bool) -> tf.Tensor:
        sizes, layers = self.sizes, self.layers
        extents = _halvings(sizes, 4)
        with _scope("generator"):
            height, width = extents[4]
            units = 8 * sizes.gf_dim * height * width
            h = layers.linear(ops.concat_labels(z, y), units, name="g_h0_lin")
            h = tf.reshape(h, [-1, height, width, 8 * sizes.gf_dim])  # [N, H/16, W/16, 8 gf]
            h = _norm_relu(h, training, "g_bn0")
            for layer, multiple in ((1, 4), (2, 2), (3, 1)):
                channels = multiple * sizes.gf_dim
                h = layers.deconv2d(h, extents[4 - layer], channels, name=f"g_h{layer}")
                h = _norm_relu(h, training, f"g_bn{layer}")  # in the end [N, H/2, W/2, gf]
            return tf.tanh(layers.deconv2d(h, extents[0], sizes.channels, name="g_h4"))

    def discriminator(self, x: tf.Tensor, y: Optional[tf.Tensor], training: bool) -> tf.Tensor:
        sizes, layers = self.sizes, self.layers
        with _scope("discriminator"):
            h = ops.lrelu(layers.conv2d(x, sizes.df_dim, labels=y, name="d_h0_conv"))
            for layer, multiple in ((1, 2), (2, 4), (3, 8)):
                h = layers.conv2d(h, multiple * sizes.df_dim, name=f"d_h{layer}_conv")
                h = _norm_lrelu(h, training, f"d_bn{layer}")  # in the end [N, H/16, W/16, 8 df]
            return layers.linear(ops.concat_labels(_flat(h), y), 1, name="d_h4_lin")  # [N, 1]


def variables_of(scope: str) -> List[tf.Variable]:
    """All variables of "generator" or "discriminator": the weights, then the moving averages."""
    return [*weights_of(scope), *moving_averages_of(scope)]


def weights_of(scope: str) -> List[tf.Variable]:
    """The trained variables of "generator" or "discriminator", in the order of their creation."""
    return tf.trainable_variables(scope + "/")


def moving_averages_of(scope: str) -> List[tf.Variable]:
    """The moving averages of batch norm in "generator" or "discriminator"."""
    return [
        v
        for v in tf.global_variables(scope + "/")
        if v.op.name.rsplit("/", 1)[1] in ("moving_mean", "moving_variance")
    ]


def average_name(name: str) -> str:
    """The name of the average of one of G's variables, which `--g_ema` keeps."""
    return name.replace("generator/", "generator_ema/", 1)


def is_layer_weight(variable: tf.Variable) -> bool:
    """Whether it is the matrix or the kernels of a layer: neither a bias nor of batch norm."""
    return variable.op.name.rsplit("/", 1)[1] in ("Matrix", "w")


def _scope(name: str):
    return tf.variable_scope(name, reuse=tf.AUTO_REUSE, use_resource=True)


def _norm_relu(x: tf.Tensor, training: bool, name: str) -> tf.Tensor:
    return tf.nn.relu(ops.batch_norm(x, training=training, name=name))


def _norm_lrelu(x: tf.Tensor, training: bool, name: str) -> tf.Tensor:
    return ops.lrelu(ops.batch_norm(x, training=training, name=name))


def _halvings(sizes: Sizes, times: int) -> List[Tuple[int, int]]:
    """[(H, W), (ceil(H/2), ceil(W/2)), ...]: the sizes after each strided SAME layer."""
    extents = [(sizes.height, sizes.width)]
    for _ in range(times):
        height, width = extents[-1]
        extents.append(((height + 1) // 2, (width + 1) // 2))
    return extents


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, [-1, int(x.shape[1] * x.shape[2] * x.shape[3])])


ARCHITECTURES: Dict[str, Type[Networks]] = {"mnist": MnistNetworks, "image": ImageNetworks}


def build_networks(
    architecture: str,
    sizes: Sizes,
    products: NativeProducts = NATIVE,
    *,
    loss: str = "sigmoid_cross_entropy",
) -> Networks:
    """The pair of a name in `ARCHITECTURES`, trained with the loss of a name in `LOSSES`.

    Args:
        architecture: "mnist" or "image".
        sizes: of both networks.
        products: how the layers compute their products; changes nothing but rounding and speed.
        loss: a key of `LOSSES`.
    """
    return ARCHITECTURES[architecture](sizes, products, loss=LOSSES[loss])
