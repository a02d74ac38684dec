"""Reads and checks what the environment says of NPUs that train together.

Each process uses one device. RANK_SIZE is the number of processes and RANK_ID the number of this
one. If there are several, JOB_ID names the job and RANK_TABLE_FILE the file with the devices and
their addresses. Without these checks, an error there ends in an abort or in a collective that hangs.
"""

import ipaddress
import os
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from devices import located_json
from options import UserError

_KINDS = {str: "text in quotes", list: "a list"}
_DIGITS = re.compile("[0-9]{1,9}")
_USUAL_COUNTS = (1, 2, 4, 8)  # devices of one 910 server that train together
_PLACEHOLDER = '"192.0.2.'  # the addresses that RFC 5737 reserves for documentation
_LINKED_CARDS = 4  # cards 0 to 3 of a 910 server have direct links, and 4 to 7


class NpuProcess(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: 0 to size - 1.
        size: the number of processes.
        device_id: of the device that the rank table gives this rank; None without a table.
        warnings: lines on a table that the device may not like.
    """

    rank: int
    size: int
    device_id: Optional[int] = None
    warnings: Tuple[str, ...] = ()


class RankTable(NamedTuple):
    """A checked rank table.

    Attributes:
        device_ids: the device of each rank, on that rank's server, by rank.
        servers: how many servers hold the ranks that are used.
        warnings: as `NpuProcess.warnings`.
    """

    device_ids: Dict[int, int]
    servers: int
    warnings: Tuple[str, ...]


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
    for name in ("CM_CHIEF_IP", "CM_WORKER_SIZE"):
        if environ.get(name) and environ.get("CM_WORKER_SIZE") != "1":
            raise UserError(
                f"{name}: {environ[name]}: a cluster without a rank table is not supported; unset it, "
                "and set RANK_SIZE, RANK_ID, JOB_ID and RANK_TABLE_FILE (test/train_full_8p.sh does)"
            )
    if size == 1:
        return NpuProcess(rank, size)
    _need(environ, "JOB_ID", size)
    table = read_table(_need(environ, "RANK_TABLE_FILE", size), size=size)
    return NpuProcess(rank, size, table.device_ids[rank], table.warnings)


def read_table(path: str, *, size: int) -> RankTable:
    """Reads a rank table for `size` ranks.

    Raises:
        UserError: naming the file and the position.
    """
    if not os.path.isabs(path):
        raise UserError(f"RANK_TABLE_FILE: must be an absolute path, not {path}")
    try:
        entries, notes = _entries(located_json.read(path), size)
    except located_json.BadJson as error:
        raise UserError(f"RANK_TABLE_FILE: {path}: {error}")
    notes += _unusual(entries, size)
    return RankTable(
        {entry.rank: entry.device_id for entry in entries},
        len({entry.server for entry in entries if entry.rank < size}),
        tuple(f"RANK_TABLE_FILE: {path}: {note}" for note in notes),
    )


def is_filled_in(path: str) -> bool:
    """Whether a file is there that has no placeholder address of configs/rank_table_8p.json in it."""
    if not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return _PLACEHOLDER not in file.read(located_json.MAX_CHARACTERS)


def _integer(environ, name, default, *, lowest):
    text = environ.get(name) or str(default)
    if not _DIGITS.fullmatch(text) or int(text) < lowest:
        raise UserError(f"{name}: must be a whole number of at least {lowest}, not {text!r}")
    return int(text)


def _need(environ, name, size):
    if not environ.get(name):
        raise UserError(f"{name}: must be set where RANK_SIZE is {size}")
    return environ[name]


class _Entry(NamedTuple):
    """A device of the table; `address` is "" where it is missing."""

    server: int
    rank: int
    device_id: int
    address: str


def _entries(document, size) -> Tuple[List[_Entry], List[str]]:
    """The devices of a table, and notes on its form."""
    if isinstance(document.value, dict) and "group_list" in document.value:
        raise document.error(
            ("group_list",), "the older form is not supported; see configs/rank_table_8p.json"
        )
    servers = _member(document, (), "server_list", list)
    _equal(document, "server_count", str(len(servers)))
    _equal(document, "status", "completed")
    notes = []
    if document.value.get("version") == "1.2":
        notes.append('version "1.2" is for Atlas A3')
    else:
        _equal(document, "version", "1.0")
    entries: List[_Entry] = []
    for number in range(len(servers)):
        server = ("server_list", number)
        _member(document, server, "server_id", str)
        for index in range(len(_member(document, server, "device", list))):
            position = server + ("device", index)
            entry = _read_entry(document, position, number)
            if entry.rank in [other.rank for other in entries]:
                raise document.error(position + ("rank_id",), "given twice")
            if (number, entry.device_id) in [(other.server, other.device_id) for other in entries]:
                raise document.error(position + ("device_id",), "given twice")
            entries.append(entry)
    ranks = sorted(entry.rank for entry in entries)
    if ranks != list(range(max(size, len(ranks)))):
        raise document.error(
            ("server_list",),
            f"must hold the ranks 0 to {size - 1} (RANK_SIZE={size}), holds {ranks}",
        )
    if len(servers) > 1 and not all(entry.address for entry in entries):
        raise document.error(("server_list",), "device_ip is missing, which several servers need")
    return entries, notes


def _unusual(entries, size) -> List[str]:
    """What a device may not like; other generations of it do, so the run goes on."""
    notes = []
    if len(entries) > size:
        notes.append(f"lists {len(entries)} devices, {size} of them are used")
        entries = [entry for entry in entries if entry.rank < size]
    for server in sorted({entry.server for entry in entries}):
        cards = [entry.device_id for entry in entries if entry.server == server]
        if len(cards) not in _USUAL_COUNTS:
            notes.append(
                f"{len(cards)} devices of one server; an Ascend 910 server takes 1, 2, 4 or 8"
            )
        elif len(cards) in (2, 4) and len({card // _LINKED_CARDS for card in cards}) > 1:
            notes.append("an Ascend 910 server does not mix cards 0 to 3 with cards 4 to 7")
    addresses = [entry.address for entry in entries if entry.address]
    if len(addresses) < len(entries):
        notes.append("device_ip is missing, which only an Atlas A2 or A3 server does without")
    if len(set(addresses)) < len(addresses):
        notes.append("a device_ip is given twice, which an Ascend 910 does not take")
    return notes


def _read_entry(document, path, server) -> _Entry:
    """The device at `path`, checked."""
    numbers = {}
    for name in ("device_id", "rank_id"):
        text = _member(document, path, name, str)
        if not _DIGITS.fullmatch(text):
            raise document.error(path + (name,), "must be a whole number in quotes")
        numbers[name] = int(text)
    value = document.value
    for part in path:
        value = value[part]
    address = ""
    if "device_ip" in value:
        address = _member(document, path, "device_ip", str)
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise document.error(path + ("device_ip",), "must be an IP address in quotes")
    return _Entry(server, numbers["rank_id"], numbers["device_id"], address)


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
