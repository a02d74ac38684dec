"""Where `horovodrun` says a process stands among those that it started. No Horovod is needed here."""

import os
from typing import NamedTuple

from options import UserError

_VARIABLES = ("HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE")


class Place(NamedTuple):
    """One process among several.

    Attributes:
        rank, size: among all processes.
        local_rank, local_size: among those of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place(environ=os.environ):
    """The `Place` that horovodrun gave this process; that of the only one without it.

    Raises:
        UserError: a variable of horovodrun's is no number, or some are set and others are not.
    """
    if not environ.get("HOROVOD_SIZE"):
        return Place()
    for name in _VARIABLES:
        if not environ.get(name, "").isdigit():
            raise UserError(
                "{}: must be a number where HOROVOD_SIZE is set, as horovodrun sets them, "
                "not {!r}".format(name, environ.get(name, ""))
            )
    return Place(*[int(environ[name]) for name in _VARIABLES])
