"""Any set of encoded images - files of a folder, values of a database - as a `Dataset`.

Every image is brought to one size and one number of channels: `datasets.survey` decides which,
`datasets.decode` does it. An image that cannot be read is named, counted and replaced by the next
one. The replacement depends on the index alone, so a resumed run sees the same images.
"""

import threading
from typing import BinaryIO, Sequence, Tuple

import numpy as np

import utils
from datasets import cache, survey
from datasets.dataset import Dataset
from datasets.decode import Framing, TooSmall, Unreadable, decode
from options import UserError


class Source:
    """Encoded images by index; a subclass opens them.

    Attributes:
        name: of the set, for people.
        location: the folder or database they are in.
        names: what messages call each of them.
        classes: int32 [n]; all 0 if there are no labels.
        class_names: the names of the classes; none if there are no labels.
        left_out: one phrase on the files that are not in the set; "" if there are none.
    """

    def __init__(
        self,
        *,
        name: str,
        location: str,
        names: Sequence[str],
        classes: np.ndarray,
        class_names: Tuple[str, ...] = (),
        left_out: str = "",
    ):
        self.name = name
        self.location = location
        self.names = names
        self.classes = classes
        self.class_names = class_names
        self.left_out = left_out

    def open(self, index: int) -> BinaryIO:
        """A binary file that holds one image. May be called from several threads at once.

        Raises:
            OSError: it cannot be opened.
        """
        raise NotImplementedError

    def stamp(self) -> str:
        """A text that changes when the images do."""
        raise NotImplementedError


class ImageDataset(Dataset):
    """The images of a `Source`, decoded or packed, with the classes of the source."""

    def __init__(self, source: Source, images, framing: Framing):
        """Args:
        source: of the names and the classes.
        images: `Reader` or `datasets.packed.Packed`.
        framing: says the size of the images.
        """
        super().__init__(
            name=source.name,
            architecture="image",
            image_shape=(framing.height, framing.width, framing.channels),
            num_examples=len(source.names),
            class_names=source.class_names,
        )
        self._images = images
        self._classes = source.classes

    def _read(self, indices):
        images, origins = self._images.read(indices)
        return images, self._classes[origins]


def open_images(source, config) -> ImageDataset:
    """The `Dataset` of a source, framed as the config asks; says in one line what was found.

    Raises:
        UserError: no image can be read, or one is smaller than the crop.
    """
    headers = survey.look(source)
    framing = survey.framing_of(config, source, headers)
    utils.say(survey.description(source, headers, framing))
    reader = Reader(source, framing, max_bad_files=config.max_bad_files)
    images = cache.cached(reader, config=config, source=source, framing=framing)
    return ImageDataset(source, images, framing)


class Reader:
    """Decoded images by index; unreadable ones are replaced."""

    def __init__(self, source: Source, framing: Framing, *, max_bad_files: str):
        """Args:
            source: `Source`.
            framing: `datasets.decode.Framing`.
            max_bad_files: how many may be unreadable: a count or a share, as text.

        Raises:
            UserError: `max_bad_files` is neither.
        """
        self._source = source
        self._framing = framing
        self._max_bad = allowance(max_bad_files, len(source.names))
        self._bad = set()
        self._lock = threading.Lock()

    def read(self, indices: Sequence[int]) -> Tuple[np.ndarray, np.ndarray]:
        """(images uint8 [n, H, W, C], int64 [n]: the index that each image really has).

        Raises:
            UserError: too many are unreadable, or one is smaller than the crop.
        """
        shape = (self._framing.height, self._framing.width, self._framing.channels)
        images = np.empty((len(indices),) + shape, np.uint8)
        origins = np.empty(len(indices), np.int64)
        for row, index in enumerate(indices):
            images[row], origins[row] = self._image(int(index))
        return images, origins

    def note_replaced(self, indices: Sequence[int]) -> None:
        """Counts images that were unreadable, and replaced, when they were packed.

        Raises:
            UserError: they are too many.
        """
        with self._lock:
            new = sorted(set(indices) - self._bad)
            self._bad.update(new)
        if new:
            self._refuse_too_many(self._source.names[new[-1]])
            utils.warn(
                "{:,} unreadable when they were packed, replaced by the next: {}{}".format(
                    len(new),
                    ", ".join(self._source.names[index] for index in new[:3]),
                    ", ..." if len(new) > 3 else "",
                )
            )

    def _image(self, index):
        count = len(self._source.names)
        for candidate in range(index, index + count):
            candidate %= count
            if candidate in self._bad:
                continue
            try:
                with self._source.open(candidate) as file:
                    return decode(file, self._framing), candidate
            except (Unreadable, OSError) as error:
                self._skip(candidate, error)
            except TooSmall as error:
                raise UserError(survey.too_small(self._source.names[candidate], error))
        raise UserError(f"--data_path: no image in {self._source.location} can be read")

    def _skip(self, index, error):
        reason = error.strerror if isinstance(error, OSError) else str(error)
        with self._lock:
            if index in self._bad:
                return
            self._bad.add(index)
            count = len(self._bad)
        named = f"{self._source.names[index]}: {reason}"
        self._refuse_too_many(named)
        utils.warn(
            f"{named}; replaced by the next ({count:,} unreadable so far, "
            f"{self._max_bad:,} allowed)"
        )

    def _refuse_too_many(self, last):
        if len(self._bad) > self._max_bad:
            raise UserError(
                f"--max_bad_files: {len(self._bad):,} of the {len(self._source.names):,} images "
                f"in {self._source.location} cannot be read, more than the {self._max_bad:,} "
                f"allowed; the last: {last}"
            )


def allowance(text: str, count: int) -> int:
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
