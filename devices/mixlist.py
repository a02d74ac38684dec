"""The mixlist: which operators mixed precision may and may not lower to float16.

The adapter checks neither that the file exists nor what it holds, so it is checked here. Its form
(CANN's manual, `modify_mixlist`): a white list (may be lowered) and a black list (may not), each
with operators `to-add` and `to-remove`; an operator on neither follows the one before it.
"""

import re

from devices import located_json
from options import UserError

LISTS = ("black-list", "white-list")
PARTS = ("to-add", "to-remove")
_OPERATOR = re.compile(r"[A-Za-z]\w*$")


def check(path):
    """Checks a mixlist file.

    Raises:
        UserError: naming the file, the position and what is wrong there.
    """
    try:
        _check_document(located_json.read(path))
    except located_json.BadJson as error:
        raise UserError(f"--modify_mixlist: {path}: {error}")


def _check_document(document):
    seen = {}
    for path, operators in _parts(document):
        if not isinstance(operators, list):
            raise document.error(path, "must be a list of operators")
        for index, operator in enumerate(operators):
            place = path + (index,)
            if not (isinstance(operator, str) and _OPERATOR.match(operator)):
                raise document.error(place, 'must be the type of an operator, such as "MatMulV2"')
            for other in seen.setdefault(operator, []):
                if not _may_share(path, other):
                    raise document.error(
                        place, "{} stands in {} already".format(operator, ".".join(other))
                    )
            seen[operator].append(path)


def _parts(document):
    """((list, part), value) of each part, after checking the names and types above it."""
    for path in _members(document, (), LISTS):
        for inner in _members(document, path, PARTS):
            yield inner, document.value[inner[0]][inner[1]]


def _members(document, path, names):
    value = document.value[path[0]] if path else document.value
    if not isinstance(value, dict):
        raise document.error(path, "must be an object of {}".format(" and ".join(names)))
    for name in value:
        if name not in names:
            raise document.error(
                path + (name,), "no such name here; there are {}".format(" and ".join(names))
            )
        yield path + (name,)


def _may_share(path, other):
    """Whether one operator may stand in both: to move it, off one list and onto the other."""
    return path == other or (path[0] != other[0] and path[1] != other[1])
