"""Reads and checks what the environment says of NPUs that train together.

Each process uses one device. RANK_SIZE is the number of processes and RANK_ID the number of this
one. If there are several, JOB_ID names the job and RANK_TABLE_FILE the file with the devices and
their addresses. Without these checks, an error there ends in an abort or in a collective that hangs.
"""

import ipaddress
import os
from typing import Mapping, NamedTuple

from devices import located_json
from options import UserError

_KINDS = {str: "text in quotes", list: "a list"}


class NpuProcess(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: 0 to size - 1.
        size: the number of processes.
    """

    rank: int
    size: int


def read(environ: Mapping[str, str]) -> NpuProcess:
    """The process that an environment describes.

    Args:
        environ: a mapping such as `os.environ`.

    Raises:
        UserError: naming the variable, or the rank table and the position in it.
    """
    size = _integer(environ, "RANK_SIZE", 1, lowest=1)
    rank = _integer(environ, "RANK_ID", 0, lowest=0)
    if rank >= size:
        raise UserError(f"RANK_ID: {rank} is not below RANK_SIZE={size}")
    if size > 1:
        _need(environ, "JOB_ID", size)
        check(_need(environ, "RANK_TABLE_FILE", size), size=size)
    return NpuProcess(rank, size)


def check(path: str, *, size: int) -> None:
    """Checks a rank table for `size` devices; raises `UserError` naming file and position."""
    if not os.path.isabs(path):
        raise UserError(f"RANK_TABLE_FILE: must be an absolute path, not {path}")
    try:
        _check_document(located_json.read(path), size)
    except located_json.BadJson as error:
        raise UserError(f"RANK_TABLE_FILE: {path}: {error}")


def _integer(environ, name, default, *, lowest):
    text = environ.get(name) or str(default)
    if not text.isdigit() or int(text) < lowest:
        raise UserError(f"{name}: must be a whole number of at least {lowest}, not {text!r}")
    return int(text)


def _need(environ, name, size):
    if not environ.get(name):
        raise UserError(f"{name}: must be set where RANK_SIZE is {size}")
    return environ[name]


def _check_document(document, size):
    servers = _member(document, (), "server_list", list)
    _equal(document, "server_count", str(len(servers)))
    _equal(document, "status", "completed")
    _equal(document, "version", "1.0")
    ranks, devices = set(), set()
    for number in range(len(servers)):
        server = ("server_list", number)
        _member(document, server, "server_id", str)
        for index in range(len(_member(document, server, "device", list))):
            position = server + ("device", index)
            rank, device = _check_device(document, position)
            for name, value, taken in (
                ("rank_id", rank, ranks),
                ("device_id", (number, device), devices),
            ):
                if value in taken:
                    raise document.error(position + (name,), "given twice")
                taken.add(value)
    if sorted(ranks) != list(range(size)):
        raise document.error(
            ("server_list",),
            f"must hold the ranks 0 to {size - 1} (RANK_SIZE={size}), holds {sorted(ranks)}",
        )


def _check_device(document, path):
    """(rank, device) numbers of one device, after checking its entry."""
    numbers = {}
    for name in ("device_id", "rank_id"):
        text = _member(document, path, name, str)
        if not text.isdigit():
            raise document.error(path + (name,), "must be a whole number in quotes")
        numbers[name] = int(text)
    try:
        ipaddress.ip_address(_member(document, path, "device_ip", str))
    except ValueError:
        raise document.error(path + ("device_ip",), "must be an IP address in quotes")
    return numbers["rank_id"], numbers["device_id"]


def _equal(document, name, expected):
    if _member(document, (), name, str) != expected:
        raise document.error((name,), f'must be "{expected}"')


def _member(document, path, name, kind):
    """The member `name`, of type `kind`, of the object at `path`."""
    value = document.value
    for part in path:
        value = value[part]
    if not isinstance(value, dict):
        raise document.error(path, "must be an object")
    if name not in value:
        raise document.error(path, f"{name} is missing")
    if not isinstance(value[name], kind):
        raise document.error(path + (name,), f"must be {_KINDS[kind]}")
    return value[name]
