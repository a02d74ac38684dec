"""A trained run as files that others load: frozen graphs, a SavedModel, ONNX, a plain checkpoint.

All are built of TensorFlow's own operations, with the moving averages, and (the exported checkpoint
aside) for any number of pictures at once. They load in TensorFlow 1.15 as in 2.x, whichever of them
wrote it. Nodes and signature keys: latents `z` [N, Z], one-hot labels `y` [N, K] if the run has
classes, pictures `images` [N, H, W, C] in the networks' value range, `logits` [N, 1].
"""

import importlib
import json
import os
import shutil
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import model
import utils
from inference.trained_run import find_run, restored_session
from options import UserError

FOLDER = "export"
SIGNATURE = "serving_default"
ONNX_OPSET = 13
ONNX_TOLERANCE = 1e-4  # of a pixel value; a mistake would show as 1e-1
CHECKED_PICTURES = 3


class Exported(NamedTuple):
    """One network built to be exported, in the default graph.

    Attributes:
        inputs: name -> placeholder, in the order of the network's arguments.
        outputs: name -> tensor.
    """

    inputs: dict
    outputs: dict


def export(config):
    """Writes what `--export_format` says of the run's generator below its folder.

    Returns:
        The paths written.

    Raises:
        UserError: there is no such run, a library is missing, nothing can be written.
    """
    run = find_run(config)
    formats = (
        ["checkpoint", "saved_model", "onnx"]
        if config.export_format == "all"
        else [config.export_format]
    )
    if config.export_format == "all" and not _has_onnx():
        utils.warn("ONNX left out: it needs pip install -r requirements-onnx.txt")
        formats.remove("onnx")
    write = {
        "checkpoint": _write_checkpoint,
        "saved_model": _write_saved_model,
        "onnx": _write_onnx,
    }
    return [_written(run, name, write[name]) for name in formats]


def freeze(config):
    """Freezes the generator, the discriminator or both into GraphDefs; returns the paths written."""
    run = find_run(config)
    networks = [
        ("generator", config.freeze, _freeze_generator),
        ("discriminator", config.freeze_discriminator, _freeze_discriminator),
    ]
    return [_written(run, name, write) for name, asked, write in networks if asked]


def _written(run, what, write):
    folder = os.path.join(run.config.run_dir, FOLDER)
    try:
        os.makedirs(folder, exist_ok=True)
        with tf.Graph().as_default():
            path = write(run, folder)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--out_dir: {what} not exported: {str(error).splitlines()[0]}")
    print(f"{what} of step {run.checkpoint.step}: {path}")
    return path


def _build_generator(run, batch_size=None):
    """The generator, for any number of pictures or for a fixed one."""
    sizes = model.sizes_of(run.config)
    networks = model.build_networks(run.config.architecture, sizes)
    inputs = {"z": tf.placeholder(tf.float32, [batch_size, sizes.z_dim], "z")}
    y = _labels(inputs, sizes, batch_size)
    images = networks.generator(inputs["z"], y, training=False)
    return Exported(inputs, {"images": tf.identity(images, "images")})


def _build_discriminator(run):
    sizes = model.sizes_of(run.config)
    networks = model.build_networks(run.config.architecture, sizes)
    images = tf.placeholder(tf.float32, [None, sizes.height, sizes.width, sizes.channels], "images")
    inputs = {"images": images}
    y = _labels(inputs, sizes)
    logits = networks.discriminator(images, y, training=False)
    return Exported(inputs, {"logits": tf.identity(logits, "logits")})


def _labels(inputs, sizes, batch_size=None):
    """The placeholder `y`, which is added to the inputs; None for a run without classes."""
    if sizes.num_classes == 0:
        return None
    inputs["y"] = tf.placeholder(tf.float32, [batch_size, sizes.num_classes], "y")
    return inputs["y"]


def _write_checkpoint(run, folder):
    """A checkpoint and a meta graph of the sampler for one batch size, as the reference exports it."""
    batch_size = run.config.export_batch_size or run.config.batch_size
    _build_generator(run, batch_size)
    prefix = os.path.join(folder, f"sampler-b{batch_size}")
    with restored_session(run) as session:
        saver = tf.train.Saver(tf.global_variables())
        saver.save(session, prefix, write_state=False, write_meta_graph=False)
        meta_graph = _stripped(session.graph, saver_def=saver.as_saver_def())
    with utils.atomic_path(prefix + ".meta") as partial:
        _write_message(partial, meta_graph)
    return prefix


