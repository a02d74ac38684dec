"""Prepares a run: its folder, its seed, and whether to resume what is there."""

import contextlib
import os
from typing import Any, Dict, Iterator, Tuple

import checkpoint
import kernels
import utils
from config import OPTIONS_FILE, RUN_OPTIONS, SAME_ON_ALL_RANKS, SET_BY_DATASET, Config
from datasets import pipeline
from datasets.dataset import Dataset
from devices.device import Device
from devices.ranks import Ranks
from flags_file import checked_options, read_options, saved_runs
from options import UserError
from training import plan
from training.initial_weights import check_initial_run
from training.run_lock import RunLock

INITIAL = ("init_from", "init_optimizers")
CHOSEN_BY_RANK_0 = ("out_name", "seed", *INITIAL)


@contextlib.contextmanager
def open_run_folder(
    config: Config, dataset: Dataset, ranks: Ranks, *, device: Device
) -> Iterator[Tuple[Config, RunLock]]:
    """Names and seeds the run to train, writes its FLAGS.json and holds its folder.

    Rank 0 does this and broadcasts the name and the seed.

    Args:
        config: `Config` with every size filled in.
        dataset: `datasets.dataset.Dataset`.
        ranks: `devices.ranks.Ranks`.
        device: `devices.device.Device`.

    Yields:
        (the `Config`, with every field filled in; the locks, to be checked before writing).

    Raises:
        UserError: the data set is smaller than a batch, the folder holds a run of other options,
            another process trains there, or nothing can be written there.
    """
    steps = pipeline.steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks.size, train_size=config.train_size
    )
    config = plan.with_frequencies(config, steps_per_epoch=steps)
    with RunLock() as lock:
        if ranks.rank == 0:
            config = _open(config, lock, device)
            utils.say(plan.described(config, dataset, steps_per_epoch=steps))
            few = plan.few_images(config, dataset)
            for warning in (few, plan.idle_schedule(config), plan.idle_widths(config)):
                if warning:
                    utils.warn(warning)
        first = ranks.broadcast_object(config.as_dict(), device.session_config)
        config = config.replace(**{name: first[name] for name in CHOSEN_BY_RANK_0})
        if config.kernels == "auto":
            config = config.replace(kernels=first["kernels"])
        _check_same(config, first, ranks)
        yield config, lock


def _check_same(config: Config, first: Dict[str, Any], ranks: Ranks) -> None:
    """Refuses options that are not rank 0's: this rank would train another run, or wait forever."""
    for name in RUN_OPTIONS + SAME_ON_ALL_RANKS:
        mine, expected = getattr(config, name), first[name]
        if isinstance(mine, tuple):  # a list in JSON
            expected = tuple(expected)
        if mine != expected:
            what = f"dataset: {name}:" if name in SET_BY_DATASET else f"{name}:"
            raise UserError(f"--{what} rank {ranks.rank} has {mine}, rank 0 has {expected}")


def _open(config: Config, lock: RunLock, device: Device) -> Config:
    if config.resume and not config.out_name:
        config = config.replace(out_name=_newest_fitting(config))
    elif config.resume and not _exists(config):
        raise UserError(
            f"--resume: there is no run in {config.run_dir}; without it, one begins there"
        )
    if not config.out_name:
        config = config.replace(out_name=_free_name(config))
    if config.init_from is not None and not checkpoint.kept(config.checkpoint_path):
        check_initial_run(config)
    utils.say(f"run: {config.run_dir}")
    for folder in sorted(
        {os.path.realpath(config.run_dir), os.path.realpath(config.checkpoint_path)}
    ):
        lock.take(folder)
    for folder in (config.run_dir, config.sample_path, config.checkpoint_path):
        utils.clear_partial(folder)
    config = kernels.choose(_resumed(config), native=device.native_kernels)
    if config.seed is None:
        config = config.replace(seed=int.from_bytes(os.urandom(4), "little") >> 1)
    utils.say(f"seed: {config.seed}")
    try:
        utils.write_text(os.path.join(config.run_dir, OPTIONS_FILE), config.to_json())
    except OSError as error:
        raise UserError(f"--out_dir: {error}")
    return config


