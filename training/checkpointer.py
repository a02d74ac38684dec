"""A run's checkpoints: restoring the newest one, saving, and rolling back to the last one."""

import time
from typing import Any, Callable, Dict, Tuple

import tensorflow.compat.v1 as tf

import checkpoint
import utils
from config import Config
from devices.ranks import Ranks
from options import UserError
from training.graph import TrainGraph
from training.optimizers import learning_rate
from training.progress import Progress

MAX_ROLLBACKS = 3
SAVE_TRIES = 3
SECONDS_BETWEEN_TRIES = 2.0


class Checkpointer:
    """Saves and restores the `Progress` and the variables of one run."""

    def __init__(
        self,
        config: Config,
        graph: TrainGraph,
        *,
        ranks: Ranks,
        steps_per_epoch: Callable[[int], int],
    ) -> None:
        """Args:
        config: `Config`.
        graph: `training.graph.TrainGraph`.
        ranks: `devices.ranks.Ranks`.
        steps_per_epoch: number of ranks -> steps.
        """
        self._config = config
        self._graph = graph
        self._ranks = ranks
        self._steps_per_epoch = steps_per_epoch
        self._folder = config.checkpoint_path

    def restore(self, session: tf.Session) -> Progress:
        """Initializes the variables, then loads the newest sound checkpoint if there is one.

        Rank 0 reads it and broadcasts what it read.

        Returns:
            The `Progress`, the same on all ranks but for the seconds.

        Raises:
            UserError: there are checkpoints, but none can be used.
        """
        self._graph.initialize(session)
        progress = self._load(session) if self._ranks.rank == 0 else Progress()
        self._graph.broadcast_variables(session)
        progress = self._graph.broadcast_progress(session, progress)
        self._graph.schedule.set_steps(session, progress.data_step)
        return progress

    def _load(self, session: tf.Session) -> Progress:
        utils.clear_staging(self._folder)
        try:
            found = self._graph.saver.restore_newest(session, self._folder, warn=utils.warn)
        except checkpoint.Damaged as damage:
            raise UserError(f"--out_name: {damage}; give another to start anew")
        if found is None:
            self._graph.initial_weights.load(session)
            return Progress()
        progress, ranks_before = _read_state(found)
        return self._rescaled(progress, ranks_before)

    def _rescaled(self, progress: Progress, ranks_before: int) -> Progress:
        """The place in the data with the current number of ranks; warns of what that changes."""
        ranks_now, batch = self._ranks.size, self._config.batch_size
        if ranks_now == ranks_before:
            return progress
        before, now = [self._steps_per_epoch(ranks) for ranks in (ranks_before, ranks_now)]
        rate_before, rate_now = [
            learning_rate(self._config, ranks) for ranks in (ranks_before, ranks_now)
        ]
        utils.warn(
            f"step {progress.step}: going on with {ranks_now} rank(s) instead of {ranks_before}: "
            f"{ranks_now * batch} images a step, not {ranks_before * batch}; "
            f"{now} steps an epoch, not {before}; "
            f"learning rate {rate_now:g}, not {rate_before:g}"
        )
        return progress.rescaled(before, now)

    def save(self, session: tf.Session, progress: Progress, *, interim: bool) -> None:
        """Writes a checkpoint, with retries, on rank 0.

        Args:
            interim: it need not stay once there are later ones.

        Raises:
            UserError: each try failed.
        """
        if self._ranks.rank != 0:
            return
        state = dict(self._state(progress), interim=interim)
        for tries_left in reversed(range(SAVE_TRIES)):
            try:
                self._graph.saver.save(
                    session,
                    self._folder,
                    step=progress.step,
                    state=state,
                    max_to_keep=self._config.max_to_keep,
                )
                return
            except OSError as error:
                if not tries_left:
                    raise UserError(
                        f"--checkpoint_dir: no checkpoint could be written at step "
                        f"{progress.step}: {error}"
                    )
                utils.warn(f"checkpoint at step {progress.step} failed, trying again: {error}")
                time.sleep(SECONDS_BETWEEN_TRIES)

    def _state(self, progress: Progress) -> Dict[str, Any]:
        """The manifest's state. Its keys are a file format: the stream is called "draw" there."""
        return {
            "seconds": progress.seconds,
            "draw": progress.stream,
            "offset": progress.offset,
            "ranks": self._ranks.size,
            "options": self._config.as_dict(),
        }

    def roll_back(self, session: tf.Session, progress: Progress, trouble: str) -> Progress:
        """Restores the last checkpoint, to continue from it with new random numbers.

        Args:
            progress: after the step that went wrong.
            trouble: what went wrong, such as "d_loss is nan".

        Returns:
            The `Progress` to continue from.

        Raises:
            UserError: `--on_nan=stop`, no usable checkpoint, or too many rollbacks.
        """
        trouble = f"{trouble} at step {progress.step}"
        if self._config.on_nan == "stop":
            raise UserError(
                f"{trouble}; stopped (--on_nan=rollback would return to the last checkpoint and "
                "continue with new random numbers)"
            )
        if progress.stream == MAX_ROLLBACKS:
            raise UserError(f"{trouble}; stopped after {MAX_ROLLBACKS} rollbacks")
        restored = self.restore(session)
        utils.warn(f"{trouble}; back to step {restored.step}, with new random numbers")
        return restored._replace(stream=progress.stream + 1, seconds=progress.seconds)


def _read_state(found: checkpoint.Checkpoint) -> Tuple[Progress, int]:
    """(progress, number of ranks) of a checkpoint.

    Raises:
        UserError: its manifest lacks them.
    """
    state = dict({"offset": 0, "ranks": 1}, **found.state)
    # The offset is below 0 once a run has gone on with fewer ranks.
    lowest = {"draw": 0, "offset": -(1 << 62), "ranks": 1}
    if not utils.is_number(state.get("seconds")) or any(
        type(state.get(name)) is not int or not low <= state[name] < 1 << 62
        for name, low in lowest.items()
    ):
        raise UserError(
            f"--out_name: {found.prefix}.json: does not say where the run stood; "
            "give another to start anew"
        )
    stream, offset, ranks = [state[name] for name in lowest]
    return Progress(found.step, state["seconds"], stream, offset), ranks
