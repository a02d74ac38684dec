"""How training scales: 1 and 2 ranks on this machine, and an estimate for many devices.

    python benchmarks/scaling.py [--architecture=mnist|image] [--link_gbit=100] [--step_ms=...]

Measured, with the same number of threads in all (so two ranks have half of them each) and the numbers
of ranks in turns: images/s of all ranks, and the share of a step that averaging takes, which is what
the step is longer than the same step of the same processes without it.

Estimated, for weak scaling (the batch of each device stays): a ring all-reduce over n devices sends
2 (n - 1) / n of its B bytes through each link of L bytes/s, in 2 (n - 1) messages that take l seconds
each at the least. Three of them a step (D, G, G), none hidden behind computing, make of t seconds

    t(n) = t + 2 (n - 1) / n B / L + 3 * 2 (n - 1) l,       efficiency(n) = t / t(n)

with B the bytes of one step. B is this model's, t the median measured here with one rank or --step_ms
of another device, L and l are given; all are printed. Nothing was at hand to hold the estimate against.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(FOLDER))

import utils  # noqa: E402

DEVICES = (8, 16, 32, 64, 128, 256, 512, 1024)
ALL_REDUCES = 3
TURNS = 2  # of each kind of step in one round


def main(argv=None):
    options = parsed_options(argv)
    runs = {size: [] for size in options.ranks}
    try:
        for _ in range(options.rounds):
            for size in options.ranks:
                runs[size].append(measure(size, options))
    except RuntimeError as error:
        sys.exit(f"scaling.py: {error}")
    found = {size: figures(size, measured, options) for size, measured in runs.items()}
    report(found, options)
    first = options.ranks[0]
    step_seconds = options.step_ms / 1e3 if options.step_ms else found[first]["step_seconds"]
    bytes_averaged = runs[first][0]["bytes"]
    estimated = estimate(
        step_seconds, bytes_averaged, link_gbit=options.link_gbit, latency_us=options.latency_us
    )
    report_estimate(estimated, options, step_seconds=step_seconds, bytes_averaged=bytes_averaged)
    print(
        json.dumps(
            {
                "measured": found,
                "efficiency": estimated,
                "architecture": options.architecture,
                "batch_size": options.batch_size,
                "threads": options.threads,
            }
        )
    )


def parsed_options(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--architecture", choices=["mnist", "image"], default="mnist")
    parser.add_argument("--batch_size", type=int, default=64, help="of each rank")
    parser.add_argument(
        "--ranks",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[1, 2],
        help="numbers of ranks to measure, 1,2",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of all ranks together")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="in a turn; two turns a round")
    parser.add_argument("--link_gbit", type=float, default=100.0, help="of each link, Gbit/s")
    parser.add_argument("--latency_us", type=float, default=2.0, help="of a message, microseconds")
    parser.add_argument("--step_ms", type=float, help="of a step on the device that is estimated")
    parser.add_argument("--plot", default=os.path.join(FOLDER, "out", "scaling.png"))
    return parser.parse_args(argv)


def measure(size, options):
    """What rank 0 of `size` ranks measured (see scaling_rank.py)."""
    numbers = (options.batch_size, max(1, options.threads // size), TURNS, options.steps)
    words = [sys.executable, os.path.join(FOLDER, "scaling_rank.py"), options.architecture]
    words += [str(number) for number in numbers]
    if size > 1:
        words = [sys.executable, "-m", "horovod.runner.launch", "-np", str(size), "--gloo"] + words
    done = subprocess.run(words, capture_output=True, text=True)
    lines = [
        line.split("figures ", 1)[1] for line in done.stdout.splitlines() if "figures " in line
    ]
    if done.returncode or not lines:
        said = (done.stdout + done.stderr).strip().splitlines() or ["they said nothing"]
        raise RuntimeError(f"{size} rank(s): {said[-1]}")
    return json.loads(lines[0])


def figures(size, measured, options):
    """{"images_per_second", "step_seconds", "share_of_averaging"} of some ranks' runs, of medians."""
    together, apart = [
        statistics.median(seconds for run in measured for seconds in run[name])
        for name in ("together", "apart")
    ]
    return {
        "step_seconds": together,
        "images_per_second": size * options.batch_size / together,
        "share_of_averaging": max(0.0, 1 - apart / together) if size > 1 else 0.0,
    }


def estimate(step_seconds, bytes_averaged, *, link_gbit, latency_us):
    """{devices: efficiency in (0, 1]} by the formula above."""
    efficiencies = {}
    for devices in DEVICES:
        sent = 2 * (devices - 1) / devices * bytes_averaged / (link_gbit * 1e9 / 8)
        waited = ALL_REDUCES * 2 * (devices - 1) * latency_us * 1e-6
        efficiencies[devices] = step_seconds / (step_seconds + sent + waited)
    return efficiencies


def report(found, options):
    """Prints the table of what was measured."""
    print(
        f"{options.architecture}, batch {options.batch_size} a rank, {options.threads} threads in all"
    )
    print(
        "{:>6}{:>12}{:>12}{:>10}{:>20}".format(
            "ranks", "step ms", "images/s", "ratio", "share averaging"
        )
    )
    first = found[options.ranks[0]]["images_per_second"]
    for size, each in found.items():
        print(
            "{:>6}{:>12.1f}{:>12.1f}{:>10.2f}{:>19.1f}%".format(
                size,
                1e3 * each["step_seconds"],
                each["images_per_second"],
                each["images_per_second"] / first,
                100 * each["share_of_averaging"],
            )
        )


def report_estimate(efficiencies, options, *, step_seconds, bytes_averaged):
    """Prints the table of the estimate, and draws it."""
    print(
        f"estimate: step {1e3 * step_seconds:.1f} ms, {bytes_averaged / 1e6:.1f} MB averaged a step, "
        f"link {options.link_gbit:g} Gbit/s, latency {options.latency_us:g} us"
    )
    speeds = {n: n * options.batch_size / step_seconds * each for n, each in efficiencies.items()}
    print("{:>8}{:>12}{:>14}".format("devices", "efficiency", "images/s"))
    for devices, efficiency in efficiencies.items():
        print(f"{devices:>8}{efficiency:>12.3f}{speeds[devices]:>14.0f}")
    linear = [n * options.batch_size / step_seconds for n in speeds]
    utils.plot_curves(
        options.plot,
        {"estimated": (list(speeds), list(speeds.values())), "linear": (list(speeds), linear)},
        xlabel="devices",
        ylabel="images/s",
        title="weak scaling, " + options.architecture,
    )
    print(f"plot: {options.plot}")


if __name__ == "__main__":
    main()
