"""The 1-NN error of so many samples that they are never in memory together.

Samples are drawn and compared block by block; of each test image only the nearest sample so far is
kept. This is saved after each block, so that an evaluation that was killed goes on where it was, and
one of more samples goes on from one of fewer.
"""

import hashlib
import json
import os
import time
from typing import Iterator, Tuple, Union

import numpy as np

import utils
from inference.distances import NearestNeighbors
from inference.generator import CHUNK
from inference.metrics import ImageSample
from inference.trained_run import TrainedRun
from options import UserError
from system.arrays import read_arrays

FOLDER = "evaluation"
AT_ONCE = 200_000  # samples; up to this number, all are in memory together and all metrics measured
BLOCK = 256 * CHUNK
SECONDS_BETWEEN_LINES = 60


def nearest_neighbor_error(run: TrainedRun, reference: ImageSample, classes: np.ndarray) -> float:
    """The 1-NN error, in percent, of one sample of each class on the images of `reference`.

    It equals that of `inference.distances.nearest_neighbor_error` on all samples at once.

    Args:
        classes: integers [N]; the samples are those of the seeds 0 to N - 1.

    Raises:
        UserError: the state cannot be saved.
    """
    assert reference.images is not None and reference.labels is not None
    state = _State(run, reference.images, classes)
    neighbors, first = state.read()
    progress = _Progress(first, len(classes))
    with run.open_generator() as generator:
        for start, end in _blocks(first, len(classes)):
            block = classes[start:end]
            neighbors.add(np.concatenate(list(generator.blocks(range(start, end), block))), block)
            # An incomplete chunk is drawn again: with more samples, its batch has others in it.
            if end % CHUNK == 0:
                state.write(neighbors, end)
            progress.say(end)
    return neighbors.error(reference.labels)


def _blocks(first: int, count: int) -> Iterator[Tuple[int, int]]:
    """(start, end) of the blocks; an incomplete chunk at the end is a block of its own."""
    whole = count - count % CHUNK
    for start in range(first, whole, BLOCK):
        yield start, min(start + BLOCK, whole)
    if whole < count:
        yield whole, count


class _State:
    """The file with the nearest samples so far, in the run's folder; one for each comparison."""

    def __init__(self, run: TrainedRun, images: np.ndarray, classes: np.ndarray) -> None:
        self._images, self._classes = images, classes
        self._of = json.dumps(
            {
                "checkpoint": [run.checkpoint.step, run.checkpoint.state],
                "weights": _hash_of_weights(run),
                "z_dist": run.config.z_dist,
                "batch_norm": run.config.batch_norm,
                "images": _hash(images.tobytes()),
            },
            sort_keys=True,
        )
        name = f"neighbors_{run.checkpoint.step:08d}_{_hash(self._of.encode()):.8}.npz"
        self._path = os.path.join(run.config.run_dir, FOLDER, name)
        self._holds_more = False  # than this evaluation asks for; it is kept

    def read(self) -> Tuple[NearestNeighbors, int]:
        """(the neighbors of the images so far, the number of samples that they come from)."""
        neighbors = NearestNeighbors(self._images)
        if not os.path.isfile(self._path):
            return neighbors, 0
        try:
            found = read_arrays(self._path)
            done = int(found["done"])
            self._holds_more = str(found["of"]) == self._of and done > len(self._classes)
            if self._holds_more:
                return neighbors, 0
            drawn = _hash(self._classes[: max(done, 0)])
            if str(found["of"]) == self._of and str(found["classes"]) == drawn:
                neighbors.nearness[:] = found["nearness"]
                neighbors.labels[:] = found["labels"]
                return neighbors, done
            reason = "of another evaluation"
        except (OSError, KeyError, ValueError) as error:
            reason = f"damaged ({error})"
        utils.warn(f"{self._path}: {reason}: the comparison starts anew")
        return NearestNeighbors(self._images), 0

    def write(self, neighbors: NearestNeighbors, done: int) -> None:
        if self._holds_more:
            return
        try:
            with utils.atomic_path(self._path) as partial, open(partial, "wb") as file:
                np.savez(
                    file,
                    of=np.array(self._of),
                    classes=np.array(_hash(self._classes[:done])),
                    done=np.array(done),
                    nearness=neighbors.nearness,
                    labels=neighbors.labels,
                )
        except OSError as error:
            raise UserError(f"--out_dir: {error}")


def _hash_of_weights(run: TrainedRun) -> str:
    """Of the index, which has a checksum of each variable; other programs write no manifest."""
    with open(run.checkpoint.prefix + ".index", "rb") as file:
        return _hash(file.read())


def _hash(data: Union[bytes, np.ndarray]) -> str:
    return hashlib.sha256(data).hexdigest()


class _Progress:
    """Says how many samples were compared, and how long the others will take."""

    def __init__(self, first: int, count: int) -> None:
        self._first, self._count = first, count
        self._started = self._said = time.time()
        if first:
            utils.say(f"1-NN: resumed after {first:,} of {count:,} samples")

    def say(self, done: int) -> None:
        now = time.time()
        if now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        left = (now - self._started) / (done - self._first) * (self._count - done)
        utils.say(f"1-NN: {done:,} of {self._count:,} samples, {left / 60:.0f} min left")
