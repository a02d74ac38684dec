"""The images of a zip, read in place."""

import io
import os
import threading
import zipfile
from typing import BinaryIO, Optional

from datasets.choice import choose
from datasets.images import Source
from options import UserError

MAX_MEMBER_BYTES = 1 << 28  # a zip of a few bytes may hold a member of any size
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class ZipSource(Source):
    """Image files in a zip; `names` are their paths in it."""

    def __init__(self, archive: zipfile.ZipFile, **particulars):
        """Args: archive: open for reading; particulars: see `Source`."""
        super().__init__(**particulars)
        self._archive = archive
        self._lock = threading.Lock()

    def open(self, index: int) -> BinaryIO:
        """See `Source.open`."""
        info = self._archive.getinfo(self.names[index])
        if info.file_size > MAX_MEMBER_BYTES:
            raise OSError(0, f"larger than the {MAX_MEMBER_BYTES:,} bytes allowed")
        try:
            # Locked: zipfile of Python 3.7 moves the file's position under another thread's read.
            # Bounded: a header may announce a few bytes of a member that unpacks to gigabytes.
            with self._lock, self._archive.open(info) as member:
                return io.BytesIO(member.read(info.file_size + 1))
        except Exception as error:  # a damaged member: zlib, zipfile and struct have errors each
            raise OSError(0, " ".join(str(error).split()))

    def stamp(self) -> str:
        """See `Source.stamp`."""
        status = os.stat(self.location)
        # "locked": what was packed before members were read one at a time may lack sound images.
        return f"{status.st_size} {status.st_mtime_ns} {len(self.names)} locked"


def find_images(
    path: str, *, name: str, pattern: Optional[str] = None, labelled: bool = False
) -> ZipSource:
    """The `Source` of a zip's images, in the order of their paths.

    Names that start with a dot, and what macOS adds to its zips, are skipped.

    Args:
        path: of the zip.
        name: of the set, for people.
        pattern, labelled: see `datasets.choice.choose`.

    Raises:
        UserError: it is not a zip, is damaged or has no image; an image has no class.
    """
    if path.lower().endswith(_TARS):
        raise UserError(
            f"--data_path: {path} is a tar, which is not read in place: unpack it "
            "(tar -xf FILE -C FOLDER) and name the folder"
        )
    try:
        archive = zipfile.ZipFile(path)
        files = [info.filename for info in archive.infolist() if not info.filename.endswith("/")]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise UserError(f"--data_path: {path} is neither a folder nor a sound zip or LMDB: {error}")
    files = [member for member in sorted(set(files)) if not _is_hidden(member)]
    choice = choose(files, path, pattern=pattern, labelled=labelled, in_one_folder=True)
    return ZipSource(archive, name=name, location=path, **choice._asdict())


def _is_hidden(path):
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))
