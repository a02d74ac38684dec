"""LSUN: a category is an LMDB, or a folder of images exported from one."""

import os

from datasets import database
from datasets.fetched import fetched_folder
from datasets.folder import open_folder


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
    path = path or config.data_path or fetched_folder(config, category=config.category)
    return open_folder(config.replace(data_path=path))


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
