"""Roads from ASAM OpenDRIVE files (1.4 to 1.8): reference lines, lane sections, widths, links and junctions.

What is read: `planView` (line, arc, spiral, poly3, paramPoly3), `laneOffset`, lane sections with `width` or `border`
polynomials, road marks (where a change of lane is allowed), speeds of road types and lanes, links of roads, lanes and
junctions, crosswalk objects, the rule of traffic. The model is plane: elevations, signals, other objects and whatever
else stands in a file and not in `READ` are told with their lines in `Road.ignored`. What would bend or move lanes and
is not read is refused by name and line: superelevation, crossfall, lateral shapes, rail roads, virtual and direct
junctions.

Lanes with a positive id run against s on right-hand roads. Each lane section is sampled at `STEP` and at every change
of a polynomial, so that its borders lie on the closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from sim.leftout import LeftOut, word
from sim.opendriveline import ReferenceLine, evaluate, polynomials, reference_line
from sim.opendrivelinks import Key, Links, Section
from sim.road import GAP_MAX, METRES_MAX, STEP, Crossing, Floats, Lane, LaneKind, Road, RoadError, check_road
from sim.xmltree import Element, XmlReader

KINDS = {
    "driving": LaneKind.DRIVING, "entry": LaneKind.DRIVING, "exit": LaneKind.DRIVING, "onRamp": LaneKind.DRIVING,
    "offRamp": LaneKind.DRIVING, "connectingRamp": LaneKind.DRIVING, "slipLane": LaneKind.DRIVING,
    "bidirectional": LaneKind.OTHER, "shoulder": LaneKind.SHOULDER, "stop": LaneKind.SHOULDER,
    "biking": LaneKind.BICYCLE, "sidewalk": LaneKind.WALKWAY, "walking": LaneKind.WALKWAY,
}  # fmt: skip
"""Lane types (1.8, 11.7) that are more than ground to us; every other type is OTHER."""

READ = {
    "OpenDRIVE": {"header", "road", "junction"},
    "road": {
        "link",
        "type",
        "planView",
        "elevationProfile",
        "lateralProfile",
        "lanes",
        "objects",
        "signals",
        "railroad",
    },
    "link": {"predecessor", "successor"},
    "type": {"speed"},
    "planView": {"geometry"},
    "lanes": {"laneOffset", "laneSection"},
    "laneSection": {"left", "center", "right"},
    "left": {"lane"},
    "center": {"lane"},
    "right": {"lane"},
    "lane": {"link", "width", "border", "roadMark", "speed"},
    "junction": {"connection"},
    "connection": {"laneLink"},
}
"""What is read inside what; profiles, objects and signals are looked at one by one."""

UNITS = {"m/s": 1.0, "km/h": 1.0 / 3.6, "mph": 0.44704}

CROSSWALK_MAX = 200.0
"""Of a crosswalk's sides, m: across the widest roads there are."""

CHANGES = {"broken", "none", "botts dots", "grass"}
"""Road marks that may be crossed from both sides; "solid broken" and "broken solid" from one (1.8, 11.9)."""


def read_opendrive(path: Path) -> Road:
    """The road network of an .xodr file. Raises `RoadError` (file, line, what to do) and `FileError`."""
    return _Reader(path).read()


