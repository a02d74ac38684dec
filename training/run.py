"""Before a run: its folder, its seed, and whether it goes on with one that stands there."""

import contextlib
import os

import checkpoint
import utils
from config import OPTIONS_FILE, RUN_OPTIONS, SAME_ON_ALL_RANKS, SET_BY_DATASET
from datasets import pipeline
from flags_file import checked_options, read_options, saved_runs
from options import UserError


@contextlib.contextmanager
def opened_run(config, dataset, ranks, *, session_config):
    """The config of the run to train: named, seeded, filed as FLAGS.json, its folder held.

    Rank 0 does this; the other ranks are told the name and the seed.

    Args:
        config: `Config` with every size filled in.
        dataset: `datasets.pipeline.Dataset`.
        ranks: `devices.ranks.Ranks`.
        session_config: `tf.ConfigProto`.

    Yields:
        The `Config`, with every field filled in.

    Raises:
        UserError: the data set is smaller than a batch, a run of other options stands in the folder,
            another process trains there, or nothing can be written there.
    """
    pipeline.steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks.size, train_size=config.train_size
    )
    with _opened(config) if ranks.rank == 0 else contextlib.nullcontext(config) as config:
        first = ranks.broadcast_object(config.as_dict(), session_config)
        config = config.replace(out_name=first["out_name"], seed=first["seed"])
        _check_same(config, first, ranks)
        yield config


def _check_same(config, first, ranks):
    """Refuses options that are not rank 0's: this rank would train another run, or wait forever."""
    for name in RUN_OPTIONS + SAME_ON_ALL_RANKS:
        mine, there = getattr(config, name), first[name]
        if mine != (tuple(there) if isinstance(mine, tuple) else there):
            raise UserError(f"--{name}: rank {ranks.rank} has {mine}, rank 0 has {there}")


@contextlib.contextmanager
def _opened(config):
    if config.resume and not config.out_name:
        config = config.replace(out_name=_newest_fitting(config))
    if not config.out_name:
        config = config.replace(out_name=_free_name(config))
    folder = config.run_dir
    print(f"run: {folder}")
    checkpoints = config.checkpoint_path
    apart = os.path.relpath(*map(os.path.realpath, (checkpoints, folder))).startswith(os.pardir)
    with _held(folder), _held(checkpoints) if apart else contextlib.nullcontext():
        path = os.path.join(folder, OPTIONS_FILE)
        if os.path.exists(path):
            config = _continued(config, read_options(path), folder)
        for newest in checkpoint.kept(checkpoints)[:1]:
            saved = checked_options(newest.state.get("options", {}), newest.prefix + ".json")
            config = _continued(config, saved, checkpoints)
        if config.seed is None:
            config = config.replace(seed=int.from_bytes(os.urandom(4), "little") >> 1)
        print(f"seed: {config.seed}")
        try:
            utils.write_text(path, config.to_json())
        except OSError as error:
            raise UserError(f"--out_dir: {error}")
        yield config


def _held(folder):
    """A folder of the run's, made and locked for this process; a context manager."""
    try:
        os.makedirs(folder, exist_ok=True)
        return utils.lock_folder(folder)
    except BlockingIOError:
        raise UserError(f"--out_name: another process is training in {folder}")
    except OSError as error:
        raise UserError(f"--out_dir: {error}")


def _newest_fitting(config):
    for name, saved in saved_runs(config):
        seeded = config if config.seed is not None else config.replace(seed=saved.get("seed"))
        if not seeded.differences(saved):
            return name
    raise UserError(f"--resume: no run in {config.out_dir} was trained with these options")


def _free_name(config):
    name = config.default_name()
    taken = 0
    while os.path.exists(os.path.join(config.out_dir, name + f"-{taken}" * bool(taken))):
        taken += 1
    return name + f"-{taken}" * bool(taken)


def _continued(config, saved, folder):
    """The config with the seed of the run that stands in `folder`, if its options agree."""
    if config.seed is None:
        config = config.replace(seed=saved.get("seed"))
    for name, there, asked in config.differences(saved):
        if name in SET_BY_DATASET:
            raise UserError(
                f"--dataset: {name} of {config.dataset} was {there} when the run in {folder} began and is {asked} now; give "
                "another --out_name"
            )
        raise UserError(
            f"--{name}: the run in {folder} has {there}, not {asked}; give that, or another --out_name"
        )
    return config
