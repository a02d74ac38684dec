"""Pictures from a trained run: a seed is a picture, whatever else is asked for at the same time."""

import glob
import os
import tracemalloc

import numpy as np
import pytest
from small_runs import make_run

import main
import utils
from config import Config
from inference import sample
from inference.seeds import labels_of, latents_of, parse_seeds
from inference.trained_run import CHUNK, find_run, opened_generator
from options import UserError

BOTH = pytest.mark.parametrize("architecture", ["mnist", "image"])


def pictures_by_name(folder):
    return {
        os.path.basename(path): utils.read_png(path)
        for path in glob.glob(os.path.join(folder, "*.png"))
    }


@BOTH
def test_a_seed_is_a_picture(tmp_path, architecture):
    asked = make_run(tmp_path, architecture)
    all_of_them = pictures_by_name(sample.generate(asked.replace(generate=CHUNK + 36)))
    assert len(all_of_them) == CHUNK + 36
    assert len({image.tobytes() for image in all_of_them.values()}) == CHUNK + 36
    for seeds, batch_size in (("7", 1), ("99,7", 64), ("30-98,7,0", 33)):
        for _index, other in enumerate([asked.replace(seeds=seeds, batch_size=batch_size)]):
            folder = sample.generate(other.replace(sample_dir=str(tmp_path / seeds)))
            found = pictures_by_name(folder)
            assert len(found) == len(parse_seeds(seeds))
            for name, image in found.items():
                np.testing.assert_array_equal(image, all_of_them[name])


@BOTH
def test_formats_agree(tmp_path, architecture):
    asked = make_run(tmp_path, architecture).replace(generate=CHUNK + 3)
    single = pictures_by_name(sample.generate(asked))
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
    seed_5 = pictures_by_name(sample.generate(asked.replace(seeds="5", classes="3,7")))
    assert sorted(seed_5) == ["seed00000005_class3.png", "seed00000005_class7.png"]
    for name, column in (("seed00000005_class3.png", 3), ("seed00000005_class7.png", 7)):
        cell = grid[5 * 28 : 6 * 28, column * 28 : (column + 1) * 28]
        np.testing.assert_array_equal(cell, seed_5[name])
    in_turn = sample.generate(asked.replace(generate=5, classes="4,2", sample_dir="turn"))
    assert sorted(pictures_by_name(in_turn)) == [
        "seed0000000%d_class%d.png" % pair for pair in ((0, 4), (1, 2), (2, 4), (3, 2), (4, 4))
    ]


def test_labels_reach_the_network(tmp_path):
    run = find_run(make_run(tmp_path, "mnist"))
    with opened_generator(run) as (make, _):
        z = np.tile(latents_of(run.config, [1]), (10, 1))
        images = make(z, labels_of(run.config, range(10)))
    assert len({image.tobytes() for image in images}) == 10


def test_a_hundred_thousand_pictures_in_little_memory(tmp_path):
    shape = (100000, 28, 28, 1)
    config = Config(num_classes=0)
    block = np.zeros((CHUNK, 28, 28, 1), np.uint8)
    sizes = [CHUNK] * (shape[0] // CHUNK) + [shape[0] % CHUNK]
    blocks = (block[:size] + np.uint8(index % 256) for index, size in enumerate(sizes))
    tracemalloc.start()
    try:
        path = sample._write_npz(str(tmp_path / "many"), config, shape, range(shape[0]), [], blocks)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20, "peak %d bytes for 78 MB of pictures" % peak
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
        (["--class=x"], "--class: 'x' is not of the form"),
        (["--interpolate=1:2"], "--interpolate: '1:2' is not of the form A:B:STEPS"),
        (["--interpolate=1:2:1"], "--interpolate: '1:2:1' is not of the form A:B:STEPS"),
        (["--arithmetic=1*2"], "--arithmetic: '1*2' is not of the form 1+2-3"),
        (
            ["--generate=100000", "--generate_format=grid"],
            "--generate_format: a grid of 100000 pictures",
        ),
        (["--generate=10000001"], "--generate=10000001: 10000001 is not an integer in the range"),
        (["--eval_samples=1", "--evaluate"], "--eval_samples=1: 1 is not integer >= 2"),
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


def test_class_without_classes(tmp_path):
    with pytest.raises(UserError, match="--class: synthetic has no classes"):
        sample.draw(make_run(tmp_path, "image").replace(classes="1"))


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    asked = make_run(tmp_path, "image").replace(generate=1, sample_dir=str(tmp_path / "file"))
    with pytest.raises(UserError, match="--sample_dir: .*file"):
        sample.generate(asked)


def test_run_folders_are_remembered(tmp_path):
    elsewhere = str(tmp_path / "elsewhere")
    asked = make_run(tmp_path / "out", "mnist", checkpoint_dir=elsewhere, data_dir=str(tmp_path))
    run = find_run(asked)
    assert run.checkpoint.prefix.startswith(elsewhere)
    assert run.config.data_dir == str(tmp_path)
    assert find_run(asked.replace(data_dir="/x")).config.data_dir == "/x"


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


def test_an_option_in_vain_is_said(tmp_path, capsys):
    asked = make_run(tmp_path, "image")
    find_run(asked.replace(batch_size=7, seed=9))
    assert not capsys.readouterr().err
    find_run(asked.replace(z_dist="normal01"))
    assert capsys.readouterr().err == (
        "--z_dist: normal01 has no effect, the run was trained with uniform_signed\n"
    )


def test_damaged_newest_checkpoint_is_passed_over(tmp_path, capsys):
    asked = make_run(tmp_path, "mnist", steps=(5, 6))
    with open(find_run(asked).checkpoint.prefix + ".data-00000-of-00001", "r+b") as file:
        file.seek(100)
        file.write(b"damage")
    assert find_run(asked).checkpoint.step == 5
    assert "skipped" in capsys.readouterr().out
