"""A trained run: found on the disk, its weights restored, its generator opened."""

import contextlib
import itertools
import os
from typing import Any, Dict, Iterator, List, Optional

import tensorflow.compat.v1 as tf

import checkpoint
import kernels
import model
import ops_cpu
import utils
from checkpoint import Checkpoint
from config import OPTIONS, OPTIONS_FILE, RUN_OPTIONS, Config
from datasets.registry import say_classes
from devices.device import Device, open_device
from flags_file import checked_options, read_options, saved_runs
from inference import reference_weights
from inference.averaged_weights import load_average
from inference.batch_norm import BATCH_NORM
from inference.generator import Generator
from inference.held import held_checkpoints
from options import UserError

CHUNKS_AT_ONCE = 4  # on a CPU; two cores draw up to a quarter more than with two
# They have no effect on what is drawn, so nobody needs to know that the run had other values.
WITHOUT_EFFECT = ("batch_size", "seed")
# Folders that are read. They are the run's own unless they are on the command line.
FOLDERS = ("checkpoint_dir", "data_dir", "data_path")
# What a FLAGS.json must say: the data set fills these in before a training saves it.
REQUIRED = ("architecture", "num_classes", "output_height", "output_width", "channels", "seed")


class TrainedRun:
    """A run that can be drawn from, measured and exported.

    Attributes:
        config: the jobs and folders asked for, with the run's own networks, data and seed.
        checkpoints: those that were asked for, newest first: one, or all with `--evaluate=all`.
        checkpoint: the first of them, whose weights are used.
        device: `devices.device.Device`.
        sizes: `model.Sizes` of the run's networks.
    """

    def __init__(self, config: Config, checkpoints: List[Checkpoint], device: Device) -> None:
        self.config = config
        self.checkpoints = checkpoints
        self.checkpoint = checkpoints[0]
        self.device = device
        self.sizes = model.sizes_of(config)

    def at(self, found: Checkpoint) -> "TrainedRun":
        """The same run at another of its checkpoints."""
        return TrainedRun(self.config, [found], self.device)

    def build_networks(self, products: ops_cpu.NativeProducts = ops_cpu.NATIVE) -> model.Networks:
        """The run's networks; see `model.build_networks`."""
        return model.build_networks(self.config.architecture, self.sizes, products)

    def label_placeholder(self, batch_size: Optional[int] = None) -> Optional[tf.Tensor]:
        """The placeholder `y` float32 [batch_size, K]; None for a run without classes."""
        if self.sizes.num_classes == 0:
            return None
        return tf.placeholder(tf.float32, [batch_size, self.sizes.num_classes], "y")

    @contextlib.contextmanager
    def restored_session(self) -> Iterator[tf.Session]:
        """A session of the default graph, whose variables have the run's weights.

        The generator has the average of its weights if the run kept one.

        Raises:
            UserError: the checkpoint is damaged or does not fit the graph.
        """
        saver = checkpoint.Saver(tf.global_variables())
        with tf.Session(config=self.device.session_config) as session:
            try:
                saver.restore(session, self.checkpoint)
            except checkpoint.Damaged as damage:
                raise UserError(f"--out_name: {damage}")
            load_average(session, self.checkpoint.prefix)
            yield session

    @contextlib.contextmanager
    def open_generator(self) -> Iterator[Generator]:
        """The run's generator in a session of its own."""
        networks = self.build_networks(
            kernels.products_of(self.config, native=self.device.native_kernels)
        )
        with tf.Graph().as_default():
            z = tf.placeholder(tf.float32, [None, self.sizes.z_dim], "z")
            y = self.label_placeholder()
            batch_norm = BATCH_NORM[self.config.batch_norm]
            images = networks.generator(z, y, training=batch_norm.training)
            with self.restored_session() as session:
                batch_norm.prepare(self, session)

                def run_chunk(latents, labels):
                    feed = {z: latents} if y is None else {z: latents, y: labels}
                    return session.run(images, feed)

                at_once = CHUNKS_AT_ONCE if self.device.kind == "cpu" else 1
                yield Generator(self.config, run_chunk, networks.value_range, at_once=at_once)


