"""MNIST and sets in its format: IDX files, kept in memory as uint8 (55 MB for all 70,000).

Format: http://yann.lecun.com/exdb/mnist/ - big-endian, two zero bytes, a type byte (8: uint8), the
number of dimensions, the dimensions as 32-bit integers, the data.
"""

import glob
import gzip
import os
import struct
import zlib

import numpy as np

from datasets.dataset import ArrayDataset
from datasets.fetched import fetched_folder
from datasets.names import IMAGE_SUFFIXES
from options import UserError

NUM_CLASSES = 10
SIDE = 28
MAX_EXAMPLES = 1000000  # a damaged header may announce more than memory holds
IMAGES = "images-idx3-ubyte"
PREFIXES = {"train": ("train-",), "test": ("t10k-", "test-")}
CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
SPLITS = {"all": ("train", "test"), "train": ("train",), "test": ("test",)}


def open_mnist(config):
    """The `Dataset` of the IDX files in --data_path, or in --data_dir, fetched if need be.

    A set in MNIST's format may have other classes, as EMNIST has: they are the labels that occur.

    Args:
        config: `mnist_split` is "all" (train and test together, as the reference trains), "train"
            or "test"; with `labels` "none" the files of the labels are not looked at.

    Raises:
        UserError: a file is missing or not what its name says.
    """
    folder = config.data_path or _folder(config)
    if config.labels == "none":
        images = np.concatenate([_read_images(folder, part) for part in SPLITS[config.mnist_split]])
        labels, class_names = np.zeros(len(images), np.uint8), ()
    else:
        images, labels = read_split(folder, config.mnist_split)
        labels, class_names = _classes(labels, CLASS_NAMES.get(config.dataset))
    return ArrayDataset(
        images, labels, name=config.dataset, architecture="mnist", class_names=class_names
    )


def _folder(config):
    if config.dataset in CLASS_NAMES:
        return fetched_folder(config)
    return os.path.join(config.data_dir, config.dataset)


def read_split(folder, split):
    """(images uint8 [n, 28, 28, 1], labels uint8 [n]) of the IDX files in a folder."""
    parts = [_read_pair(folder, part) for part in SPLITS[split]]
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts))


def has_files(folder):
    """Whether a folder holds IDX files of images."""
    return bool(_images_files(folder, ""))


def _classes(labels, class_names):
    """(class of each image, names of the classes): ten, or more if a label says so."""
    if not len(labels) or labels.max() < NUM_CLASSES:
        return labels, class_names or tuple(map(str, range(NUM_CLASSES)))
    found, classes = np.unique(labels, return_inverse=True)
    return classes, tuple(map(str, found))


def _read_pair(folder, part):
    images = _read_images(folder, part)
    labels_path = _find(folder, part, "labels-idx1-ubyte")
    labels = _read_idx(labels_path, ())
    if len(images) != len(labels):
        raise UserError(
            f"{labels_path}: {len(labels)} labels for the {len(images)} images of "
            f"{_find(folder, part, IMAGES)}"
        )
    return images, labels


def _read_images(folder, part):
    """uint8 [n, 28, 28, 1], upright: EMNIST's files hold the columns of an image as its rows."""
    path = _find(folder, part, IMAGES)
    images = _read_idx(path, (SIDE, SIDE))[..., None]
    if os.path.basename(path).startswith("emnist-"):
        images = np.ascontiguousarray(images.transpose(0, 2, 1, 3))
    return images


def _find(folder, part, kind):
    """The path of a part's file: named as MNIST's, or with a set's name in front, as EMNIST's.

    Args:
        part: a key of `PREFIXES`.
        kind: such as `IMAGES`.
    """
    for prefix in PREFIXES[part]:
        for spelling in (prefix + kind, prefix + kind.replace("-idx", ".idx")):
            for suffix in ("", ".gz"):
                path = os.path.join(folder, spelling + suffix)
                if os.path.isfile(path):
                    return path
    found = [path for prefix in PREFIXES[part] for path in _files(folder, f"-{prefix}{kind}")]
    if len(found) > 1:
        names = ", ".join(map(os.path.basename, found))
        raise UserError(f"--data_path: {folder} holds several sets ({names}): keep one in it")
    if found:
        return found[0]
    name = PREFIXES[part][0] + kind
    raise UserError(f"{folder}: neither {name} nor {name}.gz is there{_instead(folder)}")


def _files(folder, ending):
    """The paths in a folder that end so, packed or not, sorted; one of a file and its .gz."""
    pattern = os.path.join(glob.escape(folder), "*" + ending)
    unpacked = glob.glob(pattern)
    packed = [path for path in glob.glob(pattern + ".gz") if path[: -len(".gz")] not in unpacked]
    return sorted(unpacked + packed)


def _images_files(folder, prefix):
    return _files(folder, prefix + IMAGES) + _files(folder, prefix + IMAGES.replace("-idx", ".idx"))


def _instead(folder):
    """What to do if a folder holds images in files of their own; "" if it does not."""
    for path, folders, files in os.walk(folder):
        folders.sort()
        images = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
        if images:
            labels = "" if path == folder else " --labels=folder"
            return (
                f", but {os.path.relpath(os.path.join(path, min(images)), folder)} is: a folder of "
                f"images trains with another name, --dataset=my_images --data_path={folder}{labels}"
            )
    return ""


def _read_idx(path, item_shape):
    """The uint8 array [n, *item_shape] of an IDX file.

    Reads at most one byte more than the header announces.
    """
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            header = file.read(8 + 4 * len(item_shape))
            count = _count(path, header, item_shape)
            size = count * int(np.prod(item_shape, dtype=np.int64))
            data = _read_up_to(file, size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}")
    if len(data) != size:
        raise UserError(
            "{}: its header announces {} bytes of data, the file holds {}".format(
                path, size, "more" if len(data) > size else len(data)
            )
        )
    return np.frombuffer(data, np.uint8).reshape((count,) + item_shape)


def _count(path, header, item_shape):
    magic = struct.pack(">BBBB", 0, 0, 8, 1 + len(item_shape))
    if len(header) != 8 + 4 * len(item_shape) or header[:4] != magic:
        raise UserError(
            "{}: not an IDX file of {}".format(path, "images" if item_shape else "labels")
        )
    shape = struct.unpack(f">{1 + len(item_shape)}I", header[4:])
    if shape[1:] != item_shape:
        raise UserError(
            "{}: images of {} instead of {}".format(
                path, "x".join(map(str, shape[1:])), "x".join(map(str, item_shape))
            )
        )
    if shape[0] > MAX_EXAMPLES:
        raise UserError(
            f"{path}: its header announces {shape[0]} items; at most {MAX_EXAMPLES} are read"
        )
    return shape[0]


def _read_up_to(file, size):
    """At most `size` bytes, read in chunks: `read(size)` would allocate them before it reads."""
    chunks = []
    while size > 0:
        chunk = file.read(min(size, 1 << 20))
        if not chunk:
            break
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
