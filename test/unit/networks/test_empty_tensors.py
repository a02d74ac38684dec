"""No graph holds an op on an empty tensor: converters and device compilers may fail on one.

A placeholder for labels [N, 0] may exist, and the input pipeline may yield such labels, as long as
no op takes them.
"""

import os

import pytest
import tensorflow.compat.v1 as tf
from small_runs import make_run
from suite import others_slow

import kernels
import main
import ops_cpu
from config import Config
from datasets.registry import open_dataset
from devices.device import open_device
from devices.ranks import SINGLE_PROCESS
from inference import export
from inference.trained_run import open_run
from training.graph import TrainGraph

SOURCES = ("Placeholder", "IteratorGetNext", "Const")
# TensorFlow defines them so: in training mode the moving averages are empty constants, and
# tf.gradients builds an identity of the gradient to each, which no op takes.
BATCH_NORM = ("FusedBatchNormV3", "FusedBatchNormGradV3")
PAIRS = {"mnist": "synthetic_mnist", "image": "synthetic"}


def is_empty(tensor):
    """Whether it is data without elements; a shape vector (of integers) may be empty."""
    known = tensor.dtype.is_floating and tensor.shape.ndims is not None
    return known and 0 in tensor.shape.as_list()


def is_batch_norm(op):
    return op.type in BATCH_NORM or (op.type == "Identity" and is_batch_norm(op.inputs[0].op))


def ops_on_empty_tensors(graph):
    return [
        f"{op.type} {op.name}"
        for op in graph.get_operations()
        if not is_batch_norm(op)
        and any(map(is_empty, op.inputs if op.type in SOURCES else [*op.inputs, *op.outputs]))
    ]


def imported(path):
    """The graph of a file that an export wrote."""
    with tf.Graph().as_default() as graph:
        if path.endswith(".meta"):
            tf.train.import_meta_graph(path)
        else:
            graph_def = tf.GraphDef()
            with open(path, "rb") as file:
                graph_def.ParseFromString(file.read())
            tf.import_graph_def(graph_def, name="")
    return graph


def test_an_op_on_an_empty_tensor_is_found(graph):
    x, labels = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 0])
    assert ops_on_empty_tensors(graph) == []
    tf.concat([x, labels], 1, name="joined")
    assert ops_on_empty_tensors(graph) == ["ConcatV2 joined"]


@pytest.mark.parametrize(
    "products", others_slow("winograd", *sorted({*kernels.PRODUCTS} - {"winograd"}))
)
@pytest.mark.parametrize("fused", others_slow(True, False), ids=["fused", "separate"])
@pytest.mark.parametrize("architecture", sorted(PAIRS))
def test_training_and_sample_grid(graph, monkeypatch, architecture, fused, products):
    monkeypatch.setattr(ops_cpu, "LEAST_CHANNELS", 1)  # these networks are narrow
    config, dataset = open_dataset(
        Config(
            train=True,
            kernels=products,
            dataset=PAIRS[architecture],
            seed=1,
            device="cpu",
            batch_size=4,
            sample_num=4,
            gf_dim=2,
            df_dim=2,
            gfc_dim=4,
            dfc_dim=4,
            fused_step=fused,
        )
    )
    assert dataset.architecture == architecture
    TrainGraph(
        config=config.replace(num_classes=0, class_names=()),
        dataset=dataset.without_labels(),
        ranks=SINGLE_PROCESS,
        device=open_device(config),
    )
    kinds = {op.type for op in graph.get_operations()}
    assert {"Conv2D", "IteratorGetNext"} <= kinds
    assert ops_on_empty_tensors(graph) == []


def test_generator_and_exports_of_a_run_without_labels(tmp_path):
    asked = make_run(tmp_path, "image")
    with open_run(asked) as run, run.open_generator():
        assert run.config.num_classes == 0
        assert ops_on_empty_tensors(tf.get_default_graph()) == []
    assert main.run(asked.replace(freeze=True, freeze_discriminator=True)) == 0
    asked = asked.replace(export=True, export_format="checkpoint", export_batch_size=5)
    assert main.run(asked) == 0
    for name in ("generator.pb", "discriminator.pb", "sampler-b5.meta"):
        found = imported(os.path.join(str(tmp_path), "run", export.FOLDER, name))
        assert "MatMul" in {op.type for op in found.get_operations()}, name
        assert ops_on_empty_tensors(found) == [], name
