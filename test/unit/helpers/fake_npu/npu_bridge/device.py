"""The device's overflow status: one flag, which computing sets and each check reads and clears.

In INF/NAN mode there is no flag: the gradients themselves are looked at.
"""

import os

import numpy as np
import tensorflow.compat.v1 as tf

from npu_bridge import record, release

# Numbers (from 1) of the checks that find an overflow whatever the gradients are.
injected = {int(number) for number in os.environ.get("FAKE_NPU_OVERFLOW", "").split(",") if number}
_checks = 0
# Up to r1.3 the ops that read the flag have no state, so TensorFlow's constant folding, where it is
# on, computes them beforehand, with CPU kernels that say "no overflow".
folded = False


def no_overflow(gradients, network):
    """bool scalar: no overflow since the last check. Runs when the gradients have been computed."""
    finite = tf.reduce_all([tf.reduce_all(tf.is_finite(gradient)) for gradient in gradients])

    def check(all_finite):
        global _checks
        _checks += 1
        overflow = not folded and (_checks in injected or not all_finite)
        record.note(
            "check",
            number=_checks,
            network=network,
            overflow=overflow,
            mode="inf/nan" if release.INF_NAN_MODE else "saturation",
        )
        return np.array(not overflow)

    with tf.control_dependencies(gradients):
        result = tf.numpy_function(check, [finite], tf.bool)
    result.set_shape([])
    return result
