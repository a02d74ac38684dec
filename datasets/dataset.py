"""What a data set is to the rest of the program: images (and labels) that are read by index."""

import copy
from typing import Sequence, Tuple

import numpy as np

MOST_LISTED = 40  # classes that a message lists


class Dataset:
    """Images (and labels) that are read by index; a subclass says how.

    Attributes:
        name: of the set, for people.
        architecture: the key of `model.ARCHITECTURES` that fits it.
        image_shape: (H, W, C) in pixels.
        num_examples: how many indices there are.
        class_names: the names of the K classes; none if there are no labels.
    """

    def __init__(
        self,
        *,
        name: str,
        architecture: str,
        image_shape: Tuple[int, int, int],
        num_examples: int,
        class_names: Sequence[str] = (),
    ):
        self.name = name
        self.architecture = architecture
        self.image_shape = tuple(image_shape)
        self.num_examples = num_examples
        self.class_names = tuple(class_names)

    @property
    def num_classes(self) -> int:
        """K; 0 if there are no labels."""
        return len(self.class_names)

    def read(self, indices: Sequence[int]) -> Tuple[np.ndarray, np.ndarray]:
        """Reads examples. May be called from several threads at once.

        Args:
            indices: [n] integers, each at least 0 and below `num_examples`.

        Returns:
            (images uint8 [n, H, W, C], labels float32 [n, K] one-hot).

        Raises:
            UserError: too many images cannot be read, or one is smaller than the crop.
        """
        images, classes = self._read(np.asarray(indices))
        labels = np.zeros((len(images), self.num_classes), np.float32)
        if self.num_classes:
            labels[np.arange(len(images)), classes] = 1
        return images, labels

    def without_labels(self) -> "Dataset":
        """The same images without classes."""
        unlabelled = copy.copy(self)
        unlabelled.class_names = ()
        return unlabelled

    def _read(self, indices):
        """(images uint8 [n, H, W, C], their classes, integers [n]); indices: int64 [n]."""
        raise NotImplementedError


class ArrayDataset(Dataset):
    """Images in memory."""

    def __init__(
        self,
        images: np.ndarray,
        classes: np.ndarray,
        *,
        name: str,
        architecture: str,
        class_names: Sequence[str] = (),
    ):
        """Args:
        images: uint8 [n, H, W, C].
        classes: integers [n]; not looked at if there are no class names.
        name, architecture, class_names: see `Dataset`.
        """
        super().__init__(
            name=name,
            architecture=architecture,
            image_shape=images.shape[1:],
            num_examples=len(images),
            class_names=class_names,
        )
        self._images = images
        self._classes = classes

    def _read(self, indices):
        return self._images[indices], self._classes[indices]


def class_listing(class_names: Sequence[str]) -> str:
    """Which number stands for which class: "0 cat, 1 dog"; "" if the names are the numbers."""
    if list(class_names) == [str(number) for number in range(len(class_names))]:
        return ""
    named = [f"{number} {name}" for number, name in enumerate(class_names[:MOST_LISTED])]
    rest = len(class_names) - len(named)
    return ", ".join(named) + (f", and {rest} more" if rest else "")
