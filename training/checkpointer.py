"""A run's checkpoints: where it stands, saving that and coming back to it."""

import json
import math
import time
from typing import NamedTuple

import checkpoint
import utils
from options import UserError
from training.graph import SHARED
from training.optimizers import learning_rate

# A cross entropy of this size means weights out of all bounds; nothing good follows from them.
EXPLODED_LOSS = 1e4
MOST_ROLLBACKS = 3
SAVE_TRIES = 3
SECONDS_BETWEEN_TRIES = 2.0


class Progress(NamedTuple):
    """Where a run stands.

    Attributes:
        step: training steps done.
        seconds: of training so far.
        draw: which stream of permutations and z the run is on; each rollback takes another.
        offset: the step at which epoch 0 would have begun with the present number of ranks; 0 unless
            the run went on with another number of them.
    """

    step: int = 0
    seconds: float = 0.0
    draw: int = 0
    offset: int = 0


def moved(progress, steps_before, steps_now):
    """A `Progress` at the same place in the data when an epoch takes another number of steps.

    A batch that the new steps would have to begin in the middle of is left out.
    """
    done = -(-(progress.step - progress.offset) * steps_now // steps_before)
    return progress._replace(offset=progress.step - done)


class Checkpointer:
    """Saves and restores the `Progress` and the variables of one run."""

    def __init__(self, *, config, program, ranks, steps_per_epoch, warn):
        """Args:
        config: `Config`.
        program: `training.graph.TrainGraph`.
        ranks: `devices.ranks.Ranks`.
        steps_per_epoch: number of ranks -> steps.
        warn: called with one line about each checkpoint skipped and each retry.
        """
        self._config = config
        self._program = program
        self._ranks = ranks
        self._steps_per_epoch = steps_per_epoch
        self._warn = warn
        self._folder = config.checkpoint_path

    def restore(self, session):
        """Initializes the variables, then loads the newest sound checkpoint if there is one.

        Rank 0 reads it; the others are given what it has.

        Returns:
            The `Progress`, the same on all ranks but for the seconds.

        Raises:
            UserError: there are checkpoints, but none can be used.
        """
        session.run(self._program.initialize)
        progress = self._load(session) if self._ranks.rank == 0 else Progress()
        session.run(self._program.share)
        shared = self._program.broadcast_object(
            session, [getattr(progress, name) for name in SHARED]
        )
        return progress._replace(**dict(zip(SHARED, shared)))

    def _load(self, session):
        utils.clear_staging(self._folder)
        try:
            found = self._program.saver.restore_newest(session, self._folder, warn=self._warn)
        except checkpoint.Damaged as damage:
            raise UserError(f"--out_name: {damage}; give another to start anew")
        if found is None:
            return Progress()
        state = dict({"offset": 0, "ranks": 1}, **found.state)
        if not (
            utils.is_number(state.get("seconds"))
            and all(type(state.get(name)) is int for name in ("draw", "offset", "ranks"))
        ):
            raise UserError(
                f"--out_name: {found.prefix}.json: does not say where the run stood; give another to "
                "start anew"
            )
        progress = Progress(found.step, state["seconds"], state["draw"], state["offset"])
        return self._with_ranks_of(progress, state["ranks"])

    def _with_ranks_of(self, progress, before):
        """Takes up a run that `before` ranks brought to where it stands; says what that changes."""
        now, batch = self._ranks.size, self._config.batch_size
        if now == before:
            return progress
        steps = [self._steps_per_epoch(size) for size in (before, now)]
        self._warn(
            "step {}: going on with {} rank(s) instead of {}: {} pictures a step, not {}; {} "
            "steps an epoch, not {}; learning rate {:g}, not {:g}".format(
                progress.step,
                now,
                before,
                now * batch,
                before * batch,
                steps[1],
                steps[0],
                *[learning_rate(self._config, size) for size in (now, before)],
            )
        )
        return moved(progress, *steps)

    def save(self, session, progress):
        """Writes a checkpoint, trying again where it fails; rank 0 alone does, all look at the weights.

        Raises:
            UserError: it failed each time, or a variable is no number any more.
        """
        if not session.run(self._program.finite):
            raise UserError(
                f"step {progress.step}: a weight is no finite number any more; the checkpoints before "
                "it are kept, none was written"
            )
        if self._ranks.rank != 0:
            return None
        state = {
            "seconds": progress.seconds,
            "draw": progress.draw,
            "offset": progress.offset,
            "ranks": self._ranks.size,
            "options": json.loads(self._config.to_json()),
        }
        for tries_left in reversed(range(SAVE_TRIES)):
            try:
                return self._program.saver.save(
                    session,
                    self._folder,
                    step=progress.step,
                    state=state,
                    max_to_keep=self._config.max_to_keep,
                )
            except OSError as error:
                if not tries_left:
                    raise UserError(
                        f"--checkpoint_dir: no checkpoint could be written at step {progress.step}: "
                        f"{error}"
                    )
                self._warn(f"checkpoint at step {progress.step} failed, trying again: {error}")
                time.sleep(SECONDS_BETWEEN_TRIES)

    def roll_back(self, session, progress, values):
        """Back to the last checkpoint and on with another draw.

        Returns:
            The `Progress` to go on from.

        Raises:
            UserError: `--on_nan=stop`, no checkpoint to go back to, or too many rollbacks.
        """
        name = next(name for name in ("d_loss", "g_loss") if not is_sound(values[name]))
        trouble = f"{name} is {values[name]} at step {progress.step}"
        if self._config.on_nan == "stop":
            raise UserError(f"{trouble}; stopped (--on_nan=rollback would go back and draw anew)")
        if progress.draw == MOST_ROLLBACKS:
            raise UserError(f"{trouble}; stopped after {MOST_ROLLBACKS} rollbacks")
        restored = self.restore(session)
        self._warn(f"{trouble}; back to step {restored.step} with another draw")
        return restored._replace(draw=progress.draw + 1, seconds=progress.seconds)


def is_sound(loss):
    """Whether a loss is a number of a size that training can come back from."""
    return math.isfinite(loss) and abs(loss) < EXPLODED_LOSS
