"""The ways in which a run is reported, one class each; `SINKS` lists them.

What a sink is, `training/sink.py` says.
"""

import json
import math
import os
from typing import Any, Dict, Type

import utils
from config import METRICS_FILE
from training import samples, step_dump
from training.graph import StepResult
from training.line_file import LineFile
from training.log import LOG_FILE, LogFile, LogLines, ProgressLines
from training.progress import Progress
from training.sink import RunInfo, Sink
from training.tensorboard import TensorBoard

COLLAPSED_SPREAD = 1.0  # distance of the grid's images, in pixel units of 0 to 255
NETWORKS = (("d", "the discriminator"), ("g", "the generator"))


class ProgressBar(Sink):
    """The progress bar on standard error."""

    def __init__(self, run: RunInfo) -> None:
        """See `Sink`."""
        super().__init__(run)
        self._bar = utils.progress_bar(
            run.config.progress,
            total=run.config.epoch * run.steps_per_epoch,
            initial=run.progress.data_step,
            unit="step",
        )

    def start(self, progress: Progress, readings: Dict[str, Any]) -> None:
        """Moves it to a step."""
        self._bar.update(progress.data_step - self._bar.n)

    def step(self, progress: Progress, result: StepResult) -> None:
        """Moves it on and shows the losses."""
        self._bar.update(progress.data_step - self._bar.n)
        losses = {name: f"{result.scalars[name]:.3f}" for name in ("d_loss", "g_loss")}
        self._bar.set_postfix(losses, refresh=False)

    def finish(self, progress: Progress, result: StepResult) -> None:
        """Closes it before the last line of the log."""
        self._bar.close()

    def close(self) -> None:
        """Closes it."""
        self._bar.close()


class Warnings(Sink):
    """Warnings on standard error: skipped updates, and a generator that has collapsed."""

    def __init__(self, run: RunInfo) -> None:
        """See `Sink`."""
        super().__init__(run)
        self._skipped: Dict[str, int] = {}
        self._collapsed = False

    def start(self, progress: Progress, readings: Dict[str, Any]) -> None:
        """Takes note of the updates that were skipped so far."""
        self._skipped = _skipped(readings)

    def step(self, progress: Progress, result: StepResult) -> None:
        """Warns if the step skipped updates."""
        skipped = _skipped(result.scalars)
        news = [
            f"{skipped[name] - self._skipped[name]} of {network} "
            f"(loss scale now {result.scalars[name + '_loss_scale']:g})"
            for name, network in NETWORKS
            if skipped.get(name) != self._skipped.get(name)
        ]
        if news:
            utils.warn(
                f"step {progress.step}: updates skipped, their gradients overflowed: "
                + ", ".join(news)
            )
        self._skipped = skipped

    def sample(self, progress: Progress, grid: samples.DrawnGrid) -> None:
        """Warns when the grid's images have become nearly equal."""
        collapsed = grid.spread < COLLAPSED_SPREAD
        if collapsed and not self._collapsed:
            utils.warn(
                f"step {progress.step}: the grid's images are nearly equal (spread "
                f"{grid.spread:.2f} of 255): the generator has collapsed, or not begun to learn"
            )
        self._collapsed = collapsed


class JsonLines(Sink):
    """metrics.jsonl: a line of JSON for each step and for each sample grid."""

    def __init__(self, run: RunInfo) -> None:
        """See `Sink`."""
        super().__init__(run)
        self._file = _open_metrics(run.config.run_dir, run.progress.step)

    def step(self, progress: Progress, result: StepResult) -> None:
        """Writes a step's scalars, and the number of ranks that made it."""
        epoch, _ = progress.epoch_and_index(self._run.steps_per_epoch)
        self._write(progress, epoch=epoch, ranks=self._run.ranks, **result.scalars)

    def sample(self, progress: Progress, grid: samples.DrawnGrid) -> None:
        """Writes a grid's losses and spread."""
        self._write(
            progress,
            sample_d_loss=grid.d_loss,
            sample_g_loss=grid.g_loss,
            sample_spread=grid.spread,
        )

    def _write(self, progress: Progress, **values: float) -> None:
        """Writes a line; a value that is NaN or infinite becomes null."""
        line: Dict[str, Any] = {"step": progress.step, "seconds": round(progress.seconds, 4)}
        for name, value in values.items():
            line[name] = value if math.isfinite(value) else None
        self._file.write(json.dumps(line))

    def reopen(self) -> None:
        """See `LineFile.reopen`."""
        self._file.reopen()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class GridFiles(Sink):
    """The sample grids as PNG files."""

    def sample(self, progress: Progress, grid: samples.DrawnGrid) -> None:
        """Writes a grid."""
        folder = self._run.config.sample_path
        utils.write_png(samples.grid_path(folder, progress.step), utils.grid(grid.pixels))


class StepDumps(Sink):
    """The files of `--step_dump`."""

    def step(self, progress: Progress, result: StepResult) -> None:
        """Writes a step's."""
        if result.dump is not None:
            step_dump.write(self._run.config.run_dir, progress.step, result.dump)


# Name in warnings -> sink, in the order of their calls. A further reporter is one more row.
SINKS: Dict[str, Type[Sink]] = {
    "the progress bar": ProgressBar,
    "progress lines": ProgressLines,
    "the log": LogLines,
    LOG_FILE: LogFile,
    "warnings": Warnings,
    METRICS_FILE: JsonLines,
    "TensorBoard": TensorBoard,
    "sample grids": GridFiles,
    "step dumps": StepDumps,
}


def _skipped(values: Dict[str, Any]) -> Dict[str, int]:
    """How many updates each network has skipped so far; empty where no loss is scaled."""
    return {
        name: int(values[name + "_skipped"]) for name, _ in NETWORKS if name + "_skipped" in values
    }


def _open_metrics(folder: str, first_step: int) -> LineFile:
    """Opens metrics.jsonl, without the lines of steps that are about to be redone."""
    path = os.path.join(folder, METRICS_FILE)
    if os.path.exists(path):
        with utils.atomic_path(path) as partial, open(partial, "w", encoding="utf-8") as file:
            for line in utils.read_json_lines(path):
                if not isinstance(line, dict) or not utils.is_number(line.get("step")):
                    continue
                if line["step"] <= first_step:
                    file.write(json.dumps(line) + "\n")
    return LineFile(path)
