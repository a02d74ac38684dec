"""`--compare=RUN_A,RUN_B`: how far two runs of the same options agree, and one verdict line.

Batches, z and initial weights are functions of the seed, so runs on two devices differ by rounding
alone. Where they differ by more, what differs first is named. What "more" is says
`inference.comparison`.
"""

import os
from typing import Any, Dict, Iterator, List, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import checkpoint
import utils
from checkpoint import Checkpoint
from config import METRICS_FILE, OPTIONS_FILE, RUN_OPTIONS, Config
from config_npu import NpuOptions
from devices.device import open_device
from inference import comparison, results
from inference.comparison import Finding
from inference.comparison_plot import PLOT_FILE, plot
from inference.seeds import class_of, labels_of, latents_of
from inference.trained_run import TrainedRun, find_options
from options import UserError, options_of
from system.arrays import read_arrays
from system.plain_prefix import plain_prefix
from training import step_dump

LOSSES = ("d_loss", "g_loss")
IMAGES = range(64)  # the seeds of the z that both generators draw
# Options of the device and its precision: what is compared may differ in them.
MAY_DIFFER = tuple(options_of(NpuOptions))


class ComparedRun(NamedTuple):
    """One of the two runs.

    Attributes:
        config: its options and folders.
        losses: {"d_loss": {step: value}, "g_loss": ...}.
        ranks: number of ranks of its last step.
    """

    config: Config
    losses: Dict[str, Dict[int, float]]
    ranks: int


def compare(config: Config) -> bool:
    """Compares the runs that `--compare` names; prints a table and a verdict, draws comparison.png.

    Returns:
        Whether they agree within the tolerance; `main.py` makes an exit code of it.

    Raises:
        UserError: a run cannot be read, they are runs of other options, or nothing can be written.
    """
    a, b = [_read_run(config, name) for name in _names(config)]
    _check_same_options(a, b)
    findings = list(_findings(config, a, b))
    for what, figures, beyond in [row for each in findings for row in each.rows]:
        utils.say(f"{what}: {figures}" + (f"  <-- {beyond}" if beyond else ""))
    faults = [each.fault for each in findings if each.fault]
    verdict = _verdict(findings, faults)
    _write(config, a, b, verdict=verdict)
    utils.say(f"verdict: {verdict}")
    return not faults


def _verdict(findings: List[Finding], faults: List[str]) -> str:
    if faults:
        return f"different: {faults[0]}" + (f" and {len(faults) - 1} more" if faults[1:] else "")
    if all(each.equal for each in findings):
        return "identical, difference 0"
    return "equal within tolerance"


def _names(config: Config) -> List[str]:
    names = [name.strip() for name in (config.compare or "").split(",")]
    if len(names) != 2 or not all(names):
        raise UserError(f"--compare: {config.compare!r:.80} is not of the form RUN_A,RUN_B")
    return names


def _read_run(config: Config, name: str) -> ComparedRun:
    """The run of a name in `--out_dir`, or of a folder."""
    folder = os.path.abspath(os.path.expanduser(name))
    if not os.path.isfile(os.path.join(folder, OPTIONS_FILE)):
        folder = os.path.join(config.out_dir, name)
    if not os.path.isfile(os.path.join(folder, OPTIONS_FILE)):
        raise UserError(f"--compare: no run in {name} (no {OPTIONS_FILE}), nor in {folder}")
    parent, base = os.path.split(os.path.normpath(folder))
    found = find_options(config.replace(out_dir=parent, out_name=base, given=frozenset()))
    found = found.replace(batch_norm=config.batch_norm)  # the same for both
    path = os.path.join(folder, METRICS_FILE)
    losses: Dict[str, Dict[int, float]] = {name: {} for name in LOSSES}
    ranks = 1
    for line in _lines(path):
        for name in LOSSES:
            value = line.get(name)
            losses[name][line["step"]] = value if utils.is_number(value) else np.nan
        ranks = line.get("ranks", ranks)
    return ComparedRun(found, losses, ranks)


def _lines(path: str) -> Iterator[Dict[str, Any]]:
    """The lines of metrics.jsonl that hold the losses of a step."""
    try:
        for line in utils.read_json_lines(path):
            if isinstance(line, dict) and isinstance(line.get("step"), int) and "d_loss" in line:
                yield line
    except OSError as error:
        raise UserError(f"--compare: {path}: {error.strerror}")


