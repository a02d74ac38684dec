"""What a script imports, as far as the release has it. Importing changes every later session."""

import inspect

import tensorflow.compat.v1 as tf

from npu_bridge import options, record, release, sessions
from npu_bridge.estimator.npu import util  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_manager import (  # noqa: F401
    ExponentialUpdateLossScaleManager,
    FixedLossScaleManager,
)
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer  # noqa: F401
from npu_bridge.estimator.npu.npu_optimizer import NPUDistributedOptimizer  # noqa: F401
from npu_bridge.hccl import hccl_ops  # noqa: F401

if release.since(5):  # r1.5.1
    from npu_bridge.estimator.npu.npu_optimizer import npu_distributed_optimizer_wrapper  # noqa: F401


# Options by the minor number of the release that brought them.
_RUN_OPTIONS = {
    3: "iterations_per_loop precision_mode mix_compile_mode graph_memory_max_size op_select_implmode "
    "session_device_id hcom_parallel op_debug_level op_compiler_cache_mode op_compiler_cache_dir",
    5: "aoe_mode modify_mixlist op_precision_mode hccl_timeout op_wait_timeout op_execute_timeout",
    9: "customize_dtypes op_debug_config",
    10: "jit_compile",
    12: "deterministic",
    13: "precision_mode_v2",
}
_DUMP_OPTIONS = {3: "enable_dump dump_path dump_step dump_mode", 10: "dump_data dump_layer"}


def _options_of(options_by_release):
    return [
        name
        for first, names in options_by_release.items()
        if release.since(first)
        for name in names.split()
    ]


def _takes(names):
    """A constructor with these parameters; the real ones are read by name too."""

    def __init__(self, **options):
        assert set(options) <= set(names)

    __init__.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    )
    return __init__


class NPURunConfig:
    """An estimator's configuration: the session's options by name, as far as the release has them."""

    __init__ = _takes(_options_of(_RUN_OPTIONS) + ([] if release.since(11) else ["auto_tune_mode"]))


class DumpConfig:
    """The part of it on dumps."""

    __init__ = _takes(_options_of(_DUMP_OPTIONS))


if release.since(12):

    class MemoryConfig:
        """The part of it on memory."""

        __init__ = _takes(["static_memory_policy"])


def npu_config_proto(config_proto=None):
    """A config fit for the device; one that is given is changed in place."""
    proto = config_proto if isinstance(config_proto, tf.ConfigProto) else tf.ConfigProto()
    rewrite = proto.graph_options.rewrite_options
    if options.npu_optimizer(proto) is None:
        rewrite.custom_optimizers.add().name = "NpuOptimizer"
    proto.allow_soft_placement = True
    proto.log_device_placement = False
    rewrite.remapping = rewrite.OFF
    proto.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.OFF
    return proto


record.note("imported", release=release.NAME)
sessions.install()
