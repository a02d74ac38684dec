"""Weights that the reference's own code wrote: no manifest, no options beside them.

The variables' shapes tell nearly everything; what they cannot tell comes from the command line
(`--z_dist`, and `--output_height`, `--output_width` of pictures that are not square).
"""

import math
import os

import tensorflow.compat.v1 as tf

import checkpoint
from config import OPTIONS
from options import UserError
from plain_prefix import plain_prefix


def is_asked_for(config):
    """Whether `--checkpoint_dir` names a folder that is there by itself, outside any run."""
    return config.checkpoint_dir != OPTIONS["checkpoint_dir"].default and os.path.isdir(
        _folder(config)
    )


def open_folder(config):
    """(config with the networks' sizes filled in, `checkpoint.Checkpoint`) of such a folder.

    The config's run folder is named after the folder, so that pictures have their place.

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
            f"--checkpoint_dir: {found.prefix}: not a DCGAN's weights: there is no variable {missing}"
        )
    print(
        "weights of another program: {}, {}x{}x{} pictures, {} classes, z of {} dimensions, taken "
        "as {} (--z_dist)".format(
            sizes["architecture"],
            sizes["output_height"],
            sizes["output_width"],
            sizes["channels"],
            sizes["num_classes"],
            sizes["z_dim"],
            config.z_dist,
        )
    )
    return config.replace(
        out_name=os.path.basename(folder), checkpoint_dir=folder, seed=config.seed or 0, **sizes
    ), found


def _folder(config):
    return os.path.abspath(os.path.expanduser(config.checkpoint_dir))


def _sizes(shapes, config):
    """The fields of `Config` that the variables' shapes give; `KeyError` names a missing variable."""
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


def _mnist_sizes(shapes, config):
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


def _sides(area, factor, config):
    """(height, width) of pictures whose smallest layer has `area` places, `factor` times smaller."""
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