def _check_same_options(a: ComparedRun, b: ComparedRun) -> None:
    """Refuses two runs whose computation was not meant to be the same."""
    for name in RUN_OPTIONS:
        one, other = getattr(a.config, name), getattr(b.config, name)
        if one != other and name not in MAY_DIFFER:
            raise UserError(
                f"--compare: {name} is {one} in {a.config.out_name}, {other} in {b.config.out_name}"
            )
    if a.ranks != b.ranks:
        raise UserError(
            f"--compare: {a.config.out_name} was trained by {a.ranks} ranks, {b.config.out_name} "
            f"by {b.ranks}"
        )
    if not set(a.losses["d_loss"]).intersection(b.losses["d_loss"]):
        raise UserError(
            f"--compare: {a.config.out_name} and {b.config.out_name} have no step in common"
        )


def _findings(config: Config, a: ComparedRun, b: ComparedRun) -> Iterator[Finding]:
    """What comparing the runs gives: what shows the cause first."""
    yield from _of_dumps(a.config, b.config)
    for name in LOSSES:
        yield comparison.compare_losses(name, a.losses[name], b.losses[name])
    kept = [
        {each.step: each for each in checkpoint.sound(run.config.checkpoint_path, warn=utils.warn)}
        for run in (a, b)
    ]
    steps = sorted(set(kept[0]).intersection(kept[1]))
    if not steps:
        utils.say("weights and images: no checkpoint of the same step in both runs, not compared")
        return
    if steps[0] > comparison.FIRST_STEPS:
        utils.say(
            f"weights and images: no checkpoint of the first {comparison.FIRST_STEPS} steps in both "
            "runs, so the following are not judged"
        )
    device = open_device(config)
    for step in steps:
        yield comparison.compare_weights(step, _weights(kept[0][step]), _weights(kept[1][step]))
        images = [
            _images(TrainedRun(run.config, [checkpoints[step]], device))
            for run, checkpoints in zip((a, b), kept)
        ]
        yield comparison.compare_images(step, *images)


def _of_dumps(a: Config, b: Config) -> Iterator[Finding]:
    step = 1
    while all(os.path.isfile(step_dump.path_of(run.run_dir, step)) for run in (a, b)):
        yield comparison.compare_dump(
            step, *[_arrays(step_dump.path_of(run.run_dir, step)) for run in (a, b)]
        )
        step += 1
    if step == 1:
        utils.say("steps: not compared (train both with --step_dump=1 to compare layer by layer)")


def _arrays(path: str) -> Dict[str, np.ndarray]:
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise UserError(f"--compare: {path}: cannot be read: {error}")


def _weights(found: Checkpoint) -> Dict[str, np.ndarray]:
    try:
        with plain_prefix(found.prefix) as prefix:
            reader = tf.train.load_checkpoint(prefix)
            return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--compare: {found.prefix}: {str(error).splitlines()[0]}")


def _images(run: TrainedRun) -> np.ndarray:
    """Images of fixed z, float32 [N, H, W, C] in pixel units of 0 to 255."""
    z = latents_of(run.config, IMAGES)
    labels = labels_of(run.config, [class_of(run.config, seed) for seed in IMAGES])
    with run.open_generator() as generator:
        lowest, highest = generator.value_range
        return 255 * (generator.images_of(z, labels) - lowest) / (highest - lowest)


def _write(config: Config, a: ComparedRun, b: ComparedRun, *, verdict: str) -> None:
    """Draws comparison.png: in RUN_A's folder and on its page, or in --out_dir if that is given."""
    folder, names = a.config.run_dir, [a.config.out_name, b.config.out_name]
    if "out_dir" in config.given:
        folder = os.path.join(config.out_dir, "-".join(["comparison", *names]))
    path = os.path.join(folder, PLOT_FILE)
    try:
        plot(path, a.losses, b.losses, names=names, verdict=verdict)
    except OSError as error:
        raise UserError(f"--out_dir: {error}")
    utils.say(f"comparison: {path}")
    if folder == a.config.run_dir:
        results.update_page(a.config)
