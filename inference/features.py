"""The discriminator as a feature extractor, as in arXiv 1511.06434, section 5.1."""

import time
from typing import Dict, List, Tuple, Union

import numpy as np
import tensorflow.compat.v1 as tf

import utils
from inference.generator import in_chunks
from inference.trained_run import TrainedRun

POOLED = 4  # places on a side
PENALTY = 1e-3  # the support vector machine's C

Split = Tuple[np.ndarray, np.ndarray]  # images uint8 [N, H, W, C] and labels [N]


def measure(run: TrainedRun, train: Split, test: Split) -> Dict[str, Union[int, float]]:
    """Classifies MNIST by a linear support vector machine on the discriminator's features.

    Args:
        test: of the split that `--eval_split` names.

    Returns:
        {"accuracy": in percent on `test`, "dimensions": of the features, "step": of the
        checkpoint, "split": the name of that split}.
    """
    from sklearn.preprocessing import StandardScaler  # takes a second
    from sklearn.svm import LinearSVC

    started, split = time.monotonic(), run.config.eval_split
    known, unknown = extract(run, train[0]), extract(run, test[0])
    scaler = StandardScaler(copy=False).fit(known)
    machine = LinearSVC(C=PENALTY, dual=False, random_state=0)
    machine.fit(scaler.transform(known), train[1])
    accuracy = 100.0 * machine.score(scaler.transform(unknown), test[1])
    utils.say(
        f"step {run.checkpoint.step}: a linear SVM on {known.shape[1]} features of the "
        f"discriminator is right on {accuracy:.2f} % of the {len(test[0])} {split} images "
        f"({time.monotonic() - started:.0f} s)"
    )
    return {
        "accuracy": accuracy,
        "dimensions": known.shape[1],
        "step": run.checkpoint.step,
        "split": split,
    }


def extract(run: TrainedRun, images: np.ndarray) -> np.ndarray:
    """The features float32 [N, F] of uint8 images [N, H, W, C].

    The activations of every convolution, max-pooled to at most 4x4 places and concatenated. The
    labels, which are what the features have to tell, are all 0.
    """
    networks = run.build_networks()
    lowest, highest = networks.value_range
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.uint8, [None] + list(images.shape[1:]))
        x = tf.cast(pixels, tf.float32) * ((highest - lowest) / 255.0) + lowest
        classes = run.sizes.num_classes
        y = tf.zeros([tf.shape(x)[0], classes]) if classes else None
        networks.discriminator(x, y, training=False)
        activations: List[tf.Tensor] = [
            operation.outputs[0]
            for operation in graph.get_operations()
            if operation.type == "LeakyRelu" and operation.outputs[0].shape.ndims == 4
        ]
        features = tf.concat([_pooled(each) for each in activations], 1)
        with run.restored_session() as session:
            return in_chunks(lambda chunk: session.run(features, {pixels: chunk}), images)


def _pooled(activations: tf.Tensor) -> tf.Tensor:
    """[N, H, W, C] pooled to at most [N, 4, 4, C], flat; windows overlap if 4 does not divide."""
    sides = [int(side) for side in activations.shape[1:3]]
    strides = [max(side // POOLED, 1) for side in sides]
    windows = [side - (min(POOLED, side) - 1) * stride for side, stride in zip(sides, strides)]
    pooled = tf.nn.max_pool(activations, [1] + windows + [1], [1] + strides + [1], "VALID")
    return tf.reshape(pooled, [-1, int(np.prod(pooled.shape[1:]))])
