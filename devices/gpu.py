"""A GPU, with TensorFlow's own mixed precision and loss scaling."""

from typing import Any, Callable, Tuple

import tensorflow.compat.v1 as tf

from config import Config
from devices import loss_scale, npu_options
from devices.base import Device


class GpuDevice(Device):
    """A GPU. `--precision_mode=allow_mix_precision` is TensorFlow's automatic mixed precision."""

    kind = "gpu"
    noun = "a GPU"

    def __init__(self, config: Config) -> None:
        """See `Device.__init__`."""
        mixed = npu_options.mode_of(config) in npu_options.MIXED_FP16
        self.used_npu_options = ("precision_mode", "precision_mode_v2")
        if mixed:
            self.rewriter = "auto_mixed_precision"
            self.loss_scale = npu_options.loss_scale_of(config)
            self.used_npu_options += ("loss_scale",)
        super().__init__(config)

    @classmethod
    def why_missing(cls) -> str:
        """See `Device.why_missing`."""
        if tf.config.experimental.list_physical_devices("GPU"):
            return ""
        return f"no GPU is visible to TensorFlow {tf.__version__}"

    def describe(self, reason: str) -> str:
        """See `Device.describe`."""
        precision = "mixed precision" if self.rewriter else "single precision"
        return f"GPU ({reason}), {precision}, loss scale {self.loss_scale}"

    def _scale_loss(
        self, optimizer: tf.train.Optimizer, *, distributed: bool
    ) -> Tuple[tf.train.Optimizer, Callable[[], Any]]:
        del distributed  # the gradients that it looks at are those averaged over the ranks
        scales = tf.train.experimental
        if self.loss_scale.fixed:
            scale = scales.FixedLossScale(self.loss_scale.fixed)
        else:
            scale = scales.DynamicLossScale(
                initial_loss_scale=loss_scale.INITIAL,
                increment_period=loss_scale.GOOD_UPDATES_TO_GROW,
                multiplier=loss_scale.GROWTH,
            )
        return scales.MixedPrecisionLossScaleOptimizer(optimizer, scale), scale
