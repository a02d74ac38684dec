"""Bring files into a folder over HTTP, in parts if need be.

A source is a function `(recipe, missing, *, root, net, reasons) -> still_missing`: it moves what it
can get into `root` under the final name, only if the sha256 is right, and adds a line to `reasons`
for what it cannot. An interrupted transfer is kept as NAME.part and continued the next time.
"""

import contextlib
import os
import queue
import socket
import threading
import time
from typing import List, NamedTuple, Sequence

import requests
from urllib3.exceptions import HTTPError

import utils
from fetching.verify import CHUNK_BYTES, File, Recipe, bar, file_fault, size


class Network(NamedTuple):
    """How patient to be. Times in seconds."""

    connect_s: float = 5
    read_s: float = 20
    answer_s: float = 60  # for the whole of the headers, redirects included
    attempts: int = 4  # in a row without progress, for each file and mirror
    backoff_s: float = 1  # doubled from attempt to attempt
    stall_s: float = 30  # the next mirror is tried after less than stall_bytes in this time
    stall_bytes: int = 1 << 16
    command_s: float = 300  # npm, apt-get


class SourceFailed(Exception):
    """A source did not give a file.

    Attributes:
        again: whether the same request may succeed a little later.
        unreachable: whether the source could not be reached at all.
    """

    def __init__(self, reason, *, again=False, unreachable=False):
        super().__init__(reason)
        self.again = again
        self.unreachable = unreachable


def from_mirrors(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: mirrors over HTTP. One that cannot be reached is not asked for a second file."""
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
    """Downloads one file from one address, in several attempts, and installs it."""
    utils.warn(f"{file.name} ({utils.format_bytes(file.size)}) from {os.path.dirname(url)}")
    part = os.path.join(root, file.name + ".part")
    begun = furthest = size(part)
    failures = 0
    while True:
        start = size(part)
        try:
            if start < file.size:
                _transfer(url, file, part, net)
            # The fault may be in an old part that was continued: then try once from the start.
            install(part, os.path.join(root, file.name), file.sha256, again=start > 0)
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
    """Makes one request; appends to `part`, or writes it anew if the server does not resume."""
    start = size(part)
    headers = {"Accept-Encoding": "identity"}  # the bytes of the .gz, not its content
    if start:
        headers["Range"] = f"bytes={start}-"
    with _answer(url, headers, net) as response:
        _check_answer(response, file, start, part)
        mode = "ab" if response.status_code == 206 else "wb"
        with open(part, mode) as output, bar(
            file.size, file.name, output.tell()
        ) as progress, _stall_guard(response, output.tell, net):
            _copy_body(response, output, file, progress)


def _answer(url, headers, net):
    """The response to one request, its body not yet read.

    Each timeout of requests is for one read: a server that sends its headers byte by byte, or
    redirects on and on, would keep it for days. So the request has a thread of its own.
    """
    answers: queue.Queue = queue.Queue()
    given_up = threading.Event()

    def ask():
        try:
            answer = requests.get(
                url, headers=headers, stream=True, timeout=(net.connect_s, net.read_s)
            )
        except (requests.RequestException, HTTPError, ValueError, OSError) as error:
            answers.put(error)
            return
        if given_up.is_set():
            answer.close()
        answers.put(answer)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=net.answer_s)
    except queue.Empty:
        given_up.set()
        raise SourceFailed(f"no answer in {net.answer_s:g} s", unreachable=True) from None
    if isinstance(answer, OSError):  # the exceptions of requests are OSErrors
        raise SourceFailed(_root_cause(answer), unreachable=True) from answer
    if isinstance(answer, Exception):  # a redirect to what is no address
        raise SourceFailed(f"answers what cannot be followed: {_root_cause(answer)}") from answer
    return answer


def _check_answer(response, file, start, part):
    """Raises SourceFailed if the headers show that the body is not the one wanted."""
    status = response.status_code
    if status == 416:  # our part is longer than the server's file
        discard(part)
    if status not in (200, 206):
        raise SourceFailed(
            f"HTTP {status} {response.reason or '':.80}",
            again=status in (408, 416, 429) or status >= 500,
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
    """Cuts a connection that brings less than `net.stall_bytes` in `net.stall_s` seconds.

    The read timeout does not see a server that sends a byte now and then.
    """
    done, stalled = threading.Event(), threading.Event()

    def watch():
        before = received()
        while not done.wait(net.stall_s):
            if received() < before + net.stall_bytes:
                stalled.set()
                with contextlib.suppress(OSError, ValueError), socket.socket(
                    fileno=os.dup(response.raw.fileno())
                ) as connection:  # suppressed: the transfer ended at this moment
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
            f"too slow: less than {utils.format_bytes(net.stall_bytes)} in {net.stall_s:g} s"
        ) from error
    finally:
        done.set()
        watcher.join()


def install(copy: str, target: str, sha256: str, *, again: bool = False) -> None:
    """Moves a fetched file to its final name.

    Raises:
        SourceFailed: it is not the right file; it is deleted.
    """
    fault = file_fault(copy, sha256)
    if fault:
        discard(copy)
        raise SourceFailed(f"{os.path.basename(target)} {fault}", again=again)
    os.replace(copy, target)


def _root_cause(error):
    """The message of the innermost error, such as "Name or service not known"."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def discard(path):
    """Deletes a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
