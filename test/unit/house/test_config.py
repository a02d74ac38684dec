"""Options: their JSON, their folder names, what may change in a run and what may not."""

import datetime
import json
import os

import pytest

import config as options
from config import Config, UserError


def test_json_goes_out_and_comes_back(tmp_path):
    config = Config(
        dataset="mnist", seed=7, class_names=("a", "b"), train_size=100, learning_rate=1
    )
    path = tmp_path / "FLAGS.json"
    path.write_text(options.to_json(config))
    assert Config(**options.read_options(str(path))) == config


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "cannot be read"),
        ("[1]", "not a JSON object"),
        ("[" * 100000, "cannot be read"),
        ('{"z_dim": "100"}', "z_dim"),
        ('{"z_dim": true}', "z_dim"),
        ('{"z_dim": 1e400}', "z_dim"),
        ('{"gf_dim": 1000000000}', "gf_dim"),
        ('{"output_height": -1}', "output_height"),
        ('{"architecture": "../x"}', "architecture"),
        ('{"z_dist": "normal"}', "z_dist"),
        ('{"class_names": [1]}', "class_names"),
        ('{"out_name": ["a"]}', "out_name"),
    ],
)
def test_a_wrong_options_file_is_named(tmp_path, content, message):
    path = tmp_path / "FLAGS.json"
    path.write_text(content)
    with pytest.raises(UserError) as error:
        options.read_options(str(path))
    assert str(path) in str(error.value) and message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_saved_folder_is_never_followed():
    saved = {"out_dir": "/etc", "checkpoint_dir": "../..", "sample_dir": "/tmp/x", "z_dim": 7}
    config = options.with_run_options(Config(out_dir="/runs", out_name="a"), saved)
    assert config.z_dim == 7
    assert options.checkpoint_dir(config) == "/runs/a/checkpoint"
    assert options.sample_dir(config) == "/runs/a/samples"


def test_the_run_name_has_no_blanks():
    config = Config(dataset="my set/ü", output_height=28, output_width=30, channels=1)
    name = options.run_name(config, datetime.datetime(2020, 1, 2, 3, 4, 5))
    assert name == "my_set_ü-28x30x1-z100-b64-20200102-030405"


def test_saved_runs_are_of_the_data_set_and_newest_first(tmp_path):
    for age, (name, dataset) in enumerate([("a", "mnist"), ("b", "mnist"), ("c", "celebA")]):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "FLAGS.json"
        path.write_text(json.dumps({"dataset": dataset}))
        os.utime(str(path), (1000 + age, 1000 + age))
    runs = options.saved_runs(Config(dataset="mnist", out_dir=str(tmp_path)))
    assert [name for name, _ in runs] == ["b", "a"]


def test_differences_name_both_values_and_leave_out_what_may_change(tmp_path):
    path = tmp_path / "FLAGS.json"
    path.write_text(options.to_json(Config(batch_size=64, epoch=2, seed=1)))
    saved = options.read_options(str(path))
    asked = Config(batch_size=32, epoch=9, seed=1, out_name="other", log_freq=5)
    assert options.differences(asked, saved) == [("batch_size", 64, 32)]


def test_every_field_that_may_change_exists():
    assert set(Config._fields) >= options.FREE_TO_CHANGE


@pytest.mark.parametrize(
    "change, flag",
    [
        (dict(train=True, freeze=True), "--freeze"),
        (dict(resume=True), "--resume"),
        (dict(pad=True), "--pad"),
        (dict(iterations_per_loop=3), "--sample_freq"),
        (dict(iterations_per_loop=10, fused_step=False), "--iterations_per_loop"),
    ],
)
def test_options_that_do_not_go_together(change, flag):
    with pytest.raises(UserError) as error:
        options.check(Config(**change))
    assert flag in str(error.value)
