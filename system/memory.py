"""How much memory is at hand: that of the machine or, in a container, what is left of its limit.

And what becomes of memory that the process frees.
"""

import ctypes
import os
from typing import Optional

_MEMINFO = "/proc/meminfo"
_CGROUPS = (  # (limit, use, statistics) of versions 2 and 1
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
# What of the use is copies of files, which the system gives up when memory is needed. Version 1 has
# such lines without "total_" too, for the group without those below it.
_CACHE = ("total_inactive_file", "total_active_file"), ("inactive_file", "active_file")

# Parameters of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Lets the process use the memory of a freed tensor for the next one.

    glibc returns large blocks to the system at once. To get them again costs a page fault for each
    4 kB: up to a tenth of a training step. Other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_ARENA_MAX, 1)
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def available_bytes() -> int:
    """Bytes that a process can still take; without Linux's files, the machine's whole memory."""
    found = [_of_machine()]
    for limit_path, use_path, statistics in _CGROUPS:
        limit, use = _number(limit_path), _number(use_path)
        if limit is not None and use is not None:
            found.append(max(0, limit - max(0, use - _of_files(statistics))))
    return min(found)


def _of_files(path: str) -> int:
    """Bytes of copies of files in a group's memory; 0 if its statistics cannot be read."""
    try:
        with open(path, encoding="ascii") as file:
            values = dict(line.split() for line in file)
        names = next(names for names in _CACHE if names[0] in values)
        return sum(int(values[name]) for name in names)
    except (OSError, ValueError, KeyError, StopIteration):
        return 0


def _of_machine() -> int:
    try:
        with open(_MEMINFO, encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _number(path: str) -> Optional[int]:
    """The number in a file; None if there is none, such as "max"."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
