"""What single steps computed: inputs, activations and gradients by name, for `--compare`.

A dump holds arrays in the order of their computation:

    input/NAME                  z, images and labels of the step
    generator/LAYER             a layer's output in the first pass of the network
    generator_1/LAYER           in its second pass, and so on
    d_gradients/VARIABLE        of the discriminator's update
    g1_gradients/VARIABLE       of the generator's first update, g2_gradients of its second, ...
"""

import os
import re
import zipfile
from typing import Dict

import numpy as np
import tensorflow.compat.v1 as tf

import utils
from datasets.pipeline import Batch

FOLDER = "step_dump"
# A layer ends with its bias or its normalization. Gradients of these ops have other scopes.
_LAYER = re.compile(r"((?:generator|discriminator)(?:_[0-9]+)?/[^/]+)/")
_LAST_OPS = ("BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def find_tensors(batch: Batch, gradients: str) -> Dict[str, tf.Tensor]:
    """The tensors to dump of the training step in the default graph, by name; builds no op.

    Args:
        batch: of the step.
        gradients: the graph collection that holds [(gradient, variable)] of each update.
    """
    graph = tf.get_default_graph()
    found = {}
    for op in graph.get_operations():
        layer = _LAYER.match(op.name)
        if layer and op.type in _LAST_OPS:
            found[layer.group(1)] = op.outputs[0]
    for number, pairs in enumerate(graph.get_collection(gradients)):
        update = f"g{number}" if number else "d"
        found.update({f"{update}_gradients/{v.op.name}": gradient for gradient, v in pairs})
    order = {op.name: index for index, op in enumerate(graph.get_operations())}
    computed = sorted(found.items(), key=lambda item: order[item[1].op.name])
    inputs = {
        f"input/{name}": part
        for name, part in batch._asdict().items()
        if part is not None and 0 not in part.shape.as_list()
    }
    return {**inputs, **dict(computed)}


def path_of(run_dir: str, step: int) -> str:
    """The file of a step's dump."""
    return os.path.join(run_dir, FOLDER, f"step_{step:08d}.npz")


def write(run_dir: str, step: int, arrays: Dict[str, np.ndarray]) -> None:
    """Writes the dump of a step, atomically.

    Raises:
        OSError: it cannot be written.
    """
    with utils.atomic_path(path_of(run_dir, step)) as partial, zipfile.ZipFile(
        partial, "w"
    ) as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
