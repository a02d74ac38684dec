"""What comes from outside is read from regular files only: a pipe blocks, a device never ends."""

import os
import re

import pytest

from config import Config
from devices import located_json
from fetching.verify import file_fault, lmdb_fault
from flags_file import read_options
from options import UserError
from system import regular_file


@pytest.fixture(params=["pipe", "device", "folder", "link to a pipe"])
def irregular(tmp_path, request):
    """The path of something that is no regular file, named FLAGS.json."""
    path = str(tmp_path / "FLAGS.json")
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        os.symlink("/dev/zero", path)
    elif request.param == "folder":
        os.mkdir(path)
    else:
        os.mkfifo(path + ".pipe")
        os.symlink(path + ".pipe", path)
    return path


def test_it_is_refused(irregular):
    for reading in (regular_file.open_regular, regular_file.read_text, lmdb_fault):
        with pytest.raises(OSError, match="not a regular file|Is a directory"):
            reading(irregular)


def test_as_options_of_a_run(irregular):
    """Seen: a FIFO named FLAGS.json hung every look-up of runs."""
    with pytest.raises(UserError, match=re.escape(irregular) + ": cannot be read"):
        read_options(irregular)


def test_as_a_mixlist(irregular):
    with pytest.raises(located_json.BadJson, match="cannot be read"):
        located_json.read(irregular)


def test_as_a_file_of_a_data_set(irregular):
    assert file_fault(irregular, "0" * 64) == "is not a regular file"


def test_a_link_to_a_regular_file_is_read(tmp_path):
    path = tmp_path / "real.json"
    path.write_text(Config(z_dim=7).to_json())
    os.symlink(str(path), str(tmp_path / "FLAGS.json"))
    assert read_options(str(tmp_path / "FLAGS.json"))["z_dim"] == 7
