"""What a set of pictures holds, found from the headers of some, and what is to be made of it."""

import collections

import numpy as np

from datasets.decode import Framing, TooSmall, Unreadable, box_of, read_header
from options import UserError

SIDE = 64  # pixels of the pictures made, unless the set's own are all smaller
HEADERS_LOOKED_AT = 256  # 200,000 files must not take minutes


def look(source):
    """The headers of at most `HEADERS_LOOKED_AT` pictures, always the same ones of a set.

    Args:
        source: `datasets.images.Source`.

    Returns:
        {index: `datasets.decode.Header`}, in the order of the indices.

    Raises:
        UserError: none of them can be read.
    """
    count = len(source.names)
    chosen = np.random.RandomState(0).permutation(count)[:HEADERS_LOOKED_AT]
    headers, trouble = {}, None
    for index in sorted(chosen.tolist()):
        try:
            with source.open(index) as file:
                headers[index] = read_header(file)
        except (Unreadable, OSError) as error:
            trouble = f"{source.names[index]}: {error}"
    if not headers:
        raise UserError(
            f"--data_path: {source.place}: none of the {len(chosen):,} pictures looked at can be read; the last: "
            f"{trouble}"
        )
    return headers


def framing_of(config, source, headers):
    """The `Framing` that a config asks for, what it leaves open taken from the headers.

    Raises:
        UserError: a picture is smaller than the crop.
    """
    height, width = _output_size(config, headers.values())
    grey = sum(header.is_grey for header in headers.values())
    crop_size = (config.input_height, config.input_width) if config.input_height else None
    framing = Framing(
        height=height,
        width=width,
        channels=config.channels or (1 if 2 * grey > len(headers) else 3),
        crop=config.crop,
        crop_size=crop_size,
        pad=config.pad,
    )
    for index, header in headers.items():
        try:
            box_of(header.height, header.width, framing)
        except TooSmall as error:
            raise UserError(too_small(source.names[index], error))
    return framing


def too_small(name, error):
    """The line for the user about a picture that a `TooSmall` came of."""
    return f"--crop: {name} is {error}; --pad lays such pictures on black"


def description(source, headers, framing):
    """One line: how many files, what they hold, what is made of them."""
    count = len(source.names)
    looked_at = min(count, HEADERS_LOOKED_AT)
    parts = [
        f"{count:,} pictures in {source.place}",
        "{}{}, {}".format(
            "" if looked_at == count else f"of {looked_at} looked at: ",
            _sizes(headers.values()),
            _modes(headers.values()),
        ),
        _treatment(framing),
    ]
    if looked_at > len(headers):
        parts.insert(2, f"{looked_at - len(headers)} unreadable")
    if source.class_names:
        parts.append(f"{len(source.class_names)} classes")
    return "{}: {}".format(source.name, "; ".join(parts))


def _sizes(headers):
    sizes = [(header.height, header.width) for header in headers]
    if len(set(sizes)) == 1:
        return "all {}x{} (height x width)".format(*sizes[0])
    heights, widths = zip(*sizes)
    return f"{min(heights)}x{min(widths)} to {max(heights)}x{max(widths)} (height x width)"


def _modes(headers):
    counts = collections.Counter(header.mode for header in headers).most_common()
    if len(counts) == 1:
        return f"mode {counts[0][0]}"
    return "modes " + " ".join("{} ({})".format(*pair) for pair in counts)


def _treatment(framing):
    if not framing.crop:
        cut = "whole"
    elif framing.crop_size is None:
        cut = "the largest centre of that shape cut out"
    else:
        cut = "the centre {}x{} cut out".format(*framing.crop_size)
        cut += " (smaller ones laid on black)" if framing.pad else ""
    return "made {}x{} {}, {}".format(
        framing.height, framing.width, "grey" if framing.channels == 1 else "RGB", cut
    )


def _output_size(config, headers):
    height, width = config.output_height, config.output_width
    if height or width:
        return height or width, width or height
    sizes = collections.Counter((header.height, header.width) for header in headers)
    if any(max(size) >= SIDE for size in sizes):
        return SIDE, SIDE
    return sizes.most_common(1)[0][0]
