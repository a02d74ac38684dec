"""How fast the training is, against the reference's schedule and against PyTorch, in one run.

    python benchmarks/train_speed.py [--architecture=mnist|image] [--kernels=cpu,winograd] [--bfloat16]
        [--peer=torch --peer_python=PYTHON]

Every contestant is a process of its own; they take turns, a few iterations each, so that whatever else
the machine does meets them alike. Shown are medians over all iterations: images/s, the ratio to the
reference's schedule and to PyTorch, the share of the machine's limit (its measured rate of matrix
products over the work of an image), peak resident memory. The last line is JSON. `--peer_python` is for
a PyTorch that lives in another environment (requirements-bench.txt).
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys

from rounds import Contestant

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(FOLDER))

from config import OPTIONS  # noqa: E402

ITERATIONS = {"mnist": 24, "image": 8}
# Multiply-adds of an image in one iteration (D, G, G; G's first forward pass shared).
WORK = {"mnist": 236e6, "image": 2.58e9}
PRODUCT_WORK = 2048**3
ROUNDS = 4


def main(argv=None):
    options = parsed_options(argv)
    try:
        with contextlib.ExitStack() as stack:
            contestants = [
                stack.enter_context(Contestant(name, command))
                for name, command in commands(options)
            ]
            for _turn in range(ROUNDS):
                for contestant in contestants:
                    contestant.take_turn(-(-options.iterations // ROUNDS))
            peaks = {each.name: each.ask("peak") for each in contestants}
            profile = contestants[1].ask("profile") if options.profile else {}
    except (RuntimeError, OSError) as error:
        sys.exit(f"train_speed.py: {error}")
    report(
        results({each.name: each.seconds for each in contestants}, peaks, options), profile, options
    )


def parsed_options(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--architecture", choices=sorted(WORK), default="mnist")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument(
        "--iterations", type=int, help="of each; mnist {mnist}, image {image}".format(**ITERATIONS)
    )
    parser.add_argument(
        "--kernels", type=_names, default=[], help="contestants that differ in their kernels"
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="a contestant in mixed precision, from TensorFlow 2.10 on",
    )
    parser.add_argument("--peer", choices=["torch"])
    parser.add_argument("--peer_python", default=sys.executable, help="an interpreter with PyTorch")
    parser.add_argument(
        "--profile", action="store_true", help="where the default's time goes, by op"
    )
    options = parser.parse_args(argv)
    options.iterations = options.iterations or ITERATIONS[options.architecture]
    return options


def _names(text):
    names, known = text.split(","), OPTIONS["kernels"].declared.choices
    unknown = set(names).difference(known)
    if unknown:
        raise argparse.ArgumentTypeError(f"{min(unknown)} is none of {', '.join(known)}")
    return names


def commands(options):
    """[(contestant, the command that starts it)]"""
    sizes = [options.architecture, str(options.batch_size)]
    own = [sys.executable, os.path.join(FOLDER, "own.py")]
    mixed = ["bfloat16"] if options.bfloat16 else []
    found = [
        (name, own + [name] + sizes)
        for name in ("reference", "default", *options.kernels, *mixed, "product")
    ]
    if options.peer:
        peer = [options.peer_python, os.path.join(FOLDER, f"peer_{options.peer}.py")]
        found.append((options.peer, peer + sizes))
    return found


def results(seconds, peaks, options):
    """The figures: {"machine", "product_gflops", "contestants": {name: figures}, ...}."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    product_rate = PRODUCT_WORK / medians.pop("product")  # multiply-adds a second
    limit = product_rate / WORK[options.architecture]
    speeds = {name: options.batch_size / median for name, median in medians.items()}
    return {
        "architecture": options.architecture,
        "batch_size": options.batch_size,
        "iterations": options.iterations,
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "product_gflops": 2e-9 * product_rate,
        "limit_images_per_second": limit,
        "contestants": {
            name: {
                "images_per_second": speed,
                "peak_mb": peaks[name],
                "share_of_limit": speed / limit,
                "ratio_to": {other: speed / speeds[other] for other in speeds if other != name},
            }
            for name, speed in speeds.items()
        },
    }


def report(found, profile, options):
    """Prints the table, the profile and the line of JSON."""
    print(
        "{architecture}, batch {batch_size}, {iterations} iterations each; {cores} cores, matrix "
        "products {product_gflops:.0f} GFLOP/s, limit {limit_images_per_second:.0f} images/s".format(
            **found
        )
    )
    print(
        "{:<12}{:>10}{:>14}{:>10}{:>10}{:>10}".format(
            "", "images/s", "/ reference", "/ torch", "of limit", "peak MB"
        )
    )
    for name, figures in found["contestants"].items():
        ratios = [
            "{:.2f}".format(figures["ratio_to"][other]) if other in figures["ratio_to"] else "-"
            for other in ("reference", "torch")
        ]
        print(
            "{:<12}{:>10.1f}{:>14}{:>10}{:>10.2f}{:>10.0f}".format(
                name,
                figures["images_per_second"],
                *ratios,
                figures["share_of_limit"],
                figures["peak_mb"],
            )
        )
    total = sum(profile.values())
    for operation, spent in sorted(profile.items(), key=lambda item: -item[1])[:12]:
        print(f"{operation:<32}{spent:>8.1f} ms {100 * spent / total:>5.1f} %")
    print(json.dumps(dict(found, profile_ms=profile)))


if __name__ == "__main__":
    main()
