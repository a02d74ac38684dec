"""What a run is going to do: its steps, and how often it draws a grid and writes a checkpoint."""

from config import Config
from datasets.dataset import Dataset
from datasets.registry import DATASETS

LEAST_GRIDS = 20  # over a run whose frequencies are not given
LEAST_CHECKPOINTS = 5
TRIAL_STEPS = 40  # a shorter run is a trial of seconds: its end is all there is to see
FEW_IMAGES = 1000  # below about so many, a GAN learns the images by heart


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
    return config.replace(**changes)


def images_used(config: Config, dataset: Dataset) -> int:
    """How many images of a set a run trains on."""
    return min(dataset.num_examples, config.train_size or dataset.num_examples)


def described(config: Config, dataset: Dataset, *, steps_per_epoch: int) -> str:
    """The plan of a run in one line, for people."""
    total = config.epoch * steps_per_epoch
    return (
        f"plan: {images_used(config, dataset):,} images, steps an epoch: {steps_per_epoch:,}, "
        f"in all: {total:,}; a sample grid {_when(config.sample_freq, total)}, "
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
        f"{count} images: a GAN memorizes so few; {' and '.join(helps)} delay it, "
        f"more images help most"
    )
