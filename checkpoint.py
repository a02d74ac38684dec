"""What a run needs to go on as if it had never stopped, and finding it again after anything.

A checkpoint is three files: TensorFlow's `DCGAN.model-STEP.data-00000-of-00001` and `.index`, and a
manifest `DCGAN.model-STEP.json` with their sizes and SHA-256 sums, the step and the run's state. The
manifest is written last and atomically, so a checkpoint is there as a whole or not at all.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from typing import NamedTuple

import tensorflow.compat.v1 as tf

import utils

PREFIX = "DCGAN.model"
# However few the user wants to keep: if the newest turns out to be damaged, one more is there.
LEAST_KEPT = 2
_WORKSHOP = ".saving-"
_PARTS = (".index", ".data-00000-of-00001")


class Checkpoint(NamedTuple):
    """A saved state.

    Attributes:
        prefix: what TensorFlow's Saver takes as the checkpoint's path.
        step: training steps done.
        state: the run's state beside its variables, a JSON object; empty for a checkpoint that
            another program wrote.
    """

    prefix: str
    step: int
    state: dict


class Damaged(Exception):
    """A checkpoint's files are not those that were written; the text names the file."""


class Saver(NamedTuple):
    """TensorFlow's Savers and the variables that they save.

    Attributes:
        variables: all of them.
        saver: saves them all.
        required: restores those that every checkpoint must hold.
        optional: name -> what restores a variable that a checkpoint may lack.
    """

    variables: tuple
    saver: tf.train.Saver
    required: tf.train.Saver
    optional: dict


def make_saver(variables, *, optional=()):
    """A `Saver` for a list of variables; what to delete is left to this module.

    Args:
        optional: those among them that a checkpoint may lack (another device's run has none).
    """
    names = {variable.op.name for variable in optional}
    return Saver(
        tuple(variables),
        tf.train.Saver(variables, max_to_keep=None, save_relative_paths=True),
        tf.train.Saver([v for v in variables if v.op.name not in names]),
        {variable.op.name: tf.train.Saver([variable]) for variable in optional},
    )


def save(session, saver, folder, *, step, state, max_to_keep):
    """Writes a checkpoint, then deletes all but the newest `max_to_keep` (at least two).

    Args:
        state: a JSON object that `newest` hands back.

    Returns:
        The `Checkpoint`.

    Raises:
        OSError: it could not be written; earlier checkpoints are untouched.
    """
    os.makedirs(folder, exist_ok=True)
    workshop = tempfile.mkdtemp(prefix=_WORKSHOP, dir=folder)
    try:
        made = os.path.join(workshop, PREFIX)
        try:
            saver.saver.save(session, made, write_meta_graph=False, write_state=False)
        except tf.errors.OpError as error:
            raise OSError(f"{folder}: {error.message.splitlines()[0]}")
        prefix = os.path.join(folder, f"{PREFIX}-{step}")
        files = {part: _described(made + part) for part in _PARTS}
        _remove(prefix + ".json")  # a manifest must never stand beside another's files
        for part in _PARTS:
            os.replace(made + part, prefix + part)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    _write_manifest(prefix, {"step": step, "files": files, "state": state})
    _point_to(folder, prefix)
    _delete_old(folder, step, max(max_to_keep, LEAST_KEPT))
    return Checkpoint(prefix, step, state)


def kept(folder, *, warn=None):
    """The checkpoints of a folder that have a sound manifest, newest first; no other file is read.

    Args:
        warn: called with one line for each manifest that is passed over.
    """
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), PREFIX + "-*.json"))):
        prefix = path[: -len(".json")]
        try:
            manifest = _read_manifest(prefix)
            found.append(Checkpoint(prefix, manifest["step"], manifest["state"]))
        except Damaged as damage:
            if warn:
                warn(f"{damage}: passed over")
    return sorted(found, key=lambda checkpoint: -checkpoint.step)


def newest(folder, *, warn):
    """The newest sound checkpoint of a folder, or None.

    Args:
        warn: called with one line for each damaged checkpoint that is passed over.
    """
    return next(_sound(folder, warn), None)


def restore_newest(session, saver, folder, *, warn):
    """Loads the newest checkpoint that is sound and fits the saver's variables.

    Args:
        warn: called with one line for each checkpoint that is passed over.

    Returns:
        The `Checkpoint`, or None if the folder holds nothing that looks like one.

    Raises:
        Damaged: there are checkpoints, but none can be used.
    """
    for path in without_manifest(folder):
        warn(f"{path}: incomplete or of another program, passed over")
    for checkpoint in _sound(folder, warn):
        try:
            restore(session, saver, checkpoint)
            return checkpoint
        except Damaged as damage:
            warn(f"{damage}: passed over")
    if glob.glob(os.path.join(glob.escape(folder), PREFIX + "-*")):
        raise Damaged(f"{folder}: holds checkpoints, none of which can be used")
    return None


