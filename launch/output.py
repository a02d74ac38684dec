"""A device's output folder, test/output/DEVICE/: locked, emptied, and restored after a refusal."""

import fcntl
import os
import shutil
from typing import List, Sequence

from launch.console import ROOT
from options import UserError

OUTPUT = os.path.join(ROOT, "test", "output")
RANK_0_PID = ".rank_0.pid"  # the number of rank 0's process, where there are several
PREVIOUS = ".previous"  # what was there before, until the training has ended


def log_path(device: int) -> str:
    """The log of the process that trains on a device."""
    return os.path.join(OUTPUT, str(device), f"train_{device}.log")


class Output:
    """The output folder of one device.

    Attributes:
        folder: absolute path.
        log: path of the training's log.
        lock: file descriptor that holds the folder. Processes that inherit it hold it too.
    """

    def __init__(self, device: int):
        """Locks the folder.

        Raises:
            UserError: another launch uses it, or it cannot be written.
        """
        self.folder = os.path.join(OUTPUT, str(device))
        self.log = log_path(device)
        try:
            os.makedirs(self.folder, exist_ok=True)
            self.lock = os.open(
                os.path.join(self.folder, ".lock"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666
            )
        except OSError:
            raise UserError(f"{self.folder}: cannot be written")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"ASCEND_DEVICE_ID={device}: another launch uses {self.folder}; wait for its end, or "
                "train on another device"
            )
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be locked: {error.strerror}")

    def empty(self) -> None:
        """Moves aside what is there and makes what every training finds.

        Raises:
            OSError: the folder cannot be emptied; what was there is still there.
        """
        self.forget_previous()
        os.mkdir(self.path(PREVIOUS))
        try:
            for name in _visible(self.folder):
                os.rename(self.path(name), self.path(PREVIOUS, name))
            for name in ("ckpt", "overflow"):
                os.mkdir(self.path(name))
            open(self.log, "w").close()
        except OSError:
            self._put_back()
            raise

    def restore(self) -> None:
        """Puts back what was there before the folder was emptied."""
        for name in _visible(self.folder):
            _remove(self.path(name))
        self._put_back()

    def _put_back(self) -> None:
        for name in _visible(self.path(PREVIOUS)):
            _remove(self.path(name))
            os.rename(self.path(PREVIOUS, name), self.path(name))
        self.forget_previous()

    def forget_previous(self) -> None:
        """Removes what was there before."""
        _remove(self.path(PREVIOUS))

    def path(self, *parts: str) -> str:
        """A path in the folder."""
        return os.path.join(self.folder, *parts)


def open_outputs(devices: Sequence[int]) -> List[Output]:
    """The output folders of some devices; they are emptied only once all of them are locked.

    Raises:
        UserError: one of them is in use or cannot be written; nothing is lost.
    """
    outputs = [Output(device) for device in devices]
    for count, output in enumerate(outputs):
        try:
            output.empty()
        except OSError:
            for emptied in outputs[:count]:
                emptied.restore()
            raise UserError(f"{output.folder}: cannot be emptied")
    return outputs


def _visible(folder: str) -> List[str]:
    return [name for name in os.listdir(folder) if not name.startswith(".")]


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
