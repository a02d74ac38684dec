"""The Ascend NPU: the only importer of `npu_bridge`, CANN's adapter for TensorFlow 1.15.

All releases of the adapter report the same version, so each function here probes for the names it
needs. Written for r1.3 (early 2021) to r1.15 (late 2023).
"""

import contextlib
import importlib
import inspect
import sys
from types import ModuleType
from typing import Any, Callable, Iterable, Iterator, Optional, Tuple

import tensorflow.compat.v1 as tf

from devices import loss_scale
from options import DeviceError

OPTIMIZER = "NpuOptimizer"
_NPU_INIT = "npu_bridge.npu_init"
# The device loops a node of exactly this name only.
LOOPED_NODE = "IterationOp"
_CONFIGURATIONS = ("NPURunConfig", "DumpConfig", "MemoryConfig")  # the last one is newer


def load() -> ModuleType:
    """The adapter's `npu_init` module, imported at the first call.

    The import has side effects: from r1.9 on, every session of the process gets an `NpuOptimizer`
    unless its config holds one.

    Raises:
        ImportError: the adapter is missing or CANN is broken; the text says which.
    """
    try:
        return importlib.import_module(_NPU_INIT)
    except (OSError, tf.errors.OpError) as error:  # a shared library that cannot be loaded
        raise ImportError(str(error))


def knows(option: str) -> bool:
    """Whether this release has a session option; it silently ignores one that it does not know.

    `NPURunConfig` and the configurations that it takes have the same options by name, so their
    signatures answer. (`modify_mixlist` came with r1.5; `auto_tune_mode` was replaced by `aoe_mode`.)
    """
    if option == "jit_compile":  # a Boolean before r1.13, text since, which is what is sent here
        option = "precision_mode_v2"
    classes = [getattr(load(), name, None) for name in _CONFIGURATIONS]
    return any(option in inspect.signature(each.__init__).parameters for each in classes if each)


def configure(proto: tf.ConfigProto, parameters: Iterable[Tuple[str, str, Any]]) -> None:
    """Adds the NpuOptimizer to a `ConfigProto`.

    Args:
        proto: changed in place.
        parameters: [(key, accessor, value)] as `devices.npu_options.parameters` gives them.
    """
    rewrite = proto.graph_options.rewrite_options
    optimizer = rewrite.custom_optimizers.add()
    optimizer.name = OPTIMIZER
    for key, accessor, value in parameters:
        setattr(
            optimizer.parameter_map[key], accessor, value.encode() if accessor == "s" else value
        )
    rewrite.remapping = rewrite.OFF
    rewrite.memory_optimization = rewrite.OFF
    if not knows("modify_mixlist"):
        # Before r1.5 the ops that read the overflow flag had no state and a CPU kernel that gives 0:
        # constant folding would compute them beforehand, and no overflow would ever be found.
        rewrite.constant_folding = rewrite.OFF
    bridge = load()
    if hasattr(bridge, "npu_config_proto"):
        bridge.npu_config_proto(config_proto=proto)


def scale_loss(
    optimizer: tf.train.Optimizer, scale: loss_scale.LossScale, *, distributed: bool
) -> Tuple[tf.train.Optimizer, Callable[[], Any]]:
    """Wraps an optimizer in the device's loss scaling; not to be called under control dependencies.

    Args:
        optimizer: with averaged gradients if there are several devices.
        scale: `loss_scale.LossScale`, on.
        distributed: whether an overflow on another device counts here too.

    Returns:
        (the optimizer, a function that returns the current loss scale as a tensor).
    """
    bridge = load()
    if scale.fixed:
        manager = bridge.FixedLossScaleManager(loss_scale=scale.fixed)
    else:
        manager = bridge.ExponentialUpdateLossScaleManager(
            init_loss_scale=loss_scale.INITIAL,
            incr_every_n_steps=loss_scale.GOOD_UPDATES_TO_GROW,
            decr_every_n_nan_or_inf=loss_scale.OVERFLOWS_TO_FALL,
            incr_ratio=loss_scale.GROWTH,
            decr_ratio=loss_scale.FALL,
        )
    return (
        bridge.NPULossScaleOptimizer(optimizer, manager, is_distributed=distributed),
        manager.get_loss_scale,
    )


def loop(session: tf.Session, train_op: tf.Operation, *, steps: int) -> tf.Operation:
    """An op that makes `steps` training steps on the device in one run ("iteration sinking").

    To be called once, outside of any name scope, before the graph is finalized. The count is kept in
    a local variable, so local variables must not be initialized afterwards.

    Args:
        session: `tf.Session`, configured with the same number as `iterations_per_loop`.
        train_op: `tf.Operation` of one whole training step, fed by nothing but an iterator.
        steps: per session run, at least 2.
    """
    util = importlib.import_module("npu_bridge.estimator.npu.util")
    looped = util.set_iteration_per_loop(session, train_op, steps)
    assert looped.name == LOOPED_NODE, f"{looped.name} is not looped by the device"
    return looped


def sum_over_devices(tensor: tf.Tensor, *, fusion_id: Optional[int] = None) -> tf.Tensor:
    """The sum of a float32 tensor over the devices of RANK_SIZE (HCCL).

    Args:
        tensor: of a known shape.
        fusion_id: the device fuses the sums with the same number. They must not depend on one
            another, or the fused sum waits for itself. None: the sum is not fused.
    """
    if fusion_id is None:
        return _hccl_ops().allreduce(tensor, "sum", fusion=0)
    return _hccl_ops().allreduce(tensor, "sum", fusion=2, fusion_id=fusion_id)


def broadcast(tensor: tf.Tensor) -> tf.Tensor:
    """Rank 0's value of a tensor, float or integer (HCCL)."""
    # fusion=0: each by itself, since one may depend on another.
    return _hccl_ops().broadcast(tensor=[tensor], root_rank=0, fusion=0)[0]


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """A context in which an error of the NPU is one line; without an NPU, errors stay what they are.

    The adapter reads a session's options, and the device compiles a graph, at the first run.

    Raises:
        DeviceError: instead of `tf.errors.OpError`, once the adapter is loaded.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if _NPU_INIT not in sys.modules:
            raise
        reason = " ".join((error.message or str(error)).split())
        raise DeviceError(f"the NPU failed ({type(error).__name__}): {reason:.1000}")


def _hccl_ops():
    load()
    return importlib.import_module("npu_bridge.hccl.hccl_ops")
