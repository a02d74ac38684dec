"""Zips of images read in place."""

import os
import struct
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import image_files
import numpy as np
import pytest

from config import Config
from datasets import archive
from datasets.registry import open_dataset
from options import UserError

NAMES = ("faces/cat/2.png", "faces/cat/10.png", "faces/dog/1.png")


def make_zip(path, names=NAMES):
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as made:
        for number, name in enumerate(names):
            made.writestr(name, image_files.encoded(image_files.colors(9, 7, number)))
        made.writestr("faces/notes.txt", "x")
        made.writestr("__MACOSX/faces/._2.png", "x")
    return str(path)


def opened(path, **options):
    return open_dataset(
        Config(dataset="faces", data_path=path, **dict({"cache": "off"}, **options))
    )


def test_the_same_images_as_from_a_folder(tmp_path, capsys):
    path = make_zip(tmp_path / "faces.zip")
    with zipfile.ZipFile(path) as made:
        made.extractall(str(tmp_path / "folder"))
    _, zipped = opened(path)
    images, _ = zipped.read(range(3))
    assert np.array_equal(images, opened(str(tmp_path / "folder"))[1].read(range(3))[0])
    assert "left out: 1 .txt" in capsys.readouterr().out


def test_the_folder_that_holds_all_is_no_class(tmp_path):
    config, dataset = opened(make_zip(tmp_path / "faces.zip"), labels="folder")
    assert config.class_names == ("cat", "dog")
    assert dataset.read(range(3))[1].argmax(axis=1).tolist() == [0, 0, 1]


def test_files_beside_the_folder_do_not_make_it_a_class(tmp_path):
    path = make_zip(tmp_path / "faces.zip")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("README.txt", "x")
    assert opened(path, labels="folder")[0].class_names == ("cat", "dog")


def test_a_member_is_not_unpacked_beyond_its_announced_size(tmp_path):
    """100 MB of zeros, announced as 100 bytes in the list at the end of the zip."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.png", bytes(100_000_000))
    packed = path.read_bytes()
    assert packed.count(struct.pack("<I", 100_000_000)) == 2
    path.write_bytes(packed.replace(struct.pack("<I", 100_000_000), struct.pack("<I", 100)))
    source = archive.find_images(str(path), name="bomb")
    tracemalloc.start()
    try:
        with pytest.raises(OSError), source.open(0) as file:
            file.read()
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_packed_beside_the_zip(tmp_path):
    path = make_zip(tmp_path / "faces.zip")
    expected = opened(path)[1].read(range(3))[0]
    _, packed = opened(path, cache="auto", train=True)
    assert os.path.isdir(path + ".packed") and np.array_equal(packed.read(range(3))[0], expected)


@pytest.mark.parametrize(
    "name, data, part",
    [
        ("faces.tar.gz", b"x", "is a tar"),
        ("faces.zip", b"PK\3\4 broken", "neither a folder nor a sound zip"),
        ("faces.rar", b"Rar!", "neither a folder nor a sound zip"),
    ],
)
def test_what_is_no_zip_is_named(tmp_path, name, data, part):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=f"--data_path: {tmp_path}/{name} is .*"):
        opened(str(tmp_path / name))
    with pytest.raises(UserError, match=part):
        opened(str(tmp_path / name))


def test_a_damaged_member_is_replaced(tmp_path, capsys):
    path = make_zip(tmp_path / "faces.zip")
    with zipfile.ZipFile(path) as made:
        start = made.getinfo(NAMES[1]).header_offset
    with open(path, "r+b") as file:
        file.seek(start + 60)
        file.write(b"\xff" * 40)
    images, _ = opened(path, max_bad_files="1")[1].read(range(3))
    assert NAMES[1] in capsys.readouterr().err and np.array_equal(images[0], images[1])


def test_members_are_read_one_at_a_time(tmp_path, monkeypatch):
    """Seen with Python 3.7: of two threads, one got what the other had sought ("Bad CRC-32")."""
    source = archive.find_images(make_zip(tmp_path / "faces.zip"), name="faces")
    inside, most, real = [], [], zipfile.ZipExtFile.read

    def read(member, *arguments):
        inside.append(member)
        time.sleep(0.01)
        most.append(len(inside))
        inside.remove(member)
        return real(member, *arguments)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
    with ThreadPoolExecutor(3) as pool:
        files = list(pool.map(source.open, [0, 1, 2] * 4))
    assert max(most) == 1 and len({file.getvalue() for file in files}) == 3


def test_a_member_of_any_size_is_not_unpacked(tmp_path, monkeypatch):
    source = archive.find_images(make_zip(tmp_path / "faces.zip"), name="faces")
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 100)
    with pytest.raises(OSError, match="larger than the 100 bytes"):
        source.open(0)
