"""fetch.py against servers and disks that misbehave. No test leaves this machine."""

import os
import sys

import pytest
from file_server import PACKED, PATIENCE, Answer, digits_recipe, noise, serving, sha256

from fetching import fetch, fetch_drive

BODY = noise(300000, 7)  # several chunks
DATA = fetch.File("data.bin", len(BODY), sha256(BODY))
HTML = b"<!DOCTYPE html><html>please log in</html>"


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as site:
        yield site


def get(folder, *mirrors, net=PATIENCE, file=DATA):
    """Fetch one file; returns (was it had, the reasons of the sources that failed)."""
    reasons = []
    recipe = fetch.Recipe(files=(file,), mirrors=mirrors)
    missing = fetch.from_mirrors(recipe, [file], root=str(folder), net=net, reasons=reasons)
    return not missing, reasons


def is_whole(folder):
    """The file stands under its final name with the right bytes, and nothing is left over."""
    return [p.name for p in folder.iterdir()] == [DATA.name] and (
        folder.joinpath(DATA.name).read_bytes() == BODY
    )


def ranges(site):
    return [asked for _, asked in site.requests]


def test_a_file_is_fetched_whole(site, tmp_path):
    assert get(tmp_path, site.mirror("a", {DATA.name: BODY})) == (True, [])
    assert is_whole(tmp_path)
    assert site.requests == [("/a/data.bin", "")]


def test_a_broken_off_transfer_goes_on_where_it_stopped(site, tmp_path):
    address = site.mirror("a", {})
    site.answers["/a/data.bin"] = [Answer(BODY, break_after=200000), Answer(BODY)]
    assert get(tmp_path, address) == (True, [])
    assert is_whole(tmp_path)
    first, second = ranges(site)
    assert first == ""
    assert 0 < int(second[len("bytes=") : -1]) <= 200000


def test_without_resume_on_the_server_it_starts_again(site, tmp_path):
    address = site.mirror("a", {})
    site.answers["/a/data.bin"] = [
        Answer(BODY, ranges=False, break_after=200000),
        Answer(BODY, ranges=False),
    ]
    assert get(tmp_path, address)[0]
    assert is_whole(tmp_path)
    assert len(site.requests) == 2


def test_the_part_of_an_earlier_run_is_continued(site, tmp_path):
    tmp_path.joinpath("data.bin.part").write_bytes(BODY[:1234])
    assert get(tmp_path, site.mirror("a", {DATA.name: BODY}))[0]
    assert is_whole(tmp_path)
    assert ranges(site) == ["bytes=1234-"]


def test_a_complete_part_needs_no_request(site, tmp_path):
    tmp_path.joinpath("data.bin.part").write_bytes(BODY)
    assert get(tmp_path, site.mirror("a", {DATA.name: BODY}))[0]
    assert is_whole(tmp_path)
    assert site.requests == []


@pytest.mark.parametrize("part", [b"x" * 1234, BODY + b"x"], ids=["wrong bytes", "too long"])
def test_a_bad_part_is_thrown_away_and_the_file_fetched_from_the_start(site, tmp_path, part):
    tmp_path.joinpath("data.bin.part").write_bytes(part)
    assert get(tmp_path, site.mirror("a", {DATA.name: BODY}))[0]
    assert is_whole(tmp_path)
    assert ranges(site)[-1] == ""


def test_a_part_behind_the_end_of_the_servers_file_is_thrown_away(site, tmp_path):
    tmp_path.joinpath("data.bin.part").write_bytes(BODY[:5000])
    address = site.mirror("a", {})
    site.answers["/a/data.bin"] = [Answer(BODY[:100]), Answer(BODY)]  # the first: 416
    assert get(tmp_path, address)[0]
    assert ranges(site) == ["bytes=5000-", ""]


def test_a_server_that_always_breaks_off_at_the_same_byte_is_given_up(site, tmp_path):
    address = site.mirror("a", {DATA.name: BODY}, ranges=False, break_after=100000)
    had, (reason,) = get(tmp_path, address)
    assert not had
    assert "broke off after 65536 of 300000 bytes" in reason  # whole chunks are kept
    assert tmp_path.joinpath("data.bin.part").read_bytes() == BODY[:65536]
    assert len(site.requests) == PATIENCE.attempts


def test_progress_keeps_a_fragile_mirror_going_longer_than_the_number_of_attempts(site, tmp_path):
    address = site.mirror("a", {DATA.name: BODY}, break_after=70000)
    assert get(tmp_path, address) == (True, [])
    assert len(site.requests) == 5 > PATIENCE.attempts
    assert is_whole(tmp_path)


