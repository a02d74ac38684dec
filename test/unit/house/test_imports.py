"""The house: which room may import which. Arrows go down only."""

import ast
import glob
import os

import pytest
from paths import ROOT

# room -> the project's rooms that it may import; a folder stands for all files in it.
OPTIONS = ("options", "config", "config_npu", "flags_file")
NETWORKS = ("model", "ops", "ops_cpu")
MAY_IMPORT = {
    "options": (),
    "config_npu": ("options",),
    "config": ("options", "config_npu"),
    "flags_file": ("options", "config"),
    "interpreter": (),
    "ops_cpu": (),
    "ops": ("ops_cpu",),
    "model": ("ops", "ops_cpu"),
    "fetch": (),
    "download": ("fetch",),
    "utils": (),
    "checkpoint": ("utils",),
    "datasets": (*OPTIONS, "datasets", "utils", "download"),
    "devices": (*OPTIONS, "devices"),
    "training": (*OPTIONS, *NETWORKS, "training", "checkpoint", "datasets", "devices", "utils"),
    "inference": (
        *OPTIONS,
        *NETWORKS,
        "inference",
        "checkpoint",
        "datasets",
        "devices",
        "training.report",
        "training.samples",
        "utils",
    ),
    "main": (*OPTIONS, "interpreter", "datasets.registry", "devices", "inference", "training"),
}
# Libraries that only these rooms import.
ONLY_IN = {
    "tensorflow": (
        "ops_cpu",
        "ops",
        "model",
        "checkpoint",
        "datasets",
        "devices",
        "training",
        "inference",
        "main",
    ),
    "npu_bridge": ("devices.adapter",),
    "horovod": ("devices.ranks",),
    "PIL": ("utils", "datasets"),
    "requests": ("fetch", "download"),
}


def project_files():
    paths = glob.glob(os.path.join(ROOT, "*.py"))
    for room in ("datasets", "devices", "training", "inference"):
        paths += glob.glob(os.path.join(ROOT, room, "*.py"))
    return sorted(os.path.relpath(path, ROOT) for path in paths)


def module_name(path):
    return path[: -len(".py")].replace(os.sep, ".").replace(".__init__", "")


def imported(path):
    """(line, dotted name) of every import of a file, those inside functions too."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                assert alias.name != "*", f"{path}:{node.lineno}: import *"
                yield node.lineno, f"{node.module}.{alias.name}"


def within(name, places):
    return any(name == place or name.startswith(place + ".") for place in places)


def faults(path):
    room = module_name(path)
    may = MAY_IMPORT[room.split(".")[0]]
    for line, name in imported(path):
        top = name.split(".")[0]
        if top in MAY_IMPORT and not within(name, may) and room != name:
            yield f"{path}:{line}: {room} may not import {name}"
        if top in ONLY_IN and not within(room, ONLY_IN[top]):
            yield f"{path}:{line}: {room} may not import {name}"
        if "contrib" in name.split("."):
            yield f"{path}:{line}: tf.contrib"


@pytest.mark.parametrize("path", project_files())
def test_arrows_go_down(path):
    assert not list(faults(path))


def test_an_arrow_that_goes_up_is_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", str(tmp_path))
    (tmp_path / "ops.py").write_text("def f():\n    import training.loop\n    import requests\n")
    assert len(list(faults("ops.py"))) == 2


@pytest.mark.parametrize("path", project_files())
def test_tensorflow_is_used_as_1_15(path):
    names = [name for _, name in imported(path) if name.split(".")[0] == "tensorflow"]
    allowed = ("tensorflow.compat.v1", "tensorflow.python.client.timeline")
    assert all(name.startswith(allowed) for name in names)


@pytest.mark.parametrize("path", project_files())
def test_files_and_functions_are_short(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        source = file.read()
    long = [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and _last_line(node) - node.lineno >= 60
    ]
    assert not long
    assert source.count("\n") <= 340


def _last_line(node):
    return max(getattr(inner, "lineno", 0) for inner in ast.walk(node))
