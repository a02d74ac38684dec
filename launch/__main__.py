"""The launcher: `python ROOT/launch COMMAND WORD...`, which the scripts in test/ call.

It is run by its path: the working folder of the user, which relative paths refer to, is neither
changed nor searched for modules. Until the interpreter with TensorFlow has been found, any Python
runs it, so that it imports nothing but the standard library and what needs no more.
"""

import os
import signal
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from launch import align, arguments, display, rank, train  # noqa: E402
from launch.console import say  # noqa: E402
from options import UserError  # noqa: E402
from system.terminal import keep_streams  # noqa: E402

COMMANDS = {
    "check": arguments.check,  # a launch script's options
    "train": train.train,
    "align": align.align,  # test/align.sh: two trainings and a comparison
    "rank": rank.become_rank,  # one process of several; see rank.py
    "display": display.show,  # standard error on a terminal; see display.py
}


def main() -> int:
    """Runs a command; returns its exit code, 2 after a user error."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback; training has its own handler
    try:
        return COMMANDS[sys.argv[1]](sys.argv[2:])
    except UserError as error:
        say(str(error))
        return 2


if __name__ == "__main__":
    keep_streams()
    sys.exit(main())
