"""One way in which a run is reported. The ways there are: `training.sinks.SINKS`.

A sink is opened with a `RunInfo` and has those of these methods that it needs:

    start(progress, readings)   before the first step and after each rollback, with the optimizers'
                                readings (`training.step.TrainStep`); later steps come again
    step(progress, result)      after every `every`-th step, with its `training.graph.StepResult`
    sample(progress, grid)      when a sample grid was drawn, with its `training.samples.DrawnGrid`
    finish(progress, result)    after the last step of a whole training
    reopen()                    after the run's folder was removed and made again
    close()                     at the end, after an error too

`progress` is a `training.progress.Progress`. An exception among a sink's `failures` is a warning.
"""

from typing import NamedTuple, Tuple, Type

import tensorflow.compat.v1 as tf

from config import Config
from training.progress import Progress


class RunInfo(NamedTuple):
    """What a sink knows of its run.

    Attributes:
        config: `Config`.
        progress: `Progress` at the start.
        steps_per_epoch: with the current number of ranks.
        ranks: their number; a step trains on `ranks * config.batch_size` images.
    """

    config: Config
    progress: Progress
    steps_per_epoch: int
    ranks: int


class Sink:
    """One way to report a run; see the head of this file.

    Attributes:
        failures: exceptions that mean that it cannot report now.
        every: steps between two calls of `step`.
    """

    failures: Tuple[Type[Exception], ...] = (
        OSError,
        tf.errors.OpError,
        RuntimeError,  # what the FileWriter of TensorFlow 2.x raises
    )
    every = 1

    def __init__(self, run: RunInfo) -> None:
        """Opens it."""
        self._run = run
