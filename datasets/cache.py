"""Whether and where a set's decoded pictures are packed (`datasets.packed`): --cache=auto|off|DIR."""

import hashlib
import json
import os
import shutil

from datasets.packed import CacheEntry, open_packed, pack, size_text
from options import UserError

VERSION = 1  # raise it whenever the same files would give other pixels
AUTO_MOST_BYTES = 8 << 30  # what --cache=auto packs without being asked
SPARE_BYTES = 1 << 30  # what packing leaves free on a disk


class _NotPacked(Exception):
    """Pictures are not packed; the text says why."""


def cached(reader, *, config, source, framing):
    """What reads a set's pictures fastest: its packed copy, made now if need be, or `reader` itself.

    Args:
        reader: `datasets.images.Reader`.
        config: says with `cache` and `train` whether and where to pack, with `progress` how to show it.
        source: `datasets.images.Source`.
        framing: `datasets.decode.Framing`.

    Raises:
        UserError: --cache names a folder that cannot be written or that lacks room; bad pictures.
    """
    if config.cache == "off":
        return reader
    places = places_of(config, source, framing)
    for place in places:
        packed = open_packed(place, reader)
        if packed:
            print(f"packed pictures: {place.folder}", flush=True)
            return packed
    if not config.train:
        return reader
    try:
        if config.cache == "auto":
            _refuse_the_unprofitable(places[0], config)
        return _pack_somewhere(places, config, reader, source.name)
    except _NotPacked as why:
        if config.cache != "auto":
            raise UserError(f"--cache: {why}")
        print(f"pictures are decoded anew in each epoch, not packed: {why}", flush=True)
        return reader


def places_of(config, source, framing):
    """Where the packed set may be: beside the pictures, else in the user's cache; or in DIR."""
    location = os.path.abspath(source.place)
    options = json.dumps([VERSION, location, config.input_fname_pattern, framing])
    key = hashlib.sha256((options + source.stamp()).encode()).hexdigest()[:32]
    own = hashlib.sha256(options.encode()).hexdigest()[:8]
    roots = [os.path.abspath(config.cache)]
    if config.cache == "auto":
        user_cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        roots = [os.path.dirname(location), os.path.join(user_cache, "dcgan")]
    shape = (framing.height, framing.width, framing.channels)
    below = os.path.join(os.path.basename(location) + ".packed", "{}x{}x{}-{}".format(*shape, own))
    return [
        CacheEntry(os.path.join(root, below), key, (len(source.names),) + shape) for root in roots
    ]


def _refuse_the_unprofitable(place, config):
    if place.bytes_missing > AUTO_MOST_BYTES:
        raise _NotPacked(
            f"they would take {size_text(place.bytes_missing)}; --cache=DIR packs them all the same"
        )
    count = place.shape[0]
    if config.epoch * min(config.train_size or count, count) < 2 * count:
        raise _NotPacked("this run would read them less than twice")


def _pack_somewhere(places, config, reader, name):
    """Packs a set into the first of its places that can take it; returns it opened."""
    reasons = []
    for place in places:
        try:
            _check_room(place)
            return pack(place, reader, name=name, progress=config.progress)
        except OSError as error:
            reasons.append(f"{error.filename or place.folder}: {error.strerror}")
    raise _NotPacked("; ".join(reasons))


def _check_room(place):
    there = place.folder
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    if not os.access(there, os.W_OK):
        raise OSError(0, "may not be written", there)
    free = shutil.disk_usage(there).free
    if free < place.bytes_missing + SPARE_BYTES:
        raise OSError(
            0,
            "{} free, {} are needed and {} to spare".format(
                *[size_text(size) for size in (free, place.bytes_missing, SPARE_BYTES)]
            ),
            there,
        )
