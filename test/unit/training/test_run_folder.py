"""A run's folder: its name, its seed, its FLAGS.json, the options of a run that is there."""

import json
import os
import shutil

import pytest
from small_runs import DATASETS, SMALL, give, make_run

import kernels
from config import Config
from datasets.registry import open_dataset
from devices.cpu import CpuDevice
from devices.ranks import SINGLE_PROCESS, Ranks
from options import UserError
from training.run_folder import _check_same, open_run_folder, with_saved_decoding
from training.run_lock import RunLock

ASKED = Config(train=True, dataset="synthetic", output_height=16, batch_size=4, seed=3)


def opened(folder, **changes):
    """The config of a run whose folder is opened in `folder` and closed again."""
    config, dataset = open_dataset(ASKED.replace(out_dir=str(folder), **changes))
    with open_run_folder(config, dataset, SINGLE_PROCESS, device=CpuDevice(config)) as (config, _):
        assert os.path.exists(os.path.join(config.run_dir, "FLAGS.json"))
        return config


def test_runs_without_a_name_get_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "default_name", lambda config: "run")
    assert [opened(tmp_path).out_name for _ in range(3)] == ["run", "run-0", "run-1"]


def test_the_default_name_says_what_is_trained(tmp_path):
    assert opened(tmp_path).out_name.startswith("synthetic-16x16x3-z100-b4-")


def test_a_seed_is_drawn_once_and_kept(tmp_path):
    first = opened(tmp_path, out_name="run", seed=None)
    assert opened(tmp_path, out_name="run", seed=None).seed == first.seed
    assert json.loads((tmp_path / "run" / "FLAGS.json").read_text())["seed"] == first.seed


def test_a_run_of_other_options_is_refused(tmp_path):
    opened(tmp_path, out_name="run")
    with pytest.raises(UserError, match="^--z_dim: the run in .*run has 100, not 9; give that, or"):
        opened(tmp_path, out_name="run", z_dim=9)
    opened(tmp_path, out_name="run", epoch=99)


def test_an_option_that_an_older_run_does_not_name_had_its_default(tmp_path):
    opened(tmp_path, out_name="run")
    path = tmp_path / "run" / "FLAGS.json"
    saved = json.loads(path.read_text())
    assert saved.pop("blur") == 0 and saved.pop("num_examples") > 0
    path.write_text(json.dumps(saved))
    with pytest.raises(
        UserError, match="^--blur: the run in .*run has 0.0, not 0.7; give that, or"
    ):
        opened(tmp_path, out_name="run", blur=0.7)
    assert opened(tmp_path, out_name="run").blur == 0


def test_a_rank_with_other_data_names_a_flag_that_there_is():
    config = ASKED.replace(num_examples=8)
    _check_same(config, config.as_dict(), Ranks(1, 2))
    with pytest.raises(UserError, match="^--dataset: num_examples: rank 1 has 8, rank 0 has 9$"):
        _check_same(config, dict(config.as_dict(), num_examples=9), Ranks(1, 2))


def test_a_run_with_checkpoints_does_not_begin_from_another_one(tmp_path):
    make_run(tmp_path, "image", name="first")
    make_run(tmp_path, "image", name="run")
    asked = Config(**dict(SMALL, **DATASETS["image"]), train=True, out_dir=str(tmp_path))
    config, dataset = open_dataset(give(asked, out_name="run", init_from="first"))
    device = CpuDevice(config)
    with pytest.raises(
        UserError, match="^--init_from: the run in .*run goes on from its own check"
    ), open_run_folder(config, dataset, SINGLE_PROCESS, device=device):
        pass


def test_the_folder_is_held_while_it_is_open(tmp_path):
    config, dataset = open_dataset(ASKED.replace(out_dir=str(tmp_path), out_name="run"))
    with open_run_folder(config, dataset, SINGLE_PROCESS, device=CpuDevice(config)), pytest.raises(
        UserError, match="^--out_name: another process is training in "
    ):
        opened(tmp_path, out_name="run")


def test_a_lock_outlives_the_removal_of_its_folder(tmp_path):
    folder = str(tmp_path / "run")
    with RunLock() as first, RunLock() as second:
        first.take(folder)
        shutil.rmtree(folder)
        first.check()
        with pytest.raises(UserError, match="^--out_name: another process is training in "):
            second.take(folder)
        first.check()
        shutil.rmtree(folder)
        second.take(folder)
        with pytest.raises(UserError, match="^--out_name: .* was removed, and another process"):
            first.check()


def test_a_run_whose_checkpoints_are_elsewhere_is_not_begun_anew(tmp_path):
    """Seen: main.py --train with the --out_dir and --out_name of a launch script's run."""
    elsewhere = str(tmp_path / "ckpt")
    opened(tmp_path, out_name="run", checkpoint_dir=elsewhere)
    with pytest.raises(UserError, match="^--checkpoint_dir: the run in .*run saved .* in .*ckpt; "):
        opened(tmp_path, out_name="run")
    opened(tmp_path, out_name="run", checkpoint_dir=elsewhere)
    opened(tmp_path, out_name="run", given=frozenset(["checkpoint_dir"]))


def test_resuming_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="^--resume: there is no run in .*typo"):
        opened(tmp_path, out_name="typo", resume=True)
    assert not (tmp_path / "typo").exists()
    opened(tmp_path, out_name="run")
    opened(tmp_path, out_name="run", resume=True)


def test_a_folder_of_checkpoints_in_a_run_is_held_too(tmp_path):
    """Another run may name it as its --checkpoint_dir."""
    opened(tmp_path, out_name="a")
    with RunLock() as lock:
        lock.take(str(tmp_path / "a" / "checkpoint"))
        with pytest.raises(UserError, match="another process is training in .*checkpoint"):
            opened(tmp_path, out_name="a")


def test_the_kernels_of_a_run_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "_likely", lambda: "native")
    monkeypatch.setattr(kernels.tf, "__version__", "1.15.5")
    assert opened(tmp_path, out_name="run").kernels == "native"
    monkeypatch.setattr(kernels, "_likely", lambda: "cpu")
    assert opened(tmp_path, out_name="run").kernels == "native"
    given = dict(out_name="run", kernels="onednn", given=frozenset(["kernels"]))
    assert opened(tmp_path, **given).kernels == "onednn"
    assert opened(tmp_path, out_name="another").kernels == "cpu"


def test_a_run_goes_on_with_the_decoding_that_it_began_with(tmp_path):
    """Runs of versions without --exact_decode decoded every JPEG whole."""
    opened(tmp_path, out_name="new")
    path = tmp_path / "old" / "FLAGS.json"
    opened(tmp_path, out_name="old", z_dim=50)
    saved = json.loads(path.read_text())
    assert saved.pop("exact_decode") is False
    path.write_text(json.dumps(saved))

    def decoding(**changes):
        return with_saved_decoding(ASKED.replace(out_dir=str(tmp_path), **changes)).exact_decode

    assert decoding(out_name="old") and not decoding(out_name="new") and not decoding(out_name="no")
    assert decoding(resume=True, z_dim=50) and not decoding(resume=True) and not decoding(z_dim=50)
    given = frozenset(["exact_decode"])
    assert not decoding(out_name="old", z_dim=50, given=given)
    assert opened(tmp_path, out_name="old", z_dim=50, exact_decode=True).exact_decode
    with pytest.raises(UserError, match="^--exact_decode: the run in .*old has True, not False"):
        opened(tmp_path, out_name="old", z_dim=50, given=given)
