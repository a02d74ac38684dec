"""A trained generator: images a chunk at a time, some chunks at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterator, Sequence, Tuple

import numpy as np

import utils
from config import Config
from inference.seeds import labels_of, latents_of
from system.threads import in_order

# Images in one session run. Kernels round differently from one batch size to another, so a fixed
# one is what makes a seed's image the same, bit for bit, however many are asked for.
CHUNK = 64


class Generator:
    """A trained generator.

    The image of a row depends on its z and y alone, bit for bit, unless `--batch_norm=batch`.

    Attributes:
        config: the run's.
        value_range: (lowest, highest) value of an image.
    """

    def __init__(
        self,
        config: Config,
        run_chunk: Callable[..., np.ndarray],
        value_range: Tuple[float, float],
        *,
        at_once: int = 1,
    ) -> None:
        """Args:
        config: the run's.
        run_chunk: (z [CHUNK, Z], y [CHUNK, K]) -> images [CHUNK, H, W, C].
        value_range: of the images.
        at_once: how many threads may call `run_chunk` at once.
        """
        self.config = config
        self.value_range = value_range
        self._run_chunk = run_chunk
        self._at_once = at_once

    def images_of(self, z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Images float32 [N, H, W, C] in `value_range`.

        Args:
            z: latents float32 [N, Z], N >= 1.
            y: one-hot labels float32 [N, K]; [N, 0] for a run without classes.
        """
        return in_chunks(self._run_chunk, z, y, at_once=self._at_once)

    def pixels_of(self, z: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        """Pixels uint8 [N, H, W, C] of float32 z [N, Z], N >= 1, and as many classes."""
        images = self.images_of(z, labels_of(self.config, classes))
        return utils.to_pixels(images, self.value_range)

    def blocks(self, seeds: Sequence[int], classes: Sequence[int]) -> Iterator[np.ndarray]:
        """Draws images a chunk at a time, in their order: yields uint8 [n, H, W, C].

        While one chunk is computed, the latents and the pixels of others are made.

        Args:
            seeds, classes: one of each for every image.
        """

        def chunk(start):
            z = latents_of(self.config, seeds[start : start + CHUNK])
            return self.pixels_of(z, classes[start : start + CHUNK])

        starts = range(0, len(seeds), CHUNK)
        if self._at_once == 1:
            yield from map(chunk, starts)
            return
        with ThreadPoolExecutor(self._at_once) as pool:
            yield from in_order(pool, chunk, starts, ahead=2 * self._at_once)

    def draw(
        self, seeds: Sequence[int], classes: Sequence[int], *, what: str = "images"
    ) -> Iterator[np.ndarray]:
        """Yields what `blocks` does, with a progress bar that calls the images `what`."""
        with utils.progress_bar(
            self.config.progress, total=len(seeds), unit="image", desc=what
        ) as bar:
            for pixels in self.blocks(seeds, classes):
                yield pixels
                bar.update(len(pixels))


def in_chunks(
    function: Callable[..., np.ndarray], *inputs: np.ndarray, at_once: int = 1
) -> np.ndarray:
    """Calls `function` on `CHUNK` rows at a time and joins the results.

    The last rows are padded with copies of themselves.

    Args:
        function: arrays [CHUNK, ...] -> array [CHUNK, ...], each row from that row of the inputs.
        inputs: arrays [N, ...], N >= 1.
        at_once: how many threads may call `function` at once.
    """

    def chunk(start):
        parts = [array[start : start + CHUNK] for array in inputs]
        padded = [np.resize(part, (CHUNK,) + part.shape[1:]) for part in parts]
        return function(*padded)[: len(parts[0])]

    starts = range(0, len(inputs[0]), CHUNK)
    if at_once == 1 or len(starts) == 1:
        return np.concatenate(list(map(chunk, starts)))
    with ThreadPoolExecutor(at_once) as pool:
        return np.concatenate(list(pool.map(chunk, starts)))
