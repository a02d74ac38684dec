"""The house: which room may import which (arrows go down only), and how long its parts may be."""

import ast
import glob
import os

import pytest
from paths import ROOT

# room -> the project's rooms that it may import; a folder stands for all files in it.
OPTIONS = ("options", "config", "config_npu", "flags_file")
NETWORKS = ("kernels", "model", "ops", "ops_cpu")
MAY_IMPORT = {
    "options": (),
    "config_npu": ("options",),
    "config": ("options", "config_npu", "datasets.registry", "devices.registry"),
    "flags_file": ("options", "config", "datasets.registry", "system", "utils"),
    "config_checks": ("options", "config", "system"),
    "ops_cpu": (),
    "ops_winograd": ("ops_cpu",),
    "ops_onednn": ("ops_cpu", "ops_winograd"),
    "kernels": (*OPTIONS, "ops_cpu", "ops_onednn", "ops_winograd", "system", "utils"),
    "ops": ("ops_cpu",),
    "model": ("ops", "ops_cpu"),
    "system": ("system",),
    "utils": ("system",),
    "films": ("utils",),
    "checkpoint": ("system", "utils"),
    "fetching": ("fetching", "system", "utils"),
    "download": ("fetching", "system", "utils"),
    "datasets": (*OPTIONS, "datasets", "download", "fetching.verify", "system", "utils"),
    "devices": (*OPTIONS, "devices", "system"),
    "training": (
        *OPTIONS,
        *NETWORKS,
        "training",
        "checkpoint",
        "datasets",
        "devices",
        "films",
        "system",
        "utils",
    ),
    "inference": (
        *OPTIONS,
        *NETWORKS,
        "inference",
        "checkpoint",
        "datasets",
        "devices",
        "films",
        "training.curves",
        "training.samples",
        "training.step_dump",
        "training.throughput",
        "system",
        "utils",
    ),
    "launch": (
        *OPTIONS,
        "launch",
        "datasets.names",
        "datasets.registry",
        "devices.rank_table",
        "training.throughput",
        "system",
    ),
    "main": (
        *OPTIONS,
        "config_checks",
        "datasets.registry",
        "devices",
        "inference",
        "training",
        "system",
    ),
}
# Libraries that only these rooms import.
ONLY_IN = {
    "tensorflow": (
        "ops_cpu",
        "ops_onednn",
        "ops_winograd",
        "kernels",
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
    "PIL": ("system.opening", "utils", "datasets", "inference.overview"),
    "requests": ("fetching.fetch",),
}


ROOMS = ("datasets", "devices", "fetching", "inference", "launch", "system", "training")


def project_files():
    paths = glob.glob(os.path.join(ROOT, "*.py"))
    for room in ROOMS:
        paths += glob.glob(os.path.join(ROOT, room, "*.py"))
    return sorted(os.path.relpath(path, ROOT) for path in paths)


def module_name(path):
    return path[: -len(".py")].replace(os.sep, ".").replace(".__init__", "")


def parsed(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return ast.parse(file.read())


def imported(path):
    """(line, dotted name) of every import of a file, those inside functions too."""
    for node in ast.walk(parsed(path)):
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


LINES_OF_A_FILE, LINES_OF_A_FUNCTION, POSITIONAL_PARAMETERS = 300, 50, 3


def functions(tree):
    """(function, whether it is a method) of all functions and methods of a file's top level."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node, False
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    decorators = [getattr(name, "id", None) for name in inner.decorator_list]
                    yield inner, "staticmethod" not in decorators


def last_line(node):
    return max(getattr(inner, "lineno", 0) for inner in ast.walk(node))


def too_long(tree):
    """What of a file has more lines than it should."""
    if last_line(tree) > LINES_OF_A_FILE:
        yield f"{last_line(tree)} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            lines = last_line(node) - node.lineno + 1
            if lines > LINES_OF_A_FUNCTION:
                yield f"{node.name}: {lines} lines"


def too_positional(tree):
    """The public functions that take more by position than a reader keeps apart."""
    for function, is_method in functions(tree):
        public = function.name == "__init__" or not function.name.startswith("_")
        if public and len(function.args.args) - is_method > POSITIONAL_PARAMETERS:
            yield function.name


def callable_fields(tree):
    """The fields of NamedTuples and dataclasses that hold a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            above = [ast.dump(name) for name in node.bases + node.decorator_list]
            if any("NamedTuple" in name or "dataclass" in name for name in above):
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and "allable" in ast.dump(field.annotation):
                        yield f"{node.name}.{field.target.id}"


@pytest.mark.parametrize("path", project_files())
def test_files_and_functions_are_short(path):
    assert not list(too_long(parsed(path)))


@pytest.mark.parametrize("path", project_files())
def test_no_public_function_takes_more_than_three_by_position(path):
    assert not list(too_positional(parsed(path)))


@pytest.mark.parametrize("path", project_files())
def test_data_holds_no_functions(path):
    assert not list(callable_fields(parsed(path)))


def test_what_is_beyond_the_limits_is_seen():
    tree = ast.parse(
        "class A(NamedTuple):\n    f: Callable[[int], int]\n    n: int\n"
        "@dataclass\nclass B:\n    g: Optional[typing.Callable]\n"
        "class C:\n    def __init__(self, a, b, c, d): pass\n    def _own(self, a, b, c, d): pass\n"
        "def three(a, b, c, *, d): pass\ndef four(a, b, c, d): pass\n"
        "def long():\n" + 300 * "    pass\n"
    )
    assert list(callable_fields(tree)) == ["A.f", "B.g"]
    assert list(too_positional(tree)) == ["__init__", "four"]
    assert list(too_long(tree)) == ["312 lines", "long: 301 lines"]


def test_no_test_imports_another():
    """What several tests need is in `helpers`."""
    paths = glob.glob(os.path.join(ROOT, "test", "unit", "**", "*.py"), recursive=True)
    assert len(paths) > 50
    for path in paths:
        assert not [name for _, name in imported(path) if name.startswith("test_")], path
