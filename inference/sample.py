"""Single images and grids from a trained run."""

import os
import zipfile
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

import utils
from config import Config
from datasets import pipeline
from inference.seeds import class_of, labels_of, parse_classes, parse_seeds
from inference.trained_run import open_run_to_draw
from options import UserError

# What `--class` alone draws: these seeds in each of the classes.
FEW_SEEDS = range(8)
LARGEST_GRID = 1 << 26  # pixels


class Images(NamedTuple):
    """Images that are being drawn, and what each of them shows.

    Attributes:
        shape: (N, H, W, C).
        seeds, classes: N of each.
        columns: of a grid; 0 makes it about square.
        blocks: uint8 [n, H, W, C], together N images.
    """

    shape: Tuple[int, ...]
    seeds: Sequence[int]
    classes: Sequence[int]
    columns: int
    blocks: Iterable[np.ndarray]


def draw(config: Config) -> str:
    """Draws a grid of `--sample_num`, or what `--class` names; returns the path.

    It is what a command line without any job asks for.
    """
    return generate(config) if config.classes is not None else draw_grid(config)


def draw_grid(config: Config) -> str:
    """Draws `--sample_num` images of the newest fitting run into its sample folder.

    Returns:
        The path of the PNG.
    """
    with open_run_to_draw(config) as run, run.open_generator() as generator:
        shape = (config.sample_num, run.config.z_dim)
        z = pipeline.latents(run.config.z_dist, shape, (run.config.seed,))
        asked = parse_classes(run.config) or range(max(run.config.num_classes, 1))
        labels = labels_of(
            run.config, [asked[number % len(asked)] for number in range(config.sample_num)]
        )
        pixels = utils.to_pixels(generator.images_of(z, labels), generator.value_range)
    path = os.path.join(run.config.sample_path, f"test_{run.checkpoint.step:08d}.png")
    return written(utils.write_png, path, utils.grid(pixels))


def generate(config: Config) -> str:
    """Draws `--generate` images, or those of `--seeds`, as `--generate_format` says.

    With `--class`, N images take its classes in turn; `--seeds` are drawn in each of them.

    Returns:
        The path of the folder or file.
    """
    write = {"png": _write_pngs, "npz": _write_npz, "grid": _write_grid}[config.generate_format]
    with open_run_to_draw(config) as run:
        seeds, classes = _chosen(run.config)
        path = os.path.join(run.config.sample_path, f"generated_{run.checkpoint.step:08d}")
        with run.open_generator() as generator:
            images = Images(
                (len(seeds), run.sizes.height, run.sizes.width, run.sizes.channels),
                seeds,
                classes if run.config.num_classes else (),
                len(parse_classes(run.config)),
                generator.draw(seeds, classes),
            )
            return written(write, path, images)


def written(write: Callable[..., Any], path: str, images: Any) -> str:
    """Calls `write(path, images)` and says where the images are.

    Returns:
        The path that `write` returned, or else `path`.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        path = write(path, images) or path
    except OSError as error:
        raise UserError(f"--sample_dir: {error}")
    utils.say(f"images: {path}")
    return path


def _chosen(config: Config) -> Tuple[Sequence[int], List[int]]:
    """(seeds, classes), one of each for every image."""
    classes = parse_classes(config)
    if config.generate:
        numbers = range(config.generate)
        if classes:
            return numbers, [classes[i % len(classes)] for i in numbers]
        return numbers, [class_of(config, seed) for seed in numbers]
    seeds = FEW_SEEDS if config.seeds is None else parse_seeds(config.seeds)
    if not classes:
        return seeds, [class_of(config, seed) for seed in seeds]
    return ([seed for seed in seeds for _ in classes], classes * len(seeds))


def _write_pngs(path: str, images: Images) -> str:
    folder = _new_folder(path)
    names = [f"seed{seed:08d}" for seed in images.seeds]
    if images.classes:
        names = [f"{name}_class{label}" for name, label in zip(names, images.classes)]
    for name, pixels in zip(names, _each(images.blocks)):
        utils.pillow_image(pixels).save(os.path.join(folder, name + ".png"))
    return folder


def _new_folder(path: str) -> str:
    """Makes the first of the folders `path`, `path`-2, `path`-3, ... that is not there yet."""
    folder, number = path, 1
    while os.path.exists(folder):
        number += 1
        folder = f"{path}-{number}"
    os.makedirs(folder)
    return folder


def _each(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    return (image for block in blocks for image in block)


def _write_npz(path: str, images: Images) -> str:
    """An .npz of images uint8 [N, H, W, C], seeds and labels int64 [N], one chunk in memory."""
    with utils.atomic_path(path + ".npz") as partial, zipfile.ZipFile(partial, "w") as archive:
        _add_array(archive, "images", np.uint8, images.shape, images.blocks)
        for name, numbers in (("seeds", images.seeds), ("labels", images.classes)):
            if numbers:
                _add_array(archive, name, np.int64, images.shape[:1], [np.array(numbers, np.int64)])
    return path + ".npz"


def _add_array(archive, name, dtype, shape, blocks):
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    with archive.open(name + ".npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(block.tobytes())


def _write_grid(path: str, images: Images) -> str:
    if np.prod(images.shape[:3], dtype=np.int64) > LARGEST_GRID:
        raise UserError(
            f"--generate_format: a grid of {images.shape[0]} images would be too large to look "
            "at; take png or npz"
        )
    grid = utils.grid(np.concatenate(list(images.blocks)), images.columns or None)
    utils.write_png(path + ".png", grid)
    return path + ".png"
