"""Seeded roads: a highway with ramps, a rural road of curves, a town grid with junctions and crossings.

    generate_highway(seed)    one carriageway of 2 to 4 lanes with a hard shoulder; ramps lead on and off it by lanes of
                              acceleration and deceleration, neighbours of the right lane for their length
    generate_rural(seed)      two lanes, one each way, of lines, spirals and arcs; slower where they bend
    generate_town(seed)       streets with a lane each way between junctions on a bent grid; every way through a
                              junction is a lane of its own, a crossing lies before each junction

Curvature is continuous along every lane of a highway and a rural road (arcs are entered by spirals). Widths, radii and
limits are those of the German road standards RAA 2008, RAL 2012 and RASt 06, rounded: rows of a table of what varies
(sim/roadrows.py), which an argument may replace. Same arguments, same road.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import networkx as nx
import numpy as np

from sim.curves import Curve, Line, Spiral, place
from sim.road import STEP, Crossing, Floats, Lane, LaneKind, Road, RoadError, check_road
from sim.roadrows import ROAD_TABLE, RoadDraws
from sim.vary import Table

AUXILIARY = 250.0
"""Length of a lane of acceleration or deceleration, m (RAA: 250 m)."""

RAMP = 150.0
"""Length of what is modelled of a ramp beside it, m."""

COMFORT = 2.0
"""Lateral acceleration for which a bend's limit is signed, m/s^2."""

HEADING_MAX = 1.2
"""Largest turn of a bend, and largest turn from a road's beginning, rad."""

ROUND = 10 / 3.6
"""Limits are multiples of 10 km/h, m/s."""


@dataclass
class _Net:
    """Lanes under construction; owns their links."""

    lanes: list[Lane] = field(default_factory=list)
    follows: list[tuple[int, int]] = field(default_factory=list)

    def add(self, lane: Lane) -> int:
        self.lanes.append(lane)
        return len(self.lanes) - 1

    def beside(self, left: int, right: int) -> None:
        self.lanes[left] = replace(self.lanes[left], right_neighbour=right)
        self.lanes[right] = replace(self.lanes[right], left_neighbour=left)

    def oncoming(self, one: int, other: int) -> None:
        self.lanes[one] = replace(self.lanes[one], oncoming=other)
        self.lanes[other] = replace(self.lanes[other], oncoming=one)

    def road(self, name: str, crossings: Sequence[Crossing] = ()) -> Road:
        lanes = [
            replace(
                lane,
                successors=tuple(b for a, b in self.follows if a == index),
                predecessors=tuple(a for a, b in self.follows if b == index),
            )
            for index, lane in enumerate(self.lanes)
        ]
        return check_road(Road(name, tuple(lanes), tuple(crossings)))


@dataclass(frozen=True)
class _Reference:
    """A reference line: pieces end to end from the origin."""

    pieces: tuple[tuple[Curve, float], ...]

    @property
    def cuts(self) -> list[float]:
        return [0.0, *np.cumsum([length for _, length in self.pieces]).tolist()]

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        x = y = heading = 0.0
        found = np.zeros((3, len(s)))
        for begin, (curve, length) in zip(self.cuts, self.pieces, strict=False):
            rows = (s >= begin - 1e-9) if begin > 0.0 else np.ones(len(s), bool)
            found[:, rows] = place(curve, np.clip(s[rows] - begin, 0.0, length), x, y, heading)
            x, y, heading = (float(value[0]) for value in place(curve, np.array([length]), x, y, heading))
        return found[0], found[1], found[2]

    def strip(self, s: Floats, inner: Floats | float, outer: Floats | float) -> tuple[Floats, Floats]:
        """Borders at t = inner and outer, positive to the left, (n, 2) each."""
        x, y, heading = self.at(s)
        return tuple(np.stack([x - t * np.sin(heading), y + t * np.cos(heading)], axis=-1) for t in (inner, outer))  # type: ignore[return-value]


