"""`--evaluate`: measures a run's checkpoints; the figures go into metrics.json and metrics.png."""

import contextlib
import os
from typing import Dict, Iterator

import utils
from config import RESULTS_FILE, Config
from inference import features, results
from inference.eval_data import (
    SEED,
    labeled_splits,
    open_eval_data,
    random_classes,
    seen_test_images,
)
from inference.many_samples import FOLDER, nearest_neighbor_error
from inference.metrics import measure
from inference.trained_run import TrainedRun, open_run
from options import UserError


def evaluate(config: Config) -> str:
    """Measures the last checkpoint of a run, all of them, or the discriminator's features.

    Returns:
        The path of metrics.json.

    Raises:
        UserError: there is no such run or data set, or nothing can be written.
    """
    with open_run(config) as run, _one_at_a_time(os.path.join(run.config.run_dir, FOLDER)):
        if config.evaluate == "features":
            _measure_features(run)
        else:
            _measure_checkpoints(run)
        path = os.path.join(run.config.run_dir, RESULTS_FILE)
        utils.say(f"metrics: {path}")
        results.update_page(run.config)
        return path


@contextlib.contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """Holds the folder of what is measured: two evaluations would overwrite each other's files."""
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(folder, exist_ok=True)
            waiting = f"another process evaluates this run ({folder}): waiting for it"
            stack.enter_context(utils.lock_folder(folder, waiting=waiting))
        except OSError as error:
            if not os.access(folder, os.W_OK):
                raise UserError(f"--out_dir: {error}")
            utils.warn(
                f"{folder} cannot be locked ({error.strerror}): run one evaluation at a time"
            )
        yield


def _measure_features(run: TrainedRun) -> None:
    train, test = labeled_splits(run)
    entry = features.measure(run, train, test)
    for note in seen_test_images(run, "the accuracy"):
        utils.say(note)
    results.add(run.config.run_dir, {"features": [entry]})


def _measure_checkpoints(run: TrainedRun) -> None:
    """Compares real images and those of each checkpoint with the reference, by every metric.

    Figures are written as soon as they are there, the oldest checkpoint's first.
    """
    data = open_eval_data(run)
    progress, folder = run.config.progress, run.config.run_dir
    if data.real:
        what, sample = data.real
        figures = measure(sample, data.reference, progress=progress)
        _say(what, figures)
        entry = dict(
            figures,
            samples=len(sample.features),
            network=sample.network,
            split=run.config.eval_split,
        )
        results.add(folder, {"real": [entry]})
    for checkpoint in reversed(run.checkpoints):
        entry = {
            "step": checkpoint.step,
            "seed": SEED,
            "batch_norm": run.config.batch_norm,
            "split": run.config.eval_split,
        }
        if data.in_blocks:
            classes = random_classes(run, run.config.eval_samples)
            error = nearest_neighbor_error(run.at(checkpoint), data.reference, classes)
            entry["samples"], figures = len(classes), {"one_nn_error": error}
        else:
            sample = data.generated(run.at(checkpoint))
            figures = measure(sample, data.reference, progress=progress)
            entry.update(samples=len(sample.features), network=sample.network)
        _say(f"step {checkpoint.step}, {entry['samples']} samples", figures)
        entry.update(figures)
        results.add(folder, {"checkpoints": [entry], "notes": data.notes})


def _say(what: str, figures: Dict[str, float]) -> None:
    text = ", ".join(f"{name} {value:.4g}" for name, value in sorted(figures.items()))
    utils.say(f"{what}: {text}")
