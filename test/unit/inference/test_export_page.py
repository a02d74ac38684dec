"""docs/export.md: its Python draws what the run draws, in a process without the project."""

import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from documents import blocks, read
from programs import run_apart
from small_runs import make_run

import main
from inference import export
from inference.trained_run import open_run

PAGE = "docs/export.md"
OF_TENSORFLOW_2 = "TensorFlow 2.x"
PYTHON = [block for block in blocks(PAGE) if block.language == "python"]
LOADERS = [
    block
    for block in PYTHON
    if "out/first" in block.text
    and not (block.needs == OF_TENSORFLOW_2 and tf.__version__.startswith("1."))
]
(SAVE,) = [block for block in PYTHON if "out/first" not in block.text]
FILED = '\nnp.savez("drawn.npz", z=z, y=y, images=images)\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the page's run in out/first and all its exports."""
    folder = tmp_path_factory.mktemp("project")
    asked = make_run(folder / "out", "mnist", name="first", z_dim=100)
    asked = asked.replace(export_batch_size=16)
    assert main.run(asked.replace(export=True)) == 0
    assert main.run(asked.replace(freeze=True, freeze_discriminator=True)) == 0
    return folder, asked


def run_python(text, folder):
    """Runs the text of a block by itself in a folder."""
    run_apart([sys.executable, "-W", "ignore", "-c", text], folder)


@pytest.mark.slow
@pytest.mark.parametrize("block", LOADERS, ids=[f"line-{block.line}" for block in LOADERS])
def test_a_block_draws_what_the_run_draws(block, project):
    if block.needs == "requirements-onnx.txt" and not export._has_onnx():
        pytest.skip("tf2onnx or onnxruntime is not installed (requirements-onnx.txt)")
    folder, asked = project
    run_python(block.text + FILED, folder)
    with np.load(str(folder / "drawn.npz"), allow_pickle=False) as file:
        z, y, images = file["z"], file["y"], file["images"]
    assert images.shape == (16, 28, 28, 1) and images.std() > 0.01
    with open_run(asked) as run, run.open_generator() as generator:
        np.testing.assert_allclose(images, generator.images_of(z, y), rtol=1e-4, atol=2e-5)


def test_each_kind_of_export_has_a_block():
    text = "".join(block.text for block in PYTHON)
    for name in ("saved_model", "generator.pb", "sampler-b16", "generator.onnx"):
        assert f"out/first/export/{name}" in text


def test_the_images_are_saved(project):
    folder, _ = project
    run_python(LOADERS[0].text + "\n" + SAVE.text, folder)
    assert len(list(folder.glob("digit-*.png"))) == 16


def test_the_page_names_the_files_of_an_export(project):
    folder, _ = project
    page = read(PAGE)
    found = {path.name for path in (folder / "out" / "first" / "export").iterdir()}
    for name in found - {"saved_model"}:
        stem, _, ending = name.partition(".")
        assert f"`{name}`" in page or f"`.{ending}`" in page, name
    assert {"generator.pb", "discriminator.json", "saved_model"} <= found
