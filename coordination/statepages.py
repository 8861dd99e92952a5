"""A fleet's state in pages, each of which fits into a message however many robots there are and whatever they said.

    head (request, counts, latch, asking, jogs)     a screen of lines each, far below HEAD
    waiting         at most LINES_MAX tasks and WAITING bytes, reasons of REASON_MAX characters; `waits` says how many
    robots, modes   from `begin` on as many as fit; `of` says how many there are

A client asks with `Query.begin` until it has them all (`coordination.client.FleetClient.query`). An older one asks
once and gets the first page; an older coordinator says `of` as 0 and has one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from coordination.messages import MAX_MESSAGE
from coordination.requests import FleetState, RobotLine, Waiting

HEAD = 12 * 1024
"""Bytes for all but robots and waiting tasks: envelope, names and 40 lines of those who ask and whom operators have."""
WAITING = 16 * 1024
"""Bytes of waiting tasks."""
LINES_MAX = 80
"""Waiting tasks: two screens."""
REASON_MAX = 160
"""Characters of a reason; the store and the log have it whole."""
PAGE_MOST = 800
"""Robots of a page at most: a line has 66 bytes and more."""

_encode = msgspec.msgpack.Encoder().encode


def page(whole: FleetState) -> FleetState:
    """A state as it fits; `whole` has its robots from `begin` on, and every waiting task."""
    waiting: list[Waiting] = []
    spent = 0
    for line in whole.waiting[:LINES_MAX]:
        cut = msgspec.structs.replace(line, reason=shortened(line.reason))
        size = len(_encode(cut))
        if spent + size > WAITING:
            break
        spent += size
        waiting.append(cut)
    lines = _fitting(whole.robots, MAX_MESSAGE - HEAD - spent)
    told = len(whole.modes) == 2 * len(whole.robots)
    return msgspec.structs.replace(
        whole,
        robots=lines,
        modes=whole.modes[: 2 * len(lines)] if told else b"",
        waiting=tuple(waiting),
        waits=len(whole.waiting),
    )


def together(first: FleetState, second: FleetState) -> FleetState:
    """A state with the robots of a page after it; who is in both, because others left, counts once."""
    known = {line.robot for line in first.robots}
    new = [number for number, line in enumerate(second.robots) if line.robot not in known]
    told = all(len(each.modes) == 2 * len(each.robots) for each in (first, second))
    modes = b"".join((first.modes, *(second.modes[2 * number : 2 * number + 2] for number in new))) if told else b""
    robots = (*first.robots, *(second.robots[number] for number in new))
    return msgspec.structs.replace(first, robots=robots, modes=modes, of=second.of)


def shortened(reason: str) -> str:
    """A reason in REASON_MAX characters."""
    return reason if len(reason) <= REASON_MAX else reason[: REASON_MAX - 3] + "..."


def _fitting(lines: Sequence[RobotLine], room: int) -> tuple[RobotLine, ...]:
    kept = 0
    for line in lines:
        room -= len(_encode(line)) + 2  # and its mode
        if room < 0:
            break
        kept += 1
    return tuple(lines[:kept])
