"""Collectives. With RANK_SIZE > 1 the processes meet in the folder FAKE_NPU_MEETING.

Each call of each op is a round: every rank files its array and waits for those of the others. The
wait takes a thread, so it needs more threads (--inter_op_threads) than there are collectives at once.
"""

import itertools
import os
import time

import numpy as np
import tensorflow.compat.v1 as tf

from npu_bridge import record
from npu_bridge.hccl import fusion_groups

SECONDS_TO_WAIT = 120
_ops = itertools.count()


def allreduce(tensor, reduction, fusion=1, fusion_id=-1, group="hccl_world_group"):
    """The sum (the only reduction played here) of a tensor over the ranks."""
    assert reduction == "sum", reduction
    assert fusion in (0, 1, 2), fusion
    tensor = tf.convert_to_tensor(tensor)
    record.note("allreduce", shape=tensor.shape.as_list(), fusion=fusion, fusion_id=fusion_id)
    result = _collective(tensor, lambda parts: sum(parts))
    fusion_groups.add(result.op, "allreduce", fusion, fusion_id, group, tensor.dtype.name)
    return result


def broadcast(tensor, root_rank, fusion=2, fusion_id=0, group="hccl_world_group"):
    """The tensors of a list as the root has them."""
    assert isinstance(tensor, list), "broadcast takes a list of tensors"
    assert fusion in (0, 2), fusion
    names = [part.name for part in tensor]
    record.note("broadcast", root=root_rank, names=names, fusion=fusion, fusion_id=fusion_id)
    results = []
    for part in tensor:
        part = tf.convert_to_tensor(part)
        assert part.dtype.name in ("float32", "float16", "int32", "int8"), part.dtype
        result = _collective(part, lambda parts: parts[root_rank])
        fusion_groups.add(result.op, "broadcast", fusion, fusion_id, group, part.dtype.name)
        results.append(result)
    return results


def _collective(tensor, combine):
    op, rounds = next(_ops), itertools.count()
    rank, size = int(os.environ.get("RANK_ID") or 0), int(os.environ.get("RANK_SIZE") or 1)

    def meet(mine):
        folder = os.environ["FAKE_NPU_MEETING"]
        os.makedirs(folder, exist_ok=True)
        place = os.path.join(folder, f"{op}-{next(rounds)}-{{}}.npy")
        with open(place.format(f"partial-{rank}"), "wb") as file:
            np.save(file, mine)
        os.replace(place.format(f"partial-{rank}"), place.format(rank))
        return np.asarray(
            combine([_wait(place.format(other)) for other in range(size)]), mine.dtype
        )

    if size == 1:
        return tf.identity(tensor)
    result = tf.numpy_function(meet, [tensor], tensor.dtype)
    result.set_shape(tensor.shape)
    return result


def _wait(path):
    limit = time.monotonic() + SECONDS_TO_WAIT
    while not os.path.exists(path):
        if time.monotonic() > limit:
            raise RuntimeError(f"{path}: the other rank did not come")
        time.sleep(0.001)
    return np.load(path)
