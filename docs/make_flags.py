"""Writes docs/flags.md and docs/zh-CN/flags.md from the declarations of the options.

    python docs/make_flags.py

The Chinese texts are in docs/zh-CN/flags.json; a flag that is missing there keeps its English text. A
test compares both files with `page()`.
"""

import json
import os
import sys
from typing import Dict, List, NamedTuple

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(FOLDER))

from config import OPTIONS  # noqa: E402
from options import NamedOption  # noqa: E402


class Language(NamedTuple):
    """How a page is written.

    Attributes:
        path: the page, relative to docs/.
        head: its text above the tables.
        columns: the heads of a table's columns.
        fixed: the note on a flag that cannot change when a run is resumed.
        on_off, path_word, text, repeatable: kinds of values.
        to: between two bounds.
        comma: between two choices.
        texts: of sections and flags; the English ones where there is none.
    """

    path: str
    head: str
    columns: str
    fixed: str
    on_off: str
    path_word: str
    text: str
    repeatable: str
    to: str
    comma: str
    texts: Dict[str, str]


def _chinese_texts() -> Dict[str, str]:
    with open(os.path.join(FOLDER, "zh-CN", "flags.json"), encoding="utf-8") as file:
        return dict(json.load(file))


ENGLISH = Language(
    path="flags.md",
    head="""\
# Flags of main.py

`python docs/make_flags.py` writes this page from `config.py` and `config_npu.py`.
A flag marked *fixed* cannot change when a run is resumed; all others can.
A Boolean flag is switched on by `--flag` or `--flag=True` and off by `--noflag` or `--flag=False`.
""",
    columns="| Flag | Default | Values | Meaning |",
    fixed=" *Fixed.*",
    on_off="on, off",
    path_word="a path",
    text="text",
    repeatable="text, repeatable",
    to=" to ",
    comma=", ",
    texts={},
)
CHINESE = Language(
    path="zh-CN/flags.md",
    head="""\
# main.py 参数说明

[English](../flags.md) · [返回 README](../../README.zh-CN.md)

本页由 `python docs/make_flags.py` 根据 `config.py`、`config_npu.py` 和 `docs/zh-CN/flags.json` 生成。
标有“*续训时不可改*”的参数在断点续训时必须保持不变，其余参数可以修改。
开关类参数用 `--flag` 或 `--flag=True` 打开，用 `--noflag` 或 `--flag=False` 关闭。
""",
    columns="| 参数 | 默认值 | 取值 | 说明 |",
    fixed="*续训时不可改。*",
    on_off="开、关",
    path_word="路径",
    text="文本",
    repeatable="文本，可重复",
    to=" 至 ",
    comma="、",
    texts=_chinese_texts(),
)
LANGUAGES = (ENGLISH, CHINESE)


def page(language: Language) -> str:
    """A page as Markdown text: one table a section, in the order of `--help=all`."""
    lines: List[str] = [language.head]
    section = ""
    for option in OPTIONS.values():
        if not option.flag:
            continue
        if option.section != section:
            section = option.section
            title = language.texts.get(section, section)
            lines += [f"\n## {title}\n", language.columns, "|---|---|---|---|"]
        lines.append(_row(option, language))
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _row(option: NamedOption, language: Language) -> str:
    empty = option.default is None or option.default is False or option.default in ("", ())
    default = "" if empty else f"`{option.default}`"
    fixed = "" if option.declared.may_change else language.fixed
    text = language.texts.get(option.flag, option.declared.help).replace("*", "\\*") + fixed
    cells = [f"`--{option.flag}`", default, _values(option, language), text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(option: NamedOption, language: Language) -> str:
    declared = option.declared
    if option.kind is bool:
        return language.on_off
    if option.kind is tuple:
        return language.repeatable
    if declared.choices:
        return language.comma.join(f"`{choice}`" for choice in declared.choices)
    if option.kind in (int, float):
        return language.to.join(f"{bound:,.10g}" for bound in (declared.low, declared.high))
    return language.path_word if declared.path else language.text


if __name__ == "__main__":
    for each in LANGUAGES:
        with open(os.path.join(FOLDER, each.path), "w", encoding="utf-8") as file:
            file.write(page(each))
