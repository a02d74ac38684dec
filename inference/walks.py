"""Walks through the latent space: `--visualize`, `--interpolate` and `--arithmetic`.

The options of `--visualize` are those of carpedm20's DCGAN; the arithmetic is figure 7 of the paper
(arXiv 1511.06434).
"""

import hashlib
import os
import re
from typing import Iterable, Iterator, List, Sequence, Tuple

import numpy as np

import films
import utils
from config import Config
from datasets import pipeline
from inference.overview import Overview
from inference.sample import draw_grid, written
from inference.seeds import LARGEST_SEED, class_of, latents_of, parse_classes
from inference.trained_run import Generator, open_run_to_draw
from options import UserError

STEPS = 64  # of a sweep through one dimension
MOST_STEPS = 10000
SECONDS_A_FRAME = 0.05
LONGEST_NAME = 150  # characters of a calculation in the name of its figure
NEIGHBORS_WITHIN = 0.25  # the paper's noise around the result of an arithmetic
# Where a sweep starts and ends: the bounds of a uniform distribution, or two standard deviations.
SPAN = {"uniform_signed": (-1, 1), "uniform_unsigned": (0, 1), "normal01": (-2, 2)}


def visualize(config: Config) -> str:
    """Draws what `--option` says; returns the path of the file or of the folder."""
    if config.visualize_option == 0:
        return draw_grid(config)
    write = WRITERS[config.visualize_option]
    with open_run_to_draw(config) as run, run.open_generator() as generator:
        start = np.zeros(run.config.z_dim, np.float32)
        if config.visualize_option < 3:
            start = pipeline.latents(run.config.z_dist, start.shape, (run.config.seed,))
        path = os.path.join(run.config.sample_path, f"option{config.visualize_option}")
        return written(write, path, _sweeps(generator, start))


def _sweeps(generator: Generator, start: np.ndarray) -> Iterator[np.ndarray]:
    """Every dimension's sweep: yields uint8 [STEPS, H, W, C].

    All other coordinates are those of `start`. The class is that of `--class`, else each dimension
    takes the next one.
    """
    config = generator.config
    asked = parse_classes(config)
    values = np.linspace(*SPAN[config.z_dist], num=STEPS)
    for dimension in utils.progress_bar(config.progress, range(config.z_dim), unit="dimension"):
        z = np.tile(start, (STEPS, 1))
        z[:, dimension] = values
        label = asked[dimension % len(asked)] if asked else class_of(config, dimension)
        yield generator.pixels_of(z, [label] * STEPS)


def _write_sweeps(path: str, sweeps: Iterable[np.ndarray]) -> None:
    overview = Overview()
    for dimension, images in enumerate(sweeps):
        utils.write_png(os.path.join(path, f"z{dimension:03d}.png"), utils.grid(images))
        overview.add(images)
    utils.write_png(os.path.join(path, "overview.png"), overview.sheet())


def _write_gifs(path: str, sweeps: Iterable[np.ndarray]) -> None:
    for dimension, images in enumerate(sweeps):
        name = os.path.join(path, f"z{dimension:03d}.gif")
        films.write_gif(name, images, seconds_per_frame=SECONDS_A_FRAME)


def _write_merged(path: str, sweeps: Iterable[np.ndarray]) -> str:
    """One GIF, there and back: a frame is the grid of all dimensions at one point of the sweep."""
    images = np.stack(list(sweeps))  # [Z, STEPS, H, W, C]
    there_and_back = list(range(STEPS)) + list(reversed(range(STEPS)))
    frames = (utils.grid(images[:, step]) for step in there_and_back)
    films.write_gif(path + ".gif", frames, seconds_per_frame=SECONDS_A_FRAME)
    return path + ".gif"


WRITERS = {1: _write_sweeps, 2: _write_gifs, 3: _write_gifs, 4: _write_merged}


def interpolate(config: Config) -> str:
    """Walks from one seed's latent to another's: a strip as PNG and a GIF.

    There is one row for each class of `--class`; without it, one of the first seed's class.

    Returns:
        The path of the strip.
    """
    first, last, steps = _parse_walk(config.interpolate or "")
    with open_run_to_draw(config) as run, run.open_generator() as generator:
        classes = parse_classes(run.config) or [class_of(run.config, first)]
        start, end = latents_of(run.config, [first, last])
        z = between(start, end, steps=steps, z_dist=run.config.z_dist)
        rows = [generator.pixels_of(z, [label] * steps) for label in classes]
    path = os.path.join(run.config.sample_path, f"interpolate_{first}_{last}_{steps}")
    written(_write_walk, path + ".gif", (utils.grid(np.stack(frame), 1) for frame in zip(*rows)))
    return written(utils.write_png, path + ".png", utils.grid(np.concatenate(rows), steps))


