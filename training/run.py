"""A run while it is trained: opens it, makes its steps, saves it, closes it."""

import contextlib
import functools
import time
from typing import Any, Callable, Iterator, Optional, Tuple

import tensorflow.compat.v1 as tf

import utils
from config import Config
from datasets import input_monitor, pipeline
from datasets.dataset import Dataset
from devices.device import Device
from devices.ranks import Ranks
from training import timeline
from training.checkpointer import Checkpointer
from training.graph import StepResult, TrainGraph
from training.plan import Forecast
from training.progress import Progress
from training.report import SilentReporter, open_reporter
from training.run_lock import RunLock
from training.samples import DrawnGrid
from training.signals import SignalCatcher


class TrainingRun:
    """What a training loop does with its run; a context manager, entered before the first step.

    Attributes:
        progress: `Progress`: how far the run has come.
    """

    def __init__(
        self,
        config: Config,
        graph: TrainGraph,
        *,
        session: tf.Session,
        session_run: Callable[..., Any],
        progress: Progress,
        total_steps: int,
        checkpointer: Checkpointer,
        reporter: SilentReporter,
        signals: SignalCatcher,
        lock: RunLock,
    ) -> None:
        """Args:
        config: `Config`.
        graph: `training.graph.TrainGraph`.
        session: holds the graph and the restored variables.
        session_run: makes the steps; called like `session.run`.
        progress: that the variables were restored with.
        total_steps: of all epochs, with the current number of ranks.
        checkpointer: `training.checkpointer.Checkpointer`.
        reporter: `training.report.SilentReporter` or `Reporter`.
        signals: `training.signals.SignalCatcher`.
        lock: of the run's folders, checked before anything is written into them.
        """
        self.progress = progress
        self._config = config
        self._graph = graph
        self._session = session
        self._session_run = session_run
        self._total_steps = total_steps
        self._checkpointer = checkpointer
        self._reporter = reporter
        self._signals = signals
        self._lock = lock
        self._started = time.monotonic() - progress.seconds
        self._saved_step, self._saved_at = progress.step, time.monotonic()
        self._forecast = Forecast(progress, total_steps)
        self._steps_in_flight = 0
        self._last: Optional[StepResult] = None  # the last sound step since the start or a rollback
        self._stop_signal: Optional[int] = None

    def __enter__(self) -> "TrainingRun":
        self._start()
        if self.finished:
            falls = self._config.lr_schedule != "constant"
            again = ", with a learning rate that rises and falls again" if falls else ""
            self._reporter.say(
                f"the run has its {self._config.epoch} epochs already; a larger --epoch goes on{again}"
            )
        return self

    def __exit__(self, kind: Any, error: Optional[BaseException], trace: Any) -> None:
        if isinstance(error, input_monitor.InputError):
            self._save_steps_before_input_error()
        if error is None:
            if self.finished and self._last is not None:
                self._reporter.finish(self.progress, self._last)
            self._graph.barrier(self._session)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained."""
        return self.progress.data_step >= self._total_steps

    @property
    def stop_signal(self) -> Optional[int]:
        """The number of the signal that all ranks stop for after the last step, or None.

        A signal that comes later, as while a grid is drawn, counts after the next step.
        """
        return self._stop_signal

    @property
    def save_due(self) -> bool:
        """Whether a checkpoint is due by the clock (`--ckpt_minutes`), the same on all ranks."""
        assert self._last is not None, "no step was made"
        return self._graph.stop_vote.save_due(self._last.stop_requests)

    def step(self) -> StepResult:
        """Makes one training step, or as many as the device loops, and reports the last of them.

        Raises:
            datasets.input_monitor.InputError: the input of a step could not be read.
            tf.errors.OpError: a step failed, as it does when another rank has died.
        """
        remaining = self._total_steps - self.progress.data_step
        steps = self._graph.steps_per_run(self.progress.step, remaining=remaining)
        step = self.progress.step + steps
        self._graph.stop_vote.cast(
            self._session, self._signals.received, save=self._is_save_overdue()
        )
        self._steps_in_flight = steps
        result = self._graph.run_steps(
            self._session_run,
            steps=steps,
            with_summary=step % self._config.summary_freq == 0,
            with_dump=step <= self._config.step_dump,
        )
        self._steps_in_flight = 0
        self.progress = self.progress._replace(step=step, seconds=self._seconds())
        self._check_folders()
        self._reporter.step(self.progress, result)
        forecast = self._forecast.after(self.progress)
        if forecast:
            self._reporter.say(forecast)
        if not result.trouble:
            self._last = result
            self._stop_signal = self._graph.stop_vote.result(
                result.stop_requests, self._signals.received
            )
        return result

    def due(self, every: int) -> bool:
        """Whether something that is done every so many steps is to be done after this one."""
        return self.progress.step % every == 0

    def draw_samples(self) -> None:
        """Draws and reports the sample grid (on rank 0)."""
        self._check_folders()
        self._reporter.sample(self._draw)

    def save(self, *, interim: bool = False) -> None:
        """Saves a checkpoint. If a variable is NaN or infinite, it rolls back instead.

        Args:
            interim: the checkpoint is only for a crash; later ones replace it.

        Raises:
            UserError: it cannot be written, or see `roll_back`.
        """
        if not self._graph.all_finite(self._session):
            self.roll_back("a weight is NaN or infinite")
            return
        self._write_checkpoint(interim=interim)

    def roll_back(self, trouble: str) -> None:
        """Returns to the last checkpoint, to continue from it with new random numbers.

        Args:
            trouble: what went wrong in the last step.

        Raises:
            UserError: `--on_nan=stop`, no usable checkpoint, or too many rollbacks.
        """
        self.progress = self._checkpointer.roll_back(self._session, self.progress, trouble)
        self._note_save()
        self._last = self._stop_signal = None
        self._start()

    def _check_folders(self) -> None:
        """To be called before anything is written: makes folders again that were removed."""
        if self._lock.check():
            self._reporter.reopen()

    def _start(self) -> None:
        self._graph.start_input(self._session, self.progress)
        self._reporter.start(self.progress, self._graph.readings(self._session))

    def _draw(self) -> Tuple[Progress, DrawnGrid]:
        grid = self._graph.grid.draw(self._session)
        return self.progress._replace(seconds=self._seconds()), grid

    def _save_steps_before_input_error(self) -> None:
        """Saves the steps before the one that was not executed, if the weights are sound.

        Where the device looped, nobody knows how many of its steps were: nothing is saved. Other
        ranks are not asked, since the error may be this one's alone.
        """
        unsaved = self.progress.step > self._saved_step
        if self._steps_in_flight == 1 and unsaved and self._graph.all_finite_here(self._session):
            self._write_checkpoint(interim=False)

    def _write_checkpoint(self, *, interim: bool) -> None:
        self._check_folders()
        self._checkpointer.save(self._session, self.progress, interim=interim)
        self._note_save()

    def _note_save(self) -> None:
        self._saved_step, self._saved_at = self.progress.step, time.monotonic()

    def _is_save_overdue(self) -> bool:
        minutes = self._config.ckpt_minutes
        return minutes > 0 and time.monotonic() - self._saved_at >= 60 * minutes

    def _seconds(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return time.monotonic() - self._started


@contextlib.contextmanager
def open_training(
    config: Config, dataset: Dataset, device: Device, *, ranks: Ranks, lock: RunLock
) -> Iterator[TrainingRun]:
    """Opens a run for training: its graph, session, restored weights and reporter.

    When the block ends well, all ranks wait for rank 0, which then draws loss curve and film alone.

    Args:
        config: with every field filled in (`training.run_folder.open_run_folder`).
        dataset: `datasets.dataset.Dataset`.
        device: `devices.device.Device`.
        ranks: `devices.ranks.Ranks`.
        lock: of the run's folders.

    Yields:
        A `TrainingRun`.

    Raises:
        UserError: there are checkpoints, but none can be used.
    """
    steps_per_epoch = functools.partial(_steps_per_epoch, config, dataset)
    with contextlib.ExitStack() as stack:
        tf_graph = stack.enter_context(tf.Graph().as_default())
        graph = TrainGraph(config=config, dataset=dataset, ranks=ranks, device=device)
        session = stack.enter_context(tf.Session(config=device.session_config))
        graph.build_loop(session)
        tf_graph.finalize()
        checkpointer = Checkpointer(config, graph, ranks=ranks, steps_per_epoch=steps_per_epoch)
        progress = checkpointer.restore(session)
        steps = steps_per_epoch(ranks.size)
        reporter = open_reporter(config, progress, steps_per_epoch=steps, ranks=ranks)
        stack.enter_context(reporter)
        run = TrainingRun(
            config,
            graph,
            session=session,
            session_run=stack.enter_context(
                timeline.traced_run(session, config=config, device=device, rank=ranks.rank)
            ),
            progress=progress,
            total_steps=config.epoch * steps,
            checkpointer=checkpointer,
            reporter=reporter,
            signals=stack.enter_context(SignalCatcher(warn=utils.warn)),
            lock=lock,
        )
        yield stack.enter_context(run)
    lock.check()
    reporter.summarize()


def _steps_per_epoch(config: Config, dataset: Dataset, ranks_size: int) -> int:
    return pipeline.steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks_size, train_size=config.train_size
    )