def generate_highway(
    seed: int,
    *,
    length: float | None = None,
    lanes: int | None = None,
    ramps: int | None = None,
    table: Table = ROAD_TABLE,
) -> Road:
    """A carriageway of `lanes` lanes with `ramps` ramps, on and off in turn; what is left out `table` draws.

    Raises `RoadError` where the ramps do not fit in.
    """
    draws = RoadDraws(table, _seed(seed), 0x41)
    many = int(draws.again("highway_lanes")) if lanes is None else lanes
    length = draws.once("highway_length") if length is None else length
    ramps = int(draws.once("highway_ramps")) if ramps is None else ramps
    width, limit = draws.once("highway_lane_width"), draws.once("highway_limit")
    ramps_limit = draws.once("ramp_limit")
    if not 1 <= many <= 6:
        raise RoadError(f"expected 1 to 6 lanes of a highway, got {many}; choose another number")
    if not (ramps >= 0 and length >= max(500.0, ramps * (AUXILIARY + 2.0 * RAMP + 100.0))):
        raise RoadError(
            f"expected a highway of at least {max(500.0, ramps * (AUXILIARY + 2.0 * RAMP + 100.0)):g} m for {ramps} "
            f"ramps, got {length:g}; make it longer"
        )
    reference = _bends(draws, length, "highway", 100.0)
    room = length / max(ramps, 1)
    begins = [k * room + draws.stream.uniform(RAMP + 20.0, room - AUXILIARY - RAMP - 20.0) for k in range(ramps)]
    cuts = sorted({0.0, length, *begins, *(begin + AUXILIARY for begin in begins)})
    net, before = _Net(), None
    for number, (begin, end) in enumerate(pairwise(cuts)):
        ramp = begins.index(begin) if begin in begins else None
        here = many + (ramp is not None)
        s = _samples(begin, end)
        row = []
        for lane in range(here):
            left, right = reference.strip(s, -lane * width, -(lane + 1) * width)
            row.append(net.add(Lane(f"{number}.{lane}", left, right, limit)))
        edge = -here * width
        left, right = reference.strip(s, edge, edge - draws.once("highway_shoulder_width"))
        shoulder = net.add(Lane(f"{number}.shoulder", left, right, limit, LaneKind.SHOULDER, may_change_left=False))
        for left_lane, right_lane in zip(row, [*row[1:], shoulder], strict=True):
            net.beside(left_lane, right_lane)
        if before is not None:
            net.follows.extend(zip(before[:many], row[:many], strict=True))
        if ramp is not None and ramp % 2 == 0:
            on = _ramp(
                net, reference, f"{number}.on", (begin - RAMP, begin), many * width, width, ramps_limit, joins=True
            )
            net.follows.append((on, row[-1]))
        elif ramp is not None:
            off = _ramp(
                net, reference, f"{number}.off", (end, end + RAMP), many * width, width, ramps_limit, joins=False
            )
            net.follows.append((row[-1], off))
        before = row
    return net.road(f"highway:{seed}")


def generate_rural(seed: int, *, length: float | None = None, table: Table = ROAD_TABLE) -> Road:
    """Two lanes, one each way; a lane ends where its limit changes. What is left out `table` draws."""
    draws = RoadDraws(table, _seed(seed), 0x52)
    length = draws.once("rural_length") if length is None else length
    if not length >= 300.0:
        raise RoadError(f"expected a rural road of at least 300 m, got {length:g}; make it longer")
    reference, width = _bends(draws, length, "rural", 50.0), draws.once("rural_lane_width")
    net, before = _Net(), None
    for number, (begin, end, limit) in enumerate(_by_limit(reference, draws.once("rural_limit"))):
        s = _samples(begin, end)
        left, right = reference.strip(s, 0.0, -width)
        there = net.add(Lane(f"{number}.there", left, right, limit))
        right, left = reference.strip(s, width, 0.0)
        back = net.add(Lane(f"{number}.back", left[::-1].copy(), right[::-1].copy(), limit))
        net.oncoming(there, back)
        if before is not None:
            net.follows += [(before[0], there), (back, before[1])]
        before = there, back
    return net.road(f"rural:{seed}")


