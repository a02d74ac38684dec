"""LSUN's LMDB read in place, and folders of exported images."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import image_files
import lmdb
import numpy as np
import pytest
from paths import ROOT
from PIL import Image

from config import Config
from datasets import database_walk, lsun
from datasets.registry import open_dataset
from options import UserError
from system import opening


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))


SIZE = dict(output_height=8, output_width=6, cache="off")


def make_database(folder, count=5, broken=()):
    """An LMDB as LSUN's are: 40 hexadecimal digits to a JPEG; returns the images' bytes by key."""
    os.makedirs(str(folder))
    values = {}
    for number in range(count):
        key = f"{count - number:040x}".encode()
        values[key] = (
            b"broken"
            if number in broken
            else image_files.encoded(image_files.colors(30, 40, number), "JPEG", quality=90)
        )
    environment = lmdb.open(str(folder), map_size=1 << 24)
    with environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key, value)
    environment.close()
    return values


def golden(value):
    return np.asarray(Image.open(image_files.opened(value)).resize((6, 8), Image.BILINEAR))


def opened(**options):
    return open_dataset(Config(dataset="lsun", **dict(SIZE, **options)))


@pytest.mark.parametrize("below", ["", "bedroom_train_lmdb"])
def test_read_in_place(tmp_path, below, capsys):
    values = make_database(tmp_path / "set" / below)
    config, dataset = opened(data_path=str(tmp_path / "set"))
    pixels, labels = dataset.read([4, 0, 2])
    ordered = [golden(values[key]) for key in sorted(values)]
    assert np.array_equal(pixels, [ordered[4], ordered[0], ordered[2]]) and labels.shape == (3, 0)
    assert (dataset.num_examples, dataset.architecture, config.channels) == (5, "image", 3)
    assert "5 images in {}".format(tmp_path / "set" / below) in capsys.readouterr().out
    assert sorted(os.listdir(str(tmp_path / "set" / below)))[0] == "data.mdb"


def test_nothing_is_written_into_the_database(tmp_path):
    make_database(tmp_path / "set")
    os.remove(str(tmp_path / "set" / "lock.mdb"))
    before = (tmp_path / "set" / "data.mdb").read_bytes()
    opened(data_path=str(tmp_path / "set"))[1].read(range(5))
    assert os.listdir(str(tmp_path / "set")) == ["data.mdb"]
    assert (tmp_path / "set" / "data.mdb").read_bytes() == before


def test_a_broken_value_is_named_and_replaced(tmp_path, capsys):
    values = make_database(tmp_path / "set", broken=(3,))  # the second key in their order
    pixels, _ = opened(data_path=str(tmp_path / "set"))[1].read(range(5))
    keys = sorted(values)
    assert np.array_equal(pixels[1], golden(values[keys[2]]))
    assert f"{keys[1].decode()}: not an image" in capsys.readouterr().err


def test_packed_like_any_other_set(tmp_path, monkeypatch):
    make_database(tmp_path / "set")
    expected = opened(data_path=str(tmp_path / "set"))[1].read(range(5))[0]
    options = dict(data_path=str(tmp_path / "set"), cache=str(tmp_path / "cache"), train=True)
    assert np.array_equal(opened(**options)[1].read(range(5))[0], expected)
    monkeypatch.setattr(
        "datasets.images.decode", lambda *unused: pytest.fail("a value was decoded")
    )
    assert np.array_equal(opened(**options)[1].read(range(5))[0], expected)


def test_the_category_is_found_or_fetched(tmp_path, monkeypatch):
    asked = []
    made = tmp_path / "made"
    make_database(made)
    monkeypatch.setattr(
        "download.ensure", lambda *what, **how: asked.append((what, how)) or str(made)
    )
    assert opened(data_dir=str(tmp_path), category="tower")[1].num_examples == 5
    assert asked == [(("lsun", str(tmp_path)), {"category": "tower"})]
    make_database(tmp_path / "lsun" / "kitchen_train_lmdb", count=3)
    assert opened(data_dir=str(tmp_path), category="kitchen")[1].num_examples == 3
    assert len(asked) == 1


DAMAGE = """
import json, os, random, sys
from datasets import database
from options import UserError
sound, folder = sys.argv[1:3]
with open(os.path.join(sound, "data.mdb"), "rb") as file:
    whole = file.read()
