"""Pictures from a trained run: a seed is a picture, whatever else is asked for at the same time."""

import glob
import json
import os
import tracemalloc

import numpy as np
import pytest
from small_runs import give, make_run

import main
import utils
from config import Config
from inference import evaluate, sample
from inference.generator import CHUNK
from inference.seeds import labels_of, latents_of, parse_classes, parse_seeds
from inference.trained_run import open_run
from options import UserError

BOTH = pytest.mark.parametrize("architecture", ["mnist", "image"])


def images_by_name(folder):
    return {
        os.path.basename(path): utils.read_png(path)
        for path in glob.glob(os.path.join(folder, "*.png"))
    }


@BOTH
def test_a_seed_is_a_picture(tmp_path, architecture):
    asked = make_run(tmp_path, architecture)
    all_of_them = images_by_name(sample.generate(asked.replace(generate=CHUNK + 36)))
    assert len(all_of_them) == CHUNK + 36
    assert len({image.tobytes() for image in all_of_them.values()}) == CHUNK + 36
    for seeds, batch_size in (("7", 1), ("99,7", 64), ("30-98,7,0", 33)):
        other = give(asked, seeds=seeds, batch_size=batch_size, sample_dir=str(tmp_path / seeds))
        found = images_by_name(sample.generate(other))
        assert len(found) == len(parse_seeds(seeds))
        for name, image in found.items():
            np.testing.assert_array_equal(image, all_of_them[name])


def test_each_call_has_a_folder_of_its_own(tmp_path, capsys):
    asked = make_run(tmp_path, "image")
    paths = [sample.generate(asked.replace(seeds=seeds)) for seeds in ("0-3", "7", "7-8")]
    names = ["generated_00000005", "generated_00000005-2", "generated_00000005-3"]
    assert [os.path.basename(path) for path in paths] == names
    assert [len(os.listdir(path)) for path in paths] == [4, 1, 2]
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("images: ")]
    assert printed == [f"images: {path}" for path in paths]


@BOTH
def test_formats_agree(tmp_path, architecture):
    asked = make_run(tmp_path, architecture).replace(generate=CHUNK + 3)
    single = images_by_name(sample.generate(asked))
    with np.load(sample.generate(asked.replace(generate_format="npz")), allow_pickle=False) as file:
        arrays = dict(file)
    np.testing.assert_array_equal(arrays["images"], [single[name] for name in sorted(single)])
    np.testing.assert_array_equal(arrays["seeds"], np.arange(CHUNK + 3))
    if architecture == "mnist":
        np.testing.assert_array_equal(arrays["labels"], np.arange(CHUNK + 3) % 10)
    grid = utils.read_png(sample.generate(asked.replace(generate_format="grid")))
    np.testing.assert_array_equal(grid, utils.grid(arrays["images"]))


def test_classes(tmp_path):
    asked = make_run(tmp_path, "mnist")
    grid = utils.read_png(sample.draw(asked.replace(classes="0-9", generate_format="grid")))
    assert grid.shape == (len(sample.FEW_SEEDS) * 28, 10 * 28, 1)
    seed_5 = images_by_name(sample.generate(asked.replace(seeds="5", classes="3,7")))
    assert sorted(seed_5) == ["seed00000005_class3.png", "seed00000005_class7.png"]
    for name, column in (("seed00000005_class3.png", 3), ("seed00000005_class7.png", 7)):
        cell = grid[5 * 28 : 6 * 28, column * 28 : (column + 1) * 28]
        np.testing.assert_array_equal(cell, seed_5[name])
    in_turn = sample.generate(give(asked, generate=5, classes="4,2", sample_dir="turn"))
    assert sorted(images_by_name(in_turn)) == [
        f"seed0000000{seed}_class{label}.png"
        for seed, label in ((0, 4), (1, 2), (2, 4), (3, 2), (4, 4))
    ]


def test_labels_reach_the_network(tmp_path):
    with open_run(make_run(tmp_path, "mnist")) as run, run.open_generator() as generator:
        z = np.tile(latents_of(run.config, [1]), (10, 1))
        images = generator.images_of(z, labels_of(run.config, range(10)))
    assert len({image.tobytes() for image in images}) == 10


