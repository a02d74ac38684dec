"""The images that `--evaluate` compares: real ones, and those that a run draws."""

import glob
import importlib
import os
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np

import utils
from datasets import mnist, pipeline
from datasets.registry import open_dataset
from inference import random_features
from inference.classifier import Split, classify, open_classifier
from inference.generator import CHUNK
from inference.many_samples import AT_ONCE, FOLDER
from inference.metrics import ImageSample
from inference.trained_run import TrainedRun
from options import UserError
from system.interpreter import install_command

# The latents of the samples are those of the seeds 0, 1, 2, ...; their labels are drawn with this.
SEED = 0
KID_SUBSET = 1000  # images; torch-fidelity's own default, which it refuses for fewer images


def open_eval_data(run: TrainedRun) -> Union["LabeledData", "ImageData"]:
    """The data that the run is measured on: its own data set."""
    labeled = run.config.dataset in mnist.CLASS_NAMES and run.sizes.num_classes <= mnist.NUM_CLASSES
    return LabeledData(run) if labeled else ImageData(run)


def labeled_splits(run: TrainedRun) -> Tuple[Split, Split]:
    """The images and labels for training and for testing of MNIST or Fashion-MNIST.

    Raises:
        UserError: the run's data set is another one.
    """
    if run.config.dataset not in mnist.CLASS_NAMES:
        names = " or ".join(mnist.CLASS_NAMES)
        raise UserError(f"--evaluate: features needs {names}, not {run.config.dataset}")
    train = _read_split(run, "train")
    return SPLITS[run.config.eval_split](run, train)


def _read_split(run: TrainedRun, split: str) -> Split:
    dataset = mnist.open_mnist(run.config.replace(mnist_split=split, labels="auto"))
    images, one_hot = dataset.read(np.arange(dataset.num_examples))
    return images, one_hot.argmax(1)


def _test_split(run: TrainedRun, train: Split) -> Tuple[Split, Split]:
    return train, _read_split(run, "test")


def _held_out_split(run: TrainedRun, train: Split) -> Tuple[Split, Split]:
    images, labels = train
    config = run.config
    used, held_out = pipeline.used_and_held_out(
        len(images), train_size=config.train_size, seed=config.seed
    )
    if config.mnist_split != "train" or len(held_out) == 0:
        raise UserError(
            "--eval_split: held_out needs a run trained with --mnist_split=train and a "
            f"--train_size below {len(images)}"
        )
    return (images[used], labels[used]), (images[held_out], labels[held_out])


# --eval_split -> (run, training images and labels) -> (those for training, those to compare with).
SPLITS = {"test": _test_split, "held_out": _held_out_split}


def seen_test_images(run: TrainedRun, figure: str) -> List[str]:
    """What has to be known of a figure taken on the test images: no line or one."""
    split = run.config.mnist_split
    if split == "train":
        return []
    return [
        f"the run was trained on the test images too (--mnist_split={split}); {figure} is not "
        "that of unseen images"
    ]


class LabeledData:
    """MNIST or Fashion-MNIST: labels, a test split and a classifier.

    Attributes:
        reference: the test images, which all others are compared with.
        real: (what they are, real images to measure the same way).
        notes: lines about the figures.
        in_blocks: whether the samples are too many to be in memory together.
    """

    def __init__(self, run: TrainedRun) -> None:
        self.in_blocks = run.config.eval_samples > AT_ONCE
        if self.in_blocks and run.sizes.num_classes == 0:
            raise UserError(
                f"--eval_samples: beyond {AT_ONCE:,} only the 1-NN error is measured, and the run "
                "has no classes"
            )
        train, test = labeled_splits(run)
        if max(train[1].max(), test[1].max()) >= mnist.NUM_CLASSES:
            raise UserError(
                f"--evaluate: the classifier for {run.config.dataset} knows ten classes, and these "
                "images have more; train them under another --dataset name"
            )
        self._session_config = run.device.measuring_config
        learned = train, test
        if run.config.eval_split != "test":  # all runs are measured by the same classifier
            learned = _test_split(run, _read_split(run, "train"))
        self._classifier = open_classifier(
            run.config.dataset,
            train=learned[0],
            test=learned[1],
            session_config=self._session_config,
            progress=run.config.progress,
        )
        digest, error = self._classifier.digest[:12], self._classifier.test_error
        self.notes = [
            f"classifier {digest}: {error:.2f} % wrong on the test images; what is measured with "
            "it compares runs measured with the same one",
            *seen_test_images(run, "the 1-NN error"),
        ]
        for note in self.notes:
            utils.say(note)
        self.reference = self._sample(*test)
        count = min(run.config.eval_samples, len(train[0]))
        self.real: Optional[Tuple[str, ImageSample]] = (
            f"the first {count} real images for training",
            self._sample(train[0][:count], train[1][:count]),
        )

    def generated(self, run: TrainedRun) -> ImageSample:
        """What the run draws."""
        count = run.config.eval_samples
        blocks = draw(run, random_classes(run, count))
        images = np.concatenate(list(blocks))
        return self._sample(images, random_classes(run, count) if run.sizes.num_classes else None)

    def _sample(self, images: np.ndarray, labels: Optional[np.ndarray]) -> ImageSample:
        predicted, features = classify(
            self._classifier.weights, images, session_config=self._session_config
        )
        network = f"classifier {self._classifier.digest[:12]}"
        return ImageSample(features, network, images, labels, predicted)


