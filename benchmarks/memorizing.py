"""How much a discriminator memorizes a small set, with and without `--augment=diff`.

    python benchmarks/memorizing.py --data_path=data/mnist
    python benchmarks/memorizing.py --data_path=data/mnist --epochs=300 -- --mirror --df_dim=32

It trains on a few images of a set (`main.py --train --train_size`), twice, and then shows D of each
kept checkpoint the images that it was trained on and others of the same set, all without changes.
Both are real. A D that calls the first real and not the others has learned them by heart: the gap
between the two shares is what it has memorized. Flags after `--` go to both trainings.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from typing import List, NamedTuple, Tuple

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import tensorflow.compat.v1 as tf  # noqa: E402

from config import OPTIONS, Config  # noqa: E402
from datasets import pipeline  # noqa: E402
from datasets.registry import open_dataset  # noqa: E402
from inference.generator import in_chunks  # noqa: E402
from inference.trained_run import TrainedRun, open_run  # noqa: E402
from options import UserError  # noqa: E402

MOST_HELD_OUT = 2000
CHECKPOINTS = 5


class Row(NamedTuple):
    """What D of one checkpoint says: shares in [0, 1] of real images that it calls real."""

    augment: str
    step: int
    trained: float
    held_out: float


def parse(words: List[str]) -> argparse.Namespace:
    """The arguments; those after `--` are `flags`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data_path", help="the folder of the set")
    parser.add_argument("--images", type=int, default=500, help="to train on")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1, help="of the images, too")
    parser.add_argument("--out", help="the folder above the runs; a new one by default")
    parser.add_argument("flags", nargs="*", help="flags of main.py, after --")
    return parser.parse_args(words)


def train_command(arguments: argparse.Namespace, augment: str) -> List[str]:
    """The command that trains with one value of `--augment`."""
    return [
        sys.executable,
        os.path.join(ROOT, "main.py"),
        "--train",
        f"--dataset={arguments.dataset}",
        *([f"--data_path={arguments.data_path}"] if arguments.data_path else []),
        f"--train_size={arguments.images}",
        f"--epoch={arguments.epochs}",
        f"--seed={arguments.seed}",
        f"--max_to_keep={CHECKPOINTS}",
        "--ckpt_minutes=0",
        f"--out_dir={arguments.out}",
        f"--out_name={augment}",
        *arguments.flags,
        f"--augment={augment}",
    ]


def measure(config: Config) -> List[Row]:
    """The rows of a run, in the order of its steps.

    Args:
        config: with the run's `out_dir`, `out_name` and `dataset`.

    Raises:
        UserError: the run trained on the whole set.
    """
    with open_run(config.replace(evaluate="all")) as run:
        (trained, held_out) = _real_images(run)
        rows = []
        for found in reversed(run.checkpoints):
            shares = [_share_called_real(run.at(found), part) for part in (trained, held_out)]
            rows.append(Row(run.config.augment, found.step, *shares))
        return rows


def _real_images(run: TrainedRun) -> Tuple[Tuple, Tuple]:
    """((images uint8 [N, H, W, C], labels [N, K]) that were trained on, others)."""
    config, dataset = open_dataset(run.config.replace(train=False))
    parts = pipeline.used_and_held_out(
        dataset.num_examples, train_size=config.train_size, seed=config.seed
    )
    if len(parts[1]) == 0:
        raise UserError(f"--images: the set has {dataset.num_examples}; train on fewer")
    trained, held_out = [dataset.read(indices[:MOST_HELD_OUT]) for indices in parts]
    return trained, held_out


def _share_called_real(run: TrainedRun, examples: Tuple) -> float:
    images, labels = examples
    networks = run.build_networks()
    with tf.Graph().as_default():
        pixels = tf.placeholder(tf.float32, (None,) + images.shape[1:])
        y = run.label_placeholder()
        x = pipeline.scaled(pixels, networks.value_range)
        logits = networks.discriminator(x, y, training=False)
        with run.restored_session() as session:

            def logits_of(images, labels):
                feed = {pixels: images}
                return session.run(logits, feed if y is None else {**feed, y: labels})

            return float(np.mean(in_chunks(logits_of, images, labels) > 0))


def table(rows: List[Row]) -> str:
    """The rows as Markdown, in percent."""
    lines = [
        "| `--augment` | Step | Training images called real | Held-out images called real | Gap |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        gap = 100 * (row.trained - row.held_out)
        lines.append(
            f"| {row.augment} | {row.step:,} | {100 * row.trained:.1f} % "
            f"| {100 * row.held_out:.1f} % | {gap:.1f} |"
        )
    return "\n".join(lines)


def main(words: List[str]) -> int:
    """Trains, measures, prints the table; returns the exit code."""
    arguments = parse(words)
    arguments.out = os.path.abspath(arguments.out or tempfile.mkdtemp(prefix="memorizing-"))
    tf.disable_v2_behavior()
    rows = []
    for augment in OPTIONS["augment"].declared.choices:
        code = subprocess.call(train_command(arguments, augment), stdout=sys.stderr)
        if code:
            return code
        rows += measure(Config(out_dir=arguments.out, out_name=augment, dataset=arguments.dataset))
    print(table(rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"memorizing.py: {error}")
