"""This project as a contestant of train_speed.py: its default step, or the reference's schedule.

    python benchmarks/own.py default|reference|product|bfloat16|KERNELS mnist|image BATCH_SIZE

`reference`: what the reference does in an iteration, of this project's parts and with TensorFlow's own
kernels: three runs for D, G and G, three forward passes only to print, all histograms and pictures for
TensorBoard, everything fed from the host. `product` measures the machine: one product of matrices.
KERNELS is a value of main.py's --kernels: the default step with these. `bfloat16`: the default step in
mixed precision.
"""

import collections
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from rounds import serve  # noqa: E402

import kernels  # noqa: E402
import model  # noqa: E402
import ops_cpu  # noqa: E402
from config import Config  # noqa: E402
from datasets.dataset import ArrayDataset  # noqa: E402
from datasets.pipeline import Batch, read_batch, scaled  # noqa: E402
from devices import npu_options  # noqa: E402
from devices.device import open_device  # noqa: E402
from devices.loss_scale import NetworkOptimizer  # noqa: E402
from devices.ranks import SINGLE_PROCESS  # noqa: E402
from training.graph import TrainGraph, build_summary  # noqa: E402
from training.progress import Progress  # noqa: E402
from training.step import build_train_step  # noqa: E402

SHAPES = {"mnist": (28, 28, 1), "image": (64, 64, 3)}
CLASSES = {"mnist": 10, "image": 0}
EXAMPLES = 4096
PRODUCT_SIDE = 2048


def main(schedule, architecture, batch_size):
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    if schedule == "product":
        return serve(_product())
    config, dataset = random_inputs(architecture, int(batch_size))
    if schedule in kernels.PRODUCTS:
        config = config.replace(kernels=schedule)
    elif schedule == "bfloat16":
        config = config.replace(precision_mode=npu_options.MIXED_BF16)
    device = open_device(config, say=lambda line: None)
    if schedule == "bfloat16" and not device.rewriter:
        sys.exit("bfloat16 needs TensorFlow 2.10 or later")
    with tf.Graph().as_default(), tf.Session(config=device.session_config) as session:
        build = _reference if schedule == "reference" else default_iteration
        iterate = build(session, config, dataset, device=device)
        serve(iterate, profile=lambda: _profile(session, iterate))


def random_inputs(architecture, batch_size):
    """(config, dataset) of random images in memory: what is measured is the training."""
    height, width, channels = SHAPES[architecture]
    classes = CLASSES[architecture]
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (EXAMPLES,) + SHAPES[architecture]).astype(np.uint8)
    dataset = ArrayDataset(
        images,
        random.randint(0, classes or 1, EXAMPLES),
        name="random",
        architecture=architecture,
        class_names=[str(number) for number in range(classes)],
    )
    return Config(
        architecture=architecture,
        num_classes=classes,
        output_height=height,
        output_width=width,
        channels=channels,
        batch_size=batch_size,
        seed=0,
        device="cpu",
    ), dataset


def default_iteration(session, config, dataset, *, device, ranks=SINGLE_PROCESS):
    """A function that makes one training step, in the default graph."""
    graph = TrainGraph(config=config, dataset=dataset, ranks=ranks, device=device)
    graph.initialize(session)
    graph.start_input(session, Progress())
    return lambda: graph.run_steps(session.run)


def _reference(session, config, dataset, *, device):
    del device  # the reference has nothing to do with it
    networks = model.build_networks(config.architecture, model.sizes_of(config), ops_cpu.NATIVE)
    shapes = [
        (config.batch_size,) + dataset.image_shape,
        (config.batch_size, dataset.num_classes),
        (config.batch_size, config.z_dim),
    ]
    batch = Batch(*[tf.placeholder(tf.float32, shape) for shape in shapes])
    d_optimizer, g_optimizer = [
        NetworkOptimizer(tf.train.AdamOptimizer(config.learning_rate, beta1=config.beta1))
        for _ in range(2)
    ]
    step = build_train_step(
        networks=networks,
        batch=batch,
        d_optimizer=d_optimizer,
        g_optimizer=g_optimizer,
        fused=False,
    )
    summary = build_summary(step.watched, {}, value_range=networks.value_range, with_images=True)
    d_run, first, second = step.runs
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    writer = tf.summary.FileWriter(tempfile.mkdtemp(prefix="dcgan-speed-"))
    steps = iter(range(sys.maxsize))

    def iterate():
        images, labels, z = read_batch(dataset, next(steps), config=config)
        feed = dict(
            zip(batch, (scaled(images.astype(np.float32), networks.value_range), labels, z))
        )
        for fetches in (d_run, first, second):
            writer.add_summary(session.run(dict(fetches, summary=summary), feed)["summary"])
        for printed in (d_run["d_loss_fake"], d_run["d_loss_real"], second["g_loss"]):
            session.run(printed, feed)

    return iterate


def _product():
    """One product of two square matrices, as TensorFlow computes it."""
    matrix = tf.Variable(tf.ones([PRODUCT_SIDE, PRODUCT_SIDE]), use_resource=True)
    product = tf.reduce_max(tf.matmul(matrix, matrix))
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return lambda: session.run(product)


def _profile(session, iterate):
    """{type of operation: milliseconds} of one iteration, summed over the threads."""
    options, run = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), session.run
    spent = collections.Counter()
    types = {operation.name: operation.type for operation in session.graph.get_operations()}

    def traced(fetches, feed_dict=None):
        metadata = tf.RunMetadata()
        values = run(fetches, feed_dict, options=options, run_metadata=metadata)
        for device in metadata.step_stats.dev_stats:
            for node in device.node_stats:
                spent[types.get(node.node_name.split(":")[0], "other")] += (
                    node.op_end_rel_micros / 1000
                )
        return values

    session.run = traced
    iterate()
    session.run = run
    return spent


if __name__ == "__main__":
    main(*sys.argv[1:])
