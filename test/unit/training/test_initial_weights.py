"""--init_from: a new run that starts from another one's weights."""

import json
import os
import shutil

import numpy as np
import pytest
from final_states import assert_equal_runs, final_state
from programs import ONE_THREAD, SMALL, parsed, train_here
from small_runs import make_run
from suite import others_slow

import main
from config import Config
from options import UserError
from training.initial_weights import check_initial_run

ARGUMENTS = ["--train_size=32", "--seed=1", *ONE_THREAD]
# One step whose rates are 0 leaves the weights as they were.
FROZEN = ["--learning_rate=0", "--d_learning_rate=0", "--train_size=16", "--epoch=1"]


def train_from(folder, name, *arguments):
    config = parsed(
        "--train", f"--out_dir={folder}", f"--out_name={name}", *SMALL, *ARGUMENTS, *arguments
    )
    return main.run(config)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    assert train_here(folder, *ARGUMENTS, "--epoch=2")[0] == 0
    return folder


def weights(values):
    names = [name for name in values if name.endswith(("/w", "/Matrix", "/biases", "/gamma"))]
    assert len(names) > 8
    return {name: values[name] for name in names if "Adam" not in name}


@pytest.mark.parametrize("by_name", others_slow(True, False))
def test_the_weights_are_the_other_runs(first, tmp_path, by_name, capsys):
    _, before = final_state(first)
    other = "run" if by_name else str(first / "run")
    where = first if by_name else tmp_path
    assert train_from(where, "new", f"--init_from={other}", *FROZEN) == 0
    assert f"weights of step 4 of {first / 'run'}" in capsys.readouterr().out
    step, after = final_state(where, "new")
    assert step == 1
    for name, value in weights(before).items():
        assert np.array_equal(after[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("taken", [True, False])
def test_the_optimizers_are_fresh_unless_they_are_asked_for(first, tmp_path, taken):
    _, before = final_state(first)
    flags = ["--init_optimizers"] if taken else []
    train_from(tmp_path, "new", f"--init_from={first / 'run'}", *FROZEN, *flags)
    _, after = final_state(tmp_path, "new")
    (name,) = [name for name in before if name.endswith("d_optim/beta1_power")]
    assert after[name] == pytest.approx(before[name] * 0.5 if taken else 0.5**2)


def test_other_networks_are_refused_before_a_folder_is_made(first, tmp_path):
    with pytest.raises(UserError, match=r"--gf_dim: --init_from .* gf_dim is 4, not 6"):
        train_from(tmp_path, "new", f"--init_from={first / 'run'}", "--gf_dim=6")
    with pytest.raises(UserError, match="--dataset: --init_from .* architecture is mnist"):
        train_from(tmp_path, "new", f"--init_from={first / 'run'}", "--dataset=synthetic")
    with pytest.raises(UserError, match="--init_from: 'nothing' is neither a run in"):
        train_from(tmp_path, "new", "--init_from=nothing")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "there, here, fits",
    [
        (dict(architecture="image"), dict(gfc_dim=7, d_h0_dim=9), True),
        (dict(architecture="image"), dict(df_dim=7), False),
        (dict(architecture="mnist"), dict(g_h2_dim=128, d_h1_dim=74), True),
        (dict(architecture="mnist", d_h1_dim=74), dict(d_h1_dim=None), True),
        (dict(architecture="mnist"), dict(g_h2_dim=64), False),
        (dict(architecture="mnist"), dict(gfc_dim=7), False),
        (dict(architecture="mnist"), dict(df_dim=7), False),
    ],
)
def test_what_counts_is_the_networks(first, tmp_path, there, here, fits):
    """Seen: a width of the other pair, or the default given by its number, was refused."""
    sizes = dict(channels=1, num_classes=10, output_height=28, output_width=28)
    shutil.copytree(first / "run" / "checkpoint", tmp_path / "run" / "checkpoint")
    (tmp_path / "run" / "FLAGS.json").write_text(Config(**sizes, **there).to_json())
    config = Config(**sizes, **there, out_dir=str(tmp_path), init_from="run")
    if fits:
        check_initial_run(config.replace(**here))
    else:
        with pytest.raises(UserError, match=f"^--{list(here)[0]}: --init_from needs"):
            check_initial_run(config.replace(**here))


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_its_own_checkpoint(first, tmp_path):
    other = f"--init_from={first / 'run'}"
    train_from(tmp_path / "whole", "run", other, "--epoch=2")
    train_from(tmp_path / "parts", "run", other, "--epoch=1")
    train_from(tmp_path / "parts", "run", other, "--epoch=2")
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_there_again(first, tmp_path):
    other = f"--init_from={first / 'run'}"
    train_from(tmp_path / "whole", "run", other, "--epoch=1")
    train_from(tmp_path / "parts", "run", other, "--epoch=1")
    shutil.rmtree(tmp_path / "parts" / "run" / "checkpoint")
    train_from(tmp_path / "parts", "run", "--epoch=1")
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    saved = json.loads((tmp_path / "parts" / "run" / "FLAGS.json").read_text())
    assert saved["init_from"] == str(first / "run")


def test_a_run_without_checkpoints_is_refused_before_a_folder_is_made(first, tmp_path):
    shutil.copytree(first / "run", tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "checkpoint")
    with pytest.raises(UserError, match="--init_from: there is no checkpoint in .*other"):
        train_from(tmp_path, "new", f"--init_from={tmp_path / 'other'}")
    assert os.listdir(tmp_path) == ["other"]


@pytest.mark.slow
def test_optimizers_that_are_not_there_are_not_passed_over(tmp_path, capsys):
    make_run(tmp_path, "mnist", name="weights", z_dim=8)
    with pytest.raises(UserError, match="--init_from: .* none of which can be used"):
        train_from(tmp_path, "new", "--init_from=weights", "--init_optimizers")
    assert "_optim/" in capsys.readouterr().err
    assert train_from(tmp_path, "other", "--init_from=weights", "--epoch=1") == 0
