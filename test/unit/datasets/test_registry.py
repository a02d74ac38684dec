"""The data sets as the command line sees them: names, paths, refusals."""

import os
import subprocess
import sys

import image_files
import pytest

import main
from config import Config
from config_checks import check_config
from datasets.registry import DATASETS, open_dataset
from options import UserError


@pytest.fixture
def flags():
    """Parses a command line anew each time, as a fresh process does."""
    from absl import flags as absl_flags

    def parse(*arguments):
        values = absl_flags.FlagValues()
        main.define_flags(values)
        values(["main.py"] + list(arguments))
        return main.config_from_flags(values)

    return parse


def test_data_path_names_the_set_unless_dataset_does(flags, tmp_path):
    folder = str(tmp_path / "my faces")
    assert flags("--data_path=" + folder).dataset == "my faces"
    assert flags("--data_path=" + folder + "/").dataset == "my faces"
    assert flags("--data_path=" + folder, "--dataset=celebA").dataset == "celebA"
    assert flags().dataset == Config().dataset
    assert flags("--data_path=/").dataset == Config().dataset


def test_cache_is_a_word_or_an_absolute_path(flags, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert [flags("--cache=" + word).cache for word in ("auto", "off")] == ["auto", "off"]
    assert flags("--cache=packed").cache == str(tmp_path / "packed")
    assert flags("--cache=~/packed").cache == os.path.expanduser("~/packed")


def test_every_data_set_is_in_the_help():
    help_text = main.flags.FlagValues()
    main.define_flags(help_text)
    assert all(name in help_text["dataset"].help for name in DATASETS)


def test_celeba_in_the_data_folder_is_found(tmp_path, monkeypatch):
    image_files.write(tmp_path / "made" / "000001.jpg", image_files.colors(218, 178))
    asked = []
    monkeypatch.setattr(
        "download.ensure", lambda *what: asked.append(what) or str(tmp_path / "made")
    )
    config, dataset = open_dataset(Config(dataset="celebA", data_dir=str(tmp_path), cache="off"))
    assert asked == [("celebA", str(tmp_path))] and dataset.num_examples == 1
    assert (config.output_height, config.output_width, config.channels) == (64, 64, 3)


def test_a_folder_given_as_a_set_is_answered_with_the_flag(tmp_path, monkeypatch, few_images):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--data_path=few/ trains on the images there"):
        open_dataset(Config(dataset="few/", data_dir=str(tmp_path / "data")))
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UserError, match=f"--dataset=few is the folder {few_images}"):
        open_dataset(Config(dataset="few/", data_dir=str(tmp_path)))


def test_the_set_that_nobody_named_is_said_before_it_is_fetched(tmp_path, monkeypatch, capsys):
    image_files.write(tmp_path / "made" / "000001.jpg", image_files.colors(218, 178))
    said = []

    def ensure(*unused):
        said.append(capsys.readouterr().out)
        return str(tmp_path / "made")

    monkeypatch.setattr("download.ensure", ensure)
    config = Config(data_dir=str(tmp_path / "data"), cache="off")
    open_dataset(config)
    open_dataset(config.replace(given=frozenset(["dataset"])))
    assert "fetching celebA, 1.4 GB" in said[0] and "mnist (12 MB)" in said[0]
    assert "fetching" not in said[1]


def test_numbers_and_names_of_classes_are_said(tmp_path, capsys):
    for name in ("dog", "cat"):
        image_files.write(tmp_path / name / "1.png", image_files.colors(9, 7))
    open_dataset(Config(dataset="x", data_path=str(tmp_path), labels="folder", cache="off"))
    assert "classes: 0 cat, 1 dog\n" in capsys.readouterr().out
    open_dataset(Config(dataset="x", data_path=str(tmp_path), cache="off"))
    assert "classes:" not in capsys.readouterr().out


