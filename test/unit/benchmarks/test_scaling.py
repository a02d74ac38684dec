"""benchmarks/scaling.py: its figures from given times, its estimate, one rank for real."""

import os
import sys

import pytest
from paths import ROOT


@pytest.fixture
def scaling(monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(ROOT, "benchmarks"))
    import scaling

    return scaling


def test_figures_of_given_times(scaling):
    options = scaling.parsed_options(["--batch_size=10"])
    measured = [{"together": [0.5, 9.0], "apart": [0.4, 0.4]}, {"together": [0.5], "apart": [0.4]}]
    two = scaling.figures(2, measured, options)
    assert two["images_per_second"] == pytest.approx(40)
    assert two["share_of_averaging"] == pytest.approx(0.2)
    assert scaling.figures(1, measured, options)["share_of_averaging"] == 0


def test_estimate_by_hand(scaling):
    found = scaling.estimate(0.1, 1e9 / 8, link_gbit=10, latency_us=1000)
    assert found[8] == pytest.approx(0.1 / (0.1 + 1.75 * 0.1 + 3 * 14e-3))
    assert list(found) == sorted(found) and sorted(found.values(), reverse=True) == list(
        found.values()
    )
    assert scaling.estimate(0.1, 0, link_gbit=10, latency_us=0) == dict.fromkeys(
        scaling.DEVICES, 1.0
    )


@pytest.mark.slow
def test_a_rank_by_itself(scaling, tmp_path, capsys):
    scaling.main(
        [
            "--ranks=1",
            "--batch_size=2",
            "--rounds=1",
            "--steps=1",
            "--step_ms=10",
            "--plot=" + str(tmp_path / "plot.png"),
        ]
    )
    out = capsys.readouterr().out
    assert "estimate: step 10.0 ms, 71.6 MB averaged a step, link 100 Gbit/s, latency 2 us" in out
    assert (tmp_path / "plot.png").exists()


def test_ranks_that_cannot_start(scaling, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(SystemExit, match=r"^scaling.py: 1 rank\(s\): they said nothing$"):
        scaling.main(["--ranks=1"])
