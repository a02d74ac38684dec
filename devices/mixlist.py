"""The mixlist: which operators mixed precision may and may not compute in float16.

The adapter checks neither that the file exists nor its content, so it is checked here. The format
is that of `modify_mixlist` in CANN's manual: a white list (float16 allowed) and a black list (not
allowed), each with operators `to-add` and `to-remove`. An operator on neither list follows the
operator before it.
"""

import re
from typing import Dict, Iterator, List, Tuple

from devices import located_json
from options import UserError

LISTS = ("black-list", "white-list")
PARTS = ("to-add", "to-remove")
_OPERATOR_TYPE = re.compile(r"[A-Za-z]\w*$")


def check(path: str) -> None:
    """Checks a mixlist file.

    Raises:
        UserError: naming the file, the position and the error.
    """
    if re.search(r"\s", path):
        raise UserError(
            f"--modify_mixlist: {path!r}: the device takes no path with a blank; copy the file to "
            "another folder, or --modify_mixlist=off"
        )
    try:
        _check_document(located_json.read(path))
    except located_json.BadJson as error:
        raise UserError(f"--modify_mixlist: {path}: {error}")


def _check_document(document: located_json.Document) -> None:
    seen: Dict[str, List[Tuple]] = {}
    for path, operators in _parts(document):
        if not isinstance(operators, list):
            raise document.error(path, "must be a list of operators")
        for index, operator in enumerate(operators):
            position = path + (index,)
            if not (isinstance(operator, str) and _OPERATOR_TYPE.match(operator)):
                raise document.error(position, 'must be an operator type such as "MatMulV2"')
            for other in seen.setdefault(operator, []):
                if not _may_share(path, other):
                    raise document.error(position, f"{operator} is in {'.'.join(other)} already")
            seen[operator].append(path)


def _parts(document: located_json.Document) -> Iterator[Tuple]:
    """((list, part), value) of each part, after checking the names and types above it."""
    for path in _members(document, (), LISTS):
        for inner in _members(document, path, PARTS):
            yield inner, document.value[inner[0]][inner[1]]


def _members(document, path, names):
    value = document.value[path[0]] if path else document.value
    if not isinstance(value, dict):
        raise document.error(path, f"must be an object of {' and '.join(names)}")
    for name in value:
        if name not in names:
            raise document.error(
                path + (name,), f"unknown name; the names here are {' and '.join(names)}"
            )
        yield path + (name,)


def _may_share(path, other):
    """Whether one operator may be in both parts: to move it from one list to the other."""
    return path == other or (path[0] != other[0] and path[1] != other[1])
