"""A fleet's state fits into messages however large the fleet and however long what robots and tasks say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from coordination.client import FleetClient
from coordination.keys import Keys
from coordination.messages import MAX_MESSAGE, RobotStatus
from coordination.requests import FleetState, JogLine, Query, RobotLine, Waiting
from coordination.statepages import HEAD, PAGE_MOST, REASON_MAX, page, together
from coordination.wire import Wire
from tests.coordination.floors import floor
from tests.coordination.rehearsed import Rehearse


def whole(robots: int, waiting: int = 100, reason: str = "x" * 5000) -> FleetState:
    """A fleet whose lines are as long as they can be."""
    names = [f"r{number:031d}" for number in range(robots)]
    task = "0190b5a0-0000-7000-8000-000000000000"
    return FleetState(
        "q" * 32,
        2**62,
        {f"state{number}": 10**9 for number in range(8)},
        tuple(RobotLine(name, (-1.1, 2.2, 3.3), RobotStatus.OPERATOR, 0.123, task, 12.5) for name in names),
        waiting=tuple(Waiting(task, "r" * 32, reason) for _ in range(waiting)),
        asking=tuple(names[:20]),
        jogs=tuple(JogLine(name, "o" * 32, "p" * 120, 2**62) for name in names[:20]),
        modes=bytes(number % 251 for number in range(2 * robots)),
        of=robots,
    )


def page_of(state: FleetState, begin: int) -> FleetState:
    """As the coordinator makes it."""
    return page(
        msgspec.structs.replace(
            state, robots=state.robots[begin : begin + PAGE_MOST], modes=state.modes[2 * begin :][: 2 * PAGE_MOST],
            begin=begin,
        )
    )  # fmt: skip


@pytest.mark.parametrize("robots", [0, 1, 400, 1000, 5000])
@pytest.mark.parametrize("reason", ["", "short", "x" * 5000, "\u00fc\u4e16" * 2000, "\U0001f916" * 200])
def test_every_page_is_a_message_and_together_they_are_the_fleet(robots: int, reason: str) -> None:
    state = whole(robots, reason=reason)
    found = page_of(state, 0)
    pages = [found]
    while len(found.robots) < found.of:
        pages.append(page_of(state, len(found.robots)))
        found = together(found, pages[-1])
    assert max(len(msgspec.msgpack.encode(each)) for each in pages) < MAX_MESSAGE - 1024
    assert found.robots == state.robots
    assert found.modes == state.modes
    assert found.waits == 100
    assert all(len(line.reason) <= REASON_MAX for line in found.waiting)
    assert len(pages) <= 1 + robots // 150


def test_the_head_of_a_page_has_room_for_all_that_is_not_listed() -> None:
    state = msgspec.structs.replace(whole(400), robots=(), waiting=(), modes=b"")
    assert len(msgspec.msgpack.encode(state)) + 1024 < HEAD


def test_who_is_on_two_pages_because_others_left_counts_once_and_keeps_his_mode() -> None:
    lines = whole(5).robots
    first = FleetState("q", 0, {}, lines[:3], modes=b"aabbcc", of=5)
    second = FleetState("q", 0, {}, lines[2:5], modes=b"ccddee", begin=3, of=4)
    found = together(first, second)
    assert found.robots == lines
    assert found.modes == b"aabbccddee"


class _Pages:
    """A coordinator with many robots, and a wire that carries what fits."""

    def __init__(self, robots: int) -> None:
        self.state, self.asked = whole(robots), []
        self._wire = Wire("coordinator", Keys(fleet=bytes(range(32))), server=True)
        self._answer: FleetState | None = None

    def send(self, peer: str, body: Query, stamp: int) -> bool:
        self.asked.append(body.begin)
        answer = page_of(self.state, body.begin)
        self._wire.encode("client", answer, stamp)  # raises where it is too long
        self._answer = msgspec.structs.replace(answer, request=body.request)
        return True

    def receive(self, wait: float) -> list[object]:
        return [type("Message", (), {"body": self._answer})]


def test_a_client_sees_a_thousand_robots() -> None:
    pages = _Pages(1000)
    found = FleetClient(pages).query()  # type: ignore[arg-type]  # all of a transport that a client uses
    assert found.robots == pages.state.robots
    assert found.modes == pages.state.modes
    assert pages.asked[0] == 0
    assert pages.asked == sorted(set(pages.asked))


def test_a_client_of_a_coordinator_that_has_one_page_asks_once() -> None:
    pages = _Pages(10)
    pages.state = msgspec.structs.replace(pages.state, of=0)
    assert len(FleetClient(pages).query().robots) == 10  # type: ignore[arg-type]  # as above
    assert pages.asked == [0]


def test_the_coordinator_pages_its_own_fleet(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("........."), [0, 4, 8])
    rehearsal.run(1)
    ((_, first),) = rehearsal.core.handle("client", Query("r"), rehearsal.floor.now)
    assert isinstance(first, FleetState)
    assert (len(first.robots), first.begin, first.of) == (3, 0, 3)
    ((_, rest),) = rehearsal.core.handle("client", Query("r", 1), rehearsal.floor.now)
    assert isinstance(rest, FleetState)
    assert (rest.robots, rest.begin, rest.of) == (first.robots[1:], 1, 3)
    assert rest.modes == first.modes[2:]
    rehearsal.end()
