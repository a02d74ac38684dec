"""A folder of images as a data set: what is found, what is made of it, bad files, labels."""

import threading

import image_files
import numpy as np
import pytest

from config import Config
from datasets import survey
from datasets.decode import Framing
from datasets.folder import find_images
from datasets.images import Reader, allowance
from datasets.registry import open_dataset
from options import UserError

SIZE = dict(output_height=8, output_width=6)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


def fill(root, count=6, height=20, width=16):
    for number in range(count):
        image_files.write(root / f"{number:02d}.png", image_files.colors(height, width, number))
    return root


def opened(root, **options):
    return open_dataset(Config(dataset="set", data_path=str(root), cache="off", **options))


def refusal(*arguments, **options):
    with pytest.raises(UserError) as error:
        opened(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def golden(number, size, box=None, seen=(20, 16)):
    """Image `number` of `fill` at (height, width), of the crop `box` if there is one."""
    from PIL import Image

    image = Image.fromarray(image_files.colors(seen[0], seen[1], number))
    return np.asarray((image.crop(box) if box else image).resize(size[::-1], Image.BILINEAR))


# Sizes and channels


def test_read_gives_pixels_and_no_labels(root):
    config, dataset = opened(fill(root), **SIZE)
    pixels, labels = dataset.read(np.array([4, 0, 4]))
    assert pixels.dtype == np.uint8 and labels.dtype == np.float32 and labels.shape == (3, 0)
    assert np.array_equal(pixels, [golden(k, (8, 6)) for k in (4, 0, 4)])
    assert dataset.image_shape == (8, 6, 3) and dataset.num_examples == 6
    assert dataset.architecture == "image" and (config.num_classes, config.class_names) == (0, ())


def test_crop_as_the_flags_say(root):
    config, dataset = opened(fill(root), crop=True, input_height=10, input_width=12, **SIZE)
    assert np.array_equal(dataset.read([3])[0][0], golden(3, (8, 6), (2, 5, 14, 15)))
    assert (config.input_height, config.input_width) == (10, 12)


def test_a_side_that_is_not_given_follows_the_other(root):
    fill(root)
    for given in (dict(output_height=9), dict(output_width=9)):
        config, dataset = opened(root, **given)
        assert (config.output_height, config.output_width) == dataset.image_shape[:2] == (9, 9)
    for given in (dict(input_height=12), dict(input_width=12)):
        config, dataset = opened(root, crop=True, **SIZE, **given)
        assert (config.input_height, config.input_width) == (12, 12)
        assert np.array_equal(dataset.read([1])[0][0], golden(1, (8, 6), (2, 4, 14, 16)))


def test_a_crop_without_a_size_is_the_largest(root):
    config, dataset = opened(fill(root), crop=True, output_height=8)
    assert (config.input_height, config.input_width) == (None, None)
    assert np.array_equal(dataset.read([1])[0][0], golden(1, (8, 8), (0, 2, 16, 18)))


def test_celeba_is_cropped_as_the_reference_does(root):
    fill(root, count=2, height=218, width=178)
    config, dataset = open_dataset(
        Config(dataset="celebA", data_path=str(root), crop=True, cache="off")
    )
    assert (config.input_height, config.input_width) == (108, 108)
    assert (config.output_height, config.output_width, config.channels) == (64, 64, 3)
    assert np.array_equal(
        dataset.read([1])[0][0], golden(1, (64, 64), (35, 55, 143, 163), seen=(218, 178))
    )


def test_made_64x64_unless_all_are_smaller(root):
    fill(root)
    assert opened(root)[1].image_shape == (20, 16, 3)
    image_files.write(root / "wide.png", image_files.colors(10, 64))
    assert opened(root)[1].image_shape == (64, 64, 3)


def test_mixed_modes_are_converted_to_the_most_common(root, capsys):
    from PIL import Image

    fill(root, count=3)
    for number in range(4):
        image_files.write(root / f"grey{number}.png", image_files.colors(20, 16, number)[..., 0])
    image_files.write(
        root / "palette.png", Image.fromarray(image_files.colors(20, 16)).convert("P")
    )
    config, dataset = opened(root, **SIZE)
    assert (config.channels, dataset.image_shape) == (3, (8, 6, 3))  # 4 of 8 are grey
    image_files.write(root / "grey5.png", image_files.colors(20, 16)[..., 0])
    config, dataset = opened(root, **SIZE)
    assert config.channels == 1 and dataset.read(range(9))[0].shape == (9, 8, 6, 1)
    assert "modes L (5) RGB (3) P (1)" in capsys.readouterr().out
    assert opened(root, channels=3, **SIZE)[1].read(range(9))[0].shape == (9, 8, 6, 3)


def test_one_line_describes_the_set(root, capsys):
    fill(root)
    opened(root, crop=True, input_height=12, **SIZE)
    assert capsys.readouterr().out == (
        f"set: 6 images in {root}; all 20x16 (height x width), mode RGB; made 8x6 RGB, cropped to "
        "the center 12x12\n"
    )
    image_files.write(root / "cat" / "x.png", image_files.colors(30, 7))
    (root / "broken.png").write_bytes(b"")
    opened(root, channels=1)
    assert capsys.readouterr().out == (
        f"set: 8 images in {root}; 20x7 to 30x16 (height x width), mode RGB; 1 unreadable; "
        "made 20x16 gray, 1 of 7 stretched from 30x7; --crop takes the center\n"
    )


def test_images_of_another_shape_are_stretched_which_is_said(root, capsys):
    fill(root)
    opened(root, output_height=8)
    assert "made 8x8 RGB, stretched from 20x16; --crop takes the center" in capsys.readouterr().out
    opened(root, output_height=10, output_width=8)
    assert "made 10x8 RGB, whole" in capsys.readouterr().out


def test_no_more_headers_are_read_than_needed(root, monkeypatch, capsys):
    fill(root, count=12)
    monkeypatch.setattr(survey, "MAX_HEADERS", 5)
    source = find_images(str(root), name="set")
    asked, really_open = [], source.open
    monkeypatch.setattr(source, "open", lambda index: asked.append(index) or really_open(index))
    headers = survey.look(source)
    assert sorted(headers) == asked and len(set(asked)) == 5
    opened(root)
    assert "of 5 looked at: all 20x16" in capsys.readouterr().out


# What is refused


def test_smaller_than_the_crop_names_the_file(root, monkeypatch):
    fill(root)
    image_files.write(root / "00tiny.png", image_files.colors(5, 30))
    line = refusal(root, crop=True, input_height=10)
    assert line.startswith("--crop: 00tiny.png is 5x30, smaller than the crop of 10x10; --pad")
    assert opened(root, crop=True, input_height=10, pad=True)[1].num_examples == 7
    monkeypatch.setattr(survey, "MAX_HEADERS", 1)  # not seen until it is read
    dataset = opened(root, crop=True, input_height=10, **SIZE)[1]
    with pytest.raises(UserError, match="^--crop: 00tiny.png is 5x30"):
        dataset.read(range(7))


def test_sets_that_cannot_be_opened(root, tmp_path):
    assert "--data_path" in refusal(root)
    assert "--data_path" in refusal(root / "missing")
    (root / "a.jpg").write_bytes(b"text")
    assert "none of the 1 images looked at can be read; the last: a.jpg: not an image" in refusal(
        root
    )
    assert "--input_fname_pattern" in refusal(root, input_fname_pattern="*.png")
    with pytest.raises(UserError, match="--dataset: 'nowhere' is none of .*celebA.*nor is there"):
        open_dataset(Config(dataset="nowhere", data_dir=str(tmp_path)))


def test_a_folder_by_its_name(root, tmp_path):
    fill(root)
    config, dataset = open_dataset(Config(dataset="set", data_dir=str(tmp_path), cache="off"))
    assert dataset.num_examples == 6 and dataset.name == "set"


# Bad files


def spoil(root, *numbers):
    for number in numbers:
        (root / f"{number:02d}.png").write_bytes(b"")


def test_a_bad_file_is_named_once_and_replaced_by_the_next(root, capsys):
    fill(root)
    spoil(root, 2, 3, 5)
    dataset = opened(root, max_bad_files="3", **SIZE)[1]
    pixels, _ = dataset.read(range(6))
    assert np.array_equal(pixels, [golden(k, (8, 6)) for k in (0, 1, 4, 4, 4, 0)])
    assert np.array_equal(dataset.read([3, 2])[0], pixels[[3, 2]])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["02.png", "03.png", "05.png"]
    assert lines[2].endswith("(3 unreadable so far, 3 allowed)")


def test_a_replacement_depends_on_the_index_alone(root):
    fill(root)
    spoil(root, 1, 2)
    orders = [[1, 2, 3], [3, 2, 1], [2, 1, 3]]
    for order in orders:
        dataset = opened(root, max_bad_files="2", **SIZE)[1]
        assert all(np.array_equal(dataset.read([k])[0][0], golden(3, (8, 6))) for k in order)


def test_too_many_bad_files(root, capsys):
    fill(root)
    spoil(root, 1, 3)
    dataset = opened(root, **SIZE)[1]  # 1 % of 6, rounded up, is 1
    with pytest.raises(UserError) as error:
        dataset.read(range(6))
    assert str(error.value).startswith(f"--max_bad_files: 2 of the 6 images in {root}")
    assert "03.png" in str(error.value)
    assert "01.png" in capsys.readouterr().err


def test_a_set_without_a_readable_image(root):
    fill(root)
    spoil(root, *range(6))
    reader = Reader(find_images(str(root), name="set"), Framing(8, 6, 3), max_bad_files="100%")
    with pytest.raises(UserError, match="--data_path: no image in .* can be read"):
        reader.read([0])


def test_an_image_that_declares_a_huge_size_is_a_bad_file(root, capsys):
    fill(root)
    (root / "03.png").write_bytes(image_files.bomb())
    pixels, _ = opened(root, **SIZE)[1].read([3])
    assert np.array_equal(pixels[0], golden(4, (8, 6)))
    assert "03.png: declares 60000x60000 pixels" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, count, most",
    [
        ("1%", 2000, 20),
        ("1%", 50, 1),
        ("1%", 202599, 2026),
        ("0", 10, 0),
        ("7", 3, 7),
        ("0.5%", 1000, 5),
        ("100%", 9, 9),
        ("0%", 9, 0),
    ],
)
def test_allowance(text, count, most):
    assert allowance(text, count) == most


