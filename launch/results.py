"""From what a training wrote to the launch convention's figures and files."""

import glob
import json
import os
import platform
import re
from typing import List, Optional

from config import OPTIONS_FILE
from launch.arguments import Script
from launch.output import Output
from system.regular_file import read_text
from training import throughput

MISSING = "N/A"
LOG_LINE = re.compile(r"^\[.*Epoch:.*time:.*d_loss: *([-+.0-9a-zA-Z]*)")
ACCURACY = re.compile(r"^Final accuracy d_loss *(.*)$", re.M)
RESULT = """\
------------------ Final result ------------------
Final Performance images/sec : {images_per_second}
Final Train Accuracy : {accuracy}
E2E Training Duration sec : {seconds}
Sample grid: {sample_grid}
Log: {log}"""
CASE_LOG = """\
Network = {network}
RankSize = {ranks}
BatchSize = {batch_size}
DeviceType = {machine}
CaseName = {case_name}
ActualFPS = {images_per_second}
TrainingTime = {step_ms}
TrainAccuracy = {accuracy}
ActualLoss = {last_loss}
E2ETrainingTime = {seconds}
"""


def read_log(path: str) -> str:
    """The text of a log."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def d_losses(log: str) -> List[str]:
    """The d_loss of each line of a log, as it is written there."""
    return [found.group(1) for found in map(LOG_LINE.match, log.splitlines()) if found]


def report(output: Output, *, script: Script, ranks: str, seconds: int) -> None:
    """Writes the loss list and CaseName.log of a training that succeeded, and prints the result.

    Args:
        ranks: number of ranks, as text.
        seconds: the duration of the whole training.
    """
    log, run = read_log(output.log), output.path("run")
    losses, accuracy = d_losses(log), ACCURACY.findall(log)
    batch_size = _batch_size(os.path.join(run, OPTIONS_FILE))
    case_name = f"{script.network}_bs{batch_size}_{ranks}p_{script.goal}".replace("/", "")
    speed = throughput.of_run(run)
    figures = {
        "network": script.network,
        "ranks": ranks,
        "batch_size": batch_size,
        "machine": platform.machine(),
        "case_name": case_name,
        "images_per_second": throughput.text(speed.images_per_second) if speed else MISSING,
        "step_ms": throughput.text(1000 * speed.step_seconds) if speed else MISSING,
        "accuracy": accuracy[-1] if accuracy else MISSING,
        "last_loss": losses[-1] if losses else MISSING,
        "seconds": seconds,
        "sample_grid": _last_grid(run) or "none",
        "log": output.log,
    }
    with open(output.path(f"train_{case_name}_loss.txt"), "w") as file:
        file.write("".join(loss + "\n" for loss in losses))
    with open(output.path(f"{case_name}.log"), "w") as file:
        file.write(CASE_LOG.format(**figures))
    print(RESULT.format(**figures), flush=True)


def _batch_size(path: str) -> str:
    try:
        return str(json.loads(read_text(path))["batch_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return MISSING


def _last_grid(run: str) -> Optional[str]:
    pattern = os.path.join(glob.escape(run), "samples", "train_*.png")
    return max(glob.glob(pattern), default=None)