def _write_walk(path: str, frames: Iterable[np.ndarray]) -> None:
    films.write_gif(path, frames, seconds_per_frame=2 * SECONDS_A_FRAME)


def between(start: np.ndarray, end: np.ndarray, *, steps: int, z_dist: str) -> np.ndarray:
    """Latents from `start` to `end`, both included: float32 [steps, Z].

    For `normal01` they are on the great circle, where a Gaussian has its mass (arXiv 1609.04468),
    with lengths in proportion. For the uniform distributions the walk is straight, which stays
    inside the cube.
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


def _parse_walk(text: str) -> Tuple[int, ...]:
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


def arithmetic(config: Config) -> str:
    """Adds and subtracts seeds' latents, such as "1+2-3", and draws the paper's figure.

    A term may be several seeds, "1,2,3+4,5,6-7,8,9": the mean of their latents is taken, as the
    paper does. The figure shows the images of each term above that of their mean, then the result
    in the middle of eight neighbors that are up to 0.25 away from it in each coordinate.

    Returns:
        The path of the PNG.
    """
    text = config.arithmetic or ""
    terms = parse_terms(text)
    with open_run_to_draw(config) as run:
        classes = parse_classes(run.config) or [class_of(run.config, terms[0][1][0])]
        if len(classes) > 1:
            raise UserError(f"--class: one for --arithmetic, not {config.classes}")
        with run.open_generator() as generator:
            columns = _draw_arithmetic(generator, terms, label=classes[0])
    figure = _figure(columns, ["+" if sign > 0 else "-" for sign, _ in terms] + ["="])
    name = _short(re.sub(r"\s", "", text))
    path = os.path.join(run.config.sample_path, f"arithmetic_{name}.png")
    return written(utils.write_png, path, figure)


def _short(text: str) -> str:
    """A text as a part of a file's name: of a long one the beginning and a digest."""
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[:LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _draw_arithmetic(
    generator: Generator, terms: Sequence[Tuple[int, List[int]]], *, label: int
) -> List[np.ndarray]:
    """The columns of the figure, uint8 [H, W, C] each: one for each term, then the result's."""
    columns = []
    result = np.zeros(generator.config.z_dim, np.float32)
    for sign, seeds in terms:
        z = latents_of(generator.config, seeds)
        mean = z.mean(axis=0)
        result += sign * mean
        if len(seeds) > 1:
            z = np.concatenate([z, mean[None]])
        columns.append(utils.grid(generator.pixels_of(z, [label] * len(z)), 1))
    noise = np.random.RandomState(0).uniform(-1, 1, (9, len(result))) * NEIGHBORS_WITHIN
    noise[4] = 0
    neighbors = (result + noise).astype(np.float32)
    columns.append(utils.grid(generator.pixels_of(neighbors, [label] * 9), 3))
    return columns


def parse_terms(text: str) -> List[Tuple[int, List[int]]]:
    """[(sign, seeds)] of a text such as "1,2+3-4"; a sign is 1 or -1.

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


def _figure(columns: Sequence[np.ndarray], signs: Sequence[str], gap: int = 16) -> np.ndarray:
    """Columns uint8 [H, W, C] side by side, centered, on white, with a sign before each.

    A plus before the first column is left out.
    """
    height = max(column.shape[0] for column in columns)
    parts = []
    for index, (column, sign) in enumerate(zip(columns, signs)):
        if index or sign != "+":
            parts.append(_centered(_sign(sign, gap, column.shape[2]), height))
        parts.append(_centered(column, height))
    return np.concatenate(parts, axis=1)


def _centered(pixels: np.ndarray, height: int) -> np.ndarray:
    above = (height - pixels.shape[0]) // 2
    below = height - pixels.shape[0] - above
    return np.pad(pixels, ((above, below), (0, 0), (0, 0)), "constant", constant_values=255)


def _sign(sign: str, side: int, channels: int) -> np.ndarray:
    """A plus, minus or equals sign, black on white: uint8 [side, side, channels]."""
    middle, arm = side // 2, slice(side // 4, side - side // 4 + 1)
    pixels = np.full((side, side, channels), 255, np.uint8)
    if sign == "=":
        pixels[[middle - 2, middle + 2], arm] = 0
    else:
        pixels[middle, arm] = 0
    if sign == "+":
        pixels[arm, middle] = 0
    return pixels
