"""Whether a training fits into the memory of a CPU, found before a graph is built."""

import model
import utils
from config import OPTIONS, Config
from options import UserError
from system import memory
from training.network_cost import COSTS

# Of each parameter: its value, its gradient and Adam's two moments, all float32.
_BYTES_PER_PARAMETER = 16
_FLAGS = ("gf_dim", "df_dim", "gfc_dim", "dfc_dim", "z_dim", "batch_size")
_SIDE = 64  # instead of a side without a default


def check_fits(config: Config) -> None:
    """Refuses networks and batches that need more memory than there is.

    Args:
        config: with every size filled in.

    Raises:
        UserError: naming the flag whose default would save the most.
    """
    needed, at_hand = needed_bytes(config), memory.available_bytes()
    if needed <= at_hand:
        return
    smaller = {name: config.replace(**{name: OPTIONS[name].default}) for name in _FLAGS}
    for name in ("output_height", "output_width"):
        smaller[name] = config.replace(**{name: min(_SIDE, getattr(config, name))})
    flag = min(smaller, key=lambda name: needed_bytes(smaller[name]))
    raise UserError(
        f"--{flag}: {getattr(config, flag)} is too much: the networks and a batch take at least "
        f"{utils.format_bytes(needed)} of memory, and {utils.format_bytes(at_hand)} are free"
    )


def needed_bytes(config: Config) -> int:
    """A lower bound of what a training takes: parameters, and one forward pass of each network."""
    assert config.architecture is not None, "a data set has been opened"
    cost = COSTS[config.architecture]
    sizes = model.sizes_of(config)
    values = config.batch_size * cost.num_activations(sizes)
    return _BYTES_PER_PARAMETER * cost.num_weights(sizes) + 4 * values