class _Reader:
    """Owns what is known of one file while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: dict[str, list[Section]] = {}
        self.roads: dict[str, Element] = {}
        self.junctions: dict[str, Element] = {}
        self.index: dict[Key, int] = {}
        self.left = LeftOut()

    def read(self) -> Road:
        root = XmlReader(self.path, RoadError).root("OpenDRIVE")
        header = root.one("header")
        if header.whole("revMajor") != 1:
            raise header.fault(f"expected OpenDRIVE 1.x, got {header.word('revMajor')}; convert the file")
        for junction in root.all("junction"):
            if junction.word("type", "default") not in ("default", "common"):
                raise junction.fault(f'junctions of type "{junction.word("type")}" are not read; convert the junction')
            if junction.word("id") in self.junctions:
                raise junction.fault(f'junction "{word(junction.word("id"))}" stands twice; rename one')
            self.junctions[junction.word("id")] = junction
        rules = {road.word("rule", "RHT") for road in root.all("road")}
        if len(rules) > 1 or not rules <= {"RHT", "LHT"}:
            raise root.fault(f"expected one rule of traffic, RHT or LHT, for all roads, got {sorted(rules)}; repair it")
        self.right_hand = rules != {"LHT"}
        lanes: list[Lane] = []
        crossings: list[Crossing] = []
        metres = 0.0
        for road in root.all("road"):
            identity = road.word("id")
            if identity in self.roads:
                raise road.fault(f'road "{word(identity)}" stands twice; rename one')
            self.roads[identity] = road
            self._refuse(road)
            line = reference_line(road)
            self.sections[identity] = self._divide(road, line)
            metres += sum((each.end - each.begin) * len(each.lanes) for each in self.sections[identity])
            if metres > METRES_MAX:
                raise road.fault(f"expected {METRES_MAX:g} m of lanes in a file at most, got more; cut it into parts")
            for number, section in enumerate(self.sections[identity]):
                for lane, kept in self._lanes(road, line, section, number):
                    self.index[identity, number, lane] = len(lanes)
                    lanes.append(kept)
            crossings.extend(self._crossings(road, line))
        if not lanes:
            raise root.fault("expected at least one road with a lane, got none; name another file")
        linked = Links(self.roads, self.junctions, self.sections, self.index, self.right_hand).link(lanes)
        self.left.walk(root, READ)
        return check_road(Road(self.path.stem, tuple(linked), tuple(crossings), self.right_hand, self.left.told()))

    def _refuse(self, road: Element) -> None:
        """What would move lanes and is not read; what is left out is noted."""
        profile = road.some("lateralProfile")
        for part in profile.children if profile else ():
            bends = part.tag in ("superelevation", "crossfall") and any(
                part.number(name, 0.0) != 0.0 for name in ("a", "b", "c", "d")
            )
            if bends or part.tag in ("shape", "crossSectionSurface"):
                raise part.fault(f"<{part.tag}> is not read: roads are plane here; flatten the road")
        if road.some("railroad") is not None and road.one("railroad").children:
            raise road.one("railroad").fault("<railroad> is not read; remove it")
        elevation = road.some("elevationProfile")
        for part in elevation.children if elevation else ():
            if any(part.number(name, 0.0) != 0.0 for name in ("a", "b", "c", "d")):
                self.left.note("elevation", part)
        for name in ("objects", "signals"):
            part = road.some(name)
            for child in part.children if part else ():
                if child.word("type", "") != "crosswalk":
                    self.left.note(word(f"{child.tag} {child.word('type', '')}".strip()), child)

    def _divide(self, road: Element, line: ReferenceLine) -> list[Section]:
        elements = list(road.one("lanes").all("laneSection"))
        if not elements:
            raise road.one("lanes").fault("expected at least one <laneSection>, got none; add it")
        begins = [element.number("s", low=0.0) for element in elements]
        for element, before, begin in zip(elements[1:], begins, begins[1:], strict=False):
            if begin <= before:
                raise element.fault(
                    f"expected lane sections in the order of s, got {begin:g} after {before:g}; sort them"
                )
        if begins[0] > GAP_MAX or begins[-1] >= line.length:
            raise elements[0].fault(f"expected lane sections from 0 to {line.length:g} m, got others; repair them")
        sections = []
        for element, begin, end in zip(elements, begins, [*begins[1:], line.length], strict=True):
            lanes = {}
            for side, sign in (("left", 1), ("right", -1)):
                part = element.some(side)
                for lane in part.all("lane") if part else ():
                    identity = lane.whole("id")
                    if identity * sign <= 0 or identity in lanes:
                        raise lane.fault(f"expected another lane id in <{side}>, got {identity}; renumber the lanes")
                    lanes[identity] = lane
            for identity, lane in lanes.items():
                if abs(identity) > 1 and identity - int(math.copysign(1, identity)) not in lanes:
                    raise lane.fault(
                        f"expected lane ids without holes, got {identity} without the one before; renumber"
                    )
            sections.append(Section(element, begin, end, lanes))
        return sections

    def _lanes(self, road: Element, line: ReferenceLine, section: Section, number: int) -> Iterator[tuple[int, Lane]]:
        """The lanes of a section, not linked yet."""
        offsets = polynomials(road.one("lanes").all("laneOffset"))
        bends = [
            section.begin + each.number("sOffset", low=0.0) for lane in section.lanes.values() for each in _shapes(lane)
        ]
        cuts = [section.begin, section.end, *bends, *(poly.s for poly in offsets)]
        cuts = sorted({cut for cut in cuts if section.begin <= cut <= section.end})
        parts = [np.linspace(a, b, max(math.ceil((b - a) / STEP), 1) + 1)[:-1] for a, b in pairwise(cuts)]
        s = np.concatenate([*parts, [section.end]])
        s = s[np.concatenate([[True], np.diff(s) > 1e-6])]
        x, y, heading = line.at(s)
        middle = evaluate(offsets, s)
        borders = {0: middle}
        for sign in (1, -1):
            for step in range(1, max((sign * lane for lane in section.lanes), default=0) + 1):
                lane = section.lanes[sign * step]
                borders[sign * step] = self._border(lane, s, section.begin, borders[sign * (step - 1)], middle, sign)
        for identity, element in section.lanes.items():
            inner, outer = borders[identity - int(math.copysign(1, identity))], borders[identity]
            if float(np.abs(outer - inner).max()) < 0.05:
                continue  # a lane without room, in files that keep the ids of lanes that begin later
            along = (identity < 0) == self.right_hand
            edges = [np.stack([x - t * np.sin(heading), y + t * np.cos(heading)], axis=-1) for t in (inner, outer)]
            left, right = (edges[0], edges[1]) if self.right_hand else (edges[1], edges[0])
            if not along:
                left, right = left[::-1], right[::-1]
            inner_open, outer_open = self._changes(section, identity)
            yield (
                identity,
                Lane(
                    name=f"{road.word('id')}.{number}.{identity}",
                    left=left.copy(),
                    right=right.copy(),
                    limit=self._limit(road, element, section.begin),
                    kind=KINDS.get(element.word("type", "none"), LaneKind.OTHER),
                    may_change_left=inner_open if self.right_hand else outer_open,
                    may_change_right=outer_open if self.right_hand else inner_open,
                    junction=_junction(road, self.junctions),
                ),
            )

    def _border(self, lane: Element, s: Floats, begin: float, inner: Floats, middle: Floats, sign: int) -> Floats:
        """The outer border of a lane, t (n,)."""
        widths, borders = list(lane.all("width")), list(lane.all("border"))
        if widths:  # where both are given, width counts (1.6, 9.5.2)
            width = evaluate(polynomials(widths, "sOffset", begin), s)
            if width.min() < -1e-3:
                raise lane.fault(f"expected widths of 0 m and more, got {width.min():.3f}; repair them")
            return inner + sign * np.maximum(width, 0.0)
        if borders:
            return middle + evaluate(polynomials(borders, "sOffset", begin), s)
        raise lane.fault(f"expected <width> or <border> of lane {lane.word('id')}, got none; add it")

    def _changes(self, section: Section, identity: int) -> tuple[bool, bool]:
        """Whether a lane may be left over its inner and over its outer mark."""
        inward = identity - int(math.copysign(1, identity))
        centre = section.element.one("center")
        inner = section.lanes.get(inward) or next(iter(centre.all("lane")), None)
        return _open(inner, outward=False), _open(section.lanes[identity], outward=True)

    def _limit(self, road: Element, lane: Element, begin: float) -> float:
        """The speed limit where a lane begins, m/s."""
        limit = math.inf
        for kind in road.all("type"):
            speed = kind.some("speed")
            if kind.number("s") <= begin + 1e-6:
                limit = math.inf if speed is None else _speed(speed)
        for speed in lane.all("speed"):
            if speed.number("sOffset", 0.0) <= 1e-6:
                limit = _speed(speed)
        return limit

    def _crossings(self, road: Element, line: ReferenceLine) -> Iterator[Crossing]:
        objects = road.some("objects")
        for each in objects.all("object") if objects else ():
            if each.word("type", "") != "crosswalk":
                continue
            s = each.number("s", low=0.0, high=line.length + GAP_MAX)
            t, turn = each.number("t"), each.number("hdg", 0.0)
            length, width = (each.number(name, low=1e-3, high=CROSSWALK_MAX) for name in ("length", "width"))
            x, y, heading = (float(value[0]) for value in line.at(np.array([s])))
            x, y = x - t * math.sin(heading), y + t * math.cos(heading)
            # the longer side is what people walk along, whichever way the object is turned
            along, across = (length, width) if length >= width else (width, length)
            direction = heading + turn + (0.0 if length >= width else 0.5 * math.pi)
            dx, dy = 0.5 * along * math.cos(direction), 0.5 * along * math.sin(direction)
            yield Crossing((x - dx, y - dy), (x + dx, y + dy), across)


def _shapes(lane: Element) -> Iterator[Element]:
    yield from lane.all("width")
    yield from lane.all("border")


def _open(lane: Element | None, *, outward: bool) -> bool:
    """Whether the outer mark of a lane may be crossed, seen from inside (outward) or from outside."""
    marks = list(lane.all("roadMark")) if lane is not None else []
    if not marks:
        return True
    change = marks[0].word("laneChange", "")
    if change:  # "increase": towards higher ids, to the left of the reference line
        identity = lane.whole("id") if lane is not None else 0
        leftward = outward == (identity > 0)
        return change == "both" or change == ("increase" if leftward else "decrease")
    kind = marks[0].word("type", "none")
    if kind in ("solid broken", "broken solid"):  # the first stands inside (1.8, table 51)
        return kind.split()[0 if outward else 1] == "broken"
    return kind in CHANGES


def _speed(element: Element) -> float:
    text = element.word("max")
    if text in ("no limit", "undefined"):
        return math.inf
    unit = element.word("unit", "m/s")
    if unit not in UNITS:
        raise element.fault(f'expected a unit of {", ".join(UNITS)}, got "{unit}"; repair it')
    return element.number("max", low=0.0) * UNITS[unit]


def _junction(road: Element, junctions: dict[str, Element]) -> int:
    """Number of the junction that a road lies in, counted in the file's order."""
    identity = road.word("junction", "-1")
    if identity == "-1":
        return -1
    if identity not in junctions:
        raise road.fault(f'expected the id of a junction, got "{identity}"; repair it')
    return list(junctions).index(identity)
