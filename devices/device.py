"""What a process computes on: chosen once, before a graph is built.

`open_device` hands on a `Device`; whoever has it never asks which kind it is. The only place that
builds a `ConfigProto`.
"""

import functools
import math
import os
import sys
from typing import Callable, NamedTuple

import tensorflow.compat.v1 as tf

from devices import adapter, launcher, loss_scale, mixlist, npu_options, rank_table
from devices.loss_scale import NetworkOptimizer, ScaledNetworkOptimizer
from options import UserError


class Device(NamedTuple):
    """What a process computes on.

    Attributes:
        kind: "npu", "gpu" or "cpu", for people.
        session_config: the `ConfigProto` of every session of this process.
        build_optimizer: `(network, ranks) -> devices.loss_scale.NetworkOptimizer`: Adam for the
            network "d" or "g", wrapped for the ranks and the device. Not under control dependencies.
        profiles_itself: whether the session is told to profile, so that nobody else need.
        steps_per_loop: training steps that the device can make in one run; 1 where it cannot loop.
        loop: `(session, train_op) -> op` that makes so many steps (see `adapter.loop`).
    """

    kind: str
    session_config: tf.ConfigProto
    build_optimizer: Callable
    profiles_itself: bool
    steps_per_loop: int = 1
    loop: Callable = lambda session, train_op: train_op


def open_device(config, *, say=print):
    """Chooses what `config.device` asks for, and says in a line what was chosen.

    Args:
        config: `Config`.
        say: called with each line.

    Raises:
        UserError: the device is not there, or an option is not for it.
    """
    npu_options.check(config)
    if config.device in ("auto", "npu"):
        try:
            adapter.load()
            return _open_npu(config, say)
        except ImportError as error:
            if config.device == "npu":
                raise UserError(f"--device: no NPU adapter ({sys.executable}: {error})")
            reason = f"no NPU adapter: {error}"
    else:
        reason = f"--device={config.device}"
    if config.device != "cpu" and tf.config.experimental.list_physical_devices("GPU"):
        return _open_gpu(config, reason, say)
    if config.device == "gpu":
        raise UserError(
            f"--device: no GPU is visible to TensorFlow {tf.__version__} ({sys.executable})"
        )
    return _open_cpu(config, reason, say)


def _open_npu(config, say):
    rank_table.read(os.environ)
    for option in ("modify_mixlist", "auto_tune_mode"):
        if getattr(config, option) is not None and not adapter.knows(option):
            raise UserError(f"--{option}: this release of the NPU adapter does not know it")
    mixlist_path = npu_options.mixlist_of(config) if adapter.knows("modify_mixlist") else ""
    if mixlist_path:
        mixlist.check(mixlist_path)
    npu_options.make_folders(config)
    proto = _plain_config(config)
    adapter.configure(proto, npu_options.parameters(config, mixlist_path=mixlist_path))
    scale = npu_options.scale_of(config)
    steps = config.iterations_per_loop
    say(
        "device: NPU, --precision_mode={}, mixlist {}, loss scale {}{}".format(
            config.precision_mode,
            mixlist_path or "none",
            scale,
            f", {steps} steps a run (single ones up to the first multiple and after the last)"
            if steps > 1
            else "",
        )
    )
    return Device(
        "npu",
        proto,
        functools.partial(_build_optimizer, config, scale, adapter.scale_loss),
        profiles_itself=True,
        steps_per_loop=steps,
        loop=functools.partial(adapter.loop, steps=steps),
    )


def _open_gpu(config, reason, say):
    proto = _plain_config(config)
    mixed = config.precision_mode == npu_options.MIXED
    scale = npu_options.scale_of(config) if mixed else loss_scale.OFF
    if mixed:
        rewrite = proto.graph_options.rewrite_options
        rewrite.auto_mixed_precision = rewrite.ON
    say(
        "device: GPU ({}), {}, loss scale {}".format(
            reason, "mixed precision" if mixed else "single precision", scale
        )
    )
    _say_without_effect(
        npu_options.without_effect(config, used=("precision_mode", "loss_scale") if mixed else ()),
        "a GPU",
        say,
    )
    return Device(
        "gpu",
        proto,
        functools.partial(_build_optimizer, config, scale, _tensorflow_scale_loss),
        profiles_itself=False,
    )


def _open_cpu(config, reason, say):
    proto = _plain_config(config)
    proto.device_count["GPU"] = 0
    say(f"device: CPU ({reason})")
    _say_without_effect(npu_options.without_effect(config), "a CPU", say)
    return Device(
        "cpu",
        proto,
        functools.partial(_build_optimizer, config, loss_scale.OFF, _tensorflow_scale_loss),
        profiles_itself=False,
    )


def _say_without_effect(flags, where, say):
    if flags:
        say("Ascend options have no effect on {}: {}".format(where, " ".join(flags)))


def _plain_config(config):
    """What every kind of session has; processes that share a machine share its cores and its GPUs."""
    place = launcher.place()
    threads = config.intra_op_threads
    if not threads and place.local_size > 1:
        threads = max(1, (os.cpu_count() or 1) // place.local_size)
    proto = tf.ConfigProto(
        allow_soft_placement=True,
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=config.inter_op_threads,
    )
    proto.gpu_options.allow_growth = True
    if place.local_size > 1:
        proto.gpu_options.visible_device_list = str(place.local_rank)
    # It fails on the gradients of leaky ReLU and (TensorFlow 2.21) prints so at each session's start.
    proto.graph_options.rewrite_options.remapping = proto.graph_options.rewrite_options.OFF
    return proto


class _Adam(tf.train.AdamOptimizer):
    """Adam whose variables have the same names under every wrapper, so that a run may move.

    Loss scaling applies it within a branch, whose name would become part of theirs.
    """

    def _create_slots(self, var_list):
        with tf.name_scope(tf.get_variable_scope().name + "/"):
            super()._create_slots(var_list)


def _build_optimizer(config, scale, scale_loss, network, ranks):
    """See `Device.build_optimizer`; averaging over the ranks goes inside the loss scaling."""
    rate = learning_rate(config, ranks.size)
    adam = ranks.wrap_optimizer(_Adam(rate, beta1=config.beta1))
    if not scale.on:
        return NetworkOptimizer(adam)
    return ScaledNetworkOptimizer(
        network, lambda: scale_loss(adam, scale, distributed=ranks.size > 1)
    )


def learning_rate(config, ranks_size):
    """Adam's learning rate as `--scale_lr` makes it grow with the number of ranks."""
    factors = {"none": 1.0, "linear": ranks_size, "sqrt": math.sqrt(ranks_size)}
    return config.learning_rate * factors[config.scale_lr]


def _tensorflow_scale_loss(optimizer, scale, *, distributed):
    """TensorFlow's own loss scaling, as `adapter.scale_loss`; it looks at the averaged gradients."""
    del distributed
    scales = tf.train.experimental
    present = (
        scales.FixedLossScale(scale.fixed)
        if scale.fixed
        else scales.DynamicLossScale(
            initial_loss_scale=loss_scale.INITIAL,
            increment_period=loss_scale.GOOD_UPDATES_TO_GROW,
            multiplier=loss_scale.GROWTH,
        )
    )
    return scales.MixedPrecisionLossScaleOptimizer(optimizer, present), present
