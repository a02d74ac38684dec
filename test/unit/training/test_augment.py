"""--augment, --mirror and --blur: what they do to images, and that a resumed run does the same."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from final_states import assert_equal_runs
from programs import ONE_THREAD, train_here
from suite import others_slow

import model
from config import Config
from datasets import pipeline
from datasets.dataset import ArrayDataset
from training import augment

RANGES = {"mnist": (0.0, 1.0), "image": (-1.0, 1.0)}
UNCHANGED = dict(
    brightness=0.5, saturation=0.5, contrast=0.5, shift_y=0.5, shift_x=0.5, hole_y=0, hole_x=0
)


def changed(images, value_range=(-1.0, 1.0), **numbers):
    """The images after an augmentation, and the gradient of their sum."""
    values = dict(UNCHANGED, **numbers)
    count = len(images)
    given = augment.Numbers(
        *[tf.constant(np.full(count, values[name]), tf.float32) for name in augment.Numbers._fields]
    )
    before = tf.constant(images, tf.float32)
    after = augment.augmented(before, given, value_range=value_range)
    with tf.Session() as session:
        return session.run([after, tf.gradients(after, before)[0]])


def random_images(shape=(2, 16, 24, 3)):
    return np.random.RandomState(3).uniform(-1, 1, shape).astype(np.float32)


def without_hole(images):
    """The images whose upper left quarter, the hole around pixel 0, is 0."""
    expected = images.copy()
    expected[:, : images.shape[1] // 4, : images.shape[2] // 4] = 0
    return expected


def test_numbers_in_the_middle_change_only_the_hole(graph):
    images = random_images()
    after, gradient = changed(images)
    np.testing.assert_allclose(after, without_hole(images), atol=1e-6)
    assert np.all(gradient[:, :4, :6] == 0) and np.all(gradient[:, 5:, 7:] != 0)


@pytest.mark.parametrize("shift, pixels", [(0.0, -2), (0.999, 2)])
def test_a_shift_moves_by_whole_pixels_and_brings_zeros_in(graph, shift, pixels):
    images = random_images()
    after, _ = changed(images, shift_y=shift, hole_x=0, hole_y=0)
    expected = np.zeros_like(images)
    if pixels > 0:
        expected[:, :-pixels] = images[:, pixels:]
    else:
        expected[:, -pixels:] = images[:, :pixels]
    np.testing.assert_allclose(after, without_hole(expected), atol=1e-6)


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_brightness_moves_by_at_most_a_quarter_of_the_range(graph, value_range):
    images = np.full((1, 8, 8, 1), 0.5, np.float32)
    after, _ = changed(images, value_range, brightness=1.0)
    assert after[0, -1, -1, 0] == pytest.approx(0.5 + (value_range[1] - value_range[0]) / 4)


def test_saturation_0_is_gray_and_contrast_0_halves_the_distance_from_the_mean(graph):
    images = random_images()
    gray, _ = changed(images, saturation=0.0)
    np.testing.assert_allclose(gray[..., 0], gray[..., 2], atol=1e-6)
    half, _ = changed(images, contrast=0.0)
    mean = images.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(half, without_hole((images + mean) / 2), atol=1e-6)


@pytest.mark.parametrize(
    "architecture, channels",
    [("image", 3), pytest.param("mnist", 1, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("fused", others_slow("--fused_step", "--nofused_step"))
def test_both_networks_train_with_it(tmp_path, architecture, channels, fused):
    dataset = {"mnist": "synthetic_mnist", "image": "synthetic"}[architecture]
    arguments = ["--augment=diff", "--train_size=32", "--epoch=1", fused, f"--dataset={dataset}"]
    code, text = train_here(tmp_path, *arguments)
    assert code == 0 and "Final accuracy" in text


def test_real_and_generated_images_have_numbers_of_their_own(graph):
    class Recorder:
        value_range = (-1.0, 1.0)
        seen = []

        def discriminator(self, x, y, training):
            self.seen.append(x)
            return x

    noise = tf.constant(np.random.RandomState(1).rand(2, 2 * augment.NUMBERS), tf.float32)
    images = tf.constant(random_images())
    for real in (True, False):
        augment.discriminator(Recorder(), noise, real=real)(images, None, True)
    with tf.Session() as session:
        real, fake = session.run(Recorder.seen)
    assert not np.allclose(real, fake)


def test_without_it_no_op_is_built(graph):
    networks = model.build_networks("mnist", model.Sizes(8, 8, 1, 2, 3))
    assert augment.discriminator(networks, None, real=True) == networks.discriminator


PIXELS = np.random.RandomState(0).randint(0, 256, (64, 4, 6, 3)).astype(np.uint8)
DATASET = ArrayDataset(PIXELS, np.zeros(64, np.int64), name="x", architecture="image")


def test_about_half_of_the_images_are_mirrored_the_same_ones_each_time():
    config = Config(batch_size=64, z_dim=2, seed=1)
    plain, _, z = pipeline.read_batch(DATASET, 3, config=config)
    mirrored, _, same_z = pipeline.read_batch(DATASET, 3, config=config.replace(mirror=True))
    again, _, _ = pipeline.read_batch(DATASET, 3, config=config.replace(mirror=True))
    later, _, _ = pipeline.read_batch(DATASET, 4, config=config.replace(mirror=True))
    flipped = [np.array_equal(a[:, ::-1], b) for a, b in zip(plain, mirrored)]
    kept = [np.array_equal(a, b) for a, b in zip(plain, mirrored)]
    assert 20 < sum(flipped) < 44 and sum(flipped) + sum(kept) == 64
    assert np.array_equal(mirrored, again) and not np.array_equal(mirrored, later)
    assert np.array_equal(z, same_z)
    assert np.array_equal(PIXELS, DATASET.read(range(64))[0])  # the set itself is as it was


def test_blur_spreads_each_channel_of_each_image_and_keeps_its_sum():
    pixels = np.zeros((64, 9, 9, 3), np.uint8)
    pixels[0, 4, 4, 1] = 200
    dataset = ArrayDataset(pixels, np.zeros(64, np.int64), name="x", architecture="image")
    config = Config(batch_size=64, z_dim=2, seed=1, sample_num=64)
    images, _, _ = pipeline.read_batch(dataset, 0, config=config.replace(blur=0.7))
    (touched,) = np.flatnonzero(images.any((1, 2, 3)))
    spot = images[touched, :, :, 1].astype(int)
    beside = {spot[3, 4], spot[5, 4], spot[4, 3], spot[4, 5]}
    assert images.dtype == np.uint8 and not images[touched][:, :, [0, 2]].any()
    assert 200 * 0.28 < spot[4, 4] < 200 * 0.36  # near 200 / (2 pi 0.7 ** 2)
    assert len(beside) == 1 and 0 < beside.pop() < spot[4, 4]
    assert abs(spot.sum() - 200) <= 8  # each pixel is rounded


def test_blur_leaves_flat_images_and_without_it_images_are_as_they_are():
    flat = np.full((64, 4, 6, 3), 255, np.uint8)
    dataset = ArrayDataset(flat, np.zeros(64, np.int64), name="x", architecture="image")
    config = Config(batch_size=64, z_dim=2, seed=1)
    assert np.array_equal(pipeline.read_batch(dataset, 0, config=config.replace(blur=3.0))[0], flat)
    order = pipeline.batch_indices(DATASET, 0, config=config)
    assert np.array_equal(pipeline.read_batch(DATASET, 0, config=config)[0], PIXELS[order])


def test_the_real_images_of_the_sample_losses_are_blurred_as_in_training():
    config = Config(batch_size=64, z_dim=2, seed=1, sample_num=8)
    inputs = [
        pipeline.sample_inputs(DATASET, config=config.replace(blur=blur), value_range=(0, 1)).images
        for blur in (0.0, 1.0)
    ]
    assert inputs[1].std() < 0.7 * inputs[0].std()


@pytest.mark.slow
@pytest.mark.parametrize(
    "extra",
    [[], ["--nofused_step"], ["--updates=alternating", "--g_updates=1", "--blur=0.7"]],
    ids=["fused", "separate", "alternating"],
)
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path, extra):
    common = ["--augment=diff", "--mirror", "--seed=3", "--train_size=48", *ONE_THREAD, *extra]
    train_here(tmp_path / "whole", "--epoch=2", *common)
    train_here(tmp_path / "parts", "--epoch=1", *common)
    train_here(tmp_path / "parts", "--epoch=2", *common)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
