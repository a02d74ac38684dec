"""The IDX reader: what it reads, and the message for what it refuses."""

import struct

import numpy as np
import pytest
from mnist_files import FILES, idx, write_set

from config import Config
from datasets import mnist
from datasets.registry import open_dataset
from options import UserError


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "gz"])
@pytest.mark.parametrize("split, count", [("all", 24), ("train", 12), ("test", 12)])
def test_splits(tmp_path, compressed, split, count):
    images, labels = mnist.read_split(str(write_set(tmp_path, compressed=compressed)), split)
    assert images.shape == (count, 28, 28, 1) and images.dtype == np.uint8
    assert labels.tolist()[:10] == list(range(10))


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    "name, data, message",
    [
        (TRAIN_IMAGES, b"<html>403</html>", "not an IDX file"),
        (TRAIN_IMAGES, b"", "not an IDX file"),
        (TRAIN_IMAGES, idx(np.zeros((12, 32, 32))), "images of 32x32"),
        (TRAIN_IMAGES, idx(np.zeros((12, 28, 28)))[:-1], "announces"),
        (TRAIN_IMAGES, idx(np.zeros((12, 28, 28))) + b"x", "more"),
        (TRAIN_IMAGES, struct.pack(">IIII", 0x803, 2**32 - 1, 28, 28), "at most 1000000"),
        (TRAIN_IMAGES, struct.pack(">IIII", 0x803, 10**6, 28, 28), "announces"),
        (TRAIN_LABELS, idx(np.zeros(11)), "11 labels for the 12 images"),
        (TRAIN_LABELS, idx(np.zeros((12, 28, 28))), "not an IDX file of labels"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, name, data, message):
    (write_set(tmp_path) / name).write_bytes(data)
    with pytest.raises(UserError) as error:
        mnist.read_split(str(tmp_path), "train")
    assert message in str(error.value) and str(tmp_path / name) in str(error.value)


def test_a_truncated_gz_is_named(tmp_path):
    folder = write_set(tmp_path, compressed=True)
    path = folder / (TRAIN_IMAGES + ".gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=TRAIN_IMAGES):
        mnist.read_split(str(folder), "train")


def test_a_missing_file_is_named(tmp_path):
    (write_set(tmp_path) / TRAIN_LABELS).unlink()
    with pytest.raises(UserError, match=TRAIN_LABELS):
        mnist.read_split(str(tmp_path), "train")


def test_a_gz_whose_stream_is_damaged_is_named(tmp_path):
    folder = write_set(tmp_path, compressed=True)
    path = folder / (TRAIN_IMAGES + ".gz")
    data = bytearray(path.read_bytes())
    data[10:] = b"\xff" * (len(data) - 10)  # behind the header of gzip: no block type is 3
    path.write_bytes(bytes(data))
    with pytest.raises(UserError) as error:
        mnist.read_split(str(tmp_path), "train")
    assert str(path) in str(error.value)


def write_emnist(folder, labels):
    """A set as EMNIST's files are: a name of its own in front, the columns of an image first."""
    images = np.random.RandomState(0).randint(0, 256, (len(labels), 28, 28))
    for part in ("train", "test"):
        for kind, items in (("images-idx3", images.transpose(0, 2, 1)), ("labels-idx1", labels)):
            (folder / f"emnist-letters-{part}-{kind}-ubyte").write_bytes(idx(items))
    return images.astype(np.uint8)


def test_emnist_is_upright_and_its_classes_are_the_labels_that_occur(tmp_path):
    labels = np.arange(1, 27)
    images = write_emnist(tmp_path, labels)
    config, dataset = open_dataset(Config(dataset="letters", data_path=str(tmp_path)))
    assert (config.architecture, config.num_classes) == ("mnist", 26)
    assert config.class_names == tuple(str(label) for label in labels)
    pixels, one_hot = dataset.read([0, 25])
    assert np.array_equal(pixels[..., 0], images[[0, 25]])
    assert one_hot.argmax(axis=1).tolist() == [0, 25]


def test_a_folder_of_several_sets_is_refused(tmp_path):
    write_emnist(tmp_path, np.arange(3))
    for part in ("train", "test"):
        (tmp_path / f"emnist-digits-{part}-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match="several sets .*emnist-digits-train"):
        open_dataset(Config(dataset="letters", data_path=str(tmp_path)))


def test_without_labels_their_files_are_not_looked_at(tmp_path):
    write_set(tmp_path)
    for part in ("train", "test"):
        (tmp_path / FILES[part][1]).unlink()
    config, dataset = open_dataset(Config(dataset="mnist", data_path=str(tmp_path), labels="none"))
    assert config.num_classes == 0 and dataset.num_examples == 24
    assert dataset.read([0])[1].shape == (1, 0)


def test_images_where_idx_files_are_expected(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "a.png").write_bytes(b"x")
    with pytest.raises(UserError) as error:
        open_dataset(Config(dataset="mnist", data_path=str(tmp_path)))
    assert "train-images-idx3-ubyte" in str(error.value) and "but 7/a.png is" in str(error.value)
    assert f"--data_path={tmp_path} --labels=folder" in str(error.value)
