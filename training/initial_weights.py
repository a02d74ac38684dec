"""`--init_from`: a new run that starts from the weights of another one."""

import os
from typing import Any, Dict, List, Tuple

import tensorflow.compat.v1 as tf

import checkpoint
import model
import utils
from config import OPTIONS, OPTIONS_FILE, Config
from flags_file import read_options
from options import UserError
from training.optimizers import COUNTER

# What the shapes of the weights follow from, beside `model.Sizes` from this field on.
SHAPES = ("architecture", "channels", "num_classes", "output_height", "output_width")
FIRST_SIZE = 4
NETWORKS = ("discriminator", "generator")
OPTIMIZERS = ("d_optim", "g_optim")  # beside these there is what belongs to a device: loss scaling


def check_initial_run(config: Config) -> None:
    """Raises `UserError` where the run of `--init_from` has no checkpoint, or has other networks."""
    folder, saved = _saved(config)
    for name in SHAPES:
        _check_equal(name, saved.get(name), getattr(config, name), folder=folder)
    sizes_there, sizes_here = _resolved(Config().with_saved(saved)), _resolved(config)
    for name, there, here in list(zip(model.Sizes._fields, sizes_there, sizes_here))[FIRST_SIZE:]:
        _check_equal(name, there, here, folder=folder)
    path = _checkpoints(folder, saved)
    if not checkpoint.kept(path):
        raise UserError(f"--init_from: there is no checkpoint in {path}")


def _check_equal(name: str, there: Any, here: Any, *, folder: str) -> None:
    if there != here:
        flag = OPTIONS[name].flag or "dataset"
        raise UserError(
            f"--{flag}: --init_from needs the networks of {folder}, whose {name} is {there}, "
            f"not {here}"
        )


def _resolved(config: Config) -> model.Sizes:
    """The sizes of the networks, with the widths that the MNIST pair has and the image pair not."""
    sizes = model.sizes_of(config)
    if config.architecture != "mnist":
        return sizes._replace(gfc_dim=0, dfc_dim=0, g_h2_dim=None, d_h0_dim=None, d_h1_dim=None)
    g_h2, d_h0, d_h1 = model.mnist_widths(sizes)
    return sizes._replace(g_h2_dim=g_h2, d_h0_dim=d_h0, d_h1_dim=d_h1)


class InitialWeights:
    """Ops that load the weights of `--init_from`; without that option there are none."""

    def __init__(self, config: Config, variables: List[tf.Variable]) -> None:
        """Adds the ops to the default graph.

        Args:
            config: `Config`.
            variables: the networks' and the optimizers'; that of a schedule's steps is not taken.
        """
        self._config = config
        self._saver = None
        if config.init_from is None:
            return
        networks = [variable for scope in NETWORKS for variable in model.variables_of(scope)]
        taken = variables if config.init_optimizers else networks
        taken = [variable for variable in taken if variable.op.name != COUNTER]
        required = (*NETWORKS, *OPTIMIZERS)
        others = [each for each in taken if each.op.name.split("/")[0] not in required]
        self._saver = checkpoint.Saver(taken, optional=others)

    def load(self, session: tf.Session) -> None:
        """Loads them from the other run's newest sound checkpoint.

        Raises:
            UserError: it has none, or the checkpoint does not fit.
        """
        if self._saver is None:
            return
        folder, saved = _saved(self._config)
        path = _checkpoints(folder, saved)
        try:
            found = self._saver.restore_newest(session, path, warn=utils.warn)
        except checkpoint.Damaged as damage:
            raise UserError(f"--init_from: {damage}")
        if found is None:
            raise UserError(f"--init_from: there is no checkpoint in {path}")
        what = "weights and optimizers" if self._config.init_optimizers else "weights"
        utils.say(f"{what} of step {found.step} of {folder}")


def _checkpoints(folder: str, saved: Dict[str, Any]) -> str:
    return os.path.join(folder, saved.get("checkpoint_dir", "checkpoint"))


def _saved(config: Config) -> Tuple[str, Dict[str, Any]]:
    """(the folder of the run of `--init_from`, its saved options)."""
    assert config.init_from is not None
    folder = os.path.join(config.out_dir, config.init_from)
    if not os.path.isdir(folder):
        folder = os.path.abspath(os.path.expanduser(config.init_from))
    if not os.path.isfile(os.path.join(folder, OPTIONS_FILE)):
        raise UserError(
            f"--init_from: {config.init_from!r:.200} is neither a run in {config.out_dir} "
            "nor the folder of one"
        )
    return folder, read_options(os.path.join(folder, OPTIONS_FILE))
