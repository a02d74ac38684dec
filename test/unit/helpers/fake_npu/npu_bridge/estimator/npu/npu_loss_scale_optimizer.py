"""The optimizer that scales the loss and leaves out what overflowed."""

import tensorflow.compat.v1 as tf

from npu_bridge import device, record
from npu_bridge.estimator.npu.npu_loss_scale_manager import FixedLossScaleManager
from npu_bridge.hccl import hccl_ops


class NPULossScaleOptimizer(tf.train.Optimizer):
    """Wraps an optimizer; every apply reads and clears the device's overflow flag."""

    def __init__(self, opt, loss_scale_manager, is_distributed=False):
        super().__init__(use_locking=False, name="NPULossScaleOptimizer")
        self._opt, self._manager, self._distributed = opt, loss_scale_manager, is_distributed
        self._network = tf.get_variable_scope().name
        record.note(
            "optimizer", inner=type(opt).__name__, distributed=is_distributed, network=self._network
        )

    def compute_gradients(self, loss, var_list=None, **more):
        scale = self._manager.get_loss_scale()
        scaled = loss * tf.cast(scale, loss.dtype.base_dtype)
        gradients = self._opt.compute_gradients(scaled, var_list=var_list, **more)
        inverse = tf.reciprocal(tf.convert_to_tensor(scale))
        return [
            (None if g is None else g * tf.cast(inverse, g.dtype.base_dtype), v)
            for g, v in gradients
        ]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        gradients = [gradient for gradient, _ in grads_and_vars if gradient is not None]
        finite = self._no_overflow(gradients)
        update = tf.cond(
            finite, lambda: self._opt.apply_gradients(grads_and_vars, global_step, name), tf.no_op
        )
        return tf.group(update, self._manager.update_loss_scale(finite))

    def _no_overflow(self, gradients):
        if (
            isinstance(self._manager, FixedLossScaleManager)
            and not self._manager.get_enable_overflow_check()
        ):
            return tf.constant(True)
        finite = device.no_overflow(gradients, self._network)
        if not self._distributed:
            return finite
        overflows = hccl_ops.allreduce(tf.cast(tf.logical_not(finite), tf.float32), "sum", fusion=0)
        return tf.equal(overflows, 0)
