"""Every PNG color type and bit depth against samples that were written by hand; memory of decodes."""

import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from image_files import colors, encoded, exif, opened
from paths import ROOT
from PIL import Image

from datasets import decode as decode_module
from datasets.decode import Framing, Unreadable, decode, read_header
from datasets.decode_budget import DecodeBudget
from system import memory

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
KINDS = [
    *[(GREY, depth) for depth in (1, 2, 4, 8, 16)],
    *[(PALETTE, depth) for depth in (1, 2, 4, 8)],
    *[(kind, depth) for kind in (RGB, GREY_ALPHA, RGB_ALPHA) for depth in (8, 16)],
]  # fmt: skip
HEIGHT, WIDTH = 13, 11


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(samples, *, color_type, depth, palette=None, transparency=b"", rows=None):
    """The bytes of a PNG of samples [H, W, channels], as RFC 2083 has it, without filters.

    `rows` are packed rows to take instead of the samples' own.
    """
    height, width, _ = samples.shape
    bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    packed = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed) if rows is None else rows
    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
    if palette is not None:
        data += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparency:
        data += chunk(b"tRNS", transparency)
    return data + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def made(color_type, depth, hidden):
    """(PNG, what its pixels are on white: float [H, W, 1 or 3]) of random samples."""
    random = np.random.RandomState(16 * color_type + depth)
    count = 1 << depth
    samples = random.randint(0, count, (HEIGHT, WIDTH, CHANNELS[color_type]))
    shade = samples * (255 / (count - 1))
    if color_type == PALETTE:
        palette = random.randint(0, 256, (count, 3))
        alphas = random.randint(0, 256, count) if hidden else np.full(count, 255)
        data = png(samples, color_type=color_type, depth=depth, palette=palette,
            transparency=alphas.astype(np.uint8).tobytes() if hidden else b"")  # fmt: skip
        chosen = samples[..., 0]
        return data, on_white(palette[chosen].astype(float), alphas[chosen][..., None] / 255)
    if color_type in (GREY_ALPHA, RGB_ALPHA):
        data = png(samples, color_type=color_type, depth=depth)
        return data, on_white(shade[..., :-1], shade[..., -1:] / 255)
    color = samples[3, 4]
    data = png(samples, color_type=color_type, depth=depth,
        transparency=struct.pack(f">{len(color)}H", *color) if hidden else b"")  # fmt: skip
    if hidden:
        shade = np.where((samples == color).all(axis=-1, keepdims=True), 255, shade)
    return data, shade


def on_white(color, alpha):
    return color * alpha + 255 * (1 - alpha)


def as_is(data, channels=3):
    header = read_header(opened(data))
    return decode(opened(data), Framing(header.height, header.width, channels))


@pytest.mark.parametrize("hidden", [False, True], ids=["opaque", "transparent"])
@pytest.mark.parametrize("color_type, depth", KINDS)
def test_every_color_type_and_depth(color_type, depth, hidden):
    """Seen: the transparent color of a grey PNG of 2, 4 or 16 bits was shown."""
    data, expected = made(color_type, depth, hidden)
    found = as_is(data)
    cut_twice = depth == 16 and color_type in (GREY_ALPHA, RGB_ALPHA)  # color and alpha to 8 bits
    assert np.abs(found - expected).max() <= 1 + cut_twice
    if expected.shape[-1] == 1:
        assert np.array_equal(found[..., :1], as_is(data, channels=1))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_transparent_color_hides_no_other(depth):
    samples = np.array([[[0], [1]], [[(1 << depth) - 1], [0]]])
    for color in {0, 1, (1 << depth) - 1}:
        data = png(samples, color_type=GREY, depth=depth, transparency=struct.pack(">H", color))
        shade = np.rint(samples[..., 0] * (255 / ((1 << depth) - 1)))
        expected = np.where(samples[..., 0] == color, 255, shade)
        assert np.array_equal(as_is(data, channels=1)[..., 0], expected)


# Large images


MODES = ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_image_has_the_pixels_of_a_small_one(monkeypatch, mode, channels, orientation):
    kind = {"CMYK": "JPEG"}.get(mode, "PNG")
    image = Image.fromarray(colors(150, 90)).convert("RGBA" if mode in ("RGBA", "LA") else "RGB")
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(colors(150, 90, 1)[..., 0]))
    data = encoded(image.convert(mode), kind, exif=exif(orientation))
    framing = Framing(40, 30, channels, crop=True, crop_size=(71, 50))
    whole = decode(opened(data), framing)
    monkeypatch.setattr(decode_module, "_WHOLE", 0)
    assert np.array_equal(decode(opened(data), framing), whole)


def test_a_large_16_bit_grey_image_has_the_pixels_of_a_small_one(monkeypatch):
    data, _ = made(GREY, 16, True)
    whole = as_is(data)
    monkeypatch.setattr(decode_module, "_WHOLE", 0)
    assert np.array_equal(as_is(data), whole)


def test_a_very_large_jpeg_is_decoded_smaller(monkeypatch):
    data = encoded(colors(800, 640), "JPEG", quality=95)
    framing = Framing(40, 32, 3)
    exact = decode(opened(data), framing).astype(int)
    monkeypatch.setattr(decode_module, "_DRAFTED", 0)
    drafts = []
    draft = Image.Image.draft
    monkeypatch.setattr(
        type(Image.open(opened(data))),
        "draft",
        lambda image, mode, size: drafts.append(size) or draft(image, mode, size),
    )
    decode(opened(data), framing._replace(crop=True, crop_size=(700, 600)))
    assert not drafts  # a crop in pixels is of the whole image
    monkeypatch.undo()
    monkeypatch.setattr(decode_module, "_DRAFTED", 0)
    assert np.abs(decode(opened(data), framing) - exact).max() <= 6


BOMB = """
import re, sys
from datasets.decode import Framing, decode
def peak():
    with open("/proc/self/status") as file:  # getrusage would give that of the parent
        return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", file.read()).group(1))
for name in sys.argv[1:]:
    before = peak()
    with open(name, "rb") as file:
        decode(file, Framing(64, 64, 3))
    print((peak() - before) / 3072**2)
"""


@pytest.mark.parametrize("color_type, depth", [(GREY, 16), (GREY_ALPHA, 8), (RGB_ALPHA, 16)])
def test_no_decode_takes_more_than_six_bytes_a_pixel(tmp_path, color_type, depth):
    """Seen: a 16-bit grey PNG of 130 kB took 21 bytes a pixel, 1.38 GB."""
    side = 3072
    row = bytes(1 + side * CHANNELS[color_type] * depth // 8)
    small = np.zeros((1, 1, CHANNELS[color_type]), int)
    data = png(small, color_type=color_type, depth=depth, rows=row * side)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, color_type, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(data[:8] + header + data[8 + len(header) :])
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(path)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    assert 1 < float(done.stdout) <= 6


def test_decodes_at_once_share_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100 << 20)
    budget = DecodeBudget()
    lock, now, most = threading.Lock(), [0], [0]
    both = threading.Barrier(2)

    def work(number):
        with budget.taken(20 << 20):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            if number < 2:
                both.wait(60)  # two at once there are
            with lock:
                now[0] -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 2  # of 20 MiB each, in half of 100


def test_a_decode_larger_than_the_budget_runs_alone(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    budget = DecodeBudget()
    for _ in range(3):
        with pytest.raises(Unreadable), budget.taken(1 << 40):
            raise Unreadable("gives back what it took")
    with budget.taken(1 << 40):
        assert budget._in_flight == 1 << 40
