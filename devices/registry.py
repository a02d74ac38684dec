"""The device kinds: one row each. Free of TensorFlow, so that `--help` can name them."""

from typing import Dict

# The values of --device -> module and class of devices/, a `devices.base.Device`. Without the flag,
# the first device that is there is taken.
DEVICES: Dict[str, str] = {
    "npu": "npu.NpuDevice",
    "gpu": "gpu.GpuDevice",
    "cpu": "cpu.CpuDevice",
}
