"""Opens images, which may come from anywhere.

No TensorFlow here.
"""

import re
from typing import IO, Optional, Sequence, Tuple, Union

from PIL import Image, features

from system.regular_file import open_regular

# What an image may be. No other reader of Pillow's is asked: one of them starts a program.
IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
SAFE_WEBP = (1, 3, 2)  # libwebp before it writes beyond its memory: CVE-2023-4863


def open_image(
    file: Union[str, IO[bytes]],
    *,
    formats: Sequence[str] = IMAGE_FORMATS,
    most_pixels: Optional[int] = None,
) -> Image.Image:
    """The image of a file, not yet decoded; every image of this program is opened here.

    Pillow goes by the content of a file, whatever its name, and its reader of EPS starts another
    program (Ghostscript). So only the readers of `formats` are asked.

    Args:
        file: open for reading in binary mode, or a path.
        formats: Pillow's names of what it may be.
        most_pixels: that it may declare; `datasets.decode` has a limit of its own.

    Raises:
        PIL.UnidentifiedImageError: it is of none of the formats.
        ValueError: it is a WebP, and Pillow's libwebp is not safe; or it has more pixels.
        OSError: it cannot be read.
    """
    Image.MAX_IMAGE_PIXELS = None  # Pillow only warns at first
    version = features.version("webp") or ""
    if _numbers(version) < SAFE_WEBP:
        formats = [name for name in formats if name != "WEBP"]
        if version and _is_webp(file):
            raise ValueError(
                f"a WebP, and the libwebp {version} of this Pillow is older than 1.3.2 "
                "(CVE-2023-4863)"
            )
    image = Image.open(file, formats=list(formats))
    if most_pixels is not None and image.width * image.height > most_pixels:
        image.close()
        raise ValueError(f"declares {image.height}x{image.width} pixels, too many")
    return image


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _is_webp(file: Union[str, IO[bytes]]) -> bool:
    if isinstance(file, str):
        with open_regular(file) as opened:
            return _is_webp(opened)
    head = file.read(12)
    file.seek(0)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"
