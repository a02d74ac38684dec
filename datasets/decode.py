"""One image: from its file to the pixels that a network sees.

The steps are the reference's, with Pillow: crop the center to input_height x input_width, or take
the whole image, then resize bilinearly to the output size. Before that an image is turned upright
(EXIF) and converted to 8-bit grey or RGB; transparent images are laid on white. A JPEG that is
larger than needed may be decoded at 1/2, 1/4 or 1/8 of its size, which takes less time.
"""

import math
from typing import NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from datasets.decode_budget import BUDGET
from datasets.pixels import converted, load, plane
from system import opening

# A file of a few bytes may declare any size. 8192 x 8192 pixels take 200 MB as RGB.
MAX_PIXELS = 1 << 26
# EXIF's tag of the orientation and what turns each of its values upright (CIPA DC-008, 4.6.4 A).
_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257  # tags
_TURNS = {
    2: Image.FLIP_LEFT_RIGHT,
    3: Image.ROTATE_180,
    4: Image.FLIP_TOP_BOTTOM,
    5: Image.TRANSPOSE,
    6: Image.ROTATE_270,
    7: Image.TRANSVERSE,
    8: Image.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_WHOLE = 1 << 20  # pixels; up to this an image is framed in one piece
_DRAFTED = 1 << 24  # pixels; a JPEG of more is decoded smaller even if `Framing.draft` is not set
_DIVISORS = (8, 4, 2)  # of a JPEG's sides, that its decoder offers
# What is resized keeps so many times the sides of the result: as Pillow's own thumbnails do.
_DRAFT_GAP = 2
_JPEGS = ("JPEG", "MPO")  # an MPO, of some cameras and telephones, is a JPEG with others behind it
# Others take 6: of what Pillow decodes 4, of a band 2. These decoders hold the image once more.
_BYTES_OF_OTHERS = 6
_BYTES_PER_PIXEL = {"WEBP": 18, "TIFF": 10, "progressive": 12}


class Unreadable(Exception):
    """A file holds no image that can be read. The message says why."""


class TooSmall(Exception):
    """An image is smaller than the crop. The message gives both sizes."""


class Framing(NamedTuple):
    """What is made of every image.

    Attributes:
        height, width: of the result, in pixels.
        channels: 1 or 3.
        crop: whether only the center is taken.
        crop_size: (height, width) of the center; None is the largest box of the output's shape.
        pad: an image smaller than the crop is laid on black.
        draft: a JPEG that is larger than needed is decoded smaller.
    """

    height: int
    width: int
    channels: int
    crop: bool = False
    crop_size: Optional[Tuple[int, int]] = None
    pad: bool = False
    draft: bool = False


class Header(NamedTuple):
    """What a file says of its image: sides in pixels as seen upright, Pillow's mode, the kind."""

    height: int
    width: int
    mode: str
    is_jpeg: bool = False

    @property
    def is_grey(self):
        """Whether the image has no color by its mode; a palette counts as color."""
        return self.mode in ("1", "L", "LA", "La", "F") or self.mode.startswith("I")


def read_header(file):
    """The `Header` of an image file, without decoding it.

    Args:
        file: open for reading in binary mode.

    Raises:
        Unreadable: it is not an image, or one that is too large.
    """
    try:
        with _opened(file) as image:
            height, width = _upright_sides(image)
            return Header(height, width, image.mode, image.format in _JPEGS)
    except Exception as error:  # a format's reader may raise anything
        raise Unreadable(_reason(error))


def decode(file, framing):
    """The image of a file, framed: uint8 [height, width, channels].

    Args:
        file: open for reading in binary mode.
        framing: `Framing`.

    Raises:
        Unreadable: it is not an image, a broken one, too large, or of a kind that is not supported.
        TooSmall: it is smaller than the crop, and `framing.pad` is not set.
    """
    try:
        with _opened(file) as image:
            pixels = image.width * image.height
            box = _draft(image, framing)
            with BUDGET.taken(_bytes_of(image, pixels)):
                load(image)
                image = _framed(image, framing, box)
            return np.asarray(image).reshape(framing.height, framing.width, framing.channels)
    except TooSmall:
        raise
    except Exception as error:  # a format's reader may raise anything
        raise Unreadable(_reason(error))


def _opened(file):
    """The image of a file, not yet decoded.

    Raises:
        ValueError: it is too large.
    """
    image = opening.open_image(file)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"declares {height}x{width} pixels, more than the {MAX_PIXELS:,} allowed")
    return image


def _orientation(image):
    if "exif" not in image.info and image.format != "TIFF":  # a TIFF has it among its own tags
        return 1
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken EXIF has no orientation; the pixels may still be sound
        return 1


def _upright_sides(image):
    """(height, width) in pixels as seen upright."""
    width, height = image.size
    if image.format == "TIFF":  # of which newer releases of Pillow give the upright size
        width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
    return (width, height) if _orientation(image) in _SIDEWAYS else (height, width)


