"""Which statistics batch norm uses when images are drawn: the rows of `--batch_norm`."""

import hashlib
import os
from typing import TYPE_CHECKING, Dict, Optional

import numpy as np
import tensorflow.compat.v1 as tf

import checkpoint
import kernels
import model
import ops
import utils
from datasets import pipeline
from inference.seeds import labels_of
from system.arrays import read_arrays
from system.regular_file import read_text

if TYPE_CHECKING:
    from inference.trained_run import TrainedRun

BATCHES = 400  # that the statistics are estimated from
BATCH = 64
STREAM = 0  # followed by a number, whereas an image's latent is drawn of its seed alone
Statistics = Dict[str, np.ndarray]  # name of a moving average -> its value


class MovingAverages:
    """The moving averages of the training.

    Attributes:
        training: whether the generator computes the statistics of its own batch.
    """

    training = False

    def prepare(self, run: "TrainedRun", session: tf.Session) -> None:
        """Changes the restored generator in `session` as far as needed; here not at all."""


class OwnBatch(MovingAverages):
    """The statistics of the batch that an image is drawn in, so an image depends on its batch."""

    training = True


class Estimated(MovingAverages):
    """Statistics taken anew from many batches at the checkpoint, and filed beside it."""

    def prepare(self, run: "TrainedRun", session: tf.Session) -> None:
        """Loads them into the moving averages of the generator in `session`."""
        statistics = _read(run)
        if statistics is None:
            utils.say(f"batch norm: statistics of {BATCHES} batches at step {run.checkpoint.step}")
            statistics = _estimate(run)
            try:
                _write(run, statistics)
            except OSError as error:
                utils.warn(f"batch norm's statistics not saved, they will be taken again: {error}")
        for variable in model.moving_averages_of("generator"):
            variable.load(statistics[variable.op.name], session)


# --batch_norm -> what it does.
BATCH_NORM: Dict[str, MovingAverages] = {
    "moving": MovingAverages(),
    "batch": OwnBatch(),
    "estimated": Estimated(),
}


def _estimate(run: "TrainedRun") -> Statistics:
    """The mean statistics of `BATCHES` batches of new latents, with each class in turn."""
    networks = run.build_networks(kernels.products_of(run.config, native=run.device.native_kernels))
    with tf.Graph().as_default():
        z = tf.placeholder(tf.float32, [BATCH, run.sizes.z_dim])
        y = run.label_placeholder(BATCH)
        networks.generator(z, y, training=True)
        fetches = {variable.op.name: value for variable, value in tf.get_collection(ops.STATISTICS)}
        sums: Dict[str, np.ndarray] = {}
        with run.restored_session() as session:
            for batch in range(BATCHES):
                latents = pipeline.latents(
                    run.config.z_dist, (BATCH, run.sizes.z_dim), (STREAM, batch)
                )
                feed = {z: latents}
                if y is not None:
                    images = np.arange(batch * BATCH, (batch + 1) * BATCH)
                    feed[y] = labels_of(run.config, images % run.sizes.num_classes)
                for name, value in session.run(fetches, feed).items():
                    sums[name] = sums.get(name, 0) + value.astype(np.float64)
    return {name: (total / BATCHES).astype(np.float32) for name, total in sums.items()}


def _path(run: "TrainedRun") -> Optional[str]:
    """The file of the statistics; None where the checkpoint is another program's."""
    if not os.path.isfile(run.checkpoint.prefix + ".json"):
        return None
    name = os.path.basename(run.checkpoint.prefix) + checkpoint.STATISTICS
    return os.path.join(run.config.checkpoint_path, name)


def _checksum(run: "TrainedRun", statistics: Statistics) -> str:
    """Of the statistics and of the checkpoint that they belong to."""
    digest = hashlib.sha256(read_text(run.checkpoint.prefix + ".json").encode())
    digest.update(f"{BATCHES} batches of {BATCH}, each class in turn".encode())
    for name in sorted(statistics):
        digest.update(name.encode() + statistics[name].tobytes())
    return digest.hexdigest()


def _read(run: "TrainedRun") -> Optional[Statistics]:
    """The filed statistics; None if they are missing, damaged or of another checkpoint."""
    path = _path(run)
    names = [variable.op.name for variable in model.moving_averages_of("generator")]
    if path is None or not os.path.isfile(path):
        return None
    try:
        found = read_arrays(path)
        statistics = {name: found[name] for name in names}
        checksum = str(found["checksum"])
    except (OSError, KeyError, ValueError):
        return None
    return statistics if checksum == _checksum(run, statistics) else None


def _write(run: "TrainedRun", statistics: Statistics) -> None:
    path = _path(run)
    if path is None:
        return
    checksum = np.array(_checksum(run, statistics))
    with utils.atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez(file, checksum=checksum, **statistics)
