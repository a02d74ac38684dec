"""One process of several, started by the launcher or by horovodrun."""

import os
import sys
from typing import List

from launch import binding
from launch.output import RANK_0_PID, log_path


def become_rank(words: List[str]) -> int:
    """Turns this process into the training of its rank, which HOROVOD_RANK or RANK_ID names.

    Its output goes into the log of its rank, rank 0's standard error to a path of its own.

    Args:
        words: rank 0's standard error, "bind" or "free", and the command.
    """
    rank_0_errors, bind, *command = words
    rank = int(os.environ.get("HOROVOD_RANK") or os.environ["RANK_ID"])
    os.environ["RANK_ID"] = str(rank)
    if "HOROVOD_RANK" in os.environ:
        os.environ["ASCEND_DEVICE_ID"] = str(rank)
    log = log_path(rank)
    shows_bar = rank == 0 and rank_0_errors != log
    for number, path in ((1, log), (2, log)):
        _redirect(number, path)
    if rank == 0:
        _write_pid(os.path.join(os.path.dirname(log), RANK_0_PID))
    if bind == "bind":
        command = binding.words(rank=rank, size=int(os.environ["RANK_SIZE"])) + command
    if shows_bar:
        _redirect(2, rank_0_errors)
    command.append("--progress=on" if shows_bar else "--progress=off")
    os.execvp(command[0], command)
    raise AssertionError("not reached")


def _write_pid(path: str) -> None:
    """Writes down this process's number, which the training will have."""
    with open(path + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.replace(path + ".new", path)


def _redirect(number: int, path: str) -> None:
    """Makes a file descriptor append to a file or a FIFO."""
    sys.stdout.flush()
    sys.stderr.flush()
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(opened, number)
    os.close(opened)