def test_a_hundred_thousand_images_in_little_memory(tmp_path):
    shape = (100000, 28, 28, 1)
    block = np.zeros((CHUNK, 28, 28, 1), np.uint8)
    sizes = [CHUNK] * (shape[0] // CHUNK) + [shape[0] % CHUNK]
    blocks = (block[:size] + np.uint8(index % 256) for index, size in enumerate(sizes))
    tracemalloc.start()
    try:
        images = sample.Images(shape, range(shape[0]), (), 0, blocks)
        path = sample._write_npz(str(tmp_path / "many"), images)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20, f"peak {peak} bytes for 78 MB of images"
    with np.load(path, allow_pickle=False) as file:
        images = file["images"]
    assert images.shape == shape
    assert images[-1].max() == images[-1].min() == (len(sizes) - 1) % 256


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--seeds=5-3"], "--seeds: 5-3 goes backwards"),
        (["--seeds=1..3"], "--seeds: '1..3' is not of the form"),
        (["--seeds=4294967296"], "--seeds: 4294967296 is beyond 4294967295"),
        (["--seeds=0-4000000000"], "--seeds: more than 10000000 of them"),
        (["--seeds=1", "--generate=3"], "--seeds: not together with --generate"),
        (["--class=10"], "--class: 10 is beyond 9"),
        (["--class=1-x"], "--class: '1-x' is no class; there are 0 size 0, 1 size 1, "),
        (["--class=size 3,size 10"], "--class: 'size 10' is no class"),
        (["--class=1--2"], "--class: '1--2' is not of the form"),
        (["--interpolate=1:2"], "--interpolate: '1:2' is not of the form A:B:STEPS"),
        (["--interpolate=1:2:1"], "--interpolate: '1:2:1' is not of the form A:B:STEPS"),
        (["--arithmetic=1*2"], "--arithmetic: '1*2' is not of the form 1+2-3"),
        (
            ["--generate=100000", "--generate_format=grid"],
            "--generate_format: a grid of 100000 images",
        ),
        (["--generate=10000001"], "--generate=10000001: must be a whole number from 0 to"),
        (["--eval_samples=1", "--evaluate"], "--eval_samples=1: must be a whole number from 2 to"),
        (["--arithmetic=1+2", "--class=0-9"], "--class: one for --arithmetic, not 0-9"),
        (["--generate=1", "--train"], "--generate: not together with --train"),
        (["--out_name=nothing", "--generate=1"], "FLAGS.json: cannot be read"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, flags, words):
    make_run(tmp_path, "mnist")
    code = main.main(["main.py", "--dataset=synthetic_mnist", f"--out_dir={tmp_path}"] + flags)
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("main.py: ") and error.count("\n") == 1
    assert words in error


@pytest.mark.parametrize(
    "names, asked, classes",
    [
        (("cat", "dog", "red fox"), "dog, red fox,0", [1, 2, 0]),
        (("cat", "a, b", "cat-0"), "a, b", [1]),
        (("cat", "a, b", "cat-0"), "cat-0,0-1", [2, 0, 1]),
        (("1", "2", "10"), "0,2", [0, 2]),  # numbers first, with a warning
        (("1", "2", "10"), "10", [2]),
        ((), "2", [2]),
    ],
)
def test_classes_by_name(names, asked, classes, capsys):
    config = Config(num_classes=3, class_names=names, classes=asked)
    assert parse_classes(config) == classes
    warning = "--class: 2 is the number of the class 10; the class named 2 has the number 1\n"
    assert capsys.readouterr().err == (warning if asked == "0,2" else "")


def test_a_run_knows_the_names_of_its_classes(tmp_path, capsys):
    names = tuple(f"size {number}" for number in range(10))
    asked = make_run(tmp_path, "mnist")
    by_name = sample.generate(asked.replace(seeds="5", classes="size 3"))
    assert os.listdir(by_name) == ["seed00000005_class3.png"]
    listing = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    assert f"classes: {listing}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "names, words",
    [
        ('["a", "b"]', "class_names are 2, num_classes 10"),
        (json.dumps(["a" * 5000] * 10), "class_names holds too many texts, or too long ones"),
        (json.dumps(["a"] * 20000), "class_names holds too many texts, or too long ones"),
    ],
)
def test_names_of_classes_are_checked(tmp_path, names, words):
    asked = make_run(tmp_path, "mnist")
    path = tmp_path / "run" / "FLAGS.json"
    saved = dict(json.loads(path.read_text()), class_names=json.loads(names))
    path.write_text(json.dumps(saved))
    with pytest.raises(UserError, match=f"FLAGS.json: {words}"), open_run(
        asked.replace(out_name="run")
    ):
        pass


