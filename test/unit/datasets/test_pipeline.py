"""A step's batch is a function of (seed, step, rank) and nothing else."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from config import Z_DISTS, Config
from datasets import pipeline, synthetic
from devices.ranks import SINGLE_PROCESS
from options import UserError

CONFIG = Config(dataset="synthetic_mnist", batch_size=32, z_dim=4, seed=9)
DATASET = synthetic.LabelledDiscs()


def epoch_of(step_range, **kwargs):
    return np.concatenate([pipeline.batch_indices(DATASET, step, **kwargs) for step in step_range])


def test_an_epoch_shows_each_example_once_and_the_next_in_another_order():
    steps = pipeline.steps_per_epoch(DATASET, batch_size=32)
    assert steps == DATASET.num_examples // 32
    first = epoch_of(range(steps), config=CONFIG)
    second = epoch_of(range(steps, 2 * steps), config=CONFIG)
    assert sorted(first) == sorted(second) == list(range(DATASET.num_examples))
    assert first.tolist() != second.tolist()


def test_train_size_uses_one_fixed_subset():
    config = CONFIG.replace(train_size=100)
    first, second = epoch_of(range(3), config=config), epoch_of(range(3, 6), config=config)
    assert len(set(first)) == 96  # the incomplete batch is dropped
    assert len(set(first) | set(second)) <= 100


@pytest.mark.parametrize("change", [dict(seed=10), dict(stream=1)])
def test_another_seed_or_stream_gives_another_order_and_z(change):
    stream = change.get("stream", 0)
    config = CONFIG.replace(seed=change.get("seed", 9))
    _, _, z = pipeline.read_batch(DATASET, 5, config=CONFIG)
    _, _, other_z = pipeline.read_batch(DATASET, 5, config=config, stream=stream)
    assert not np.array_equal(z, other_z)
    assert (
        epoch_of(range(2), config=CONFIG).tolist()
        != epoch_of(range(2), config=config, stream=stream).tolist()
    )


def test_ranks_share_an_epoch_and_have_their_own_z():
    steps = pipeline.steps_per_epoch(DATASET, batch_size=32, ranks_size=3)
    shards = [epoch_of(range(steps), config=CONFIG, rank=rank, ranks_size=3) for rank in range(3)]
    assert len(set(np.concatenate(shards))) == 3 * 32 * steps
    z = [
        pipeline.read_batch(DATASET, 0, config=CONFIG, rank=rank, ranks_size=3)[2]
        for rank in (0, 1)
    ]
    assert not np.array_equal(*z)


@pytest.mark.parametrize(
    "z_dist, low, high, mean",
    [("uniform_signed", -1, 1, 0), ("uniform_unsigned", 0, 1, 0.5), ("normal01", -9, 9, 0)],
)
def test_latents(z_dist, low, high, mean):
    z = pipeline.latents(z_dist, (4000, 3), (1, 2))
    assert z.dtype == np.float32 and low <= z.min() and z.max() < high
    assert abs(z.mean() - mean) < 0.05
    assert np.array_equal(z, pipeline.latents(z_dist, (4000, 3), (1, 2)))
    assert not np.array_equal(z, pipeline.latents(z_dist, (4000, 3), (1, 3)))


@pytest.mark.parametrize("z_dist", Z_DISTS)
def test_latents_of_many_keys_are_those_of_each(z_dist):
    """An odd size leaves a generator of normal numbers with one in store."""
    keys = [7, 0, (1 << 32) - 1, 7]
    z = pipeline.latents_of_keys(z_dist, 5, keys)
    assert z.dtype == np.float32
    assert np.array_equal(z, [pipeline.latents(z_dist, (5,), (key,)) for key in keys])


def test_scaled():
    pixels = np.array([0, 127.5, 255], np.float32)
    assert pipeline.scaled(pixels, (-1.0, 1.0)).tolist() == [-1, 0, 1]
    assert pipeline.scaled(pixels, (0.0, 1.0)).tolist() == [0, 0.5, 1]


def test_more_than_the_set_holds_is_refused():
    with pytest.raises(UserError, match="--batch_size"):
        pipeline.steps_per_epoch(DATASET, batch_size=3000)
    with pytest.raises(UserError, match="--batch_size"):
        pipeline.steps_per_epoch(DATASET, batch_size=64, train_size=50)


def test_the_pipeline_gives_what_read_batch_does_from_any_step_on(graph):
    config = CONFIG.replace(batch_size=8)
    batches = pipeline.InputPipeline(
        DATASET, config=config, value_range=(0.0, 1.0), ranks=SINGLE_PROCESS
    )
    assert batches.batch.images.shape.as_list() == [8, 28, 28, 1]
    with tf.Session() as session:
        for first_step, stream in ((0, 0), (300, 0), (3, 2)):
            batches.start(session, first_step, stream)
            for step in range(first_step, first_step + 3):
                images, labels, z = pipeline.read_batch(DATASET, step, config=config, stream=stream)
                got = pipeline.Batch(*session.run(batches.batch[:3]))
                np.testing.assert_allclose(got.images, images / 255.0, atol=1e-6)
                assert np.array_equal(got.labels, labels) and np.array_equal(got.z, z)


def test_sample_inputs_are_fixed():
    config = CONFIG.replace(sample_num=23)
    first, again = [
        pipeline.sample_inputs(DATASET, config=config, value_range=(0, 1)) for _ in range(2)
    ]
    assert all(np.array_equal(*parts) for parts in zip(first, again))
    assert first.images.shape == (23, 28, 28, 1) and first.images.max() <= 1
    assert first.labels.argmax(1).tolist() == [k % 10 for k in range(23)]
    everything, labels = DATASET.read(np.arange(DATASET.num_examples))
    for image, label in zip(first.images, first.image_labels):  # each with its own label
        (place, *_) = np.flatnonzero(np.abs(everything / 255.0 - image).max((1, 2, 3)) < 1e-6)
        assert np.array_equal(labels[place], label)


def test_synthetic_sets():
    for dataset in (synthetic.LabelledDiscs(), synthetic.ColoredDiscs(height=12, width=20)):
        images, labels = dataset.read(np.array([3, 4, 3]))
        assert images.shape == (3,) + dataset.image_shape and images.dtype == np.uint8
        assert labels.shape == (3, dataset.num_classes) and labels.dtype == np.float32
        assert np.array_equal(images[0], images[2]) and not np.array_equal(images[0], images[1])


def test_open_dataset_fills_the_sizes():
    from datasets.registry import open_dataset

    config, _ = open_dataset(Config(dataset="synthetic", output_height=16, output_width=24))
    assert (config.output_height, config.output_width, config.channels) == (16, 24, 3)
    assert (config.architecture, config.num_classes) == ("image", 0)
    with pytest.raises(UserError, match="--output_height"):
        open_dataset(Config(dataset="synthetic_mnist", output_height=64))
    with pytest.raises(UserError, match="--dataset"):
        open_dataset(Config(dataset="/no/such/set"))


def test_nothing_tunes_the_input(graph):
    """Seen on TensorFlow 2.21: after 200 s of training, closing the session took 56 s."""
    pipeline.InputPipeline(DATASET, config=CONFIG, value_range=(0, 1), ranks=SINGLE_PROCESS)
    (prefetch,) = [each for each in graph.get_operations() if "PrefetchDataset" in each.type]
    users = [each for output in prefetch.outputs for each in output.consumers()]
    if tf.__version__.startswith("1."):
        assert "OptionsDataset" not in [each.type for each in users]
        return
    (options,) = [each for each in users if each.type == "OptionsDataset"]
    from tensorflow.core.framework import dataset_options_pb2

    sent = dataset_options_pb2.Options.FromString(options.get_attr("serialized_options"))
    assert (
        sent.autotune_options.WhichOneof("optional_enabled") and not sent.autotune_options.enabled
    )
