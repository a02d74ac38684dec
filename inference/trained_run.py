"""Finding a trained run and opening its generator."""

import contextlib
import os
from typing import Callable, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import checkpoint
import model
import ops_cpu
import utils
from config import OPTIONS, OPTIONS_FILE, RUN_OPTIONS, Config
from devices.device import Device, open_device
from flags_file import read_options, saved_runs
from inference import reference_weights
from options import UserError

# Pictures in one session run. Kernels round differently from one batch size to another, so a fixed
# one is what makes a seed's picture the same to the bit however many are asked for.
CHUNK = 64
# Without effect on what is drawn: nobody needs to be told that the run had another.
PLAIN = ("batch_size", "seed")
# Folders that are read, the run's own where the command line leaves them at their defaults.
FOLDERS = ("checkpoint_dir", "data_dir", "data_path")


class TrainedRun(NamedTuple):
    """A run that can be sampled.

    Attributes:
        config: the asked-for jobs and folders with the run's own networks, data and seed.
        checkpoint: `checkpoint.Checkpoint`.
        device: `devices.device.Device`.
    """

    config: Config
    checkpoint: checkpoint.Checkpoint
    device: Device


def find_run(config):
    """The run that `--out_name` names, else the newest one of the data set under `--out_dir`.

    A `--checkpoint_dir` that is a folder of its own, with weights that the reference's code wrote,
    is a run too.

    Raises:
        UserError: there is none, or it has no sound checkpoint.
    """
    if not config.out_name and reference_weights.is_asked_for(config):
        config, found = reference_weights.open_folder(config)
    else:
        config = find_options(config, with_checkpoint=True)
        found = checkpoint.newest(config.checkpoint_path, warn=print)
        if found is None:
            raise UserError(f"--out_name: no sound checkpoint in {config.checkpoint_path}")
    return TrainedRun(config, found, open_device(config))


def find_options(config, *, with_checkpoint=False):
    """The config with the options of the run that `find_run` would find.

    Args:
        with_checkpoint: pass over runs that have none, unless `--out_name` names one.

    Raises:
        UserError: there is no such run.
    """
    if config.out_name:
        saved = read_options(os.path.join(config.run_dir, OPTIONS_FILE))
        return _told(config, _as_saved(config, saved))
    for name, saved in saved_runs(config):
        found = _as_saved(config.replace(out_name=name), saved)
        if not with_checkpoint or checkpoint.kept(found.checkpoint_path):
            return _told(config, found)
    raise UserError(
        f"--out_dir: no trained run of {config.dataset} in {config.out_dir}; train one with --train"
    )


def _told(config, found):
    """`found`, after a line for each option that was given in vain: the run has its own."""
    for name in RUN_OPTIONS:
        asked, taken = getattr(config, name), getattr(found, name)
        if asked not in (OPTIONS[name].default, taken) and name not in PLAIN:
            utils.warn(f"--{name}: {asked} has no effect, the run was trained with {taken}")
    return found


def _as_saved(config, saved):
    found = _with_folders(config, saved).with_saved(saved)
    sizes = ("architecture", "num_classes", "output_height", "output_width", "channels", "seed")
    for name in sizes:
        if getattr(found, name) is None:
            raise UserError(f"{os.path.join(config.run_dir, OPTIONS_FILE)}: says nothing of {name}")
    return found


def _with_folders(config, saved):
    """The config with the saved run's folders where it has the defaults, unless they are gone."""
    for name in FOLDERS:
        default = OPTIONS[name].default
        defaults = (default, os.path.abspath(default or ""))  # main.py makes paths absolute
        there = saved.get(name)
        if (
            getattr(config, name) in defaults
            and there is not None
            and (not os.path.isabs(there) or os.path.isdir(there))
        ):
            config = config.replace(**{name: there})
    return _with_sample_dir(config, saved.get("sample_dir"))


def _with_sample_dir(config, there):
    """The same for the folder of the pictures, if it is the run's: a FLAGS.json may be anybody's."""
    default = OPTIONS["sample_dir"].default
    if there in (None, default) or config.sample_dir != default:
        return config
    if os.path.isabs(there) or os.pardir in there.split(os.sep):
        utils.warn(
            f"pictures: {OPTIONS_FILE} says {there}, which is outside the run's folder; --sample_dir={there} takes "
            "that"
        )
        return config
    return config.replace(sample_dir=there)


@contextlib.contextmanager
def opened_generator(run):
    """The run's generator in a session: `(z [N, Z], y [N, K]) -> images [N, H, W, C]`, any N >= 1.

    A row's picture depends on its z and y alone, to the bit.

    Yields:
        (generate, networks): the function, of float32 arrays, and `model.Networks`.
    """
    sizes = model.sizes_of(run.config)
    networks = model.build_networks(
        run.config.architecture, sizes, ops_cpu.products_of_device(run.device.kind)
    )
    with tf.Graph().as_default():
        z = tf.placeholder(tf.float32, [None, sizes.z_dim], "z")
        y = tf.placeholder(tf.float32, [None, sizes.num_classes], "y")
        images = networks.generator(z, y, training=False)
        with restored_session(run) as session:
            yield _runner(session, images, z, y), networks


@contextlib.contextmanager
def restored_session(run):
    """A session of the default graph, whose variables have the run's weights."""
    saver = checkpoint.Saver(tf.global_variables())
    with tf.Session(config=run.device.session_config) as session:
        try:
            saver.restore(session, run.checkpoint)
        except checkpoint.Damaged as damage:
            raise UserError(f"--out_name: {damage}")
        yield session


def in_chunks(function, *inputs):
    """Calls `function` on `CHUNK` rows at a time, the last ones padded with zeros; joins the results.

    Args:
        function: arrays [CHUNK, ...] -> array [CHUNK, ...], each row from the same row of the inputs.
        inputs: arrays [N, ...], N >= 1.
    """
    results = []
    for start in range(0, len(inputs[0]), CHUNK):
        parts = [array[start : start + CHUNK] for array in inputs]
        filled = len(parts[0])
        padded = [
            np.concatenate([part, np.zeros((CHUNK - filled,) + part.shape[1:], part.dtype)])
            for part in parts
        ]
        results.append(function(*padded)[:filled])
    return np.concatenate(results)


def _runner(session, images, z, y) -> Callable:
    def run_chunk(latents, labels):
        return session.run(images, {z: latents, y: labels})

    return lambda latents, labels: in_chunks(run_chunk, latents, labels)
