"""benchmarks/train_speed.py: its figures from given times, its contestants at the smallest size."""

import json
import os
import subprocess
import sys
import types

import pytest
from paths import ROOT

BENCHMARKS = os.path.join(ROOT, "benchmarks")


@pytest.fixture
def train_speed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import train_speed

    return train_speed


def run_script(*arguments):
    script = os.path.join(BENCHMARKS, "train_speed.py")
    return subprocess.run(
        [sys.executable, script] + list(arguments),
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_figures_of_given_times(train_speed, capsys):
    options = train_speed.parsed_options(["--batch_size=10", "--peer=torch"])
    product = train_speed.PRODUCT_WORK / 236e9  # a machine of 1,000 images/s
    found = train_speed.results(
        {
            "reference": [0.5, 9, 0.5],
            "default": [0.1, 0.1, 7],
            "torch": [0.2, 0.2, 0.1],
            "product": [product, product, 1],
        },
        {"reference": 1, "default": 2, "torch": 3},
        options,
    )
    assert found["limit_images_per_second"] == pytest.approx(1000)
    default = found["contestants"]["default"]
    assert default["images_per_second"] == pytest.approx(100)
    assert default["ratio_to"] == {"reference": pytest.approx(5), "torch": pytest.approx(2)}
    assert default["share_of_limit"] == pytest.approx(0.1) and default["peak_mb"] == 2
    train_speed.report(found, {"MatMul": 3.0, "Conv2D": 1.0}, options)
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])["contestants"] == found["contestants"]
    assert lines[3].split() == ["default", "100.0", "5.00", "2.00", "0.10", "2"]
    assert lines[5].split() == ["MatMul", "3.0", "ms", "75.0", "%"]


@pytest.mark.marathon
@pytest.mark.parametrize("architecture", ["mnist", "image"])
def test_the_contestants_take_turns(architecture):
    done = run_script(
        "--architecture=" + architecture,
        "--batch_size=2",
        "--iterations=1",
        "--profile",
        "--kernels=cpu",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["contestants"]) == {"reference", "default", "cpu"}
    for figures in found["contestants"].values():
        assert figures["images_per_second"] > 0 and figures["peak_mb"] > 50
    assert found["profile_ms"]["MatMul"] > 0


def test_unknown_kernels_are_one_line(train_speed, capsys):
    with pytest.raises(SystemExit):
        train_speed.parsed_options(["--kernels=cpu,fast"])
    assert "argument --kernels: fast is none of auto, native, cpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    "python, said",
    [(sys.executable, "No module named 'torch'"), ("/nowhere/python", "No such file")],
)
def test_a_peer_that_is_not_there_is_one_line(train_speed, monkeypatch, capsys, python, said):
    monkeypatch.setattr(
        train_speed,
        "commands",
        lambda options: [
            ("torch", [python, "-c", "raise ImportError(\"No module named 'torch'\")"])
        ],
    )
    with pytest.raises(SystemExit) as error:
        train_speed.main(["--peer=torch", "--peer_python=" + python])
    assert str(error.value).startswith("train_speed.py: ") and said in str(error.value)


def test_bfloat16_is_one_more_contestant(train_speed):
    names = [
        [name for name, _ in train_speed.commands(train_speed.parsed_options(flags))]
        for flags in ([], ["--bfloat16"])
    ]
    assert names == [
        ["reference", "default", "product"],
        ["reference", "default", "bfloat16", "product"],
    ]


def test_no_figures_of_bfloat16_without_it(train_speed, monkeypatch):
    import own

    monkeypatch.setattr(own, "open_device", lambda config, say: types.SimpleNamespace(rewriter=""))
    with pytest.raises(SystemExit, match="^bfloat16 needs TensorFlow 2.10 or later$"):
        own.main("bfloat16", "mnist", "1")
