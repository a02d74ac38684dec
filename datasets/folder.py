"""The images of a folder and of all folders in it."""

import hashlib
import os

from datasets import archive, database
from datasets.choice import choose
from datasets.fetched import fetched_folder
from datasets.images import Source, open_images
from options import UserError
from system.regular_file import open_regular


def open_folder(config):
    """The `Dataset` of a folder of images, of the LMDB in it, or of a zip of images.

    Args:
        config: `data_path`, else `dataset` in `data_dir`, is the folder; or it is the file of a zip
            or of an LMDB.

    Raises:
        UserError: no such folder, no image in it, images that cannot be read.
    """
    path = config.data_path or os.path.join(config.data_dir, config.dataset)
    if database.is_database(path):
        return database.open_database(config, path)
    find = archive.find_images if os.path.isfile(path) else find_images
    source = find(
        path,
        name=config.dataset,
        pattern=config.input_fname_pattern,
        labelled=config.labels == "folder",
    )
    return open_images(source, config)


def open_celeba(config):
    """The `Dataset` of celebA's aligned images, in --data_path or fetched."""
    return open_folder(config.replace(data_path=config.data_path or fetched_folder(config)))


class FolderSource(Source):
    """Image files below a folder; `names` are their paths below it."""

    def open(self, index):
        return open_regular(os.path.join(self.location, self.names[index]))

    def stamp(self):
        """A digest that changes if a file is added, removed, renamed, resized or written to."""
        digest = hashlib.sha256()
        for path in self.names:
            try:
                status = os.stat(os.path.join(self.location, path))
                state = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                state = "missing"
            digest.update(os.fsencode(path) + b"\0" + state.encode() + b"\n")
        return digest.hexdigest()


def find_images(folder, *, name, pattern=None, labelled=False):
    """The `Source` of a folder's images, in the order of their paths.

    Links are followed and each folder is visited once. Names that start with a dot are skipped.

    Args:
        folder: the path to search.
        name: of the set, for people.
        pattern, labelled: see `datasets.choice.choose`.

    Raises:
        UserError: the folder is missing, unreadable or without images; an image has no class.
    """
    if not os.path.isdir(folder):
        raise UserError(f"--data_path: there is no folder {folder}")
    try:
        files = sorted(_walk(folder))
    except OSError as error:
        raise UserError(
            f"--data_path: {error.filename or folder} cannot be searched: {error.strerror}"
        )
    choice = choose(files, folder, pattern=pattern, labelled=labelled)
    return FolderSource(name=name, location=folder, **choice._asdict())


def _walk(root):
    """Yields the path below `root` of every file.

    A folder that several paths lead to is visited once, by its own path rather than by a link.
    """
    entered = set()
    folders, links = [""], []
    while folders or links:
        below = folders.pop() if folders else links.pop(0)
        status = os.stat(os.path.join(root, below))
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(os.path.join(root, below)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = os.path.join(below, entry.name)
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    (links if entry.is_symlink() else folders).append(path)
                elif _may_be_read(entry):
                    yield path


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _may_be_read(entry):
    """Whether it is a file, or a dead link, which is named when it is read; a pipe would block."""
    return (
        entry.is_file(follow_symlinks=False)
        or entry.is_symlink()
        and (os.path.isfile(entry.path) or not os.path.exists(entry.path))
    )
