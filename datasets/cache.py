"""Whether and where the decoded images of a set are packed: --cache=auto|off|DIR."""

import hashlib
import json
import os
import shutil

import utils
from datasets.packed import CacheEntry, open_packed, pack, stale_bytes
from options import UserError

VERSION = 2  # raise it whenever the same files would give other pixels
MAX_AUTO_BYTES = 8 << 30  # what --cache=auto packs without being asked
SPARE_BYTES = 1 << 30  # what packing leaves free on a disk


class _NotPacked(Exception):
    """The images are not packed. The message says why."""


def cached(reader, *, config, source, framing):
    """The fastest reader of a set's images: a packed copy, made now if need be, or `reader` itself.

    Args:
        reader: `datasets.images.Reader`.
        config: `cache` and `train` say whether and where to pack, `progress` how to show it.
        source: `datasets.images.Source`.
        framing: `datasets.decode.Framing`.

    Raises:
        UserError: --cache names a folder that cannot be written or is on a full disk; an image is
            too small or too many are unreadable.
    """
    if config.cache == "off":
        return reader
    entries = entries_of(config, source, framing)
    for entry in entries:
        packed = open_packed(entry, reader)
        if packed:
            utils.say(f"packed images: {entry.folder}")
            return packed
    if not config.train:
        return reader
    try:
        if config.cache == "auto":
            _refuse_the_unprofitable(entries[0], config)
        return _pack_somewhere(entries, config, reader, source.name)
    except _NotPacked as why:
        if config.cache != "auto":
            raise UserError(f"--cache: {why}")
        utils.say(f"images are decoded anew in each epoch, not packed: {why}")
        return reader


def entries_of(config, source, framing):
    """Where the packed set may be: beside the images, else in the user's cache; or in DIR."""
    location = os.path.abspath(source.location)
    treatment = framing if framing.draft else framing[:-1]  # as it was before there was a draft
    options = json.dumps([VERSION, location, config.input_fname_pattern, treatment])
    key = hashlib.sha256((options + source.stamp()).encode()).hexdigest()[:32]
    own = hashlib.sha256(options.encode()).hexdigest()[:8]
    roots = [os.path.abspath(config.cache)]
    if config.cache == "auto":
        roots = [os.path.dirname(location), utils.user_cache_dir()]
    shape = (framing.height, framing.width, framing.channels)
    below = os.path.join(os.path.basename(location) + ".packed", "{}x{}x{}-{}".format(*shape, own))
    return [
        CacheEntry(os.path.join(root, below), key, (len(source.names),) + shape) for root in roots
    ]


def _refuse_the_unprofitable(entry, config):
    if entry.num_bytes > MAX_AUTO_BYTES:
        size = utils.format_bytes(entry.num_bytes)
        raise _NotPacked(f"they would take {size}; --cache=DIR packs them all the same")
    count = entry.shape[0]
    if config.epoch * min(config.train_size or count, count) < 2 * count:
        raise _NotPacked("this run would read them less than twice")


def _pack_somewhere(entries, config, reader, name):
    """Packs a set into the first entry whose disk can take it; returns it opened."""
    reasons = []
    for entry in entries:
        try:
            _check_room(entry)
            return pack(entry, reader, name=name, progress=config.progress)
        except OSError as error:
            reasons.append(f"{error.filename or entry.folder}: {error.strerror}")
    raise _NotPacked("; ".join(reasons))


def _check_room(entry):
    folder = entry.folder
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK):
        raise OSError(0, "may not be written", folder)
    free = shutil.disk_usage(folder).free + stale_bytes(entry)
    if free < entry.num_bytes + SPARE_BYTES:
        sizes = [utils.format_bytes(size) for size in (free, entry.num_bytes, SPARE_BYTES)]
        raise OSError(0, "{} free, {} needed and {} to spare".format(*sizes), folder)