def with_saved_decoding(config: Config) -> Config:
    """The config with the way of decoding that the run to be resumed began with.

    What is given on the command line stays. This comes before the data set is opened, when sizes
    that only the set knows are open.

    Raises:
        UserError: the run's options cannot be read.
    """
    if "exact_decode" in config.given:
        return config
    if config.out_name and os.path.exists(config.options_path):
        return _decoding_as(read_options(config.options_path), config)
    for _, saved in saved_runs(config, warn=False) if config.resume and not config.out_name else ():
        adapted = _decoding_as(saved, config)
        if all(asked in (None, ()) for _, _, asked in adapted.differences(saved)):
            return adapted
    return config


def _decoding_as(saved: Dict[str, Any], config: Config) -> Config:
    return config.replace(exact_decode=saved.get("exact_decode", config.exact_decode))


def _exists(config: Config) -> bool:
    """Whether there is a run in the config's folder."""
    return os.path.exists(config.options_path) or bool(checkpoint.kept(config.checkpoint_path))


def _newest_fitting(config: Config) -> str:
    """The name of the newest run with the config's options."""
    for name, saved in saved_runs(config):
        seeded = config if config.seed is not None else config.replace(seed=saved.get("seed"))
        if not seeded.differences(saved):
            return name
    raise UserError(f"--resume: no run in {config.out_dir} was trained with these options")


def _free_name(config: Config) -> str:
    """The config's default name, numbered if there is such a folder already."""
    default = name = config.default_name()
    number = 0
    while os.path.exists(os.path.join(config.out_dir, name)):
        name = f"{default}-{number}"
        number += 1
    return name


def _resumed(config: Config) -> Config:
    """The config with the seed and the beginning of the run in its folders, if its options agree."""
    path = os.path.join(config.run_dir, OPTIONS_FILE)
    if os.path.exists(path):
        saved = read_options(path)
        _check_checkpoint_dir(config, saved)
        config = _continuing(config, saved, config.run_dir)
        if config.init_from is None:  # it may have been killed before its first checkpoint
            config = config.replace(**{name: saved[name] for name in INITIAL if name in saved})
    checkpoints = checkpoint.kept(config.checkpoint_path)
    if checkpoints:
        newest = checkpoints[0]
        saved = checked_options(newest.state.get("options", {}), newest.prefix + ".json")
        if "init_from" in config.given and config.init_from != saved.get("init_from"):
            raise UserError(
                f"--init_from: the run in {config.run_dir} goes on from its own checkpoints; leave "
                "the flag out, or give another --out_name"
            )
        config = _continuing(config, saved, config.checkpoint_path)
    return config


def _check_checkpoint_dir(config: Config, saved: Dict[str, Any]) -> None:
    """Refuses to begin anew in the folder of a run whose checkpoints are elsewhere."""
    there = saved.get("checkpoint_dir", config.checkpoint_dir)
    if there == config.checkpoint_dir or "checkpoint_dir" in config.given:
        return
    if not checkpoint.kept(config.checkpoint_path):
        raise UserError(
            f"--checkpoint_dir: the run in {config.run_dir} saved its checkpoints in {there}; give "
            "the folder where they are, or another --out_name"
        )


def _continuing(config: Config, saved: Dict[str, Any], folder: str) -> Config:
    """The config with the seed of saved options, and their kernels if it names none.

    Raises:
        UserError: another option differs; `folder` is named as where the saved ones are.
    """
    if config.seed is None:
        config = config.replace(seed=saved.get("seed"))
    if config.kernels == "auto" and "kernels" not in config.given:
        config = config.replace(kernels=saved.get("kernels", "auto"))
    for name, there, asked in config.differences(saved):
        if name in SET_BY_DATASET:
            raise UserError(
                f"--dataset: {name} of {config.dataset} was {there} when the run in {folder} began "
                f"and is {asked} now; give another --out_name"
            )
        raise UserError(
            f"--{name}: the run in {folder} has {there}, not {asked}; "
            "give that, or another --out_name"
        )
    return config