def generate_town(
    seed: int,
    *,
    columns: int | None = None,
    rows: int | None = None,
    block: float | None = None,
    table: Table = ROAD_TABLE,
) -> Road:
    """A grid of `columns` x `rows` junctions about `block` metres apart; what is left out `table` draws.

    Some streets are missing; none is a dead end.
    """
    draws = RoadDraws(table, _seed(seed), 0x54)
    columns = int(draws.once("town_columns")) if columns is None else columns
    rows = int(draws.once("town_rows")) if rows is None else rows
    block = draws.once("town_block") if block is None else block
    if not (columns >= 2 and rows >= 2 and columns * rows <= 400 and block >= 70.0):
        raise RoadError(
            f"expected at least 2 x 2 and at most 400 junctions, 70 m or more apart, got {columns} x {rows} at "
            f"{block:g} m; choose others"
        )
    build = _Streets(draws.once("town_lane_width"), draws.once("town_walkway_width"), draws.once("town_limit"))
    places = {
        (i, j): np.array([i, j]) * block + np.array([draws.again("town_shift"), draws.again("town_shift")]) * block
        for j in range(rows)
        for i in range(columns)
    }
    streets = nx.grid_2d_graph(columns, rows)
    for street in sorted(streets.edges):
        if draws.again("town_gap") and min(streets.degree(end) for end in street) > 2:
            streets.remove_edge(*street)
            if nx.has_bridges(streets) or not nx.is_connected(streets):
                streets.add_edge(*street)
    net, crossings = _Net(), []
    arrives: dict[tuple[int, int], list[tuple[int, tuple[int, int]]]] = {node: [] for node in streets}
    leaves: dict[tuple[int, int], list[tuple[int, tuple[int, int]]]] = {node: [] for node in streets}
    for one, other in sorted(streets.edges):
        a, b = places[one], places[other]
        along = (b - a) / np.hypot(*(b - a))
        begin, end = a + along * build.mouth(streets, places, one), b - along * build.mouth(streets, places, other)
        there, back = (
            build.street(net, f"{p[0]}_{p[1]}.{q[0]}_{q[1]}", x, y)
            for p, q, x, y in ((one, other, begin, end), (other, one, end, begin))
        )
        net.oncoming(there, back)
        arrives[other].append((there, one))
        arrives[one].append((back, other))
        leaves[one].append((there, other))
        leaves[other].append((back, one))
        side = np.array([-along[1], along[0]])
        for mouth, inward in ((begin, along), (end, -along)):
            middle, reach = mouth + 3.5 * inward, build.lane + build.walkway
            crossings.append(
                Crossing(tuple((middle - reach * side).tolist()), tuple((middle + reach * side).tolist()), 3.0)
            )
    for number, node in enumerate(sorted(streets)):
        for lane, origin in arrives[node]:
            for following, goal in leaves[node]:
                if goal != origin:
                    turn = net.add(build.turn(net.lanes[lane], net.lanes[following], number))
                    net.follows += [(lane, turn), (turn, following)]
    return net.road(f"town:{seed}", crossings)


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**63:
        raise RoadError(f"expected a seed from 0 to 2^63 - 1, got {seed}; choose another")
    return seed


def _samples(begin: float, end: float) -> Floats:
    return np.linspace(begin, end, max(math.ceil((end - begin) / STEP), 1) + 1)


def _bends(
    draws: RoadDraws,
    length: float,
    kind: str,
    spiral: float,
) -> _Reference:
    """Lines and bends in turn, each bend spiral, arc, spiral, of a kind of road.

    The heading stays within HEADING_MAX of the first, so that no road meets itself.
    """
    pieces: list[tuple[Curve, float]] = []
    heading = 0.0
    while (left := length - sum(piece for _, piece in pieces)) > 1e-6:
        pieces.append((Line(), min(draws.again(f"{kind}_straight"), left)))
        k = float(draws.curvature(f"{kind}_radius") * draws.stream.choice((-1.0, 1.0)))
        round_ = min(draws.again(f"{kind}_arc"), max(HEADING_MAX / abs(k) - spiral, 0.1))
        if abs(heading + k * (round_ + spiral)) > HEADING_MAX:
            k = -k
        left = length - sum(piece for _, piece in pieces)
        if left < 2.0 * spiral + round_ + 20.0:
            if left > 0.0:
                pieces.append((Line(), left))
            break
        heading += k * (round_ + spiral)
        pieces += [(Spiral(0.0, k / spiral), spiral), (Spiral(k, 0.0), round_), (Spiral(k, -k / spiral), spiral)]
    return _Reference(tuple(pieces))


