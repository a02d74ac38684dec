"""What a run needs to resume as if it had never stopped: saved, verified, found and restored.

A checkpoint is three files: TensorFlow's `DCGAN.model-STEP.data-00000-of-00001` and `.index`, and
a manifest `DCGAN.model-STEP.json` with their sizes and SHA-256 sums, the step and the run's state.
The index gets its name last: a checkpoint that lacks it or the manifest is incomplete and not used.
"""

import glob
import hashlib
import json
import os
import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional

import tensorflow.compat.v1 as tf

import utils
from system.plain_prefix import plain_prefix
from system.regular_file import fingerprint, read_text

PREFIX = "DCGAN.model"
MIN_KEPT = 2  # however few the user wants to keep: if the newest is damaged, there is one more
_PARTS = _INDEX, _DATA = (".index", ".data-00000-of-00001")
STATISTICS = ".batch_norm.npz"  # ends the file that `inference.batch_norm` puts beside a checkpoint


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
    state: Dict[str, Any]


class Damaged(Exception):
    """A checkpoint's files are not those that were written. The message names the file."""


class Saver:
    """Saves and restores a list of variables.

    TensorFlow's savers do the reading and writing; which checkpoints to keep is decided here.

    Attributes:
        variables: all of them, a tuple.
    """

    def __init__(self, variables: Iterable[tf.Variable], *, optional: Iterable[tf.Variable] = ()):
        """Adds the ops that save and restore to the default graph.

        Args:
            variables: what is saved and restored.
            optional: those among them that a checkpoint may lack (another device's run has none).
        """
        self.variables = tuple(variables)
        names = {variable.op.name for variable in optional}
        required = [v for v in self.variables if v.op.name not in names]
        self._all = tf.train.Saver(self.variables, max_to_keep=None, save_relative_paths=True)
        self._required = tf.train.Saver(required)
        self._optional = {variable.op.name: tf.train.Saver([variable]) for variable in optional}

    def save(
        self,
        session: tf.Session,
        folder: str,
        *,
        step: int,
        state: Dict[str, Any],
        max_to_keep: int,
    ) -> Checkpoint:
        """Writes a checkpoint, then deletes all but the newest `max_to_keep` (at least two).

        Args:
            state: a JSON object, found again as `Checkpoint.state`. If its `interim` is true, the
                checkpoint is kept only while it is one of the newest two.

        Raises:
            OSError: it could not be written; earlier checkpoints are untouched.
        """
        os.makedirs(folder, exist_ok=True)
        prefix = os.path.join(folder, f"{PREFIX}-{step}")
        with utils.staging_folder(folder) as staged:
            made = os.path.join(staged, PREFIX)
            try:
                self._all.save(session, made, write_meta_graph=False, write_state=False)
            except tf.errors.OpError as error:
                raise OSError(f"{folder}: {error.message.splitlines()[0]}")
            files = {part: fingerprint(made + part) for part in _PARTS}
            _write_manifest(made, {"step": step, "files": files, "state": state})
            for part in _PARTS:
                utils.flush_to_disk(made + part)
            _remove(prefix + ".json")  # a manifest must never be beside another checkpoint's files
            for part in (_DATA, ".json"):
                os.replace(made + part, prefix + part)
            utils.flush_to_disk(folder)
            os.replace(made + _INDEX, prefix + _INDEX)  # last: without it there is no checkpoint
        utils.flush_to_disk(folder)
        _point_to(folder, prefix)
        _delete_old(folder, step, max(max_to_keep, MIN_KEPT))
        return Checkpoint(prefix, step, state)

    def restore(self, session: tf.Session, checkpoint: Checkpoint) -> None:
        """Loads the variables; an optional one that the checkpoint lacks keeps its value.

        Raises:
            Damaged: a required variable is missing or has another shape, or TensorFlow's own
                checksum does not match.
        """
        try:
            with plain_prefix(checkpoint.prefix) as prefix:
                shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
                self._check_shapes(shapes)
                self._required.restore(session, prefix)
                for name in set(shapes).intersection(self._optional):
                    self._optional[name].restore(session, prefix)
        except tf.errors.InternalError:  # the device's, not the checkpoint's
            raise
        except (tf.errors.OpError, OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise Damaged(f"{checkpoint.prefix}: does not fit: {reason}")

    def restore_newest(
        self, session: tf.Session, folder: str, *, warn: Callable[[str], None]
    ) -> Optional[Checkpoint]:
        """Loads the newest checkpoint that is sound and fits the variables.

        Args:
            warn: called with one line for each checkpoint that is skipped.

        Returns:
            The `Checkpoint`, or None if there is no checkpoint in the folder.

        Raises:
            Damaged: there are checkpoints, but none can be used.
        """
        for path in without_manifest(folder):
            warn(f"{path}: incomplete or of another program: skipped")
        for checkpoint in sound(folder, warn=warn):
            try:
                self.restore(session, checkpoint)
                return checkpoint
            except Damaged as damage:
                warn(f"{damage}: skipped")
        pattern = os.path.join(glob.escape(folder), PREFIX + "-*")  # one without index: first save
        if glob.glob(pattern + _INDEX) or len(glob.glob(pattern + ".json")) > 1:
            raise Damaged(f"{folder}: holds checkpoints, none of which can be used")
        return None

    def _check_shapes(self, shapes):
        """TensorFlow does not: a resource variable takes a value of any shape."""
        for variable in self.variables:
            name, shape = variable.op.name, variable.shape.as_list()
            if name not in shapes and name in self._optional:
                continue
            if shapes.get(name) != shape:
                raise ValueError(f"{name} is {shapes.get(name)} there, {shape} here")


def kept(folder: str, *, warn: Optional[Callable[[str], None]] = None) -> List[Checkpoint]:
    """The checkpoints of a folder that have a sound manifest, newest first.

    The files that the manifests describe are not read.

    Args:
        warn: called with one line for each manifest that is skipped.
    """
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), PREFIX + "-*.json"))):
        prefix = path[: -len(".json")]
        try:
            manifest = _read_manifest(prefix)
            found.append(Checkpoint(prefix, manifest["step"], manifest["state"]))
        except Damaged as damage:
            if warn:
                warn(f"{damage}: skipped")
    return sorted(found, key=lambda checkpoint: -checkpoint.step)


