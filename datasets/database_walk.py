"""Whether an LMDB can be read: liblmdb trusts what is in the file, and a damaged one kills the process.

So another process looks up every key first, and reads the first and last byte of every value. That
may take minutes on a slow disk, so what was found sound is remembered in the user's cache folder.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys

import utils

# Counts, because a damaged tree may lead in circles. It imports nothing of the project.
_PROGRAM = """
import sys
import lmdb
try:
    with lmdb.open(sys.argv[1], subdir=False, readonly=True, lock=False, create=False) as environment:
        left = environment.stat()["entries"]
        with environment.begin(buffers=True) as transaction:
            for key in transaction.cursor().iternext(values=False):
                left -= 1
                if left < 0:
                    break
                value = transaction.get(bytes(key))  # as images are read: it searches the tree
                if value is None:
                    sys.exit("a key leads to no value")
                if len(value):
                    value[0], value[-1]
except (lmdb.Error, OSError, SystemError, MemoryError) as error:
    sys.exit(" ".join(str(error).split()))
if left:
    sys.exit("it does not hold as many entries as it says")
"""


def fault(path: str) -> str:
    """Why the LMDB in a file cannot be read, for after "the folder ..."; "" if it can.

    Raises:
        OSError: the file is gone.
    """
    path = os.path.realpath(path)
    status = os.stat(path)
    stamp = f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
    name = hashlib.sha256(os.fsencode(stamp)).hexdigest()
    remembered = os.path.join(utils.user_cache_dir(), "sound-databases", name)
    if os.path.exists(remembered):
        return ""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if done.returncode < 0:
        died = signal.Signals(-done.returncode).name
        return f"holds a data.mdb that is damaged: liblmdb dies of {died} when it reads it"
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        return f"holds a data.mdb that cannot be read: {' '.join(lines).strip()[-200:]}"
    with contextlib.suppress(OSError):  # then it is walked again the next time
        utils.write_text(remembered, "")
    return ""
