"""Any set of encoded pictures - files of a folder, values of a database - as a `Dataset`.

Every picture is brought to one size and one number of channels (`datasets.survey` says to which,
`datasets.decode` does it). One that cannot be read is named, counted and replaced by the next, which
depends on nothing but its index: a resumed run sees the same.
"""

import threading
from typing import Callable, NamedTuple, Sequence, Tuple

import numpy as np

import utils
from datasets import cache, survey
from datasets.decode import TooSmall, Unreadable, decode
from datasets.pipeline import Dataset
from options import UserError


class Source(NamedTuple):
    """Encoded pictures by index.

    Attributes:
        name: of the set, for people.
        place: the folder or database they are in.
        names: what messages call each of them.
        open: index -> a binary file with one picture; raises OSError. Called from several threads.
        stamp: () -> text that changes when the pictures do.
        classes: int [n]; all 0 where there are no labels.
        class_names: the names of the classes, none where there are no labels.
    """

    name: str
    place: str
    names: Sequence[str]
    open: Callable
    stamp: Callable
    classes: np.ndarray
    class_names: Tuple[str, ...] = ()


def open_pictures(source, config):
    """The `Dataset` of a source, framed as the config says; tells in a line what was found.

    Raises:
        UserError: no picture can be read, or one is smaller than the crop.
    """
    headers = survey.look(source)
    framing = survey.framing_of(config, source, headers)
    print(survey.description(source, headers, framing), flush=True)
    reader = Reader(source, framing, max_bad_files=config.max_bad_files)
    pictures = cache.cached(reader, config=config, source=source, framing=framing)
    num_classes = len(source.class_names)
    one_hot = np.eye(max(num_classes, 1), num_classes, dtype=np.float32)

    def read(indices):
        images, origins = pictures.read(indices)
        return images, one_hot[source.classes[origins]]

    return Dataset(
        name=source.name,
        architecture="image",
        image_shape=(framing.height, framing.width, framing.channels),
        num_classes=num_classes,
        num_examples=len(source.names),
        read=read,
        class_names=source.class_names,
    )


class Reader:
    """Decoded pictures by index, with unreadable ones replaced."""

    def __init__(self, source, framing, *, max_bad_files):
        """Args:
            source: `Source`.
            framing: `datasets.decode.Framing`.
            max_bad_files: how many may be unreadable: a count or a share, as text.

        Raises:
            UserError: `max_bad_files` is neither.
        """
        self._source = source
        self._framing = framing
        self._most_bad = allowance(max_bad_files, len(source.names))
        self._bad = set()
        self._lock = threading.Lock()

    def read(self, indices):
        """(images uint8 [n, H, W, C], indices int64 [n] of the pictures that really stand there).

        Raises:
            UserError: too many are unreadable, or one is smaller than the crop.
        """
        shape = (self._framing.height, self._framing.width, self._framing.channels)
        images = np.empty((len(indices),) + shape, np.uint8)
        origins = np.empty(len(indices), np.int64)
        for row, index in enumerate(indices):
            images[row], origins[row] = self._picture(int(index))
        return images, origins

    def _picture(self, index):
        count = len(self._source.names)
        for candidate in range(index, index + count):
            candidate %= count
            if candidate in self._bad:
                continue
            try:
                with self._source.open(candidate) as file:
                    return decode(file, self._framing), candidate
            except (Unreadable, OSError) as error:
                self._pass_over(candidate, error)
            except TooSmall as error:
                raise UserError(survey.too_small(self._source.names[candidate], error))
        raise UserError(f"--data_path: not one picture in {self._source.place} can be read")

    def note_replaced(self, indices):
        """Takes note of pictures that were found unreadable, and replaced, when they were packed.

        Raises:
            UserError: they are too many.
        """
        with self._lock:
            news = sorted(set(indices) - self._bad)
            self._bad.update(news)
        if news:
            self._refuse_too_many(self._source.names[news[-1]])
            utils.warn(
                "{:,} unreadable when they were packed, replaced by the next: {}{}".format(
                    len(news),
                    ", ".join(self._source.names[index] for index in news[:3]),
                    ", ..." if len(news) > 3 else "",
                )
            )

    def _pass_over(self, index, error):
        reason = error.strerror if isinstance(error, OSError) else str(error)
        with self._lock:
            if index in self._bad:
                return
            self._bad.add(index)
            count = len(self._bad)
        named = f"{self._source.names[index]}: {reason}"
        self._refuse_too_many(named)
        utils.warn(
            f"{named}; replaced by the next ({count:,} unreadable so far, {self._most_bad:,} allowed)"
        )

    def _refuse_too_many(self, last):
        if len(self._bad) > self._most_bad:
            raise UserError(
                f"--max_bad_files: {len(self._bad):,} of the {len(self._source.names):,} pictures in {self._source.place} cannot be read, more "
                f"than the {self._most_bad:,} allowed; the last: {last}"
            )


def allowance(text, count):
    """How many of `count` files may be unreadable: "20", or a share such as "1%", rounded up.

    Raises:
        UserError: it is neither.
    """
    try:
        most = -(-count * float(text[:-1]) // 100) if text.endswith("%") else int(text)
        if most >= 0:
            return int(most)
    except (ValueError, OverflowError):
        pass
    raise UserError(f"--max_bad_files: {text!r} is neither a count nor a share such as 1%")
