"""A small classifier of MNIST or Fashion-MNIST, to measure generated images with.

It is trained here by a fixed recipe and seed and kept as a file, so that all runs of a machine are
measured by the same one. Its figures compare runs of this project with each other only.
"""

import hashlib
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

import utils
from datasets import mnist
from inference.random_features import he_normal
from system.arrays import read_arrays

RECIPE = 1  # raised with every change that gives other weights
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
CHUNK = 500  # images in one session run

Weights = Dict[str, np.ndarray]  # name -> float32 array
Split = Tuple[np.ndarray, np.ndarray]  # images uint8 [N, 28, 28, 1] and labels, integers [N]


class Classifier(NamedTuple):
    """A trained classifier.

    Attributes:
        weights: name -> float32 array.
        digest: hexadecimal SHA-256 of the weights; figures of different ones cannot be compared.
        test_error: on the set's 10,000 test images, in percent.
    """

    weights: Weights
    digest: str
    test_error: float


def open_classifier(
    name: str, *, train: Split, test: Split, session_config: Any, progress: str
) -> Classifier:
    """The classifier of the set `name`, from the user's cache folder or trained now.

    Args:
        name: of the data set, for the file name.
        train, test: its images and labels.
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
            utils.warn(f"classifier not saved, it will be trained again: {error}")
    predicted, _ = classify(weights, test[0], session_config=session_config)
    return Classifier(weights, _digest(weights), 100.0 * float((predicted != test[1]).mean()))


def classify(
    weights: Weights, images: np.ndarray, *, session_config: Any
) -> Tuple[np.ndarray, np.ndarray]:
    """(classes int64 [N], features float32 [N, FEATURES]) of uint8 images [N, 28, 28, 1]."""
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
    classes, seen = zip(*parts)
    return np.concatenate(classes), np.concatenate(seen)


def _network(pixels: tf.Tensor, weights: Dict[str, Any]) -> Tuple[tf.Tensor, tf.Tensor]:
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


def _train(
    images: np.ndarray, labels: np.ndarray, *, session_config: Any, progress: str
) -> Weights:
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


def _first_weights(random: np.random.RandomState) -> Weights:
    weights = {}
    for name, shape in SHAPES:
        weights[name] = he_normal(random, shape)
        weights[name + "_bias"] = np.zeros(shape[-1], np.float32)
    return weights


def _path(name: str, images: np.ndarray, labels: np.ndarray) -> str:
    """Where the classifier trained on these images is kept."""
    learned = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()[:16]
    return os.path.join(utils.user_cache_dir(), f"classifier-{name}-{RECIPE}-{learned}.npz")


def _digest(weights: Weights) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()


def _write(path: str, weights: Weights) -> None:
    with utils.atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez(file, digest=np.array(_digest(weights)), **weights)


def _read(path: str) -> Optional[Weights]:
    """The weights in a file; None if it is missing, damaged or not what was written."""
    shapes = {name: value.shape for name, value in _first_weights(np.random.RandomState(0)).items()}
    try:
        found = read_arrays(path)
        weights = {name: found[name] for name in shapes}
        sound = str(found["digest"]) == _digest(weights)
    except (OSError, KeyError, ValueError):
        return None
    sound = sound and all(weights[name].shape == shape for name, shape in shapes.items())
    return weights if sound else None
