"""What a run says of itself before it begins, and the frequencies that fit its length."""

import json
import os

import numpy as np
import pytest
from programs import train_here

from config import Config
from datasets.dataset import ArrayDataset
from flags_file import read_preset
from training import plan
from training.progress import Progress

FREQUENCIES = ("sample_freq", "summary_freq", "ckpt_freq")


def frequencies(steps_per_epoch, **options):
    fitting = plan.with_frequencies(Config(**options), steps_per_epoch=steps_per_epoch)
    return tuple(getattr(fitting, name) for name in FREQUENCIES)


@pytest.mark.parametrize(
    "steps_per_epoch, expected",
    [
        (3, (3, 3, 15)),  # 200 images: 75 steps
        (40, (50, 50, 200)),
        (1093, (200, 200, 200)),  # MNIST: the reference's
        (1, (200, 200, 200)),  # a trial of 25 steps
    ],
)
def test_a_run_of_few_steps_has_twenty_grids_and_five_checkpoints(steps_per_epoch, expected):
    assert frequencies(steps_per_epoch) == expected


def test_a_run_as_a_preset_gives_no_frequency_that_was_fitted_to_its_length(tmp_path):
    given = Config(ckpt_freq=7, given=frozenset(["ckpt_freq"]), batch_size=8)
    fitting = plan.with_frequencies(given, steps_per_epoch=3)
    (tmp_path / "FLAGS.json").write_text(fitting.to_json())
    preset = read_preset(str(tmp_path))
    assert preset["ckpt_freq"] == 7 and preset["batch_size"] == 8
    assert not {"sample_freq", "summary_freq", "fitted"}.intersection(preset)


def test_what_was_given_stays():
    given = frozenset(["sample_freq", "ckpt_freq"])
    assert frequencies(3, sample_freq=70, given=given) == (70, 3, 200)


def test_frequencies_are_multiples_of_a_devices_loop():
    assert frequencies(30, iterations_per_loop=10) == (30, 30, 150)
    assert frequencies(3, iterations_per_loop=10) == (10, 10, 10)


def images(count):
    pixels = np.zeros((count, 8, 8, 1), np.uint8)
    return ArrayDataset(pixels, pixels[:, 0, 0, 0], name="x", architecture="image")


def test_the_plan_is_one_line():
    config = Config(train_size=1280, epoch=2, sample_freq=5, ckpt_freq=200)
    text = plan.described(config, images(5000), steps_per_epoch=20)
    assert text == (
        "plan: 1,280 images, 20 steps an epoch, 40 in all; "
        "a sample grid every 5 steps, a checkpoint at the end"
    )


def test_few_images_are_warned_of_with_what_helps():
    few = images(200)
    assert "--mirror and --augment=diff" in plan.few_images(Config(dataset="x"), few)
    assert "--augment=diff" in plan.few_images(Config(dataset="x", mirror=True), few)
    helped = Config(dataset="x", mirror=True, augment="diff")
    for config, many in ((helped, few), (Config(dataset="x"), images(1000))):
        assert plan.few_images(config, many) == ""
    assert plan.few_images(Config(dataset="synthetic"), few) == ""


def test_a_run_follows_its_plan_and_files_it(tmp_path):
    code, text = train_here(tmp_path, "--train_size=320", "--epoch=3", "--log_freq=60")
    assert code == 0 and "plan: 320 images, 20 steps an epoch, 60 in all;" in text
    grids = [name for name in os.listdir(tmp_path / "run" / "samples") if name.endswith(".png")]
    assert len(grids) == 20
    with open(tmp_path / "run" / "FLAGS.json") as file:
        saved = json.load(file)
    assert [saved[name] for name in FREQUENCIES] == [3, 3, 12]


def progress_at(step, seconds, **options):
    return Progress(step=step, seconds=seconds, **options)


def test_the_forecast_comes_once_and_leaves_out_the_first_step():
    forecast = plan.Forecast(Progress(), 1021)
    lines = [forecast.after(progress_at(step, 30 + 0.4 * step)) for step in range(1, 100)]
    (said,) = [line for line in lines if line]
    assert lines.index(said) == 3  # ten seconds are over
    assert said == (
        "expected: about 7 min for the 1,017 steps left (0.4 s a step, the median of 3)"
    )


def test_quick_steps_are_counted_twenty_times():
    forecast = plan.Forecast(progress_at(50, 100.0), 10000)
    lines = [forecast.after(progress_at(50 + step, 100 + 0.1 * step)) for step in range(1, 30)]
    assert [number for number, line in enumerate(lines, 1) if line] == [21]
    assert "for the 9,929 steps left (0.1 s a step, the median of 20)" in lines[20]


def test_a_short_run_is_not_forecast_and_a_rollback_is_no_step():
    forecast = plan.Forecast(Progress(), 100)
    steps = [1, 2, 3, 2, 3, *range(4, 90)]
    times = [progress_at(step, 0.1 * number) for number, step in enumerate(steps)]
    assert not any(forecast.after(each) for each in times)


def test_a_device_that_loops_is_counted_by_the_step():
    forecast = plan.Forecast(Progress(), 10000)
    lines = [forecast.after(progress_at(100 * number, 50.0 * number)) for number in range(1, 9)]
    assert "0.5 s a step" in next(line for line in lines if line)


@pytest.mark.parametrize(
    "seconds, expected",
    [(40, "1 min"), (20, "20 s"), (3590, "1 h 0 min"), (4000, "1 h 7 min"), (200000, "2 d 7 h")],
)
def test_durations(seconds, expected):
    assert plan.duration(seconds) == expected


def test_widths_of_the_other_networks_are_warned_of():
    given = frozenset(["g_h2_dim", "gf_dim", "dfc_dim"])  # dfc_dim with its default, as in a preset
    asked = Config(dataset="x", g_h2_dim=9, gf_dim=9, given=given)
    warning = "--g_h2_dim: widths of the MNIST networks have no effect on x"
    assert plan.idle_widths(asked.replace(architecture="image")) == warning
    assert plan.idle_widths(asked.replace(architecture="mnist")) == ""


@pytest.mark.parametrize(
    "options, part",
    [
        (dict(lr_schedule="linear", lr_decay_start=6, epoch=5), "--lr_decay_start: 6 is not below"),
        (dict(lr_decay_start=6), "--lr_decay_start: has no effect without --lr_schedule"),
        (dict(lr_schedule="linear", lr_decay_start=4, epoch=5), ""),
        (dict(), ""),
    ],
)
def test_a_schedule_without_effect_is_warned_of(options, part):
    warning = plan.idle_schedule(Config(**options))
    assert warning.startswith(part) and bool(warning) == bool(part)
