"""How fast a trained run of MNIST is drawn from and evaluated, beside the machine's matrix products.

    python benchmarks/evaluate_speed.py --out_dir=out --out_name=RUN [--images=12800] [--evaluate]

It draws images as `--generate_format=npz` does, and finds the nearest of 50,000 images to each of the
10,000 test images: first of real ones, then of those drawn, when few are nearer than what is known.
Between these it measures the machine's rate of matrix products. Shown are images/s, median and best,
and their shares of what the products alone would reach: on a machine that does other things too, the
best is nearer to the truth. With --evaluate it also runs `main.py --evaluate`
on a copy of the run, once. The last line is JSON.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from system.blas import use_fast_core  # noqa: E402

use_fast_core()  # before NumPy, as main.py does for an evaluation

import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from rounds import Contestant  # noqa: E402

from config import Config  # noqa: E402
from inference import classifier  # noqa: E402
from inference.distances import NearestNeighbors  # noqa: E402
from inference.eval_data import labeled_splits  # noqa: E402
from inference.trained_run import open_run  # noqa: E402

OWN = os.path.join(ROOT, "benchmarks", "own.py")
PRODUCT_WORK = 2048**3  # multiply-adds of the product that measures the machine
SAMPLES = 50000


def main():
    options = parsed_options()
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()
    asked = Config(
        dataset=options.dataset,
        out_dir=options.out_dir,
        out_name=options.out_name,
        progress="off",
        device="cpu",
    )
    with open_run(asked) as run, Contestant(
        "product", [sys.executable, OWN, "product", "mnist", "64"]
    ) as product:
        rates, work = measured(run, product, options)
        product.take_turn(8)
        gflops = [2e-9 * PRODUCT_WORK / seconds for seconds in product.seconds]
    found = compared(rates, work, gflops)
    if options.evaluate:
        found["evaluate"] = evaluation(run.config, work, statistics.median(gflops))
    print(json.dumps(found))


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--out_dir", default="out")
    parser.add_argument("--out_name", default="")
    parser.add_argument("--images", type=int, default=12800, help="to draw in each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--evaluate", action="store_true", help="also run main.py --evaluate")
    return parser.parse_args()


def measured(run, product, options):
    """({what: [images/s]}, {what: multiply-adds of an image})."""
    train, (test_images, _) = labeled_splits(run)
    work = {
        "draw": generator_work(run),
        "neighbors": len(test_images) * test_images[0].size,
        "classify": classifier_work(),
    }
    neighbors = NearestNeighbors(test_images)
    rates = {"draw": [], "first neighbors": [], "neighbors": []}
    started = time.perf_counter()
    neighbors.add(train[0][:SAMPLES], train[1][:SAMPLES])
    rates["first neighbors"].append(SAMPLES / (time.perf_counter() - started))
    with run.open_generator() as generator:
        for first in range(0, options.rounds * options.images, options.images):
            product.take_turn(8)
            seeds = range(first, first + options.images)
            classes = [seed % max(run.sizes.num_classes, 1) for seed in seeds]
            started = time.perf_counter()
            images = np.concatenate(list(generator.blocks(seeds, classes)))
            rates["draw"].append(len(images) / (time.perf_counter() - started))
            started = time.perf_counter()
            neighbors.add(images, np.asarray(classes))
            rates["neighbors"].append(len(images) / (time.perf_counter() - started))
    return rates, work


def compared(rates, work, gflops):
    """Prints and returns {what: {images/s and share of the limit}, median and best}."""
    found = {"product_gflops": {"median": statistics.median(gflops), "best": max(gflops)}}
    print(
        "{} cores, TensorFlow {}, products {median:.0f} GFLOP/s, best {best:.0f}".format(
            os.cpu_count(), tf.__version__, **found["product_gflops"]
        )
    )
    print("{:<20}{:>12}{:>12}{:>12}{:>12}".format("", "images/s", "of limit", "best", "of limit"))
    for what, measured_rates in rates.items():
        found[what] = {}
        for kind, chosen in (("median", statistics.median), ("best", max)):
            rate = chosen(measured_rates)
            share = 2e-9 * rate * work[what.split()[-1]] / found["product_gflops"][kind]
            found[what][kind] = {"images_per_second": rate, "share_of_limit": share}
        values = [value for each in found[what].values() for value in each.values()]
        print("{:<20}{:>12.0f}{:>12.2f}{:>12.0f}{:>12.2f}".format(what, *values))
    return found


def evaluation(config, work, gflops):
    """Prints and returns the seconds of `--evaluate`, and those of its products alone."""
    with tempfile.TemporaryDirectory(prefix="dcgan-evaluate-") as folder:
        copy = os.path.join(folder, "run")
        os.makedirs(copy)
        shutil.copy(config.options_path, copy)
        shutil.copytree(config.checkpoint_path, os.path.join(copy, config.checkpoint_dir))
        command = [sys.executable, os.path.join(ROOT, "main.py"), "--evaluate", "--device=cpu"]
        command += [f"--dataset={config.dataset}", f"--out_dir={folder}", "--out_name=run"]
        started = time.perf_counter()
        subprocess.check_call([*command, "--progress=off"], stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    # Real images and samples are classified and compared alike, the test images classified twice.
    images = SAMPLES * (work["draw"] + 2 * work["neighbors"] + 2 * work["classify"])
    products = 2e-9 * (images + 2 * 10000 * work["classify"]) / gflops
    print(
        f"--evaluate: {seconds:.1f} s, {seconds / products:.2f} times its products' {products:.1f} s"
    )
    return {"seconds": seconds, "products_seconds": products}


def generator_work(run):
    """Multiply-adds of an image, without the planes of the labels."""
    with tf.Graph().as_default() as graph:
        z = tf.placeholder(tf.float32, [1, run.sizes.z_dim])
        run.build_networks().generator(z, run.label_placeholder(1), training=False)
        return multiply_adds(graph, planes=run.sizes.num_classes)


def classifier_work():
    """Multiply-adds of an image that the classifier sees."""
    with tf.Graph().as_default() as graph:
        weights = {
            name: tf.zeros(value.shape)
            for name, value in classifier._first_weights(np.random.RandomState(0)).items()
        }
        classifier._network(tf.placeholder(tf.uint8, [1, 28, 28, 1]), weights)
        return multiply_adds(graph)


def multiply_adds(graph, *, planes=0):
    """Those of the matrix products and convolutions of a graph for one image."""
    total = 0
    for operation in graph.get_operations():
        inputs = operation.inputs
        if operation.type == "MatMul":
            total += int(np.prod(inputs[1].shape.as_list()))
        elif operation.type == "Conv2D":  # an output pixel is a sum over all taps
            pixels = np.prod(operation.outputs[0].shape.as_list()[1:3])
            total += int(pixels * np.prod(inputs[1].shape.as_list()))
        elif operation.type == "Conv2DBackpropInput":  # the transposed convolution
            height, width, big, small = inputs[1].shape.as_list()
            pixels = np.prod(inputs[2].shape.as_list()[1:3])
            total += int(pixels * height * width * big * (small - planes))
    return total


if __name__ == "__main__":
    main()
