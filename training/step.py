"""Losses to one training step: D once, then G, by default twice, on the same z and labels.

Fused (the default) is one `session.run` a step. Each G update must see the weights that the one
before it left, so each later forward pass is built inside the control dependencies of the update
before it; finished train ops that are merely chained would have run their forward passes earlier.
Variables are resource variables, whose reads are ordered by these dependencies. G has not moved
between the D update and the first G update: if both are made on the same batch, that forward pass
is built once for both.
"""

import collections
from typing import Callable, Dict, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

import model
import ops
from datasets.pipeline import Batch
from devices.loss_scale import NetworkOptimizer
from devices.ranks import SINGLE_PROCESS, Ranks
from training.augment import discriminator

# The fetches of a step that change the variables; the others only report.
UPDATES = ("d_update", "g_update")
# Graph collection of [(gradient, variable)] of each update, in the order of the updates.
GRADIENTS = "gradients_of_updates"
# Those that each rank measures on its own batch.
MEASURED = ("d_loss_real", "d_loss_fake", "d_loss", "d_accuracy", "g_loss_first", "g_loss")


class TrainStep(NamedTuple):
    """One training step.

    Attributes:
        runs: the fetches (name -> tensor or op) of each `session.run` of a step, in order. Together
            they hold d_loss_real, d_loss_fake, d_loss, d_accuracy (share of D's right answers in
            [0, 1]), g_loss_first and g_loss, float32 scalars of the passes that made the updates,
            and the optimizers' readings after their last update of the step.
        watched: what TensorBoard's histograms and images show, available in the first run:
            z [N, Z], d_real and d_fake (probabilities [N, 1]), images [N, H, W, C].
        readings: the optimizers' readings, to be fetched between steps.
    """

    runs: Tuple[dict, ...]
    watched: dict
    readings: dict


def build_train_step(
    *,
    networks: model.Networks,
    batch: Batch,
    d_optimizer: NetworkOptimizer,
    g_optimizer: NetworkOptimizer,
    fused: bool = True,
    ranks: Ranks = SINGLE_PROCESS,
    g_updates: int = 2,
    updates: str = "same_batch",
) -> TrainStep:
    """Builds the ops of one step on `batch`.

    Args:
        networks: `model.Networks`, whose loss is the one trained with.
        batch: `Batch` of tensors with a known batch size.
        d_optimizer, g_optimizer: `devices.loss_scale.NetworkOptimizer`, already wrapped for the
            device and the ranks.
        fused: one run a step instead of one for each update.
        ranks: `devices.ranks.Ranks`. Losses, accuracy and batch norm's statistics are means over
            them, so that every rank reports and holds the same. The optimizers average gradients.
        g_updates: number of G updates in a step.
        updates: what they are made on, a key of `UPDATE_BATCHES`.

    Raises:
        AssertionError: a gradient or a batch norm statistic belongs to the wrong network or none.
    """
    build = _fused if fused else _separate
    scheme = _Scheme(g_updates, updates)
    runs, watched = build(networks, batch, d_optimizer, g_optimizer, ranks, scheme)
    runs = tuple(_with_means(fetches, ranks) for fetches in runs)
    step = TrainStep(runs, watched, dict(d_optimizer.readings(), **g_optimizer.readings()))
    assert not _unclaimed(), f"batch norm statistics that no update applies: {_unclaimed()}"
    return step


def _with_means(fetches, ranks):
    """The fetches of a run; what a rank measured on its own batch becomes the mean over ranks."""
    names = sorted(set(MEASURED).intersection(fetches))
    return dict(
        fetches, **dict(zip(names, ranks.allreduce_means([fetches[name] for name in names])))
    )


def _same_batch(batch):
    """The whole batch, for both networks."""
    return batch, batch


def _halves(batch):
    """The first half of the batch and the second.

    Labels [N, 0] of data without classes stay as they are: no op takes an empty tensor.
    """
    half = int(batch.z.shape[0]) // 2
    return tuple(
        Batch(*[part if _is_empty(part) else part[rows] for part in batch])
        for rows in (slice(None, half), slice(half, None))
    )


# --updates -> the batch of a step -> (the batch of D's update, that of G's updates).
UPDATE_BATCHES: Dict[str, Callable[[Batch], Tuple[Batch, Batch]]] = {
    "same_batch": _same_batch,
    "alternating": _halves,
}


class _Scheme(NamedTuple):
    """How often G is updated in a step, and on what; see `build_train_step`."""

    g_updates: int
    updates: str

    def batches_of(self, batch):
        """(the batch of D's update, that of G's updates)."""
        return UPDATE_BATCHES[self.updates](batch)


def _fused(networks, batch, d_optimizer, g_optimizer, ranks, scheme):
    """(the fetches of the one run, watched): each update waits for the one before it."""
    d_batch, g_batch = scheme.batches_of(batch)
    fakes, fakes_stats = _recorded(networks.generator, d_batch.z, d_batch.labels)
    d_run, watched = _d_update(networks, d_batch, fakes, fakes_stats, d_optimizer, ranks)
    previous, g_runs = d_run["d_update"], []
    for number in range(scheme.g_updates):
        with tf.control_dependencies([previous]):
            if number > 0 or g_batch is not d_batch:
                fakes, fakes_stats = _recorded(networks.generator, g_batch.z, g_batch.labels)
            g_runs.append(_g_update(networks, g_batch, fakes, fakes_stats, g_optimizer, ranks))
        previous = g_runs[-1]["g_update"]
    last = dict(g_runs[-1], **_after(previous, g_optimizer.readings))
    return (dict(d_run, g_loss_first=g_runs[0]["g_loss"], **last),), watched


