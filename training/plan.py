"""What a run is going to do: its steps, how often it draws and saves, how long that will take."""

import statistics
from typing import List, Optional

from config import Config
from datasets.dataset import Dataset
from datasets.registry import DATASETS
from training.progress import Progress

LEAST_GRIDS = 20  # over a run whose frequencies are not given
LEAST_CHECKPOINTS = 5
TRIAL_STEPS = 40  # a shorter run is a trial of seconds: its end is all there is to see
FEW_IMAGES = 1000  # below about so many, a GAN learns the images by heart

MNIST_WIDTHS = ("gfc_dim", "dfc_dim", "g_h2_dim", "d_h0_dim", "d_h1_dim")

FORECAST_STEPS = 20  # to measure; fewer if they have taken so many seconds
FORECAST_SECONDS = 10.0
FEWEST_STEPS = 3  # for a median
SHORT_SECONDS = 60.0  # a run that ends within this needs no forecast


def with_frequencies(config: Config, *, steps_per_epoch: int) -> Config:
    """The config with frequencies that fit a run's length, where none were given.

    The reference draws a grid and writes a checkpoint every 200 steps. A run of few steps does so
    more often: it has at least 20 grids, as many of TensorBoard's histograms, and 5 checkpoints.

    Args:
        steps_per_epoch: with the current number of ranks.
    """
    total = config.epoch * steps_per_epoch
    if total < TRIAL_STEPS:
        return config
    fitting = {
        "sample_freq": total // LEAST_GRIDS,
        "summary_freq": total // LEAST_GRIDS,
        "ckpt_freq": total // LEAST_CHECKPOINTS,
    }
    loop = config.iterations_per_loop
    changes = {
        name: max(steps // loop * loop, loop)
        for name, steps in fitting.items()
        if name not in config.given and steps < getattr(config, name)
    }
    return config.replace(fitted=tuple(sorted(changes)), **changes)


def images_used(config: Config, dataset: Dataset) -> int:
    """How many images of a set a run trains on."""
    return min(dataset.num_examples, config.train_size or dataset.num_examples)


def described(config: Config, dataset: Dataset, *, steps_per_epoch: int) -> str:
    """The plan of a run in one line, for people."""
    total = config.epoch * steps_per_epoch
    return (
        f"plan: {images_used(config, dataset):,} images, {steps_per_epoch:,} steps an epoch, "
        f"{total:,} in all; a sample grid {_when(config.sample_freq, total)}, "
        f"a checkpoint {_when(config.ckpt_freq, total)}"
    )


def _when(every: int, total: int) -> str:
    if every > total:
        return "at the end"
    return "at every step" if every == 1 else f"every {every:,} steps"


def few_images(config: Config, dataset: Dataset) -> str:
    """A warning where the images are so few that they will be memorized; "" elsewhere."""
    count = images_used(config, dataset)
    is_made = config.dataset in DATASETS and not DATASETS[config.dataset].has_files
    helps = [
        flag
        for flag, missing in (
            ("--mirror", not config.mirror),
            ("--augment=diff", config.augment == "none"),
        )
        if missing
    ]
    if count >= FEW_IMAGES or is_made or not helps:
        return ""
    return (
        f"{count} images: a GAN will memorize so few images; {' and '.join(helps)} may delay it, "
        f"more images help most"
    )


def idle_schedule(config: Config) -> str:
    """A warning where the options of the learning rate's schedule have no effect, or ""."""
    start, epochs = config.lr_decay_start, config.epoch
    if config.lr_schedule == "constant":
        return "--lr_decay_start: has no effect without --lr_schedule" if start else ""
    if start < epochs:
        return ""
    return (
        f"--lr_decay_start: {start} is not below --epoch={epochs}, so the learning rate never falls"
    )


def idle_widths(config: Config) -> str:
    """A warning where widths of the MNIST networks were given for those of images, or ""."""
    given = [f"--{name}" for name in MNIST_WIDTHS if config.asks_for(name)]
    if config.architecture == "mnist" or not given:
        return ""
    return f"{', '.join(given)}: widths of the MNIST networks have no effect on {config.dataset}"


class Forecast:
    """Tells once, after the first steps, how long the training will take."""

    def __init__(self, progress: Progress, total_steps: int) -> None:
        """Args:
        progress: at the start.
        total_steps: of all epochs.
        """
        self._started = progress.seconds
        self._previous: Optional[Progress] = None  # the first step holds the start
        self._total_steps = total_steps
        self._step_seconds: List[float] = []
        self._told = False

    def after(self, progress: Progress) -> Optional[str]:
        """The forecast after a step, in one line, if now is the time for it.

        Args:
            progress: with the seconds of now.
        """
        if self._told:
            return None
        previous, self._previous = self._previous, progress
        if previous is None or progress.step <= previous.step:  # after a rollback
            return None
        steps = progress.step - previous.step
        self._step_seconds.append((progress.seconds - previous.seconds) / steps)
        measured = len(self._step_seconds)
        waited = progress.seconds - self._started
        if measured < FEWEST_STEPS or (measured < FORECAST_STEPS and waited < FORECAST_SECONDS):
            return None
        self._told = True
        step_seconds = statistics.median(self._step_seconds)
        remaining = self._total_steps - progress.data_step
        if step_seconds * remaining < SHORT_SECONDS:
            return None
        return (
            f"expected: about {duration(step_seconds * remaining)} for the {remaining:,} steps left "
            f"({step_seconds:.3g} s a step, the median of {measured})"
        )


def duration(seconds: float) -> str:
    """A duration for people: 59.6 is "1 min", 4000 is "1 h 7 min", 200000 is "2 d 7 h"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
