"""The CPU, in single precision or in TensorFlow's own mixed precision with bfloat16."""

import tensorflow.compat.v1 as tf

from config import Config
from devices import npu_options
from devices.base import Device
from system.memory import keep_freed_memory

_REWRITER = "auto_mixed_precision_onednn_bfloat16"


class CpuDevice(Device):
    """The CPU; GPUs of the machine are hidden.

    `--precision_mode=allow_mix_precision_bf16` is TensorFlow's automatic mixed precision. The weights
    and their updates stay in single precision. It needs no loss scaling: bfloat16 has the exponents
    of single precision.
    """

    kind = "cpu"
    noun = "a CPU"

    def __init__(self, config: Config) -> None:
        """See `Device.__init__`."""
        mixed = npu_options.mode_of(config) == npu_options.MIXED_BF16 and _has_rewriter()
        # The transforms of minimal filtering would lose too much in bfloat16.
        self.native_kernels = mixed
        if mixed:
            self.rewriter = _REWRITER
            self.used_npu_options = ("precision_mode", "precision_mode_v2")
        super().__init__(config)
        keep_freed_memory()

    def describe(self, reason: str) -> str:
        """See `Device.describe`."""
        return f"CPU ({reason})" + (", mixed precision with bfloat16" if self.rewriter else "")

    def _build_session_config(self) -> tf.ConfigProto:
        proto = super()._build_session_config()
        proto.device_count["GPU"] = 0
        return proto


def _has_rewriter() -> bool:
    """Whether TensorFlow has the rewriter, as it does from 2.10 on."""
    return hasattr(tf.ConfigProto().graph_options.rewrite_options, _REWRITER)
