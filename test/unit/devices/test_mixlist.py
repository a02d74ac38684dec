"""The mixlist file, JSON with positions, and the rank table."""

import json

import pytest

import main
from devices import located_json, mixlist, npu_options, rank_table
from options import UserError


def complaint(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        mixlist.check(str(path))
    line = str(error.value)
    assert line.startswith(f"--modify_mixlist: {path}: ") and "\n" not in line
    return line.split("list.json: ", 1)[1]


def test_the_projects_own_list():
    mixlist.check(npu_options.DEFAULT_MIXLIST)
    with open(npu_options.DEFAULT_MIXLIST, encoding="utf-8") as file:
        assert json.load(file) == {"black-list": {"to-add": ["MatMulV2"]}}


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"black-list": {}}',
        '{"white-list": {"to-add": []}}',
        '{"black-list": {"to-add": ["A", "B"], "to-remove": ["C"]}, "white-list": {"to-add": ["C"]}}',
        '{"black-list": {"to-add": ["A"]}, "white-list": {"to-remove": ["A"]}}',  # moved: the manual's
    ],
)
def test_sound_lists(tmp_path, text):
    (tmp_path / "list.json").write_text(text)
    mixlist.check(str(tmp_path / "list.json"))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "line 1, column 1: "),
        ('{\n  "black-list" {}\n}', "line 2, column 16: Expecting ':' delimiter"),
        ('{"black-list": {"to-add": [NaN]}}', "NaN is not JSON"),
        (b'{"black-list": {"to-add": ["\xff"]}}', "not UTF-8 text (byte 28)"),
        ("[" * 100000, "nested too deeply"),
        ("[1]", "line 1, column 1: the whole: must be an object of black-list and white-list"),
        (
            '{\n "grey-list": {}}',
            "line 2, column 2: grey-list: unknown name; the names here are black-list and white-list",
        ),
        (
            '{"black-list": {\n\n   "add": []}}',
            "line 3, column 4: black-list.add: unknown name; the names here are to-add and to-remove",
        ),
        ('{"black-list": []}', "line 1, column 2: black-list: must be an object"),
        ('{"black-list": {"to-add": "A"}}', "line 1, column 17: black-list.to-add: must be a list"),
        (
            '{"black-list": {"to-add": ["A",\n "B",\n  3]}}',
            "line 3, column 3: black-list.to-add[2]: must be an operator type",
        ),
        ('{"black-list": {"to-add": ["A b"]}}', "line 1, column 28: black-list.to-add[0]: must be"),
        ('{"black-list": {"to-add": [""]}}', "line 1, column 28: black-list.to-add[0]: must be"),
        (
            '{"black-list": {"to-add": ["A"]},\n "white-list": {"to-add": ["B", "A"]}}',
            "line 2, column 33: white-list.to-add[1]: A is in black-list.to-add already",
        ),
        (
            '{"black-list": {"to-add": ["A"], "to-remove": ["A"]}}',
            "line 1, column 48: black-list.to-remove[0]: A is in black-list.to-add already",
        ),
        (
            '{"black-list": {"to-remove": ["A"]}, "white-list": {"to-remove": ["A"]}}',
            "line 1, column 67: white-list.to-remove[0]: A is in black-list.to-remove already",
        ),
        (
            '{"black-list": {"to-add": ["A"]},\n "black-list": {}}',
            "line 2, column 2: black-list: named twice",
        ),
    ],
)
def test_faulty_lists(tmp_path, text, expected):
    assert complaint(tmp_path, text).startswith(expected)


def test_list_of_any_size_is_not_read(tmp_path):
    assert complaint(tmp_path, " " * (located_json.MAX_CHARACTERS + 1)).startswith("more than")


def test_list_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="--modify_mixlist: .*none.json: cannot be read: No such"):
        mixlist.check(str(tmp_path / "none.json"))


def test_positions_of_every_value():
    document = located_json.parse('\n{"a": [1, {"b" :\t"x,]"}], "c\\"d": null}')
    assert document.value == {"a": [1, {"b": "x,]"}], 'c"d': None}
    found = {path: document.text[offset] for path, offset in document.offsets.items()}
    assert found == {
        (): "{",
        ("a",): '"',
        ("a", 0): "1",
        ("a", 1): "{",
        ("a", 1, "b"): '"',
        ('c"d',): '"',
    }
    assert str(document.error(("a", 1, "b"), "no")) == "line 2, column 12: a[1].b: no"


def table(**changes):
    devices = [
        {"device_id": str(k), "device_ip": f"192.168.1.{k}", "rank_id": str(k)} for k in range(2)
    ]
    return dict(
        {
            "server_count": "1",
            "status": "completed",
            "version": "1.0",
            "server_list": [{"server_id": "10.0.0.1", "device": devices}],
        },
        **changes,
    )


def environ(tmp_path, content, **more):
    path = tmp_path / "table.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return dict(
        {"RANK_SIZE": "2", "RANK_ID": "1", "JOB_ID": "10086", "RANK_TABLE_FILE": str(path)}, **more
    )


def test_sound_rank_table(tmp_path):
    assert rank_table.read(environ(tmp_path, table())) == rank_table.NpuProcess(
        rank=1, size=2, device_id=1
    )


def with_device(index, **changes):
    content = table()
    device = content["server_list"][0]["device"][index]
    device.update(changes)
    for name in [name for name, value in device.items() if value is None]:
        del device[name]
    return content


