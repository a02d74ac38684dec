"""From an image file to pixels: the reference's crop and resize, all kinds of file, broken ones."""

import glob
import os
import re
import subprocess

import image_files
import numpy as np
import pytest
from image_files import encoded, opened
from paths import ROOT
from PIL import Image, features

from datasets.decode import MAX_PIXELS, Framing, TooSmall, Unreadable, box_of, decode, read_header
from system import opening

FACE = image_files.colors(218, 178)
CROPPED = Framing(height=64, width=64, channels=3, crop=True, crop_size=(108, 108))


@pytest.fixture(autouse=True)
def any_libwebp(monkeypatch):
    """The WebPs of these tests are harmless: an old libwebp may read them."""
    monkeypatch.setattr(opening, "SAFE_WEBP", (0,))


def whole(height, width, channels=3):
    return Framing(height=height, width=width, channels=channels)


def as_is(data, channels=3):
    """A file's image decoded at its own size."""
    header = read_header(opened(data))
    return decode(opened(data), whole(header.height, header.width, channels))


def by_hand(image, size):
    """Bilinear resize of float [H, W, C] to (height, width) with a triangle filter, in NumPy."""
    for axis, length in enumerate(size):
        scale = image.shape[axis] / length
        centers = (np.arange(length) + 0.5) * scale
        distance = np.abs(np.arange(image.shape[axis]) + 0.5 - centers[:, None]) / max(scale, 1)
        weights = np.clip(1 - distance, 0, None)
        weights /= weights.sum(axis=1, keepdims=True)
        image = np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)
    return image


# The reference's semantics


def test_crop_then_bilinear_as_pillow_does_it():
    data = encoded(FACE, "JPEG", quality=90)
    golden = Image.open(opened(data)).crop((35, 55, 143, 163)).resize((64, 64), Image.BILINEAR)
    pixels = decode(opened(data), CROPPED)
    assert pixels.dtype == np.uint8 and pixels.shape == (64, 64, 3)
    assert np.array_equal(pixels, np.asarray(golden))
    exact = by_hand(np.asarray(Image.open(opened(data)), np.float64)[55:163, 35:143], (64, 64))
    assert np.abs(pixels - exact).max() <= 1.5


@pytest.mark.parametrize("height, width", [(48, 80), (80, 48), (300, 20), (1, 7)])
@pytest.mark.parametrize("image", [FACE, FACE.transpose(1, 0, 2)], ids=["upright", "sideways"])
def test_no_crop_resizes_the_whole_image_to_any_shape(image, height, width):
    pixels = decode(opened(encoded(image)), whole(height, width))
    golden = Image.fromarray(image).resize((width, height), Image.BILINEAR)
    assert np.array_equal(pixels, np.asarray(golden))
    assert np.abs(pixels - by_hand(image.astype(np.float64), (height, width))).max() <= 1.5


@pytest.mark.parametrize("size", [(100, 60), (60, 100)])
def test_a_crop_of_any_shape_keeps_its_orientation(size):
    framing = Framing(height=50, width=30, channels=3, crop=True, crop_size=size)
    top, left = (218 - size[0]) // 2, (178 - size[1]) // 2
    cut = np.ascontiguousarray(FACE[top : top + size[0], left : left + size[1]])
    golden = Image.fromarray(cut).resize((30, 50), Image.BILINEAR)
    assert np.array_equal(decode(opened(encoded(FACE)), framing), np.asarray(golden))


@pytest.mark.parametrize(
    "length, crop, first", [(8, 4, 2), (7, 4, 2), (5, 4, 0), (9, 4, 2), (4, 4, 0)]
)
def test_half_a_pixel_goes_to_the_even_side_as_in_the_reference(length, crop, first):
    framing = Framing(height=crop, width=crop, channels=3, crop=True, crop_size=(crop, crop))
    assert box_of(length, length, framing) == (first, first, first + crop, first + crop)
    image = image_files.colors(length, length)
    assert np.array_equal(
        decode(opened(encoded(image)), framing),
        image[first : first + crop, first : first + crop],
    )


@pytest.mark.parametrize(
    "height, width, box",
    [(218, 178, (0, 20, 178, 198)), (100, 300, (100, 0, 200, 100)), (64, 64, (0, 0, 64, 64))],
)
def test_a_crop_without_a_size_is_the_largest_square(height, width, box):
    assert box_of(height, width, Framing(64, 64, 3, crop=True)) == box


@pytest.mark.parametrize(
    "height, width, box",
    [
        (100, 100, (25, 0, 75, 100)),
        (40, 300, (140, 0, 160, 40)),
        (300, 40, (0, 110, 40, 190)),
        (1, 1, (0, 0, 1, 1)),
    ],
)
def test_a_crop_without_a_size_has_the_outputs_shape(height, width, box):
    assert box_of(height, width, Framing(64, 32, 3, crop=True)) == box


