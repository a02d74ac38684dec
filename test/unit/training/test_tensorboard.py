"""TensorBoard: what its events hold, and the options of a run in the format of HPARAMS."""

import io
import os
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image
from programs import train_here

import utils
from config import Config
from training.tensorboard import hparams


def shown(config):
    """{option: value} as the plugin reads it from a file of events."""
    plugin_data_pb2 = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    summary = tf.Summary.FromString(hparams(config).SerializeToString())
    (value,) = summary.value
    assert value.metadata.plugin_data.plugin_name == "hparams"
    content = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    found = {}
    for name, option in content.session_start_info.hparams.items():
        found[name] = getattr(option, option.WhichOneof("kind"))
    return found


def test_the_options_of_training_are_shown():
    found = shown(Config(dataset="mnist", learning_rate=0.25, batch_size=7, seed=3))
    assert found["dataset"] == "mnist" and found["learning_rate"] == 0.25
    assert found["batch_size"] == 7 and found["seed"] == 3 and found["fused_step"] is True
    assert "out_dir" not in found and "d_learning_rate" not in found


def test_without_tensorboard_there_are_none(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard.plugins.hparams", None)
    assert hparams(Config()) is None
    assert capsys.readouterr().err.startswith("TensorBoard: no HPARAMS: ")


@pytest.mark.slow
def test_tensorboard_has_scalars_and_histograms_and_pictures_if_asked(tmp_path):
    train_here(
        tmp_path,
        "--train_size=64",
        "--epoch=1",
        "--summary_freq=2",
        "--G_img_sum",
        "--lr_schedule=linear",
        "--d_learning_rate=0.5",
    )
    events = tmp_path / "run" / "events"
    (name,) = os.listdir(str(events))
    tags, starts, values = set(), [], {}
    for event in tf.train.summary_iterator(str(events / name)):
        tags |= {(value.tag, event.step) for value in event.summary.value}
        values.update({(value.tag, event.step): value for value in event.summary.value})
        starts += [event.step] * event.HasField("session_log")
    assert starts == [1]  # tells TensorBoard what a resume replaces
    for tag in ("d_loss", "g_loss", "d_accuracy", "z", "d_real", "d_fake", "G/image/0"):
        assert {(tag, 2), (tag, 4)} <= tags and ((tag, 3) in tags) == tag.endswith("_loss")
    assert {("d_loss", 3), ("g_loss", 1)} <= tags
    assert ("sample/spread", 4) in tags and ("images_per_second", 4) in tags
    assert values["learning_rate/d", 2].simple_value == pytest.approx(0.5 * 3 / 4, abs=0.13)
    assert values["learning_rate/g", 4].simple_value < 0.0002
    with Image.open(io.BytesIO(values["sample/grid", 4].image.encoded_image_string)) as grid:
        expected = utils.read_png(str(tmp_path / "run" / "samples" / "train_00000004.png"))
        assert np.array_equal(np.asarray(grid), expected[..., 0])
