"""benchmarks/evaluate_speed.py: the work that it compares with, counted by hand; its shares."""

import os

import pytest
from paths import ROOT
from small_runs import make_run

from inference.trained_run import open_run


@pytest.fixture
def evaluate_speed(monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(ROOT, "benchmarks"))
    import evaluate_speed

    return evaluate_speed


def test_the_work_of_an_image(evaluate_speed, tmp_path):
    conv1, conv2 = 14 * 14 * 25 * 32, 7 * 7 * 25 * 32 * 64
    hidden, output = dict(evaluate_speed.classifier.SHAPES)["hidden"], 128 * 10
    expected = conv1 + conv2 + hidden[0] * hidden[1] + output
    assert hidden[1] == 128 and evaluate_speed.classifier_work() == expected
    with open_run(make_run(tmp_path, "mnist")) as run:
        gfc, gf, z = run.config.gfc_dim, run.config.gf_dim, run.config.z_dim
        layers = (z + 10) * gfc + (gfc + 10) * 49 * 2 * gf
        deconvolutions = 25 * (49 * 2 * gf * 2 * gf + 14 * 14 * 2 * gf)
        assert evaluate_speed.generator_work(run) == layers + deconvolutions


def test_shares(evaluate_speed, capsys):
    work = {"draw": 10**8, "neighbors": 10**7}
    rates = {"draw": [1, 50, 90], "first neighbors": [100]}
    found = evaluate_speed.compared(rates, work, [10, 20, 36])
    assert found["draw"]["median"] == {
        "images_per_second": 50,
        "share_of_limit": pytest.approx(0.5),
    }
    assert found["draw"]["best"] == {"images_per_second": 90, "share_of_limit": pytest.approx(0.5)}
    assert found["first neighbors"]["median"]["share_of_limit"] == pytest.approx(0.1)
    assert "draw                          50        0.50          90        0.50" in (
        capsys.readouterr().out
    )
