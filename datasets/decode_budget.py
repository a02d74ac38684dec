"""Bounds the memory of all decodes at once: a small file may hold a large image."""

import contextlib
import threading
from typing import Iterator

from system import memory

# Decodes of fewer bytes are not counted: they are many, and even dozens of them take little.
_SMALL = 1 << 23


class DecodeBudget:
    """Lets decodes begin while all of them together take no more than half of the free memory.

    A decode that alone takes more runs alone.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._in_flight = 0
        self._capacity = 0

    @contextlib.contextmanager
    def taken(self, num_bytes: int) -> Iterator[None]:
        """Waits until `num_bytes` may be taken; they are given back at the end of the block."""
        if num_bytes < _SMALL:
            yield
            return
        with self._condition:
            while self._in_flight and self._in_flight + num_bytes > self._capacity:
                self._condition.wait()
            if not self._in_flight:  # what is free now is not yet taken by a decode
                self._capacity = memory.available_bytes() // 2
            self._in_flight += num_bytes
        try:
            yield
        finally:
            with self._condition:
                self._in_flight -= num_bytes
                self._condition.notify_all()


BUDGET = DecodeBudget()
