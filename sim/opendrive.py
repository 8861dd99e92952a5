"""Roads from ASAM OpenDRIVE files (1.4 to 1.8): reference lines, lane sections, widths, links and junctions.

What is read: `planView` (line, arc, spiral, poly3, paramPoly3), `laneOffset`, lane sections with `width` or `border`
polynomials, road marks (where a change of lane is allowed), speeds of road types and lanes, links of roads, lanes and
junctions, crosswalk objects, the rule of traffic. The model is plane: elevations, signals, other objects and whatever
else stands in a file and not in `READ` are told with their lines in `Road.ignored`. What would bend or move lanes and
is not read is refused by name and line: superelevation, crossfall, lateral shapes, rail roads, virtual and direct
junctions.

Lanes with a positive id run against s on right-hand roads. Each lane section is sampled at `STEP` and at every change
of a polynomial, so that its borders lie on the closed forms, and cut where a limit or a mark changes on the way
(`sim/opendriverules.py`): then its parts' lanes follow each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from sim.errors import shown
from sim.leftout import LeftOut, word
from sim.opendriveline import Poly, ReferenceLine, evaluate, polynomials, reference_line, within
from sim.opendrivelinks import Key, Links, Section
from sim.opendriverules import Rules, read_limits, read_rules
from sim.road import GAP_MAX, METRES_MAX, STEP, Crossing, Floats, Lane, LaneKind, Road, RoadError, check_road
from sim.xmltree import Element, XmlReader

KINDS = {
    "driving": LaneKind.DRIVING, "entry": LaneKind.DRIVING, "exit": LaneKind.DRIVING, "onRamp": LaneKind.DRIVING,
    "offRamp": LaneKind.DRIVING, "connectingRamp": LaneKind.DRIVING, "slipLane": LaneKind.DRIVING,
    "bidirectional": LaneKind.OTHER, "shoulder": LaneKind.SHOULDER, "stop": LaneKind.SHOULDER,
    "biking": LaneKind.BICYCLE, "sidewalk": LaneKind.WALKWAY, "walking": LaneKind.WALKWAY,
}  # fmt: skip
"""Lane types (1.8, 11.7) that are more than ground to us; every other type is OTHER."""

GROUND = {
    "none", "border", "restricted", "parking", "median", "curb", "special1", "special2", "special3", "roadWorks",
    "tram", "rail", "bus", "taxi", "HOV", "mwyEntry", "mwyExit", "shared",
}  # fmt: skip
"""The other types that there are; one that is none of both is told."""

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

SAME = 1e-6
"""m; points nearer to each other along a road are one."""

CROSSWALK_MAX = 200.0
"""Of a crosswalk's sides, m: across the widest roads there are."""

LANES_MAX = 200_000
"""Of a file; a city of a million people has some ten thousand, and cut sections multiply what a file states."""


def read_opendrive(path: Path) -> Road:
    """The road network of an .xodr file. Raises `RoadError` (file, line, what to do) and `FileError`."""
    return _Reader(path).read()


@dataclass(frozen=True)
class _Cut:
    """A lane section of a file and what is made of it."""

    whole: Section
    parts: list[Section]
    rules: Rules


@dataclass(frozen=True)
class _Plan:
    """A road of a file before its lanes are made."""

    road: Element
    line: ReferenceLine
    sections: list[_Cut]
    offsets: list[Poly]
    junction: int