def newest_foreign(folder):
    """The newest checkpoint that another program (the reference) left in a folder, or None."""
    found = [Checkpoint(path, _step_of(path), {}) for path in without_manifest(folder)]
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


def verify(checkpoint):
    """Compares a checkpoint's files with the sizes and sums in its manifest.

    Raises:
        Damaged: naming the first file that differs.
    """
    for part, description in _read_manifest(checkpoint.prefix)["files"].items():
        path = checkpoint.prefix + part
        try:
            found = _described(path)
        except OSError as error:
            raise Damaged(f"{path}: {error.strerror}")
        if found != description:
            raise Damaged(f"{path}: not what was written (size or checksum differs)")


def restore(session, saver, checkpoint):
    """Loads the saver's variables; an optional one that is not there keeps its value.

    Raises:
        Damaged: a required variable is missing, has another shape, or TensorFlow's own checksum fails.
    """
    try:
        shapes = tf.train.load_checkpoint(checkpoint.prefix).get_variable_to_shape_map()
        _check_shapes(
            [
                variable
                for variable in saver.variables
                if variable.op.name in shapes or variable.op.name not in saver.optional
            ],
            shapes,
        )
        saver.required.restore(session, checkpoint.prefix)
        for name in set(shapes).intersection(saver.optional):
            saver.optional[name].restore(session, checkpoint.prefix)
    except (tf.errors.OpError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise Damaged(f"{checkpoint.prefix}: does not fit: {reason}")


def _check_shapes(variables, shapes):
    """A resource variable would take a value of any shape."""
    for variable in variables:
        name, shape = variable.op.name, variable.shape.as_list()
        if shapes.get(name) != shape:
            raise ValueError(f"{name} is {shapes.get(name)} there, {shape} here")


def without_manifest(folder):
    """Prefixes of TensorFlow checkpoints that are half written, or that another program wrote."""
    indexes = glob.glob(os.path.join(glob.escape(folder), "*.index"))
    return sorted(
        path[: -len(".index")]
        for path in indexes
        if not os.path.exists(path[: -len(".index")] + ".json")
    )


def clear_leftovers(folder):
    """Removes what a process that was killed while saving left behind.

    Only the process that holds the run's lock may call this.
    """
    for path in glob.glob(os.path.join(glob.escape(folder), _WORKSHOP + "*")):
        shutil.rmtree(path, ignore_errors=True)


def _sound(folder, warn):
    for checkpoint in kept(folder, warn=warn):
        try:
            verify(checkpoint)
            yield checkpoint
        except Damaged as damage:
            warn(f"{damage}: passed over")


def _write_manifest(prefix, content):
    manifest = {"content": content, "sha256": _digest(content)}
    utils.write_text(prefix + ".json", json.dumps(manifest, indent=1) + "\n")


def _read_manifest(prefix):
    """The manifest's content, whose own checksum is verified."""
    path = prefix + ".json"
    try:
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        content, digest = manifest["content"], manifest["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path}: unreadable ({error})")
    if digest != _digest(content):
        raise Damaged(f"{path}: not what was written (checksum differs)")
    if not _is_manifest(content):
        raise Damaged(f"{path}: not a checkpoint's manifest")
    if prefix != os.path.join(os.path.dirname(prefix), "{}-{}".format(PREFIX, content["step"])):
        raise Damaged("{}: is the manifest of step {}".format(path, content["step"]))
    return content


def _is_manifest(content):
    """Whether it has what a manifest must have; its sum tells of accidents alone."""
    return (
        isinstance(content, dict)
        and type(content.get("step")) is int
        and isinstance(content.get("state"), dict)
        and isinstance(content.get("files"), dict)
        and sorted(content["files"]) == sorted(_PARTS)
    )


def _digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _step_of(prefix):
    match = re.search(r"-(\d+)$", prefix)
    return int(match.group(1)) if match else 0


def _point_to(folder, prefix):
    """Names the newest checkpoint where `tf.train.latest_checkpoint` looks for it."""
    name = json.dumps(os.path.basename(prefix))
    utils.write_text(
        os.path.join(folder, "checkpoint"),
        f"model_checkpoint_path: {name}\nall_model_checkpoint_paths: {name}\n",
    )


def _delete_old(folder, step, keep):
    """Deletes all but the newest `keep` up to `step`; later ones are damaged and count for nothing."""
    for checkpoint in [each for each in kept(folder) if each.step <= step][keep:]:
        for part in (".json",) + _PARTS:  # the manifest first: never a manifest without files
            _remove(checkpoint.prefix + part)


def _remove(path):
    if os.path.exists(path):
        os.remove(path)


def _described(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return {"bytes": os.path.getsize(path), "sha256": digest.hexdigest()}
