"""`muster page` over HTTP: what it shows to anyone, what it lets whom do, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.ops.server import BODY, STREAMS
from tests.fleet.ops.smallfleet import Served, SmallFleet, served, small_fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallFleet]:
    with small_fleet(tmp_path_factory.mktemp("fleet") / "run") as made:
        yield made


@pytest.fixture(scope="module")
def page(fleet: SmallFleet) -> Iterator[Served]:
    """With an operator's key."""
    with served(str(fleet.folder), "--key", str(fleet.folder / "operator_ann.key")) as made:
        yield made


@pytest.fixture(scope="module")
def operator(page: Served) -> dict[str, str]:
    return signed_in(page)


def signed_in(page: Served) -> dict[str, str]:
    """The headers of the browser that opened the link."""
    status, headers, text = page.ask("POST", "/login", {"token": page.token})
    assert status == 200, text
    return {"cookie": headers["set-cookie"].partition(";")[0], "x_muster": json.loads(text)["word"]}


def views(page: Served, wanted: Callable[[dict], bool], seconds: float = 20.0) -> dict:
    """The first view that is wanted."""
    end = time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20.0)
    with contextlib.closing(connection):
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.getheader("content-type") == "text/event-stream"
        while time.monotonic() < end:
            line = answer.readline()
            if line.startswith(b"data: ") and "seen" in (view := json.loads(line[6:])) and wanted(view):
                return view
    raise AssertionError("no such view")


def test_the_stream_tells_robots_modes_reasons_and_alarms(page: Served) -> None:
    view = views(page, lambda view: view["seen"]["answered"] and bool(view["alarms"]))
    one, two = view["seen"]["robots"]
    assert (one["name"], one["mode"], one["why"], one["status"]) == ("r0", "policy", "", "moving")
    assert (two["mode"], two["cause"], two["why"]) == ("latched", "bumper", "its bumper was touched")
    assert view["seen"]["tasks"] == {"queued": 1, "running": 1, "done": 1}
    assert [alarm["key"] for alarm in view["alarms"]] == ["latched:r1"]


def test_the_floor_is_sent_as_boxes(page: Served) -> None:
    known = json.loads(page.ask("GET", "/floor")[2])
    assert known["acts"] is True
    assert (known["floor"]["width"], known["floor"]["height"]) == (pytest.approx(19.2), pytest.approx(14.4))
    assert len(known["floor"]["boxes"]) > 10


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/floor", "/session"])
def test_no_secret_is_in_what_anyone_may_read(page: Served, fleet: SmallFleet, path: str) -> None:
    status, headers, text = page.ask("GET", path)
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    secrets = [(fleet.folder / name).read_text().split()[-1] for name in ("fleet.key", "operator_ann.key")]
    assert not [secret for secret in (*secrets, page.token) if secret in text]


@pytest.mark.parametrize("name", ["page.html", "page.css", "page.js"])
def test_the_page_names_no_other_host(root: Path, name: str) -> None:
    text = (root / "fleet" / "ops" / name).read_text()
    assert not re.findall(r"https?:|//[a-z]+\.|@import|url\(", text)


def test_a_token_opens_one_browser(page: Served, operator: dict[str, str]) -> None:
    status, _, text = page.ask("POST", "/login", {"token": page.token})
    assert status == 403
    assert "used before" in text
    assert json.loads(page.ask("GET", "/session", cookie=operator["cookie"])[2])["operator"] == "operator_ann"
    assert json.loads(page.ask("GET", "/session")[2]) == {"operator": "", "word": ""}


@pytest.mark.parametrize("path", ["/reset", "/kill", "/acknowledge"])
@pytest.mark.parametrize("missing", ["cookie", "x_muster", "both"])
def test_an_act_without_its_session_is_refused(page: Served, operator: dict[str, str], path: str, missing: str) -> None:
    headers = {name: value for name, value in operator.items() if missing not in (name, "both")}
    status, _, text = page.ask("POST", path, {"epoch": 1, "key": "latched:r1", "reason": ""}, **headers)
    assert (status, "not the operator's" in text) == (403, True)


@pytest.mark.parametrize("path", ["/login", "/stop", "/reset", "/kill", "/acknowledge"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": ""}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"host": "evil.example"}, 421),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_request_from_elsewhere_is_refused_even_with_the_session(
    page: Served, operator: dict[str, str], path: str, headers: dict[str, str], status: int
) -> None:
    assert page.ask("POST", path, {"epoch": 1, "reason": "x"}, **{**operator, **headers})[0] == status


def test_no_page_of_another_name_may_read_it(page: Served) -> None:
    assert page.ask("GET", "/floor", host="evil.example")[0] == 421


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 4000, b'{"epoch": "1"}', b'{"epoch": true}', b'{"epoch": -1}']
)
def test_a_body_that_is_no_request_is_one_line(page: Served, operator: dict[str, str], body: bytes) -> None:
    status, _, text = page.ask("POST", "/reset", body, **operator)
    assert (status, json.loads(text)["error"]) == (400, "expected the number of the stop that the reset ends")


def test_a_body_without_end_is_not_read(page: Served, operator: dict[str, str]) -> None:
    assert page.ask("POST", "/reset", b'{"epoch": 1, "x": "' + b"x" * (2 * BODY) + b'"}', **operator)[0] == 400


