"""Any text after any flag: a config, or one line that names the flag; never anything else."""

import os
import string

import pytest
from hostile import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from config import OPTIONS, Config
from options import UserError

FLAGS = sorted(option.flag for option in OPTIONS.values() if option.flag)


def outcome(*arguments):
    """The `Config` of these arguments, or the line of the user error."""
    try:
        config = main.parse(["main.py", *arguments])
    except UserError as error:
        return str(error)
    assert isinstance(config, Config)
    return config


@pytest.mark.parametrize("flag", FLAGS)
def test_hostile_values(flag):
    """The two spellings, --flag=value and --flag value, in turn."""
    for number, value in enumerate(HOSTILE):
        arguments = [f"--{flag}={value}"] if number % 2 else [f"--{flag}", value]
        found = outcome(*arguments)
        assert isinstance(found, Config) or ("\n" not in found and len(found) < 500), arguments


@pytest.mark.slow
@given(
    st.sampled_from(FLAGS),
    st.sampled_from(["--", "-", "--no", "---", ""]),
    st.sampled_from(["=", " ", "", "=="]),
    st.one_of(st.text(max_size=30), st.text(string.printable, max_size=30), st.floats().map(str)),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_text_after_any_flag(flag, dashes, between, value):
    argument = dashes + flag + between + value
    try:
        found = outcome(argument)
    except SystemExit as done:  # --help, --version
        assert done.code == 0
    else:
        assert isinstance(found, Config) or "\n" not in found


NUMBERS = {option.flag: option for option in OPTIONS.values() if option.kind in (int, float)}


@pytest.mark.parametrize("flag", sorted(name for name in NUMBERS if name))
def test_every_number_has_bounds_that_hold(flag):
    declared = NUMBERS[flag].declared
    assert declared.low is not None and declared.high is not None
    for value in (declared.low - 1, declared.high + 1, 10**19, -(10**19)):
        found = outcome(f"--{flag}={value}")
        assert isinstance(found, str) and f"--{flag}" in found, value


TEXTS = sorted(o.flag for o in OPTIONS.values() if o.flag and o.kind is str and o.default != "")


@pytest.mark.parametrize("flag", TEXTS)
def test_an_empty_value_is_refused(flag):
    """Seen: --data_path= was the current folder, --seeds= drew something else."""
    assert "--" + flag in outcome(f"--{flag}=")


@pytest.mark.parametrize("flag", sorted(o.flag for o in OPTIONS.values() if o.kind is bool))
def test_a_negated_flag_takes_no_value(flag):
    """Seen: absl's ValueError."""
    assert flag in outcome(f"--no{flag}=true")


@pytest.mark.parametrize("spelling", ["--flagfile={}", "-flagfile={}", "--flagfile {}"])
def test_no_file_is_read_as_flags(tmp_path, spelling):
    """Seen: --flagfile=/bin/ls read the program as flags."""
    os.mkfifo(str(tmp_path / "flags"))
    arguments = spelling.format(tmp_path / "flags").split()
    assert "not a flag here" in outcome(*arguments)
    assert "not a flag here" in outcome("--undefok=epcoh", "--epcoh=3")


def test_a_working_folder_that_was_deleted(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert "was deleted" in outcome("--out_dir=x")
    assert "was deleted" in outcome()


def test_a_path_that_is_not_utf_8(tmp_path, monkeypatch):
    assert "must be UTF-8" in outcome("--out_dir=a\udcff")
    folder = os.fsencode(str(tmp_path)) + b"/\xff"
    os.mkdir(folder)
    monkeypatch.chdir(folder)
    assert "is not UTF-8" in outcome("--out_dir=x")