class _Reader:
    """Owns what is known of one file while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: dict[str, list[Section]] = {}
        self.roads: dict[str, Element] = {}
        self.junctions: dict[str, Element] = {}
        self.numbers: dict[str, int] = {}
        self.index: dict[Key, int] = {}
        self.left = LeftOut()
        self.metres, self.many = 0.0, 0

    def read(self) -> Road:
        root = XmlReader(self.path, RoadError).root("OpenDRIVE")
        header = root.one("header")
        if header.whole("revMajor") != 1:
            raise header.fault(f"expected OpenDRIVE 1.x, got {header.word('revMajor')}; convert the file")
        for junction in root.all("junction"):
            if junction.word("type", "default") not in ("default", "common"):
                raise junction.fault(f'junctions of type "{junction.word("type")}" are not read; convert the junction')
            name = junction.name()
            if name in self.junctions:
                raise junction.fault(f'junction "{word(name)}" stands twice; rename one')
            self.numbers[name] = len(self.junctions)
            self.junctions[name] = junction
        rules = {road.word("rule", "RHT") for road in root.all("road")}
        if len(rules) > 1 or not rules <= {"RHT", "LHT"}:
            raise root.fault(
                "expected one rule of traffic, RHT or LHT, for all roads, got "
                f"{', '.join(map(shown, sorted(rules)))}; repair it"
            )
        self.right_hand = rules != {"LHT"}
        plans = [self._plan(road) for road in root.all("road")]
        lanes: list[Lane] = []
        crossings: list[Crossing] = []
        for plan in plans:
            first = 0
            for section in plan.sections:
                for number, lane, kept in self._lanes(plan, section):
                    self.index[plan.road.word("id"), first + number, lane] = len(lanes)
                    lanes.append(kept)
                first += len(section.parts)
            crossings.extend(_crossings(plan.road, plan.line))
        if not lanes:
            raise root.fault("expected at least one road with a lane, got none; name another file")
        linked = Links(self.roads, self.junctions, self.sections, self.index, self.right_hand).link(lanes)
        self.left.walk(root, READ)
        return check_road(Road(self.path.stem, tuple(linked), tuple(crossings), self.right_hand, self.left.told()))

    def _plan(self, road: Element) -> _Plan:
        """What is to be made of a road, once it is known that its parts fit and that a file's are not too many."""
        identity = road.name()
        if identity in self.roads:
            raise road.fault(f'road "{word(identity)}" stands twice; rename one')
        self.roads[identity] = road
        self._refuse(road)
        line, limits = reference_line(road), read_limits(road)
        sections = []
        for whole in _divide(road, line):
            self.metres += (whole.end - whole.begin) * len(whole.lanes)
            if self.metres > METRES_MAX:
                raise road.fault(f"expected {METRES_MAX:g} m of lanes in a file at most, got more; cut it into parts")
            rules = read_rules(limits, whole.element, whole.begin, whole.lanes)
            cuts = rules.cuts(whole.begin, whole.end)
            self.many += (len(cuts) + 1) * len(whole.lanes)
            if self.many > LANES_MAX:
                raise whole.element.fault(
                    f"expected {LANES_MAX} lanes in a file at most, cut where limits and marks change, got more; cut "
                    "it into parts"
                )
            sections.append(_Cut(whole, _cut(whole, cuts), rules))
        self.sections[identity] = [part for section in sections for part in section.parts]
        offsets = polynomials(road.one("lanes").all("laneOffset"))
        _goes_on(road.one("lanes"), "laneOffset", [Poly(0.0, 0.0, 0.0, 0.0, 0.0), *offsets], GAP_MAX)
        return _Plan(road, line, sections, offsets, _junction(road, self.numbers))

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

    def _lanes(self, plan: _Plan, cut: _Cut) -> Iterator[tuple[int, int, Lane]]:
        """Number of the part, id and lane, not linked yet, of each lane of a section in each of its parts."""
        section, parts = cut.whole, cut.parts
        if not section.lanes:
            return
        for lane in section.lanes.values():
            if (kind := lane.word("type")) not in KINDS and kind not in GROUND:
                self.left.note(f"lane of type {word(kind)}", lane)
        offsets = within(plan.offsets, section.begin, section.end)
        bends = [
            section.begin + each.number("sOffset", low=0.0) for lane in section.lanes.values() for each in _shapes(lane)
        ]
        cuts = [*(part.begin for part in parts), section.end, *bends, *(poly.s for poly in offsets)]
        cuts = sorted({each for each in cuts if section.begin <= each <= section.end})
        pieces = [np.linspace(a, b, max(math.ceil((b - a) / STEP), 1) + 1)[:-1] for a, b in pairwise(cuts)]
        s = np.concatenate([*pieces, [section.end]])
        s = s[np.concatenate([[True], np.diff(s) > SAME])]
        x, y, heading = plan.line.at(s)
        middle = evaluate(offsets, s)
        borders = {0: middle}
        for sign in (1, -1):
            for step in range(1, max((sign * lane for lane in section.lanes), default=0) + 1):
                lane = section.lanes[sign * step]
                borders[sign * step] = _border(lane, s, section.begin, borders[sign * (step - 1)], middle, sign)
        ends = np.searchsorted(s, [part.begin - 2.0 * SAME for part in parts[1:]]).tolist()
        for number, (part, rows) in enumerate(zip(parts, pairwise([0, *ends, len(s) - 1]), strict=True)):
            at = slice(rows[0], rows[1] + 1)
            sine, cosine, inside = np.sin(heading[at]), np.cos(heading[at]), 0.5 * (part.begin + part.end)
            for identity, element in section.lanes.items():
                inner, outer = borders[identity - int(math.copysign(1, identity))][at], borders[identity][at]
                if float(np.abs(outer - inner).max()) < 0.05:
                    continue  # a lane without room, in files that keep the ids of lanes that begin later
                along = (identity < 0) == self.right_hand
                edges = [np.stack([x[at] - t * sine, y[at] + t * cosine], axis=-1) for t in (inner, outer)]
                left, right = (edges[0], edges[1]) if self.right_hand else (edges[1], edges[0])
                if not along:
                    left, right = left[::-1], right[::-1]
                inner_open, outer_open = cut.rules.changes(identity, inside)
                kept = Lane(
                    name=f"{plan.road.word('id')}.{part.name}.{identity}",
                    left=left.copy(),
                    right=right.copy(),
                    limit=cut.rules.limit(identity, inside),
                    kind=KINDS.get(element.word("type"), LaneKind.OTHER),
                    may_change_left=inner_open if self.right_hand else outer_open,
                    may_change_right=outer_open if self.right_hand else inner_open,
                    junction=plan.junction,
                )
                yield number, identity, kept


