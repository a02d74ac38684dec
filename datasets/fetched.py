"""Where the files of a set are that download.py knows."""

import os

import download
import utils
from datasets.registry import DATASETS
from options import UserError


def fetched_folder(config, **options):
    """The folder with the verified files of `config.dataset`, fetched first if it is not there.

    Args:
        options: further arguments of `download.ensure`.

    Raises:
        UserError: no source gave the files, or what is there is damaged.
    """
    if "dataset" not in config.given and not os.path.isdir(
        os.path.join(config.data_dir, config.dataset)
    ):
        utils.say(_default_named(config.dataset))
    try:
        return download.ensure(config.dataset, config.data_dir, **options)
    except download.DownloadError as error:
        summary, *details = str(error).split("\n")
        for detail in details:
            utils.warn(detail)
        raise UserError(summary)


def _default_named(dataset):
    """One line on the set that is fetched although no option names it."""
    others = [
        f"{name} ({row.download})" if row.download else name
        for name, row in DATASETS.items()
        if name != dataset
    ]
    return (
        f"no --dataset or --data_path was given: fetching {dataset}, {DATASETS[dataset].download}. "
        f"Other sets: {', '.join(others)}; --data_path=FOLDER trains on images of your own"
    )
