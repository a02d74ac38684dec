"""Loss scale managers: a constant one and one that follows the overflows."""

import tensorflow.compat.v1 as tf

from npu_bridge import record, release


class _FixedLossScaleManager:
    def _set(self, loss_scale, checks):
        if loss_scale < 1:
            raise ValueError("loss scale must be at least 1.")
        self._loss_scale = tf.convert_to_tensor(loss_scale, tf.float32, name="loss_scale")
        self._checks = checks
        record.note("manager", name="FixedLossScaleManager", values=[loss_scale], problems=[])

    def get_loss_scale(self):
        return self._loss_scale

    def get_enable_overflow_check(self):
        return self._checks

    def update_loss_scale(self, finite_grads):
        del finite_grads
        return tf.no_op()


if release.since(5):

    class FixedLossScaleManager(_FixedLossScaleManager):
        """A constant loss scale."""

        def __init__(self, loss_scale, enable_overflow_check=True):
            self._set(loss_scale, enable_overflow_check)
else:

    class FixedLossScaleManager(_FixedLossScaleManager):
        """A constant loss scale."""

        def __init__(self, loss_scale):
            self._set(loss_scale, True)


class ExponentialUpdateLossScaleManager:
    """A loss scale that grows after many good updates and falls after a few overflows."""

    def __init__(
        self,
        init_loss_scale,
        incr_every_n_steps,
        decr_every_n_nan_or_inf=2,
        incr_ratio=2,
        decr_ratio=0.8,
    ):
        self._grow_after, self._fall_after = incr_every_n_steps, decr_every_n_nan_or_inf
        self._growth, self._fall = incr_ratio, decr_ratio
        self._loss_scale = tf.Variable(float(init_loss_scale), trainable=False, name="loss_scale")
        self._good = tf.Variable(0, trainable=False, name="good_steps")
        self._bad = tf.Variable(0, trainable=False, name="bad_steps")
        under = tf.get_default_graph()._current_control_dependencies()
        record.note(
            "manager",
            name="ExponentialUpdateLossScaleManager",
            values=[
                init_loss_scale,
                incr_every_n_steps,
                decr_every_n_nan_or_inf,
                incr_ratio,
                decr_ratio,
            ],
            problems=["built under control dependencies"] if under else [],
        )

    def get_loss_scale(self):
        return self._loss_scale

    def update_loss_scale(self, finite_grads):
        return tf.cond(finite_grads, self._after_good, self._after_overflow)

    def _after_good(self):
        return tf.cond(
            self._good + 1 >= self._grow_after,
            lambda: self._set(self._loss_scale * self._growth),
            lambda: tf.group(tf.assign_add(self._good, 1)),
        )

    def _after_overflow(self):
        return tf.cond(
            self._bad + 1 >= self._fall_after,
            lambda: self._set(tf.maximum(1.0, self._loss_scale * self._fall)),
            lambda: tf.group(tf.assign_add(self._bad, 1), tf.assign(self._good, 0)),
        )

    def _set(self, value):
        return tf.group(
            tf.assign(self._loss_scale, value), tf.assign(self._good, 0), tf.assign(self._bad, 0)
        )
