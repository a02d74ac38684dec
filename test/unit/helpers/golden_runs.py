"""The reference's trajectories: their files in `golden/` and the sizes of their networks."""

import os

import numpy as np
from paths import UNIT

import model

SIZES = {
    "mnist": model.Sizes(28, 28, 1, 10, 16, gf_dim=4, df_dim=4, gfc_dim=16, dfc_dim=16),
    "image": model.Sizes(32, 32, 3, 0, 8, gf_dim=4, df_dim=4),
}


def load_golden(architecture):
    """name -> array of the trajectory of "mnist" or "image": inputs, losses, weights."""
    with np.load(os.path.join(UNIT, "golden", architecture + "_small.npz")) as file:
        return {key: file[key] for key in file}
