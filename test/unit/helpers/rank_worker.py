"""One process of several that train together, started by test_ranks.py and test_horovod.py.

python rank_worker.py FOLDER program STEPS     the program's own steps; writes RANK.json: the
                                               digest of all variables after each, and the batches
python rank_worker.py FOLDER plain STEPS SIZE  networks without batch norm; writes RANK.npz: the
                                               variables at the end. A process by itself is fed the
                                               joined batches of SIZE ranks.
"""

import hashlib
import json
import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf
from paths import ROOT

sys.path.insert(0, ROOT)

import model  # noqa: E402
import ops  # noqa: E402
from config import Config  # noqa: E402
from datasets import pipeline  # noqa: E402
from datasets.registry import open_dataset  # noqa: E402
from devices.device import open_device  # noqa: E402
from training import optimizers  # noqa: E402
from training import step as training_step  # noqa: E402
from training.graph import TrainGraph  # noqa: E402
from training.progress import Progress  # noqa: E402

CONFIG = Config(
    train=True,
    dataset="synthetic_mnist",
    batch_size=8,
    gf_dim=4,
    df_dim=4,
    gfc_dim=16,
    dfc_dim=16,
    z_dim=8,
    sample_num=4,
    seed=5,
    inter_op_threads=64,
    intra_op_threads=1,
    precision_mode="must_keep_origin_dtype",
)


def program(ranks, device, folder, steps):
    config, dataset = open_dataset(CONFIG)
    built = TrainGraph(config=config, dataset=dataset, ranks=ranks, device=device)
    variables, digests = tf.global_variables(), []
    with tf.Session(config=device.session_config) as session:
        built.initialize(session)
        variables[0].load(np.full(variables[0].shape, 0.01 * (1 + ranks.rank), np.float32), session)
        built.broadcast_variables(session)
        built.start_input(session, Progress())
        for _ in range(int(steps)):
            built.run_steps(session.run)
            values = session.run(variables)
            digests.append(
                hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()
            )
        built.barrier(session)
    batches = [
        pipeline.batch_indices(
            dataset, step, config=config, rank=ranks.rank, ranks_size=ranks.size
        ).tolist()
        for step in range(int(steps))
    ]
    with open(os.path.join(folder, f"{ranks.rank}.json"), "w") as file:
        json.dump({"digests": digests, "batches": batches, "first": float(values[0].flat[0])}, file)


def plain(ranks, device, folder, steps, size):
    config, dataset = open_dataset(CONFIG)
    mine = range(int(size)) if ranks.size == 1 else [ranks.rank]
    count = config.batch_size * len(mine)
    batch = pipeline.Batch(
        *[
            tf.placeholder(tf.float32, [count] + shape)
            for shape in (list(dataset.image_shape), [dataset.num_classes], [config.z_dim])
        ]
    )
    schedule = optimizers.Schedule(config, ranks_size=ranks.size, total_steps=1)
    d_optimizer, g_optimizer = [
        optimizers.build_optimizer(
            network, config=config, device=device, ranks=ranks, schedule=schedule
        )
        for network in ("d", "g")
    ]
    step = training_step.build_train_step(
        networks=PlainNetworks(model.sizes_of(config)),
        batch=batch,
        ranks=ranks,
        d_optimizer=d_optimizer,
        g_optimizer=g_optimizer,
    )
    variables = tf.trainable_variables()
    with tf.Session(config=device.session_config) as session:
        session.run(tf.global_variables_initializer())
        for index in range(int(steps)):
            parts = [
                pipeline.read_batch(dataset, index, config=config, rank=rank, ranks_size=int(size))
                for rank in mine
            ]
            images, labels, z = [np.concatenate(arrays) for arrays in zip(*parts)]
            losses = session.run(step.runs[0], dict(zip(batch, (images / 255.0, labels, z))))
        np.savez(
            os.path.join(folder, f"{ranks.rank}.npz"),
            d_loss=losses["d_loss"],
            **{variable.op.name: session.run(variable) for variable in variables},
        )


class PlainNetworks(model.Networks):
    """Networks without batch norm."""

    value_range = (0.0, 1.0)

    def generator(self, z, y, training):
        with tf.variable_scope("generator", reuse=tf.AUTO_REUSE, use_resource=True):
            h = tf.nn.relu(self.layers.linear(tf.concat([z, y], 1), 32, name="first"))
            h = tf.nn.sigmoid(self.layers.linear(h, 28 * 28, name="second"))
            return tf.reshape(h, [-1, 28, 28, 1])

    def discriminator(self, x, y, training):
        with tf.variable_scope("discriminator", reuse=tf.AUTO_REUSE, use_resource=True):
            h = tf.concat([tf.reshape(x, [-1, 28 * 28]), y], 1)
            h = ops.lrelu(self.layers.linear(h, 32, name="first"))
            return self.layers.linear(h, 1, name="second")


if __name__ == "__main__":
    tf.disable_v2_behavior()
    tf.set_random_seed(CONFIG.seed)
    the_device = open_device(CONFIG)
    {"program": program, "plain": plain}[sys.argv[2]](
        the_device.open_ranks(), the_device, sys.argv[1], *sys.argv[3:]
    )
