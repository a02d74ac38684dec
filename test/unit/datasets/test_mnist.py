"""The IDX reader: what it reads, and the message for what it refuses."""

import struct

import numpy as np
import pytest
from mnist_files import idx, write_set

from datasets import mnist
from options import UserError


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "gz"])
@pytest.mark.parametrize("split, count", [("all", 24), ("train", 12), ("test", 12)])
def test_splits(tmp_path, compressed, split, count):
    images, labels = mnist.read_split(str(write_set(tmp_path, compressed=compressed)), split)
    assert images.shape == (count, 28, 28, 1) and images.dtype == np.uint8
    assert labels.tolist()[:10] == list(range(10))


TRAIN_IMAGES, TRAIN_LABELS = mnist.FILES["train"]


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
        (TRAIN_LABELS, idx(np.full(12, 10)), "label 10"),
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
