"""Hands what a run reports to every sink. A report that fails is a warning; it ends no training."""

import functools
import shlex
from typing import Any, Callable, Dict, Set, Tuple, Type

import utils
from config import OPTIONS_FILE, Config
from devices.ranks import Ranks
from training import curves, film, samples, throughput
from training.graph import StepResult
from training.progress import Progress
from training.sink import RunInfo, Sink
from training.sinks import SINKS

DrawSample = Callable[[], Tuple[Progress, samples.DrawnGrid]]


class SilentReporter:
    """The reporter of every rank but rank 0: nothing is reported."""

    def __enter__(self) -> "SilentReporter":
        return self

    def __exit__(self, *unused: Any) -> None:
        pass

    def start(self, progress: Progress, readings: Dict[str, Any]) -> None:
        """See `Reporter.start`."""

    def step(self, progress: Progress, result: StepResult) -> None:
        """See `Reporter.step`."""

    def sample(self, draw: DrawSample) -> None:
        """See `Reporter.sample`; nothing is drawn."""

    def finish(self, progress: Progress, result: StepResult) -> None:
        """See `Reporter.finish`."""

    def reopen(self) -> None:
        """See `Reporter.reopen`."""

    def say(self, line: str) -> None:
        """See `Reporter.say`."""

    def summarize(self) -> None:
        """See `Reporter.summarize`."""


class Reporter(SilentReporter):
    """Hands the values of one run to every sink; a context manager that closes the sinks."""

    def __init__(self, run: RunInfo) -> None:
        """Opens the sinks of `SINKS`; one that cannot be opened is left out."""
        self._config = run.config
        self._failing: Set[str] = set()
        self._sinks: Dict[str, Sink] = {}
        for name, kind in SINKS.items():
            sink = self._try(name, kind.failures, functools.partial(kind, run))
            if sink is not None:
                self._sinks[name] = sink

    def __exit__(self, *unused: Any) -> None:
        self._hand_on("close")

    def start(self, progress: Progress, readings: Dict[str, Any]) -> None:
        """To be called before the first step and after each rollback.

        Args:
            progress: `Progress` that training continues from.
            readings: the optimizers' readings there (see `training.step.TrainStep`).
        """
        self._hand_on("start", progress, readings)

    def step(self, progress: Progress, result: StepResult) -> None:
        """Reports the step that `progress` ends with."""
        for name, sink in self._sinks.items():
            if progress.step % sink.every == 0:
                self._call(name, sink, "step", progress, result)

    def sample(self, draw: DrawSample) -> None:
        """Draws and reports the sample grid.

        Args:
            draw: draws it; returns the progress, with the seconds of then, and the grid.
        """
        drawn = self._try("a sample grid", Sink.failures, draw)
        if drawn is not None:
            self._hand_on("sample", *drawn)

    def finish(self, progress: Progress, result: StepResult) -> None:
        """Reports the end of a whole training."""
        self._hand_on("finish", progress, result)

    def reopen(self) -> None:
        """To be called once the run's folder was removed and made again: writes its files anew."""
        options = functools.partial(
            utils.write_text, self._config.options_path, self._config.to_json()
        )
        self._try(OPTIONS_FILE, Sink.failures, options)
        self._hand_on("reopen")

    def say(self, line: str) -> None:
        """Prints a line in the log."""
        self._try("the log", Sink.failures, functools.partial(utils.say, line))

    def summarize(self) -> None:
        """Prints the speed, writes the loss curve and the film of the grids; a failure is a warning."""
        try:
            speed = throughput.of_run(self._config.run_dir)
            if speed:
                utils.say(f"images/s: {throughput.text(speed.images_per_second)}")
            folder = self._config.run_dir
            losses = curves.read(folder, curves.LOSSES.names)
            utils.say(f"loss curve: {curves.plot(folder, curves.LOSSES, losses)}")
            path = film.write(self._config.sample_path, self._config.film)
            if path:
                utils.say(f"sample grids: {path}")
            utils.say(f"TensorBoard: tensorboard --logdir {shlex.quote(folder)}")
        except OSError as error:
            utils.warn(f"--out_dir: loss curve or film not written: {error}")

    def _hand_on(self, event: str, *arguments: Any) -> None:
        for name, sink in self._sinks.items():
            self._call(name, sink, event, *arguments)

    def _call(self, name: str, sink: Sink, event: str, *arguments: Any) -> None:
        method = getattr(sink, event, None)
        if method is not None:
            self._try(name, sink.failures, functools.partial(method, *arguments))

    def _try(
        self, name: str, failures: Tuple[Type[Exception], ...], action: Callable[[], Any]
    ) -> Any:
        """Calls `action`; warns on the first of consecutive failures."""
        try:
            result = action()
        except failures as error:
            if name not in self._failing:
                self._failing.add(name)
                utils.warn(f"{name}: cannot be written, left out meanwhile: {error}")
            return None
        self._failing.discard(name)
        return result


def open_reporter(
    config: Config, progress: Progress, *, steps_per_epoch: int, ranks: Ranks
) -> SilentReporter:
    """The reporter of a rank, a context manager: a `Reporter` on rank 0, a silent one elsewhere.

    Args:
        progress: `Progress` at the start.
        steps_per_epoch: with this number of ranks.
        ranks: `devices.ranks.Ranks`.
    """
    if ranks.rank != 0:
        return SilentReporter()
    return Reporter(RunInfo(config, progress, steps_per_epoch, ranks.size))
