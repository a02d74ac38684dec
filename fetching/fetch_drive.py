"""A source for `fetch`: Google Drive, by the program gdown."""

import importlib.util
import os
import subprocess
import sys
from typing import List, Sequence

import utils
from fetching.fetch import Network, SourceFailed, install
from fetching.verify import File, Recipe
from system.interpreter import install_command


def from_drive(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: the one file of a recipe on Google Drive, with gdown if that is installed."""
    if not recipe.drive_id:
        return missing
    (file,) = missing
    copy = os.path.join(root, file.name + ".gdown")
    # gdown waits without end for a server that has fallen silent.
    program = (
        "import functools, sys, gdown, requests; "
        "requests.Session.request = functools.partialmethod(requests.Session.request, "
        f"timeout=({net.connect_s}, {net.read_s})); "
        "sys.exit(not gdown.download(id=sys.argv[1], output=sys.argv[2], resume=True))"
    )
    try:
        if importlib.util.find_spec("gdown") is None:
            command = install_command("-r requirements-optional.txt")
            raise SourceFailed(f"gdown is not installed ({command})")
        utils.warn(f"{file.name} ({utils.format_bytes(file.size)}) from Google Drive")
        code = subprocess.run([sys.executable, "-c", program, recipe.drive_id, copy]).returncode
        if code or not os.path.exists(copy):
            raise SourceFailed(f"gdown ended with exit code {code}, see its message")
        install(copy, os.path.join(root, file.name), file.sha256)
    except SourceFailed as error:
        reasons.append(f"Google Drive {recipe.drive_id}: {error}")
        return missing
    return []