def _write_saved_model(run, folder):
    """A SavedModel with the signature `serving_default`; its weights are constants."""
    network = _build_generator(run)
    signature = tf.saved_model.predict_signature_def(network.inputs, network.outputs)
    path = os.path.join(folder, "saved_model")
    with utils.staging_folder(folder) as staged:
        made = os.path.join(staged, "saved_model")
        builder = tf.saved_model.Builder(made)
        frozen = _frozen(run, network)
        with tf.Graph().as_default(), tf.Session(config=run.device.session_config) as session:
            tf.import_graph_def(frozen, name="")
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.tag_constants.SERVING],
                {SIGNATURE: signature},
                strip_default_attrs=True,
            )
            builder.save()
        shutil.rmtree(path, ignore_errors=True)
        os.replace(made, path)
    return path


def _freeze_generator(run, folder):
    return _write_frozen(run, folder, "generator", _build_generator(run))


def _freeze_discriminator(run, folder):
    return _write_frozen(run, folder, "discriminator", _build_discriminator(run))


def _write_frozen(run, folder, name, network):
    """NAME.pb, and NAME.json, which says what goes in and what comes out."""
    path = os.path.join(folder, name + ".pb")
    with utils.atomic_path(path) as partial:
        _write_message(partial, _frozen(run, network))
    lowest, highest = model.build_networks(
        run.config.architecture, model.sizes_of(run.config)
    ).value_range
    described = {
        "step": run.checkpoint.step,
        "value_range": [lowest, highest],
        "inputs": _shapes(network.inputs),
        "outputs": _shapes(network.outputs),
    }
    utils.write_text(os.path.join(folder, name + ".json"), json.dumps(described, indent=1) + "\n")
    return path


def _shapes(tensors):
    """name -> shape without the number of pictures."""
    return {name: tensor.shape.as_list()[1:] for name, tensor in tensors.items()}


def _frozen(run, network):
    """A GraphDef of the network with its weights as constants."""
    names = [tensor.op.name for tensor in network.outputs.values()]
    with restored_session(run) as session:
        frozen = tf.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), names
        )
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        return _stripped(graph).graph_def


def _stripped(graph, **options):
    """The graph as a MetaGraphDef without what one TensorFlow writes and another does not know."""
    meta_graph = tf.train.export_meta_graph(graph=graph, strip_default_attrs=True, **options)
    for node in meta_graph.graph_def.node:
        node.attr.pop("debug_name", None)
    return meta_graph


def _write_message(path, message):
    with open(path, "wb") as file:
        file.write(message.SerializeToString())


def _has_onnx():
    return all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime"))


def _write_onnx(run, folder):
    """An ONNX model, compared with the generator in onnxruntime before it gets its name."""
    try:
        converter = importlib.import_module("tf2onnx")
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UserError(f"--export_format: onnx: {error}: pip install -r requirements-onnx.txt")
    network = _build_generator(run)
    frozen = _frozen(run, network)
    made, _ = converter.convert.from_graph_def(
        frozen,
        input_names=[name + ":0" for name in network.inputs],
        output_names=[name + ":0" for name in network.outputs],
        opset=ONNX_OPSET,
    )
    _rename(
        made.graph, {name + ":0": name for name in list(network.inputs) + list(network.outputs)}
    )
    path = os.path.join(folder, "generator.onnx")
    with utils.atomic_path(path) as partial:
        _write_message(partial, made)
        session = runtime.InferenceSession(partial, providers=["CPUExecutionProvider"])
        _compare(run, network, session)
    return path


def _rename(graph, names):
    """Gives values of an ONNX graph other names, wherever they stand."""
    for value in list(graph.input) + list(graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _compare(run, network, runtime_session):
    """Raises `UserError` if onnxruntime's pictures are not the generator's."""
    random = np.random.RandomState(0)
    values = {
        name: random.uniform(0, 1, [CHECKED_PICTURES] + tensor.shape.as_list()[1:]).astype(
            np.float32
        )
        for name, tensor in network.inputs.items()
    }
    (found,) = runtime_session.run(["images"], values)
    with restored_session(run) as session:
        expected = session.run(
            network.outputs["images"],
            {network.inputs[name]: value for name, value in values.items()},
        )
    difference = float(np.abs(found - expected).max())
    if not difference <= ONNX_TOLERANCE:
        raise UserError(f"--export_format: onnx: the converted model is {difference:.2g} off")
