"""The documents: links, flags and commands are true."""

import glob
import importlib
import os
import re
import subprocess
import sys

import pytest
from documents import (
    FLAG,
    LINK,
    OTHER_PROGRAMS,
    Command,
    anchors,
    commands,
    documents,
    main_flags,
    prose,
    read,
    script_flags,
)
from paths import ROOT

import main
from config import OPTIONS
from launch import align
from launch.arguments import OWN, PASSED_ON, SEVERAL

DOCUMENTS = documents()
CODE = re.compile(r"`([\w./-]+)`")
AVOIDED = re.compile(
    r"\b(?:pictures?|no number|to the bit|without a word|takes? up|colour\w*|grey|centre\w*"
    r"|behaviour\w*|labelled|neighbour\w*|a mistake of)\b",
    re.IGNORECASE,
)
# Of a file that a user or a contributor makes.
PLACEHOLDER = re.compile(r"NAME|DIR|/output/")
# Flags of other programs that the documents mention.
NOT_OURS = {"build-arg", "framework", "input_shape", "model", "output", "host", "logdir"}


def all_flags():
    found = main_flags() | set(OWN) | set(SEVERAL) | set(PASSED_ON) | set(align.OWN) | NOT_OURS
    for names in script_flags().values():
        found |= names
    return found


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_and_images_exist(path):
    folder = os.path.dirname(path)
    for link in LINK.findall(prose(path)):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(folder, file)) if file else path
        assert os.path.exists(os.path.join(ROOT, target)), link
        if anchor:
            assert anchor in anchors(target), link


# A changelog also names what is refused or gone.
@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path != "CHANGELOG.md"])
def test_flags_in_prose_exist(path):
    assert not set(FLAG.findall(prose(path))) - all_flags()


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path != "CHANGELOG.md"])
def test_files_of_the_project_in_prose_exist(path):
    folders = [name for name in os.listdir(ROOT) if os.path.isdir(os.path.join(ROOT, name))]
    named = set(CODE.findall(prose(path)))
    files = [each for each in named if each.split("/")[0] in set(folders) - {"out", "data"}]
    files = [each for each in files if "/" in each and not PLACEHOLDER.search(each)]
    assert not [each for each in files if not os.path.exists(os.path.join(ROOT, each))]


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path != "CHANGELOG.md"])
def test_the_words_are_those_of_the_field(path):
    """docs/DESIGN.md, "Words"."""
    assert not AVOIDED.findall(prose(path))


@pytest.mark.parametrize("path", ["CONTRIBUTING.md", "docs/DESIGN.md"])
def test_names_of_tables_exist(path):
    """Such as `LOSSES`: assigned in one of the modules."""
    names = [each for each in CODE.findall(prose(path)) if each.isupper() and "." not in each]
    for name in names:
        assert any(re.search(rf"^{name}\b.* = ", text, re.MULTILINE) for text in module_texts()), (
            name
        )


def module_texts():
    paths = glob.glob(os.path.join(ROOT, "*.py")) + glob.glob(os.path.join(ROOT, "*", "*.py"))
    return [read(path) for path in paths]


@pytest.mark.parametrize("path", ["docs/ascend.md", "docs/zh-CN/ascend.md"])
def test_the_ascend_pages_name_every_option_of_the_npu(path):
    named = set(FLAG.findall(prose(path)))
    options = {each.flag for each in OPTIONS.values() if each.declared.npu_only}
    assert not options - named


def fault(command):
    """What is wrong with a command; "" if nothing is."""
    words = command.words
    while words[0] in ("horovodrun", "-np", "2", "nohup", "time"):
        words = words[1:]
    if words[0] in OTHER_PROGRAMS:
        return ""
    if words[0] not in ("bash", "python", "make"):
        return f"{words[0]}: unknown program"
    if words[0] == "make":
        return "" if f"\n{words[1]}:" in read("Makefile") else f"make {words[1]}: no such target"
    script, given = words[1], words[2:]
    if script == "-m":
        return ""
    if not os.path.isfile(os.path.join(ROOT, script)):
        return f"{script}: no such file"
    if script == "main.py":
        return refused(given)
    end = given.index("--") if "--" in given else len(given)
    known = script_flags().get(script, set())
    if os.path.basename(script).startswith("train_"):
        known = {*OWN, *PASSED_ON, "help", *(SEVERAL if script.endswith("_8p.sh") else {})}
    if script == "test/align.sh":
        known = {*align.OWN, *main_flags()}
    unknown = set(FLAG.findall(" ".join(given[:end]))) - known
    return f"{script}: unknown {sorted(unknown)}" if unknown else refused(given[end + 1 :])


def refused(flags):
    """Why main.py refuses these flags; "" if it takes them."""
    try:
        main.parse(["main.py", *flags])
    except SystemExit:
        return ""
    except main.UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", DOCUMENTS)
def test_commands_are_accepted(path, capsys):
    faults = {each.where: fault(each) for each in commands(path)}
    assert not {where: text for where, text in faults.items() if text}


@pytest.mark.parametrize(
    "words, text",
    [
        (["python", "main.py", "--no_such_flag"], "no_such_flag"),
        (["python", "main.py", "--epoch=x"], "--epoch"),
        (["bash", "test/train_full_1p.sh", "--np=2"], "np"),
        (["bash", "test/train_full_1p.sh", "--", "--beta1=7"], "--beta1"),
        (["bash", "test/no_such.sh"], "no such file"),
        (["python", "benchmarks/train_speed.py", "--pier=torch"], "pier"),
        (["rm", "-rf", "/"], "unknown program"),
    ],
)
def test_a_wrong_command_is_seen(words, text):
    assert text in fault(Command(words, "here"))


def make_flags():
    """The program docs/make_flags.py as a module."""
    sys.path.insert(0, os.path.join(ROOT, "docs"))
    try:
        return importlib.import_module("make_flags")
    finally:
        sys.path.pop(0)


def test_the_pages_of_flags_are_up_to_date():
    program = make_flags()
    for language in program.LANGUAGES:
        path = os.path.join("docs", language.path)
        assert read(path) == program.page(language), "run python docs/make_flags.py"


def test_the_chinese_texts_are_of_flags_that_exist():
    sections = {option.section for option in OPTIONS.values()}
    flags = {option.flag for option in OPTIONS.values()} - {""}
    assert not set(make_flags().CHINESE.texts) - sections - flags


def test_the_readme_is_short():
    assert read("README.md").count("\n") <= 130


def linked_project(folder):
    """Fills a folder with links to the project's files, so that commands run there as in a clone."""
    for name in os.listdir(ROOT):
        if name not in ("out", "data") and not name.startswith("."):
            os.symlink(os.path.join(ROOT, name), str(folder / name))


@pytest.mark.marathon
def test_commands_run(tmp_path, monkeypatch):
    """In one folder, the README's first: the other documents draw from the run that it trains."""
    linked_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = []
    for path in DOCUMENTS:
        for command in commands(path):
            if command.needs or (command.words, command.environment) in done:
                continue
            done.append((command.words, command.environment))
            assert finished(command) == 0, command.where
    assert os.path.isfile(str(tmp_path / "out" / "first" / "index.html"))


def finished(command):
    """The exit code of a command; main.py is called here where that is the same."""
    if command.words[:2] == ["python", "main.py"] and not command.environment:
        return main.main(command.words[1:])
    words = [sys.executable if word == "python" else word for word in command.words]
    return subprocess.run(words, env=dict(os.environ, **dict(command.environment))).returncode
