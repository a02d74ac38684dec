"""benchmarks/memorizing.py: its commands, what it measures, its table."""

import os
import sys

import numpy as np
import pytest
from paths import ROOT
from small_runs import make_run

import main
from config import OPTIONS
from options import UserError

sys.path.insert(0, os.path.join(ROOT, "benchmarks"))
import memorizing  # noqa: E402


@pytest.mark.parametrize("augment", OPTIONS["augment"].declared.choices)
def test_the_commands_are_those_of_main_and_differ_in_augment_alone(augment):
    arguments = memorizing.parse(["--images=300", "--out=/o", "--", "--mirror", "--df_dim=8"])
    config = main.parse(memorizing.train_command(arguments, augment)[1:])
    assert (config.train, config.train_size, config.augment) == (True, 300, augment)
    assert (config.mirror, config.df_dim, config.out_name) == (True, 8, augment)


@pytest.mark.parametrize("architecture", ["mnist", "image"])
def test_each_checkpoint_is_shown_both_kinds_of_images(tmp_path, monkeypatch, architecture):
    asked = make_run(tmp_path, architecture, steps=(3, 5), train_size=40, augment="diff")
    monkeypatch.setattr(memorizing, "MOST_HELD_OUT", 100)
    shown = []
    original = memorizing.in_chunks

    def watched(function, images, labels):
        shown.append(images)
        return original(function, images, labels)

    monkeypatch.setattr(memorizing, "in_chunks", watched)
    rows = memorizing.measure(asked.replace(out_name="run"))
    assert [(row.augment, row.step) for row in rows] == [("diff", 3), ("diff", 5)]
    assert [len(images) for images in shown] == [40, 100, 40, 100]
    assert all(0 <= share <= 1 for row in rows for share in row[2:])
    used = {image.tobytes() for image in shown[0].astype(np.uint8)}
    assert not used.intersection(image.tobytes() for image in shown[1].astype(np.uint8))


def test_without_held_out_images_there_is_nothing_to_compare(tmp_path):
    asked = make_run(tmp_path, "mnist")
    with pytest.raises(UserError, match="--images: the set has 2048; train on fewer"):
        memorizing.measure(asked.replace(out_name="run"))


def test_the_table_says_the_gap():
    rows = [memorizing.Row("none", 1050, 0.981, 0.5), memorizing.Row("diff", 1050, 0.7, 0.65)]
    assert memorizing.table(rows).splitlines()[2:] == [
        "| none | 1,050 | 98.1 % | 50.0 % | 48.1 |",
        "| diff | 1,050 | 70.0 % | 65.0 % | 5.0 |",
    ]
