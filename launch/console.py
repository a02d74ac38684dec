"""What the launcher tells people: on standard error; standard output is for the result alone."""

import os
import sys

from system.terminal import escaped

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # the project's folder


def say(line: str) -> None:
    """Prints a line on standard error."""
    print(escaped(line), file=sys.stderr, flush=True)
