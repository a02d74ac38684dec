"""Exports of a trained run: frozen graphs, a SavedModel, ONNX, a plain checkpoint.

All are built of TensorFlow's own operations and use the moving averages. All but the exported
checkpoint take any number of images at once. They load in TensorFlow 1.15 and in 2.x, whichever of
them wrote them. Nodes and signature keys: latents `z` [N, Z], one-hot labels `y` [N, K] if the run
has classes, images `images` [N, H, W, C] in the networks' value range, `logits` [N, 1].
"""

import importlib.util
import json
import os
import shutil
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf

import utils
from config import Config
from inference.trained_run import TrainedRun, open_run
from options import UserError
from system.interpreter import install_command

FOLDER = "export"
SIGNATURE = "serving_default"
ONNX_OPSET = 13
ONNX_TOLERANCE = 1e-4  # of a value in an image; a wrong weight would give 1e-1
CHECKED_IMAGES = 3


class Exported(NamedTuple):
    """One network built to be exported, in the default graph.

    Attributes:
        inputs: name -> placeholder, in the order of the network's arguments.
        outputs: name -> tensor.
    """

    inputs: Dict[str, tf.Tensor]
    outputs: Dict[str, tf.Tensor]


def export(config: Config) -> List[str]:
    """Writes what `--export_format` says of the run's generator into the run's folder.

    Returns:
        The paths written.

    Raises:
        UserError: there is no such run, a library is missing, nothing can be written.
    """
    writers = {
        "checkpoint": _write_checkpoint,
        "saved_model": _write_saved_model,
        "onnx": _write_onnx,
    }
    formats = [config.export_format]
    if config.export_format == "all":
        formats = list(writers)
        if not _has_onnx():
            utils.warn("ONNX left out; for it: " + install_command("-r requirements-onnx.txt"))
            formats.remove("onnx")
    with open_run(config) as run:
        _warn_of_statistics(run)
        return [_written(run, name, writers[name]) for name in formats]


def freeze(config: Config) -> List[str]:
    """Freezes the generator, the discriminator or both; returns the paths of the GraphDefs."""
    networks = [
        ("generator", config.freeze, _freeze_generator),
        ("discriminator", config.freeze_discriminator, _freeze_discriminator),
    ]
    with open_run(config) as run:
        _warn_of_statistics(run)
        return [_written(run, name, write) for name, asked, write in networks if asked]


def _warn_of_statistics(run: TrainedRun) -> None:
    """Warns where the run's own images are drawn with other statistics of batch norm."""
    if run.config.batch_norm != "moving":
        utils.warn(
            f"exports hold the moving averages of batch norm; --batch_norm={run.config.batch_norm}, "
            "with which this run draws, has no effect on them"
        )


def _written(run: TrainedRun, what: str, write: Callable[[TrainedRun, str], str]) -> str:
    folder = os.path.join(run.config.run_dir, FOLDER)
    try:
        os.makedirs(folder, exist_ok=True)
        with tf.Graph().as_default():
            path = write(run, folder)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--out_dir: {what} not exported: {str(error).splitlines()[0]}")
    utils.say(f"{what} of step {run.checkpoint.step}: {path}")
    return path


def _build_generator(run: TrainedRun, batch_size: Optional[int] = None) -> Exported:
    """The generator, for any number of images or for a fixed one."""
    inputs = {"z": tf.placeholder(tf.float32, [batch_size, run.sizes.z_dim], "z")}
    y = _add_labels(inputs, run.label_placeholder(batch_size))
    images = run.build_networks().generator(inputs["z"], y, training=False)
    return Exported(inputs, {"images": tf.identity(images, "images")})


def _build_discriminator(run: TrainedRun) -> Exported:
    shape = [None, run.sizes.height, run.sizes.width, run.sizes.channels]
    inputs = {"images": tf.placeholder(tf.float32, shape, "images")}
    y = _add_labels(inputs, run.label_placeholder())
    logits = run.build_networks().discriminator(inputs["images"], y, training=False)
    return Exported(inputs, {"logits": tf.identity(logits, "logits")})


def _add_labels(inputs: Dict[str, tf.Tensor], y: Optional[tf.Tensor]) -> Optional[tf.Tensor]:
    if y is not None:
        inputs["y"] = y
    return y


