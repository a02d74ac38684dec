"""Packed images equal decoded ones; a packed set is complete or not used, shared and verified."""

import errno
import glob
import os
import resource
import shutil
import subprocess
import sys
import threading

import image_files
import numpy as np
import pytest
from paths import ROOT

import utils
from config import Config
from datasets import cache, packed
from datasets.registry import open_dataset
from options import UserError

COUNT = 10


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of ten images, packed two at a time; the user's cache folder is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))
    monkeypatch.setattr(packed, "CHUNK", 2)
    folder = tmp_path / "data" / "set"
    for number in range(COUNT):
        image_files.write(folder / f"{number:02d}.png", image_files.colors(9, 7, number))
    return folder


def opened(root, **options):
    options = dict(dict(train=True, output_height=6, output_width=5, epoch=5), **options)
    return open_dataset(Config(dataset="set", data_path=str(root), **options))[1]


def contents(dataset):
    return dataset.read(np.arange(dataset.num_examples))[0]


def decoded(root, **options):
    return contents(opened(root, cache="off", **options))


def packed_files(folder):
    return sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(str(folder))
        for name in names
        if name.endswith((".pixels", ".table", ".json"))
    )


def no_decoding(monkeypatch):
    monkeypatch.setattr("datasets.images.decode", lambda *unused: pytest.fail("a file was decoded"))


def test_packed_once_and_equal_to_decoded(root, monkeypatch, capsys):
    expected = decoded(root)
    assert np.array_equal(contents(opened(root)), expected)
    assert f"packing 10 images (980B) into {root}.packed/6x5x3-" in (capsys.readouterr().out)
    no_decoding(monkeypatch)
    again = opened(root)
    assert f"packed images: {root}.packed/6x5x3-" in capsys.readouterr().out
    assert np.array_equal(contents(again), expected)
    assert np.array_equal(again.read([7, 2, 7])[0], expected[[7, 2, 7]])
    # Without --train it is used, though it would not be made.
    assert np.array_equal(contents(opened(root, train=False)), expected)