def test_smaller_than_the_crop_is_refused_or_padded():
    small = image_files.colors(100, 120)
    with pytest.raises(TooSmall, match="100x120, smaller than the crop of 108x108"):
        decode(opened(encoded(small)), CROPPED)
    framing = CROPPED._replace(height=108, width=108, pad=True)
    golden = np.zeros((108, 108, 3), np.uint8)
    golden[4:104] = small[:, 6:114]
    assert np.array_equal(decode(opened(encoded(small)), framing), golden)
    palette = Image.fromarray(small).convert("P", palette=Image.ADAPTIVE)
    assert decode(opened(encoded(palette)), framing)[:4].max() == 0  # black, not color 0


# What files hold


@pytest.mark.parametrize(
    "kind, options", [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_lossless_kinds_give_their_pixels(kind, options):
    assert np.array_equal(as_is(encoded(FACE, kind, **options)), FACE)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(options):
    data = encoded(FACE, "JPEG", quality=95, **options)
    assert np.array_equal(as_is(data), np.asarray(Image.open(opened(data))))
    assert np.abs(as_is(data).astype(int) - FACE).mean() < 4


def test_cmyk_jpeg():
    data = encoded(Image.fromarray(FACE).convert("CMYK"), "JPEG", quality=95)
    assert read_header(opened(data)).mode == "CMYK"
    assert np.abs(as_is(data).astype(int) - FACE).mean() < 4


def test_lossy_webp():
    assert np.abs(as_is(encoded(FACE, "WEBP", quality=95)).astype(int) - FACE).mean() < 8


def test_grey_and_color_become_each_other():
    grey = np.asarray(Image.fromarray(FACE).convert("L"))
    for kind in ("PNG", "BMP"):
        assert np.array_equal(as_is(encoded(grey, kind)), np.stack([grey] * 3, axis=-1))
        assert np.array_equal(as_is(encoded(FACE, kind), channels=1)[..., 0], grey)
        assert np.array_equal(as_is(encoded(grey, kind), channels=1)[..., 0], grey)


def test_palette_and_gif():
    palette = Image.fromarray(FACE).convert("P", palette=Image.ADAPTIVE)
    golden = np.asarray(palette.convert("RGB"))
    assert np.array_equal(as_is(encoded(palette)), golden)
    assert np.array_equal(as_is(encoded(palette, "GIF")), golden)


def test_a_gifs_first_frame():
    frames = [Image.new("P", (9, 7), shade) for shade in (3, 200)]
    for frame in frames:
        frame.putpalette([value for value in range(256) for _ in range(3)])
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Image.open(opened(data)).n_frames == 2
    assert (as_is(data) == 3).all()


def test_16_bit_grey():
    values = (np.arange(7 * 9).reshape(7, 9) * 1040).astype(np.uint16)
    data = encoded(Image.frombytes("I;16", (9, 7), values.astype("<u2").tobytes()))
    golden = np.rint(values / 257.0)
    assert read_header(opened(data)).is_grey
    assert np.array_equal(as_is(data, channels=1)[..., 0], golden)
    assert np.array_equal(as_is(data)[..., 2], golden)


def test_one_bit():
    bits = FACE[..., 0] > 128
    assert np.array_equal(as_is(encoded(bits), channels=1)[..., 0], bits * 255)


def test_what_is_transparent_is_laid_on_white():
    rgba = np.dstack([FACE, np.full(FACE.shape[:2], 255, np.uint8)])
    assert np.array_equal(as_is(encoded(rgba)), FACE)
    rgba[:50, :, 3] = 0
    rgba[50:99, :, 3] = 51
    pixels = as_is(encoded(rgba))
    assert (pixels[:50] == 255).all() and np.array_equal(pixels[99:], FACE[99:])
    blend = 0.2 * FACE[50:99] + 0.8 * 255
    assert np.abs(pixels[50:99] - blend).max() <= 1
    grey = Image.fromarray(rgba).convert("LA")
    assert (as_is(encoded(grey), channels=1)[:50] == 255).all()


def test_a_transparent_color_is_laid_on_white():
    flat = np.zeros((6, 6, 3), np.uint8)
    flat[:3] = (10, 20, 30)
    pixels = as_is(encoded(Image.fromarray(flat), transparency=(10, 20, 30)))
    assert (pixels[:3] == 255).all() and (pixels[3:] == 0).all()
    palette = Image.fromarray(flat).convert("P", palette=Image.ADAPTIVE)
    hidden = palette.getpixel((0, 0))
    for kind in ("PNG", "GIF"):
        pixels = as_is(encoded(palette, kind, transparency=hidden))
        assert (pixels[:3] == 255).all() and (pixels[3:] == 0).all()


STORED = {  # EXIF's orientation: how the stored rows and columns come from the upright image
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("orientation", sorted(STORED))
@pytest.mark.parametrize("kind, options", [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_images_are_turned_upright(orientation, kind, options):
    stored = np.ascontiguousarray(STORED[orientation](FACE))
    data = encoded(stored, kind, exif=image_files.exif(orientation), **options)
    assert read_header(opened(data))[:2] == (218, 178)
    assert np.array_equal(as_is(data), FACE)


def test_a_jpeg_is_turned_upright_before_the_crop():
    data = encoded(
        np.ascontiguousarray(np.rot90(FACE, 1)), "JPEG", quality=95, exif=image_files.exif(6, "<")
    )
    upright = np.rot90(np.asarray(Image.open(opened(data))), -1)
    golden = Image.fromarray(np.ascontiguousarray(upright[55:163, 35:143])).resize(
        (64, 64), Image.BILINEAR
    )
    assert np.array_equal(decode(opened(data), CROPPED), np.asarray(golden))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about the EXIF
@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0garbage",
        image_files.exif(9),
        image_files.exif(6)[:-9],
    ],
)
def test_broken_exif_does_not_cost_an_image(block):
    assert np.array_equal(as_is(encoded(FACE, "PNG", exif=block)), FACE)


# Not an image, or a broken one


EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n0 0 9 9 rectfill\nshowpage\n"
)


def test_no_image_starts_a_program(monkeypatch):
    """Seen: an EPS named x.jpg was handed to Ghostscript, without a time limit."""
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: started.append(args))
    monkeypatch.setattr(os, "system", started.append)
    for reading in (read_header, lambda file: decode(file, whole(8, 8))):
        with pytest.raises(Unreadable, match="not an image of a known kind"):
            reading(opened(EPS))
    assert not started


OPENING = os.path.join("system", "opening.py")


def test_images_are_opened_in_one_place_with_a_list_of_formats():
    for path in glob.glob(os.path.join(ROOT, "**", "*.py"), recursive=True):
        name = os.path.relpath(path, ROOT)
        if name.split(os.sep)[0] not in ("test", "benchmarks") and name != OPENING:
            with open(path, encoding="utf-8") as file:
                assert not re.search(r"Image\.open\(|imageio\.\w*read", file.read()), name


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000"])
def test_other_formats_of_pillow_are_not_read(kind):
    with pytest.raises(Unreadable, match="not an image of a known kind"):
        decode(opened(encoded(FACE, kind)), whole(8, 8))


@pytest.mark.parametrize(
    "version, safe",
    [("1.3.2", True), ("1.10.0", True), ("2.0.0", True), ("1.3.1", False), ("1.2.4", False)],
)
def test_a_webp_is_read_by_a_libwebp_that_is_not_vulnerable(monkeypatch, version, safe):
    """CVE-2023-4863."""
    monkeypatch.setattr(opening, "SAFE_WEBP", (1, 3, 2))
    monkeypatch.setattr(features, "version", lambda name: version)
    data = encoded(FACE, "WEBP", lossless=True)
    if safe:
        assert np.array_equal(as_is(data), FACE)
    else:
        with pytest.raises(Unreadable, match=f"libwebp {version} of this Pillow is older"):
            as_is(data)
    assert np.array_equal(as_is(encoded(FACE, "PNG")), FACE)


def test_what_is_not_an_image():
    for data in (b"", b"just text, renamed to .jpg", b"\xff\xd8\xff", b"GIF89a", b"BM"):
        for reading in (read_header, lambda file: decode(file, whole(8, 8))):
            with pytest.raises(Unreadable) as refusal:
                reading(opened(data))
            assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF"])
def test_a_truncated_file(kind):
    data = encoded(FACE, kind)
    with pytest.raises(Unreadable):
        decode(opened(data[: len(data) // 2]), whole(8, 8))


def test_a_declared_size_is_refused_before_it_is_decoded(recwarn):
    for height, width in ((60000, 60000), (1, MAX_PIXELS + 1), (9500, 9500)):
        for reading in (read_header, lambda file: decode(file, whole(8, 8))):
            with pytest.raises(Unreadable, match=f"declares {height}x{width} pixels"):
                reading(opened(image_files.bomb(height, width)))
    assert not recwarn.list


def test_a_flipped_byte_is_an_image_or_unreadable():
    """Single flipped bytes in each kind of file: never another exception than Unreadable."""
    random = np.random.RandomState(4)
    small = image_files.colors(20, 24)
    refused = 0
    for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP"):
        data = (
            encoded(small, kind, exif=image_files.exif(6))
            if kind not in ("BMP", "GIF")
            else encoded(small, kind)
        )
        for _ in range(150):
            broken = bytearray(data)
            broken[random.randint(len(data))] ^= 1 << random.randint(8)
            try:
                decode(opened(bytes(broken)), whole(8, 8))
            except Unreadable:
                refused += 1
    assert 0 < refused < 750
