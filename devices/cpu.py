"""The CPU, in single precision."""

import tensorflow.compat.v1 as tf

from config import Config
from devices.base import Device
from system.memory import keep_freed_memory


class CpuDevice(Device):
    """The CPU; GPUs of the machine are hidden."""

    kind = "cpu"
    noun = "a CPU"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        keep_freed_memory()

    def describe(self, reason: str) -> str:
        """See `Device.describe`."""
        return f"CPU ({reason})"

    def _build_session_config(self) -> tf.ConfigProto:
        proto = super()._build_session_config()
        proto.device_count["GPU"] = 0
        return proto
