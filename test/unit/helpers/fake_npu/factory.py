"""Puts the fake adapter into this process or into the environment of another.

with factory.adapter("r1.9") as npu_bridge:     # in this process, taken out again at the end
    ...
    npu_bridge.record.of("session")

subprocess.run(..., env=factory.environment("r1.15", record=path))
factory.events(path)
"""

import contextlib
import importlib
import json
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
RELEASES = ("r1.3", "r1.5.1", "r1.9", "r1.13", "r1.15")
_VARIABLES = ("RELEASE", "RECORD", "OVERFLOW", "MEETING")


def variables(release="r1.15", *, record=None, overflow=(), meeting=None):
    """The fake's environment variables.

    Args:
        release: one of `RELEASES`.
        record: a file for its events.
        overflow: numbers (from 1) of the overflow checks that find one.
        meeting: a folder in which the processes of RANK_SIZE > 1 meet.
    """
    values = (release, record, ",".join(map(str, overflow)), meeting)
    return {"FAKE_NPU_" + name: str(value) for name, value in zip(_VARIABLES, values) if value}


def environment(release="r1.15", **more):
    """The environment of a process that is to find the fake adapter; see `variables`."""
    path = os.pathsep.join([FOLDER] + list(filter(None, [os.environ.get("PYTHONPATH")])))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FAKE_NPU_")}
    return dict(clean, PYTHONPATH=path, **variables(release, **more))


def events(path):
    """The events that a process recorded."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@contextlib.contextmanager
def adapter(release="r1.15", **more):
    """The fake adapter, importable in this process; nothing of it is imported yet.

    Yields:
        A namespace: `npu_bridge.record`, `.device`, `.options`, imported when they are asked for.
    """
    before = dict(os.environ)
    os.environ.update(variables(release, **more))
    sys.path.insert(0, FOLDER)
    try:
        yield _Modules()
    finally:
        if "npu_bridge.sessions" in sys.modules:
            sys.modules["npu_bridge.sessions"].uninstall()
        for name in [name for name in sys.modules if name.split(".")[0] == "npu_bridge"]:
            del sys.modules[name]
        sys.path.remove(FOLDER)
        os.environ.clear()
        os.environ.update(before)


class _Modules:
    def __getattr__(self, name):
        return importlib.import_module("npu_bridge." + name)
