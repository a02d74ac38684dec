"""A fixed convolutional network with random weights, as a feature extractor for images of any size.

Nobody has to download or train it, and every machine has the same one. Features of randomly
initialized networks have been used to measure generated images in arXiv 2002.09797. Distances of
these ones compare runs of this project on the same images; they are not FID or KID, whose features
are those of Inception.
"""

from typing import Any, Iterable, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

# Raised with every change after which figures can no longer be compared: other features, or another
# choice of the real images.
NAME = "random-2"
CHANNELS = (16, 32, 64, 128)
KERNEL = 5
FEATURES = sum(CHANNELS)


def extract(blocks: Iterable[np.ndarray], *, shape: Tuple[int, ...], session_config: Any):
    """The features float32 [N, FEATURES] of images that come in blocks uint8 [n, H, W, C].

    Each of four strided convolutions is followed by a ReLU; the features are the mean activations
    of all channels.

    Args:
        shape: (H, W, C).
        session_config: `tf.ConfigProto`.
    """
    random = np.random.RandomState(0)
    with tf.Graph().as_default(), tf.Session(config=session_config) as session:
        pixels = tf.placeholder(tf.uint8, (None,) + tuple(shape))
        h = tf.cast(pixels, tf.float32) / 127.5 - 1
        means = []
        for channels in CHANNELS:
            weights = he_normal(random, (KERNEL, KERNEL, int(h.shape[3]), channels))
            h = tf.nn.relu(tf.nn.conv2d(h, weights, strides=[1, 2, 2, 1], padding="SAME"))
            means.append(tf.reduce_mean(h, [1, 2]))
        features = tf.concat(means, 1)
        return np.concatenate([session.run(features, {pixels: block}) for block in blocks])


def he_normal(random: np.random.RandomState, shape: Tuple[int, ...]) -> np.ndarray:
    """Weights float32 [..., inputs, outputs] as He et al. begin with (arXiv 1502.01852)."""
    deviation = np.sqrt(2.0 / np.prod(shape[:-1]))
    return (deviation * random.standard_normal(shape)).astype(np.float32)
