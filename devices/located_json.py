"""Strict JSON with the position of each value, for errors that name line and column."""

import io
import json
from json.decoder import scanstring
from typing import Any, Dict, NamedTuple, Tuple

from system.regular_file import open_regular

MAX_CHARACTERS = 1 << 20

Path = Tuple  # of member names and list indices


class BadJson(Exception):
    """A text that is not strict JSON. The message is one line that begins with the position."""


class Document(NamedTuple):
    """A parsed text.

    Attributes:
        value: what `json.loads` returns.
        text: the text.
        offsets: path -> index in `text` of a member's name or of a list's item. A path is a tuple
            of member names and list indices.
    """

    value: Any
    text: str
    offsets: Dict[Path, int]

    def error(self, path: Path, reason: str) -> BadJson:
        """The error `reason` at the value of `path`."""
        return _error(self.text, self.offsets[path], f"{_dotted(path)}: {reason}")


def read(path: str) -> Document:
    """Parses a file.

    Raises:
        BadJson: it cannot be read, is not UTF-8 or not strict JSON, names a member twice, or is too
            long or too deep for an options file.
    """
    try:
        # As io reads text: any line end is a newline.
        with open_regular(path) as file, io.TextIOWrapper(file, "utf-8") as decoded:
            text = decoded.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise BadJson(f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8 text (byte {error.start})")
    return parse(text)


def parse(text: str) -> Document:
    """Parses a text; raises `BadJson` as `read` does."""
    if len(text) > MAX_CHARACTERS:
        raise BadJson(f"more than {MAX_CHARACTERS} characters")
    offsets = {}
    try:
        value = json.loads(text, parse_constant=_refuse)
        _walk(text, 0, (), offsets)
    except json.JSONDecodeError as error:
        raise BadJson(f"line {error.lineno}, column {error.colno}: {error.msg}")
    except RecursionError:
        raise BadJson("nested too deeply")
    return Document(value, text, offsets)


def _walk(text, index, path, offsets):
    """Records the offsets of the value at `index` and its parts; returns the index behind the value.

    The text was parsed before, so it is well formed.
    """
    index = _skip_blanks(text, index)
    offsets.setdefault(path, index)
    opening = text[index]
    if opening not in "{[":
        return json.JSONDecoder().raw_decode(text, index)[1]
    index = _skip_blanks(text, index + 1)
    items = 0
    while text[index] not in "}]":
        inner = path + (items,)
        if opening == "{":
            name, behind = scanstring(text, index + 1)
            inner = path + (name,)
            if inner in offsets:
                raise _error(text, index, f"{_dotted(inner)}: named twice")
            offsets[inner] = index
            index = _skip_blanks(text, behind) + 1  # the colon
        index = _skip_blanks(text, _walk(text, index, inner, offsets))
        if text[index] == ",":
            index = _skip_blanks(text, index + 1)
        items += 1
    return index + 1


def _skip_blanks(text, index):
    while text[index] in " \t\n\r":
        index += 1
    return index


def _refuse(constant):
    raise BadJson(f"{constant} is not JSON")


def _error(text, offset, reason):
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    return BadJson(f"line {line}, column {column}: {reason}")


def _dotted(path):
    """`("black-list", "to-add", 2)` as `black-list.to-add[2]`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".") or "the whole"