@pytest.mark.parametrize("text", ["", "%", "many", "-1", "-1%", "1.5", "nan%", "inf%", "1e999%"])
def test_allowance_refused(text):
    with pytest.raises(UserError, match="--max_bad_files"):
        allowance(text, 100)


def test_reading_from_many_threads(root, capsys):
    fill(root, count=40)
    spoil(root, 7, 8)
    dataset = opened(root, max_bad_files="2", **SIZE)[1]
    expected = dataset.read(range(40))[0]
    results = []
    again = opened(root, max_bad_files="2", **SIZE)[1]
    threads = [
        threading.Thread(target=lambda: results.append(again.read(range(40))[0])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(np.array_equal(result, expected) for result in results)
    assert capsys.readouterr().err.count("08.png") == 2  # once for each opening


# Labels


def test_folders_as_labels(root):
    for number, name in enumerate(("dog/a", "cat/b", "cat/c", "狐/d")):
        image_files.write(root / (name + ".png"), image_files.colors(20, 16, number))
    config, dataset = opened(root, labels="folder", **SIZE)
    assert (config.num_classes, config.class_names) == (3, ("cat", "dog", "狐"))
    pixels, labels = dataset.read(range(4))
    assert labels.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert np.array_equal(pixels[2], golden(0, (8, 6)))
    for labels in ("auto", "none"):
        assert opened(root, labels=labels, **SIZE)[0].num_classes == 0


def test_a_replacement_brings_its_own_label(root):
    image_files.write(root / "cat" / "1.png", image_files.colors(20, 16))
    image_files.write(root / "dog" / "1.png", image_files.colors(20, 16, 1))
    (root / "cat" / "2.png").write_bytes(b"")
    _, labels = opened(root, labels="folder", **SIZE)[1].read([0, 1, 2])
    assert labels.tolist() == [[1, 0], [0, 1], [0, 1]]
