"""An opened image of any mode as 8-bit grey or RGB, transparent pixels laid on white."""

import numpy as np
from PIL import Image

_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_ROWS = 64  # converted at a time
# What a sample of 1, 2 or 4 bits is multiplied with to make 8 bits of it.
_SCALES = {"1": 255, "L;2": 85, "L;4": 17}


def load(image: Image.Image) -> None:
    """Decodes an image; then its "transparency" is in the units of its pixels.

    Pillow leaves a PNG's transparent color in the units of the file: 1 for a pixel of 85.
    """
    raw_mode = image.tile[0][3] if image.format == "PNG" and image.tile else ""
    image.load()  # a PNG may hold its transparent color and its EXIF behind its pixels
    color = image.info.get("transparency")
    if raw_mode in _SCALES and isinstance(color, int):
        image.info["transparency"] = min(255, color * _SCALES[raw_mode])
    elif raw_mode == "RGB;16B" and isinstance(color, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in color)


def converted(image: Image.Image, mode: str) -> Image.Image:
    """A loaded image in `mode`, "L" or "RGB".

    Raises:
        ValueError: its pixels are of a kind whose range is unknown.
    """
    transparent = image.mode in _WITH_ALPHA or "transparency" in image.info
    if image.mode == mode and not transparent:
        return image
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    elif transparent:
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image.convert("RGBA"))
    return image.convert(mode)


def plane(image: Image.Image, mode: str, band: int) -> Image.Image:
    """One band of `converted(image, mode)` as "L", made some rows at a time.

    With the image's own four bytes a pixel, it and its band take five.
    """
    whole = Image.new("L", image.size)
    for top in range(0, image.height, _ROWS):
        bottom = min(top + _ROWS, image.height)
        rows = converted(image.crop((0, top, image.width, bottom)), mode)
        whole.paste(rows.getchannel(band), (0, top))
    return whole


def _eight_bits(image: Image.Image) -> Image.Image:
    """A 16-bit grey image (modes "I;16..." and, in older Pillow, "I") as an 8-bit one."""
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise ValueError("grey values beyond 16 bits")
    grey = ((pixels + 128) // 257).astype(np.uint8)
    grey[pixels == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)
