"""Writes docs/flags.md from the declarations of the options.

    python docs/make_flags.py

A test compares the file with `flags_page()`.
"""

import os
import sys
from typing import List

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(FOLDER))

from config import OPTIONS  # noqa: E402
from options import NamedOption  # noqa: E402

PATH = os.path.join(FOLDER, "flags.md")
HEAD = """\
# Flags of main.py

`python docs/make_flags.py` writes this page from `config.py` and `config_npu.py`.
A flag marked *fixed* cannot change when a run is resumed; all others can.
A Boolean flag is switched on by `--flag` or `--flag=True` and off by `--noflag` or `--flag=False`.
"""


def flags_page() -> str:
    """The page as Markdown text: one table a section, in the order of `--help=all`."""
    lines: List[str] = [HEAD]
    section = ""
    for option in OPTIONS.values():
        if not option.flag:
            continue
        if option.section != section:
            section = option.section
            lines += [f"\n## {section}\n", "| Flag | Default | Values | |", "|---|---|---|---|"]
        lines.append(_row(option))
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _row(option: NamedOption) -> str:
    empty = option.default is None or option.default is False or option.default in ("", ())
    default = "" if empty else f"`{option.default}`"
    fixed = "" if option.declared.may_change else " *Fixed.*"
    text = option.declared.help.replace("*", "\\*") + fixed
    cells = [f"`--{option.flag}`", default, _values(option), text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(option: NamedOption) -> str:
    declared = option.declared
    if option.kind is bool:
        return "on, off"
    if option.kind is tuple:
        return "text, repeatable"
    if declared.choices:
        return ", ".join(f"`{choice}`" for choice in declared.choices)
    if option.kind in (int, float):
        return " to ".join(f"{bound:,.10g}" for bound in (declared.low, declared.high))
    return "a path" if declared.path else "text"


if __name__ == "__main__":
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(flags_page())
