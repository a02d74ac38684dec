"""--export and --freeze: loaded back in a process of its own, an export draws as the run does."""

import json
import os
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from paths import HELPERS
from programs import run_apart
from small_runs import make_run

import main
from inference import export
from inference.trained_run import open_run
from options import UserError

LOADER = os.path.join(HELPERS, "load_export.py")
BOTH = pytest.mark.parametrize("architecture", ["mnist", "image"])
COUNT = 5
# Other batch sizes and other versions round differently; a wrong weight or mode would show as 1e-1.
ROUNDING = dict(rtol=1e-4, atol=2e-5)


@pytest.fixture
def exported(tmp_path, capfd):
    """architecture, options -> the folder of a run's exports."""

    def run(architecture, **options):
        asked = make_run(tmp_path, architecture)
        assert main.run(asked.replace(**options)) == 0
        assert "Traceback" not in capfd.readouterr().err
        return tmp_path / "run" / export.FOLDER, asked

    return run


def inputs_of(asked):
    with open_run(asked) as run:
        config = run.config
    random = np.random.RandomState(8)
    inputs = {"z": random.uniform(-1, 1, (COUNT, config.z_dim)).astype(np.float32)}
    if config.num_classes:
        inputs["y"] = np.eye(config.num_classes, dtype=np.float32)[np.arange(COUNT)]
    return inputs


def drawn(asked, inputs):
    """What the run's own sampler draws."""
    with open_run(asked) as run, run.open_generator() as generator:
        return generator.images_of(inputs["z"], inputs.get("y", np.zeros((COUNT, 0), np.float32)))


def judged(asked, images, inputs):
    """What the run's own discriminator says."""
    with open_run(asked) as run, tf.Graph().as_default():
        y = tf.constant(inputs.get("y", np.zeros((COUNT, 0), np.float32)))
        logits = run.build_networks().discriminator(tf.constant(images), y, training=False)
        with run.restored_session() as session:
            return session.run(logits)


def loaded(exports, folder, interpreter=sys.executable):
    """What a fresh process makes of exports; it finds none of the project's modules.

    Args:
        exports: [(path, {input: array})].

    Returns:
        [{output: array}], with the `version` of the TensorFlow that loaded it.
    """
    words = []
    for number, (path, inputs) in enumerate(exports):
        fed, made = [str(folder / f"{number}-{end}.npz") for end in ("in", "out")]
        np.savez(fed, **inputs)
        words += [str(path), fed, made]
    run_apart([interpreter, LOADER, *words], folder)
    found = []
    for path in words[2::3]:
        with np.load(path, allow_pickle=False) as file:
            found.append(dict(file))
    return found


def assert_loads(folder, asked, tmp_path, **interpreter):
    """Every kind of export gives the run's images and logits; returns the loader's TensorFlow."""
    inputs = inputs_of(asked)
    images = drawn(asked, inputs)
    assert images.std() > 0.01
    names = ("generator.pb", "saved_model", f"sampler-b{COUNT}")
    shown = dict(inputs, images=images)
    del shown["z"]
    *whole, one, discriminator = loaded(
        [(folder / name, inputs) for name in names]
        + [(folder / "generator.pb", {name: value[:1] for name, value in inputs.items()})]
        + [(folder / "discriminator.pb", shown)],
        tmp_path,
        **interpreter,
    )
    for name, found in zip(names, whole):
        np.testing.assert_allclose(found["images"], images, err_msg=name, **ROUNDING)
    np.testing.assert_allclose(one["images"], images[:1], **ROUNDING)  # any number of images
    np.testing.assert_allclose(discriminator["logits"], judged(asked, images, inputs), **ROUNDING)
    return str(discriminator["version"])


EVERYTHING = dict(export=True, freeze=True, freeze_discriminator=True, export_batch_size=COUNT)


@pytest.mark.slow
@BOTH
def test_a_fresh_process_draws_the_same(exported, tmp_path, architecture):
    folder, asked = exported(architecture, **dict(EVERYTHING, export_format="checkpoint"))
    assert main.run(asked.replace(export=True, export_format="saved_model")) == 0
    assert assert_loads(folder, asked, tmp_path) == tf.__version__
    assert not [name for name in os.listdir(str(folder)) if name.startswith(".")]


@pytest.mark.skipif(
    "DCGAN_OTHER_PYTHON" not in os.environ,
    reason="DCGAN_OTHER_PYTHON names no interpreter with the other TensorFlow",
)
@BOTH
def test_the_other_tensorflow_draws_the_same(exported, tmp_path, architecture):
    folder, asked = exported(architecture, **dict(EVERYTHING, export_format="checkpoint"))
    assert main.run(asked.replace(export=True, export_format="saved_model")) == 0
    version = assert_loads(folder, asked, tmp_path, interpreter=os.environ["DCGAN_OTHER_PYTHON"])
    assert version.split(".")[0] != tf.__version__.split(".")[0]


@BOTH
def test_what_a_frozen_graph_takes_is_said_beside_it(exported, architecture):
    folder, asked = exported(architecture, freeze=True)
    described = json.loads((folder / "generator.json").read_text())
    assert described["inputs"] == {
        name: list(value.shape[1:]) for name, value in inputs_of(asked).items()
    }
    assert described["outputs"] == {
        "images": [28, 28, 1] if architecture == "mnist" else [16, 24, 3]
    }
    assert described["step"] == 5 and not (folder / "discriminator.pb").exists()


def test_exporting_again_replaces(exported, tmp_path):
    folder, asked = exported("image", export=True, export_format="saved_model")
    before = sorted(os.listdir(str(folder)))
    assert main.run(asked.replace(export=True, export_format="saved_model")) == 0
    assert sorted(os.listdir(str(folder))) == before == ["saved_model"]


@BOTH
def test_onnx_draws_the_same(exported, architecture):
    if not export._has_onnx():
        pytest.skip("tf2onnx or onnxruntime is not installed (requirements-onnx.txt)")
    import onnxruntime

    folder, asked = exported(architecture, export=True, export_format="onnx")
    inputs = inputs_of(asked)
    session = onnxruntime.InferenceSession(
        str(folder / "generator.onnx"), providers=["CPUExecutionProvider"]
    )
    (images,) = session.run(["images"], inputs)
    np.testing.assert_allclose(images, drawn(asked, inputs), **ROUNDING)


@pytest.mark.parametrize("batch_norm", ["moving", "estimated"])
def test_other_statistics_than_the_exports_are_warned_of(tmp_path, capsys, batch_norm):
    asked = make_run(tmp_path, "mnist", batch_norm=batch_norm)
    assert main.run(asked.replace(freeze=True, freeze_discriminator=True)) == 0
    warned = capsys.readouterr().err.count(f"--batch_norm={batch_norm}, with which this run draws")
    assert warned == (batch_norm != "moving")


def test_without_the_libraries_onnx_is_one_line(tmp_path, monkeypatch):
    asked = make_run(tmp_path, "mnist")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match="^--export_format: onnx: .*requirements-onnx.txt$"):
        main.run(asked.replace(export=True, export_format="onnx"))
    assert not list((tmp_path / "run" / export.FOLDER).iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    asked = make_run(tmp_path, "mnist")
    (tmp_path / "run" / export.FOLDER).write_text("in the way")
    with pytest.raises(UserError, match="^--out_dir: generator not exported"):
        main.run(asked.replace(freeze=True))