def test_anyone_stops_the_fleet_and_only_the_operator_lets_it_go_on(
    page: Served, operator: dict[str, str], fleet: SmallFleet
) -> None:
    status, _, text = page.ask("POST", "/stop", {"reason": "smoke in aisle 4"})
    assert status == 200, text
    assert json.loads(text)["answer"].startswith("STOPPED: emergency stop 1 is latched")
    view = views(page, lambda view: view["seen"]["stop"]["latched"] and view["seen"]["stop"]["reason"] != "")
    assert view["seen"]["stop"]["epoch"] == 1
    assert view["seen"]["stop"]["reason"] == "smoke in aisle 4"
    assert view["seen"]["stop"]["by"].startswith("operator_ann (")
    assert "stop:1" in [alarm["key"] for alarm in view["alarms"]]
    status, _, text = page.ask("POST", "/reset", {"epoch": 2}, **operator)
    assert (status, "stop 2 is not the one that stands" in text) == (409, True)
    status, _, text = page.ask("POST", "/reset", {"epoch": 1}, **operator)
    assert status == 200, text
    assert views(page, lambda view: not view["seen"]["stop"]["latched"])["seen"]["stop"]["epoch"] == 1
    lines = [json.loads(line) for line in (fleet.folder / "operator.jsonl").read_text().splitlines()]
    assert [(line["act"], line["by"]) for line in lines if line["act"] != "acknowledge"] == [
        ("raise", "operator_ann"),
        ("reset", "operator_ann"),
        ("reset", "operator_ann"),
    ]
    assert "refused" in lines[1]["answer"]


def test_an_acknowledged_alarm_stays_and_says_by_whom(page: Served, operator: dict[str, str]) -> None:
    views(page, lambda view: any(alarm["key"] == "latched:r1" for alarm in view["alarms"]))
    assert page.ask("POST", "/acknowledge", {"key": "latched:r1"}, **operator)[0] == 200
    view = views(page, lambda view: any(alarm["acknowledged"] for alarm in view["alarms"]))
    (alarm,) = [alarm for alarm in view["alarms"] if alarm["acknowledged"]]
    assert (alarm["key"], alarm["acknowledged"]) == ("latched:r1", "operator_ann")
    assert (
        json.loads(page.ask("POST", "/acknowledge", {"key": "nothing"}, **operator)[2])["answer"]
        == "no such alarm stands"
    )


def test_a_kill_without_a_rollout_is_one_line(page: Served, operator: dict[str, str]) -> None:
    status, _, text = page.ask("POST", "/kill", {"reason": "x"}, **operator)
    assert (status, json.loads(text)["error"]) == (
        409,
        "there is no rollout in this run; `muster rollout start` begins one",
    )


def test_streams_are_bounded_and_free_again(page: Served) -> None:
    with contextlib.ExitStack() as stack:
        statuses = []
        for _ in range(STREAMS + 2):
            connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20.0)
            stack.callback(connection.close)
            connection.request("GET", "/events")
            statuses.append(connection.getresponse().status)
        assert statuses.count(503) == 2
    status, end = 503, time.monotonic() + 10.0
    while status != 200 and time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20.0)
        with contextlib.closing(connection):
            connection.request("GET", "/events")
            status = connection.getresponse().status
    assert status == 200


def test_a_fleet_that_falls_silent_is_an_alarm_and_the_rest_stands(tmp_path: Path) -> None:
    with small_fleet(tmp_path / "run") as fleet, served(str(fleet.folder)) as page:
        views(page, lambda view: view["seen"]["answered"])
        fleet.silent = True
        view = views(page, lambda view: any(alarm["key"] == "coordinator" for alarm in view["alarms"]))
        assert "latched:r1" in [alarm["key"] for alarm in view["alarms"]]
        assert [robot["name"] for robot in view["seen"]["robots"]] == ["r0", "r1"]
        fleet.silent = False
        view = views(
            page, lambda view: view["seen"]["answered"] and any(alarm["key"] == "coordinator" for alarm in view["over"])
        )
        assert all(sender.startswith("page_") for sender in fleet.senders)


@pytest.mark.parametrize("path", ["/login", "/stop", "/reset", "/kill", "/acknowledge"])
def test_without_a_key_nothing_can_be_done(fleet: SmallFleet, path: str) -> None:
    with served(str(fleet.folder)) as page:
        status, _, text = page.ask("POST", path, {"reason": "x", "epoch": 1, "token": ""})
        assert (status, "read-only" in text) == (403, True)
        assert "#" not in page.link


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_while_somebody_watches(fleet: SmallFleet, number: int) -> None:
    with served(str(fleet.folder)) as page:
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20.0)
        with contextlib.closing(connection):
            connection.request("GET", "/events")
            connection.getresponse().readline()
            begun = time.monotonic()
            page.process.send_signal(number)
            assert page.process.wait(15.0) == 0
            assert time.monotonic() - begun < 10.0
        said = page.process.stdout.read() if page.process.stdout is not None else ""
        assert said == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "expected a run directory or --coordinator, got neither"),
        (("nowhere",), "is not a run directory"),
        (("RUN", "--port", "99999"), "expected a port from 1 to 65535"),
        (("RUN", "--port", "TAKEN"), "expected a free port"),
        (("RUN", "--host", "no.such.host.invalid"), "expected an address of this machine"),
        (("RUN", "--host", "192.0.2.1"), "expected a free port of 192.0.2.1"),
        (("RUN", "--key", "missing.key"), "cannot read the key file"),
        (("RUN", "--key", "r1.key"), "expected an operator's key, got that of r1"),
        (("RUN", "--metrics", "host-0=nowhere"), "expected NAME=http://HOST:PORT/metrics"),
        (("RUN", "--site", "no such floor"), "no such floor"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    refused: Callable[..., str], fleet: SmallFleet, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    (tmp_path / "r1.key").write_text("r1 " + "0" * 64)
    (tmp_path / "r1.key").chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"RUN": str(fleet.folder), "TAKEN": str(taken.getsockname()[1])}
        assert expected in refused("page", *(names.get(word, word) for word in words))