stream = random.Random(7)
counts = {"refused": 0, "an image refused": 0, "unharmed": 0}
for number in range(40):
    broken = bytearray(whole)
    for _ in range(1 + number % 8):
        page = 4096 * stream.randrange(len(whole) // 4096)
        broken[page + stream.randrange(64 if number % 2 else 4096)] = stream.randrange(256)
    place = os.path.join(folder, str(number))
    os.mkdir(place)
    with open(os.path.join(place, "data.mdb"), "wb") as file:
        file.write(broken)
    try:
        source = database.find_values(place, name="x")
    except UserError as error:
        assert "\\n" not in str(error) and "--data_path" in str(error)
        counts["refused"] += 1
        continue
    result = "unharmed"
    for index in range(len(source.names)):
        try:
            with source.open(index) as file:
                file.read()
        except OSError:
            result = "an image refused"
    counts[result] += 1
print(json.dumps(counts))
"""


def test_damaged_databases_are_one_line(tmp_path):
    """Seen: of 180 damaged files liblmdb died of a signal on 35, and 13 ended in a traceback."""
    make_database(tmp_path / "sound", count=60)
    (tmp_path / "damaged").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, str(tmp_path / "sound"), str(tmp_path / "damaged")],
        cwd=ROOT,
        env=dict(os.environ, XDG_CACHE_HOME=str(tmp_path / "cache")),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done
    counts = json.loads(done.stdout)
    print(f"damaged databases: {counts}")
    assert counts["refused"] > 5 and sum(counts.values()) == 40, counts


def test_a_sound_database_is_walked_once(tmp_path, monkeypatch):
    make_database(tmp_path / "a")
    walks = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: walks.append(a) or run(*a, **k))
    path = str(tmp_path / "a" / "data.mdb")
    for _ in range(3):
        assert database_walk.fault(path) == ""
    assert len(walks) == 1
    os.utime(path, (0, 0))
    assert database_walk.fault(path) == ""
    assert len(walks) == 2


@pytest.mark.parametrize("where", ["data_dir", "data_path", "category"])
def test_exported_images(tmp_path, where, monkeypatch):
    monkeypatch.setattr(opening, "SAFE_WEBP", (0,))  # an old libwebp may read these
    folder = tmp_path / "lsun" / "bedroom"
    for number in range(3):
        image_files.write(folder / "a" / "b" / f"{number}.webp", image_files.colors(30, 40, number))
    given = {
        "data_dir": dict(data_dir=str(tmp_path)),
        "data_path": dict(data_path=str(folder)),
        "category": dict(data_path=str(tmp_path / "lsun")),
    }[where]
    assert opened(**given)[1].num_examples == 3


def test_a_database_under_any_name(tmp_path):
    make_database(tmp_path / "mine")
    config, dataset = open_dataset(Config(dataset="mine", data_dir=str(tmp_path), **SIZE))
    assert dataset.num_examples == 5


@pytest.mark.parametrize(
    "damage, part",
    [
        ("empty", "no images"),
        ("text", "not an LMDB"),
        ("cut", "data.mdb of"),
        ("page", "breaks off"),
    ],
)
def test_a_damaged_database_is_named(tmp_path, damage, part):
    make_database(tmp_path / "set", count=0 if damage == "empty" else 5)
    path = tmp_path / "set" / "data.mdb"
    data = path.read_bytes()
    if damage != "empty":
        path.write_bytes(
            {"text": b"text " * 5000, "cut": data[:-4096], "page": data[:4150]}[damage]
        )
    with pytest.raises(UserError) as error:
        opened(data_path=str(tmp_path / "set"))
    assert str(error.value).startswith("--data_path: ") and part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("flag, value", [("labels", "folder"), ("input_fname_pattern", "*.jpg")])
def test_options_of_folders_are_refused(tmp_path, flag, value):
    make_database(tmp_path / "set")
    with pytest.raises(UserError, match=f"^--{flag}: .* is a database"):
        opened(data_path=str(tmp_path / "set"), **{flag: value})


def test_a_key_that_is_gone_is_a_bad_file(tmp_path, capsys):
    values = make_database(tmp_path / "set")
    dataset = opened(data_path=str(tmp_path / "set"))[1]
    subprocess.check_call(
        [
            sys.executable,
            "-c",
            (
                "import lmdb, sys\nenvironment = lmdb.open(sys.argv[1], map_size=1 << 24)\n"
                "with environment.begin(write=True) as transaction:\n"
                "    transaction.delete(sys.argv[2].encode())\nenvironment.close()"
            ),
            str(tmp_path / "set"),
            sorted(values)[0].decode(),
        ]
    )
    assert np.array_equal(dataset.read([0])[0][0], golden(values[sorted(values)[1]]))
    assert "gone from the database" in capsys.readouterr().err


def test_opened_twice_in_one_process(tmp_path):
    make_database(tmp_path / "set")
    first, second = [opened(data_path=str(tmp_path / "set"))[1] for _ in range(2)]
    assert np.array_equal(first.read(range(5))[0], second.read(range(5))[0])


def test_read_from_many_threads(tmp_path):
    make_database(tmp_path / "set", count=40)
    dataset = opened(data_path=str(tmp_path / "set"))[1]
    expected = dataset.read(range(40))[0]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: dataset.read(range(40))[0], range(16)))
    assert all(np.array_equal(result, expected) for result in results)


def test_a_category_that_is_not_there(tmp_path):
    assert lsun.find_database(str(tmp_path), "bedroom") is None


def test_a_database_in_a_file_of_its_own(tmp_path):
    values = make_database(tmp_path / "set")
    expected = opened(data_path=str(tmp_path / "set"))[1].read(range(5))[0]
    os.rename(str(tmp_path / "set" / "data.mdb"), str(tmp_path / "faces.lmdb"))
    _, dataset = open_dataset(
        Config(dataset="faces", data_path=str(tmp_path / "faces.lmdb"), **SIZE)
    )
    assert dataset.num_examples == len(values)
    assert np.array_equal(dataset.read(range(5))[0], expected)


def test_databases_of_other_categories_are_listed(tmp_path):
    make_database(tmp_path / "set" / "tower_train_lmdb")
    (tmp_path / "set" / "notes").mkdir()
    with pytest.raises(UserError) as error:
        opened(data_path=str(tmp_path / "set"))
    assert "no bedroom_train_lmdb" in str(error.value)
    assert "but tower_train_lmdb: give the --category" in str(error.value)


def write_images(folder):
    for number in range(3):
        image_files.write(folder / f"{number}.jpg", image_files.colors(9, 9, number))


def test_folders_of_other_categories_are_listed(tmp_path):
    for name in ("church_outdoor", "kitchen"):
        write_images(tmp_path / "set" / name)
    (tmp_path / "set" / "notes").mkdir()
    with pytest.raises(UserError) as error:
        opened(data_path=str(tmp_path / "set"), category="bedroom")
    assert "no folder bedroom, but church_outdoor, kitchen: give the --category" in str(error.value)
    for path, category in (("set", "kitchen"), ("set/kitchen", "bedroom")):
        assert opened(data_path=str(tmp_path / path), category=category)[1].num_examples == 3


def test_a_folder_that_may_not_be_read_is_no_category(monkeypatch, tmp_path):
    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(lsun.os, "listdir", refuse)
    (tmp_path / "lost+found").mkdir()
    assert not lsun._may_be_a_category(str(tmp_path / "lost+found"))


def test_folders_of_an_export_are_no_categories(tmp_path):
    for name in ("0", "a"):
        write_images(tmp_path / "set" / name / "1")
    assert opened(data_path=str(tmp_path / "set"))[1].num_examples == 6
