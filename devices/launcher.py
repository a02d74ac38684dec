"""What `horovodrun` tells a process about itself. Horovod is not needed here."""

import os
import re
from typing import Mapping, NamedTuple

from options import UserError

_DIGITS = re.compile("[0-9]{1,9}")
_VARIABLES = ("HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE")


class HorovodProcess(NamedTuple):
    """One of the processes that train together.

    Attributes:
        rank: among all processes, 0 to size - 1.
        size: the number of all processes.
        local_rank: among the processes of this machine, 0 to local_size - 1.
        local_size: the number of processes of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def horovod_process(environ: Mapping[str, str] = os.environ) -> HorovodProcess:
    """What horovodrun's variables say of this process; without them it is the only one.

    Raises:
        UserError: a variable is not a number, or only some of them are set.
    """
    if not environ.get("HOROVOD_SIZE"):
        return HorovodProcess()
    for name in _VARIABLES:
        if not _DIGITS.fullmatch(environ.get(name, "")):
            raise UserError(
                f"{name}: must be a number where HOROVOD_SIZE is set, as horovodrun sets them, "
                f"not {environ.get(name, '')!r}"
            )
    return HorovodProcess(*[int(environ[name]) for name in _VARIABLES])
