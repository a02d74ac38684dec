"""The Markdown documents of the project: their links, flags and commands."""

import glob
import os
import re
import shlex
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

from paths import ROOT

from config import OPTIONS

# Why a command is not run, in a comment on the line before its block: <!-- needs: NPU -->
NEEDS = re.compile(r"<!-- needs: (.+) -->")
FENCE = re.compile(r"^```(\w*)$")
FLAG = re.compile(r"(?<![\w-])--([A-Za-z][\w-]*)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$")
# Programs with flags of their own, which are not checked.
OTHER_PROGRAMS = (
    "atc",
    "cd",
    "docker",
    "export",
    "git",
    "npu-smi",
    "pip",
    "pre-commit",
    "source",
    "tensorboard",
)


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        path: the document, relative to the project.
        line: of its fence.
        language: such as "bash"; "" for none.
        needs: what a machine must have to run it; "" if it is run by the tests.
        text: what is in it.
    """

    path: str
    line: int
    language: str
    needs: str
    text: str


class Command(NamedTuple):
    """A command of a `bash` or `sh` block.

    Attributes:
        words: the command line.
        where: document and line, for messages.
        needs: see `Block`.
        environment: (name, value) of the variables set before it.
    """

    words: List[str]
    where: str
    needs: str = ""
    environment: Tuple[Tuple[str, str], ...] = ()


def documents() -> List[str]:
    """The documents, relative to the project; the README, which trains the run they use, first."""
    paths = [os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "*.md"))]
    for pattern in (("docs", "*.md"), ("docs", "*", "*.md")):
        paths += [os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(ROOT, *pattern))]
    return sorted(paths, key=lambda path: (path != "README.md", path))


def read(path: str) -> str:
    """The text of a document."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def blocks(path: str) -> Iterator[Block]:
    """The fenced blocks of a document."""
    lines = read(path).split("\n")
    start = None
    for number, line in enumerate(lines):
        fence = FENCE.match(line.strip())
        if fence and start is None:
            start = number
        elif fence:
            needs = NEEDS.fullmatch(lines[start - 1].strip()) if start else None
            yield Block(
                path,
                start + 1,
                FENCE.match(lines[start].strip()).group(1),
                needs.group(1) if needs else "",
                "\n".join(lines[start + 1 : number]),
            )
            start = None
    assert start is None, f"{path}:{start}: a block without an end"


def commands(path: str) -> Iterator[Command]:
    """The commands of a document, one a line; a line that ends in a backslash goes on."""
    for block in blocks(path):
        if block.language in ("bash", "sh"):
            for line in block.text.replace("\\\n", " ").split("\n"):
                words = shlex.split(line, comments=True)
                environment = []
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    name, _, value = words.pop(0).partition("=")
                    environment.append((name, value))
                if words:
                    where = f"{path}:{block.line}: {line}"
                    yield Command(words, where, block.needs, tuple(environment))


def prose(path: str) -> str:
    """A document without its fenced blocks and comments."""
    text = re.sub(r"^```.*?^```$", "", read(path), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def anchors(path: str) -> Set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found = set()
    for line in prose(path).split("\n"):
        heading = HEADING.match(line)
        if heading:
            text = re.sub(r"[^\w\- ]", "", heading.group(1).lower())
            found.add(text.strip().replace(" ", "-"))
    return found


def main_flags() -> Set[str]:
    """The names of main.py's flags, "no" before those that are switches, and those it answers."""
    found = {"help", "version", "evaluate"}
    for option in OPTIONS.values():
        found.update([option.flag, *option.declared.other_names])
        if option.kind is bool:
            found.add("no" + option.flag)
    return found - {""}


def script_flags() -> Dict[str, Set[str]]:
    """Flags by script: of each shell script, benchmark and tool, as its own text names them."""
    patterns = ("test/*.sh", "benchmarks/*.py", "launch/arguments.py", "download.py", "docs/*.py")
    found = {}
    for pattern in patterns:
        for path in glob.glob(os.path.join(ROOT, pattern)):
            with open(path, encoding="utf-8") as file:
                found[os.path.relpath(path, ROOT)] = set(FLAG.findall(file.read()))
    return found
