"""What comes from outside is read from regular files only: a pipe blocks, a device never ends."""

import contextlib
import os
import re

import numpy as np
import pytest

import utils
from config import METRICS_FILE, RESULTS_FILE, Config
from devices import located_json
from devices.ranks import SINGLE_PROCESS
from fetching.verify import file_fault, lmdb_fault
from flags_file import read_options
from inference import results
from options import UserError
from system import regular_file
from system.arrays import read_arrays
from training import curves, report, throughput
from training.progress import Progress


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


def with_name(irregular, name):
    """The folder of the irregular file, which is named so now."""
    folder = os.path.dirname(irregular)
    os.rename(irregular, os.path.join(folder, name))
    return folder


def test_as_the_metrics_of_a_training(irregular, capsys):
    """Seen: a FIFO named metrics.jsonl hung the training, the report page and the launcher."""
    folder = with_name(irregular, METRICS_FILE)
    assert throughput.of_run(folder) is None
    assert curves.read(folder, ["d_loss"]) == {"d_loss": ((), ())}
    with pytest.raises(OSError, match="not a regular file|Is a directory"):
        list(utils.read_json_lines(os.path.join(folder, METRICS_FILE)))
    config = Config(out_dir=os.path.dirname(folder), out_name=os.path.basename(folder))
    report.open_reporter(config, Progress(), steps_per_epoch=4, ranks=SINGLE_PROCESS)
    assert "metrics.jsonl: cannot be written" in capsys.readouterr().err


def test_as_the_options_that_the_launcher_reads(irregular):
    (open(os.path.join(os.path.dirname(irregular), METRICS_FILE), "w")).close()
    assert throughput.of_run(os.path.dirname(irregular)) is None


def test_as_the_results_of_an_evaluation(irregular):
    folder = with_name(irregular, RESULTS_FILE)
    with pytest.raises(UserError, match="metrics.json: cannot be read"):
        results.read(folder)


def test_as_arrays(irregular):
    with pytest.raises(OSError, match="not a regular file|Is a directory"):
        read_arrays(irregular)


def test_as_a_lock(irregular):
    """Seen: a FIFO named .lock hung the training."""
    folder = with_name(irregular, ".lock")
    with contextlib.suppress(OSError):
        utils.lock_folder(folder).close()


def test_arrays_that_are_damaged(tmp_path):
    """Seen: a truncated dump was a BadZipFile's traceback in --compare."""
    path = str(tmp_path / "dump.npz")
    np.savez_compressed(path, weights=np.arange(1000.0), steps=np.arange(5))
    with open(path, "rb") as file:
        sound = file.read()
    random, sums = np.random.RandomState(0), 0
    for number in range(300):
        damaged = bytearray(sound[: random.randint(len(sound))] if number % 3 == 0 else sound)
        for _ in range(random.randint(1, 4) if number % 3 else 0):
            damaged[random.randint(len(damaged))] ^= 1 << random.randint(8)
        with open(path, "wb") as file:
            file.write(damaged)
        with contextlib.suppress(OSError, ValueError):
            sums += len(read_arrays(path)) > 0
    assert sums < 100
    np.save(path, np.arange(3))
    os.rename(path + ".npy", path)
    with pytest.raises(ValueError, match="not an .npz"):
        read_arrays(path)
