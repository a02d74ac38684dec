"""`test/align.sh`: trains the same steps with two settings, then compares the runs.

Both sides have one seed and one number of steps; they differ in what `--a` and `--b` say.
"""

import os
import shlex
import subprocess
import tempfile
from typing import Dict, Iterable, List, NamedTuple, Tuple

from launch.console import ROOT, say
from options import UserError

USAGE = """\
usage: bash test/align.sh [--steps=N] [--a=FLAGS] [--b=FLAGS] [FLAG OF main.py ...]

  --steps=N         training steps of each side, 200; beyond 10, a multiple of 10
  --a=FLAGS         flags of main.py for the first side, "--device=cpu"
  --b=FLAGS         for the second side, "--device=npu"
  --python_a=PATH   the interpreter of the first side; by default the one that test/env.sh chooses
  --python_b=PATH   of the second side: another TensorFlow, for example
  -h, --help        this text

All other flags go to both sides. Without --dataset or --data_path, the data are synthetic_mnist.
The runs are OUT_DIR/a and OUT_DIR/b; without --out_dir, in a new folder below test/output.
Exit code: 0 if both agree within tolerance, 1 if not, 2 for a user error; that of a training that
failed.
"""
OWN = {"steps": "200", "a": "--device=cpu", "b": "--device=npu", "python_a": "", "python_b": ""}
SET_HERE = ("train", "epoch", "train_size", "out_name", "resume", "compare", "ckpt_freq")
# What both sides have unless a flag says otherwise.
DEFAULTS = {"seed": "0", "step_dump": "1", "batch_size": "64", "progress": "off"}
STEPS_OF_EPOCH = 10


class Side(NamedTuple):
    """One side: its interpreter and its own flags."""

    python: str
    flags: Tuple[str, ...]


class Plan(NamedTuple):
    """What is trained on both sides.

    Attributes:
        sides: by name, which is the run's folder too.
        out_dir: the folder above the runs; "" for a new one.
        flags: of both sides.
        epochs: to train up to, one call after another: the first one leaves a checkpoint of the
            first steps, whose weights are judged.
    """

    sides: Dict[str, Side]
    out_dir: str
    flags: Tuple[str, ...]
    epochs: Tuple[int, ...]


def align(words: List[str]) -> int:
    """Trains both sides, then compares them.

    Args:
        words: `--python=INTERPRETER`, then the user's.

    Returns:
        The exit code of a training that failed, or else of the comparison.

    Raises:
        UserError: naming the option.
    """
    if "-h" in words or "--help" in words:
        print(USAGE, end="")
        return 0
    plan = parse(words[1:], python=words[0][len("--python=") :])
    out_dir = plan.out_dir or _new_folder()
    for name, side in plan.sides.items():
        say(f"{name}: {side.python} {' '.join(side.flags)}")
        flags = ("--train", f"--out_dir={out_dir}", f"--out_name={name}", *plan.flags, *side.flags)
        for epochs in plan.epochs:
            code = _main(side.python, *flags, f"--epoch={epochs}")
            if code:
                say(f"{name}: the training failed with exit code {code}")
                return code
    runs = ",".join(os.path.join(out_dir, name) for name in plan.sides)
    return _main(plan.sides["a"].python, f"--compare={runs}", "--device=cpu")


def parse(words: List[str], *, python: str) -> Plan:
    """The plan that the user's words make.

    Args:
        words: own options and flags of main.py.
        python: the interpreter of a side that names none.

    Raises:
        UserError: naming the option.
    """
    own: Dict[str, str] = dict(OWN)
    given: Dict[str, List[str]] = {}  # a flag may be repeated
    for word in words:
        name, _, value = word.partition("=")
        if not name.startswith("--"):
            raise UserError(f"{word}: not an option (see --help)")
        if name[2:] in OWN:
            own[name[2:]] = value
        else:
            _check([word])
            given.setdefault(name[2:], []).append(word)
    sides = {}
    for name in ("a", "b"):
        flags = _split(name, own[name])
        _check(flags)
        sides[name] = Side(_interpreter(f"python_{name}", own[f"python_{name}"] or python), flags)
    out_dir = given.pop("out_dir", [""])[-1].partition("=")[2]
    for name, value in DEFAULTS.items():
        given.setdefault(name, [f"--{name}={value}"])
    if "dataset" not in given and "data_path" not in given:
        given["dataset"] = ["--dataset=synthetic_mnist"]
    batch_size = _number("batch_size", given["batch_size"][-1].partition("=")[2])
    steps = _number("steps", own["steps"])
    if steps > STEPS_OF_EPOCH and steps % STEPS_OF_EPOCH:
        raise UserError(f"--steps={steps}: must be a multiple of {STEPS_OF_EPOCH}, or less")
    in_epoch = min(steps, STEPS_OF_EPOCH)
    words = [word for repeated in given.values() for word in repeated]
    flags = (*words, f"--train_size={in_epoch * batch_size}", f"--ckpt_freq={steps}")
    epochs = tuple(sorted({1, steps // in_epoch}))
    return Plan(sides, out_dir and os.path.abspath(out_dir), flags, epochs)


def _split(name: str, flags: str) -> Tuple[str, ...]:
    try:
        return tuple(shlex.split(flags))
    except ValueError as error:
        raise UserError(f"--{name}={flags}: {error}")


def _check(flags: Iterable[str]) -> None:
    """Refuses flags that the script sets."""
    for flag in flags:
        name = flag.lstrip("-").partition("=")[0]
        if not flag.startswith("-") or name in SET_HERE:
            raise UserError(f"{flag}: set by the script itself, or not a flag (see --help)")


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10**6):
        raise UserError(f"--{name}={text}: must be a whole number from 1 to 1,000,000")
    return int(text)


def _interpreter(name: str, path: str) -> str:
    path = os.path.abspath(os.path.expanduser(path))
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise UserError(f"--{name}={path}: not an interpreter")
    return path


def _new_folder() -> str:
    parent = os.path.join(ROOT, "test", "output")
    try:
        os.makedirs(parent, exist_ok=True)
        return tempfile.mkdtemp(prefix="align-", dir=parent)
    except OSError as error:
        raise UserError(f"--out_dir: {error}")


def _main(python: str, *flags: str) -> int:
    """Runs main.py; returns its exit code, 128 + N after signal N."""
    code = subprocess.run([python, os.path.join(ROOT, "main.py"), *flags]).returncode
    return code if code >= 0 else 128 - code
