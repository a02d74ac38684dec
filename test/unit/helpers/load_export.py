"""Loads what `inference.export` wrote, as somebody else would: with TensorFlow alone.

    python load_export.py PATH INPUTS.npz OUTPUTS.npz [PATH INPUTS.npz OUTPUTS.npz ...]

Each PATH is a frozen graph (.pb), a SavedModel (a folder) or the prefix of an exported checkpoint; the
arrays of INPUTS are fed to the nodes of their names; OUTPUTS takes the node `images` or `logits`.
"""

import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf


def load_frozen(path, session):
    graph_def = tf.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    tf.import_graph_def(graph_def, name="")
    return {node.name: node.name + ":0" for node in graph_def.node}


def load_saved_model(path, session):
    loaded = tf.saved_model.load(session, ["serve"], path)
    signature = loaded.signature_def["serving_default"]
    return {
        name: info.name
        for part in (signature.inputs, signature.outputs)
        for name, info in part.items()
    }


def load_checkpoint(path, session):
    tf.train.import_meta_graph(path + ".meta").restore(session, path)
    return {operation.name: operation.name + ":0" for operation in session.graph.get_operations()}


def run(path, inputs_path, outputs_path):
    load = (
        load_frozen
        if path.endswith(".pb")
        else load_saved_model
        if os.path.isdir(path)
        else load_checkpoint
    )
    with np.load(inputs_path) as inputs, tf.Session(graph=tf.Graph()) as session:
        with session.graph.as_default():
            names = load(path, session)
        (output,) = [name for name in ("images", "logits") if name in names and name not in inputs]
        values = session.run(names[output], {names[name]: inputs[name] for name in inputs})
    np.savez(outputs_path, **{output: values, "version": np.array(tf.__version__)})


if __name__ == "__main__":
    tf.disable_v2_behavior()
    for first in range(1, len(sys.argv), 3):
        run(*sys.argv[first : first + 3])
