"""A packed set: decoded pictures in one file that is mapped into memory.

It is three files in a folder: KEY.pixels holds uint8 [n, H, W, C], KEY.table for each picture the index
it came from and the CRC-32 of its pixels, and KEY.json, written last and atomically, their sizes and
the table's SHA-256. KEY stands for the picture files and for all that is done to them: for another
one another set is packed and the old one deleted. Packing that was cut short goes on after the last
sound picture. A picture's checksum is compared whenever it is read.
"""

import collections
import glob
import hashlib
import json
import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Tuple

import numpy as np

import utils

CHUNK = 64  # pictures decoded at a time by one thread
_ENTRY = np.dtype([("origin", "<u4"), ("crc32", "<u4")])
_KINDS = (".pixels", ".table", ".json")


class CacheEntry(NamedTuple):
    """Where a packed set is and what it must hold.

    Attributes:
        folder: of its files.
        key: stands for the picture files and for all that is done to them.
        shape: (n, H, W, C).
    """

    folder: str
    key: str
    shape: Tuple[int, int, int, int]

    @property
    def paths(self):
        """The files of the pixels, the table and the manifest."""
        return tuple(os.path.join(self.folder, self.key + kind) for kind in _KINDS)

    @property
    def bytes_missing(self):
        """How many bytes are still to be written for the set to be whole."""
        size = int(np.prod(self.shape, dtype=np.int64)) + self.shape[0] * _ENTRY.itemsize
        return size - sum(os.path.getsize(path) for path in self.paths if os.path.exists(path))


class Packed:
    """A packed set; reads like the `datasets.images.Reader` that it came from."""

    def __init__(self, pixels, table, reader):
        """Args:
        pixels: uint8 [n, H, W, C].
        table: for each picture its origin and checksum.
        reader: of the files themselves, for pictures damaged since they were packed.
        """
        self._pixels = pixels
        self._table = table
        self._reader = reader
        self._damaged = set()

    def read(self, indices):
        """(images uint8 [n, H, W, C], indices int64 [n] of the pictures that really stand there)."""
        indices = np.asarray(indices)
        images = self._pixels[indices]
        expected = self._table[indices]
        origins = expected["origin"].astype(np.int64)
        sums = [zlib.crc32(image) for image in images]
        for row in np.flatnonzero(expected["crc32"] != np.array(sums, np.uint32)):
            self._say_damaged(indices[row])
            images[row : row + 1], origins[row : row + 1] = self._reader.read(
                indices[row : row + 1]
            )
        return images, origins

    def _say_damaged(self, index):
        if index not in self._damaged:
            self._damaged.add(index)
            utils.warn(
                f"packed picture {index} is damaged (checksum differs); its file is decoded instead"
            )


def open_packed(place, reader):
    """The `Packed` set of a place, or None if it is not there as a whole; says if it is damaged.

    Args:
        place: `CacheEntry`.
        reader: `datasets.images.Reader` of the picture files.

    Raises:
        UserError: too many pictures were unreadable when it was packed.
    """
    pixels, table, manifest = place.paths
    try:
        with open(manifest, encoding="utf-8") as file:
            promised = json.load(file)
        entries = np.fromfile(table, _ENTRY)
        if promised != _manifest(place, entries) or os.path.getsize(pixels) != promised["bytes"]:
            raise ValueError("its files are not those that were written")
        mapped = np.asarray(np.memmap(pixels, np.uint8, "r", shape=place.shape))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        utils.warn(f"{manifest}: passed over: {error}")
        return None
    reader.note_replaced(np.flatnonzero(entries["origin"] != np.arange(len(entries))).tolist())
    return Packed(mapped, entries, reader)


def _manifest(place, entries):
    return {
        "shape": list(place.shape),
        "bytes": int(np.prod(place.shape, dtype=np.int64)),
        "table_sha256": hashlib.sha256(entries.tobytes()).hexdigest(),
    }


def pack(place, reader, *, name, progress):
    """Packs a set unless another process has done so by then; returns it opened.

    Args:
        place: `CacheEntry`.
        reader: `datasets.images.Reader` of the picture files.
        name: of the set, for people.
        progress: whether to show a bar, as `utils.progress_bar` takes it.

    Raises:
        OSError: it cannot be written; nothing of it is left.
        UserError: too many pictures are unreadable, or one is smaller than the crop.
    """
    os.makedirs(place.folder, exist_ok=True)
    with _held(place.folder):
        packed = open_packed(place, reader)
        if packed:
            return packed
        start = time.time()
        print(
            f"packing {place.shape[0]:,} pictures ({size_text(place.bytes_missing)} to write) into {place.folder}",
            flush=True,
        )
        try:
            _fill(place, reader, name, progress)
        except OSError:
            _delete(path for path in place.paths if os.path.exists(path))
            raise
        print(f"packed in {time.time() - start:.1f} s", flush=True)
        return open_packed(place, reader)


def size_text(size):
    """A number of bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _held(folder):
    """The folder, locked for this process, once no other one packs into it; a context manager."""
    said = False
    while True:
        try:
            return utils.lock_folder(folder)
        except BlockingIOError:
            if not said:
                print(f"waiting for another process that packs into {folder}", flush=True)
            said = True
            time.sleep(0.5)


def _fill(place, reader, name, progress):
    pixels_path, table_path, manifest = place.paths
    _delete(
        path
        for kind in _KINDS
        for path in glob.glob(os.path.join(glob.escape(place.folder), "*" + kind))
        if path not in (pixels_path, table_path)
    )
    count = place.shape[0]
    workers = min(os.cpu_count() or 1, 8)
    with open(pixels_path, "ab") as pixels, open(table_path, "ab") as table, ThreadPoolExecutor(
        workers
    ) as pool, utils.progress_bar(progress, total=count, unit="picture", desc=name) as bar:
        done = _keep_sound(place, pixels, table)
        bar.update(done)
        chunks = [range(first, min(first + CHUNK, count)) for first in range(done, count, CHUNK)]
        for images, origins in _in_order(pool, reader.read, chunks, ahead=2 * workers):
            entries = np.empty(len(images), _ENTRY)
            entries["origin"] = origins
            entries["crc32"] = [zlib.crc32(image) for image in images]
            pixels.write(images)
            table.write(entries)
            bar.update(len(images))
        for file in (pixels, table):
            file.flush()
            os.fsync(file.fileno())
    utils.write_text(manifest, json.dumps(_manifest(place, np.fromfile(table_path, _ENTRY))) + "\n")


def _keep_sound(place, pixels, table):
    """How many pictures an earlier packing left sound; what is behind them is cut off the files."""
    size = int(np.prod(place.shape[1:], dtype=np.int64))
    entries = np.fromfile(table.name, np.uint8)
    entries = entries[: len(entries) // _ENTRY.itemsize * _ENTRY.itemsize].view(_ENTRY)[
        : place.shape[0]
    ]
    done = 0
    with open(pixels.name, "rb") as file:
        for entry in entries:
            picture = file.read(size)
            if len(picture) < size or zlib.crc32(picture) != entry["crc32"]:
                break
            done += 1
    pixels.truncate(done * size)
    table.truncate(done * _ENTRY.itemsize)
    return done


def _in_order(pool, function, items, *, ahead):
    """Yields `function(item)` for the items in their order; works on no more than `ahead` at once."""
    pending = collections.deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _delete(paths):
    for path in paths:
        os.remove(path)
