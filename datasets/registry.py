"""The data sets: one row each. Free of TensorFlow and NumPy until a set is opened."""

import importlib
import os
from typing import NamedTuple, Optional, Sequence, Tuple

from options import UserError


class Row(NamedTuple):
    """What is known of a data set before it is opened.

    Attributes:
        opener: module and function of datasets/, called with a config, that returns a
            `datasets.dataset.Dataset` or raises `UserError`.
        size: (height, width, channels) of images that are not resized; None if they are.
        crop: side in pixels of the --crop that is taken if no size is given; None is the largest.
        is_folder: whether its images are files of a folder or values of a database.
        has_files: False if the images are made on the spot.
        download: how much `download.py` fetches; empty if it does not know the set.
    """

    opener: str
    size: Optional[Tuple[int, int, int]] = None
    crop: Optional[int] = None
    is_folder: bool = False
    has_files: bool = True
    download: str = ""


DATASETS = {
    "mnist": Row("mnist.open_mnist", size=(28, 28, 1), download="12 MB"),
    "fashion_mnist": Row("mnist.open_mnist", size=(28, 28, 1), download="31 MB"),
    "cifar10": Row("cifar10.open_cifar10", size=(32, 32, 3), download="170 MB"),
    # 108 pixels are the face in the aligned images, as the reference crops it.
    "celebA": Row("folder.open_celeba", crop=108, is_folder=True, download="1.4 GB"),
    "lsun": Row("lsun.open_lsun", is_folder=True, download="2.4 to 46 GB a category"),
    "synthetic": Row("synthetic.open_colored_discs", has_files=False),
    "synthetic_mnist": Row("synthetic.open_labelled_discs", size=(28, 28, 1), has_files=False),
}
# Any other name is a folder of images, or of files in MNIST's format.
_FOLDER = Row("folder.open_folder", is_folder=True)
_IDX_FILES = Row("mnist.open_mnist", size=(28, 28, 1))


def open_dataset(config):
    """Opens the set that `config.dataset` names; any other name is a folder of the user's.

    Returns:
        (config, dataset): the config with every size, and what the set says of itself, filled in,
        and a `datasets.dataset.Dataset` of that size.

    Raises:
        UserError: no such set, files that cannot be had or read, sizes that the set cannot give.
    """
    row = _row(config)
    _check(config, row)
    _say_default(config, row)
    _say_unused(config, row)
    if config.crop:
        config = _with_crop_size(config, row)
    module, function = row.opener.split(".")
    dataset = getattr(importlib.import_module("datasets." + module), function)(config)
    if config.labels == "none":
        dataset = dataset.without_labels()
    say_classes(dataset.class_names)
    height, width, channels = dataset.image_shape
    if not config.crop:
        _say_unused_crop_size(config, (height, width))
    filled = config.replace(
        architecture=dataset.architecture,
        num_classes=dataset.num_classes,
        class_names=dataset.class_names,
        num_examples=dataset.num_examples,
        output_height=height,
        output_width=width,
        channels=channels,
    )
    if not config.crop:
        filled = filled.replace(
            input_height=config.input_height or height, input_width=config.input_width or width
        )
    return filled, dataset


def _row(config):
    """The `Row` of the set; a folder of the user's is looked at."""
    if config.dataset in DATASETS:
        return DATASETS[config.dataset]
    mnist = importlib.import_module("datasets.mnist")
    return _IDX_FILES if mnist.has_files(config.data_path or _folder_of_name(config)) else _FOLDER


def _folder_of_name(config):
    """The folder in --data_dir that --dataset names."""
    name = config.dataset
    path = os.path.join(config.data_dir, name)
    if os.path.isdir(path) and not name.endswith("/"):
        return path
    known = ", ".join(sorted(DATASETS))
    hint = ""
    if os.path.exists(name):
        hint = f"; --data_path={name} trains on the images there"
    elif os.path.isdir(path):
        hint = f"; --dataset={name.rstrip('/')} is the folder {path}"
    raise UserError(f"--dataset: {name!r} is none of {known}, nor is there a folder {path}{hint}")


def _say_default(config, row):
    """Says which set is about to be fetched if no option names one, and which others there are."""
    import utils  # imports NumPy, so not before a set is opened

    name = config.dataset
    if "dataset" in config.given or config.data_path is not None:
        return
    if not row.download or os.path.isdir(os.path.join(config.data_dir, name)):
        return
    others = [
        f"{other} ({its.download})" if its.download else other
        for other, its in DATASETS.items()
        if other != name
    ]
    utils.say(
        f"no --dataset or --data_path was given: fetching {name}, {row.download}. "
        f"Other sets: {', '.join(others)}; --data_path=FOLDER trains on images of your own"
    )


def _say_unused(config, row):
    """Warns of options that have no effect on the set."""
    import utils  # imports NumPy, so not before a set is opened

    has_splits = row.opener == "mnist.open_mnist"
    for name, has_effect in (("mnist_split", has_splits), ("category", config.dataset == "lsun")):
        if config.asks_for(name) and not has_effect:
            utils.warn(f"--{name}: has no effect on {config.dataset}")


def _say_unused_crop_size(config, output):
    """Warns of a crop's size without --crop. The reference's commands give the output's size too."""
    import utils  # imports NumPy, so not before a set is opened

    for name, own in zip(("input_height", "input_width"), output):
        size = getattr(config, name)
        if name in config.given and size not in (None, own):
            utils.warn(f"--{name}: {size} has no effect without --crop; whole images are resized")


def say_classes(class_names: Sequence[str]) -> None:
    """Prints which number stands for which class, unless the names are the numbers."""
    import utils  # imports NumPy, so not before a set is opened
    from datasets.dataset import class_listing

    listing = class_listing(class_names)
    if listing:
        utils.say(f"classes: {listing}")


def _check(config, row):
    """Refuses what the row rules out."""
    if config.labels == "folder" and not row.is_folder:
        raise UserError(f"--labels: {config.dataset} is not a folder of images")
    if not row.has_files and config.data_path is not None:
        raise UserError(
            f"--data_path: {config.dataset} images are in no folder; another --dataset names "
            f"those in {config.data_path}"
        )
    if row.size is not None:
        _check_size(config, row.size)


def _check_size(config, size):
    """Refuses sizes other than those of the set: its images are not resized."""
    height, width, channels = size
    for name, own in (
        ("input_height", height),
        ("input_width", width),
        ("output_height", height),
        ("output_width", width),
        ("channels", channels),
    ):
        asked = getattr(config, name)
        if asked not in (None, own):
            raise UserError(
                f"--{name}: {config.dataset} images are {height}x{width}x{channels}, not {asked}"
            )


def _with_crop_size(config, row):
    """A side that is not given is the other one; without both, the crop is the set's own."""
    side = config.input_height or config.input_width or row.crop
    return config.replace(
        input_height=config.input_height or side, input_width=config.input_width or side
    )
