"""Walks through the latent space: `--visualize`, `--interpolate` and `--arithmetic`.

The options of `--visualize` are those of carpedm20's DCGAN; the arithmetic is figure 7 of the paper
(arXiv 1511.06434).
"""

import os
import re

import numpy as np

import utils
from datasets import pipeline
from inference.sample import draw_grid, written
from inference.seeds import LARGEST_SEED, class_of, labels_of, latents_of, parse_classes
from inference.trained_run import find_run, opened_generator
from options import UserError

STEPS = 64  # of a sweep through one dimension
MOST_STEPS = 10000
SECONDS_A_FRAME = 0.05
NEIGHBOURS_WITHIN = 0.25  # the paper's noise around the result of an arithmetic
# Where a sweep starts and ends: the bounds of the uniform distributions, and two standard deviations.
SPAN = {"uniform_signed": (-1, 1), "uniform_unsigned": (0, 1), "normal01": (-2, 2)}


def visualize(config):
    """Draws what `--option` says; returns the path of the file or of the folder."""
    if config.visualize_option == 0:
        return draw_grid(config)
    run = find_run(config)
    print(f"checkpoint: {run.checkpoint.prefix}")
    write = {1: _write_sweeps, 2: _write_gifs, 3: _write_gifs, 4: _write_merged}[
        config.visualize_option
    ]
    base = np.zeros(run.config.z_dim, np.float32)
    if config.visualize_option < 3:
        base = pipeline.latents(run.config.z_dist, base.shape, (run.config.seed,))
    path = os.path.join(run.config.sample_path, f"option{config.visualize_option}")
    with opened_generator(run) as (make, networks):
        sweeps = _sweeps(make, networks, run.config, base)
        return written(write, path, sweeps)


def _sweeps(make, networks, config, base):
    """Every dimension's sweep: yields uint8 [STEPS, H, W, C].

    All other coordinates stay those of `base`. The class is that of `--class`, else each dimension
    takes the next one.
    """
    asked = parse_classes(config)
    values = np.linspace(*SPAN[config.z_dist], num=STEPS)
    for dimension in utils.progress_bar(config.progress, range(config.z_dim), unit="dimension"):
        z = np.tile(base, (STEPS, 1))
        z[:, dimension] = values
        label = asked[dimension % len(asked)] if asked else class_of(config, dimension)
        labels = labels_of(config, [label] * STEPS)
        yield utils.to_pixels(make(z, labels), networks.value_range)


def _write_sweeps(path, sweeps):
    for dimension, pictures in enumerate(sweeps):
        utils.write_png(os.path.join(path, f"z{dimension:03d}.png"), utils.grid(pictures))


def _write_gifs(path, sweeps):
    for dimension, pictures in enumerate(sweeps):
        utils.write_gif(
            os.path.join(path, f"z{dimension:03d}.gif"), pictures, seconds_per_frame=SECONDS_A_FRAME
        )


def _write_merged(path, sweeps):
    """One GIF, there and back: each frame is the grid of all dimensions at one point of the sweep."""
    pictures = np.stack(list(sweeps))  # [Z, STEPS, H, W, C]
    there_and_back = list(range(STEPS)) + list(reversed(range(STEPS)))
    utils.write_gif(
        path + ".gif",
        (utils.grid(pictures[:, step]) for step in there_and_back),
        seconds_per_frame=SECONDS_A_FRAME,
    )
    return path + ".gif"


def interpolate(config):
    """Walks from one seed's latent to another's: a strip as PNG and a GIF.

    One row for each class of `--class`; without it the class of the first seed.

    Returns:
        The path of the strip.
    """
    first, last, steps = _parse_walk(config.interpolate)
    run = find_run(config)
    print(f"checkpoint: {run.checkpoint.prefix}")
    classes = parse_classes(run.config) or [class_of(run.config, first)]
    start, end = latents_of(run.config, [first, last])
    z = between(start, end, steps, run.config.z_dist)
    with opened_generator(run) as (make, networks):
        rows = [
            utils.to_pixels(make(z, labels_of(run.config, [label] * steps)), networks.value_range)
            for label in classes
        ]
    path = os.path.join(run.config.sample_path, f"interpolate_{first}_{last}_{steps}")
    written(_write_gif, path + ".gif", (utils.grid(np.stack(frame), 1) for frame in zip(*rows)))
    return written(utils.write_png, path + ".png", utils.grid(np.concatenate(rows), steps))


def _write_gif(path, frames):
    utils.write_gif(path, frames, seconds_per_frame=2 * SECONDS_A_FRAME)


