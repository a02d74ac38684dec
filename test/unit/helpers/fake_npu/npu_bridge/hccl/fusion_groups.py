"""Which collectives the device fuses into one, and that none of them waits for another.

The device fuses the collectives of a graph that have the same group, data type and reduction: with
`fusion` 1 by a split of all gradients, with 2 those of one `fusion_id`, with 0 none. A fused operator
that depends on itself is a loop: there the real device fails or waits for ever.
"""

import collections

import tensorflow.compat.v1 as tf

_COLLECTION = "fake_npu_collectives"


def add(operation, kind, fusion, fusion_id, group, dtype):
    """Notes a collective of the operation's graph."""
    if fusion:
        key = (kind, fusion, fusion_id if fusion == 2 else None, group, dtype)
        operation.graph.get_collection_ref(_COLLECTION).append((operation, key))


def dependent_pairs(graph, fetches=None):
    """[(key, operation, operation it depends on)] of collectives that would be fused.

    Args:
        fetches: what is run; only that part of the graph counts. Everything by default.
    """
    groups = collections.defaultdict(list)
    for operation, key in graph.get_collection(_COLLECTION):
        groups[key].append(operation)
    run = None if fetches is None else _ancestors(_operations(graph, fetches))
    pairs = []
    for key, operations in groups.items():
        together = {op for op in operations if run is None or op in run}
        for operation in together:
            above = _ancestors([each for each in _inputs(operation)])
            pairs += [(key, operation, other) for other in together & above]
    return pairs


def check(graph, fetches):
    """Raises `tf.errors.InternalError` where a run would fuse operators that depend on one another."""
    if not graph.get_collection(_COLLECTION):
        return
    pairs = dependent_pairs(graph, fetches)
    if pairs:
        key, operation, other = pairs[0]
        raise tf.errors.InternalError(
            None,
            None,
            f"{len(pairs)} dependent pairs in fused collectives; {operation.name} depends on "
            f"{other.name}, both of {key}",
        )


def _operations(graph, fetches):
    elements = [graph.as_graph_element(each) for each in tf.nest.flatten(fetches)]
    return [getattr(element, "op", element) for element in elements]


def _inputs(operation):
    return [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)


def _ancestors(operations):
    """The operations and all that they depend on."""
    found, waiting = set(), list(operations)
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += _inputs(operation)
    return found
