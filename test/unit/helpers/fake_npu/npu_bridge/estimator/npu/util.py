"""Iteration sinking: many steps on the device for one run of the host."""

import tensorflow.compat.v1 as tf

from npu_bridge import record

SUNK_NODE = "IterationOp"
_VARIABLE = "npu_runconfig/iterations_per_loop"


def set_iteration_per_loop(sess, train_op, iterations_per_loop=1):
    """Wraps a train op so that a run makes several iterations of it.

    The count stands in a local variable, loaded here: initializing the local variables afterwards
    sets it back to one. Only a node of exactly this name is looped; a second one gets another.
    """
    if not isinstance(train_op, tf.Operation):
        raise ValueError(f"train_op must be an Operation, not {type(train_op)}")
    if not isinstance(iterations_per_loop, int) or iterations_per_loop < 1:
        raise ValueError("iterations_per_loop must be a positive integer")
    if iterations_per_loop == 1:
        return train_op
    graph = sess.graph
    finalized = graph.finalized
    if finalized:
        record.note(
            "set_iteration_per_loop", node="", iterations=iterations_per_loop, finalized=True
        )
    with graph.as_default():
        with tf.variable_scope("npu_runconfig", reuse=tf.AUTO_REUSE):
            more = tf.get_variable(
                "iterations_per_loop",
                [],
                tf.int64,
                tf.zeros_initializer(),
                trainable=False,
                use_resource=True,
                collections=[tf.GraphKeys.LOCAL_VARIABLES],
            )
        sess.run(more.initializer)
        more.load(iterations_per_loop - 1, sess)
        node = tf.group(train_op, name=SUNK_NODE)
    record.note(
        "set_iteration_per_loop",
        node=node.name,
        iterations=iterations_per_loop,
        finalized=finalized,
    )
    return node


def looped_node(fetches):
    """The looped node among the fetches, or None."""
    return next(
        (
            fetch
            for fetch in tf.nest.flatten(fetches, expand_composites=False)
            if getattr(fetch, "name", None) == SUNK_NODE
        ),
        None,
    )


def iterations_of(fetches, run):
    """How many iterations the device makes in a run of these fetches; `run` fetches one tensor."""
    node = looped_node(fetches)
    if node is None:
        return 1
    more = next(
        variable
        for variable in node.graph.get_collection(tf.GraphKeys.LOCAL_VARIABLES)
        if variable.op.name == _VARIABLE
    )
    return 1 + int(run(more._graph_element))  # the read that was built with the variable
