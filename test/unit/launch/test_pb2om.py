"""test/pb2om.sh against a made-up atc that writes down what it was asked for."""

import json
import os
import sys

import pytest
from launching import Project, read
from small_runs import make_run

from inference import export

SCRIPT = "pb2om.sh"
NOTE_ARGUMENTS = '#!/bin/sh\nprintf "%s\\n" "$@" >"$(dirname "$0")/../asked"\nexit 7\n'


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "scripts")
    project.environment["DCGAN_PYTHON"] = sys.executable
    return project


def with_atc(project):
    project.program(os.path.join(project.bin, "atc"), NOTE_ARGUMENTS)


def frozen(tmp_path, architecture):
    asked = make_run(tmp_path / "out", architecture)
    (path,) = export.freeze(asked.replace(freeze=True))
    return path


@pytest.mark.parametrize("architecture, shape", [("mnist", "z:64,4;y:64,10"), ("image", "z:64,4")])
def test_what_atc_is_asked_for(project, tmp_path, architecture, shape):
    path = frozen(tmp_path, architecture)
    with_atc(project)
    assert project.run(SCRIPT, "--pb=" + path).returncode == 7  # atc's own
    asked = read(os.path.join(project.bin, os.pardir, "asked")).split("\n")[:-1]
    assert asked == [
        "--model=" + path,
        "--framework=3",
        "--output=" + path[: -len(".pb")],
        "--soc_version=Ascend910",
        "--input_shape=" + shape,
    ]
    project.run(SCRIPT, "--pb=" + path, "--batch_size=1", "--output=/m", "--soc_version=Ascend310")
    asked = read(os.path.join(project.bin, os.pardir, "asked")).split("\n")[:-1]
    assert asked[2:] == [
        "--output=/m",
        "--soc_version=Ascend310",
        "--input_shape=" + shape.replace("64", "1"),
    ]


NPU_SMI = """#!/bin/sh
cat <<'TEXT'
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc1                 Version: 23.0.rc1                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%%)  Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 2     %s | OK            | 91.7        45                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3304 / 65536         |
+===========================+===============+====================================================+
TEXT
"""


@pytest.mark.parametrize(
    "name, chip", [("910B1              ", "Ascend910B1"), ("Ascend910A         ", "Ascend910A")]
)
def test_the_chip_is_the_one_that_npu_smi_names(project, tmp_path, name, chip):
    with_atc(project)
    project.program(os.path.join(project.bin, "npu-smi"), NPU_SMI % name)
    project.run(SCRIPT, "--pb=" + frozen(tmp_path, "image"))
    assert "--soc_version=" + chip in read(os.path.join(project.bin, os.pardir, "asked"))
    project.run(SCRIPT, "--pb=" + frozen(tmp_path, "image"), "--soc_version=Ascend310")
    assert "--soc_version=Ascend310" in read(os.path.join(project.bin, os.pardir, "asked"))


def test_without_cann_it_is_one_line(project, tmp_path):
    done = project.run(SCRIPT, "--pb=" + frozen(tmp_path, "image"))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("atc: not found") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b'{"inputs": 3}',
        b'{"inputs": {"z": 3}}',
        b'{"inputs": {"z": ["many"]}}',
    ],
)
def test_a_description_that_cannot_be_read_is_one_line(project, tmp_path, content):
    path = tmp_path / "generator.pb"
    path.write_bytes(b"graph")
    if content is not None:
        (tmp_path / "generator.json").write_bytes(content)
    with_atc(project)
    done = project.run(SCRIPT, f"--pb={path}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert str(tmp_path / "generator.json") in done.stderr


@pytest.mark.parametrize(
    "arguments, named",
    [
        ([], "--pb"),
        (["--pb=/nowhere.pb"], "--pb=/nowhere.pb"),
        (["--pb="], "--pb="),
        (["--pb={pb}", "--batch_size=0"], "--batch_size"),
        (["--bogus=1"], "--bogus"),
    ],
)
def test_a_mistake_is_one_line(project, tmp_path, arguments, named):
    (tmp_path / "g.pb").write_bytes(b"graph")
    done = project.run(SCRIPT, *[part.format(pb=tmp_path / "g.pb") for part in arguments])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(named) and done.stderr.count("\n") == 1


def test_help(project):
    done = project.run(SCRIPT, "--help")
    assert (done.returncode, done.stderr) == (0, "") and "--soc_version" in done.stdout


def test_the_description_is_the_exports_own(tmp_path):
    with open(frozen(tmp_path, "mnist")[: -len(".pb")] + ".json", encoding="utf-8") as file:
        assert list(json.load(file)["inputs"]) == ["z", "y"]
