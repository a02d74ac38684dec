"""A packed set: decoded images in one file that is mapped into memory.

It is three files in a folder: KEY.pixels holds uint8 [n, H, W, C]; KEY.table holds for each image
the index it came from and the CRC-32 of its pixels; KEY.json holds their sizes and the SHA-256 of
the table. They are written in a staging folder and moved to their place when they are complete, the
manifest KEY.json last. KEY identifies the image files and all that is done to them: if either
changes, the set is packed again and the old one deleted. Whenever an image is read, its checksum is
compared: a disk may lose bits.
"""

import glob
import hashlib
import json
import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Sequence, Tuple

import numpy as np

import utils
from system.regular_file import open_regular, read_text
from system.threads import in_order

CHUNK = 64  # images decoded at a time by one thread
_ENTRY = np.dtype([("origin", "<u4"), ("crc32", "<u4")])
_KINDS = (".pixels", ".table", ".json")


class CacheEntry(NamedTuple):
    """Where a packed set is and what it must hold.

    Attributes:
        folder: of its files.
        key: identifies the image files and all that is done to them.
        shape: (n, H, W, C).
    """

    folder: str
    key: str
    shape: Tuple[int, int, int, int]

    @property
    def file_names(self) -> Tuple[str, ...]:
        """The names of the files of the pixels, the table and the manifest."""
        return tuple(self.key + kind for kind in _KINDS)

    @property
    def num_bytes(self) -> int:
        """How many bytes the pixels and the table take."""
        return int(np.prod(self.shape, dtype=np.int64)) + self.shape[0] * _ENTRY.itemsize


class Packed:
    """A packed set; reads like the `datasets.images.Reader` that it was made with."""

    def __init__(self, pixels: np.ndarray, table: np.ndarray, reader):
        """Args:
        pixels: uint8 [n, H, W, C].
        table: for each image its origin and checksum.
        reader: decodes the files of images that were damaged since they were packed.
        """
        self._pixels = pixels
        self._table = table
        self._reader = reader
        self._damaged = set()

    def read(self, indices: Sequence[int]) -> Tuple[np.ndarray, np.ndarray]:
        """(images uint8 [n, H, W, C], int64 [n]: the index that each image really has)."""
        indices = np.asarray(indices)
        images = self._pixels[indices]
        expected = self._table[indices]
        origins = expected["origin"].astype(np.int64)
        sums = [zlib.crc32(image) for image in images]
        for row in np.flatnonzero(expected["crc32"] != np.array(sums, np.uint32)):
            self._warn_damaged(indices[row])
            images[row : row + 1], origins[row : row + 1] = self._reader.read(
                indices[row : row + 1]
            )
        return images, origins

    def _warn_damaged(self, index):
        if index not in self._damaged:
            self._damaged.add(index)
            utils.warn(
                f"packed image {index} is damaged (checksum differs); its file is decoded instead"
            )


def open_packed(entry: CacheEntry, reader):
    """The `Packed` set of an entry, or None if there is no sound one; warns if it is damaged.

    Args:
        entry: where to look, and what for.
        reader: `datasets.images.Reader` of the image files.

    Raises:
        UserError: too many images were unreadable when it was packed.
    """
    pixels, table, manifest = [os.path.join(entry.folder, name) for name in entry.file_names]
    try:
        promised = json.loads(read_text(manifest))
        with open_regular(table) as file:
            rows = np.fromfile(file, _ENTRY)
        if promised != _manifest(entry, rows) or os.path.getsize(pixels) != promised["bytes"]:
            raise ValueError("its files are not those that were written")
        mapped = np.asarray(np.memmap(pixels, np.uint8, "r", shape=entry.shape))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        utils.warn(f"{manifest}: skipped: {error}")
        return None
    reader.note_replaced(np.flatnonzero(rows["origin"] != np.arange(len(rows))).tolist())
    return Packed(mapped, rows, reader)


def pack(entry: CacheEntry, reader, *, name: str, progress: str):
    """Packs a set, unless another process has done so meanwhile; returns it opened.

    Args:
        entry: where to.
        reader: `datasets.images.Reader` of the image files.
        name: of the set, for people.
        progress: whether to show a bar, as `utils.progress_bar` takes it.

    Raises:
        OSError: it cannot be written, and nothing of it is left; or it cannot be read back.
        UserError: too many images are unreadable, or one is smaller than the crop.
    """
    os.makedirs(entry.folder, exist_ok=True)
    waiting = f"waiting for another process that packs into {entry.folder}"
    with utils.lock_folder(entry.folder, waiting=waiting):
        packed = open_packed(entry, reader)
        if packed:
            return packed
        start = time.monotonic()
        size = utils.format_bytes(entry.num_bytes)
        utils.say(f"packing {entry.shape[0]:,} images ({size}) into {entry.folder}")
        _delete_all(entry.folder)
        with utils.staging_folder(entry.folder) as staged:
            _write(entry, staged, reader, name=name, progress=progress)
            for file_name in entry.file_names:
                os.replace(os.path.join(staged, file_name), os.path.join(entry.folder, file_name))
        utils.say(f"packed in {time.monotonic() - start:.1f} s")
        packed = open_packed(entry, reader)
        if packed is None:
            raise OSError(0, "what was packed cannot be read back", entry.folder)
        return packed


def stale_bytes(entry: CacheEntry) -> int:
    """The size of what packing into an entry's folder deletes first."""
    return sum(os.path.getsize(path) for path in _packed_files(entry.folder))


def _packed_files(folder):
    names = [os.path.join(glob.escape(folder), "*" + kind) for kind in _KINDS]
    return [path for name in names for path in glob.glob(name)]


def _delete_all(folder):
    """Deletes what is of no use any more: other keys, damaged sets, what killed packings left."""
    utils.clear_staging(folder)
    for path in _packed_files(folder):
        os.remove(path)


def _write(entry, folder, reader, *, name, progress):
    pixels_path, table_path, manifest = [os.path.join(folder, part) for part in entry.file_names]
    count = entry.shape[0]
    workers = min(os.cpu_count() or 1, 8)
    chunks = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    with open(pixels_path, "wb") as pixels, open(table_path, "wb") as table, ThreadPoolExecutor(
        workers
    ) as pool, utils.progress_bar(progress, total=count, unit="image", desc=name) as bar:
        for images, origins in in_order(pool, reader.read, chunks, ahead=2 * workers):
            rows = np.empty(len(images), _ENTRY)
            rows["origin"] = origins
            rows["crc32"] = [zlib.crc32(image) for image in images]
            pixels.write(images)
            table.write(rows)
            bar.update(len(images))
        for file in (pixels, table):
            file.flush()
            os.fsync(file.fileno())
    utils.write_text(manifest, json.dumps(_manifest(entry, np.fromfile(table_path, _ENTRY))) + "\n")


def _manifest(entry, rows):
    return {
        "shape": list(entry.shape),
        "bytes": int(np.prod(entry.shape, dtype=np.int64)),
        "table_sha256": hashlib.sha256(rows.tobytes()).hexdigest(),
    }
