"""Ranks of a data-parallel run. One process is a rank of one, and the loop never asks."""

import os
from typing import Callable, NamedTuple

from config import UserError

# What launchers of several processes (the Ascend convention, horovodrun) set.
SIZES = ("RANK_SIZE", "HOROVOD_SIZE")


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
    """The ranks that the environment sets up: so far a rank of one, which does nothing.

    Raises:
        UserError: the environment or `--scale_lr` speaks of more; they would train apart unnoticed.
    """
    for name in SIZES:
        if os.environ.get(name, "") not in ("", "1"):
            raise UserError("{}: {}: training on several devices is not built yet; start one process, "
                            "without it".format(name, os.environ[name]))
    if config.scale_lr != "none":
        raise UserError("--scale_lr: {}: there is one rank only; training on several devices is not "
                        "built yet".format(config.scale_lr))
    return Ranks(rank=0, size=1, wrap_optimizer=lambda optimizer: optimizer,
                 broadcast=lambda session: None)