def random_classes(run: TrainedRun, count: int) -> np.ndarray:
    """The classes of the samples, uniform: int64 [count]; all 0 for a run without classes."""
    return np.random.RandomState(SEED).randint(0, max(run.sizes.num_classes, 1), count)


def draw(run: TrainedRun, classes: np.ndarray) -> Iterator[np.ndarray]:
    """Draws an image of each class, of the seeds 0, 1, 2, ...: yields uint8 [n, H, W, C]."""
    with run.open_generator() as generator:
        what = f"samples of step {run.checkpoint.step}"
        yield from generator.draw(range(len(classes)), classes, what=what)


class ImageData:
    """A set of images: features of a fixed network, and PNG files for the field's own tools.

    Attributes:
        reference: `--eval_samples` images chosen at random, or all if there are fewer.
        real: (what they are, as many other images of the set), or None if there are fewer.
        notes: lines about the figures.
        in_blocks: False; there are never more samples than real images.
    """

    in_blocks = False

    def __init__(self, run: TrainedRun) -> None:
        if run.config.eval_split != "test":
            raise UserError(
                f"--eval_split: {run.config.eval_split} needs {' or '.join(mnist.CLASS_NAMES)}, "
                f"not {run.config.dataset}"
            )
        self._run = run
        _, self._dataset = open_dataset(run.config.replace(cache="off"))
        self._count = min(run.config.eval_samples, self._dataset.num_examples)
        if self._count < 2:
            raise UserError(
                f"--evaluate: {run.config.dataset} holds one image; it takes at least two"
            )
        # Not in the order of the set: a folder of classes has one class after the other.
        self._order = np.random.RandomState(SEED).permutation(self._dataset.num_examples)
        self._folder = os.path.join(run.config.run_dir, FOLDER)
        self.notes = [
            f"frechet and kid: on {random_features.FEATURES} features of a fixed network with "
            "random weights; they compare runs on the same images of the same size, and are not "
            "FID and KID"
        ]
        utils.say(self.notes[0])
        self.reference = self._sample(self._real_blocks(0), os.path.join(self._folder, "real"))
        self.real: Optional[Tuple[str, ImageSample]] = None
        if self._dataset.num_examples >= 2 * self._count:
            others = self._sample(self._real_blocks(self._count), None)
            self.real = f"{self._count} other real images", others

    def generated(self, run: TrainedRun) -> ImageSample:
        """What the run draws, also measured by torch-fidelity if it is installed."""
        folder = os.path.join(self._folder, f"generated_{run.checkpoint.step:08d}")
        classes = np.arange(self._count) % max(run.sizes.num_classes, 1)
        sample = self._sample(draw(run, classes), folder)
        utils.say(f"images: {self._count} in {self.reference.folder}, as many in {folder}")
        figures, note = _fidelity(folder, str(self.reference.folder), count=self._count)
        if note not in self.notes:
            self.notes.append(note)
        utils.say(note)
        return sample._replace(fidelity=figures or None)

    def _real_blocks(self, first: int) -> Iterator[np.ndarray]:
        chosen = np.sort(self._order[first : first + self._count])
        for start in range(0, self._count, CHUNK):
            yield self._dataset.read(chosen[start : start + CHUNK])[0]

    def _sample(self, blocks: Iterable[np.ndarray], folder: Optional[str]) -> ImageSample:
        if folder:
            blocks = _written(blocks, folder)
        sizes = self._run.sizes
        features = random_features.extract(
            blocks,
            shape=(sizes.height, sizes.width, sizes.channels),
            session_config=self._run.device.measuring_config,
        )
        return ImageSample(features, random_features.NAME, folder=folder)


def _written(blocks: Iterable[np.ndarray], folder: str) -> Iterator[np.ndarray]:
    """Yields the blocks once their images are files: 00000000.png, 00000001.png, ...

    Those of an earlier evaluation are deleted first.
    """
    number = 0
    try:
        os.makedirs(folder, exist_ok=True)
        for path in glob.glob(os.path.join(glob.escape(folder), "[0-9]" * 8 + ".png")):
            os.remove(path)
        for block in blocks:
            for image in block:
                utils.pillow_image(image).save(os.path.join(folder, f"{number:08d}.png"))
                number += 1
            yield block
    except OSError as error:
        raise UserError(f"--out_dir: {error}")


def _fidelity(generated: str, real: str, *, count: int) -> Tuple[Dict[str, float], str]:
    """(figures by the library's names, a line about them) of torch-fidelity, if it is installed."""
    try:
        library: Any = importlib.import_module("torch_fidelity")
        found = library.calculate_metrics(
            input1=generated,
            input2=real,
            fid=True,
            kid=True,
            isc=True,
            cuda=False,
            verbose=False,
            kid_subset_size=min(KID_SUBSET, count),
        )
    except Exception as error:  # an optional library, which may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        return {}, (
            f"FID, KID and IS not measured ({reason:.200}); with a network: "
            f"{install_command('torch-fidelity')}; "
            f"fidelity --fid --kid --isc --input1 {generated} --input2 {real}"
        )
    version = getattr(library, "__version__", "")
    return found, f"FID, KID and IS by torch-fidelity {version}"
