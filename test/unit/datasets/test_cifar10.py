"""CIFAR-10's binary form; labels and sizes of the other sets that are not image files."""

import image_files
import numpy as np
import pytest
from mnist_files import write_set

from config import Config
from datasets import cifar10, mnist
from datasets.names import CIFAR10_FILES
from datasets.registry import open_dataset
from options import UserError


def write_cifar10(folder, count=4):
    """Five files of `count` records each; returns (pixels [n, 32, 32, 3], labels [n])."""
    folder.mkdir(parents=True)
    pixels = np.stack([image_files.colors(32, 32, number) for number in range(5 * count)])
    labels = np.arange(5 * count) % 10
    for number, name in enumerate(CIFAR10_FILES):
        part = slice(number * count, (number + 1) * count)
        records = [
            bytes([label]) + image.transpose(2, 0, 1).tobytes()
            for label, image in zip(labels[part], pixels[part])
        ]
        (folder / name).write_bytes(b"".join(records))
    return pixels, labels


@pytest.mark.parametrize("below", ["", cifar10.NAME])
def test_cifar10(tmp_path, below):
    pixels, labels = write_cifar10(tmp_path / "cifar10" / below)
    config, dataset = open_dataset(Config(dataset="cifar10", data_path=str(tmp_path / "cifar10")))
    got, one_hot = dataset.read(np.array([7, 0, 13]))
    assert got.dtype == np.uint8 and np.array_equal(got, pixels[[7, 0, 13]])
    assert one_hot.argmax(1).tolist() == labels[[7, 0, 13]].tolist() and one_hot.sum() == 3
    assert (config.architecture, config.num_classes, dataset.num_examples) == ("image", 10, 20)
    assert (config.output_height, config.output_width, config.channels) == (32, 32, 3)


def test_cifar10_in_the_data_folder_is_verified_or_fetched(tmp_path, monkeypatch):
    write_cifar10(tmp_path / "fetched")
    asked = []
    monkeypatch.setattr(
        "download.ensure", lambda *what: asked.append(what) or str(tmp_path / "fetched")
    )
    _, dataset = open_dataset(Config(dataset="cifar10", data_dir=str(tmp_path)))
    assert asked == [("cifar10", str(tmp_path))] and dataset.num_examples == 20


@pytest.mark.parametrize(
    "damage, part",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "not a multiple of a record"),
        (lambda path: path.write_bytes(b""), "not a multiple of a record"),
        (lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]), "holds the label 10"),
        (lambda path: path.unlink(), "cifar-10-batches-bin, is expected there"),
    ],
)
def test_damaged_cifar10_is_named(tmp_path, damage, part):
    write_cifar10(tmp_path / "cifar10")
    damage(tmp_path / "cifar10" / "data_batch_3.bin")
    with pytest.raises(UserError) as error:
        open_dataset(Config(dataset="cifar10", data_path=str(tmp_path / "cifar10")))
    assert "data_batch_3.bin" in str(error.value) and part in str(error.value)


@pytest.mark.parametrize(
    "flag, value", [("output_height", 64), ("input_width", 28), ("channels", 1)]
)
def test_sizes_other_than_the_sets_own_are_refused(tmp_path, flag, value):
    write_cifar10(tmp_path / "cifar10")
    with pytest.raises(UserError, match=f"^--{flag}: cifar10 images are 32x32x3"):
        open_dataset(
            Config(dataset="cifar10", data_path=str(tmp_path / "cifar10"), **{flag: value})
        )


def test_fashion_mnist(tmp_path):
    folder = write_set(tmp_path)
    config, dataset = open_dataset(Config(dataset="fashion_mnist", data_path=str(folder)))
    assert (
        config.class_names == mnist.CLASS_NAMES["fashion_mnist"] and len(config.class_names) == 10
    )
    assert (config.architecture, dataset.name) == ("mnist", "fashion_mnist")


def test_labels_can_be_dropped():
    labelled = open_dataset(Config(dataset="synthetic_mnist"))[1]
    config, dataset = open_dataset(Config(dataset="synthetic_mnist", labels="none"))
    images, labels = dataset.read([3, 4])
    assert np.array_equal(images, labelled.read([3, 4])[0])
    assert labels.shape == (2, 0) and labels.dtype == np.float32
    assert (config.num_classes, config.class_names) == (0, ())


def test_labels_from_folders_need_a_folder():
    with pytest.raises(UserError, match="^--labels: synthetic is not a folder of images"):
        open_dataset(Config(dataset="synthetic", labels="folder"))


@pytest.mark.parametrize("name", ["synthetic", "synthetic_mnist"])
def test_synthetic_images_are_in_no_folder(name, tmp_path):
    with pytest.raises(UserError, match=f"^--data_path: {name} images"):
        open_dataset(Config(dataset=name, data_path=str(tmp_path)))
