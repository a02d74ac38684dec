"""Strict JSON that knows where each of its values stands, for errors that name line and column."""

import json
from json.decoder import scanstring
from typing import NamedTuple

MOST_CHARACTERS = 1 << 20


class BadJson(Exception):
    """What is wrong, in one line that begins with its position."""


class Document(NamedTuple):
    """A parsed text.

    Attributes:
        value: what `json.loads` makes of it.
        text: the text.
        offsets: path -> index in `text`; a path is a tuple of member names and list indices. The
            index is that of a member's name, or of a list's item.
    """

    value: object
    text: str
    offsets: dict

    def error(self, path, reason):
        """A `BadJson` that says `reason` of the value at `path`."""
        return _error(self.text, self.offsets[path], f"{_dotted(path)}: {reason}")


def read(path):
    """The `Document` in a file.

    Raises:
        BadJson: it cannot be read, is no UTF-8 or no strict JSON, names a member twice, or is of a
            size or depth that no options file has.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise BadJson(f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8 text (byte {error.start})")
    return parse(text)


def parse(text):
    """The `Document` of a text; raises `BadJson` as `read` does."""
    if len(text) > MOST_CHARACTERS:
        raise BadJson(f"more than {MOST_CHARACTERS} characters")
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
    """Notes where the parts of the value at `index` stand; returns the index behind the value.

    The text has been parsed before, so it is known to be well formed.
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
