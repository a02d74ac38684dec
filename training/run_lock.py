"""The locks of a run's folders: nobody else trains there, even if the folders are removed meanwhile."""

import os
from typing import IO, Any, Dict

import utils
from options import UserError


class RunLock:
    """The locks that this process holds on the folders of its run; a context manager."""

    def __init__(self) -> None:
        self._held: Dict[str, IO[str]] = {}

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(self, *unused: Any) -> None:
        for file in self._held.values():
            file.close()

    def take(self, folder: str) -> None:
        """Makes a folder and locks it.

        Raises:
            UserError: another process trains there, or the folder cannot be made or locked.
        """
        try:
            os.makedirs(folder, exist_ok=True)
            self._held[folder] = utils.lock_folder(folder)
        except BlockingIOError:
            raise UserError(f"--out_name: another process is training in {folder}")
        except OSError as error:
            raise UserError(f"--out_dir: {error}")

    def check(self) -> bool:
        """To be called before anything is written into the folders.

        A folder that was removed is made and locked again. If another process has done so, it has a
        run of its own there.

        Returns:
            Whether a folder had been removed.

        Raises:
            UserError: another process has trained there since.
        """
        made_again = False
        for folder, file in list(self._held.items()):
            try:
                found = os.stat(utils.lock_path(folder))
            except OSError:
                self.take(folder)
                made_again = True
                file.close()  # not before: a new lock file must not get this one's number
            else:
                if not os.path.samestat(found, os.fstat(file.fileno())):
                    raise UserError(
                        f"--out_name: {folder} was removed, and another process has begun a run "
                        "there; this one stops and leaves it alone"
                    )
        return made_again