def sound(folder: str, *, warn: Callable[[str], None]) -> Iterator[Checkpoint]:
    """Yields the checkpoints of a folder whose files are those that were written, newest first.

    Args:
        warn: called with one line for each damaged checkpoint that is skipped.
    """
    for checkpoint in kept(folder, warn=warn):
        try:
            verify(checkpoint)
        except Damaged as damage:
            warn(f"{damage}: skipped")
        else:
            yield checkpoint


def newest(folder: str, *, warn: Callable[[str], None]) -> Optional[Checkpoint]:
    """The newest sound checkpoint of a folder, or None.

    Args:
        warn: called with one line for each damaged checkpoint that is skipped.
    """
    return next(sound(folder, warn=warn), None)


def newest_foreign(folder: str) -> Optional[Checkpoint]:
    """The newest checkpoint that another program (the reference) left in a folder, or None."""
    found = [Checkpoint(path, _step_of(path), {}) for path in without_manifest(folder)]
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


def without_manifest(folder: str) -> List[str]:
    """Prefixes of the TensorFlow checkpoints that are incomplete or of another program."""
    indexes = glob.glob(os.path.join(glob.escape(folder), "*.index"))
    prefixes = [path[: -len(".index")] for path in sorted(indexes)]
    return [prefix for prefix in prefixes if not os.path.exists(prefix + ".json")]


def verify(checkpoint: Checkpoint) -> None:
    """Compares a checkpoint's files with the sizes and sums in its manifest.

    Raises:
        Damaged: naming the first file that differs.
    """
    for part, description in _read_manifest(checkpoint.prefix)["files"].items():
        path = checkpoint.prefix + part
        try:
            found = fingerprint(path)
        except OSError as error:
            raise Damaged(f"{path}: {error.strerror}")
        if found != description:
            raise Damaged(f"{path}: not what was written (size or checksum differs)")


def _write_manifest(prefix, content):
    manifest = {"content": content, "sha256": _digest(content)}
    utils.write_text(prefix + ".json", json.dumps(manifest, indent=1) + "\n")


def _read_manifest(prefix):
    """The manifest's content, once its own checksum matches."""
    path = prefix + ".json"
    try:
        manifest = json.loads(read_text(path))
        content, digest = manifest["content"], manifest["sha256"]
        os.stat(prefix + _INDEX)  # missing while a save goes on, and after one that was killed
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path}: unreadable ({error})")
    if digest != _digest(content):
        raise Damaged(f"{path}: not what was written (checksum differs)")
    if not _is_manifest(content):
        raise Damaged(f"{path}: not a checkpoint's manifest")
    if os.path.basename(prefix) != "{}-{}".format(PREFIX, content["step"]):
        raise Damaged("{}: is the manifest of step {}".format(path, content["step"]))
    return content


def _is_manifest(content):
    """Whether it has what a manifest must have; its checksum tells of accidents alone."""
    return (
        isinstance(content, dict)
        and (type(content.get("step")) is int and 0 <= content["step"] < 1 << 62)
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
    text = f"model_checkpoint_path: {name}\nall_model_checkpoint_paths: {name}\n"
    utils.write_text(os.path.join(folder, "checkpoint"), text)


def _delete_old(folder, step, keep):
    """Deletes all but the newest `keep` up to `step`; later ones are damaged and do not count."""
    found = [each for each in kept(folder) if each.step <= step]
    staying = found[:MIN_KEPT] + [each for each in found if not each.state.get("interim")][:keep]
    for checkpoint in [each for each in found if each not in staying]:
        for part in (".json", *_PARTS, STATISTICS):  # the manifest first: none without files
            _remove(checkpoint.prefix + part)


def _remove(path):
    if os.path.exists(path):
        os.remove(path)
