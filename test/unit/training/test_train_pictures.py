"""Training on a folder of pictures from end to end: labels, bad files, packed or not, resumed."""

import json

import image_files
import numpy as np
import pytest

import main
import utils
from config import Config
from options import UserError

SMALL = Config(
    train=True,
    dataset="set",
    output_height=16,
    batch_size=4,
    z_dim=4,
    gf_dim=2,
    df_dim=2,
    sample_num=4,
    epoch=2,
    sample_freq=3,
    seed=3,
    progress="off",
    log_freq=1,
    intra_op_threads=1,
    inter_op_threads=1,
    cache="off",
)


@pytest.fixture
def root(tmp_path, graph):
    """Two classes of six pictures each."""
    del graph
    for number in range(12):
        image_files.write(
            tmp_path / "set" / ("cat" if number % 2 else "dog") / f"{number}.png",
            image_files.colors(20, 24, number),
        )
    return tmp_path


def run(root, name, **options):
    return main.run(
        SMALL.replace(
            data_path=str(root / "set"), out_dir=str(root / "out"), out_name=name
        ).replace(**options)
    )


def losses(root, name):
    lines = list(utils.read_json_lines(str(root / "out" / name / "metrics.jsonl")))
    return [(line["step"], line["d_loss"], line["g_loss"]) for line in lines if "d_loss" in line]


def options_of(root, name):
    return json.loads((root / "out" / name / "FLAGS.json").read_text())


@pytest.mark.slow
def test_classes_are_trained_saved_and_drawn(root, capsys):
    assert run(root, "run", labels="folder") == 0
    saved = options_of(root, "run")
    assert saved["class_names"] == ["cat", "dog"] and saved["num_classes"] == 2
    assert np.isfinite(losses(root, "run")).all() and len(losses(root, "run")) == 6
    assert main.run(Config(dataset="set", out_dir=str(root / "out"), sample_num=6)) == 0
    grid = utils.read_png(str(root / "out" / "run" / "samples" / "test_00000006.png"))
    assert grid.shape == (2 * 16, 3 * 16, 3)
    run(root, "plain")
    assert options_of(root, "plain")["num_classes"] == 0
    assert losses(root, "plain") != losses(root, "run")


@pytest.mark.marathon
def test_packed_and_decoded_give_the_same_run(root):
    run(root, "decoded")
    run(root, "packed", cache=str(root / "cache"))
    assert losses(root, "packed") == losses(root, "decoded")


@pytest.mark.marathon
def test_a_resumed_run_sees_the_same_replacements(root):
    (root / "set" / "cat" / "3.png").write_bytes(b"")
    run(root, "whole", max_bad_files="1")
    run(root, "parts", max_bad_files="1", epoch=1)
    run(root, "parts", max_bad_files="1", cache=str(root / "cache"))
    assert losses(root, "parts") == losses(root, "whole")


@pytest.mark.marathon
def test_too_many_bad_files_end_a_run_with_its_checkpoint(root):
    for name in ("cat/3.png", "dog/4.png"):
        (root / "set" / name).write_bytes(b"")
    with pytest.raises(UserError, match="^--max_bad_files: 2 of the 12 images"):
        run(root, "run", max_bad_files="1")
    done = len(losses(root, "run"))
    assert done < 6
    run(root, "run", max_bad_files="2")
    run(root, "whole", max_bad_files="2")
    assert losses(root, "run") == losses(root, "whole")


def test_more_than_one_batch_is_needed(root):
    with pytest.raises(UserError, match="^--batch_size: 13 .* more than the 12 images of set"):
        run(root, "run", batch_size=13)


@pytest.mark.slow
def test_a_set_that_has_changed_makes_another_run(root):
    run(root, "run", epoch=1)
    image_files.write(root / "set" / "cat" / "new.png", image_files.colors(20, 24, 99))
    with pytest.raises(UserError, match="^--dataset: num_examples of set was 12 .* and is 13 now"):
        run(root, "run", epoch=2)
    assert len(losses(root, "run")) == 3