def test_packed_images_have_their_labels(root):
    os.makedirs(str(root / "a"))
    os.rename(str(root / "09.png"), str(root / "a" / "09.png"))
    os.makedirs(str(root / "b"))
    for number in range(9):
        os.rename(str(root / f"{number:02d}.png"), str(root / "b" / f"{number}.png"))
    dataset = opened(root, labels="folder")
    assert packed_files(str(root) + ".packed")
    assert dataset.read([0, 1, 9])[1].tolist() == [[1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize("change", ["write", "add", "remove", "rename", "touch"])
def test_packed_anew_when_the_files_change(root, change, capsys):
    opened(root)
    before = packed_files(str(root) + ".packed")
    if change == "write":
        image_files.write(root / "03.png", image_files.colors(9, 7, 99))
    elif change == "add":
        image_files.write(root / "new.png", image_files.colors(9, 7, 98))
    elif change == "remove":
        (root / "03.png").unlink()
    elif change == "rename":
        (root / "03.png").rename(root / "z.png")
    else:
        os.utime(str(root / "03.png"), (5, 5))
    capsys.readouterr()
    assert np.array_equal(contents(opened(root)), decoded(root))
    assert "packing" in capsys.readouterr().out
    after = packed_files(str(root) + ".packed")
    assert len(after) == 3 and not set(after) & set(before)  # what can never be used again is gone


@pytest.mark.parametrize(
    "options",
    [
        dict(output_height=4),
        dict(channels=1),
        dict(crop=True, input_height=5, input_width=5),
        dict(crop=True),
        dict(input_fname_pattern="0[1-5].png"),
    ],
)
def test_each_choice_of_options_has_its_own_packed_set(root, options):
    first = contents(opened(root))
    other = contents(opened(root, **options))
    assert np.array_equal(other, decoded(root, **options))
    assert np.array_equal(contents(opened(root)), first)
    assert len(packed_files(str(root) + ".packed")) == 6


def interrupted(root, monkeypatch, after):
    """Packs until so many images are decoded, then stops as Ctrl-C does."""
    with monkeypatch.context() as patch:
        calls = []

        def decode(*arguments):
            calls.append(1)
            if len(calls) > after:
                raise KeyboardInterrupt
            return real(*arguments)

        from datasets.decode import decode as real

        patch.setattr("datasets.images.decode", decode)
        patch.setattr("os.cpu_count", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            opened(root)


def test_a_killed_packing_starts_again(root):
    """The accident: a run is killed while it packs (the time limit of a job, no memory left)."""
    code = (
        f"import os, sys; sys.path.insert(0, {ROOT!r})\n"
        "from datasets import images\nfrom config import Config\n"
        "from datasets.registry import open_dataset\n"
        "calls = []\n"
        "real = images.decode\n"
        "def decode(*given):\n"
        "    calls.append(1)\n"
        "    return real(*given) if len(calls) < 8 else os._exit(9)\n"
        "images.decode = decode\n"
        f"open_dataset(Config(dataset='set', data_path={str(root)!r}, train=True, epoch=5,"
        " output_height=6, output_width=5))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    (folder,) = glob.glob(str(root) + ".packed/*")
    assert packed_files(folder) and not glob.glob(folder + "/*.*")  # all of it is in staging
    assert np.array_equal(contents(opened(root)), decoded(root))
    assert len(packed_files(folder)) == 3


def test_a_packing_that_is_stopped_leaves_nothing_behind(root, monkeypatch):
    interrupted(root, monkeypatch, after=7)
    assert not packed_files(str(root) + ".packed")


def test_an_image_damaged_on_disk_is_decoded_from_its_file(root, capsys):
    expected = contents(opened(root))
    pixels = packed_files(str(root) + ".packed")[1]
    with open(pixels, "r+b") as file:
        file.seek(4 * 6 * 5 * 3 + 11)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    dataset = opened(root)
    for _ in range(2):
        assert np.array_equal(contents(dataset), expected)
    assert capsys.readouterr().err.count("packed image 4 is damaged") == 1


@pytest.mark.parametrize("kind", ["json", "table", "pixels"])
@pytest.mark.parametrize("damage", ["empty", "cut", "flip", "list"])
def test_a_damaged_set_is_packed_anew(root, kind, damage, capsys):
    expected = contents(opened(root))
    path = next(path for path in packed_files(str(root) + ".packed") if path.endswith(kind))
    data = bytearray(open(path, "rb").read())
    if damage == "flip":
        data[len(data) // 2] ^= 2
    with open(path, "wb") as file:
        file.write({"empty": b"", "cut": data[:-2], "flip": data, "list": b"[1, 2]"}[damage])
    capsys.readouterr()
    assert np.array_equal(contents(opened(root)), expected)
    told = capsys.readouterr()
    if (kind, damage) != ("pixels", "flip"):
        assert "packing" in told.out and "skipped" in told.err
    else:
        assert "is damaged" in told.err


# Bad files


def test_bad_files_are_counted_again_from_the_packed_set(root, capsys):
    for number in (2, 3):
        (root / f"{number:02d}.png").write_bytes(b"")
    expected = decoded(root, max_bad_files="2")
    assert np.array_equal(contents(opened(root, max_bad_files="2")), expected)
    capsys.readouterr()
    assert np.array_equal(contents(opened(root, max_bad_files="2")), expected)
    assert capsys.readouterr().err == (
        "2 unreadable when they were packed, replaced by the next: 02.png, 03.png\n"
    )
    with pytest.raises(UserError, match="^--max_bad_files: 2 of the 10 images"):
        opened(root, max_bad_files="1")


def test_too_many_bad_files_stop_the_packing(root):
    for number in (2, 3):
        (root / f"{number:02d}.png").write_bytes(b"")
    with pytest.raises(UserError, match="^--max_bad_files: 2 of the 10 images"):
        opened(root)
    assert not [path for path in packed_files(str(root) + ".packed") if path.endswith(".json")]


# Whether and where


def test_off_writes_nothing(root, capsys):
    opened(root, cache="off")
    assert not os.path.exists(str(root) + ".packed") and "pack" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, why",
    [
        (dict(epoch=1), "less than twice"),
        (dict(train_size=2), "less than twice"),
        (dict(train=False), ""),
    ],
)
def test_auto_packs_only_what_is_read_often_enough(root, options, why, capsys):
    assert np.array_equal(contents(opened(root, **options)), decoded(root))
    assert not os.path.exists(str(root) + ".packed")
    out = capsys.readouterr().out
    assert why in out and ("not packed" in out) == bool(why)


def test_auto_does_not_pack_a_huge_set(root, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cache, "MAX_AUTO_BYTES", 900)
    opened(root)
    assert "not packed: they would take 980B; --cache=DIR" in capsys.readouterr().out
    opened(root, cache=str(tmp_path / "asked"))
    assert len(packed_files(tmp_path / "asked")) == 3


def full_disk(monkeypatch, *full):
    real = shutil.disk_usage

    def disk_usage(path):
        usage = real(path)
        return usage._replace(free=7) if str(path) in [str(part) for part in full] else usage

    monkeypatch.setattr("shutil.disk_usage", disk_usage)


def test_auto_never_fills_a_disk(root, monkeypatch, capsys, tmp_path):
    full_disk(monkeypatch, root.parent)
    opened(root)
    assert len(packed_files(tmp_path / "user cache" / "dcgan")) == 3
    shutil.rmtree(str(tmp_path / "user cache"))
    full_disk(monkeypatch, root.parent, tmp_path)
    assert np.array_equal(contents(opened(root)), decoded(root))
    assert (
        f"decoded anew in each epoch, not packed: {root.parent}: 7.00B free, 980B needed"
        in capsys.readouterr().out
    )
    with pytest.raises(UserError, match="^--cache: .*7.00B free"):
        opened(root, cache=str(tmp_path / "asked"))


def test_what_packing_deletes_counts_as_free(root, monkeypatch, capsys):
    opened(root)
    folder = os.path.dirname(packed_files(root.parent)[0])
    image_files.write(root / "00.png", image_files.colors(9, 7, 99))
    monkeypatch.setattr(cache, "SPARE_BYTES", 0)
    full_disk(monkeypatch, folder)
    capsys.readouterr()
    assert np.array_equal(contents(opened(root)), decoded(root))
    assert f"images (980B) into {folder}" in capsys.readouterr().out


def test_what_cannot_be_read_back_is_not_used(root, monkeypatch, capsys):
    def refuse(*unused, **more):
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(np, "memmap", refuse)
    assert np.array_equal(contents(opened(root)), decoded(root))
    assert "what was packed cannot be read back" in capsys.readouterr().out


def test_a_set_beside_which_nothing_may_be_written(root, monkeypatch, tmp_path):
    real = os.access
    monkeypatch.setattr(
        "os.access", lambda path, mode: path != str(root.parent) and real(path, mode)
    )
    opened(root)
    assert not os.path.exists(str(root) + ".packed")
    assert len(packed_files(tmp_path / "user cache" / "dcgan" / "set.packed")) == 3


def test_a_folder_that_cannot_be_made(root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="^--cache: .*file"):
        opened(root, cache=str(tmp_path / "file" / "below"))


def test_a_disk_that_fills_up_while_packing(root, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        dataset = opened(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert np.array_equal(contents(dataset), decoded(root))
    assert "File too large" in capsys.readouterr().out
    assert not packed_files(str(root) + ".packed")  # nothing is left on the full disk


# Several processes


def test_another_process_that_packs_is_waited_for(root, monkeypatch, capsys):
    expected = contents(opened(root))
    manifest = packed_files(str(root) + ".packed")[0]
    os.rename(manifest, manifest + ".later")
    waiting, lines, results = threading.Event(), [], []
    monkeypatch.setattr(utils, "warn", lambda line: lines.append(line) or waiting.set())
    with utils.lock_folder(os.path.dirname(manifest)):
        thread = threading.Thread(target=lambda: results.append(contents(opened(root))))
        thread.start()
        assert waiting.wait(60)
        no_decoding(monkeypatch)
        os.rename(manifest + ".later", manifest)
    thread.join()
    assert np.array_equal(results[0], expected)
    assert lines == [f"waiting for another process that packs into {os.path.dirname(manifest)}"]


def test_of_several_processes_one_packs(root):
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r})\n"
        "from config import Config\nfrom datasets.registry import open_dataset\n"
        f"_, dataset = open_dataset(Config(dataset='set', data_path={str(root)!r}, train=True,"
        " epoch=5, output_height=6, output_width=5))\n"
        "print('sum', int(dataset.read(range(10))[0].sum()))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        for _ in range(3)
    ]
    told = "".join(process.communicate(timeout=300)[0] for process in running)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert told.count("packing 10 images") == 1
    assert told.count(f"sum {int(decoded(root).sum())}") == 3
