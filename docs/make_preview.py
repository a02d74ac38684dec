"""Makes docs/preview.png from a trained run: images growing over the training, a walk, the last grid.

    python main.py --dataset=mnist --interpolate=3:21:12      # the walk; optional
    python docs/make_preview.py out/NAME

The image is 1280x640 and smaller than 300 KB, as previews of repositories have to be.
"""

import argparse
import glob
import io
import json
import os
import sys
from typing import List, Optional

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(FOLDER))

from PIL import Image, ImageDraw  # noqa: E402

import utils  # noqa: E402
from config import OPTIONS_FILE  # noqa: E402
from system.regular_file import read_text  # noqa: E402

SIZE = (1280, 640)
LIMIT = 300_000  # bytes
MARGIN = 20
MOMENTS = 6  # grids shown of the training
TILES = 4  # images a side of each of them
GROUND = "white"


def main(argv: Optional[List[str]] = None) -> int:
    """Writes the image; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", help="the folder of a trained run")
    parser.add_argument("--output", default=os.path.join(FOLDER, "preview.png"))
    options = parser.parse_args(argv)
    try:
        image = preview(options.run)
        with utils.atomic_path(options.output) as partial, open(partial, "wb") as file:
            file.write(encoded(image))
    except (OSError, ValueError, KeyError) as error:
        print(f"make_preview.py: {error}", file=sys.stderr)
        return 2
    print(f"preview: {options.output}")
    return 0


def preview(run: str) -> Image.Image:
    """The image of a run, RGB, 1280x640.

    Raises:
        ValueError: the run has no sample grid.
        OSError, KeyError: its options or grids cannot be read.
    """
    saved = json.loads(read_text(os.path.join(run, OPTIONS_FILE)))
    tile = (saved["output_width"], saved["output_height"])
    samples = glob.escape(os.path.join(run, "samples"))
    grids = sorted(glob.glob(os.path.join(samples, "train_*.png")))
    if not grids:
        raise ValueError(f"{run}: no sample grid samples/train_STEP.png")
    canvas = Image.new("RGB", SIZE, GROUND)
    side = SIZE[1] - 2 * MARGIN
    _paste(canvas, _opened(grids[-1]), (SIZE[0] - MARGIN - side, MARGIN), (side, side))
    width = SIZE[0] - side - 3 * MARGIN
    _paste_moments(canvas, _spread_out(grids), tile, width)
    walks = sorted(glob.glob(os.path.join(samples, "interpolate_*.png")))
    if walks:
        place = (MARGIN, SIZE[1] - MARGIN - width // 6)
        _paste(canvas, _opened(walks[-1]), place, (width, width // 6))
    return canvas


def _spread_out(grids: List[str]) -> List[str]:
    """The first grid, the last one and some between; more of the early ones, which differ more."""
    last = len(grids) - 1
    chosen = {round(last * (moment / (MOMENTS - 1)) ** 2) for moment in range(MOMENTS)}
    return [grids[index] for index in sorted(chosen)]


def _paste_moments(canvas, grids, tile, width):
    """The upper left corner of each grid with its step below it, in rows of three."""
    side = (width - 2 * MARGIN) // 3
    draw = ImageDraw.Draw(canvas)
    for number, path in enumerate(grids):
        x = MARGIN + number % 3 * (side + MARGIN)
        y = MARGIN + number // 3 * (side + 2 * MARGIN)
        corner = _opened(path).crop((0, 0, TILES * tile[0], TILES * tile[1]))
        _paste(canvas, corner, (x, y), (side, side))
        step = int(os.path.basename(path)[len("train_") : -len(".png")])
        draw.text((x, y + side + 2), f"step {step:,}", fill="black")


def _paste(canvas, image, place, box):
    """An image as large as its box lets it be, without smoothing."""
    scale = min(box[0] / image.width, box[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas.paste(image.resize(size, Image.NEAREST), place)


def _opened(path: str) -> Image.Image:
    return utils.pillow_image(utils.read_png(path)).convert("RGB")


def encoded(image: Image.Image) -> bytes:
    """The image as a PNG below the limit, with as many colors as that allows.

    Raises:
        ValueError: not even two colors do.
    """
    for colors in (None, 256, 64, 16, 4, 2):
        reduced = image if colors is None else image.quantize(colors)
        buffer = io.BytesIO()
        reduced.save(buffer, format="PNG", optimize=True)
        if buffer.tell() < LIMIT:
            return buffer.getvalue()
    raise ValueError(f"the image takes more than {LIMIT} bytes")


if __name__ == "__main__":
    sys.exit(main())
