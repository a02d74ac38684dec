"""test/env.sh: which interpreter is taken, how .venv is built, completed and brought up to date."""

import ast
import glob
import importlib.util
import os
import re
import subprocess
import sys
import zipfile

import pytest
from launching import MODULES, Project
from paths import ROOT

VERSION = "{}.{}".format(*sys.version_info)
SHIM = '#!/bin/sh\necho "pyenv: $0: command not found" >&2\nexit 127\n'


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.write("requirements.txt", "tensorflow==1.15.5\n")
    made.write("requirements-dev.txt", "pytest\n")
    wheels = os.path.dirname(wheel(made, "tensorflow", ("tensorflow",) + MODULES))
    made.environment.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=wheels, PIP_CONFIG_FILE=os.devnull)
    return made


def wheel(project, package, modules, version="1.15.5"):
    """Makes an installable package of empty modules; returns its path."""
    path = project.write(f"wheels/{package}-{version}-py3-none-any.whl")
    info = f"{package}-{version}.dist-info/"
    with zipfile.ZipFile(path, "w") as archive:
        for module in modules:
            archive.writestr(module + ".py", f"__version__ = {version!r}\n")
        archive.writestr(
            info + "METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        archive.writestr(
            info + "WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(info + "RECORD", "")
    return path


def chosen(project, **environment):
    """The path of the interpreter that env.sh chooses, and all that it says."""
    result = project.run("env.sh", **environment)
    assert result.returncode == 0, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Environment: ")
    return last[len("Environment: ") :].split(" (")[0], result.stderr


def on_path(project, name, **options):
    return project.interpreter(os.path.join(project.bin, name), **options)


# ---- what is taken ----


def test_order(project):
    """Each is taken when all that come before it are gone."""
    named = project.interpreter("elsewhere/python")
    candidates = [project.interpreter(".venv/bin/python")]
    project.write(".venv/requirements.txt.installed", checksum(project, "requirements.txt"))
    candidates += [on_path(project, name) for name in ("python3.7", "python3", "python")]
    assert chosen(project, DCGAN_PYTHON=named)[0] == named
    for candidate in candidates:
        path, said = chosen(project)
        assert path == candidate
        assert f"Python {VERSION}." in said and "TensorFlow 1.15.5" in said
        os.remove(candidate)


def test_those_without_tensorflow_and_shims_are_passed_over(project):
    project.program(os.path.join(project.bin, "python3.7"), SHIM)
    on_path(project, "python3", tensorflow=None)
    wanted = on_path(project, "python", tensorflow="2.21.0")
    path, said = chosen(project)
    assert path == wanted
    assert said.count("\n") == 1 and "TensorFlow 2.21.0): the first on PATH" in said


def test_a_later_one_of_the_same_name_on_path_counts(project, tmp_path):
    project.program(os.path.join(project.bin, "python3"), SHIM)
    wanted = project.interpreter(str(tmp_path / "image" / "python3"))
    assert chosen(project, PATH="{}:{}".format(project.bin, tmp_path / "image"))[0] == wanted


@pytest.mark.parametrize("make", ["missing", "without", "shim"])
def test_a_named_interpreter_that_will_not_do_is_refused(project, make):
    named = project.path("named")
    if make == "without":
        project.interpreter("named", tensorflow=None)
    elif make == "shim":
        project.program("named", SHIM)
    on_path(project, "python3")
    result = project.run("env.sh", DCGAN_PYTHON=named)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"DCGAN_PYTHON={named}: ")
    assert {
        "missing": "no such program",
        "without": "No TensorFlow here",
        "shim": "command not found",
    }[make] in result.stderr


def test_a_named_interpreter_may_be_relative(project):
    named = project.interpreter("elsewhere/python")
    result = project.run("env.sh", cwd=project.path("elsewhere"), DCGAN_PYTHON="./python")
    assert os.path.samefile(result.stderr.split()[1], named)


