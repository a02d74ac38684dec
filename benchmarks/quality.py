"""Image quality: trains a recipe for several seeds and measures chosen epochs.

    python benchmarks/quality.py --preset=reference --seeds=1,2,3 --epochs=25 --measure=1,5,10,25
    python benchmarks/quality.py --preset=paper_mnist --epochs=200 --measure=25,50,100,200 --held_out
    python benchmarks/quality.py --dataset=cifar10 --epochs=10 --measure=5,10 --samples=25000 \\
        -- --g_updates=1

It runs `main.py --train` and `main.py --evaluate=all` and nothing else. Flags after `--` are those
of the training. After a kill, the same command goes on: trainings resume at their last
checkpoint, and what was measured is kept. It writes quality-NAME.md (a table: mean and spread over
the seeds) and quality-NAME.png into --out. NAME is the preset, and the data set if it is not MNIST.
"""

import argparse
import glob
import os
import signal
import statistics
import subprocess
import sys
import time
from typing import Any, Dict, List, NamedTuple, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import checkpoint  # noqa: E402
import main as trainer  # noqa: E402
import utils  # noqa: E402
from config import OPTIONS_FILE, SET_BY_DATASET  # noqa: E402
from flags_file import read_options  # noqa: E402
from inference import results  # noqa: E402
from inference.metrics import METRICS  # noqa: E402
from options import UserError  # noqa: E402

MEASURED = "measured"  # folder of the chosen epochs' checkpoints, in a run's folder
SECONDS_BETWEEN_LOOKS = 2.0


class Row(NamedTuple):
    """A data set that can be measured."""

    images: int  # for training
    figures: Tuple[str, ...]  # the columns of the table
    most_samples: int  # that an evaluation draws
    has_splits: bool  # a test split, and --mnist_split for the training


_LABELED = Row(
    60_000,
    ("one_nn_error", "label_agreement", "frechet", "kid"),
    most_samples=1_000_000_000,
    has_splits=True,
)
SETS = {
    "mnist": _LABELED,
    "fashion_mnist": _LABELED,
    "cifar10": Row(50_000, ("frechet", "kid"), most_samples=50_000, has_splits=False),
}
# Options of the training that this program sets itself.
FIXED = (
    "train",
    "resume",
    "dataset",
    "data_path",
    "mnist_split",
    "epoch",
    "seed",
    "ckpt_freq",
    "sample_freq",
    "out_dir",
    "out_name",
)
FOR_BOTH = ("data_dir", "device")  # options that an evaluation needs as much as a training


