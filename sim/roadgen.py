"""Seeded roads: a highway with ramps, a rural road of curves, a town grid with junctions and crossings.

    generate_highway(seed)    one carriageway of 2 to 4 lanes with a hard shoulder; ramps lead on and off it by lanes of
                              acceleration and deceleration, neighbours of the right lane for their length
    generate_rural(seed)      two lanes, one each way, of lines, spirals and arcs; slower where they bend
    generate_town(seed)       streets with a lane each way between junctions on a bent grid; every way through a
                              junction is a lane of its own, a crossing lies before each junction

Curvature is continuous along every lane of a highway and a rural road (arcs are entered by spirals). Widths, radii and
limits are those of the German road standards RAA 2008, RAL 2012 and RASt 06, rounded. Same arguments, same road:
numpy's PCG64 seeded by the argument.
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

HIGHWAY_LANE, RURAL_LANE, TOWN_LANE, SHOULDER, WALKWAY = 3.75, 3.5, 3.25, 2.5, 2.5
"""Widths, m: RAA (EKA 1), RAL (EKL 3), RASt."""

HIGHWAY_LIMIT, RAMP_LIMIT, RURAL_LIMIT, TOWN_LIMIT = 130 / 3.6, 80 / 3.6, 100 / 3.6, 50 / 3.6
"""m/s: the recommended speed of German motorways, a usual limit on their ramps, 100 and 50 km/h by law (StVO 3)."""

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


def generate_highway(seed: int, *, length: float = 3000.0, lanes: int | None = None, ramps: int = 2) -> Road:
    """A carriageway with `ramps` ramps, on and off in turn; `lanes` 2 to 4, drawn if left out.

    Raises `RoadError` where the ramps do not fit in.
    """
    draws = np.random.default_rng([_seed(seed), 0x41])
    many = int(draws.integers(2, 5)) if lanes is None else lanes
    if not 1 <= many <= 6:
        raise RoadError(f"expected 1 to 6 lanes of a highway, got {many}; choose another number")
    if not (ramps >= 0 and length >= max(500.0, ramps * (AUXILIARY + 2.0 * RAMP + 100.0))):
        raise RoadError(
            f"expected a highway of at least {max(500.0, ramps * (AUXILIARY + 2.0 * RAMP + 100.0)):g} m for {ramps} "
            f"ramps, got {length:g}; make it longer"
        )
    reference = _bends(draws, length, (200.0, 500.0), (400.0, 2000.0), (100.0, 400.0), 100.0)
    room = length / max(ramps, 1)
    begins = [k * room + draws.uniform(RAMP + 20.0, room - AUXILIARY - RAMP - 20.0) for k in range(ramps)]
    cuts = sorted({0.0, length, *begins, *(begin + AUXILIARY for begin in begins)})
    net, before = _Net(), None
    for number, (begin, end) in enumerate(pairwise(cuts)):
        ramp = begins.index(begin) if begin in begins else None
        here = many + (ramp is not None)
        s = _samples(begin, end)
        row = []
        for lane in range(here):
            left, right = reference.strip(s, -lane * HIGHWAY_LANE, -(lane + 1) * HIGHWAY_LANE)
            row.append(net.add(Lane(f"{number}.{lane}", left, right, HIGHWAY_LIMIT)))
        edge = -here * HIGHWAY_LANE
        left, right = reference.strip(s, edge, edge - SHOULDER)
        shoulder = net.add(
            Lane(f"{number}.shoulder", left, right, HIGHWAY_LIMIT, LaneKind.SHOULDER, may_change_left=False)
        )
        for left_lane, right_lane in zip(row, [*row[1:], shoulder], strict=True):
            net.beside(left_lane, right_lane)
        if before is not None:
            net.follows.extend(zip(before[:many], row[:many], strict=True))
        if ramp is not None and ramp % 2 == 0:
            net.follows.append((_ramp(net, reference, f"{number}.on", begin - RAMP, begin, many, joins=True), row[-1]))
        elif ramp is not None:
            net.follows.append((row[-1], _ramp(net, reference, f"{number}.off", end, end + RAMP, many, joins=False)))
        before = row
    return net.road(f"highway:{seed}")


def generate_rural(seed: int, *, length: float = 2000.0) -> Road:
    """Two lanes, one each way; a lane ends where its limit changes."""
    if not length >= 300.0:
        raise RoadError(f"expected a rural road of at least 300 m, got {length:g}; make it longer")
    draws = np.random.default_rng([_seed(seed), 0x52])
    reference = _bends(draws, length, (60.0, 250.0), (60.0, 400.0), (40.0, 150.0), 50.0)
    net, before = _Net(), None
    for number, (begin, end, limit) in enumerate(_by_limit(reference)):
        s = _samples(begin, end)
        left, right = reference.strip(s, 0.0, -RURAL_LANE)
        there = net.add(Lane(f"{number}.there", left, right, limit))
        right, left = reference.strip(s, RURAL_LANE, 0.0)
        back = net.add(Lane(f"{number}.back", left[::-1].copy(), right[::-1].copy(), limit))
        net.oncoming(there, back)
        if before is not None:
            net.follows += [(before[0], there), (back, before[1])]
        before = there, back
    return net.road(f"rural:{seed}")


def generate_town(seed: int, *, columns: int = 4, rows: int = 3, block: float = 110.0) -> Road:
    """A grid of `columns` x `rows` junctions about `block` metres apart.

    Some streets are left out; none is a dead end.
    """
    if not (columns >= 2 and rows >= 2 and columns * rows <= 400 and block >= 70.0):
        raise RoadError(
            f"expected at least 2 x 2 and at most 400 junctions, 70 m or more apart, got {columns} x {rows} at "
            f"{block:g} m; choose others"
        )
    draws = np.random.default_rng([_seed(seed), 0x54])
    places = {
        (i, j): np.array([i, j]) * block + draws.uniform(-0.1, 0.1, 2) * block
        for j in range(rows)
        for i in range(columns)
    }
    streets = nx.grid_2d_graph(columns, rows)
    for street in sorted(streets.edges):
        if draws.random() < 0.15 and min(streets.degree(end) for end in street) > 2:
            streets.remove_edge(*street)
            if nx.has_bridges(streets) or not nx.is_connected(streets):
                streets.add_edge(*street)
    net, crossings = _Net(), []
    arrives: dict[tuple[int, int], list[tuple[int, tuple[int, int]]]] = {node: [] for node in streets}
    leaves: dict[tuple[int, int], list[tuple[int, tuple[int, int]]]] = {node: [] for node in streets}
    for one, other in sorted(streets.edges):
        a, b = places[one], places[other]
        along = (b - a) / np.hypot(*(b - a))
        begin, end = a + along * _mouth(streets, places, one), b - along * _mouth(streets, places, other)
        there, back = (
            _street(net, f"{p[0]}_{p[1]}.{q[0]}_{q[1]}", x, y)
            for p, q, x, y in ((one, other, begin, end), (other, one, end, begin))
        )
        net.oncoming(there, back)
        arrives[other].append((there, one))
        arrives[one].append((back, other))
        leaves[one].append((there, other))
        leaves[other].append((back, one))
        side = np.array([-along[1], along[0]])
        for mouth, inward in ((begin, along), (end, -along)):
            middle, reach = mouth + 3.5 * inward, TOWN_LANE + WALKWAY
            crossings.append(
                Crossing(tuple((middle - reach * side).tolist()), tuple((middle + reach * side).tolist()), 3.0)
            )
    for number, node in enumerate(sorted(streets)):
        for lane, origin in arrives[node]:
            for following, goal in leaves[node]:
                if goal != origin:
                    turn = net.add(_turn(net.lanes[lane], net.lanes[following], number))
                    net.follows += [(lane, turn), (turn, following)]
    return net.road(f"town:{seed}", crossings)


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**63:
        raise RoadError(f"expected a seed from 0 to 2^63 - 1, got {seed}; choose another")
    return seed


def _samples(begin: float, end: float) -> Floats:
    return np.linspace(begin, end, max(math.ceil((end - begin) / STEP), 1) + 1)


def _bends(
    draws: np.random.Generator,
    length: float,
    straight: tuple[float, float],
    radius: tuple[float, float],
    arc: tuple[float, float],
    spiral: float,
) -> _Reference:
    """Lines and bends in turn, each bend spiral, arc, spiral; radii drawn log-uniformly.

    The heading stays within HEADING_MAX of the first, so that no road meets itself.
    """
    pieces: list[tuple[Curve, float]] = []
    heading = 0.0
    while (left := length - sum(piece for _, piece in pieces)) > 1e-6:
        pieces.append((Line(), min(draws.uniform(*straight), left)))
        k = float(np.exp(-draws.uniform(*np.log(radius))) * draws.choice((-1.0, 1.0)))
        round_ = min(draws.uniform(*arc), max(HEADING_MAX / abs(k) - spiral, 0.1))
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


def _by_limit(reference: _Reference) -> list[tuple[float, float, float]]:
    """Stretches of one limit: begin, end, limit; a bend with its spirals is one."""
    found: list[tuple[float, float, float]] = []
    for begin, (curve, length) in zip(reference.cuts, reference.pieces, strict=False):
        sharpest = (
            max(abs(curve.curvature), abs(curve.curvature + curve.rate * length)) if isinstance(curve, Spiral) else 0.0
        )
        limit = RURAL_LIMIT
        if sharpest > 0.0:
            limit = min(limit, max(math.floor(math.sqrt(COMFORT / sharpest) / ROUND + 1e-9), 3) * ROUND)
        if found and found[-1][2] == limit:
            found[-1] = (found[-1][0], begin + length, limit)
        else:
            found.append((begin, begin + length, limit))
    return found


def _ramp(net: _Net, reference: _Reference, name: str, begin: float, end: float, lanes: int, *, joins: bool) -> int:
    """A lane that swings from 12 m beyond the carriageway onto its auxiliary lane, or away from it."""
    s = _samples(begin, end)
    share = (s - begin) / (end - begin)
    swing = 12.0 * (1.0 - share if joins else share) ** 3  # level and straight where it meets the other lane
    inner = -lanes * HIGHWAY_LANE - swing
    left, right = reference.strip(s, inner, inner - HIGHWAY_LANE)
    return net.add(Lane(name, left, right, RAMP_LIMIT))


def _mouth(streets: nx.Graph, places: dict[tuple[int, int], Floats], node: tuple[int, int]) -> float:
    """Distance from the middle of a junction at which its arms end, m: lanes of neighbouring arms stay apart there."""
    angles = sorted(math.atan2(*(places[other] - places[node])[::-1]) for other in streets[node])
    between = min((b - a) % math.tau for a, b in zip(angles, [*angles[1:], angles[0] + math.tau], strict=True))
    return max(12.0, (TOWN_LANE + WALKWAY) / math.tan(0.5 * min(between, math.pi - 0.2)) + 4.0)


def _street(net: _Net, name: str, begin: Floats, end: Floats) -> int:
    """A lane to the right of the line from begin to end, and its walkway."""
    along = (end - begin) / np.hypot(*(end - begin))
    side = np.array([along[1], -along[0]])
    share = _samples(0.0, float(np.hypot(*(end - begin))))[:, None] * along
    line = begin + share
    lane = net.add(Lane(name, line, line + TOWN_LANE * side, TOWN_LIMIT, may_change_right=False))
    walkway = net.add(
        Lane(
            f"{name}.walkway",
            line + TOWN_LANE * side,
            line + (TOWN_LANE + WALKWAY) * side,
            kind=LaneKind.WALKWAY,
            may_change_left=False,
        )
    )
    net.beside(lane, walkway)
    return lane


def _turn(lane: Lane, following: Lane, junction: int) -> Lane:
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
    half = 0.5 * TOWN_LANE * normal
    return Lane(
        f"{lane.name}>{following.name.split('.')[1]}",
        line + half,
        line - half,
        TOWN_LIMIT,
        junction=junction,
        may_change_left=False,
        may_change_right=False,
    )