def _separate(networks, batch, d_optimizer, g_optimizer, ranks, scheme):
    """(the fetches of a run for each update, watched), as the reference trains: the first run stores
    the batch for the others. G's updates are one op, which is run once for each.
    """
    load, batch = _staged(batch)
    with tf.control_dependencies([load]):
        d_batch, _ = scheme.batches_of(
            Batch(*[part if _is_empty(part) else tf.identity(part) for part in batch])
        )
        fakes, fakes_stats = _recorded(networks.generator, d_batch.z, d_batch.labels)
        d_run, watched = _d_update(networks, d_batch, fakes, fakes_stats, d_optimizer, ranks)
    _, g_batch = scheme.batches_of(batch)
    fakes, fakes_stats = _recorded(networks.generator, g_batch.z, g_batch.labels)
    g_run = _g_update(networks, g_batch, fakes, fakes_stats, g_optimizer, ranks)
    last = dict(g_run, **_after(g_run["g_update"], g_optimizer.readings))
    g_runs = [{"g_update": g_run["g_update"]}] * (scheme.g_updates - 1) + [last]
    g_runs[0] = dict(g_runs[0], g_loss_first=g_run["g_loss"])
    return (d_run, *g_runs), watched


def _after(update, readings):
    """What `readings()` builds, evaluated after the update."""
    with tf.control_dependencies([update]):
        return readings()


def _d_update(networks, batch, fakes, fakes_stats, d_optimizer, ranks):
    """The fetches of the D update and the watched tensors.

    G's pass counts for G's moving averages here too: in the reference's three runs each run made
    its own pass, and a shared one stands for both.
    """
    of_real, of_fake = [discriminator(networks, batch.noise, real=real) for real in (True, False)]
    real_logits, real_stats = _recorded(of_real, batch.images, batch.labels)
    fake_logits, fake_stats = _recorded(of_fake, fakes, batch.labels)
    losses = model.gan_losses(networks.loss, real_logits, fake_logits)
    update = _update(
        d_optimizer.optimizer,
        losses.d,
        "discriminator",
        ranks,
        own=real_stats + fake_stats,
        others=fakes_stats,
    )
    right = tf.concat([real_logits > 0, fake_logits <= 0], 0)
    fetches = {
        "d_update": update,
        "d_loss_real": losses.d_real,
        "d_loss_fake": losses.d_fake,
        "d_loss": losses.d,
        "d_accuracy": tf.reduce_mean(tf.cast(right, tf.float32)),
    }
    fetches.update(_after(update, d_optimizer.readings))
    watched = {
        "z": batch.z,
        "d_real": tf.sigmoid(real_logits),
        "d_fake": tf.sigmoid(fake_logits),
        "images": fakes,
    }
    return fetches, watched


def _g_update(networks, batch, fakes, fakes_stats, g_optimizer, ranks):
    """The fetches of one G update."""
    of_fake = discriminator(networks, batch.noise, real=False)
    logits, logits_stats = _recorded(of_fake, fakes, batch.labels)
    loss = networks.loss.generator(logits)
    update = _update(
        g_optimizer.optimizer, loss, "generator", ranks, own=fakes_stats, others=logits_stats
    )
    return {"g_update": update, "g_loss": loss}


def _update(optimizer, loss, scope, ranks, *, own, others):
    """One op: the gradient step of the network `scope` and the moving averages of both."""
    variables = model.weights_of(scope)
    with tf.variable_scope(scope[0] + "_optim", reuse=tf.AUTO_REUSE):
        gradients = optimizer.compute_gradients(loss, var_list=variables)
        assert all(gradient is not None for gradient, _ in gradients), "a gradient is missing"
        tf.add_to_collection(GRADIENTS, gradients)
        apply = optimizer.apply_gradients(gradients)
    assert all(v.op.name.startswith(scope) for v, _ in own), "statistics of the other network"
    assert not any(v.op.name.startswith(scope) for v, _ in others), "statistics counted twice"
    return tf.group(apply, *_moved_averages(own + others, ranks))


def _moved_averages(statistics, ranks):
    """Ops that move each average by its passes in their order; marks the statistics as claimed."""
    passes = collections.OrderedDict()
    tf.get_default_graph().get_collection_ref(_CLAIMED).extend(value for _, value in statistics)
    values = ranks.allreduce_means([value for _, value in statistics])
    for (variable, _), value in zip(statistics, values):
        passes.setdefault(variable.op.name, (variable, []))[1].append(value)
    return [ops.moved_average(variable, values) for variable, values in passes.values()]


def _recorded(network, *inputs):
    """A training-mode pass: its result and the batch norm statistics that it left."""
    before = len(tf.get_collection(ops.STATISTICS))
    result = network(*inputs, training=True)
    return result, tf.get_collection(ops.STATISTICS)[before:]


_CLAIMED = "batch_norm_statistics_claimed"


def _unclaimed():
    claimed = {value.name for value in tf.get_collection(_CLAIMED)}
    return [
        value.name for _, value in tf.get_collection(ops.STATISTICS) if value.name not in claimed
    ]


def _staged(batch):
    """(op that stores the next batch, the stored batch): three runs must see one and the same.

    Labels [N, 0] of data without classes are not stored: no op takes an empty tensor.
    """
    stores = {
        name: tf.get_variable(
            "staged_" + name,
            part.shape,
            part.dtype,
            tf.zeros_initializer(),
            trainable=False,
            use_resource=True,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
        )
        for name, part in batch._asdict().items()
        if not _is_empty(part)
    }
    load = tf.group(
        *[store.assign(getattr(batch, name), read_value=False) for name, store in stores.items()]
    )
    return load, batch._replace(**stores)


def _is_empty(part):
    return part is None or 0 in part.shape.as_list()
