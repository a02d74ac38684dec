"""A source for `fetch`: the files of a set that its mirrors offer as one .tar.gz."""

import os
import shutil
import tarfile
from typing import List, Sequence

import utils
from fetching.fetch import Network, from_mirrors, install
from fetching.verify import File, Recipe


def from_archive(
    recipe: Recipe, missing: Sequence[File], *, root: str, net: Network, reasons: List[str]
) -> Sequence[File]:
    """A source: the archive in the set's folder, where it is fetched to if it is not there.

    Its sum has matched, so what it holds is trusted.
    """
    archive = recipe.archive
    assert archive is not None, "not a set that comes as an archive"
    path = os.path.join(root, archive.name)
    if not os.path.exists(path):
        from_mirrors(recipe, [archive], root=root, net=net, reasons=reasons)
    if not os.path.exists(path):
        return missing
    with tarfile.open(path, "r:gz") as members, utils.staging_folder(root) as scratch:
        for file in missing:
            copy = os.path.join(scratch, file.name)
            member = members.extractfile(f"{recipe.folder}/{file.name}")
            assert member is not None, "a link in an archive whose sum is right"
            with member, open(copy, "wb") as output:
                shutil.copyfileobj(member, output)
            install(copy, os.path.join(root, file.name), file.sha256)
    utils.warn(f"{path} is not needed any more and may be deleted")
    return []
