"""Continuing in the project's own environment when this interpreter lacks what the program needs."""

import os
import shlex
import sys
from typing import NoReturn

from system.terminal import keep_streams

_SWITCHED = "DCGAN_SWITCHED_FROM"


def install_command(packages: str) -> str:
    """The command that installs `packages`, pip's words for them, for the running interpreter."""
    return f"{shlex.quote(sys.executable)} -m pip install {packages}"


def continue_in_own_environment(missing: str) -> NoReturn:
    """Runs the same command line with the interpreter of `bash test/env.sh`, or says how to get it.

    Args:
        missing: what this interpreter lacks, for people.
    """
    keep_streams()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = os.path.basename(sys.argv[0])
    own = os.environ.get("DCGAN_PYTHON") or os.path.join(
        root, os.environ.get("DCGAN_VENV", ".venv"), "bin", "python"
    )
    is_own = os.path.abspath(own) == os.path.abspath(sys.executable)
    if os.access(own, os.X_OK) and not is_own and _SWITCHED not in os.environ:
        print(f"{program}: {missing} ({sys.executable}); continuing with {own}", file=sys.stderr)
        os.environ[_SWITCHED] = sys.executable
        os.execv(own, [own, *sys.argv])
    script = os.path.relpath(os.path.join(root, "test", "env.sh"))
    again = " ".join(shlex.quote(word) for word in ["python", *sys.argv])
    print(
        f"{program}: {missing} ({sys.executable}). Set the environment up with: "
        f"bash {shlex.quote(script)}; then run again, with the interpreter that it names: {again}",
        file=sys.stderr,
    )
    sys.exit(2)
