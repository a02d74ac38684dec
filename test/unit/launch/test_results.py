"""The figures that the launch scripts take from a training's log, on canned logs."""

import os
import sys
import types

import pytest
from launching import CASE, FULL, LAST, PERFORMANCE, SAMPLE, Project, log_of, read

from launch import display, results


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path).training()


def figures(project, log, **options):
    """(images/s, ms a step) that the performance script files for a log."""
    project.training(log + LAST, **options)
    result = project.run(PERFORMANCE)
    assert result.returncode == 0, result.stderr
    filed = keys_of(project)
    assert "Final Performance images/sec : " + filed["ActualFPS"] in result.stdout
    return filed["ActualFPS"], filed["TrainingTime"]


def keys_of(project, name=CASE):
    with open(project.output(name + ".log")) as file:
        return dict(line.rstrip("\n").split(" = ") for line in file)


@pytest.mark.parametrize(
    "step_seconds, fps, step_ms",
    [(0.01, "6400.00", "10"), (0.8, "80", "800.00"), (30, "2.133", "30000.00")],
)
def test_speed_of_fast_and_slow_logs(project, step_seconds, fps, step_ms):
    times = [5 + i * step_seconds for i in range(40)]
    times[0] = 0.5  # the first difference holds the start
    assert figures(project, log_of(times)) == (fps, step_ms)


def test_speed_where_steps_are_shorter_than_the_log_can_tell(project):
    times = [1 + int(i * 0.4) / 1e4 for i in range(400)]
    fps, step_ms = figures(project, log_of(times))
    assert float(step_ms) == pytest.approx(0.04, rel=0.02)
    assert float(fps) == pytest.approx(1.6e6, rel=0.02)


def test_speed_without_sampling_and_checkpoint_steps(project):
    """Each of them takes less than would make it an outlier."""
    times, now = [], 3.0
    for step in range(1, 41):
        times.append(now)
        now += 0.5 + 0.4 * (step % 5 == 0) + 0.3 * (step % 4 == 0)
    extra = dict.fromkeys(range(5, 41, 5), SAMPLE)
    assert figures(project, log_of(times, extra=extra), ckpt_freq=4) == ("128.00", "500.00")


def test_speed_without_an_outlier(project):
    times = [i * 0.5 + 60 * (i > 20) for i in range(40)]
    assert figures(project, log_of(times)) == ("128.00", "500.00")


def test_speed_is_that_of_the_first_epoch(project):
    log = log_of([i * 0.5 for i in range(20)]) + log_of(
        [100 + i * 5.0 for i in range(20)], first_step=21, epoch=1
    )
    assert figures(project, log) == ("128.00", "500.00")


def test_speed_of_a_resumed_log(project):
    log = log_of([7000 + i * 0.5 for i in range(20)], first_step=2501, epoch=2)
    assert figures(project, log) == ("128.00", "500.00")


def test_speed_of_a_log_of_every_tenth_step(project):
    log = log_of([i * 5.0 for i in range(20)], first_step=10, stride=10)
    assert figures(project, log) == ("128.00", "500.00")


def test_speed_of_two_lines_is_their_difference(project):
    assert figures(project, log_of([1, 3])) == ("32", "2000.00")


@pytest.mark.parametrize("log", ["", "seed: 1\n", log_of([1.5]), log_of([2, 2, 2])])
def test_speed_that_cannot_be_measured_is_not_a_number(project, log):
    assert figures(project, log) == ("N/A", "N/A")


def test_result_and_files(project):
    log = "seed: 1\n" + log_of([i * 0.8 for i in range(10)]) + SAMPLE
    project.training(log + LAST + "loss curve: loss.png\n")
    result = project.run(PERFORMANCE)
    duration = keys_of(project)["E2ETrainingTime"]
    assert result.stdout.splitlines() == [
        "------------------ Final result ------------------",
        "Final Performance images/sec : 80",
        "Final Train Accuracy : 1.25000000",
        "E2E Training Duration sec : " + duration,
        "Sample grid: " + project.output("run", "samples", "train_00000400.png"),
        "Log: " + project.output("train_0.log"),
    ]
    assert list(keys_of(project).items()) == [
        ("Network", "DCGAN_ID0686_for_TensorFlow"),
        ("RankSize", "1"),
        ("BatchSize", "64"),
        ("DeviceType", os.uname().machine),
        ("CaseName", CASE),
        ("ActualFPS", "80"),
        ("TrainingTime", "800.00"),
        ("TrainAccuracy", "1.25000000"),
        ("ActualLoss", "1.49900000"),
        ("E2ETrainingTime", duration),
    ]
    losses = read(project.output(f"train_{CASE}_loss.txt")).split()
    assert losses == ["%.8f" % (1.5 - step / 1e4) for step in range(1, 11)]
    assert read(project.output("train_0.log")) == log + LAST + "loss curve: loss.png\n"
    assert sorted(name for name in os.listdir(project.output()) if name[0] != ".") == [
        CASE + ".log",
        "ckpt",
        "overflow",
        "run",
        "train_0.log",
        f"train_{CASE}_loss.txt",
    ]


def test_full_training_and_case_name(project):
    project.training(LAST, batch_size=32)
    assert project.run(FULL, RANK_SIZE="4", RANK_ID="2", ASCEND_DEVICE_ID="7").returncode == 0
    name = "DCGAN_ID0686_for_TensorFlow_bs32_4p_acc"
    assert os.path.exists(project.path("test", "output", "7", name + ".log"))
    assert os.path.exists(project.path("test", "output", "7", "train_7.log"))
    seen = project.seen()
    assert "--epoch=25" in seen["argv"]
    assert [seen["environment"][key] for key in ("RANK_SIZE", "RANK_ID", "ASCEND_DEVICE_ID")] == [
        "4",
        "2",
        "7",
    ]


def test_results_of_a_rank_without_options_have_a_name(tmp_path):
    """A rank above 0 has no FLAGS.json; "N/A" is not part of a path."""
    output = types.SimpleNamespace(
        log=str(tmp_path / "log"), path=lambda *names: str(tmp_path.joinpath(*names))
    )
    (tmp_path / "log").write_text("")
    script = types.SimpleNamespace(network="DCGAN", goal="perf")
    results.report(output, script=script, ranks="2", seconds=3)
    assert (tmp_path / "DCGAN_bsNA_2p_perf.log").exists()


def test_a_display_of_a_killed_launcher_is_in_nobodys_way(tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.write_text("")
    os.mkfifo(str(tmp_path / ".stderr"))
    monkeypatch.setattr(display.os, "isatty", lambda number: True)
    output = types.SimpleNamespace(log=str(log), path=lambda *names: str(tmp_path.joinpath(*names)))
    shown = display.ErrorDisplay(output, python=sys.executable)
    with open(shown.path, "w") as errors:
        errors.write("a last word\n")
    shown.close()
    assert log.read_text() == "a last word\n" and not os.path.exists(shown.path)
