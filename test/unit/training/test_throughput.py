"""Images/s, from what a run wrote. test/unit/launch/test_results.py has the rest, by the scripts."""

import json

import pytest

from training import throughput


def lines_of(times, **more):
    return [
        dict({"step": step, "seconds": seconds, "epoch": 0}, **more)
        for step, seconds in enumerate(times, 1)
    ]


def speed_of(lines, ckpt_freq=0):
    return throughput.measure(lines, batch_size=64, ckpt_freq=ckpt_freq).images_per_second


def test_first_step_and_pauses_do_not_count():
    assert speed_of(lines_of([9, 12, 13, 14, 99])) == 64


def test_eight_ranks_train_on_eight_batches():
    lines = lines_of([0, 5, 5.5, 6, 6.5], ranks=8)
    assert speed_of(lines) == 8 * 64 / 0.5
    assert throughput.measure(lines, batch_size=64, ckpt_freq=0).step_images == 512


def test_a_run_resumed_with_other_ranks_is_measured_before_that():
    later = [dict(line, step=line["step"] + 4) for line in lines_of([20, 30, 40, 50], ranks=2)]
    assert speed_of(lines_of([0, 5, 5.5, 6], ranks=8) + later) == 8 * 64 / 0.5


def test_sample_grids_and_checkpoints_do_not_count():
    lines = lines_of([0, 1, 2, 3.5, 4.5, 6.5])
    lines.insert(3, {"step": 3, "seconds": 2, "sample_spread": 9.0})
    assert speed_of(lines, ckpt_freq=5) == 64


@pytest.mark.parametrize("lines", [[], lines_of([1]), lines_of([2, 2, 2])])
def test_too_little_to_tell(lines):
    assert throughput.measure(lines, batch_size=64, ckpt_freq=0) is None


@pytest.mark.parametrize("options", ["", "[]", "{}", '{"batch_size": "8"}', 9999 * "["])
def test_options_that_are_none(tmp_path, options):
    (tmp_path / "FLAGS.json").write_text(options)
    assert throughput.of_run(str(tmp_path)) is None


def test_lines_of_others_are_left_out(tmp_path):
    (tmp_path / "FLAGS.json").write_text('{"batch_size": 8, "ckpt_freq": 200}')
    assert throughput.of_run(str(tmp_path)) is None  # no metrics yet
    texts = [json.dumps(line) for line in lines_of([0, 1, 2, 3], ranks="?")]
    broken = [
        "[1]",
        "{}",
        '{"step": "x", "seconds": 1, "epoch": 0}',
        9999 * "[",
        '{"step": 31, "d_l',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(texts + broken))
    assert throughput.of_run(str(tmp_path)).images_per_second == 8


@pytest.mark.parametrize(
    "value, text", [(0.012345, "0.01235"), (80, "80"), (99.996, "100"), (128, "128.00")]
)
def test_figures_have_four_digits_or_two_decimals(value, text):
    assert throughput.text(value) == text