def between(start, end, steps, z_dist):
    """Latents from `start` to `end`, both included: float32 [steps, Z].

    For `normal01` along the great circle, where a Gaussian has its mass (arXiv 1609.04468), lengths
    in proportion; for the uniform distributions straight, which stays inside the cube.
    """
    t = np.linspace(0, 1, steps)[:, None]
    if z_dist != "normal01":
        return ((1 - t) * start + t * end).astype(np.float32)
    lengths = [np.linalg.norm(z.astype(np.float64)) for z in (start, end)]
    directions = [z / max(length, 1e-12) for z, length in zip((start, end), lengths)]
    angle = np.arccos(np.clip(np.dot(*directions), -1, 1))
    if np.sin(angle) < 1e-6:  # one direction, or opposite ones: no circle between them
        return ((1 - t) * start + t * end).astype(np.float32)
    around = [np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)]
    points = around[0] * directions[0] + around[1] * directions[1]
    return (points * ((1 - t) * lengths[0] + t * lengths[1])).astype(np.float32)


def _parse_walk(text):
    match = re.match(r"(\d{1,10}):(\d{1,10}):(\d{1,5})$", text.replace(" ", ""))
    if (
        not match
        or not 2 <= int(match.group(3)) <= MOST_STEPS
        or max(int(match.group(1)), int(match.group(2))) > LARGEST_SEED
    ):
        raise UserError(
            f"--interpolate: {text!r} is not of the form A:B:STEPS, such as 600:601:10 with "
            f"2 to {MOST_STEPS} steps"
        )
    return tuple(int(part) for part in match.groups())


def arithmetic(config):
    """Adds and subtracts seeds' latents, such as "1+2-3", and draws the paper's figure.

    A term may be several seeds, "1,2,3+4,5,6-7,8,9": their latents' mean is taken, as the paper does.
    The figure shows each term's pictures above that of its mean, then the result in the middle of
    eight neighbours that are up to 0.25 away from it in each coordinate.

    Returns:
        The path of the PNG.
    """
    terms = parse_terms(config.arithmetic)
    run = find_run(config)
    print(f"checkpoint: {run.checkpoint.prefix}")
    classes = parse_classes(run.config) or [class_of(run.config, terms[0][1][0])]
    if len(classes) > 1:
        raise UserError(f"--class: one for --arithmetic, not {config.classes}")
    with opened_generator(run) as (make, networks):

        def draw(z):
            labels = labels_of(run.config, classes * len(z))
            return utils.to_pixels(make(z, labels), networks.value_range)

        latents = [latents_of(run.config, seeds) for _, seeds in terms]
        means = [z.mean(axis=0) for z in latents]
        result = sum(sign * mean for (sign, _), mean in zip(terms, means))
        noise = np.random.RandomState(0).uniform(-1, 1, (9, len(result))) * NEIGHBOURS_WITHIN
        noise[4] = 0
        columns = [
            draw(np.concatenate([z, mean[None]])) if len(z) > 1 else draw(z)
            for z, mean in zip(latents, means)
        ]
        square = utils.grid(draw((result + noise).astype(np.float32)), 3)
    signs = ["+-"[sign < 0] for sign, _ in terms]
    figure = _figure([utils.grid(column, 1) for column in columns] + [square], signs + ["="])
    name = re.sub(r"\s", "", config.arithmetic)
    path = os.path.join(run.config.sample_path, f"arithmetic_{name}.png")
    return written(utils.write_png, path, figure)


def parse_terms(text):
    """[(sign, seeds)] of such a text as "1,2+3-4".

    Raises:
        UserError: it is not of that form.
    """
    compact = text.replace(" ", "")
    if not re.match(r"[+-]?\d{1,10}(,\d{1,10})*([+-]\d{1,10}(,\d{1,10})*)*$", compact):
        raise UserError(f"--arithmetic: {text!r} is not of the form 1+2-3")
    terms = [
        (-1 if part[0] == "-" else 1, [int(seed) for seed in part.strip("+-").split(",")])
        for part in re.findall(r"[+-]?[\d,]+", compact)
    ]
    for seed in (seed for _, seeds in terms for seed in seeds):
        if seed > LARGEST_SEED:
            raise UserError(f"--arithmetic: {seed} is beyond {LARGEST_SEED}")
    return terms


def _figure(pictures, signs, gap=16):
    """Pictures uint8 [H, W, C] side by side, centred, on white, a sign before each but a first plus."""
    height = max(picture.shape[0] for picture in pictures)
    columns = []
    for index, (picture, sign) in enumerate(zip(pictures, signs)):
        if index or sign != "+":
            columns.append(_centred(_sign(sign, gap, picture.shape[2]), height))
        columns.append(_centred(picture, height))
    return np.concatenate(columns, axis=1)


def _centred(picture, height):
    above = (height - picture.shape[0]) // 2
    below = height - picture.shape[0] - above
    return np.pad(picture, ((above, below), (0, 0), (0, 0)), "constant", constant_values=255)


def _sign(sign, side, channels):
    """A plus, minus or equals sign, black on white: uint8 [side, side, channels]."""
    middle, arm = side // 2, slice(side // 4, side - side // 4 + 1)
    picture = np.full((side, side, channels), 255, np.uint8)
    if sign == "=":
        picture[[middle - 2, middle + 2], arm] = 0
    else:
        picture[middle, arm] = 0
    if sign == "+":
        picture[arm, middle] = 0
    return picture