def _write_checkpoint(run: TrainedRun, folder: str) -> str:
    """A checkpoint and a meta graph of the sampler for one batch size, like the reference's."""
    batch_size = run.config.export_batch_size or run.config.batch_size
    _build_generator(run, batch_size)
    prefix = os.path.join(folder, f"sampler-b{batch_size}")
    with run.restored_session() as session:
        saver = tf.train.Saver(tf.global_variables())
        saver.save(session, prefix, write_state=False, write_meta_graph=False)
        meta_graph = _stripped(session.graph, saver_def=saver.as_saver_def())
    with utils.atomic_path(prefix + ".meta") as partial:
        _write_message(partial, meta_graph)
    return prefix


def _write_saved_model(run: TrainedRun, folder: str) -> str:
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


def _freeze_generator(run: TrainedRun, folder: str) -> str:
    return _write_frozen(run, os.path.join(folder, "generator"), _build_generator(run))


def _freeze_discriminator(run: TrainedRun, folder: str) -> str:
    return _write_frozen(run, os.path.join(folder, "discriminator"), _build_discriminator(run))


def _write_frozen(run: TrainedRun, base: str, network: Exported) -> str:
    """BASE.pb, and BASE.json with the names and shapes of its inputs and outputs."""
    with utils.atomic_path(base + ".pb") as partial:
        _write_message(partial, _frozen(run, network))
    lowest, highest = run.build_networks().value_range
    described = {
        "step": run.checkpoint.step,
        "value_range": [lowest, highest],
        "inputs": _shapes(network.inputs),
        "outputs": _shapes(network.outputs),
    }
    utils.write_text(base + ".json", json.dumps(described, indent=1) + "\n")
    return base + ".pb"


def _shapes(tensors: Dict[str, tf.Tensor]) -> Dict[str, List[int]]:
    """name -> shape without the number of images."""
    return {name: tensor.shape.as_list()[1:] for name, tensor in tensors.items()}


def _frozen(run: TrainedRun, network: Exported) -> tf.GraphDef:
    """A GraphDef of the network with its weights as constants."""
    names = [tensor.op.name for tensor in network.outputs.values()]
    with run.restored_session() as session:
        frozen = tf.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), names
        )
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        return _stripped(graph).graph_def


def _stripped(graph: tf.Graph, **options: Any) -> tf.MetaGraphDef:
    """The graph as a MetaGraphDef, without attributes that only some TensorFlow versions know."""
    meta_graph = tf.train.export_meta_graph(graph=graph, strip_default_attrs=True, **options)
    for node in meta_graph.graph_def.node:
        node.attr.pop("debug_name", None)
    return meta_graph


def _write_message(path: str, message: Any) -> None:
    with open(path, "wb") as file:
        file.write(message.SerializeToString())


def _has_onnx() -> bool:
    return all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime"))


def _write_onnx(run: TrainedRun, folder: str) -> str:
    """An ONNX model; it is kept only if onnxruntime draws the generator's images from it."""
    try:
        converter = importlib.import_module("tf2onnx")
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        command = install_command("-r requirements-onnx.txt")
        raise UserError(f"--export_format: onnx: {error}: {command}")
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


def _rename(graph: Any, names: Dict[str, str]) -> None:
    """Renames values of an ONNX graph wherever they occur."""
    for value in list(graph.input) + list(graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _compare(run: TrainedRun, network: Exported, runtime_session: Any) -> None:
    """Raises `UserError` if onnxruntime's images are not the generator's."""
    random = np.random.RandomState(0)
    values = {
        name: random.uniform(0, 1, [CHECKED_IMAGES] + shape).astype(np.float32)
        for name, shape in _shapes(network.inputs).items()
    }
    (found,) = runtime_session.run(["images"], values)
    with run.restored_session() as session:
        expected = session.run(
            network.outputs["images"],
            {network.inputs[name]: value for name, value in values.items()},
        )
    difference = float(np.abs(found - expected).max())
    if not difference <= ONNX_TOLERANCE:
        raise UserError(f"--export_format: onnx: the converted model is {difference:.2g} off")
