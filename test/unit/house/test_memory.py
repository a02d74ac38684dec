"""Memory that a process frees and takes again."""

import ctypes
import platform
import subprocess
import sys

import pytest

ROUNDS = 8
BYTES = 64 << 20
PAGES = BYTES // 4096
CODE = f"""
import ctypes, resource
from system.memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({ROUNDS}):
        block = libc.malloc({BYTES})
        ctypes.memset(block, 1, {BYTES})
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
keep_freed_memory()
print(faults())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc returns freed memory in this way"
)
def test_freed_memory_is_used_again():
    output = subprocess.check_output([sys.executable, "-c", CODE], universal_newlines=True)
    returned, kept = [int(line) for line in output.split()]
    assert returned > (ROUNDS - 1) * PAGES / 2
    assert kept < 2 * PAGES


def test_other_c_libraries_are_left_alone(monkeypatch):
    from system import memory

    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory.keep_freed_memory()