class Plan:
    """What is trained and measured.

    Attributes:
        recipe: the flags of the training that do not depend on the seed.
        name: of the table, and before the seed that of the runs.
        steps: epoch -> the training step at its end, of the epochs to measure.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.row = SETS[arguments.dataset]
        other = "" if arguments.dataset == "mnist" else f"-{arguments.dataset}"
        self.name = arguments.preset + other
        recipe = [] if arguments.preset == "reference" else [f"--config={arguments.preset}"]
        recipe += [f"--dataset={arguments.dataset}"]
        recipe += ["--mnist_split=train"] if self.row.has_splits else []
        self.recipe = [*recipe, *arguments.flags]
        for name in trainer.parse(["main.py", *arguments.flags]).given:
            if name in FIXED:
                raise UserError(f"--{name}: cannot be given after --")
        self.config = config = trainer.parse(["main.py", "--train", *self.recipe])
        self.batch_norm = arguments.batch_norm or config.batch_norm
        images = min(config.train_size or self.row.images, self.row.images)
        self.steps_per_epoch = images // config.batch_size
        self.epochs = arguments.epochs or config.epoch
        chosen = arguments.measure or [self.epochs]
        if max(chosen) > self.epochs:
            raise UserError(f"--measure: epoch {max(chosen)} is beyond the {self.epochs} epochs")
        self.steps = {epoch: epoch * self.steps_per_epoch for epoch in chosen}
        if arguments.held_out and images == self.row.images:
            raise UserError(f"--held_out: needs a --train_size below {images} after --")

    def run_dir(self, seed: int) -> str:
        """The folder of a seed's run."""
        return os.path.join(self.arguments.out, self._name(seed))

    def _name(self, seed: int) -> str:
        return f"{self.name}-seed{seed}"

    def train_command(self, seed: int) -> List[str]:
        """The command that trains a seed, or goes on with it."""
        return [
            *self._common(seed, "--train", *self.recipe),
            f"--epoch={self.epochs}",
            f"--seed={seed}",
            f"--ckpt_freq={self.steps_per_epoch}",
            f"--sample_freq={self.steps_per_epoch}",
        ]

    def evaluate_command(self, seed: int) -> List[str]:
        """The command that measures the chosen epochs of a seed."""
        return [
            *self._common(seed, "--evaluate=all", f"--checkpoint_dir={MEASURED}"),
            f"--eval_samples={self.arguments.samples}",
            *([f"--eval_split={self.split}"] if self.row.has_splits else []),
            *[f"--{name}={getattr(self.config, name)}" for name in FOR_BOTH],
            f"--batch_norm={self.batch_norm}",
        ]

    @property
    def split(self) -> str:
        """The value of --eval_split."""
        return "held_out" if self.arguments.held_out else "test"

    def check_recipe(self, seed: int) -> None:
        """Raises `UserError` if the seed's run was trained with other flags."""
        path = os.path.join(self.run_dir(seed), OPTIONS_FILE)
        if not os.path.exists(path):
            return
        asked, there = self.config.replace(seed=seed), read_options(path)
        if asked.lr_schedule != "constant" and there.get("epoch") != self.epochs:
            raise UserError(
                f"--epochs: the learning rate of {path} falls over {there.get('epoch')} epochs, not "
                f"{self.epochs}; give another --out"
            )
        for name, saved, value in asked.differences(there):
            if value is not None and name not in SET_BY_DATASET:  # None: the data set says it
                raise UserError(
                    f"--{name}: {path} was trained with {saved}, not {value}; give another --out"
                )

    def _common(self, seed: int, *flags: str) -> List[str]:
        data = [f"--data_path={self.arguments.data_path}"] if self.arguments.data_path else []
        where = [f"--out_dir={self.arguments.out}", f"--out_name={self._name(seed)}"]
        return [sys.executable, os.path.join(ROOT, "main.py"), *flags, *data, *where]


def keep_chosen(plan: Plan, seed: int) -> None:
    """Gives the checkpoints of the chosen epochs second names, before training deletes them."""
    folder = plan.run_dir(seed)
    os.makedirs(os.path.join(folder, MEASURED), exist_ok=True)
    for found in checkpoint.kept(os.path.join(folder, "checkpoint")):
        if found.step not in plan.steps.values():
            continue
        paths = glob.glob(glob.escape(found.prefix) + ".*")
        for path in sorted(paths, key=lambda path: path.endswith(".json")):  # the manifest last
            target = os.path.join(folder, MEASURED, os.path.basename(path))
            if not os.path.exists(target):
                os.link(path, target)


def train(plan: Plan, seed: int) -> None:
    """Trains a seed to its end; nothing to do if it is trained and its epochs are kept.

    Raises:
        UserError: the training failed, or a chosen epoch's checkpoint was not kept.
    """
    plan.check_recipe(seed)
    if not missing_epochs(plan, seed):
        return
    os.makedirs(plan.run_dir(seed), exist_ok=True)
    log = os.path.join(plan.run_dir(seed), "quality.log")
    with open(log, "a") as file:
        process = subprocess.Popen(plan.train_command(seed), stdout=file, stderr=file)
        try:
            while process.poll() is None:
                keep_chosen(plan, seed)
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            if process.poll() is None:
                process.terminate()  # it saves a checkpoint first
                process.wait()
    keep_chosen(plan, seed)
    if process.returncode != 0:
        raise UserError(
            f"seed {seed}: training ended with exit code {process.returncode}; see {log}"
        )
    missing = missing_epochs(plan, seed)
    if missing:
        raise UserError(
            f"--measure: seed {seed} was trained beyond epoch {missing[0]}, whose checkpoint was not "
            "kept; give another --out"
        )


def missing_epochs(plan: Plan, seed: int) -> List[int]:
    """The chosen epochs of a seed whose checkpoints are not kept, in their order."""
    kept = {each.step for each in checkpoint.kept(os.path.join(plan.run_dir(seed), MEASURED))}
    return sorted(epoch for epoch, step in plan.steps.items() if step not in kept)


