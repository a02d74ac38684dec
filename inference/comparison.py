"""What two runs of the same options differ in: step dumps, losses, weights and images."""

import re
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

# The tolerance of the verdict; docs/ascend.md explains it under "Accuracy alignment".
STEP_ERROR = 0.02  # relative error of an array of a step dump
# Training amplifies rounding: weights and images are judged up to this step and shown later on.
FIRST_STEPS = 10
FIRST_LOSS_ERROR = 0.02  # relative difference of the losses of each of the first steps
MEAN_LOSS_ERROR = 0.05  # mean relative difference of the losses of all steps
WEIGHTS_COSINE = 0.99  # of the weights of a layer, all in one vector
PIXEL_ERROR = 8.0  # mean difference of the images of the same z, in pixel units of 0 to 255

# Below these, differences are measured as if values were so large.
LOSS_FLOOR = 0.1  # a loss
GRADIENT_FLOOR = 0.01  # the norm of a variable's gradient, as a share of that of the whole update

NETWORKS = ("generator", "discriminator")
_OF_LAYERS = ("Matrix", "bias", "w", "biases", "beta", "gamma", "moving_mean", "moving_variance")

Row = Tuple[str, str, str]  # what was compared, the figures, "" or what is beyond tolerance


class Finding(NamedTuple):
    """What comparing one kind of thing gave.

    Attributes:
        rows: of the table.
        equal: whether there is no difference at all.
        fault: the first difference beyond tolerance, for the verdict; "" for none.
    """

    rows: List[Row]
    equal: bool
    fault: str


def compare_dump(step: int, a: Dict[str, np.ndarray], b: Dict[str, np.ndarray]) -> Finding:
    """Compares what a step computed; the first array beyond tolerance is the fault.

    Args:
        step: its number.
        a, b: arrays by name, in the order of their computation (`training.step_dump`).
    """
    names = [name for name in a if name in b]
    norms = {name: _norm(a[name]) for name in names}
    errors = {}
    for name in names:
        floor = 0.0
        if "_gradients/" in name:
            update = name.split("/")[0] + "/"
            whole = [norms[other] for other in names if other.startswith(update)]
            floor = GRADIENT_FLOOR * float(np.linalg.norm(whole))
        errors[name] = _relative_error(a[name], b[name], floor)
    beyond = [name for name in names if not errors[name] <= STEP_ERROR]
    equal = all(np.array_equal(a[name], b[name]) for name in names)
    what = f"what step {step} computed"
    worst = max(names, key=lambda name: errors[name])
    figures = f"{len(names)} arrays, largest relative error {errors[worst]:.3g} ({worst})"
    if not beyond:
        return Finding([(what, figures, "")], equal, "")
    first = f"{beyond[0]} is the first beyond tolerance"
    rows = [(what, figures, first)]
    rows += [(f"  {name}", f"relative error {errors[name]:.3g}", "beyond") for name in beyond[:5]]
    return Finding(rows, equal, f"step {step}: {beyond[0]} (error {errors[beyond[0]]:.3g})")


def loss_errors(a: Dict[int, float], b: Dict[int, float]) -> Dict[int, float]:
    """The relative difference of a loss by step, of the steps that both have; {step: loss}."""
    errors = {}
    for step in sorted(set(a).intersection(b)):
        larger = max(abs(a[step]), abs(b[step]), LOSS_FLOOR)
        error = abs(a[step] - b[step]) / larger
        errors[step] = error if np.isfinite(error) else np.inf
    return errors


