"""The metrics of `--evaluate`. A new one is a class with `measure` and a row of `METRICS`.

A metric compares an `ImageSample` with another one of real images. Which samples it fits follows
from what it needs of both: MNIST and Fashion-MNIST have labels and a classifier, all sets have
features.
"""

from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from inference import distances


class ImageSample(NamedTuple):
    """Images that are measured together. What a data set does not offer is None.

    Attributes:
        features: float32 [N, F], of the network named `network`.
        network: figures on the features of different networks cannot be compared.
        images: uint8 [N, H, W, C].
        labels: integers [N], the classes that the images are meant to show.
        predicted: int64 [N], the classes that the classifier sees.
        folder: the images as PNG files.
        fidelity: what torch-fidelity measured, by its own names.
    """

    features: np.ndarray
    network: str
    images: Optional[np.ndarray] = None
    labels: Optional[np.ndarray] = None
    predicted: Optional[np.ndarray] = None
    folder: Optional[str] = None
    fidelity: Optional[Dict[str, float]] = None


class Metric:
    """A row of `METRICS`.

    Attributes:
        label: its name in plots.
        unit: "%", or "" for a number without a unit.
        smaller_is_better: None if the figure is neither good nor bad.
        needs: the attributes of `ImageSample` without which a sample does not fit it.
    """

    needs: Tuple[str, ...] = ("features",)

    def __init__(
        self, label: str, *, unit: str = "", smaller_is_better: Optional[bool] = True
    ) -> None:
        self.label = label
        self.unit = unit
        self.smaller_is_better = smaller_is_better

    @property
    def title(self) -> str:
        """Its name in plots, with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def fits(self, sample: ImageSample) -> bool:
        """Whether the sample has all that the metric needs."""
        return all(getattr(sample, name) is not None for name in self.needs)

    def measure(self, sample: ImageSample, real: ImageSample, *, progress: str) -> float:
        """The figure of a sample that fits.

        Args:
            real: what the sample is compared with.
            progress: "on", "off" or "auto", for a progress bar.
        """
        raise NotImplementedError


class NearestNeighborError(Metric):
    """How often the sample's nearest image misclassifies a real test image."""

    needs = ("images", "labels")

    def measure(self, sample, real, *, progress):
        known, unknown = (sample.images, sample.labels), (real.images, real.labels)
        return distances.nearest_neighbor_error(known, unknown, progress=progress)


class FrechetDistance(Metric):
    """The Frechet distance of the features."""

    def measure(self, sample, real, *, progress):
        return distances.frechet_distance(sample.features, real.features)


class KernelDistance(Metric):
    """The kernel distance of the features."""

    def measure(self, sample, real, *, progress):
        return distances.kernel_distance(sample.features, real.features)


class LabelAgreement(Metric):
    """How often the classifier sees the class that was asked for."""

    needs = ("labels", "predicted")

    def measure(self, sample, real, *, progress):
        return 100.0 * float((sample.predicted == sample.labels).mean())


class Fidelity(Metric):
    """A figure of torch-fidelity, under the name that the library gives it."""

    needs = ("fidelity",)

    def __init__(self, label: str, *, key: str, smaller_is_better: Optional[bool] = True) -> None:
        super().__init__(label, smaller_is_better=smaller_is_better)
        self._key = key

    def fits(self, sample):
        return super().fits(sample) and self._key in sample.fidelity

    def measure(self, sample, real, *, progress):
        return float(sample.fidelity[self._key])


# Name in metrics.json -> metric.
METRICS: Dict[str, Metric] = {
    "one_nn_error": NearestNeighborError("1-NN error", unit="%"),
    "frechet": FrechetDistance("Frechet distance"),
    "kid": KernelDistance("kernel distance"),
    "label_agreement": LabelAgreement("right labels", unit="%", smaller_is_better=False),
    "frechet_inception_distance": Fidelity("FID", key="frechet_inception_distance"),
    "kernel_inception_distance_mean": Fidelity("KID", key="kernel_inception_distance_mean"),
    "kernel_inception_distance_std": Fidelity(
        "KID's deviation", key="kernel_inception_distance_std", smaller_is_better=None
    ),
    "inception_score_mean": Fidelity("IS", key="inception_score_mean", smaller_is_better=False),
    "inception_score_std": Fidelity(
        "IS's deviation", key="inception_score_std", smaller_is_better=None
    ),
}


def measure(sample: ImageSample, real: ImageSample, *, progress: str) -> Dict[str, float]:
    """The figures of all metrics that the sample fits, by name; see `Metric.measure`."""
    return {
        name: metric.measure(sample, real, progress=progress)
        for name, metric in METRICS.items()
        if metric.fits(sample)
    }
