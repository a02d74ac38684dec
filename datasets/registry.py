"""The one list of data sets: names to ways of opening them."""

import os

import numpy as np

import download
from datasets import cifar10, folder, images, lsun, mnist, synthetic
from options import UserError

CELEBA_CROP = 108  # pixels; the face in the aligned pictures, as the reference cuts it out


def open_dataset(config):
    """Opens the set that `config.dataset` names; any other name is a folder of pictures.

    Returns:
        (config, dataset): the config with every size, and what the set says of itself, filled in,
        and a `Dataset` of that size.

    Raises:
        UserError: no such set, files that cannot be had or read, sizes that the set cannot give.
    """
    if config.crop:
        config = _with_crop_size(config)
    opener = OPENERS.get(config.dataset, _open_folder)
    if config.labels == "folder" and opener not in (_open_folder, _open_celeba, _open_lsun):
        raise UserError(f"--labels: {config.dataset} is no folder of pictures")
    dataset = opener(config)
    if config.labels == "none":
        dataset = _unlabelled(dataset)
    height, width, channels = dataset.image_shape
    filled = config.replace(
        architecture=dataset.architecture,
        num_classes=dataset.num_classes,
        class_names=tuple(dataset.class_names),
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


def _with_crop_size(config):
    """A side that was not given follows the other; without both the crop is as large as it can be."""
    side = (
        config.input_height
        or config.input_width
        or (CELEBA_CROP if config.dataset == "celebA" else None)
    )
    return config.replace(
        input_height=config.input_height or side, input_width=config.input_width or side
    )


def _unlabelled(dataset):
    def read(indices):
        images, labels = dataset.read(indices)
        return images, np.zeros_like(labels[:, :0])

    return dataset._replace(num_classes=0, class_names=(), read=read)


def _open_folder(config):
    path = config.data_path or os.path.join(config.data_dir, config.dataset)
    if not config.data_path and not os.path.isdir(path):
        raise UserError(
            "--dataset: {!r} is none of {}, nor is there a folder {}".format(
                config.dataset, ", ".join(sorted(OPENERS)), path
            )
        )
    return images.open_pictures(_source(path, config), config)


def _source(path, config):
    """The pictures of a folder, or of the LMDB in it."""
    if not lsun.is_database(path):
        return folder.find_pictures(
            path,
            name=config.dataset,
            pattern=config.input_fname_pattern,
            labelled=config.labels == "folder",
        )
    if config.labels == "folder" or config.input_fname_pattern is not None:
        raise UserError(
            "--{}: {} is a database, not a folder of pictures".format(
                "labels" if config.labels == "folder" else "input_fname_pattern", path
            )
        )
    return lsun.find_values(path, name=config.dataset)


def _open_celeba(config):
    if config.data_path is None:
        config = config.replace(data_path=_fetched("celebA", config))
    return _open_folder(config)


def _open_lsun(config):
    """A category of LSUN: as a database or as exported pictures, here or fetched."""
    root = config.data_path or os.path.join(config.data_dir, "lsun")
    exported = os.path.join(root, config.category)
    path = lsun.find_database(root, config.category) or (
        exported if os.path.isdir(exported) else config.data_path
    )
    return _open_folder(
        config.replace(data_path=path or _fetched("lsun", config, category=config.category))
    )


def _fetched(name, config, **options):
    try:
        return download.ensure(name, config.data_dir, **options)
    except download.DownloadError as error:
        raise UserError(str(error))


def _open_mnist(config):
    _fixed_size(config, (28, 28, 1))
    return mnist.open_mnist(
        folder=config.data_path or _fetched(config.dataset, config),
        split=config.mnist_split,
        name=config.dataset,
    )


def _open_cifar10(config):
    _fixed_size(config, (32, 32, 3))
    return cifar10.open_cifar10(config.data_path or os.path.join(config.data_dir, "cifar10"))


def _open_synthetic(config):
    _refuse_path(config)
    height = config.output_height or 32
    return synthetic.coloured_discs(
        height=height, width=config.output_width or height, channels=config.channels or 3
    )


def _open_synthetic_mnist(config):
    _refuse_path(config)
    _fixed_size(config, (28, 28, 1))
    return synthetic.labelled_discs()


def _refuse_path(config):
    if config.data_path is not None:
        raise UserError(
            f"--data_path: {config.dataset} pictures are in no folder; another --dataset names those in {config.data_path}"
        )


def _fixed_size(config, shape):
    """Refuses sizes other than (height, width, channels), the set's own, which are not changed."""
    height, width, channels = shape
    for name, size in (
        ("input_height", height),
        ("input_width", width),
        ("output_height", height),
        ("output_width", width),
        ("channels", channels),
    ):
        asked = getattr(config, name)
        if asked not in (None, size):
            raise UserError(
                f"--{name}: {config.dataset} pictures are {height}x{width}x{channels}, not {asked}"
            )


OPENERS = {
    "cifar10": _open_cifar10,
    "fashion_mnist": _open_mnist,
    "celebA": _open_celeba,
    "lsun": _open_lsun,
    "mnist": _open_mnist,
    "synthetic": _open_synthetic,
    "synthetic_mnist": _open_synthetic_mnist,
}
