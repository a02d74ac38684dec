"""The choice of a device: made once, before a graph is built."""

import importlib
import sys
from typing import Callable, Type

from config import Config
from devices import npu_options
from devices.base import Device
from devices.registry import DEVICES
from options import UserError


def open_device(config: Config, *, say: Callable[[str], None] = print) -> Device:
    """Opens the device that `config.device` asks for, and reports the choice in one line.

    Args:
        config: `Config`.
        say: called with each line.

    Raises:
        UserError: the device is missing, or an option does not fit it.
    """
    npu_options.check(config)
    reasons = [] if config.device == "auto" else [f"--device={config.device}"]
    for kind in DEVICES:
        if config.device not in ("auto", kind):
            continue
        device_class = _device_class(kind)
        why_missing = device_class.why_missing()
        if not why_missing:
            return _report(device_class(config), reasons, say)
        if config.device == kind:
            raise UserError(f"--device: {why_missing} ({sys.executable})")
        reasons.append(why_missing)
    raise AssertionError("a CPU is always there")


def _device_class(kind: str) -> Type[Device]:
    module, name = DEVICES[kind].split(".")
    return getattr(importlib.import_module("devices." + module), name)


def _report(device, reasons, say):
    say(f"device: {device.describe(reasons[0] if reasons else '')}")
    for note in device.notes():
        say(note)
    return device
