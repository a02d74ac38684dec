"""`--evaluate`: a run's checkpoints as numbers, in its metrics.json and metrics.png."""

import glob
import importlib
import json
import os

import numpy as np

import checkpoint
import utils
from config import RESULTS_FILE
from datasets import mnist
from datasets.registry import open_dataset
from inference import classifier, features, metrics, sample
from inference.trained_run import find_run, opened_generator
from options import UserError

CURVE_FILE = "metrics.png"
FOLDER = "evaluation"
LABEL_SEED = 0  # of the samples' labels; their latents are those of the seeds 0, 1, 2, ...
# What the curve shows: the name in metrics.json, that in the legend, and what is drawn of a figure.
CURVES = (
    ("one_nn_error", "1-NN error (%)", float),
    ("frechet", "Frechet distance", float),
    ("kid", "KID", float),
    ("label_agreement", "wrong labels (%)", lambda figure: 100 - figure),
)


def evaluate(config):
    """Measures the last checkpoint of a run, all of them, or the discriminator's features.

    Returns:
        The path of metrics.json.

    Raises:
        UserError: there is no such run or data set, or nothing can be written.
    """
    run = find_run(config)
    if config.evaluate == "features":
        found = {"features": features.measure(run, *_labelled(run))}
        for note in _note_of_split(run, "the accuracy"):
            print(note)
    elif run.config.dataset in mnist.CLASS_NAMES:
        found = _measure_mnist(run, _checkpoints(run, config.evaluate))
    else:
        found = _compare_folders(run, _checkpoints(run, config.evaluate))
    try:
        return _file(run.config.run_dir, found)
    except OSError as error:
        raise UserError(f"--out_dir: {error}")


def _checkpoints(run, which):
    """The run's checkpoints to measure, oldest first; damaged ones are skipped with a warning."""
    if which == "last":
        return [run.checkpoint]
    found = list(checkpoint.sound(run.config.checkpoint_path, warn=utils.warn))
    return found[::-1] or [run.checkpoint]


def _labelled(run):
    """((images, labels) for training, (images, labels) for testing) of MNIST or a set in its format."""
    if run.config.dataset not in mnist.CLASS_NAMES:
        raise UserError(
            "--evaluate: features needs {}, not {}".format(
                " or ".join(mnist.CLASS_NAMES), run.config.dataset
            )
        )
    return _split(run, "train"), _split(run, "test")


def _split(run, split):
    _, dataset = open_dataset(run.config.replace(mnist_split=split, labels="auto"))
    images, one_hot = dataset.read(np.arange(dataset.num_examples))
    return images, one_hot.argmax(1)


def _measure_mnist(run, checkpoints):
    """What metrics.json holds of a run on MNIST or a set in its format."""
    progress = run.config.progress
    train, test = _labelled(run)
    judge = classifier.open_classifier(
        run.config.dataset,
        train=train,
        test=test,
        session_config=run.device.session_config,
        progress=progress,
    )
    notes = [
        f"classifier {judge.digest[:12]}: {judge.test_error:.2f} % wrong on the test pictures; what is measured with it compares "
        "runs measured with the same one"
    ]
    notes += _note_of_split(run, "the 1-NN error")
    for note in notes:
        print(note)
    count = run.config.eval_samples
    measure = _Measure(test, judge, run.device.session_config, progress)
    real = measure(train[0][:count], train[1][:count], labelled=True)
    _say(f"the first {min(count, len(train[0]))} real pictures for training", real)
    entries = []
    for each in checkpoints:
        images, labels = _samples(run._replace(checkpoint=each))
        entries.append(
            dict(measure(images, labels, labelled=run.config.num_classes > 0), step=each.step)
        )
        _say(f"step {each.step}, {count} samples", entries[-1])
    return {"samples": count, "real": real, "checkpoints": entries, "notes": notes}


def _note_of_split(run, figure):
    """What is to be said of a figure taken on the test pictures: [] or [a line]."""
    if run.config.mnist_split == "train":
        return []
    return [
        f"the run was trained on the test pictures too (--mnist_split={run.config.mnist_split}); {figure} is not that of unseen "
        "pictures"
    ]


class _Measure:
    """Measures pictures against a set's test pictures."""

    def __init__(self, test, judge, session_config, progress):
        self._test = test
        self._judge = judge
        self._session_config = session_config
        self._progress = progress
        _, self._features = self._classify(test[0])

    def __call__(self, images, labels, *, labelled):
        """name -> figure for uint8 images [N, 28, 28, 1]; labels [N] count if they are `labelled`."""
        classes, found = self._classify(images)
        figures = {
            "frechet": metrics.frechet_distance(found, self._features),
            "kid": metrics.kernel_distance(found, self._features),
        }
        if labelled:
            figures["one_nn_error"] = metrics.nearest_neighbour_error(
                images, labels, *self._test, progress=self._progress
            )
            figures["label_agreement"] = 100.0 * float((classes == labels).mean())
        return figures

    def _classify(self, images):
        return classifier.classify(self._judge.weights, images, session_config=self._session_config)


