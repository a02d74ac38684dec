"""comparison.png: the loss curves of two runs and their relative difference."""

from typing import Dict, List

import utils
from inference.comparison import FIRST_LOSS_ERROR, loss_errors

PLOT_FILE = "comparison.png"
SMALLEST = 1e-9  # what a difference of 0 is drawn as on the logarithmic axis

Losses = Dict[str, Dict[int, float]]  # name -> step -> value


def plot(path: str, a: Losses, b: Losses, *, names: List[str], verdict: str) -> None:
    """Draws both runs' losses above their relative difference, as a PNG.

    Args:
        path: of the PNG.
        a, b: the losses of both.
        names: of both.
        verdict: for the title.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no display needed
    from matplotlib.figure import Figure

    names = [utils.without_formulas(name) for name in names]
    figure = Figure(figsize=(8, 7), dpi=100)
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    for color, loss in enumerate(a):
        for name, losses, style in ((names[0], a, "-"), (names[1], b, "--")):
            steps = sorted(losses[loss])
            values = [losses[loss][step] for step in steps]
            above.plot(
                steps, values, style, color=f"C{color}", linewidth=0.8, label=f"{loss}, {name}"
            )
        errors = loss_errors(a[loss], b[loss])
        drawn = [max(error, SMALLEST) for error in errors.values()]
        below.plot(list(errors), drawn, color=f"C{color}", linewidth=0.8, label=loss)
    below.axhline(FIRST_LOSS_ERROR, color="grey", linewidth=0.8, linestyle=":")
    below.set_yscale("log")
    above.set_ylabel("loss")
    below.set_ylabel("relative difference")
    below.set_xlabel("step")
    above.set_title(f"{names[0]} and {names[1]}\n{verdict}", fontsize=9)
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    with utils.atomic_path(path) as partial:
        figure.savefig(partial, format="png")