@pytest.mark.parametrize(
    "content, expected",
    [
        ("{", "line 1, column 2: "),
        ("[]", "line 1, column 1: the whole: must be an object"),
        (table(server_count="2"), 'server_count: must be "1"'),
        (table(status="initializing"), 'status: must be "completed"'),
        (table(version="2.0"), 'version: must be "1.0"'),
        (table(server_list={}), "server_list: must be a list"),
        (table(server_list=[[]]), "server_list[0]: must be an object"),
        (table(server_list=[{"device": []}]), "server_list[0]: server_id is missing"),
        (with_device(1, rank_id=1), "server_list[0].device[1].rank_id: must be text in quotes"),
        (
            dict(table(), group_list=[]),
            "group_list: the older form is not supported; see configs/rank_table_8p.json",
        ),
        (
            with_device(1, device_id="\u00b2"),
            "server_list[0].device[1].device_id: must be a whole number",
        ),
        (with_device(1, rank_id="one"), "server_list[0].device[1].rank_id: must be a whole number"),
        (with_device(1, rank_id="0"), "server_list[0].device[1].rank_id: given twice"),
        (with_device(1, device_id="0"), "server_list[0].device[1].device_id: given twice"),
        (
            with_device(0, device_ip="here"),
            "server_list[0].device[0].device_ip: must be an IP address",
        ),
        (
            with_device(1, rank_id="7"),
            "server_list: must hold the ranks 0 to 1 (RANK_SIZE=2), holds [0, 7]",
        ),
    ],
)
def test_faulty_rank_table(tmp_path, content, expected):
    with pytest.raises(UserError) as error:
        rank_table.read(environ(tmp_path, content))
    line = str(error.value)
    assert line.startswith("RANK_TABLE_FILE: {}: line 1, column ".format(tmp_path / "table.json"))
    assert expected in line and "\n" not in line


def test_the_device_of_a_rank_is_the_tables(tmp_path):
    content = table()
    for device, number in zip(content["server_list"][0]["device"], "54"):
        device["device_id"] = number
    devices = [
        rank_table.read(environ(tmp_path, content, RANK_ID=rank)).device_id for rank in ("0", "1")
    ]
    assert devices == [5, 4]


def cards(*numbers):
    devices = [
        {"device_id": str(card), "device_ip": f"192.168.1.{card}", "rank_id": str(rank)}
        for rank, card in enumerate(numbers)
    ]
    return table(server_list=[{"server_id": "10.0.0.1", "device": devices}])


@pytest.mark.parametrize(
    "content, size, warning",
    [
        (cards(0, 1, 2), 3, "3 devices of one server; an Ascend 910 server takes 1, 2, 4 or 8"),
        (cards(3, 4), 2, "an Ascend 910 server does not mix cards 0 to 3 with cards 4 to 7"),
        (cards(0, 1, 2, 3), 2, "lists 4 devices, 2 of them are used"),
        (with_device(1, device_ip="192.168.1.0"), 2, "a device_ip is given twice"),
        (with_device(1, device_ip=None), 2, "device_ip is missing, which only an Atlas A2"),
        (table(version="1.2"), 2, 'version "1.2" is for Atlas A3'),
    ],
)
def test_an_unusual_rank_table_is_one_warning(tmp_path, content, size, warning):
    process = rank_table.read(environ(tmp_path, content, RANK_SIZE=str(size)))
    (line,) = process.warnings
    assert line.startswith(f"RANK_TABLE_FILE: {tmp_path / 'table.json'}: {warning}")


def test_only_the_devices_that_are_used_are_judged(tmp_path):
    lists = "lists 4 devices, 2 of them are used"
    for numbers, count in (((0, 1, 4, 5), 1), ((0, 4, 1, 5), 2)):
        found = rank_table.read(environ(tmp_path, cards(*numbers), RANK_SIZE="2")).warnings
        assert lists in found[0] and len(found) == count


@pytest.mark.parametrize("numbers", [(0, 1), (4, 5, 6, 7), tuple(range(8))])
def test_a_usual_rank_table_is_no_warning(tmp_path, numbers):
    size = str(len(numbers))
    assert rank_table.read(environ(tmp_path, cards(*numbers), RANK_SIZE=size)).warnings == ()


@pytest.mark.parametrize("more", [{}, {"CM_WORKER_SIZE": "8"}])
def test_a_cluster_without_a_table_is_one_line(more):
    with pytest.raises(UserError, match="^CM_CHIEF_IP: 10.0.0.1: a cluster without a rank table"):
        rank_table.read(dict({"CM_CHIEF_IP": "10.0.0.1"}, **more))


def test_a_cluster_of_one_device_is_none():
    environment = {"CM_CHIEF_IP": "10.0.0.1", "CM_WORKER_SIZE": "1"}
    assert rank_table.read(environment) == rank_table.NpuProcess(0, 1)


@pytest.mark.parametrize("text", ["\u00b2", "1\n", "-1"])
def test_numbers_of_the_environment_are_ascii_digits(text):
    with pytest.raises(UserError, match="^RANK_SIZE: must be a whole number"):
        rank_table.read({"RANK_SIZE": text})


def test_a_relative_mixlist_is_looked_for_in_configs_too(tmp_path, monkeypatch):
    """Documents of this model name ./ops_info.json, which the model zoo keeps beside its scripts."""
    monkeypatch.chdir(tmp_path)
    words = ["main.py", "--modify_mixlist=./ops_info.json"]
    assert main.parse(words).modify_mixlist == npu_options.DEFAULT_MIXLIST
    (tmp_path / "ops_info.json").write_text("{}")
    assert main.parse(words).modify_mixlist == str(tmp_path / "ops_info.json")
    absolute = str(tmp_path / "none" / "ops_info.json")
    assert main.parse(["main.py", f"--modify_mixlist={absolute}"]).modify_mixlist == absolute


def test_a_mixlist_that_is_nowhere_is_named_where_it_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = main.parse(["main.py", "--modify_mixlist=none.json"])
    assert config.modify_mixlist == str(tmp_path / "none.json")
