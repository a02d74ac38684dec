"""How fast pictures come in: decoded on one thread, on all, and packed; the wait in a real run.

    python benchmarks/input_speed.py [--pictures=2000] [--repeats=5] [--steps=12] [--batch_size=64]
    python benchmarks/input_speed.py --size=375x500 [--of=FOLDER] --pictures=500 --steps=0

It makes its own pictures in a temporary folder: JPEGs of 178x218 of about the size of celebA's (7 kB),
cropped to 108x108 and resized to 64x64. With --size they have that height and width and are resized to
64x64 as a whole, decoded smaller and whole (--exact_decode); how far the pixels of both are apart is
printed. --of=FOLDER makes them of the images there, of each in turn. Each way of reading takes its turn
in every repeat, so that whatever else the machine does meets them alike; shown are the median and the
best rate. The real runs are `main.py --train` of the 64x64 image pair, decoding and packed, with
`input_wait` from their metrics.jsonl (the first two steps, which build and fill things, left out).
Prints a table and, last, one JSON line.
"""

import argparse
import glob
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import PIL  # noqa: E402
from PIL import Image  # noqa: E402

import utils  # noqa: E402
from config import Config  # noqa: E402
from datasets.registry import open_dataset  # noqa: E402

STEPS_LEFT_OUT = 2
MOST_COMPARED = 500


def main():
    options = parsed_options()
    with tempfile.TemporaryDirectory(prefix="dcgan-input-") as folder:
        pictures = os.path.join(folder, "pictures")
        make_pictures(pictures, options)
        rates = measured_rates(pictures, options)
        waits = {
            name: real_run(pictures, folder, options, cache=cache)
            for name, cache in (("decoding", "off"), ("packed", os.path.join(folder, "cache")))
            if options.steps > STEPS_LEFT_OUT and not options.size
        }
        bytes_each = np.mean(
            [os.path.getsize(os.path.join(pictures, name)) for name in os.listdir(pictures)]
        )
    report(rates, waits, options, bytes_each=int(bytes_each))


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=2000, help="how many to make")
    parser.add_argument("--size", help="their height x width, resized as a whole")
    parser.add_argument("--of", help="a folder of images to make them of")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each way")
    parser.add_argument("--steps", type=int, default=12, help="of each real run; 0 runs none")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="all threads")
    return parser.parse_args()


def size_of(options):
    """(height, width) of the pictures."""
    height, width = (options.size or "218x178").split("x")
    return int(height), int(width)


def make_pictures(folder, options):
    """JPEGs, 4:2:0 as cameras make: of the given images, or smooth colours and a little noise."""
    os.makedirs(folder)
    random = np.random.RandomState(0)
    height, width = size_of(options)
    given = [Image.open(path).convert("RGB") for path in sorted(glob.glob(f"{options.of}/*"))]
    for number in range(options.pictures):
        if given:
            picture = given[number % len(given)].resize((width, height), Image.LANCZOS)
        else:
            coarse = Image.fromarray(random.randint(0, 256, (14, 11, 3)).astype(np.uint8))
            smooth = np.asarray(coarse.resize((width, height), Image.BICUBIC), np.int16)
            noise = random.randint(-5, 6, (height, width, 1))
            picture = Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))
        picture.save(os.path.join(folder, f"{number:06d}.jpg"), quality=75)


def opened(pictures, options, **others):
    crop = {} if options.size else {"crop": True, "input_height": 108}
    config = Config(
        dataset="made",
        data_path=pictures,
        output_height=64,
        progress="off",
        seed=1,
        **crop,
        **others,
    )
    return open_dataset(config)


def measured_rates(pictures, options):
    """Images/s of each way of reading, one for each repeat: {(way, threads): [rate, ...]}."""
    with tempfile.TemporaryDirectory(prefix="dcgan-input-") as folder:
        _, decoding = opened(pictures, options, cache="off")
        _, packed = opened(pictures, options, cache=folder, train=True, epoch=2)
        datasets = [("decode", decoding, 1), ("packed", packed, 20)]
        if options.size:
            _, exact = opened(pictures, options, cache="off", exact_decode=True)
            datasets.append(("decode whole", exact, 1))
            say_difference(decoding, exact)
        ways = [
            (name, threads, dataset, passes)
            for name, dataset, passes in datasets
            for threads in sorted({1, options.threads})
        ]
        rates = {}
        for _ in range(options.repeats + 1):
            for name, threads, dataset, passes in ways:
                rates.setdefault((name, threads), []).append(
                    rate(dataset, options, threads=threads, passes=passes)
                )
    return {way: measured[1:] for way, measured in rates.items()}  # the first one warms up


