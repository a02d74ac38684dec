"""How far a run has come, and its place in the data."""

from typing import NamedTuple, Tuple

# The fields that all ranks must agree on.
SHARED = ("step", "stream", "offset")


class Progress(NamedTuple):
    """How far a run has come.

    Attributes:
        step: training steps done.
        seconds: of training so far.
        stream: number of the random stream that permutations and z come from; each rollback takes
            the next one.
        offset: the step at which epoch 0 would have begun with the current number of ranks. It is 0
            unless the run was continued with another number of ranks.
    """

    step: int = 0
    seconds: float = 0.0
    stream: int = 0
    offset: int = 0

    @property
    def data_step(self) -> int:
        """The place in the data: steps done if all of them had had the current number of ranks."""
        return self.step - self.offset

    def epoch_and_index(self, steps_per_epoch: int) -> Tuple[int, int]:
        """The epoch of the last step and that step's index within it, both counted from 0."""
        return divmod(self.data_step - 1, steps_per_epoch)

    def rescaled(self, steps_before: int, steps_now: int) -> "Progress":
        """The same place in the data once an epoch takes another number of steps.

        A batch that the new steps would have to begin in the middle of is left out.

        Args:
            steps_before: steps per epoch up to now.
            steps_now: steps per epoch from now on.
        """
        data_step = -(-self.data_step * steps_now // steps_before)
        return self._replace(offset=self.step - data_step)