def _framed(image, framing, box):
    """A loaded image turned upright, in grey or RGB, cropped and resized; `box` is `_draft`'s.

    A large image is framed band by band, so that no more than six bytes a pixel are held. The
    result is the same.
    """
    mode = "L" if framing.channels == 1 else "RGB"
    if image.width * image.height <= _WHOLE:
        return _resized(converted(image, mode), framing, box=box, turn=_turn_of(image))
    turn = _turn_of(image)
    bands = [
        _resized(plane(image, mode, band), framing, box=box, turn=turn)
        for band in range(framing.channels)
    ]
    return bands[0] if mode == "L" else Image.merge(mode, bands)


def _resized(image, framing, *, box, turn):
    if turn is not None:
        image = image.transpose(turn)
    size = (framing.width, framing.height)
    if box is None:
        return _cropped(image, framing).resize(size, Image.BILINEAR)
    # The filter of a resize takes pixels around the box in: they are cut off before.
    left, top, right, bottom = box
    x, y = math.floor(left), math.floor(top)
    image = image.crop((x, y, math.ceil(right), math.ceil(bottom)))
    return image.resize(size, Image.BILINEAR, box=(left - x, top - y, right - x, bottom - y))


def _turn_of(image):
    if image.format == "TIFF":  # Pillow turns it when it loads it
        return None
    return _TURNS.get(_orientation(image))


def divisor_of(height, width, framing):
    """What the sides of a JPEG may be divided by when it is decoded: 8, 4, 2, or 1 for none.

    An image that the crop reaches beyond is decoded whole.

    Args:
        height, width: of the image, upright.
        framing: `Framing`.

    Raises:
        TooSmall: it is smaller than the crop, and `framing.pad` is not set.
    """
    left, top, right, bottom = _box(height, width, framing)
    if left < 0 or top < 0:
        return 1
    for divisor in _DIVISORS:
        least = _DRAFT_GAP * divisor
        if bottom - top >= least * framing.height and right - left >= least * framing.width:
            return divisor
    return 1


def _draft(image, framing):
    """Has an opened JPEG that is larger than needed decoded smaller.

    Returns:
        (left, top, right, bottom) of the crop in pixels of the smaller image, upright, fractions
        included; None for the crop that the decoded image has by itself.
    """
    if image.format in _JPEGS and framing.draft:
        height, width = _upright_sides(image)
        divisor = divisor_of(height, width, framing)
        # Sides that are no multiple end in a part of a pixel, which a turn would move to the front.
        is_even = not (height % divisor or width % divisor)
        if divisor > 1 and (is_even or _turn_of(image) is None):
            image.draft(None, (image.width // divisor, image.height // divisor))
            return tuple(side / divisor for side in _box(height, width, framing))
    if image.format == "JPEG" and image.width * image.height > _DRAFTED and not framing.crop_size:
        _draft_huge(image, framing)
    return None


def _draft_huge(image, framing):
    """Has a JPEG whose pixels take much memory decoded at no less than twice the result's sides."""
    side = 2 * max(framing.height, framing.width)
    for divisor in _DIVISORS:
        if min(image.size) // divisor >= side:
            image.draft(None, (image.width // divisor, image.height // divisor))
            return


def _bytes_of(image, pixels):
    """What decoding an opened image takes at most; measured: docs/reliability.md.

    `pixels`: of the whole image, whose frequencies the reader of a progressive JPEG holds.
    """
    if "progressive" in image.info:
        own = _BYTES_PER_PIXEL["progressive"] - _BYTES_OF_OTHERS
        return pixels * own + image.width * image.height * _BYTES_OF_OTHERS
    return image.width * image.height * _BYTES_PER_PIXEL.get(image.format, _BYTES_OF_OTHERS)


def _cropped(image, framing):
    if not framing.crop:
        return image
    return image.crop(box_of(image.height, image.width, framing))


def _box(height, width, framing):
    return box_of(height, width, framing) if framing.crop else (0, 0, width, height)


def box_of(height, width, framing):
    """(left, top, right, bottom) in pixels of the crop of an image of that size.

    Raises:
        TooSmall: it reaches beyond the image, and `framing.pad` is not set.
    """
    box_height, box_width = framing.crop_size or _largest_box(height, width, framing)
    if (height < box_height or width < box_width) and not framing.pad:
        raise TooSmall(f"{height}x{width}, smaller than the crop of {box_height}x{box_width}")
    # The reference's rounding: half a pixel goes to the even side.
    top, left = round((height - box_height) / 2), round((width - box_width) / 2)
    return left, top, left + box_width, top + box_height


def _largest_box(height, width, shape):
    """(height, width) of the largest box in an image that has the aspect ratio of `shape`."""
    if height * shape.width <= width * shape.height:
        return height, max(1, min(width, round(height * shape.width / shape.height)))
    return max(1, min(height, round(width * shape.height / shape.width))), width


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known kind"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text}" if isinstance(error, LookupError) else text
