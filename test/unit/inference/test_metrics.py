"""The table of metrics: a row fits what has the data it needs, and a new row is all it takes."""

import numpy as np
import pytest

from inference import metrics, random_features
from inference.metrics import METRICS, ImageSample

FEATURES = np.random.RandomState(0).standard_normal((20, 4))
LABELS = np.arange(20) % 10
IMAGES = np.random.RandomState(1).randint(0, 256, (20, 4, 4, 1)).astype(np.uint8)
LABELED = ImageSample(FEATURES, "net", IMAGES, LABELS, predicted=np.maximum(LABELS, 1))


@pytest.mark.parametrize(
    "sample, names",
    [
        (ImageSample(FEATURES, "net"), {"frechet", "kid"}),
        (LABELED, {"frechet", "kid", "one_nn_error", "label_agreement"}),
        (LABELED._replace(labels=None), {"frechet", "kid"}),
        (
            ImageSample(FEATURES, "net", fidelity={"inception_score_mean": 2.5, "other": 1.0}),
            {"frechet", "kid", "inception_score_mean"},
        ),
    ],
)
def test_a_sample_is_measured_by_the_metrics_that_fit_it(sample, names):
    assert set(metrics.measure(sample, LABELED, progress="off")) == names


def test_figures_of_a_sample_compared_with_itself():
    figures = metrics.measure(LABELED, LABELED, progress="off")
    assert figures["one_nn_error"] == 0
    assert figures["frechet"] == pytest.approx(0, abs=1e-9)
    assert figures["label_agreement"] == 90  # two labels of 0, predicted as 1


def test_a_new_metric_is_a_row(monkeypatch):
    class MeanFeature(metrics.Metric):
        def measure(self, sample, real, *, progress):
            return float(sample.features.mean())

    monkeypatch.setitem(METRICS, "mean_feature", MeanFeature("mean feature"))
    figures = metrics.measure(LABELED, LABELED, progress="off")
    assert figures["mean_feature"] == FEATURES.mean()


def test_random_features_tell_noisy_images_from_real_ones():
    """The distance grows with the noise, and is smallest for other images of the same kind."""
    random = np.random.RandomState(2)
    height, width = np.mgrid[:12, :10]

    def waves(count):
        phases = random.uniform(0, 6, (count, 1, 1, 3))
        return 127 + 90 * np.sin(0.6 * (height + width)[None, :, :, None] + phases)

    def features(images):
        pixels = np.clip(images, 0, 255).astype(np.uint8)
        blocks = [pixels[:64], pixels[64:]]
        return random_features.extract(blocks, shape=(12, 10, 3), session_config=None)

    real, other, noise = waves(200), waves(200), random.standard_normal((200, 12, 10, 3))
    distances = [
        METRICS["frechet"].measure(
            ImageSample(features(images), "net"), ImageSample(features(real), "net"), progress="off"
        )
        for images in (other, other + 10 * noise, other + 40 * noise)
    ]
    assert distances == sorted(distances) and distances[0] < distances[2] / 4
    assert features(real).shape == (200, random_features.FEATURES)
    np.testing.assert_array_equal(features(real), features(real))
