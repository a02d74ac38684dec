"""Single pictures and grids from a trained run."""

import os
import zipfile

import numpy as np

import utils
from datasets import pipeline
from inference.seeds import class_of, labels_of, latents_of, parse_classes, parse_seeds
from inference.trained_run import CHUNK, find_run, opened_generator
from options import UserError

# What `--class` alone draws: these seeds in each of the classes.
FEW_SEEDS = range(8)
LARGEST_GRID = 1 << 26  # pixels


def draw(config):
    """Without any job on the command line: a grid of `--sample_num`, or what `--class` names."""
    return generate(config) if config.classes is not None else draw_grid(config)


def draw_grid(config):
    """Draws `--sample_num` pictures of the newest fitting run into its sample folder.

    Returns:
        The path of the PNG.
    """
    run = find_run(config)
    print(f"checkpoint: {run.checkpoint.prefix}")
    with opened_generator(run) as (make, networks):
        count = config.sample_num
        z = pipeline.latents(run.config.z_dist, (count, run.config.z_dim), (run.config.seed,))
        labels = pipeline.class_labels(count, run.config.num_classes)
        pixels = utils.to_pixels(make(z, labels), networks.value_range)
    path = os.path.join(run.config.sample_path, f"test_{run.checkpoint.step:08d}.png")
    return written(utils.write_png, path, utils.grid(pixels))


def generate(config):
    """Draws `--generate` pictures, or those of `--seeds`, as `--generate_format` says.

    With `--class`, N pictures take its classes in turn; `--seeds` are drawn in each of them.

    Returns:
        The path of the folder or file.
    """
    run = find_run(config)
    seeds, classes = _chosen(run.config)
    print(f"checkpoint: {run.checkpoint.prefix}")
    path = os.path.join(run.config.sample_path, f"generated_{run.checkpoint.step:08d}")
    write = {"png": _write_pngs, "npz": _write_npz, "grid": _write_grid}[config.generate_format]
    with opened_generator(run) as (make, networks):
        shape = (len(seeds), run.config.output_height, run.config.output_width, run.config.channels)
        blocks = pixel_blocks(make, networks, run.config, seeds, classes)
        return written(write, path, run.config, shape, seeds, classes, blocks)


def pixel_blocks(make, networks, config, seeds, classes, *, what="pictures"):
    """Draws pictures a chunk at a time: yields uint8 [n, H, W, C], with progress on a terminal.

    Args:
        make, networks: of `opened_generator`.
        seeds, classes: one of each for every picture.
        what: they are, for the progress bar.
    """
    with utils.progress_bar(config.progress, total=len(seeds), unit="picture", desc=what) as bar:
        for start in range(0, len(seeds), CHUNK):
            z = latents_of(config, seeds[start : start + CHUNK])
            labels = labels_of(config, classes[start : start + CHUNK])
            yield utils.to_pixels(make(z, labels), networks.value_range)
            bar.update(len(z))


def written(write, path, *arguments):
    """Calls `write(path, *arguments)` and says where the pictures are.

    Returns:
        The path that `write` returned, or else `path`.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        path = write(path, *arguments) or path
    except OSError as error:
        raise UserError(f"--sample_dir: {error}")
    print(f"pictures: {path}")
    return path


def _chosen(config):
    """(seeds, classes), one of each for every picture."""
    classes = parse_classes(config)
    if config.generate:
        seeds = range(config.generate)
        return seeds, [classes[i % len(classes)] if classes else class_of(config, i) for i in seeds]
    seeds = FEW_SEEDS if config.seeds is None else parse_seeds(config.seeds)
    if not classes:
        return seeds, [class_of(config, seed) for seed in seeds]
    return ([seed for seed in seeds for _ in classes], classes * len(seeds))


def _write_pngs(folder, config, shape, seeds, classes, blocks):
    del shape
    os.makedirs(folder, exist_ok=True)
    name = "seed{:08d}_class{}.png" if config.num_classes else "seed{:08d}.png"
    pictures = (image for block in blocks for image in block)
    for seed, label, image in zip(seeds, classes, pictures):
        utils.pillow_image(image).save(os.path.join(folder, name.format(seed, label)))


def _write_npz(path, config, shape, seeds, classes, blocks):
    """An .npz of images uint8 [N, H, W, C], seeds and labels int64 [N]; a chunk in memory at a time."""
    with utils.atomic_path(path + ".npz") as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            _add_array(archive, "images", np.uint8, shape, blocks)
            _add_array(archive, "seeds", np.int64, shape[:1], [np.array(seeds, np.int64)])
            if config.num_classes:
                _add_array(archive, "labels", np.int64, shape[:1], [np.array(classes, np.int64)])
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


def _write_grid(path, config, shape, seeds, classes, blocks):
    del seeds, classes
    if np.prod(shape[:3], dtype=np.int64) > LARGEST_GRID:
        raise UserError(
            f"--generate_format: a grid of {shape[0]} pictures would be too large to look at; "
            "take png or npz"
        )
    columns = len(parse_classes(config)) or None
    utils.write_png(path + ".png", utils.grid(np.concatenate(list(blocks)), columns))
    return path + ".png"
