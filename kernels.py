"""Which products the layers have on this machine: `--kernels`.

On TensorFlow 1.x a CPU has `winograd`, the fastest that was met. On 2.x it depends on the processor
and on whether TensorFlow computes with oneDNN. So `auto` measures the layers of the pair once, files
what it found in the user's cache folder and then always takes the same: two runs of one seed on one
machine are equal bit for bit. The choice is filed with the run too, which goes on with what it began
with.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from typing import Dict, NamedTuple, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

import ops_cpu
import ops_onednn
import ops_winograd
import utils
from config import OPTIONS, Config
from options import DeviceError
from system.memory import keep_freed_memory
from system.regular_file import read_text

PRODUCTS: Dict[str, ops_cpu.NativeProducts] = {
    "native": ops_cpu.NATIVE,
    "cpu": ops_cpu.CPU,
    "winograd": ops_winograd.WINOGRAD,
    "onednn": ops_onednn.ONEDNN,
}
PROCESSOR = "/proc/cpuinfo"
ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
# Images in what is measured. The gradients to the weights have the batch as channels, so a much
# smaller one would say little of theirs.
BATCH = 32


class _Layer(NamedTuple):
    """A layer of stride 2 between a big image [N, side, side, big] and a small one."""

    side: int
    big: int
    small: int
    classes: int = 0


# Of each pair's convolutions, at the reference's sizes, those that differ most from each other.
LAYERS: Dict[str, Tuple[_Layer, ...]] = {
    "mnist": (_Layer(28, 1, 128, 10), _Layer(14, 11, 74, 10), _Layer(14, 128, 128, 10)),
    "image": (_Layer(64, 3, 64), _Layer(16, 128, 256)),
}


def products_of(config: Config, *, native: bool) -> ops_cpu.NativeProducts:
    """The products that `config.kernels` names.

    `auto` measures nothing here: `choose` did before a training, and drawing takes what is probably
    fastest.

    Args:
        config: `Config`.
        native: see `devices.base.Device.native_kernels`.
    """
    if native:
        return ops_cpu.NATIVE
    return PRODUCTS[_likely() if config.kernels == "auto" else config.kernels]


def choose(config: Config, *, native: bool) -> Config:
    """The config of a training with `auto` replaced by the fastest on this machine.

    Args:
        config: with its architecture filled in.
        native: see `devices.base.Device.native_kernels`; then there is no choice.
    """
    if native or config.kernels != "auto":
        return config
    if tf.__version__.startswith("1."):
        return config.replace(kernels=_likely())
    assert config.architecture is not None, "the data set was not opened"
    path = _path(config.architecture)
    fastest = _read(path)
    if not fastest:
        utils.say("kernels: measuring which are fastest here, once")
        seconds = _measured_apart(config.architecture)
        fastest = _filed(path, min(seconds, key=lambda name: seconds[name]))
    utils.say(f"kernels: {fastest}, measured on this machine (--kernels sets others)")
    return config.replace(kernels=fastest)


def _likely() -> str:
    """The name of what is probably fastest, with nothing measured."""
    return "winograd" if tf.__version__.startswith("1.") else "onednn"


def _processor() -> str:
    """What the system says of the first processor, but for its present clock; empty if unknown."""
    try:
        with open(PROCESSOR, encoding="utf-8") as file:
            first = file.read().split("\n\n")[0]
    except OSError:
        return ""
    kept = ("vendor_id", "cpu family", "model", "stepping", "cache size", "flags")
    return "\n".join(line for line in first.splitlines() if line.split("\t")[0].strip() in kept)


def _path(architecture: str) -> str:
    """The file of what was measured for a pair on such a machine with this TensorFlow."""
    machine = [
        platform.machine(), _processor(), str(os.cpu_count()), tf.__version__,
        os.environ.get(ONEDNN_VARIABLE, ""), architecture, str(sorted(PRODUCTS)),
    ]  # fmt: skip
    key = hashlib.sha256("\n".join(machine).encode()).hexdigest()[:32]
    return os.path.join(utils.user_cache_dir(), "kernels", key + ".json")


def _read(path: str) -> str:
    """The name that is filed; empty if there is none."""
    try:
        saved = json.loads(read_text(path))
        return OPTIONS["kernels"].from_json(saved["fastest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _filed(path: str, fastest: str) -> str:
    """Files a name and returns the one that counts: of several processes the first one's."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        own = f"{path}.{os.getpid()}"
        utils.write_text(own, json.dumps({"fastest": fastest}) + "\n")
        try:
            os.link(own, path)
        except FileExistsError:
            fastest = _read(path) or fastest
        finally:
            os.remove(own)
    except OSError as error:
        utils.warn(f"kernels: what was measured is not saved and will be measured again: {error}")
    return fastest


def _measured_apart(architecture: str) -> Dict[str, float]:
    """The seconds of each products, measured in a process of its own.

    A process has one pool of threads, as large as its first session asked for: measured here, the
    training would have one thread.

    Raises:
        DeviceError: TensorFlow cannot compute in that process.
    """
    root = os.path.dirname(os.path.abspath(__file__))
    program = (
        f"import sys; sys.path.insert(0, {root!r}); import kernels; "
        f"kernels.print_seconds({architecture!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True
    )  # not in the user's folder, whose json.py would be imported
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(f"--kernels: measuring them failed ({last}); give --kernels=native")
    return json.loads(done.stdout.splitlines()[-1])


def print_seconds(architecture: str) -> None:
    """Prints the seconds of each products for the layers of a pair, as JSON: name -> seconds."""
    keep_freed_memory()  # as a CPU that trains does
    seconds = {name: _measured(each, architecture) for name, each in PRODUCTS.items()}
    print(json.dumps(seconds))


def _measured(products: ops_cpu.NativeProducts, architecture: str) -> float:
    """The seconds that a pair's layers take with their gradients.

    It is the processor time of a single thread: other programs on the machine do not count.
    """
    options = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    options.device_count["GPU"] = 0
    with tf.Graph().as_default(), tf.Session(config=options) as session:
        feed: Dict[tf.Tensor, np.ndarray] = {}
        results = [_results(products, layer, feed) for layer in LAYERS[architecture]]
        # A result that nothing reads would not be computed.
        read = [tf.reduce_max(each) for of_layer in results for each in of_layer]
        session.run(read, feed)  # the first run prepares what later ones reuse
        started = time.process_time()
        session.run(read, feed)
        return time.process_time() - started


def _results(products, layer, feed):
    """A convolution, a transposed one and their gradients; what they are fed joins `feed`."""

    def given(*shape):
        tensor = tf.placeholder(tf.float32, shape)
        feed[tensor] = np.random.RandomState(len(feed)).uniform(-1, 1, shape).astype(np.float32)
        return tensor

    half = layer.side // 2
    big = given(BATCH, layer.side, layer.side, layer.big)
    small = given(BATCH, half, half, layer.small)
    labels = given(BATCH, layer.classes) if layer.classes else None
    w = given(5, 5, layer.big + layer.classes, layer.small)
    y = products.conv(big, w, labels=labels)
    w_back = given(5, 5, layer.big, layer.small + layer.classes)
    y_back = products.deconv(small, w_back, (layer.side, layer.side), labels=labels)
    return [y, y_back] + tf.gradients([y, y_back], [big, w, small, w_back], [small, big])
