"""Images and image files for tests: known pixels, every kind of file."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def colors(height, width, seed=0):
    """A smooth color image without any symmetry: uint8 [height, width, 3]."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        127.5 + 127.5 * np.sin(a * x / width + b * y / height + c)
        for a, b, c in random.uniform(1, 9, (3, 3))
    ]
    return np.stack(waves, axis=-1).astype(np.uint8)


def encoded(image, kind="PNG", **options):
    """The bytes of an image (array or Pillow image) as a file of a kind."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def opened(data):
    """A binary file that holds `data`."""
    return io.BytesIO(data)


def write(path, image, **options):
    """Writes an image to a path (pathlib), folders included; the name says the kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(str(path), **options)
    return path


def bomb(height=60000, width=60000):
    """The bytes of a PNG that declares a huge size and holds next to nothing."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def exif(orientation, byte_order=">"):
    """The bytes of an EXIF block that holds an orientation and nothing else."""
    mark = b"MM" if byte_order == ">" else b"II"
    entry = struct.pack(byte_order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return (
        b"Exif\0\0"
        + mark
        + struct.pack(byte_order + "HIH", 42, 8, 1)
        + entry
        + struct.pack(byte_order + "I", 0)
    )
