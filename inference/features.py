"""The discriminator as a feature extractor, as in arXiv 1511.06434, section 5.1."""

import time

import numpy as np
import tensorflow.compat.v1 as tf

import model
from inference.trained_run import in_chunks, restored_session

POOLED = 4  # places on a side
PENALTY = 1e-3  # the support vector machine's C


def measure(run, train, test):
    """Classifies MNIST by a linear support vector machine on the discriminator's features.

    Args:
        run: `inference.trained_run.TrainedRun`.
        train, test: (images uint8 [N, 28, 28, 1], labels [N]) of each.

    Returns:
        {"accuracy": in percent on the test pictures, "dimensions": of the features, "step": of the
        checkpoint}.
    """
    from sklearn.preprocessing import StandardScaler  # takes a second
    from sklearn.svm import LinearSVC

    started = time.time()
    known, unknown = [extract(run, images) for images, _ in (train, test)]
    scaler = StandardScaler(copy=False).fit(known)
    machine = LinearSVC(C=PENALTY, dual=False, random_state=0)
    machine.fit(scaler.transform(known), train[1])
    accuracy = 100.0 * machine.score(scaler.transform(unknown), test[1])
    print(
        f"step {run.checkpoint.step}: a linear SVM on {known.shape[1]} features of the discriminator is right on {accuracy:.2f} % of the {len(test[0])} "
        f"test pictures ({time.time() - started:.0f} s)"
    )
    return {"accuracy": accuracy, "dimensions": known.shape[1], "step": run.checkpoint.step}


def extract(run, images):
    """The features float32 [N, F] of uint8 images [N, H, W, C].

    What every convolution's activation shows, max-pooled to at most 4x4 places, side by side. The
    labels, which are what is to be found, are all 0.
    """
    sizes = model.sizes_of(run.config)
    networks = model.build_networks(run.config.architecture, sizes)
    lowest, highest = networks.value_range
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.uint8, [None] + list(images.shape[1:]))
        x = tf.cast(pixels, tf.float32) * ((highest - lowest) / 255.0) + lowest
        y = tf.zeros([tf.shape(x)[0], sizes.num_classes]) if sizes.num_classes else None
        networks.discriminator(x, y, training=False)
        maps = [
            operation.outputs[0]
            for operation in graph.get_operations()
            if operation.type == "LeakyRelu" and operation.outputs[0].shape.ndims == 4
        ]
        features = tf.concat([_pooled(each) for each in maps], 1)
        with restored_session(run) as session:
            return in_chunks(lambda chunk: session.run(features, {pixels: chunk}), images)


def _pooled(maps):
    """[N, H, W, C] pooled to at most [N, 4, 4, C], flat; windows overlap where 4 does not divide."""
    sides = [int(side) for side in maps.shape[1:3]]
    strides = [max(side // POOLED, 1) for side in sides]
    windows = [side - (min(POOLED, side) - 1) * stride for side, stride in zip(sides, strides)]
    pooled = tf.nn.max_pool(maps, [1] + windows + [1], [1] + strides + [1], "VALID")
    return tf.reshape(pooled, [-1, int(np.prod(pooled.shape[1:]))])