WRONG = {
    "forbidden": (Answer(HTML, status=403, content_type="text/html"), "HTTP 403 Forbidden", 1),
    "gone": (Answer(status=404), "HTTP 404 Not Found", 1),
    "a page": (
        Answer(HTML, content_type="text/html; charset=utf-8"),
        "an HTML page came instead of the file",
        1,
    ),
    "a page called data": (
        Answer(HTML + b" " * (len(BODY) - len(HTML))),
        "data.bin is an HTML page",
        1,
    ),
    "another size": (Answer(BODY[:-1]), "offers 299999 bytes, expected 300000", 1),
    "other bytes": (
        Answer(noise(len(BODY), 8)),
        "data.bin is not the right file: sha256 " + sha256(noise(len(BODY), 8)),
        1,
    ),
    "too long": (Answer(BODY * 2, length=False), "sends more than the 300000 bytes expected", 1),
    "busy": (Answer(status=503), "HTTP 503 Service Unavailable", PATIENCE.attempts),
}


@pytest.mark.parametrize("answer, reason, requests", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_named_and_the_next_mirror_is_asked(
    site, tmp_path, answer, reason, requests
):
    site.answers["/bad/data.bin"] = answer
    had, reasons = get(tmp_path, site.url + "/bad/", site.mirror("good", {DATA.name: BODY}))
    assert had
    assert is_whole(tmp_path)
    assert len(reasons) == 1
    assert reasons[0].startswith(site.url + "/bad/data.bin: " + reason)
    assert site.requests == [("/bad/data.bin", "")] * requests + [("/good/data.bin", "")]


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://" + "a" * 70 + ".example/",
        "http://" + "a." * 200,
        "\xff\xfe/\xe9",
        "http://\xff",
        "//",
        "http://:99999/",
        "file:///etc/passwd",
        "",
        "/bad/data.bin",
        "http://a b/",
        "http://127.0.0.1:0/",
        "gopher://x",
        "http://\t",
        "http://%00/",
    ],
    ids=ascii,
)
def test_a_redirect_to_nowhere_is_named_and_the_next_mirror_is_asked(site, tmp_path, location):
    """Seen: a traceback, and no other mirror was tried."""
    site.answers["/bad/data.bin"] = Answer(location=location)
    had, reasons = get(tmp_path, site.url + "/bad/", site.mirror("good", {DATA.name: BODY}))
    assert had and is_whole(tmp_path)
    assert len(reasons) == 1 and "\n" not in reasons[0]


def test_headers_that_drip_are_given_up(site, tmp_path):
    """Seen: a byte now and then resets the read timeout, so a mirror could be waited for for days."""
    site.answers["/bad/data.bin"] = Answer(header_drip_s=0.02)
    good = site.mirror("good", {DATA.name: BODY})
    net = PATIENCE._replace(answer_s=0.5)
    had, reasons = get(tmp_path, site.url + "/bad/", good, net=net)
    assert had and is_whole(tmp_path)
    assert reasons == [f"{site.url}/bad/data.bin: no answer in 0.5 s"]


def test_a_busy_server_is_asked_again(site, tmp_path):
    address = site.mirror("a", {})
    site.answers["/a/data.bin"] = [Answer(status=503), Answer(status=429), Answer(BODY)]
    assert get(tmp_path, address) == (True, [])


def test_a_silent_server_is_left_after_the_read_timeout(site, tmp_path):
    slow = site.mirror("slow", {DATA.name: BODY}, mute=True)
    had, (reason,) = get(
        tmp_path, slow, site.mirror("good", {DATA.name: BODY}), net=PATIENCE._replace(read_s=0.2)
    )
    assert had
    assert "broke off after 0 of 300000 bytes" in reason and "timed out" in reason


def test_a_server_that_drips_is_given_up_although_it_is_never_silent(site, tmp_path):
    slow = site.mirror("slow", {DATA.name: BODY}, drip_s=0.05, break_after=60)
    had, (reason,) = get(
        tmp_path, slow, site.mirror("good", {DATA.name: BODY}), net=PATIENCE._replace(stall_s=0.5)
    )
    assert had
    assert reason.endswith("too slow: less than 100B in 0.5 s")
    assert is_whole(tmp_path)


def test_a_mirror_that_cannot_be_reached_is_asked_once(site, tmp_path, monkeypatch):
    dead = "http://mirror.invalid/"  # reserved: never resolves
    asked = []
    really_get = fetch.requests.get
    monkeypatch.setattr(
        fetch.requests,
        "get",
        lambda url, **kwargs: (asked.append(url), really_get(url, **kwargs))[1],
    )
    recipe = digits_recipe(dead, site.mirror("good", PACKED))
    reasons = []
    assert (
        fetch.from_mirrors(
            recipe, list(recipe.files), root=str(tmp_path), net=PATIENCE, reasons=reasons
        )
        == []
    )
    assert [url for url in asked if url.startswith(dead)] == [dead + recipe.files[0].name]
    assert len(reasons) == 1
    assert sorted(os.listdir(str(tmp_path))) == sorted(PACKED)


