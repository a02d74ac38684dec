"""Ranks of a data-parallel run. One process is a rank of one, and the loop never asks."""

from typing import Callable, NamedTuple


class Ranks(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: 0 to size - 1; rank 0 writes the files.
        size: how many processes.
        wrap_optimizer: `optimizer -> optimizer` that averages gradients over the ranks.
        broadcast: `session -> None`, makes every rank's variables those of rank 0.
    """
    rank: int
    size: int
    wrap_optimizer: Callable
    broadcast: Callable


def open_ranks(config):
    """The ranks that the environment sets up; alone, a rank of one that does nothing."""
    del config
    return Ranks(rank=0, size=1, wrap_optimizer=lambda optimizer: optimizer,
                 broadcast=lambda session: None)
