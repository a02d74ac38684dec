"""The base class of the device kinds: what one process computes on.

Only `main.py` and `inference/trained_run.py` ask a `Device` which kind it is. The device classes build
the `ConfigProto` of every session of a run.
"""

import os
from typing import Any, Callable, List, Tuple

import tensorflow.compat.v1 as tf

from config import Config
from devices import launcher, loss_scale, npu_options
from devices.loss_scale import NetworkOptimizer, ScaledNetworkOptimizer
from devices.ranks import Ranks, open_horovod_ranks


class Device:
    """A device kind as one process uses it.

    Attributes:
        kind: "cpu", "gpu" or "npu".
        noun: the kind in a sentence, such as "a CPU".
        profiles_itself: whether `--profiling` makes the device write profiles, so that nothing else
            needs to.
        steps_per_loop: training steps that one session run can make; 1 where the device cannot loop.
        native_kernels: whether the layers are TensorFlow's own operations, whatever `--kernels` says.
        used_npu_options: the NPU options that have an effect on this device too.
        loss_scale: `devices.loss_scale.LossScale`.
        rewriter: the field of TensorFlow's `RewriterConfig` that turns on mixed precision; empty for
            none.
        session_config: the `ConfigProto` of every session that trains or draws.
        measuring_config: that of the sessions that measure images. It has no `rewriter`, so that
            figures of runs in different modes can be compared.
    """

    kind = ""
    noun = ""
    profiles_itself = False
    steps_per_loop = 1
    native_kernels = True
    used_npu_options: Tuple[str, ...] = ()
    loss_scale = loss_scale.OFF
    rewriter = ""

    def __init__(self, config: Config) -> None:
        """Builds the session configuration of a checked config.

        Raises:
            UserError: an option or a variable of the environment does not fit the device.
        """
        self._config = config
        self.session_config = self._build_session_config()
        self.measuring_config = tf.ConfigProto()
        self.measuring_config.CopyFrom(self.session_config)
        if self.rewriter:
            self.measuring_config.graph_options.rewrite_options.ClearField(self.rewriter)

    @classmethod
    def why_missing(cls) -> str:
        """Why this process cannot use such a device; empty if it can."""
        return ""

    def describe(self, reason: str) -> str:
        """What was chosen, for a person.

        Args:
            reason: why it is this device and not the one preferred to it.
        """
        raise NotImplementedError

    def notes(self) -> List[str]:
        """Lines for the user about options that do not do on this device what they say."""
        unused = npu_options.without_effect(self._config, used=self.used_npu_options)
        if not unused:
            return []
        return [f"Ascend options have no effect on {self.noun}: {' '.join(unused)}"]

    def open_ranks(self) -> Ranks:
        """The ranks that the environment describes.

        Raises:
            UserError: naming the variable that does not fit the device, or what is missing.
        """
        return open_horovod_ranks()

    def wrap(self, optimizer: tf.train.Optimizer, network: str, ranks: Ranks) -> NetworkOptimizer:
        """Adds to an optimizer the averaging over the ranks and, outside of it, the loss scaling.

        Not to be called under control dependencies.

        Args:
            optimizer: of one network.
            network: "d" or "g".
            ranks: `devices.ranks.Ranks`.
        """
        averaging = ranks.wrap_optimizer(optimizer)
        if not self.loss_scale.on:
            return NetworkOptimizer(averaging)
        return ScaledNetworkOptimizer(
            network, lambda: self._scale_loss(averaging, distributed=ranks.size > 1)
        )

    def loop(self, session: tf.Session, train_op: tf.Operation) -> tf.Operation:
        """An op that makes `steps_per_loop` training steps; `train_op` itself where that is 1.

        To be called once, outside of any name scope, before the graph is finalized. Local variables
        must not be initialized afterwards.
        """
        del session
        return train_op

    def _scale_loss(
        self, optimizer: tf.train.Optimizer, *, distributed: bool
    ) -> Tuple[tf.train.Optimizer, Callable[[], Any]]:
        """(optimizer with loss scaling, function that returns the current scale as a tensor)."""
        raise NotImplementedError

    def _build_session_config(self) -> tf.ConfigProto:
        """The configuration that every kind of device has.

        Processes of one machine share its cores and its GPUs.
        """
        process = launcher.horovod_process()
        threads = self._config.intra_op_threads
        if not threads and process.local_size > 1:
            threads = max(1, (os.cpu_count() or 1) // process.local_size)
        proto = tf.ConfigProto(
            allow_soft_placement=True,
            intra_op_parallelism_threads=threads,
            inter_op_parallelism_threads=self._config.inter_op_threads,
        )
        proto.gpu_options.allow_growth = True
        if process.local_size > 1:
            proto.gpu_options.visible_device_list = str(process.local_rank)
        # Remapping fails on the gradients of leaky ReLU; TensorFlow 2.21 prints that for each session.
        rewrite = proto.graph_options.rewrite_options
        rewrite.remapping = rewrite.OFF
        if self.rewriter:
            setattr(rewrite, self.rewriter, rewrite.ON)
        return proto
