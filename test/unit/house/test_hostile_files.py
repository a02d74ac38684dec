"""Numbers that no sane program writes, in the files of a run: skipped, or one line."""

import json
import os
import re
import time

import numpy as np
import pytest

import checkpoint
import utils
from config import OPTIONS, Config
from flags_file import read_options
from options import UserError
from training import checkpointer, curves, throughput

NUMBERS = ["9" * 400, "-" + "9" * 400, "1e308", "-1e308", "1e999", "NaN", "-1", "0.5", "true", "[]"]
SOUND = '{"step": %d, "epoch": 0, "seconds": %d, "ranks": 1, "d_loss": 1.5, "g_loss": 2.5}\n'


@pytest.mark.parametrize("number", NUMBERS)
def test_every_option_of_a_flags_file(tmp_path, number):
    """Seen: an OverflowError from a number of 400 digits."""
    path = tmp_path / "FLAGS.json"
    refused = 0
    for name in OPTIONS:
        path.write_text(json.dumps({name: 0})[:-2] + number + "}")
        try:
            read_options(str(path))
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and name in str(error) and len(str(error)) < 1000
    assert refused > 10


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["step", "epoch", "seconds", "ranks", "d_loss"])
def test_every_field_of_a_metrics_file(tmp_path, field, number):
    line = json.loads(SOUND % (2, 2))
    hostile = json.dumps(dict(line, **{field: "@"})).replace('"@"', number) + "\n"
    (tmp_path / "metrics.jsonl").write_text(SOUND % (1, 1) + hostile + SOUND % (3, 3))
    (tmp_path / "FLAGS.json").write_text(Config(batch_size=4).to_json())
    throughput.of_run(str(tmp_path))
    points = curves.read(str(tmp_path), ["d_loss"])
    steps, losses = points["d_loss"]
    assert steps[-1] == 3 and np.isfinite(np.ptp(losses)) and np.isfinite(np.ptp(steps))


@pytest.mark.parametrize("number", ["9" * 400, "-1", "0"])
def test_the_batch_size_of_a_flags_file(tmp_path, number):
    (tmp_path / "metrics.jsonl").write_text("".join(SOUND % (step, step) for step in range(9)))
    (tmp_path / "FLAGS.json").write_text(f'{{"batch_size": {number}}}')
    assert throughput.of_run(str(tmp_path)) is None


@pytest.mark.parametrize("name, value", [("draw", 10**400), ("ranks", -1), ("offset", -(10**400))])
def test_the_state_of_a_manifest(name, value):
    state = {"seconds": 1.5, "draw": 0, "offset": 0, "ranks": 1, name: value}
    with pytest.raises(UserError, match="does not say where the run"):
        checkpointer._read_state(checkpoint.Checkpoint("p", 3, state))


def test_the_state_of_a_run_that_went_on_with_fewer_ranks():
    state = {"seconds": 1.5, "draw": 0, "offset": -6, "ranks": 1}
    progress, ranks = checkpointer._read_state(checkpoint.Checkpoint("p", 6, state))
    assert (progress.offset, progress.data_step, ranks) == (-6, 12, 1)


@pytest.mark.parametrize("step", [10**400, -1])
def test_the_step_of_a_manifest(tmp_path, step):
    prefix = str(tmp_path / f"DCGAN.model-{step}"[:60])
    parts = {part: {} for part in checkpoint._PARTS}
    checkpoint._write_manifest(prefix, {"step": step, "state": {}, "files": parts})
    open(prefix + ".index", "w").close()
    lines = []
    assert checkpoint.kept(str(tmp_path), warn=lines.append) == []
    assert len(lines) == 1 and re.search("not a checkpoint.s manifest: skipped", lines[0])


def test_unfinished_files_of_killed_processes_are_removed(tmp_path):
    for name in (".partial-old", ".partial-new", "kept"):
        (tmp_path / name).write_text("x")
    for name in (".partial-old", "kept"):
        os.utime(str(tmp_path / name), (time.time() - 3600,) * 2)
    utils.clear_partial(str(tmp_path))
    assert sorted(os.listdir(str(tmp_path))) == [".partial-new", "kept"]