def test_an_exported_cdpath_leads_nowhere_else():
    result = subprocess.run(
        ["bash", "-c", '. test/env.sh; printf %s "$ROOT"'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env=dict(os.environ, CDPATH="."),
        text=True,
    )
    assert result.stdout == ROOT


def test_what_an_interpreter_lacks_is_named_with_the_command(project):
    path = on_path(project, "python3", lacking=("tqdm", "PIL"))
    result = project.run("env.sh")
    assert result.returncode == 2
    assert (
        result.stderr
        == "Environment: {0} (Python {1}, TensorFlow 1.15.5) lacks pillow, tqdm: "
        "{0} -m pip install pillow tqdm\n".format(path, "{}.{}.{}".format(*sys.version_info))
    )


def test_nothing_is_installed_into_a_foreign_interpreter_for_the_tests(project):
    path = on_path(project, "python3")
    result = project.run("run_tests.sh")
    assert result.returncode == 2
    names = ["pytest", "pytest-xdist", "hypothesis", "ruff"]
    wanted = f"lacks {', '.join(names)}: {path} -m pip install {' '.join(names)}"
    assert wanted in result.stderr


def test_ascends_environment_is_sourced(project):
    """What it prints, sets and fails in changes nothing for the script."""
    if os.path.exists("/usr/local/Ascend"):
        pytest.skip("needs hardware: a machine without CANN, which comes before this test's own")
    on_path(project, "python3")
    toolkit = project.write(
        os.path.join(project.home, "Ascend/ascend-toolkit/set_env.sh"),
        "echo noise$NOT_SET\nfalse\nset -eu\nexport ASCEND_OPP_PATH=/opp\n",
    )
    plugin = project.write(
        os.path.join(project.home, "Ascend/tfplugin/set_env.sh"),
        "export PLUGIN=$ASCEND_OPP_PATH/plugin\n",
    )
    command = ". {}; choose_python; echo $ASCEND_OPP_PATH $PLUGIN $NOT_SET; false; echo $-".format(
        project.path("test/env.sh")
    )
    result = subprocess.run(
        ["bash", "-c", command],
        env=project.environment,
        text=True,
        capture_output=True,
    )
    assert result.stdout == "/opp /opp/plugin\nhBc\n"
    assert result.stderr.endswith(f"; CANN by {toolkit}, {plugin}\n")
    assert "CANN" not in chosen(project, ASCEND_OPP_PATH="/opp", HOME="/nowhere")[1]


@pytest.mark.parametrize("home", ["toolkit", "toolkit/latest"])
def test_ascends_toolkit_is_found_by_its_variable(project, home):
    on_path(project, "python3")
    toolkit = project.write("toolkit/set_env.sh", "export ASCEND_OPP_PATH=/opp\n")
    os.makedirs(project.path("toolkit/latest"))
    said = chosen(project, ASCEND_TOOLKIT_HOME=project.path(home))[1]
    assert os.path.samefile(said.split("; CANN by ")[1].split(",")[0].strip(), toolkit)


def test_every_module_that_the_program_imports_is_asked_for():
    """Those that are imported inside a function say themselves what is missing."""
    folders = [ROOT] + [
        os.path.join(ROOT, name) for name in ("datasets", "devices", "training", "inference")
    ]
    imported, own = set(), {name.split(".")[0] for name in os.listdir(ROOT)}
    for path in (path for folder in folders for path in glob.glob(os.path.join(folder, "*.py"))):
        with open(path, encoding="utf-8") as file:
            for node in ast.parse(file.read()).body:
                if isinstance(node, ast.Import):
                    imported |= {name.name.split(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add(node.module.split(".")[0])
    installed = {name for name in imported - own if comes_with_a_package(name)}
    assert "numpy" in installed
    assert installed <= set(MODULES) | {"tensorflow", "urllib3"}  # urllib3 comes with requests
    with open(os.path.join(ROOT, "test", "env.sh")) as file:
        asked = re.search('RUN_MODULES="(.*?)"', file.read()).group(1).split()
    assert sorted(asked) == sorted(MODULES)


def comes_with_a_package(module):
    spec = importlib.util.find_spec(module)
    return "-packages" in (spec.origin or "") if spec else True


# ---- which interpreter .venv is built from ----


def found(project, version, **environment):
    """What find_python prints."""
    command = ". {}; find_python {}".format(project.path("test/env.sh"), version)
    return subprocess.run(
        ["bash", "-c", command],
        text=True,
        stdout=subprocess.PIPE,
        env=dict(project.environment, **environment),
    ).stdout.strip()


@pytest.mark.parametrize(
    "place, environment",
    [
        ("bin/python" + VERSION, {"PATH": "{bin}:{root}/bin"}),
        ("bin/python3", {"PATH": "{bin}:{root}/bin"}),
        ("pyenv/versions/" + VERSION + ".16/bin/python", {"PYENV_ROOT": "{root}/pyenv"}),
        ("../home/.pyenv/versions/" + VERSION + ".1/bin/python", {}),
        ("conda/envs/old/bin/python", {"CONDA_EXE": "{root}/conda/bin/conda"}),
        ("conda/bin/python", {"CONDA_PREFIX": "{root}/conda"}),
        ("../home/miniconda3/envs/tf 1/bin/python", {}),
    ],
)
def test_places_of_a_base_interpreter(project, place, environment):
    needs_venv()
    project.program(os.path.join(project.bin, "python" + VERSION), SHIM)
    wanted = os.path.normpath(project.interpreter(place))
    environment = {
        name: value.format(bin=project.bin, root=project.root)
        for name, value in environment.items()
    }
    assert found(project, VERSION, **environment) == wanted
    assert found(project, "2.6", **environment) == ""


def test_uv_knows_a_base_interpreter(project):
    needs_venv()
    wanted = project.interpreter("uv/python")
    project.program(
        os.path.join(project.bin, "uv"),
        f'#!/bin/sh\n[ "$*" = "python find {VERSION}" ] && echo {wanted}\n',
    )
    assert found(project, VERSION) == wanted


# ---- building it ----


@pytest.mark.slow
def test_building_updating_and_completing(project):
    needs_venv()
    own = project.path(".venv/bin/python")
    path, said = chosen(project, DCGAN_BASE_PYTHON=sys.executable)
    assert path == own and "the project's own environment" in said
    assert "building" in said and "installing requirements.txt" in said

    path, said = chosen(project)
    assert path == own and said.count("\n") == 1  # nothing to do

    wheel(project, "more", ("more",), version="1")
    project.write("requirements.txt", "tensorflow==1.15.5\nmore==1\n")
    assert "installing requirements.txt" in chosen(project)[1]
    subprocess.run([own, "-c", "import more"], check=True)

    # An installation that was interrupted: no stamp, and a part of it missing.
    subprocess.run(
        [own, "-m", "pip", "-q", "uninstall", "-y", "tensorflow"],
        check=True,
        env=project.environment,
    )
    os.remove(project.path(".venv/requirements.txt.installed"))
    path, said = chosen(project, DCGAN_BASE_PYTHON=sys.executable)
    assert path == own and "installing requirements.txt" in said and "making" not in said

    # An environment that was interrupted before it had a pip.
    os.remove(own)
    path, said = chosen(project, DCGAN_BASE_PYTHON=sys.executable)
    assert path == own and "making" in said


@pytest.mark.slow
def test_two_at_once_build_one_environment(project):
    needs_venv()
    project.environment["DCGAN_BASE_PYTHON"] = sys.executable
    both = [project.start("env.sh") for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("making" in text for text in said) == 1
    assert sum("installing requirements.txt" in text for text in said) == 1


def test_an_update_that_fails_leaves_a_working_environment_in_use(project):
    own = project.interpreter(".venv/bin/python")
    project.write("requirements.txt", "tensorflow==1.15.5\nnot-to-be-had==1\n")
    path, said = chosen(project)
    assert path == own and "going on with what is there" in said
    assert not os.path.exists(project.path(".venv/requirements.txt.installed"))


@pytest.mark.slow
def test_a_build_that_fails_everywhere_is_said_and_returned(project):
    needs_venv()
    project.write("requirements.txt", "not-to-be-had==1\n")
    result = project.run("env.sh", DCGAN_BASE_PYTHON=sys.executable)
    assert result.returncode == 1
    assert "not-to-be-had" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(project.path(".venv") + ": could not be built from " + sys.executable)


def test_without_any_python_it_is_said_what_to_do(project):
    result = project.run("env.sh")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "DCGAN_BASE_PYTHON" in result.stderr


def test_a_folder_that_is_no_environment_is_never_cleared(project):
    kept = project.write("precious/file")
    result = project.run("env.sh", DCGAN_VENV="precious", DCGAN_BASE_PYTHON=sys.executable)
    assert result.returncode == 2
    assert "precious: is there and is not a Python environment" in result.stderr
    assert os.path.exists(kept)


def test_help_of_the_test_run(project):
    result = project.run("run_tests.sh", "--help")
    assert result.returncode == 0 and "--all" in result.stdout


def checksum(project, name):
    with open(project.path(name)) as file:
        return subprocess.run(["cksum"], stdin=file, stdout=subprocess.PIPE, text=True).stdout


def needs_venv():
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        pytest.skip(f"{sys.executable} cannot make environments (no venv or ensurepip)")


def test_the_image_gets_all_that_a_training_imports():
    """The Dockerfile installs what test/env.sh would miss, but never a TensorFlow or a numpy."""
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(ROOT, "test", "env.sh"), encoding="utf-8") as file:
        modules = re.search(r'^RUN_MODULES="(.*?)"', file.read(), re.MULTILINE).group(1).split()
    (installed,) = re.findall(r"pip install --no-cache-dir (.*)", text)
    packages = {"PIL": "pillow", "absl": "absl-py"}
    wanted = {packages.get(name, name) for name in modules} - {"numpy"}
    assert set(installed.split()) == wanted
    assert text.index("ARG FROM_IMAGE_NAME\n") < text.index("FROM ${FROM_IMAGE_NAME}\n")


@pytest.mark.parametrize("script", ["env.sh", "horovod.sh"])
def test_help_starts_nothing(project, script):
    """Seen: `horovod.sh --help` built Horovod, `env.sh --help` an environment."""
    result = project.run(script, "--help")
    assert result.returncode == 0 and result.stderr == "" and f"bash test/{script}" in result.stdout
    result = project.run(script, "--tf=2")
    assert result.returncode == 2
    assert result.stderr == f"--tf=2: {script} takes no options (see --help)\n"
    assert not os.path.exists(project.path(".venv"))