def _border(lane: Element, s: Floats, begin: float, inner: Floats, middle: Floats, sign: int) -> Floats:
    """The outer border of a lane, t (n,)."""
    shapes = list(lane.all("width")) or list(lane.all("border"))
    if not shapes:
        raise lane.fault(f"expected <width> or <border> of lane {lane.word('id')}, got none; add it")
    tag = shapes[0].tag  # where both are given, width counts (1.6, 9.5.2)
    polys = polynomials(shapes, "sOffset", begin)
    if polys[0].s > begin + SAME:
        raise lane.fault(f"expected a <{tag}> from sOffset 0 on, got the first at {polys[0].s - begin:g}; add it")
    _goes_on(lane, tag, within(polys, begin, float(s[-1])), GAP_MAX if tag == "border" else 2.0 * GAP_MAX)
    value = evaluate(polys, s)
    width = value if tag == "width" else sign * (middle + value - inner)
    if width.min() < -1e-3:
        raise lane.fault(f"expected a lane {tag} that leaves 0 m of room and more, got {width.min():.3f}; repair it")
    return inner + sign * np.maximum(width, 0.0)


def _goes_on(owner: Element, tag: str, polys: Sequence[Poly], most: float) -> None:
    """Raises where a piece does not begin where the one before ends: a lane has no steps to the side."""
    counted = [poly for poly, after in pairwise(polys) if after.s - poly.s > SAME]  # of two at one place the last
    for before, poly in pairwise([*counted, polys[-1]]):
        step = float(abs(evaluate([before], np.array([poly.s]))[0] - poly.a))
        if step > most + SAME:
            raise owner.fault(
                f"expected each <{tag}> to begin where the one before ends, got a step of {step:.2f} m at s = "
                f"{poly.s:g}; repair it"
            )


def _divide(road: Element, line: ReferenceLine) -> list[Section]:
    elements = list(road.one("lanes").all("laneSection"))
    if not elements:
        raise road.one("lanes").fault("expected at least one <laneSection>, got none; add it")
    begins = [element.number("s", low=0.0) for element in elements]
    for element, before, begin in zip(elements[1:], begins, begins[1:], strict=False):
        if begin <= before:
            raise element.fault(f"expected lane sections in the order of s, got {begin:g} after {before:g}; sort them")
    if begins[0] > GAP_MAX or begins[-1] >= line.length:
        raise elements[0].fault(f"expected lane sections from 0 to {line.length:g} m, got others; repair them")
    sections = []
    for number, (element, begin) in enumerate(zip(elements, begins, strict=True)):
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
                raise lane.fault(f"expected lane ids without holes, got {identity} without the one before; renumber")
        end = begins[number + 1] if number + 1 < len(begins) else line.length
        sections.append(Section(element, begin, end, lanes, str(number)))
    return sections


def _cut(section: Section, cuts: list[float]) -> list[Section]:
    """The parts of a section between the s of cuts; itself where there are none."""
    ends = pairwise([section.begin, *cuts, section.end])
    return [
        replace(section, begin=begin, end=end, name=section.name + (f"@{begin:.10g}" if begin > section.begin else ""))
        for begin, end in ends
    ]


def _shapes(lane: Element) -> Iterator[Element]:
    yield from lane.all("width")
    yield from lane.all("border")


def _crossings(road: Element, line: ReferenceLine) -> Iterator[Crossing]:
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


def _junction(road: Element, numbers: dict[str, int]) -> int:
    """Number of the junction that a road lies in, counted in the file's order."""
    identity = road.word("junction", "-1")
    if identity == "-1":
        return -1
    if identity not in numbers:
        raise road.fault(f"expected the id of a junction, got {shown(identity)}; repair it")
    return numbers[identity]