def test_a_crops_size_without_crop_is_warned_of(tmp_path, capsys):
    image_files.write(tmp_path / "1.png", image_files.colors(70, 80))
    config = Config(
        dataset="x",
        data_path=str(tmp_path),
        cache="off",
        input_height=66,
        output_height=64,
        given=frozenset(["input_height"]),
    )
    for quiet in (
        config.replace(input_height=64),
        config.replace(crop=True),
        config.replace(given=frozenset()),
    ):
        open_dataset(quiet)
        assert "--input_height" not in capsys.readouterr().err
    open_dataset(config)
    assert "--input_height: 66 has no effect without --crop" in capsys.readouterr().err


def test_a_failed_download_is_the_users_line(tmp_path, monkeypatch):
    import download

    def ensure(*unused):
        raise download.DownloadError("celebA: nothing answered")

    monkeypatch.setattr(download, "ensure", ensure)
    with pytest.raises(UserError, match="^celebA: nothing answered$"):
        open_dataset(Config(dataset="celebA", data_dir=str(tmp_path)))


@pytest.fixture
def few_images(tmp_path):
    """A folder `few` of three small images beside an empty one."""
    for number in range(3):
        image_files.write(tmp_path / "few" / f"{number}.png", image_files.colors(9, 7))
    (tmp_path / "empty").mkdir()
    return str(tmp_path / "few")


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--dataset=nowhere"], "--dataset: 'nowhere' is none of"),
        (["--dataset=few/"], "--dataset: 'few/' is none of"),
        (["--data_path={folder}/missing"], "--data_path: there is no folder"),
        (["--data_path={folder}/empty"], "--data_path: no images"),
        (
            ["--data_path={folder}/few", "--input_fname_pattern=*.tif"],
            "--input_fname_pattern: '*.tif'",
        ),
        (
            ["--data_path={folder}/few"],
            "--batch_size: 64 x 1 rank(s) is more than the 3 images of few",
        ),
        (
            ["--data_path={folder}/few", "--crop", "--input_height=108"],
            "--crop: 0.png is 9x7, smaller",
        ),
        (
            ["--data_path={folder}/few", "--max_bad_files=some"],
            "--max_bad_files: 'some' is neither",
        ),
        (["--data_path={folder}/few", "--labels=folder"], "--labels: 0.png is in no sub-folder"),
        (["--data_path={folder}/few", "--channels=2"], "--channels: 1 (gray) or 3 (color), not 2"),
    ],
)
def test_a_user_error_is_one_line(arguments, part, tmp_path, flags, few_images):
    arguments = [argument.format(folder=tmp_path) for argument in arguments]
    with pytest.raises(UserError) as error:
        config = flags(
            "--train",
            "--out_dir=" + str(tmp_path / "out"),
            "--data_dir=" + str(tmp_path),
            *arguments,
        )
        check_config(config)
        main.run(config)
    assert str(error.value).startswith(part) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_user_error_exits_with_2(tmp_path, few_images):
    done = subprocess.run(
        [
            sys.executable,
            main.__file__,
            "--train",
            "--data_path=" + few_images,
            "--crop",
            "--input_height=108",
            "--out_dir=" + str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("main.py: --crop: 0.png is 9x7")
    assert "Traceback" not in done.stderr


def test_a_set_smaller_than_its_output_is_opened_again_with_its_own_sizes(tmp_path):
    """As an evaluation and --config do, with what the first opening filled in."""
    folder = tmp_path / "set"
    image_files.write(folder / "0.png", image_files.colors(48, 100))
    asked = Config(dataset="set", data_path=str(folder), cache="off")
    config, first = open_dataset(asked)
    assert (config.output_height, config.output_width) == (64, 64)
    again, second = open_dataset(config)
    assert again.output_height == 64
    assert (first.read([0])[0] == second.read([0])[0]).all()
    assert open_dataset(asked.replace(input_height=40))[0].output_height == 64


def test_options_of_other_sets_are_warned_of(capsys):
    given = frozenset(["mnist_split", "category"])
    open_dataset(Config(dataset="synthetic", mnist_split="train", category="tower", given=given))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"--{name}: has no effect on synthetic" for name in ("mnist_split", "category")
    ]