def test_a_mirror_that_drops_out_after_it_brought_something_is_asked_again(
    site, tmp_path, monkeypatch
):
    """With one mirror only, a network that is away for a moment must not end 46 GB."""
    address = site.mirror("a", {})
    site.answers["/a/data.bin"] = [Answer(BODY, break_after=100000), Answer(BODY)]
    really_get, calls = fetch.requests.get, []

    def get_but_the_second_time(url, **kwargs):
        calls.append(url)
        if len(calls) == 2:
            raise fetch.requests.ConnectionError("no route to host")
        return really_get(url, **kwargs)

    monkeypatch.setattr(fetch.requests, "get", get_but_the_second_time)
    assert get(tmp_path, address) == (True, [])
    assert ranges(site) == ["", "bytes=65536-"]
    assert is_whole(tmp_path)


def test_the_bytes_are_asked_for_as_they_are_stored(site, tmp_path, monkeypatch):
    """A server that packs or unpacks a .gz on the way would change its hash."""
    really_get, headers = fetch.requests.get, []
    monkeypatch.setattr(
        fetch.requests,
        "get",
        lambda url, **kwargs: (headers.append(kwargs["headers"]), really_get(url, **kwargs))[1],
    )
    get(tmp_path, site.mirror("a", {DATA.name: BODY}))
    assert headers[0]["Accept-Encoding"] == "identity"


def test_another_range_than_the_one_asked_for_is_not_appended(site, tmp_path):
    tmp_path.joinpath("data.bin.part").write_bytes(BODY[:1000])
    had, (reason,) = get(tmp_path, site.mirror("a", {DATA.name: BODY}, shift=1))
    assert not had
    assert reason.endswith("answered with another range than the one asked for")
    assert tmp_path.joinpath("data.bin.part").read_bytes() == BODY[:1000]


def test_a_full_disk_stops_at_once_and_keeps_the_part(site, tmp_path):
    part = tmp_path / "data.bin.part"
    part.symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        get(tmp_path, site.mirror("a", {DATA.name: BODY}), site.mirror("b", {DATA.name: BODY}))
    assert "No space left" in str(caught.value)
    assert part.is_symlink()
    assert len(site.requests) == 1


def test_no_progress_bar_without_a_terminal_and_one_on_it(site, tmp_path, monkeypatch, capsys):
    address = site.mirror("a", {DATA.name: BODY})
    get(tmp_path, address)
    assert "%|" not in capsys.readouterr().err
    tmp_path.joinpath(DATA.name).unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    get(tmp_path, address)
    assert "data.bin:   0%|" in capsys.readouterr().err


# Google Drive: a module gdown that writes what the test says


def drive_get(folder, monkeypatch, program):
    modules = folder / "modules"
    modules.mkdir()
    modules.joinpath("gdown.py").write_text(program)
    monkeypatch.syspath_prepend(str(modules))
    monkeypatch.setenv("PYTHONPATH", str(modules))
    folder.joinpath("data").mkdir()
    reasons = []
    recipe = fetch.Recipe(files=(DATA,), drive_id="abc")
    left = fetch_drive.from_drive(
        recipe, [DATA], root=str(folder / "data"), net=PATIENCE, reasons=reasons
    )
    return left, reasons


def test_drive_gives_the_file(tmp_path, monkeypatch):
    tmp_path.joinpath("source").write_bytes(BODY)
    left, reasons = drive_get(
        tmp_path,
        monkeypatch,
        (
            "import inspect, requests, shutil\n"
            "def download(*, id, output, resume):\n"
            "    assert id == 'abc' and resume\n"
            "    asked = inspect.signature(requests.Session().request).parameters\n"
            "    assert all(asked['timeout'].default)\n"
            "    return shutil.copy({!r}, output)\n"
        ).format(str(tmp_path / "source")),
    )
    assert (left, reasons) == ([], [])
    assert is_whole(tmp_path / "data")


@pytest.mark.parametrize(
    "body, reason",
    [
        ("open(output, 'w').write('<html>quota exceeded')", "data.bin is an HTML page"),
        ("return None", "gdown ended with exit code 1"),
        ("raise RuntimeError('quota exceeded')", "gdown ended with exit code 1"),
    ],
)
def test_drive_its_failure_is_a_line(tmp_path, monkeypatch, body, reason):
    program = f"def download(*, id, output, resume):\n    {body}\n    return output\n"
    left, (line,) = drive_get(tmp_path, monkeypatch, program)
    assert left == [DATA]
    assert line.startswith("Google Drive abc: " + reason)
    assert os.listdir(str(tmp_path / "data")) == []


def test_drive_without_gdown_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_drive.importlib.util, "find_spec", lambda name: None)
    reasons = []
    recipe = fetch.Recipe(files=(DATA,), drive_id="abc")
    assert fetch_drive.from_drive(
        recipe, [DATA], root=str(tmp_path), net=PATIENCE, reasons=reasons
    ) == [DATA]
    command = f"{sys.executable} -m pip install -r requirements-optional.txt"
    assert reasons == [f"Google Drive abc: gdown is not installed ({command})"]
