"""Checkpoints that stay readable while a training deletes or replaces them.

A training keeps only its newest checkpoints; an evaluation beside it takes longer to read them than
they last. Their files get second names, which cost no room as long as the first ones exist.
"""

import contextlib
import glob
import os
import shutil
import tempfile
import time
from typing import Iterator

import checkpoint
import utils

LINKS = ".reading-"
TRIES = 100  # in each of them, all checkpoints were replaced while they were linked
ABANDONED_AFTER = 60  # seconds; a younger folder may be about to be locked


@contextlib.contextmanager
def held_checkpoints(folder: str) -> Iterator[str]:
    """A folder with the checkpoints of `folder`, whose files stay until the end of the block.

    If the file system refuses hard links (it is read-only, or has none), it is `folder` itself.
    """
    _clear_abandoned(folder)
    with contextlib.ExitStack() as stack:
        try:
            links = tempfile.mkdtemp(prefix=LINKS, dir=folder)
            stack.callback(shutil.rmtree, links, ignore_errors=True)
            stack.enter_context(utils.lock_folder(links))
            _link_all(folder, links)
        except OSError:
            links = folder
        yield links


def _link_all(folder: str, links: str) -> None:
    for _ in range(TRIES):
        found = checkpoint.kept(folder)
        for each in found:
            _link(each.prefix, links)
        if not found or checkpoint.kept(links):
            return


def _link(prefix: str, links: str) -> None:
    """Links the files of a checkpoint, or none of them if one has just been deleted."""
    linked = []
    try:
        for path in sorted(glob.glob(glob.escape(prefix) + ".*")):
            target = os.path.join(links, os.path.basename(path))
            os.link(path, target)
            linked.append(target)
    except FileNotFoundError:
        for target in linked:
            os.remove(target)


def _clear_abandoned(folder: str) -> None:
    """Removes the links of readers that were killed."""
    for path in glob.glob(os.path.join(glob.escape(folder), LINKS + "*")):
        with contextlib.suppress(OSError):
            if time.time() - os.path.getmtime(path) > ABANDONED_AFTER:
                with utils.lock_folder(path):
                    shutil.rmtree(path)
