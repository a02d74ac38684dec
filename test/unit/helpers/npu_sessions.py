"""Sessions of an NPU: opening the device of some options, and what its session would be told."""

import pytest

from config import Config
from devices.device import open_device
from options import UserError


def npu_config(**options):
    """A training on an NPU with these options."""
    return Config(**dict(dict(device="npu", train=True), **options))


def open_quietly(config):
    """The device of a config; what it says is dropped."""
    return open_device(config, say=lambda line: None)


def said(config):
    """The lines that opening the device prints."""
    lines = []
    open_device(config, say=lines.append)
    return lines


def parameters(config):
    """{key: (accessor, value)} of the NpuOptimizer in a session's config."""
    optimizers = open_quietly(config).session_config.graph_options.rewrite_options.custom_optimizers
    assert [optimizer.name for optimizer in optimizers] == ["NpuOptimizer"]
    found = {}
    for key, value in optimizers[0].parameter_map.items():
        accessor = value.WhichOneof("value")
        found[key] = (accessor, getattr(value, accessor))
    return found


def refusal(config):
    """The one line with which a config is refused."""
    with pytest.raises(UserError) as error:
        open_quietly(config)
    line = str(error.value)
    assert "\n" not in line
    return line
