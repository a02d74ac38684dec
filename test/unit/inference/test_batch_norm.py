"""--batch_norm, and the average of the weights, in what is drawn."""

import glob
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from small_runs import give, make_run

import checkpoint
import model
from inference import batch_norm
from inference.trained_run import open_run

Z = np.random.RandomState(0).uniform(-1, 1, (70, 4)).astype(np.float32)


@pytest.fixture(params=["mnist", "image"])
def asked(request, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_norm, "BATCHES", 5)
    return make_run(tmp_path, request.param)


def drawn(asked, count=70):
    with open_run(asked) as run, run.open_generator() as generator:
        y = np.eye(10, dtype=np.float32)[np.arange(count) % 10][:, : run.sizes.num_classes]
        return generator.images_of(Z[:count], y)


def test_estimated_statistics_are_filed_with_the_checkpoint_they_belong_to(asked, monkeypatch):
    moving, estimated = drawn(asked), drawn(give(asked, batch_norm="estimated"))
    assert np.abs(moving - estimated).max() > 0.01
    own = drawn(give(asked, batch_norm="batch"))
    assert np.abs(own - estimated).mean() < np.abs(own - moving).mean()
    (path,) = glob.glob(os.path.join(asked.out_dir, "run", "checkpoint", "*.npz"))
    assert path.endswith("-5" + checkpoint.STATISTICS)
    with monkeypatch.context() as patch:
        patch.setattr(batch_norm, "_estimate", None)  # they are not taken again
        assert np.array_equal(drawn(give(asked, batch_norm="estimated")), estimated)
    with np.load(path) as file:
        content = dict(file)
    name = "generator/g_bn1/moving_mean"
    np.savez(path, **dict(content, **{name: content[name] + 1}))  # not what was written
    assert np.array_equal(drawn(give(asked, batch_norm="estimated")), estimated)


def test_statistics_are_those_of_all_classes(asked, monkeypatch):
    monkeypatch.setattr(batch_norm, "BATCH", 4)
    seen = []
    labels_of = batch_norm.labels_of
    monkeypatch.setattr(
        batch_norm, "labels_of", lambda config, y: seen.extend(y) or labels_of(config, y)
    )
    drawn(give(asked, batch_norm="estimated"))
    with open_run(asked) as run:
        classes = run.sizes.num_classes
    assert seen == [number % 10 for number in range(20 if classes else 0)]


def test_a_run_is_drawn_as_its_recipe_says(tmp_path):
    asked = make_run(tmp_path, "mnist", batch_norm="batch")
    with open_run(asked) as run:
        assert run.config.batch_norm == "batch"
    with open_run(give(asked, batch_norm="moving")) as run:
        assert run.config.batch_norm == "moving"


def test_with_the_statistics_of_the_batch_an_image_depends_on_it(asked):
    assert np.abs(drawn(asked, 70)[:5] - drawn(asked, 5)).max() < 1e-6
    asked = give(asked, batch_norm="batch")
    assert np.abs(drawn(asked, 70)[:5] - drawn(asked, 5)).max() > 0.01


def test_images_are_drawn_with_the_average_of_the_weights(asked):
    raw = drawn(asked)
    with open_run(asked) as run, tf.Graph().as_default():
        run.build_networks().generator(
            tf.constant(Z[:2]), tf.zeros([2, run.sizes.num_classes]), training=False
        )
        with run.restored_session() as session:
            weights = tf.global_variables()
            values = dict(zip(weights, session.run(weights)))
            for weight in weights:
                name = model.average_name(weight.op.name)
                tf.get_variable(name, initializer=values[weight] * 0.5, use_resource=True)
            tf.get_variable(model.average_name("generator/steps"), initializer=9.0)
            session.run(tf.global_variables_initializer())
            for weight in weights:
                weight.load(values[weight], session)
            checkpoint.Saver(tf.global_variables()).save(
                session, run.config.checkpoint_path, step=6, state={}, max_to_keep=9
            )
    averaged = drawn(asked)
    assert np.abs(averaged - raw).max() > 0.01
