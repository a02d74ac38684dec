"""Binding a rank to its share of the cores."""

import os
import shutil
import subprocess
from typing import List

from launch.console import say


def words(*, rank: int, size: int) -> List[str]:
    """The words before a command that bind it to the share of `rank` among `size` ranks.

    They are none, after a warning, where taskset is missing or refuses these cores.
    """
    cores = os.sysconf("SC_NPROCESSORS_ONLN")
    share = max(1, cores // size)
    first = rank * share % cores
    cpus = f"{first}-{first + share - 1}"
    taskset = ["taskset", "-c", cpus]
    if shutil.which("taskset") and _works([*taskset, "true"]):
        return taskset
    say(f"--bind_core: taskset is missing or refuses the cores {cpus}; training without it")
    return []


def _works(command: List[str]) -> bool:
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
