"""--eval_samples beyond what fits in memory: block by block, resumable, the same figure."""

import numpy as np
import pytest
from small_runs import make_run

from checkpoint import Checkpoint
from inference import distances, many_samples
from inference.metrics import ImageSample
from inference.trained_run import open_run

TESTS = np.random.RandomState(1).randint(0, 256, (40, 28, 28, 1)).astype(np.uint8)
CLASSES = np.random.RandomState(0).randint(0, 10, 300)
REFERENCE = ImageSample(np.zeros((40, 1)), "none", TESTS, np.arange(40) % 10)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(many_samples, "BLOCK", 64)
    monkeypatch.setattr(many_samples, "SECONDS_BETWEEN_LINES", 0)
    with open_run(make_run(tmp_path, "mnist")) as run:
        yield run


def at_once(run):
    with run.open_generator() as generator:
        images = np.concatenate(list(generator.draw(range(300), CLASSES)))
    return distances.nearest_neighbor_error((images, CLASSES), (TESTS, REFERENCE.labels))


def test_block_by_block_equals_at_once(run, capsys):
    assert many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES) == at_once(run)
    assert "1-NN: 64 of 300 samples, 0 min left" in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_where_it_was(run, monkeypatch, capsys):
    add, added = distances.NearestNeighbors.add, []

    def add_until_killed(self, images, labels):
        if len(added) == 2:
            raise KeyboardInterrupt
        added.append(len(labels))
        add(self, images, labels)

    monkeypatch.setattr(distances.NearestNeighbors, "add", add_until_killed)
    with pytest.raises(KeyboardInterrupt):
        many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES)
    monkeypatch.setattr(distances.NearestNeighbors, "add", add)
    error = many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES)
    assert "resumed after 128 of 300 samples" in capsys.readouterr().out
    assert error == at_once(run)


def test_more_samples_go_on_from_fewer_and_fewer_leave_more_in_place(run, capsys):
    fewer = many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES[:100])
    assert many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES) == at_once(run)
    assert "resumed after 64 of 300 samples" in capsys.readouterr().out
    assert many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES[:100]) == fewer
    many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES)
    said = capsys.readouterr()
    assert "resumed after 256 of 300 samples" in said.out and not said.err


def test_of_batches_with_their_own_statistics_too(run, capsys):
    run.config = run.config.replace(batch_norm="batch")
    many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES[:100])
    assert many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES) == at_once(run)
    assert "resumed after 64 of 300 samples" in capsys.readouterr().out


def test_other_weights_of_the_same_step_begin_anew(run, tmp_path, capsys):
    """Checkpoints of other programs have a step, and no manifest to tell them apart."""
    index = tmp_path / "other.index"
    foreign = Checkpoint(str(tmp_path / "other"), run.checkpoint.step, {})
    index.write_bytes(b"one")
    one = many_samples._State(run.at(foreign), TESTS, CLASSES)
    index.write_bytes(b"two")
    two = many_samples._State(run.at(foreign), TESTS, CLASSES)
    assert one._path != two._path


def test_samples_of_other_classes_begin_anew(run, capsys):
    many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES[:100])
    many_samples.nearest_neighbor_error(run, REFERENCE, CLASSES[::-1].copy())
    said = capsys.readouterr()
    assert "resumed" not in said.out and "of another evaluation" in said.err