def _by_limit(reference: _Reference, most: float) -> list[tuple[float, float, float]]:
    """Stretches of one limit: begin, end, limit; a bend with its spirals is one."""
    found: list[tuple[float, float, float]] = []
    for begin, (curve, length) in zip(reference.cuts, reference.pieces, strict=False):
        sharpest = (
            max(abs(curve.curvature), abs(curve.curvature + curve.rate * length)) if isinstance(curve, Spiral) else 0.0
        )
        limit = most
        if sharpest > 0.0:
            limit = min(limit, max(math.floor(math.sqrt(COMFORT / sharpest) / ROUND + 1e-9), 3) * ROUND)
        if found and found[-1][2] == limit:
            found[-1] = (found[-1][0], begin + length, limit)
        else:
            found.append((begin, begin + length, limit))
    return found


def _ramp(
    net: _Net,
    reference: _Reference,
    name: str,
    ends: tuple[float, float],
    beside: float,
    width: float,
    limit: float,
    *,
    joins: bool,
) -> int:
    """A lane that swings from 12 m beyond a carriageway `beside` m wide onto its auxiliary lane, or away from it."""
    begin, end = ends
    s = _samples(begin, end)
    share = (s - begin) / (end - begin)
    swing = 12.0 * (1.0 - share if joins else share) ** 3  # level and straight where it meets the other lane
    inner = -beside - swing
    left, right = reference.strip(s, inner, inner - width)
    return net.add(Lane(name, left, right, limit))


@dataclass(frozen=True)
class _Streets:
    """A town's lanes, m wide, their walkways, and its limit, m/s."""

    lane: float
    walkway: float
    limit: float

    def mouth(self, streets: nx.Graph, places: dict[tuple[int, int], Floats], node: tuple[int, int]) -> float:
        """Distance from a junction's middle at which its arms end, m: lanes of neighbouring arms stay apart there."""
        angles = sorted(math.atan2(*(places[other] - places[node])[::-1]) for other in streets[node])
        between = min((b - a) % math.tau for a, b in zip(angles, [*angles[1:], angles[0] + math.tau], strict=True))
        return max(12.0, (self.lane + self.walkway) / math.tan(0.5 * min(between, math.pi - 0.2)) + 4.0)

    def street(self, net: _Net, name: str, begin: Floats, end: Floats) -> int:
        """A lane to the right of the line from begin to end, and its walkway."""
        along = (end - begin) / np.hypot(*(end - begin))
        side = np.array([along[1], -along[0]])
        share = _samples(0.0, float(np.hypot(*(end - begin))))[:, None] * along
        line = begin + share
        lane = net.add(Lane(name, line, line + self.lane * side, self.limit, may_change_right=False))
        walkway = net.add(
            Lane(
                f"{name}.walkway",
                line + self.lane * side,
                line + (self.lane + self.walkway) * side,
                kind=LaneKind.WALKWAY,
                may_change_left=False,
            )
        )
        net.beside(lane, walkway)
        return lane

    def turn(self, lane: Lane, following: Lane, junction: int) -> Lane:
        """The way through a junction: a cubic that leaves and arrives straight, as near to an arc as a cubic can be."""
        begin, end = lane.centre[-1], following.centre[0]
        a, b = float(lane.heading[-1]), float(following.heading[0])
        turn = (b - a + math.pi) % math.tau - math.pi
        chord = float(np.hypot(*(end - begin)))
        pull = (
            chord / 3.0
            if abs(turn) < 1e-3
            else chord * (4.0 / 3.0) * math.tan(abs(turn) / 4.0) / (2.0 * math.sin(abs(turn) / 2.0))
        )
        first = begin + pull * np.array([math.cos(a), math.sin(a)])
        last = end - pull * np.array([math.cos(b), math.sin(b)])
        p = np.linspace(0.0, 1.0, max(math.ceil(1.2 * chord / STEP), 4) + 1)[:, None]
        line = (1 - p) ** 3 * begin + 3 * p * (1 - p) ** 2 * first + 3 * p**2 * (1 - p) * last + p**3 * end
        slope = 3 * (1 - p) ** 2 * (first - begin) + 6 * p * (1 - p) * (last - first) + 3 * p**2 * (end - last)
        normal = np.stack([-slope[:, 1], slope[:, 0]], axis=-1) / np.hypot(*slope.T)[:, None]
        half = 0.5 * self.lane * normal
        return Lane(
            f"{lane.name}>{following.name.split('.')[1]}",
            line + half,
            line - half,
            self.limit,
            junction=junction,
            may_change_left=False,
            may_change_right=False,
        )
