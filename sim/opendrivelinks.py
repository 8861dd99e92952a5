"""Which lanes of an OpenDRIVE file follow each other: links of lanes, roads and junctions (sim/opendrive.py)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sim.road import Lane
from sim.xmltree import Element

Key = tuple[str, int, int]
"""Road id, number of the `Section`, lane id."""


@dataclass(eq=False)
class Section:
    """A stretch of a road with the same lanes and the same rules: a lane section of the file, or a part of one."""

    element: Element
    """Of the file; parts of one share it"""
    begin: float
    """s, m"""
    end: float
    lanes: dict[int, Element]
    """By id"""
    name: str
    """The number of the file's section, and of a later part where it begins"""


@dataclass(frozen=True, eq=False)
class Links:
    """Links of a file whose lanes are read."""

    roads: Mapping[str, Element]
    junctions: Mapping[str, Element]
    sections: Mapping[str, Sequence[Section]]
    """Of each road"""
    index: Mapping[Key, int]
    """Numbers of the lanes that have room"""
    right_hand: bool

    def link(self, lanes: Sequence[Lane]) -> list[Lane]:
        """The lanes with successors, predecessors and neighbours."""
        follows: set[tuple[int, int]] = set()
        for (road, number, lane), index in self.index.items():
            along = (lane < 0) == self.right_hand
            follows.update(
                (index, other) for other in self._next(road, number, lane, "successor" if along else "predecessor")
            )
            follows.update(
                (other, index) for other in self._next(road, number, lane, "predecessor" if along else "successor")
            )
        for junction in self.junctions.values():
            follows.update(self._through(junction))
        after, before = defaultdict(list), defaultdict(list)
        for one, other in sorted(follows):
            after[one].append(other)
            before[other].append(one)
        linked = []
        for (road, number, lane), index in self.index.items():
            sign = int(math.copysign(1, lane))
            inward, outward = (
                self.index.get((road, number, lane - sign), -1),
                self.index.get((road, number, lane + sign), -1),
            )
            oncoming = self.index.get((road, number, -sign), -1) if lane == sign else -1
            left, right = (inward, outward) if self.right_hand else (outward, inward)
            linked.append(
                replace(
                    lanes[index],
                    successors=tuple(after[index]),
                    predecessors=tuple(before[index]),
                    left_neighbour=left,
                    right_neighbour=right,
                    oncoming=oncoming,
                )
            )
        return linked

    @cached_property
    def ends(self) -> dict[tuple[str, str], Element | None]:
        """What each road names as its "successor" and its "predecessor"."""
        found: dict[tuple[str, str], Element | None] = {}
        for road, element in self.roads.items():
            link = element.some("link")
            for end in ("successor", "predecessor"):
                found[road, end] = target = link.some(end) if link else None
                if target is not None and target.word("elementType") not in ("road", "junction"):
                    raise target.fault(
                        f'expected elementType "road" or "junction", got "{target.word("elementType")}"; repair it'
                    )
        return found

    def _next(self, road: str, number: int, lane: int, end: str) -> Iterator[int]:
        """Lanes that a lane's own link names at one end of its section: in the next section, or the next road."""
        sections = self.sections[road]
        link = sections[number].lanes[lane].some("link")
        target = link.some(end) if link else None
        following = number + (1 if end == "successor" else -1)
        there = 0 <= following < len(sections)
        if there and sections[following].element is sections[number].element:  # parts of one section
            if (road, following, lane) in self.index:
                yield self.index[road, following, lane]
            return
        if target is None:
            return
        if there:
            yield from self._lane(target, road, following, target.whole("id"))
            return
        other = self.ends[road, end]
        if other is None or other.word("elementType") != "road":
            return  # junctions name their lanes themselves
        yield from self._lane(target, *self._contact(other, other.word("elementId")), target.whole("id"))

    def _contact(self, link: Element, road: str) -> tuple[str, int]:
        """Road and section that a link with a contact point means."""
        if road not in self.roads:
            raise link.fault(f'expected the id of a road, got "{road}"; repair the link')
        contact = link.word("contactPoint")
        if contact not in ("start", "end"):
            raise link.fault(f'expected contactPoint "start" or "end", got "{contact}"; repair it')
        return road, 0 if contact == "start" else len(self.sections[road]) - 1

    def _lane(self, link: Element, road: str, number: int, lane: int) -> Iterator[int]:
        if lane not in self.sections[road][number].lanes:
            name = self.sections[road][number].name
            raise link.fault(f"expected a lane of road {road}, section {name}, got {lane}; repair the link")
        index = self.index.get((road, number, lane))
        if index is not None:  # None: a lane without room
            yield index

    def _through(self, junction: Element) -> Iterator[tuple[int, int]]:
        """Pairs (lane, lane that follows it) that a junction states; the ways out are links of the connecting roads."""
        for connection in junction.all("connection"):
            incoming, inside = connection.word("incomingRoad"), connection.word("connectingRoad")
            if incoming not in self.roads:
                raise connection.fault(f'expected the id of a road as "incomingRoad", got "{incoming}"; repair it')
            inner, first = self._contact(connection, inside)
            end = self._end_at(connection, incoming, junction.word("id"))
            pairs = [(link, link.whole("from"), link.whole("to")) for link in connection.all("laneLink")]
            if not pairs:  # lanes with equal ids are linked (1.6, 10.3)
                common = self.sections[incoming][end].lanes.keys() & self.sections[inner][first].lanes.keys()
                pairs = [(connection, lane, lane) for lane in sorted(common)]
            for link, one, other in pairs:
                for before in self._lane(link, incoming, end, one):
                    for after in self._lane(link, inner, first, other):
                        yield before, after

    def _end_at(self, connection: Element, road: str, junction: str) -> int:
        """The section of a road at which it meets a junction."""
        for end, number in (("successor", len(self.sections[road]) - 1), ("predecessor", 0)):
            target = self.ends[road, end]
            if target is not None and target.word("elementType") == "junction" and target.word("elementId") == junction:
                return number
        raise connection.fault(f"expected road {road} to name junction {junction} in its link, it does not; add it")