def _say(what, figures):
    print(
        "{}: {}".format(
            what,
            ", ".join(
                f"{name} {value:.4g}" for name, value in sorted(figures.items()) if name != "step"
            ),
        ),
        flush=True,
    )


def _samples(run):
    """(images uint8 [N, H, W, C], labels [N]) of the seeds 0 to N - 1, the labels uniform."""
    count = run.config.eval_samples
    labels = np.random.RandomState(LABEL_SEED).randint(0, max(run.config.num_classes, 1), count)
    with opened_generator(run) as (make, networks):
        blocks = sample.pixel_blocks(
            make,
            networks,
            run.config,
            range(count),
            labels,
            what=f"samples of step {run.checkpoint.step}",
        )
        return np.concatenate(list(blocks)), labels


def _compare_folders(run, checkpoints):
    """Writes as many real as generated pictures, for the field's own tools; calls one that is there."""
    _, dataset = open_dataset(run.config.replace(cache="off"))
    count = min(run.config.eval_samples, dataset.num_examples)
    folder = os.path.join(run.config.run_dir, FOLDER)
    real = os.path.join(folder, "real")
    _write_pictures(
        real,
        (
            dataset.read(np.arange(start, min(start + 64, count)))[0]
            for start in range(0, count, 64)
        ),
    )
    entries, notes = [], []
    for each in checkpoints:
        generated = os.path.join(folder, f"generated_{each.step:08d}")
        with opened_generator(run._replace(checkpoint=each)) as (make, networks):
            classes = np.arange(count) % max(run.config.num_classes, 1)
            _write_pictures(
                generated, sample.pixel_blocks(make, networks, run.config, range(count), classes)
            )
        print(f"pictures: {count} of {real} and of {generated}")
        figures, note = _fidelity(generated, real)
        entries.append(dict(figures, step=each.step))
        if note not in notes:
            print(note)
            notes.append(note)
    return {"samples": count, "real": {}, "checkpoints": entries, "notes": notes}


def _write_pictures(folder, blocks):
    """Files pictures as 00000000.png, 00000001.png, ... in place of those of an earlier evaluation."""
    try:
        os.makedirs(folder, exist_ok=True)
        for path in glob.glob(os.path.join(glob.escape(folder), "[0-9]" * 8 + ".png")):
            os.remove(path)
        for number, image in enumerate(image for block in blocks for image in block):
            utils.pillow_image(image).save(os.path.join(folder, f"{number:08d}.png"))
    except OSError as error:
        raise UserError(f"--out_dir: {error}")


def _fidelity(generated, real):
    """(figures, a line on them) of torch-fidelity, if it and its weights are there."""
    try:
        tool = importlib.import_module("torch_fidelity")
        found = tool.calculate_metrics(
            input1=generated, input2=real, fid=True, kid=True, isc=True, cuda=False, verbose=False
        )
    except (ImportError, OSError, RuntimeError) as error:
        return {}, (
            f"FID, KID and IS not measured ({str(error).splitlines()[0]}); with a network: pip install torch-fidelity; "
            f"fidelity --fid --kid --isc --input1 {generated} --input2 {real}"
        )
    return (
        {name: float(value) for name, value in found.items()},
        "FID, KID and IS by torch-fidelity {}".format(getattr(tool, "__version__", "")),
    )


def _file(folder, found):
    """Writes metrics.json (what was there and was not measured anew stays) and the curve."""
    path = os.path.join(folder, RESULTS_FILE)
    found = dict(_read_results(path), **found)
    utils.write_text(path, json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"metrics: {path}")
    entries = found.get("checkpoints", [])
    curves = {
        label: zip(*[(entry["step"], drawn(entry[name])) for entry in entries])
        for name, label, drawn in CURVES
        if entries and all(name in entry for entry in entries)
    }
    if curves:
        utils.plot_curves(
            os.path.join(folder, CURVE_FILE),
            curves,
            xlabel="step",
            ylabel="smaller is better",
            title=os.path.basename(folder),
        )
    return path


def _read_results(path):
    """What an earlier evaluation found; empty where there was none."""
    if not os.path.exists(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (ValueError, TypeError, RecursionError) as error:
        utils.warn(f"{path}: cannot be read, written anew: {error}")
        return {}
