"""The run's log: on the screen, in RUN/train.log, and as lines of progress where there is no bar."""

import os
import sys
import time
from typing import Any, Dict

import utils
from training import samples, throughput
from training.graph import StepResult
from training.line_file import LineFile
from training.plan import duration
from training.progress import Progress
from training.sink import RunInfo, Sink

LOG_FILE = "train.log"
LOG_LINE = "[%8d Epoch: %2d/%2d %4d/%4d time: %4.4f, d_loss: %.8f  g_loss: %.8f"
SAMPLE_LINE = "[Sample] d_loss: %.8f, g_loss: %.8f"
LAST_LINE = "Final accuracy d_loss %.8f"
SECONDS_BETWEEN_LINES = 60


class LogLines(Sink):
    """The log on standard output, which other people's scripts parse; `--log` thins it."""

    def __init__(self, run: RunInfo) -> None:
        """See `Sink`."""
        super().__init__(run)
        self._shown = run.config.log
        self.every = run.config.log_freq if self._shown == "steps" else 1
        self._epochs = 0  # that are over

    def start(self, progress: Progress, readings: Dict[str, Any]) -> None:
        """Takes note of the epochs that are over."""
        self._epochs = progress.data_step // self._run.steps_per_epoch

    def step(self, progress: Progress, result: StepResult) -> None:
        """Prints the step's line, or with `--log=epochs` that of an epoch's last step."""
        epochs = progress.data_step // self._run.steps_per_epoch
        if self._shown == "steps" or (self._shown == "epochs" and epochs > self._epochs):
            utils.say(log_line(self._run, progress, result))
        self._epochs = epochs

    def sample(self, progress: Progress, grid: samples.DrawnGrid) -> None:
        """Prints the grid's losses."""
        if self._shown == "steps":
            utils.say(SAMPLE_LINE % (grid.d_loss, grid.g_loss))

    def finish(self, progress: Progress, result: StepResult) -> None:
        """Prints the last line."""
        utils.say(LAST_LINE % result.scalars["d_loss"])


class LogFile(Sink):
    """The same lines in the run's train.log: every step's, whatever the screen shows."""

    def __init__(self, run: RunInfo) -> None:
        """See `Sink`."""
        super().__init__(run)
        self._file = LineFile(os.path.join(run.config.run_dir, LOG_FILE))

    def step(self, progress: Progress, result: StepResult) -> None:
        """Writes the step's line."""
        self._file.write(log_line(self._run, progress, result))

    def sample(self, progress: Progress, grid: samples.DrawnGrid) -> None:
        """Writes the grid's losses."""
        self._file.write(SAMPLE_LINE % (grid.d_loss, grid.g_loss))

    def finish(self, progress: Progress, result: StepResult) -> None:
        """Writes the last line."""
        self._file.write(LAST_LINE % result.scalars["d_loss"])

    def reopen(self) -> None:
        """See `LineFile.reopen`."""
        self._file.reopen()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class ProgressLines(Sink):
    """Where standard error is no terminal: a line each minute with the speed and the time left."""

    def __init__(self, run: RunInfo) -> None:
        """See `Sink`."""
        super().__init__(run)
        self._wanted = run.config.progress == "auto" and not sys.stderr.isatty()
        self._said_at, self._said_step = time.monotonic(), run.progress.data_step

    def start(self, progress: Progress, readings: Dict[str, Any]) -> None:
        """Begins to measure."""
        self._said_at, self._said_step = time.monotonic(), progress.data_step

    def step(self, progress: Progress, result: StepResult) -> None:
        """Says how far the run is, if a minute is over."""
        now = time.monotonic()
        if not self._wanted or now - self._said_at < SECONDS_BETWEEN_LINES:
            return
        config = self._run.config
        total = config.epoch * self._run.steps_per_epoch
        speed = (progress.data_step - self._said_step) / (now - self._said_at)
        images = throughput.text(speed * self._run.ranks * config.batch_size)
        left = duration((total - progress.data_step) / speed)
        utils.warn(
            f"progress: step {progress.data_step:,} of {total:,}, {images} images/s, {left} left"
        )
        self._said_at, self._said_step = now, progress.data_step


def log_line(run: RunInfo, progress: Progress, result: StepResult) -> str:
    """A step's line in the reference's format."""
    epoch, index = progress.epoch_and_index(run.steps_per_epoch)
    return LOG_LINE % (
        progress.step,
        epoch,
        run.config.epoch,
        index,
        run.steps_per_epoch,
        progress.seconds,
        result.scalars["d_loss"],
        result.scalars["g_loss"],
    )