def test_class_without_classes(tmp_path):
    with pytest.raises(UserError, match="--class: synthetic has no classes"):
        sample.draw(make_run(tmp_path, "image").replace(classes="1"))


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    asked = give(make_run(tmp_path, "image"), generate=1, sample_dir=str(tmp_path / "file"))
    with pytest.raises(UserError, match="--sample_dir: .*file"):
        sample.generate(asked)


def test_run_folders_are_remembered(tmp_path):
    elsewhere = str(tmp_path / "elsewhere")
    asked = make_run(tmp_path / "out", "mnist", checkpoint_dir=elsewhere, data_dir=str(tmp_path))
    with open_run(asked) as run:
        assert run.checkpoint.prefix.startswith(elsewhere)
        assert run.config.data_dir == str(tmp_path)
    with open_run(give(asked, data_dir="/x")) as run:
        assert run.config.data_dir == "/x"


@pytest.mark.parametrize("there", ["../../elsewhere", "{}/elsewhere"])
def test_options_from_anywhere_write_nothing_outside_the_run(tmp_path, capsys, there):
    there = there.format(tmp_path)
    asked = make_run(tmp_path / "out", "image", sample_dir=there)
    path = sample.draw(asked)
    assert os.path.dirname(path) == str(tmp_path / "out" / "run" / "samples")
    assert f"--sample_dir={there} takes that" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()
    asked = make_run(tmp_path / "out", "image", sample_dir="pictures/all", name="inside")
    assert os.path.dirname(sample.draw(asked)) == str(
        tmp_path / "out" / "inside" / "pictures" / "all"
    )


def test_a_run_whose_flags_lack_a_size_is_skipped_with_a_warning(tmp_path, capsys):
    asked = make_run(tmp_path, "mnist")
    make_run(tmp_path, "mnist", name="lacking")
    path = tmp_path / "lacking" / "FLAGS.json"
    path.write_text(path.read_text().replace('"output_height"', '"other"'))
    with open_run(asked) as run:
        assert run.config.out_name == "run"
    assert "lacking/FLAGS.json: output_height is missing: skipped" in capsys.readouterr().err
    with pytest.raises(UserError, match="lacking/FLAGS.json: output_height is missing"), open_run(
        asked.replace(out_name="lacking")
    ):
        pass


def test_an_option_that_the_run_overrides_has_a_warning(tmp_path, capsys):
    asked = make_run(tmp_path, "image")
    with open_run(give(asked, batch_size=7, seed=9)):
        assert not capsys.readouterr().err
    with open_run(give(asked, z_dist="normal01")):
        pass
    assert capsys.readouterr().err == (
        "--z_dist: normal01 has no effect, the run was trained with uniform_signed\n"
    )


def test_a_damaged_newest_checkpoint_is_skipped(tmp_path, capsys):
    asked = make_run(tmp_path, "mnist", steps=(5, 6))
    path = tmp_path / "run" / "checkpoint" / "DCGAN.model-6.data-00000-of-00001"
    with open(str(path), "r+b") as file:
        file.seek(100)
        file.write(b"damage")
    with open_run(asked) as run:
        assert run.checkpoint.step == 5
    assert "skipped" in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{"z_dist": "normal01"}, {"seed": 4}])
def test_a_checkpoint_of_another_run_is_refused(tmp_path, capsys, changes):
    """Seen: one of the same shapes, trained on other latents, was drawn from without a word."""
    asked = make_run(tmp_path, "mnist")
    make_run(tmp_path, "mnist", name="other", steps=(6,), **changes)
    for path in (tmp_path / "other" / "checkpoint").iterdir():
        path.rename(tmp_path / "run" / "checkpoint" / path.name)
    (name,) = changes
    for job in (sample.draw, evaluate.evaluate):
        with pytest.raises(
            UserError, match=f"^--{name}: .*-6 is of a run with .*, but .*FLAGS.json"
        ):
            job(asked.replace(out_name="run", evaluate="last"))
