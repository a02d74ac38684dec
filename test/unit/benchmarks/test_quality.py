"""benchmarks/quality.py: its commands, the checkpoints it keeps, its table."""

import os
import signal
import subprocess
import sys

import pytest
from launching import wait_for
from paths import ROOT
from small_runs import make_run, write_checkpoint

import checkpoint
import main
from datasets.registry import open_dataset
from flags_file import read_options
from inference import results
from options import UserError

sys.path.insert(0, os.path.join(ROOT, "benchmarks"))
import quality  # noqa: E402


def plan_of(tmp_path, *arguments):
    return quality.Plan(quality.parse([f"--out={tmp_path}", "--seeds=1,2", *arguments]))


@pytest.mark.parametrize("preset", ["reference", "paper_mnist", "best_mnist", "blurred_mnist"])
def test_the_commands_are_those_of_main(tmp_path, preset):
    plan = plan_of(tmp_path, f"--preset={preset}", "--held_out", "--", "--train_size=50000")
    config = main.parse(plan.train_command(1)[1:])
    assert (config.train, config.mnist_split, config.train_size) == (True, "train", 50000)
    assert plan.steps == {config.epoch: config.epoch * (50000 // config.batch_size)}
    assert f"--epoch={config.epoch}`" in quality.table(plan)[0]
    asked = main.parse(plan.evaluate_command(1)[1:])
    assert (asked.evaluate, asked.eval_split, asked.eval_samples) == ("all", "held_out", 50000)
    assert asked.batch_norm == config.batch_norm


def test_other_sets_and_flags_of_the_training(tmp_path):
    flags = ["--", "--g_updates=1", "--batch_size=100", "--data_dir=sets"]
    plan = plan_of(tmp_path, "--dataset=cifar10", "--measure=2", "--epochs=2", *flags)
    config = main.parse(plan.train_command(1)[1:])
    assert (config.dataset, config.g_updates, config.epoch) == ("cifar10", 1, 2)
    assert plan.steps == {2: 1000}
    assert plan.run_dir(1) == str(tmp_path / "reference-cifar10-seed1")
    assert main.parse(plan.evaluate_command(1)[1:]).data_dir == config.data_dir
    assert os.path.basename(config.data_dir) == "sets"
    text, _ = quality.table(plan)
    assert "| 2 | 0 | not measured | not measured |" in text
    assert "compared with the images of the set" in text


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--dataset=cifar10", "--held_out"], "--held_out: cifar10 is compared"),
        (["--dataset=lsun"], "invalid choice: 'lsun'"),
        (["--dataset=cifar10", "--samples=60000"], "--samples: at most 50000 of cifar10"),
        (["--epoch=5", "--measure=1"], "unrecognized arguments: --epoch=5"),
    ],
)
def test_what_cannot_be_measured_is_refused(capsys, arguments, reason):
    with pytest.raises(SystemExit):
        quality.parse(arguments)
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--", "--sedes=1"], "Unknown command line flag 'sedes'"),
        (["--", "--epoch=5"], "--epoch: cannot be given after --"),
        (["--", "--mnist_split=all"], "--mnist_split: cannot be given after --"),
        (["--measure=3", "--epochs=2"], "--measure: epoch 3 is beyond the 2 epochs"),
        (["--held_out"], "--held_out: needs a --train_size below 60000 after --"),
    ],
)
def test_what_the_training_may_not_have_is_one_line(capsys, tmp_path, arguments, reason):
    assert quality.main([f"--out={tmp_path}", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("quality.py: " + reason)


def write_options(plan):
    os.makedirs(plan.run_dir(1), exist_ok=True)
    with open(os.path.join(plan.run_dir(1), "FLAGS.json"), "w") as file:
        file.write(plan.config.replace(seed=1).to_json())


def test_a_run_of_other_flags_is_not_taken_for_it(tmp_path):
    plan = plan_of(tmp_path, "--preset=best_mnist")
    write_options(plan)
    plan.check_recipe(1)
    other = plan_of(tmp_path, "--preset=best_mnist", "--", "--g_ema=0.99")
    with pytest.raises(UserError, match=r"--g_ema: .*FLAGS.json was trained with 0.999, not 0.99"):
        quality.train(other, 1)


def test_a_falling_rate_belongs_to_one_number_of_epochs(tmp_path):
    write_options(plan_of(tmp_path, "--preset=best_mnist"))
    with pytest.raises(
        UserError, match="^--epochs: the learning rate of .* falls over 10 epochs, n"
    ):
        quality.train(plan_of(tmp_path, "--preset=best_mnist", "--epochs=20"), 1)


def test_an_epoch_that_was_not_kept_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(quality.Plan, "train_command", lambda *_: [sys.executable, "-c", ""])
    with pytest.raises(UserError, match="^--measure: seed 1 was trained beyond epoch 5, whose ch"):
        quality.train(plan_of(tmp_path, "--measure=5,25"), 1)


def test_chosen_epochs_outlive_the_training_and_are_tabulated(tmp_path):
    plan = plan_of(tmp_path, "--measure=1,2", "--epochs=2")
    asked = make_run(tmp_path, "mnist", steps=(), name="reference-seed1")
    saved = read_options(os.path.join(plan.run_dir(1), "FLAGS.json"))
    config, _ = open_dataset(asked.replace(out_name="reference-seed1").with_saved(saved))
    for step in (1, 937, 1000, 1874):
        write_checkpoint(config, step)
    quality.keep_chosen(plan, 1)
    folder = os.path.join(plan.run_dir(1), quality.MEASURED)
    assert [each.step for each in checkpoint.sound(folder, warn=pytest.fail)] == [1874, 937]
    write_options(plan)
    quality.train(plan, 1)  # nothing to do: no process is started
    assert "| 1 | 0 | not measured" in quality.table(plan)[0]
    for seed, error in ((1, 4.0), (2, 5.0)):
        os.makedirs(plan.run_dir(seed), exist_ok=True)
        entry = {"step": 937, "samples": 50000, "one_nn_error": error}
        results.add(plan.run_dir(seed), {"checkpoints": [entry, dict(entry, samples=9)]})
    text, curves = quality.table(plan)
    assert "| 1 | 2 | 4.5 (4 to 5) |" in text
    assert curves == {"1-NN error (%)": ([1], [4.5])}


def test_sigterm_ends_the_training(tmp_path):
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    code = (
        "import sys, quality\n"
        f"quality.Plan.train_command = lambda self, seed: [sys.executable, '-c', {child!r}]\n"
        f"quality.main(['--out={tmp_path}', '--seeds=1'])"
    )
    log = tmp_path / "reference-seed1" / "quality.log"
    folder = os.path.join(ROOT, "benchmarks")
    with subprocess.Popen([sys.executable, "-c", code], cwd=folder) as process:
        wait_for(str(log), "\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)