@contextlib.contextmanager
def open_run(config: Config) -> Iterator[TrainedRun]:
    """The run that `--out_name` names, else the newest one of the data set under `--out_dir`.

    A `--checkpoint_dir` that is a folder of its own, with weights that the reference's code wrote,
    is a run too. Its checkpoints stay readable until the end of the block, even if a training goes
    on in that folder.

    Raises:
        UserError: there is none, or it has no sound checkpoint.
    """
    if not config.out_name and reference_weights.is_asked_for(config):
        config, found = reference_weights.open_folder(config)
        yield TrainedRun(config, [found], open_device(config))
        return
    config = find_options(config, with_checkpoint=True)
    folder = config.checkpoint_path
    with held_checkpoints(folder) as links:

        def warn(line):
            utils.warn(line.replace(links, folder))

        wanted = checkpoint.sound(links, warn=warn)
        checkpoints = (
            list(wanted) if config.evaluate == "all" else list(itertools.islice(wanted, 1))
        )
        if not checkpoints:
            raise UserError(f"--out_name: no sound checkpoint in {folder}")
        for each in checkpoints:
            _check_same_run(config, each)
        yield TrainedRun(config, checkpoints, open_device(config))


def _check_same_run(config: Config, found: Checkpoint) -> None:
    """Refuses a checkpoint of a run with other options: its shapes may be the same."""
    path = os.path.join(config.checkpoint_path, os.path.basename(found.prefix))
    saved = checked_options(found.state.get("options", {}), path + ".json")
    for name, there, here in config.differences(saved):
        raise UserError(
            f"--{OPTIONS[name].flag or name}: {path} is of a run with {there}, but "
            f"{config.options_path} says {here}"
        )


@contextlib.contextmanager
def open_run_to_draw(config: Config) -> Iterator[TrainedRun]:
    """The same, after lines on its checkpoint and, where classes have names, on their numbers."""
    with open_run(config) as run:
        name = os.path.basename(run.checkpoint.prefix)
        utils.say(f"checkpoint: {os.path.join(run.config.checkpoint_path, name)}")
        say_classes(run.config.class_names)
        yield run


def find_options(config: Config, *, with_checkpoint: bool = False) -> Config:
    """The config with the options of the run that `open_run` would find.

    Args:
        with_checkpoint: skip runs that have none, unless `--out_name` names one.

    Raises:
        UserError: there is no such run.
    """
    if config.out_name:
        found = _as_saved(config, read_options(config.options_path))
        _warn_of_overridden(config, found)
        return found
    for name, saved in saved_runs(config):
        try:
            found = _as_saved(config.replace(out_name=name), saved)
        except UserError as error:
            utils.warn(f"{error}: skipped")
            continue
        if not with_checkpoint or checkpoint.kept(found.checkpoint_path):
            _warn_of_overridden(config, found)
            return found
    raise UserError(
        f"--out_dir: no trained run of {config.dataset} in {config.out_dir}; train one with --train"
    )


def _warn_of_overridden(config: Config, found: Config) -> None:
    """Warns about each option on the command line that the saved run overrides."""
    for name in RUN_OPTIONS:
        asked, taken = getattr(config, name), getattr(found, name)
        if name in config.given and name not in WITHOUT_EFFECT and asked != taken:
            flag = OPTIONS[name].flag
            utils.warn(f"--{flag}: {asked} has no effect, the run was trained with {taken}")


def _as_saved(config: Config, saved: Dict[str, Any]) -> Config:
    """The config with the saved run's options and folders."""
    found = _with_folders(config, saved).with_saved(saved)
    if "batch_norm" in saved and "batch_norm" not in config.given:  # the recipe's own
        found = found.replace(batch_norm=saved["batch_norm"])
    for name in REQUIRED:
        if getattr(found, name) is None:
            raise UserError(f"{found.options_path}: {name} is missing")
    if len(found.class_names) not in (0, found.num_classes):  # runs of older versions have no names
        raise UserError(
            f"{found.options_path}: class_names are {len(found.class_names)}, "
            f"num_classes {found.num_classes}"
        )
    return found


def _with_folders(config: Config, saved: Dict[str, Any]) -> Config:
    """The config with the saved run's folders, unless they are on the command line or are gone."""
    for name in FOLDERS:
        folder = saved.get(name)  # data_path may be a zip or an LMDB in one file
        gone = folder is None or (os.path.isabs(folder) and not os.path.exists(folder))
        if name not in config.given and not gone:
            config = config.replace(**{name: folder})
    return _with_sample_dir(config, saved.get("sample_dir"))


def _with_sample_dir(config: Config, folder: Optional[str]) -> Config:
    """The same for the folder of the images if it is in the run: a FLAGS.json may be anybody's."""
    if folder is None or "sample_dir" in config.given:
        return config
    if os.path.isabs(folder) or os.pardir in folder.split(os.sep):
        utils.warn(
            f"images: {OPTIONS_FILE} says {folder}, which is outside the run's folder; "
            f"--sample_dir={folder} takes that"
        )
        return config
    return config.replace(sample_dir=folder)
