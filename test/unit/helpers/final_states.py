"""What a training left: the step and the variables of its newest checkpoint."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import checkpoint


def final_state(folder, name="run"):
    """(step, name -> value) of the newest checkpoint of `folder`/`name`."""
    found = checkpoint.newest(str(folder / name / "checkpoint"), warn=pytest.fail)
    reader = tf.train.load_checkpoint(found.prefix)
    return found.step, {
        name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
    }


def assert_equal_runs(one, other):
    """Both folders' runs ended at the same step with the same variables, bit for bit."""
    (step, values), (other_step, other_values) = final_state(one), final_state(other)
    assert step == other_step and set(values) == set(other_values)
    differing = [name for name in values if not np.array_equal(values[name], other_values[name])]
    assert not differing
