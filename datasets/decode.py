"""One image: from its file to the pixels that a network sees.

The steps are the reference's, with Pillow: crop the center to input_height x input_width, or take
the whole image, then resize bilinearly to the output size. Before that an image is turned upright
(EXIF) and converted to 8-bit grey or RGB; transparent images are laid on white.
"""

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
_DRAFTED = 1 << 24  # pixels; a JPEG of more may be decoded smaller
# Others take 6: of what Pillow decodes 4, of a band 2. These decoders hold the image once more.
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
    """

    height: int
    width: int
    channels: int
    crop: bool = False
    crop_size: Optional[Tuple[int, int]] = None
    pad: bool = False


class Header(NamedTuple):
    """What a file says of its image: sides in pixels as seen upright, and Pillow's mode."""

    height: int
    width: int
    mode: str

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
            width, height = image.size[::-1] if _orientation(image) in _SIDEWAYS else image.size
            return Header(height, width, image.mode)
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
            _draft(image, framing)
            with BUDGET.taken(_bytes_of(image)):
                load(image)
                image = _framed(image, framing)
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
    if "exif" not in image.info:
        return 1
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken EXIF has no orientation; the pixels may still be sound
        return 1


def _framed(image, framing):
    """A loaded image turned upright, in grey or RGB, cropped and resized.

    A large image is framed band by band, so that no more than six bytes a pixel are held. The
    result is the same.
    """
    mode = "L" if framing.channels == 1 else "RGB"
    if image.width * image.height <= _WHOLE:
        return _resized(converted(image, mode), _turn_of(image), framing)
    turn = _turn_of(image)
    bands = [_resized(plane(image, mode, band), turn, framing) for band in range(framing.channels)]
    return bands[0] if mode == "L" else Image.merge(mode, bands)


def _resized(image, turn, framing):
    if turn is not None:
        image = image.transpose(turn)
    return _cropped(image, framing).resize((framing.width, framing.height), Image.BILINEAR)


def _turn_of(image):
    return _TURNS.get(_orientation(image))


def _draft(image, framing):
    """Has a very large JPEG decoded smaller, at no less than twice the size of the result."""
    if image.format != "JPEG" or image.width * image.height <= _DRAFTED or framing.crop_size:
        return
    side = 2 * max(framing.height, framing.width)
    for scale in (8, 4, 2):
        if min(image.size) // scale >= side:
            image.draft(None, (image.width // scale, image.height // scale))
            return


def _bytes_of(image):
    """What decoding an opened image takes at most; measured: docs/reliability.md."""
    kind = "progressive" if "progressive" in image.info else image.format
    return image.width * image.height * _BYTES_PER_PIXEL.get(kind, 6)


def _cropped(image, framing):
    if not framing.crop:
        return image
    return image.crop(box_of(image.height, image.width, framing))


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
