"""Weights that the reference's own code wrote, with no manifest and no FLAGS.json beside them.

The shapes of the variables tell nearly everything. What they cannot tell comes from the command
line: `--z_dist`, and `--output_height` and `--output_width` of images that are not square.
"""

import math
import os
from typing import Any, Dict, List, Tuple

import tensorflow.compat.v1 as tf

import checkpoint
import utils
from config import Config
from options import UserError
from system.plain_prefix import plain_prefix

Shapes = Dict[str, List[int]]  # of the variables, by name


def is_asked_for(config: Config) -> bool:
    """Whether `--checkpoint_dir` names an existing folder of its own, outside any run."""
    return "checkpoint_dir" in config.given and os.path.isdir(_folder(config))


def open_folder(config: Config) -> Tuple[Config, checkpoint.Checkpoint]:
    """(config with the networks' sizes filled in, checkpoint) of such a folder.

    Images go into a run folder that is named after this folder.

    Raises:
        UserError: no checkpoint of another program is there, or not one of a DCGAN.
    """
    folder = _folder(config)
    found = checkpoint.newest_foreign(folder)
    if found is None:
        raise UserError(
            f"--checkpoint_dir: {folder} holds no weights of another program; name a run of "
            "this one with --out_dir and --out_name"
        )
    try:
        with plain_prefix(found.prefix) as prefix:
            shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
        sizes = _sizes(shapes, config)
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise UserError(f"--checkpoint_dir: {found.prefix}: {str(error).splitlines()[0]}")
    except KeyError as missing:
        raise UserError(
            f"--checkpoint_dir: {found.prefix}: not a DCGAN's weights: there is no variable "
            f"{missing}"
        )
    utils.say(
        "weights of another program: {architecture}, {output_height}x{output_width}x{channels} "
        "images, {num_classes} classes, z of {z_dim} dimensions, taken as {z_dist} "
        "(--z_dist)".format(z_dist=config.z_dist, **sizes)
    )
    return config.replace(
        out_name=os.path.basename(folder), checkpoint_dir=folder, seed=config.seed or 0, **sizes
    ), found


def _folder(config: Config) -> str:
    return os.path.abspath(os.path.expanduser(config.checkpoint_dir))


def _sizes(shapes: Shapes, config: Config) -> Dict[str, Any]:
    """The fields of `Config` that the shapes give; a `KeyError` names a missing variable."""
    if "generator/g_h1_lin/Matrix" in shapes:
        return _mnist_sizes(shapes, config)
    _, _, channels, gf_dim = shapes["generator/g_h4/w"]
    inputs, units = shapes["generator/g_h0_lin/Matrix"]
    df_dim = shapes["discriminator/d_h0_conv/w"][3]
    num_classes = shapes["discriminator/d_h0_conv/w"][2] - channels
    height, width = _sides(units // (8 * gf_dim), 16, config)
    return dict(
        architecture="image",
        output_height=height,
        output_width=width,
        channels=channels,
        num_classes=num_classes,
        z_dim=inputs - num_classes,
        gf_dim=gf_dim,
        df_dim=df_dim,
    )


def _mnist_sizes(shapes: Shapes, config: Config) -> Dict[str, Any]:
    inputs, gfc_dim = shapes["generator/g_h0_lin/Matrix"]
    twice_gf = shapes["generator/g_h2/w"][2]
    _, _, channels, joined = shapes["generator/g_h3/w"]
    num_classes = joined - twice_gf
    height, width = _sides(shapes["generator/g_h1_lin/Matrix"][1] // twice_gf, 4, config)
    return dict(
        architecture="mnist",
        output_height=height,
        output_width=width,
        channels=channels,
        num_classes=num_classes,
        z_dim=inputs - num_classes,
        gf_dim=twice_gf // 2,
        gfc_dim=gfc_dim,
        df_dim=shapes["discriminator/d_h1_conv/w"][3] - num_classes,
        dfc_dim=shapes["discriminator/d_h2_lin/Matrix"][1],
    )


def _sides(area: int, factor: int, config: Config) -> Tuple[int, int]:
    """(height, width) of images whose smallest layer, `factor` times smaller, has `area` places."""
    if config.output_height and config.output_width:
        sides = config.output_height, config.output_width
    else:
        height = config.output_height or factor * int(round(math.sqrt(area)))
        sides = height, config.output_width or height
    smallest = [-(-side // factor) for side in sides]
    if smallest[0] * smallest[1] != area:
        raise ValueError(
            "give --output_height and --output_width: {}x{} does not fit the weights".format(*sides)
        )
    return sides
