"""LSUN: a category is an LMDB, or a folder of images exported from one."""

import os

from datasets import database
from datasets.dataset import MOST_LISTED
from datasets.fetched import fetched_folder
from datasets.folder import open_folder
from datasets.names import IMAGE_SUFFIXES
from options import UserError


def open_lsun(config):
    """The `Dataset` of --category, in --data_path or --data_dir, else fetched.

    Raises:
        UserError: it cannot be fetched, or what is there cannot be read.
    """
    root = config.data_path or os.path.join(config.data_dir, "lsun")
    exported = os.path.join(root, config.category)
    path = find_database(root, config.category)
    if path is None and os.path.isdir(exported):
        path = exported
    if path is None and config.data_path:
        _refuse_others(root, config.category)
    path = path or config.data_path or fetched_folder(config, category=config.category)
    return open_folder(config.replace(data_path=path))


def _refuse_others(folder, category):
    """Raises `UserError` if a folder holds databases or folders of images, but none of the category.

    Images that lie in it directly, or in the folders of one character that LSUN's export makes, are
    taken as they are.
    """
    if not os.path.isdir(folder):
        return
    names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    if any(name.lower().endswith(IMAGE_SUFFIXES) for name in names):
        return
    others = [name for name in names if _may_be_a_category(os.path.join(folder, name))]
    if others:
        raise UserError(
            f"--category: {folder} holds no {category}_train_lmdb and no folder {category}, but "
            f"{', '.join(others[:MOST_LISTED])}: give the --category, or one of them as --data_path"
        )


def _may_be_a_category(path):
    if database.is_database(path):
        return True
    if not os.path.isdir(path) or len(os.path.basename(path)) == 1:
        return False
    try:
        return any(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(path))
    except OSError:  # such as lost+found
        return False


def find_database(folder, category):
    """The folder of a category's database: `folder` itself or one below it; None if there is none.

    Args:
        folder: such as `bedroom_train_lmdb` or the folder above it.
        category: such as "bedroom".
    """
    for candidate in (folder, os.path.join(folder, category + "_train_lmdb")):
        if database.is_database(candidate):
            return candidate
    return None
