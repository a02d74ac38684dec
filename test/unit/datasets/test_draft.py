"""JPEGs that are larger than needed: decoded smaller, at the right place, and only where asked for."""

import image_files
import numpy as np
import pytest
from image_files import encoded, opened
from PIL import Image, JpegImagePlugin

from config import Config
from datasets import cache
from datasets import decode as decode_module
from datasets.decode import Framing, decode, divisor_of, read_header
from datasets.folder import find_images
from datasets.registry import open_dataset

WHOLE = Framing(height=32, width=32, channels=3)
CENTER = WHOLE._replace(crop=True, crop_size=(135, 151))
SQUARE = WHOLE._replace(crop=True)


def waves(height, width):
    """Waves of 64 pixels: moved by half a pixel, values change by 2 in the mean and 6 at most."""
    y, x = np.mgrid[0:height, 0:width]
    bands = [127.5 + 120 * np.sin(2 * np.pi * (a * x + b * y) / 64) for a, b in ((1, 0), (0, 1))]
    return np.stack([*bands, sum(bands) / 2], axis=-1).astype(np.uint8)


@pytest.fixture
def drafts(monkeypatch):
    """The sides that JPEGs were asked for."""
    asked = []
    draft = JpegImagePlugin.JpegImageFile.draft

    def noted(image, mode, size):
        asked.append(size)
        return draft(image, mode, size)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", noted)
    return asked


def difference(data, framing):
    """The mean difference of a pixel, decoded smaller and whole."""
    pixels = decode(opened(data), framing._replace(draft=True))
    return np.abs(pixels - decode(opened(data), framing).astype(int)).mean()


@pytest.mark.parametrize("framing", [WHOLE, CENTER, SQUARE], ids=["whole", "center", "square"])
@pytest.mark.parametrize("height, width", [(256, 192), (257, 195), (131, 158), (519, 300)])
def test_the_crop_is_where_it_was(drafts, framing, height, width):
    data = encoded(waves(max(height, 135), width), "JPEG", quality=95)
    assert difference(data, framing) < 1
    assert drafts


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_are_decoded_smaller_if_no_pixel_is_parted(drafts, orientation):
    options = dict(quality=95, exif=image_files.exif(orientation))
    assert difference(encoded(waves(256, 192), "JPEG", **options), CENTER) < 1
    assert drafts
    del drafts[:]
    assert difference(encoded(waves(257, 193), "JPEG", **options), CENTER) < 1
    assert bool(drafts) == (orientation == 1)


def test_large_images_in_bands(drafts, monkeypatch):
    data = encoded(waves(257, 195), "JPEG", quality=95)
    pixels = decode(opened(data), CENTER._replace(draft=True))
    monkeypatch.setattr(decode_module, "_WHOLE", 0)
    assert np.array_equal(decode(opened(data), CENTER._replace(draft=True)), pixels)


@pytest.mark.parametrize("kind", ["progressive", "grey", "CMYK", "MPO"])
def test_every_kind_of_jpeg(drafts, kind):
    image = Image.fromarray(waves(256, 192))
    if kind == "MPO":
        data = encoded(image, "MPO", quality=95, save_all=True, append_images=[image])
        assert Image.open(opened(data)).format == "MPO"
    else:
        mode = {"grey": "L", "CMYK": "CMYK"}.get(kind, "RGB")
        options = {"progressive": True} if kind == "progressive" else {}
        data = encoded(image.convert(mode), "JPEG", quality=95, **options)
    assert read_header(opened(data)).is_jpeg
    assert difference(data, WHOLE) < 1
    assert difference(data, WHOLE._replace(channels=1)) < 1
    assert drafts == [(96, 128)] * 2


@pytest.mark.parametrize(
    "height, width, framing, divisor",
    [
        (127, 900, WHOLE, 1),
        (128, 128, WHOLE, 2),
        (256, 255, WHOLE, 2),
        (256, 256, WHOLE, 4),
        (512, 9000, WHOLE, 8),
        (512, 9000, WHOLE._replace(width=128), 8),
        (512, 9000, WHOLE._replace(height=128), 2),
        (9000, 9000, CENTER, 2),
        (9000, 9000, CENTER._replace(crop_size=(127, 500)), 1),
        (130, 9000, CENTER._replace(pad=True), 1),
        (140, 120, SQUARE, 1),
    ],
)
def test_the_crop_stays_twice_as_large_as_the_result(height, width, framing, divisor):
    assert divisor_of(height, width, framing) == divisor


def test_other_files_and_smaller_ones_are_decoded_as_before(drafts):
    for data in (
        encoded(waves(256, 192)),
        encoded(waves(127, 127), "JPEG", quality=95),
    ):
        assert difference(data, WHOLE) == 0
    assert not drafts


# A set


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of three JPEGs, the last of them four times as large as needed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user cache"))
    for number, side in enumerate((60, 100, 130)):
        image_files.write(tmp_path / "set" / f"{number}.jpg", waves(side, side), quality=95)
    return tmp_path / "set"


def contents(root, **options):
    config = Config(dataset="set", data_path=str(root), output_height=32, **options)
    return open_dataset(config)[1].read(range(3))[0]


def test_a_set_says_that_large_jpegs_are_decoded_smaller(root, capsys, drafts):
    smaller = contents(root)
    said = "; large JPEGs decoded at 1/2 to 1/8 (--exact_decode: whole)"
    assert said in capsys.readouterr().out and drafts == [(65, 65)]
    whole = contents(root, exact_decode=True)
    assert said not in capsys.readouterr().out and len(drafts) == 1
    assert np.array_equal(smaller[:2], whole[:2])
    assert 0 < np.abs(smaller[2] - whole[2].astype(int)).max() <= 6
    (root / "2.jpg").unlink()
    image_files.write(root / "2.jpg", waves(127, 127), quality=95)
    assert np.array_equal(contents(root), contents(root, exact_decode=True))
    assert said not in capsys.readouterr().out


def test_both_ways_have_their_own_packed_set(root):
    smaller, whole = contents(root), contents(root, exact_decode=True)
    for _ in range(2):
        assert np.array_equal(contents(root, train=True), smaller)
        assert np.array_equal(contents(root, train=True, exact_decode=True), whole)


def test_what_is_decoded_whole_is_packed_where_older_versions_packed_it(root, monkeypatch):
    source = find_images(str(root), name="set")
    monkeypatch.setattr(source, "location", "/data/set")
    monkeypatch.setattr(source, "stamp", lambda: "")
    entry = cache.entries_of(Config(), source, WHOLE)[0]
    assert entry.folder == "/data/set.packed/32x32x3-458f54d3"
    assert entry.key == "458f54d3d66aa80ac0516569ccfcccb6"
