"""What the records along a road of an OpenDRIVE file say of its lanes: speed limits, and over which marks one may.

A `<type>` of a road, a `<speed>` and a `<roadMark>` of a lane hold from their own s to the next record of their kind
(1.8, 10.6, 11.8.3, 11.9). A lane here has one limit and one rule on either side, so its section is cut wherever one of
them changes (`Rules.cuts`); records that change nothing cut nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from sim.xmltree import Element

UNITS = {"m/s": 1.0, "km/h": 1.0 / 3.6, "mph": 0.44704}

CHANGES = {"broken", "none", "botts dots", "grass"}
"""Road marks that may be crossed from both sides; "solid broken" and "broken solid" from one (1.8, 11.9)."""

NEAR = 0.01
"""m; changes nearer to each other, or to an end of their section, are one: no lane is shorter for them."""

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Steps(Generic[Value]):
    """A value along a road that each record changes."""

    begins: tuple[float, ...]
    """s from which each value but the first holds, m, increasing"""
    values: tuple[Value, ...]
    """One more; the first holds before every record"""

    def at(self, s: float) -> Value:
        """What holds at s."""
        return self.values[bisect_right(self.begins, s)]


@dataclass(frozen=True, eq=False)
class Rules:
    """What holds along one lane section."""

    limits: Steps[float]
    """Of the road, m/s"""
    own: Mapping[int, Steps[float | None]]
    """Limits that lanes state themselves, by id, m/s; they overrule the road's"""
    marks: Mapping[int, Steps[tuple[bool, bool]]]
    """Whether the outer mark of a lane may be crossed from inside and from outside; 0 is the middle of the road"""

    def limit(self, lane: int, s: float) -> float:
        """The speed limit of a lane, m/s."""
        own = self.own[lane].at(s)
        return self.limits.at(s) if own is None else own

    def changes(self, lane: int, s: float) -> tuple[bool, bool]:
        """Whether a lane may be left over its inner and over its outer mark."""
        inward = lane - int(math.copysign(1, lane))
        inner = self.marks.get(inward)
        return inner is None or inner.at(s)[1], self.marks[lane].at(s)[0]

    def cuts(self, begin: float, end: float) -> list[float]:
        """The s inside a section at which a limit or a rule changes."""
        alone = max((own.begins[0] if own.begins else math.inf for own in self.own.values()), default=0.0)
        begins, last = self.limits.begins, min(alone, end)  # from `alone` on every lane has a limit of its own
        found = set(begins[bisect_right(begins, begin) : bisect_left(begins, last)])
        found.update(s for steps in (*self.own.values(), *self.marks.values()) for s in steps.begins)
        kept: list[float] = []
        for s in sorted(found):
            if (kept[-1] if kept else begin) + NEAR < s < end - NEAR:
                kept.append(s)
        return kept


def read_limits(road: Element) -> Steps[float]:
    """The limits that the types of a road state, m/s; inf where there is none."""
    records = []
    for kind in road.all("type"):
        speed = kind.some("speed")
        records.append((kind.number("s", low=0.0), math.inf if speed is None else _speed(speed)))
    return _steps(records, math.inf)


def read_rules(limits: Steps[float], section: Element, begin: float, lanes: Mapping[int, Element]) -> Rules:
    """The rules of a lane section that begins at s = `begin`."""
    none: float | None = None
    own = {
        identity: _steps(((begin + _offset(speed), _speed(speed)) for speed in lane.all("speed")), none)
        for identity, lane in lanes.items()
    }
    middle = section.one("center").some("lane")
    marked = {**lanes, 0: middle} if middle is not None else lanes
    marks = {
        identity: _steps(
            ((begin + _offset(mark), _open(mark, identity)) for mark in lane.all("roadMark")), (True, True)
        )
        for identity, lane in marked.items()
    }
    return Rules(limits, own, marks)


def _steps(records: Iterable[tuple[float, Value]], first: Value) -> Steps[Value]:
    """Of records at one place the last counts."""
    begins: list[float] = []
    values = [first]
    for s, value in sorted(records, key=lambda record: record[0]):
        if begins and s == begins[-1]:
            begins.pop()
            values.pop()
        if value != values[-1]:
            begins.append(s)
            values.append(value)
    return Steps(tuple(begins), tuple(values))


def _offset(record: Element) -> float:
    return record.number("sOffset", 0.0, low=0.0)


def _open(mark: Element, lane: int) -> tuple[bool, bool]:
    """Whether the outer mark of a lane may be crossed from inside, and from outside."""
    change = mark.word("laneChange", "")
    if change:  # "increase": towards higher ids, to the left of the reference line
        out, back = ("increase", "decrease") if lane > 0 else ("decrease", "increase")
        return change in ("both", out), change in ("both", back)
    kind = mark.word("type", "none")
    if kind in ("solid broken", "broken solid"):  # the first stands inside (1.8, table 51)
        inside, outside = kind.split()
        return inside == "broken", outside == "broken"
    return kind in CHANGES, kind in CHANGES


def _speed(element: Element) -> float:
    text = element.word("max")
    if text in ("no limit", "undefined"):
        return math.inf
    unit = element.word("unit", "m/s")
    if unit not in UNITS:
        raise element.fault(f'expected a unit of {", ".join(UNITS)}, got "{unit}"; repair it')
    return element.number("max", low=0.0) * UNITS[unit]
