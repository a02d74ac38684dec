"""What a script imports, as far as the release has it. Importing changes every later session."""

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


class NPURunConfig:
    """An estimator's configuration: the session's options by name, as far as the release has them."""

    if release.since(13):

        def __init__(
            self,
            iterations_per_loop=1,
            precision_mode=None,
            mix_compile_mode=False,
            graph_memory_max_size=None,
            op_select_implmode=None,
            aoe_mode=None,
            session_device_id=None,
            modify_mixlist=None,
            precision_mode_v2=None,
            deterministic=0,
        ):
            pass
    elif release.since(5):

        def __init__(
            self,
            iterations_per_loop=1,
            precision_mode=None,
            mix_compile_mode=False,
            graph_memory_max_size=None,
            auto_tune_mode=None,
            op_select_implmode=None,
            aoe_mode=None,
            session_device_id=None,
            modify_mixlist=None,
        ):
            pass
    else:

        def __init__(
            self,
            iterations_per_loop=1,
            precision_mode=None,
            mix_compile_mode=False,
            graph_memory_max_size=None,
            auto_tune_mode=None,
            op_select_implmode=None,
        ):
            pass


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
