"""Run folders as training leaves them, with small networks and random weights."""

import json
import os

import numpy as np
import tensorflow.compat.v1 as tf

import checkpoint
import model
import utils
from config import OPTIONS_FILE, Config
from datasets.registry import open_dataset

SMALL = dict(
    z_dim=4, gf_dim=4, df_dim=4, gfc_dim=16, dfc_dim=16, batch_size=8, seed=3, device="cpu"
)
DATASETS = {
    "mnist": dict(dataset="synthetic_mnist"),
    "image": dict(dataset="synthetic", output_height=16, output_width=24),
}


def make_run(out_dir, architecture, *, steps=(5,), name="run", **changes):
    """A run folder with a checkpoint for each of `steps`; returns the config that asks for it."""
    asked = Config(out_dir=str(out_dir), out_name=name, **dict(SMALL, **DATASETS[architecture]))
    config, _ = open_dataset(asked.replace(train=True, **changes))
    utils.write_text(os.path.join(config.run_dir, OPTIONS_FILE), config.to_json())
    for step in steps:
        write_checkpoint(config, step)
    return Config(out_dir=str(out_dir), dataset=config.dataset, device="cpu")


def give(config, **options):
    """The config with options as if they were on the command line."""
    return config.replace(given=config.given.union(options), **options)


def write_checkpoint(config, step):
    """A checkpoint whose weights follow from the step, with images that differ from each other."""
    tf.disable_v2_behavior()
    networks = model.build_networks(config.architecture, model.sizes_of(config))
    random = np.random.RandomState(step)
    with tf.Graph().as_default():
        z = tf.zeros([2, config.z_dim])
        y = tf.zeros([2, config.num_classes])
        networks.discriminator(networks.generator(z, y, training=False), y, training=False)
        variables = tf.global_variables()
        with tf.Session() as session:
            for variable in variables:
                variable.load(_values(random, variable.op.name, variable.shape), session)
            checkpoint.Saver(variables).save(
                session,
                config.checkpoint_path,
                step=step,
                state={"seconds": 1.0, "draw": 0, "options": json.loads(config.to_json())},
                max_to_keep=9,
            )


def _values(random, name, shape):
    if name.endswith(("gamma", "moving_variance")):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return (0.2 * random.standard_normal(shape)).astype(np.float32)
