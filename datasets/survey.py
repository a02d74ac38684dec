"""What a set of images holds, found from the headers of some, and what to make of it."""

import collections

import numpy as np

from datasets.decode import Framing, TooSmall, Unreadable, box_of, divisor_of, read_header
from options import UserError

SIDE = 64  # pixels of the images made, unless all images of the set are smaller
MOST_STRETCH = 0.02  # of a side, which rounding may cause and nobody sees
MAX_HEADERS = 256  # 200,000 files must not take minutes


def look(source):
    """The headers of at most `MAX_HEADERS` images, always the same ones of a set.

    Args:
        source: `datasets.images.Source`.

    Returns:
        {index: `datasets.decode.Header`}, in the order of the indices.

    Raises:
        UserError: none of them can be read.
    """
    count = len(source.names)
    chosen = np.random.RandomState(0).permutation(count)[:MAX_HEADERS]
    headers, trouble = {}, None
    for index in sorted(chosen.tolist()):
        try:
            with source.open(index) as file:
                headers[index] = read_header(file)
        except (Unreadable, OSError) as error:
            trouble = f"{source.names[index]}: {error}"
    if not headers:
        raise UserError(
            f"--data_path: {source.location}: none of the {len(chosen):,} images looked at can "
            f"be read; the last: {trouble}"
        )
    return headers


def framing_of(config, source, headers):
    """The `Framing` that a config asks for; what it leaves open is taken from the headers.

    Raises:
        UserError: an image is smaller than the crop.
    """
    height, width = _output_size(config, headers.values())
    grey = sum(header.is_grey for header in headers.values())
    # Once a set was opened, input_height says the output's without a crop, too.
    has_size = config.crop and config.input_height
    framing = Framing(
        height=height,
        width=width,
        channels=config.channels or (1 if 2 * grey > len(headers) else 3),
        crop=config.crop,
        crop_size=(config.input_height, config.input_width) if has_size else None,
        pad=config.pad,
    )
    for index, header in headers.items() if config.crop else ():
        try:
            box_of(header.height, header.width, framing)
        except TooSmall as error:
            raise UserError(too_small(source.names[index], error))
    is_draft = not config.exact_decode and _larger_jpegs(headers.values(), framing)
    return framing._replace(draft=bool(is_draft))


def _larger_jpegs(headers, framing):
    """Those that may be decoded smaller than they are. A set without any is always decoded whole."""
    return [
        header
        for header in headers
        if header.is_jpeg and divisor_of(header.height, header.width, framing) > 1
    ]


def too_small(name, error):
    """The message for the user about the image that raised `TooSmall`."""
    return f"--crop: {name} is {error}; --pad lays such images on black"


def description(source, headers, framing):
    """One line: how many images, of what kind, and what is made of them."""
    count = len(source.names)
    looked_at = min(count, MAX_HEADERS)
    found = f"{_sizes(headers.values())}, {_modes(headers.values())}"
    if looked_at < count:
        found = f"of {looked_at} looked at: {found}"
    parts = [f"{count:,} images in {source.location}", found]
    if looked_at > len(headers):
        parts.append(f"{looked_at - len(headers)} unreadable")
    parts.append(_treatment(framing, headers.values()))
    if source.class_names:
        parts.append(f"{len(source.class_names)} classes")
    if source.left_out:
        parts.append(source.left_out)
    return f"{source.name}: " + "; ".join(parts)


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


def _treatment(framing, headers):
    if not framing.crop:
        cut = _stretching(framing, headers)
    elif framing.crop_size is None:
        cut = "cropped to the largest center of that shape"
    else:
        cut = "cropped to the center {}x{}".format(*framing.crop_size)
        if framing.pad:
            cut += " (smaller ones laid on black)"
    colors = "gray" if framing.channels == 1 else "RGB"
    made = f"made {framing.height}x{framing.width} {colors}, {cut}"
    if framing.draft:
        made += "; large JPEGs decoded at 1/2 to 1/8 (--exact_decode: whole)"
    return made


def _stretching(framing, headers):
    """How images that are not cropped become the output's shape."""
    stretched = collections.Counter(
        (header.height, header.width)
        for header in headers
        if abs(header.height * framing.width / (header.width * framing.height) - 1) > MOST_STRETCH
    )
    if not stretched:
        return "whole"
    (height, width), _ = stretched.most_common(1)[0]
    count = sum(stretched.values())
    some = f"{count} of {len(headers)} " if count < len(headers) else ""
    others = " and other shapes" if len(stretched) > 1 else ""
    return f"{some}stretched from {height}x{width}{others}; --crop takes the center"


def _output_size(config, headers):
    height, width = config.output_height, config.output_width
    if height or width:
        return height or width, width or height
    sizes = collections.Counter((header.height, header.width) for header in headers)
    if any(max(size) >= SIDE for size in sizes):
        return SIDE, SIDE
    return sizes.most_common(1)[0][0]
