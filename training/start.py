"""Before a run: its folder, its seed, and whether it goes on with one that stands there."""

import contextlib
import os

import checkpoint
import config as options
import utils
from config import UserError
from datasets import pipeline
from devices.ranks import announce


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
    pipeline.steps_per_epoch(dataset, batch_size=config.batch_size, ranks_size=ranks.size,
                             train_size=config.train_size)
    with _opened(config) if ranks.rank == 0 else contextlib.nullcontext(config) as config:
        first = announce(ranks, config._asdict(), session_config=session_config)
        config = config._replace(out_name=first["out_name"], seed=first["seed"])
        _check_same(config, first, ranks)
        yield config


def _check_same(config, first, ranks):
    """Refuses options that are not rank 0's: this rank would train another run, or wait forever."""
    for name in options.RUN_FIELDS + options.IN_STEP:
        mine, there = getattr(config, name), first[name]
        if mine != (tuple(there) if isinstance(mine, tuple) else there):
            raise UserError("--{}: rank {} has {}, rank 0 has {}".format(name, ranks.rank, mine, there))


@contextlib.contextmanager
def _opened(config):
    if config.resume and not config.out_name:
        config = config._replace(out_name=_newest_fitting(config))
    if not config.out_name:
        config = config._replace(out_name=_free_name(config))
    folder = options.run_dir(config)
    print("run: {}".format(folder))
    checkpoints = options.checkpoint_dir(config)
    apart = os.path.relpath(*map(os.path.realpath, (checkpoints, folder))).startswith(os.pardir)
    with _held(folder), _held(checkpoints) if apart else contextlib.nullcontext():
        path = os.path.join(folder, options.OPTIONS_FILE)
        if os.path.exists(path):
            config = _continued(config, options.read_options(path), folder)
        for newest in checkpoint.kept(checkpoints)[:1]:
            saved = options.checked_options(newest.state.get("options", {}), newest.prefix + ".json")
            config = _continued(config, saved, checkpoints)
        if config.seed is None:
            config = config._replace(seed=int.from_bytes(os.urandom(4), "little") >> 1)
        print("seed: {}".format(config.seed))
        try:
            utils.write_text(path, options.to_json(config))
        except OSError as error:
            raise UserError("--out_dir: {}".format(error))
        yield config


def _held(folder):
    """A folder of the run's, made and locked for this process; a context manager."""
    try:
        os.makedirs(folder, exist_ok=True)
        return utils.lock_folder(folder)
    except BlockingIOError:
        raise UserError("--out_name: another process is training in {}".format(folder))
    except OSError as error:
        raise UserError("--out_dir: {}".format(error))


def _newest_fitting(config):
    for name, saved in options.saved_runs(config):
        seeded = config if config.seed is not None else config._replace(seed=saved.get("seed"))
        if not options.differences(seeded, saved):
            return name
    raise UserError("--resume: no run in {} was trained with these options".format(config.out_dir))


def _free_name(config):
    name = options.run_name(config)
    taken = 0
    while os.path.exists(os.path.join(config.out_dir, name + "-{}".format(taken) * bool(taken))):
        taken += 1
    return name + "-{}".format(taken) * bool(taken)


def _continued(config, saved, folder):
    """The config with the seed of the run that stands in `folder`, if its options agree."""
    if config.seed is None:
        config = config._replace(seed=saved.get("seed"))
    for name, there, asked in options.differences(config, saved):
        if name in options.SAID_BY_DATA:
            raise UserError("--dataset: {} of {} was {} when the run in {} began and is {} now; give "
                            "another --out_name".format(
                                name, config.dataset, there, folder, asked))
        raise UserError("--{}: the run in {} has {}, not {}; give that, or another --out_name".format(
            name, folder, there, asked))
    return config