def entries_of(plan: Plan, seed: int) -> Dict[int, Dict[str, Any]]:
    """epoch -> the figures of a seed that this plan asks for and that were measured."""
    epochs = {step: epoch for epoch, step in plan.steps.items()}
    found = results.read(plan.run_dir(seed)).get("checkpoints", [])
    return {
        epochs[entry["step"]]: entry
        for entry in found
        if entry["step"] in epochs
        and entry.get("samples") == plan.arguments.samples
        and entry.get("split", "test") == plan.split
        and entry.get("batch_norm", "moving") == plan.batch_norm
    }


def measure(plan: Plan, seed: int) -> None:
    """Measures the chosen epochs of a seed unless they were.

    Raises:
        UserError: the evaluation failed.
    """
    if set(entries_of(plan, seed)) == set(plan.steps):
        return
    code = subprocess.call(plan.evaluate_command(seed))
    if code != 0:
        raise UserError(f"seed {seed}: evaluation ended with exit code {code}")


def table(plan: Plan) -> Tuple[str, Dict[str, Any]]:
    """(a Markdown table of what was measured so far, the curves of its means)."""
    split = f"{plan.split} images" if plan.row.has_splits else "images of the set"
    lines = [
        f"`{' '.join(plan.recipe)} --epoch={plan.epochs}`, seeds {plan.arguments.seeds}, "
        f"{plan.arguments.samples} samples, compared with the {split}, batch norm {plan.batch_norm}",
        "",
        "| Epoch | Seeds | "
        + " | ".join(f"{name}: mean (lowest to highest)" for name in plan.row.figures)
        + " |",
        "|---" * (2 + len(plan.row.figures)) + "|",
    ]
    per_seed = [entries_of(plan, seed) for seed in plan.arguments.seeds]
    curves: Dict[str, Any] = {}
    for epoch in sorted(plan.steps):
        entries = [each[epoch] for each in per_seed if epoch in each]
        cells = []
        for name in plan.row.figures:
            values = [entry[name] for entry in entries if name in entry]
            cells.append(_cell(values))
            if values and name == plan.row.figures[0]:
                epochs, means = curves.setdefault(METRICS[name].title, ([], []))
                epochs.append(epoch)
                means.append(statistics.mean(values))
        lines.append(f"| {epoch} | {len(entries)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n", curves


def _cell(values: List[float]) -> str:
    if not values:
        return "not measured"
    return f"{statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def write(plan: Plan) -> None:
    """Writes the table and the curve of what was measured so far."""
    text, curves = table(plan)
    path = os.path.join(plan.arguments.out, f"quality-{plan.name}")
    utils.write_text(path + ".md", text)
    if curves:
        utils.plot_curves(path + ".png", curves, xlabel="epoch", ylabel="mean", title=plan.name)
    print(text)


def parse(argv: List[str]) -> argparse.Namespace:
    """The arguments of a command line."""

    def numbers(text):
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--preset", default="reference", help="reference, or of configs/presets")
    parser.add_argument("--dataset", default="mnist", choices=sorted(SETS))
    parser.add_argument("--seeds", type=numbers, default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="to train; the default is the preset's")
    parser.add_argument(
        "--measure", type=numbers, help="epochs to measure; the default is the last"
    )
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--batch_norm", default="", help="the default is the preset's")
    parser.add_argument(
        "--held_out", action="store_true", help="compare with training images that are left out"
    )
    parser.add_argument("--data_path", default="", help="the folder of the data set")
    parser.add_argument("--out", default="out/quality", type=os.path.abspath)
    parser.add_argument("flags", nargs="*", help="flags of the training, after --")
    arguments = parser.parse_args(argv)
    row = SETS[arguments.dataset]
    if arguments.held_out and not row.has_splits:
        parser.error(f"--held_out: {arguments.dataset} is compared with its training images")
    if arguments.samples > row.most_samples:
        parser.error(f"--samples: at most {row.most_samples} of {arguments.dataset}")
    return arguments


def main(argv: List[str]) -> int:
    """Trains and measures one seed after the other; returns the exit code.

    SIGTERM ends the training too.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        plan = Plan(parse(argv))
        for seed in plan.arguments.seeds:
            train(plan, seed)
            measure(plan, seed)
            write(plan)
    except UserError as error:
        print(f"quality.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