def say_difference(smaller, whole):
    """Prints how far the pixels of the images decoded in both ways are apart."""
    numbers = np.arange(min(whole.num_examples, MOST_COMPARED))
    images = [dataset.read(numbers)[0].astype(np.int16) for dataset in (smaller, whole)]
    apart = np.abs(images[0] - images[1])
    print(
        f"{len(numbers)} decoded smaller and whole: pixels apart by {apart.mean():.2f} of 255 in the "
        f"mean, {np.percentile(apart, 99):.0f} at the 99th percentile, {apart.max()} at most"
    )


def rate(dataset, options, *, threads, passes):
    """Images/s of reading the set `passes` times in shuffled batches, each on one of the threads."""
    order = np.random.RandomState(2).permutation(dataset.num_examples)
    batches = [
        order[first : first + options.batch_size]
        for first in range(0, len(order), options.batch_size)
    ] * passes
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        for _ in pool.map(lambda indices: dataset.read(indices)[0].shape, batches):
            pass
        return len(order) * passes / (time.perf_counter() - start)


def real_run(pictures, folder, options, *, cache):
    """Mean share of step time spent waiting for input, and ms a step, in a run of its own process."""
    name = "run-" + os.path.basename(cache)
    subprocess.check_call(
        [
            sys.executable,
            os.path.join(ROOT, "main.py"),
            "--train",
            "--data_path=" + pictures,
            "--crop",
            "--input_height=108",
            "--output_height=64",
            "--seed=1",
            "--progress=off",
            "--cache=" + cache,
            f"--batch_size={options.batch_size}",
            "--epoch=1",
            "--sample_freq=1000000",
            f"--train_size={options.batch_size * options.steps}",
            "--out_dir=" + folder,
            "--out_name=" + name,
        ],
        stdout=subprocess.DEVNULL,
    )
    lines = [
        line
        for line in utils.read_json_lines(os.path.join(folder, name, "metrics.jsonl"))
        if "input_wait" in line
    ]
    seconds = np.diff([line["seconds"] for line in lines])[STEPS_LEFT_OUT - 1 :]
    shares = [line["input_wait"] for line in lines[STEPS_LEFT_OUT:]]
    return {
        "input_wait": float(np.average(shares, weights=seconds)),
        "step_ms": 1000 * float(np.median(seconds)),
        "steps": len(shares),
    }


def report(rates, waits, options, *, bytes_each):
    height, width = size_of(options)
    cropped = "" if options.size else "108x108 -> "
    print(
        f"\n{options.pictures:,} JPEGs of {height}x{width}, {bytes_each:,} bytes each -> "
        f"{cropped}64x64; "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, Pillow {PIL.__version__}"
    )
    print("{:<24}{:>16}{:>16}".format("images/s", "median", "best"))
    for (way, threads), measured in rates.items():
        print(
            "{:<24}{:>16,.0f}{:>16,.0f}".format(
                f"{way}, {threads} thread(s)", statistics.median(measured), max(measured)
            )
        )
    print("{:<24}{:>16}{:>16}".format("a real run", "input_wait", "ms a step"))
    for way, run in waits.items():
        print(
            "{:<24}{:>15.3%}{:>16,.0f}".format(
                "{}, {} steps".format(way, run["steps"]), run["input_wait"], run["step_ms"]
            )
        )
    print(
        json.dumps(
            {
                "bytes_a_picture": bytes_each,
                "cpus": os.cpu_count(),
                "pillow": PIL.__version__,
                "images_per_second": {
                    "{}_{}".format(*way): {
                        "median": round(statistics.median(measured)),
                        "best": round(max(measured)),
                    }
                    for way, measured in rates.items()
                },
                "real_runs": waits,
            }
        )
    )


if __name__ == "__main__":
    main()
