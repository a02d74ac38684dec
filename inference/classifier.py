"""A small classifier of MNIST and sets in its format, to measure generated pictures with.

Trained here by a fixed recipe and seed and kept as a file, so that all runs of a machine are measured
by the same one. Its figures compare runs of this project with each other and with nothing else.
"""

import hashlib
import os
import zipfile
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import utils
from datasets import mnist

RECIPE = 1  # raise it whenever other weights would come out
EPOCHS = 3
BATCH = 100
LEARNING_RATE = 1e-3
FEATURES = 128
SHAPES = (
    ("conv1", (5, 5, 1, 32)),
    ("conv2", (5, 5, 32, 64)),
    ("hidden", (7 * 7 * 64, FEATURES)),
    ("output", (FEATURES, mnist.NUM_CLASSES)),
)
CHUNK = 500  # pictures in one session run


class Classifier(NamedTuple):
    """A trained classifier.

    Attributes:
        weights: name -> float32 array.
        digest: hexadecimal SHA-256 of the weights; figures of different ones cannot be compared.
        test_error: on the set's 10,000 test pictures, in percent.
    """

    weights: dict
    digest: str
    test_error: float


def open_classifier(name, *, train, test, session_config, progress):
    """The classifier of the set `name`: the one kept in the user's cache folder, or one trained now.

    Args:
        train, test: (images uint8 [N, 28, 28, 1], labels integers [N]) of each.
        session_config: `tf.ConfigProto`.
        progress: "on", "off" or "auto".
    """
    path = _path(name, *train)
    weights = _read(path)
    if weights is None:
        weights = _train(*train, session_config=session_config, progress=progress)
        try:
            _write(path, weights)
        except OSError as error:
            utils.warn(f"classifier not kept, to be trained again next time: {error}")
    predicted, _ = classify(weights, test[0], session_config=session_config)
    return Classifier(weights, _digest(weights), 100.0 * float((predicted != test[1]).mean()))


def classify(weights, images, *, session_config):
    """(classes int64 [N], features float32 [N, FEATURES]) of uint8 pictures [N, 28, 28, 1]."""
    with tf.Graph().as_default(), tf.Session(config=session_config) as session:
        pixels = tf.placeholder(tf.uint8, [None, mnist.SIDE, mnist.SIDE, 1])
        logits, features = _network(
            pixels, {name: tf.constant(value) for name, value in weights.items()}
        )
        fetches = tf.argmax(logits, 1), features
        parts = [
            session.run(fetches, {pixels: images[start : start + CHUNK]})
            for start in range(0, len(images), CHUNK)
        ]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts))


def _network(pixels, weights):
    """(logits [N, 10], features [N, FEATURES]): two strided convolutions and two layers."""
    h = tf.cast(pixels, tf.float32) / 255.0
    for name in ("conv1", "conv2"):  # [N, 14, 14, 32], [N, 7, 7, 64]
        h = tf.nn.relu(
            tf.nn.conv2d(h, weights[name], strides=[1, 2, 2, 1], padding="SAME")
            + weights[name + "_bias"]
        )
    h = tf.reshape(h, [-1, SHAPES[2][1][0]])
    features = tf.nn.relu(tf.matmul(h, weights["hidden"]) + weights["hidden_bias"])
    return tf.matmul(features, weights["output"]) + weights["output_bias"], features


def _train(images, labels, *, session_config, progress):
    """The weights after EPOCHS epochs of Adam."""
    random = np.random.RandomState(RECIPE)
    with tf.Graph().as_default(), tf.Session(config=session_config) as session:
        variables = {
            name: tf.Variable(value, use_resource=True)
            for name, value in _first_weights(random).items()
        }
        pixels = tf.placeholder(tf.uint8, [None, mnist.SIDE, mnist.SIDE, 1])
        classes = tf.placeholder(tf.int64, [None])
        logits, _ = _network(pixels, variables)
        loss = tf.losses.sparse_softmax_cross_entropy(classes, logits)
        update = tf.train.AdamOptimizer(LEARNING_RATE).minimize(loss)
        session.run(tf.global_variables_initializer())
        steps = len(images) // BATCH
        with utils.progress_bar(
            progress, total=EPOCHS * steps, unit="step", desc="training the classifier"
        ) as bar:
            for _ in range(EPOCHS):
                order = random.permutation(len(images))[: steps * BATCH]
                for chosen in order.reshape(steps, BATCH):
                    session.run(update, {pixels: images[chosen], classes: labels[chosen]})
                    bar.update(1)
        return session.run(variables)


def _first_weights(random):
    """Normal with the standard deviation of He et al. (arXiv 1502.01852), biases 0."""
    weights = {}
    for name, shape in SHAPES:
        deviation = np.sqrt(2.0 / np.prod(shape[:-1]))
        weights[name] = (deviation * random.standard_normal(shape)).astype(np.float32)
        weights[name + "_bias"] = np.zeros(shape[-1], np.float32)
    return weights


def _path(name, images, labels):
    """Where the classifier that these pictures make is kept."""
    learnt = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()[:16]
    return os.path.join(utils.user_cache_dir(), f"classifier-{name}-{RECIPE}-{learnt}.npz")


def _digest(weights):
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()


def _write(path, weights):
    with utils.atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez(file, digest=np.array(_digest(weights)), **weights)


def _read(path):
    """The weights in a file; None where it is missing, damaged or not what was written."""
    shapes = {name: value.shape for name, value in _first_weights(np.random.RandomState(0)).items()}
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = {name: file[name] for name in shapes}
            sound = str(file["digest"]) == _digest(weights)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    sound = sound and all(weights[name].shape == shape for name, shape in shapes.items())
    return weights if sound else None
