"""Options: their JSON, their folder names, what may change in a run and what may not."""

import datetime
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import OPTIONS, Config
from config_checks import check_config
from flags_file import checked_options, read_options, saved_runs
from options import UserError


def test_json_goes_out_and_comes_back(tmp_path):
    config = Config(
        dataset="mnist", seed=7, class_names=("a", "b"), train_size=100, learning_rate=1
    )
    path = tmp_path / "FLAGS.json"
    path.write_text(config.to_json())
    assert Config(**read_options(str(path))) == config


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
        read_options(str(path))
    assert str(path) in str(error.value) and message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_saved_folder_is_never_followed():
    saved = {"out_dir": "/etc", "checkpoint_dir": "../..", "sample_dir": "/tmp/x", "z_dim": 7}
    config = Config(out_dir="/runs", out_name="a").with_saved(saved)
    assert config.z_dim == 7
    assert config.checkpoint_path == "/runs/a/checkpoint"
    assert config.sample_path == "/runs/a/samples"


def test_the_run_name_has_no_blanks():
    config = Config(dataset="my set/ü", output_height=28, output_width=30, channels=1)
    name = config.default_name(datetime.datetime(2020, 1, 2, 3, 4, 5))
    assert name == "my_set_ü-28x30x1-z100-b64-20200102-030405"


@pytest.mark.parametrize(
    "dataset, name", [("./faces", "faces"), ("../a.b/_c", "a.b__c"), ("..", "images")]
)
def test_no_run_is_a_hidden_folder(dataset, name):
    """Seen: --dataset=./faces was trained in ._faces-64x64..., where no run is looked for."""
    assert Config(dataset=dataset).default_name().split("-")[0] == name


def test_saved_runs_are_of_the_data_set_and_newest_first(tmp_path):
    for age, (name, dataset) in enumerate([("a", "mnist"), ("b", "mnist"), ("c", "celebA")]):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "FLAGS.json"
        path.write_text(json.dumps({"dataset": dataset}))
        os.utime(str(path), (1000 + age, 1000 + age))
    runs = saved_runs(Config(dataset="mnist", out_dir=str(tmp_path)))
    assert [name for name, _ in runs] == ["b", "a"]


def test_a_flags_file_that_cannot_be_read_is_skipped_with_a_warning(tmp_path, capsys):
    """Whatever data set it is of: damaged, without rights, a dangling link, a folder."""
    for name, content in (("good", '{"dataset": "mnist"}'), ("bad", "{"), ("odd", '{"z_dim": []}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "FLAGS.json").write_text(content)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "FLAGS.json").symlink_to("nowhere")
    (tmp_path / "folder" / "FLAGS.json").mkdir(parents=True)
    runs = saved_runs(Config(dataset="mnist", out_dir=str(tmp_path)))
    assert [name for name, _ in runs] == ["good"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all(line.endswith(": skipped") for line in lines)
    assert all(
        sum(name in line for line in lines) == 1 for name in ("bad", "odd", "link", "folder")
    )


def test_differences_name_both_values_and_leave_out_what_may_change(tmp_path):
    path = tmp_path / "FLAGS.json"
    path.write_text(Config(batch_size=64, epoch=2, seed=1).to_json())
    saved = read_options(str(path))
    asked = Config(batch_size=32, epoch=9, seed=1, out_name="other", log_freq=5)
    assert asked.differences(saved) == [("batch_size", 64, 32)]


@pytest.mark.parametrize(
    "change, flag",
    [
        (dict(train=True, freeze=True), "--freeze"),
        (dict(resume=True), "--resume"),
        (dict(pad=True), "--pad"),
        (dict(init_optimizers=True), "--init_optimizers"),
        (dict(iterations_per_loop=3), "--sample_freq"),
        (dict(iterations_per_loop=10, fused_step=False), "--iterations_per_loop"),
    ],
)
def test_options_that_do_not_go_together(change, flag):
    with pytest.raises(UserError) as error:
        check_config(Config(**change))
    assert flag in str(error.value)


def accepted(option):
    """Texts around an option's bounds and choices, and any other, as a command line has them."""
    numbers = [bound for bound in (option.declared.low, option.declared.high) if bound is not None]
    return st.one_of(
        st.sampled_from(
            [*map(str, numbers), *option.declared.choices, "inf", "nan", "", "1e400", "²"]
        ),
        st.integers().map(str),
        st.floats().map(repr),
        st.text(max_size=30),
    )


@pytest.mark.parametrize("name", [name for name in OPTIONS if OPTIONS[name].kind is not tuple])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_the_command_line_takes_flags_json_takes(name, data):
    option = OPTIONS[name]
    text = data.draw(accepted(option))
    value = text == "True" if option.kind is bool else None
    if option.kind is not bool:
        try:
            value = option.parse(text)
        except ValueError as error:
            assert "\n" not in str(error)
            return
    saved = json.loads(Config(**{name: value}).to_json())
    assert checked_options(saved, "x")[name] == value


def test_every_option_is_declared_whole():
    for name, option in OPTIONS.items():
        assert option.section
        assert option.declared.help or not option.flag, name
        assert option.kind not in (int, float) or None not in (
            option.declared.low,
            option.declared.high,
        ), name
