"""The input monitor: how long a step waited for its batch, and why there is none."""

import numpy as np
import pytest

import checkpoint
import utils
from config import Config
from datasets import input_monitor, pipeline
from datasets.registry import open_dataset
from devices.device import open_device
from devices.ranks import SINGLE_PROCESS
from options import UserError
from training import loop, run_folder

SMALL = Config(
    dataset="synthetic",
    output_height=16,
    batch_size=8,
    z_dim=4,
    gf_dim=2,
    df_dim=2,
    sample_num=4,
    epoch=1,
    train_size=48,
    seed=3,
    train=True,
    progress="off",
)


@pytest.fixture
def clock(monkeypatch):
    """Sets what `time.perf_counter` says in the pipeline."""

    def set_to(seconds):
        monkeypatch.setattr(input_monitor.time, "perf_counter", lambda: seconds)

    return set_to


def test_the_share_of_a_step_that_was_waited(clock):
    monitor = input_monitor.InputMonitor()
    monitor.start(step=5, stream=1)
    for now, step in ((100.0, 5), (103.0, 6), (113.0, 7)):
        clock(now)
        monitor.ready(step, 1)
    clock(104.0)
    assert monitor.share_waited(started=101.0) == 0  # it was ready before it was needed
    assert monitor.share_waited(started=102.0) == 0.5  # 102 .. 103 of 102 .. 104
    assert monitor.share_waited(started=102.0) == 1  # never more than all of it


def test_a_restart_forgets_what_was_ready(clock):
    monitor = input_monitor.InputMonitor()
    monitor.start(step=0, stream=0)
    clock(3.0)
    monitor.ready(0, 0)
    monitor.start(step=0, stream=1)
    monitor.ready(1, 0)  # a thread of the stream before
    clock(9.0)
    monitor.ready(0, 1)
    clock(10.0)
    assert monitor.share_waited(started=8.0) == 0.5


def test_only_the_next_steps_failure_is_raised():
    monitor = input_monitor.InputMonitor()
    monitor.start(step=0, stream=0)
    monitor.failed(1, 0, UserError("gone"))
    monitor.raise_failure()
    monitor.share_waited(started=0.0)
    with pytest.raises(input_monitor.InputError, match="^gone$"):
        monitor.raise_failure()


@pytest.mark.slow
def test_input_that_fails_ends_the_run_in_one_line_and_keeps_its_work(graph, tmp_path, monkeypatch):
    del graph
    config, dataset = open_dataset(SMALL.replace(out_dir=str(tmp_path), out_name="run"))
    fatal = set(pipeline.batch_indices(dataset, 4, config=config))
    sound_read = dataset.read

    def read(indices):
        if fatal.issuperset(indices):
            raise UserError("--max_bad_files: enough")
        return sound_read(indices)

    monkeypatch.setattr(dataset, "read", read)
    device = open_device(config)
    with run_folder.open_run_folder(config, dataset, SINGLE_PROCESS, device=device) as (
        config,
        lock,
    ), pytest.raises(UserError, match="^--max_bad_files: enough$"):
        loop.train(config, dataset, device, ranks=SINGLE_PROCESS, lock=lock)
    found = checkpoint.newest(config.checkpoint_path, warn=pytest.fail)
    assert found.step == 4
    lines = list(utils.read_json_lines(str(tmp_path / "run" / "metrics.jsonl")))
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(0 <= line["input_wait"] <= 1 for line in lines)
    assert np.isfinite([line["d_loss"] for line in lines]).all()
