"""Where the files of a set are that download.py knows."""

import download
import utils
from options import UserError


def fetched_folder(config, **options):
    """The folder with the verified files of `config.dataset`, fetched first if it is not there.

    Args:
        options: further arguments of `download.ensure`.

    Raises:
        UserError: no source gave the files, or what is there is damaged.
    """
    try:
        return download.ensure(config.dataset, config.data_dir, **options)
    except download.DownloadError as error:
        summary, *details = str(error).split("\n")
        for detail in details:
            utils.warn(detail)
        raise UserError(summary)
