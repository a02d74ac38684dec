"""Contestants that take turns: each a process of its own, of which only one works at a time.

A contestant reads commands, a line each, and answers each with a line of JSON:

    run N       makes N iterations; answers with the seconds of each
    profile     answers with {operation: milliseconds} of one iteration, or {} where it cannot
    peak        answers with its peak resident memory in MB
"""

import json
import resource
import subprocess
import sys
import time


class Contestant:
    """The near end of a contestant's process; a context manager that ends it."""

    def __init__(self, name, command):
        """Starts it and waits until it is warm.

        Raises:
            RuntimeError: it ended before; the text is the last line of what it said.
        """
        self.name = name
        self.seconds = []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        if self._process.stdout.readline() != "warm\n":
            self._process.stdin.close()
            said = self._process.stderr.read().strip().splitlines() or ["it said nothing"]
            raise RuntimeError(f"{name}: {said[-1]}")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._process.stdin.close()
        self._process.wait()

    def take_turn(self, iterations):
        """Makes some iterations, whose seconds are added to `seconds`."""
        self.seconds += self.ask(f"run {iterations}")

    def ask(self, command):
        """The answer to a command."""
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def serve(iterate, *, profile=dict, warm_up=3):
    """The far end: warms up, then answers commands until standard input closes.

    Args:
        iterate: makes one iteration and returns when it is done.
        profile: returns {operation: milliseconds} of one.
        warm_up: iterations before the first command.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may speak there
    _times(iterate, warm_up)
    print("warm", file=answers, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "run":
            answer = _times(iterate, int(arguments[0]))
        elif command == "profile":
            answer = profile()
        else:
            assert command == "peak", command
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), file=answers, flush=True)


def _times(iterate, count):
    times = []
    for _ in range(count):
        started = time.perf_counter()
        iterate()
        times.append(time.perf_counter() - started)
    return times