def compare_losses(name: str, a: Dict[int, float], b: Dict[int, float]) -> Finding:
    """Compares a loss of both runs step by step.

    Args:
        name: of the loss.
        a, b: its values by step, with at least one step in common; NaN where it was none.
    """
    errors = loss_errors(a, b)
    beyond = [step for step, error in errors.items() if error > FIRST_LOSS_ERROR]
    mean, worst = float(np.mean(list(errors.values()))), max(errors, key=lambda step: errors[step])
    figures = (
        f"{len(errors)} steps, mean relative difference {mean:.3g}, largest {errors[worst]:.3g} at "
        f"step {worst}, first beyond {FIRST_LOSS_ERROR:g}: {beyond[0] if beyond else 'none'}"
    )
    fault = ""
    if beyond and beyond[0] <= FIRST_STEPS:
        fault = f"{name} at step {beyond[0]} (difference {errors[beyond[0]]:.3g})"
    elif mean > MEAN_LOSS_ERROR:
        fault = f"{name} in the mean of all steps (difference {mean:.3g})"
    return Finding([(name, figures, "beyond" if fault else "")], not any(errors.values()), fault)


def compare_weights(step: int, a: Dict[str, np.ndarray], b: Dict[str, np.ndarray]) -> Finding:
    """Compares the weights of two checkpoints layer by layer; later ones are shown, not judged.

    A layer's variables count as one vector. The bias before a batch norm has no effect and a
    gradient of nothing but rounding, so that it differs between any two devices.

    Args:
        step: of both checkpoints.
        a, b: variables by name; those that belong to no layer are left out.
    """
    layers: Dict[str, List[str]] = {}
    for name in sorted(set(a).intersection(b)):
        layer, _, variable = name.rpartition("/")
        if layer.split("/")[0] in NETWORKS and variable in _OF_LAYERS:
            layers.setdefault(layer, []).append(name)
    rows, equal, fault = [], True, ""
    for layer in sorted(layers, key=_forward_order):
        one, other = [
            np.concatenate([values[name].ravel() for name in layers[layer]]).astype(np.float64)
            for values in (a, b)
        ]
        cosine, error = _cosine(one, other), _relative_error(one, other)
        beyond = step <= FIRST_STEPS and not cosine >= WEIGHTS_COSINE
        rows.append(
            (
                f"weights at step {step}, {layer}",
                f"cosine {cosine:.6f}, relative error {error:.3g}",
                "beyond" if beyond else "",
            )
        )
        equal = equal and np.array_equal(one, other)
        if beyond and not fault:
            fault = f"weights of {layer} at step {step} (cosine {cosine:.4f})"
    return Finding(rows, equal, fault)


def compare_images(step: int, a: np.ndarray, b: np.ndarray) -> Finding:
    """Compares the images of the same z; those of later steps are shown, not judged.

    Args:
        step: of both checkpoints.
        a, b: float [N, H, W, C], in pixel units of 0 to 255.
    """
    error = float(np.mean(np.abs(a - b)))
    figures = f"mean difference {error:.3g} of 255, largest {np.max(np.abs(a - b)):.3g}"
    fault = ""
    if step <= FIRST_STEPS and not error <= PIXEL_ERROR:
        fault = f"images at step {step} (mean difference {error:.3g})"
    what = f"{len(a)} images at step {step}"
    return Finding([(what, figures, "beyond" if fault else "")], np.array_equal(a, b), fault)


def _norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(x, np.float64)))


def _relative_error(a: np.ndarray, b: np.ndarray, floor: float = 0.0) -> float:
    """|a - b| / max(|a|, |b|, floor); infinite if it is NaN or the shapes differ."""
    if a.shape != b.shape:
        return np.inf
    difference = _norm(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    if difference == 0:
        return 0.0
    error = difference / max(_norm(a), _norm(b), floor)
    return error if np.isfinite(error) else np.inf


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    if np.array_equal(a, b):
        return 1.0
    return float(np.dot(a, b) / max(_norm(a) * _norm(b), np.finfo(np.float64).tiny))


def _forward_order(layer: str) -> Tuple[int, int, bool]:
    """Generator first; g_h0_lin, g_bn0, g_h1, ...: by number, normalization last."""
    number = re.search(r"_(?:h|bn)([0-9]+)", layer)
    place = int(number.group(1)) if number else -1
    return NETWORKS.index(layer.split("/")[0]), place, "_bn" in layer
