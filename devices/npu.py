"""An Ascend NPU, through CANN's adapter for TensorFlow 1.15."""

import os
from typing import Any, Callable, List, Tuple

import tensorflow.compat.v1 as tf

from config import Config
from devices import adapter, mixlist, npu_options, rank_table
from devices.base import Device
from devices.ranks import Ranks, open_hccl_ranks
from options import UserError


class NpuDevice(Device):
    """An Ascend NPU. Everything that its session is told stands in `devices.npu_options`."""

    kind = "npu"
    noun = "an NPU"
    profiles_itself = True

    def __init__(self, config: Config) -> None:
        """See `Device.__init__`; also makes the folders that the device writes to."""
        rank_table.read(os.environ)
        for option in ("modify_mixlist", "auto_tune_mode"):
            if getattr(config, option) is not None and not adapter.knows(option):
                raise UserError(f"--{option}: this release of the NPU adapter does not know it")
        self._mixlist = npu_options.mixlist_of(config) if adapter.knows("modify_mixlist") else ""
        if self._mixlist:
            mixlist.check(self._mixlist)
        npu_options.make_folders(config)
        self.loss_scale = npu_options.loss_scale_of(config)
        self.steps_per_loop = config.iterations_per_loop
        super().__init__(config)

    @classmethod
    def why_missing(cls) -> str:
        """See `Device.why_missing`."""
        try:
            adapter.load()
        except ImportError as error:
            return f"no NPU adapter: {error}"
        return ""

    def describe(self, reason: str) -> str:
        """See `Device.describe`; no other device is preferred to an NPU."""
        del reason
        loop = ""
        if self.steps_per_loop > 1:
            loop = (
                f", {self.steps_per_loop} steps a run (single ones up to the first multiple and "
                "after the last)"
            )
        return (
            f"NPU, --precision_mode={self._config.precision_mode}, "
            f"mixlist {self._mixlist or 'none'}, loss scale {self.loss_scale}{loop}"
        )

    def unused_options(self) -> List[str]:
        """See `Device.unused_options`."""
        return []

    def open_ranks(self) -> Ranks:
        """See `Device.open_ranks`."""
        return open_hccl_ranks()

    def loop(self, session: tf.Session, train_op: tf.Operation) -> tf.Operation:
        """See `Device.loop`."""
        if self.steps_per_loop == 1:
            return train_op
        return adapter.loop(session, train_op, steps=self.steps_per_loop)

    def _build_session_config(self) -> tf.ConfigProto:
        proto = super()._build_session_config()
        parameters = npu_options.parameters(self._config, mixlist_path=self._mixlist)
        adapter.configure(proto, parameters)
        return proto

    def _scale_loss(
        self, optimizer: tf.train.Optimizer, *, distributed: bool
    ) -> Tuple[tf.train.Optimizer, Callable[[], Any]]:
        return adapter.scale_loss(optimizer, self.loss_scale, distributed=distributed)
