"""Weights that the reference wrote: found by their folder, sized by their shapes, sampled."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from golden_runs import SIZES, load_golden
from small_runs import make_run

import main
import utils
from config import Config
from inference import sample
from inference.trained_run import open_run
from options import UserError

BOTH = pytest.mark.parametrize("architecture", ["mnist", "image"])


@pytest.fixture
def write_reference(tmp_path):
    """Writes a golden moment as the reference does: a plain Saver, no manifest, no FLAGS.json."""

    def write(architecture, leave_out=()):
        golden = load_golden(architecture)
        folder = tmp_path / "reference_64_28_28"
        with tf.Graph().as_default(), tf.Session() as session:
            variables = [
                tf.Variable(value, name=key[len("final/") :], use_resource=False)
                for key, value in golden.items()
                if key.startswith("final/") and key not in leave_out
            ]
            session.run(tf.global_variables_initializer())
            folder.mkdir()
            tf.train.Saver(variables).save(session, str(folder / "DCGAN.model"), global_step=4)
        return golden, Config(
            checkpoint_dir=str(folder),
            out_dir=str(tmp_path / "out"),
            device="cpu",
            given=frozenset(["checkpoint_dir"]),
        )

    tf.disable_v2_behavior()
    return write


@BOTH
def test_samples_equal_the_references(write_reference, architecture):
    golden, asked = write_reference(architecture)
    with open_run(asked) as run, run.open_generator() as generator:
        assert run.checkpoint.step == 4
        assert run.sizes == SIZES[architecture]._replace(
            gfc_dim=run.sizes.gfc_dim, dfc_dim=run.sizes.dfc_dim
        )
        images = generator.images_of(golden["z"][0], golden["labels"][: len(golden["z"][0])])
    rounding = dict(rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(images, golden["sampler/final"], **rounding)
    assert not np.allclose(images, golden["sampler/init"], **rounding)  # it could have failed


@BOTH
def test_its_images_have_a_folder(write_reference, tmp_path, architecture):
    _, asked = write_reference(architecture)
    path = sample.generate(asked.replace(generate=3, generate_format="grid"))
    assert path == str(
        tmp_path / "out" / "reference_64_28_28" / "samples" / "generated_00000004.png"
    )
    assert utils.read_png(path).shape[:2] == ((56, 56) if architecture == "mnist" else (64, 64))


def test_command_line(write_reference, tmp_path, capsys):
    _, asked = write_reference("mnist")
    assert (
        main.main(
            [
                "main.py",
                "--dataset=mnist",
                "--checkpoint_dir=" + asked.checkpoint_dir,
                "--out_dir=" + asked.out_dir,
                "--seeds=1",
                "--device=cpu",
            ]
        )
        == 0
    )
    assert os.path.isfile(
        str(
            tmp_path
            / "out"
            / "reference_64_28_28"
            / "samples"
            / "generated_00000004"
            / "seed00000001_class1.png"
        )
    )
    assert "z of 16 dimensions" in capsys.readouterr().out


def test_other_variables_are_named(write_reference):
    _, asked = write_reference("image", leave_out=["final/generator/g_h4/w"])
    with pytest.raises(
        UserError, match="not a DCGAN's weights: there is no variable .*g_h4/w"
    ), open_run(asked):
        pass


def test_shape_that_does_not_fit_is_refused(write_reference):
    _, asked = write_reference("image")
    with pytest.raises(
        UserError, match="--output_height and --output_width: 32x100 does not fit"
    ), open_run(asked.replace(output_height=32, output_width=100)):
        pass
    with open_run(asked.replace(output_height=16, output_width=64)) as run:
        assert (run.sizes.height, run.sizes.width) == (16, 64)


def test_folder_of_this_program_is_not_foreign(tmp_path):
    make_run(tmp_path, "mnist")
    asked = Config(
        checkpoint_dir=str(tmp_path / "run" / "checkpoint"),
        out_dir=str(tmp_path),
        given=frozenset(["checkpoint_dir"]),
    )
    with pytest.raises(UserError, match="--checkpoint_dir: .* name a run of this one"), open_run(
        asked
    ):
        pass


def test_cut_off_checkpoint_is_one_line(write_reference):
    _, asked = write_reference("mnist")
    index = os.path.join(asked.checkpoint_dir, "DCGAN.model-4.index")
    with open(index, "r+b") as file:
        file.truncate(30)
    with pytest.raises(UserError, match="--checkpoint_dir: .*DCGAN.model-4"), open_run(asked):
        pass
