"""Scenarios from CommonRoad XML files (2018b, 2020a): lanelets, obstacles with trajectories, planning problems.

Lanelets become `Lane`s, resampled at `STEP`; crosswalk lanelets become `Crossing`s; intersections number the lanelets
inside them. Speed limits are those of 2018b's <speedLimit> and of the traffic signs that a lanelet names (their values
are in m/s). Obstacles become `Actor`s, with the middle of whatever interval or area a file states and the area's radius
as `spread`; time is a step number in the file and seconds here. Traffic lights, signs without a limit, environment
obstacles and whatever else stands in a file and not in `READ` are told with their lines in `Road.ignored`; an obstacle
that moves without a trajectory is an error. After Althoff, Koschi and Manzinger (IV 2017) and the format's
documentation, versions 2018b and 2020a.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sim.actors import KINDS, Actor, ActorKind, Goal, Problem, Trajectory
from sim.leftout import LeftOut, word
from sim.road import LENGTH_MAX, STEP, Crossing, Floats, Lane, LaneKind, Road, RoadError, check_road
from sim.xmltree import Element, XmlReader

VERSIONS = ("2018b", "2020a")

CHORDS = 10.0
"""Way over which bends of lanelets are averaged, m: their bounds are polylines with points every 3 to 15 m, some drawn
by hand. By its vertices US 101, a straight motorway, bends by 1/24 m here and there; over 10 m by 1/200 m at most."""

LANE_KINDS = {
    "crosswalk": LaneKind.WALKWAY, "sidewalk": LaneKind.WALKWAY, "bicycleLane": LaneKind.BICYCLE,
    "shoulder": LaneKind.SHOULDER, "parking": LaneKind.OTHER, "restricted": LaneKind.OTHER,
    "border": LaneKind.OTHER, "driveWay": LaneKind.DRIVING,
}  # fmt: skip
"""Lanelet types that are no driving lanes; the first of a lanelet's types that stands here decides."""

SPEED_SIGNS = {"274", "274.1", "R2-1", "s301", "R-301", "C43", "B14", "maxSpeed"}
"""Traffic sign elements whose value is a speed limit in m/s: Germany, USA, Spain, Belgium and the neutral "Zamunda"."""

SOLID = {"solid", "broad_solid", "solid_solid", "solid_dashed"}
"""Line markings of a border that may not be crossed from its lanelet."""


_OBSTACLE = {"role", "type", "shape", "initialState", "trajectory"}
_STATE = {"position", "orientation", "time", "velocity", "acceleration", "yawRate", "slipAngle"}
"""Accelerations and yaw rates of obstacles follow from the places and speeds that are read."""

READ = {
    "commonRoad": {
        "lanelet", "trafficSign", "intersection", "dynamicObstacle", "staticObstacle", "obstacle", "planningProblem",
        "location", "scenarioTags",
    },
    "lanelet": {
        "leftBound", "rightBound", "predecessor", "successor", "adjacentLeft", "adjacentRight", "laneletType",
        "speedLimit", "trafficSignRef", "trafficLightRef",
    },
    "leftBound": {"point", "lineMarking"},
    "rightBound": {"point", "lineMarking"},
    "trafficSign": {"trafficSignElement", "position", "virtual"},
    "trafficSignElement": {"trafficSignID", "additionalValue"},
    "intersection": {"incoming"},
    "incoming": {"incomingLanelet", "successorsLeft", "successorsRight", "successorsStraight"},
    "dynamicObstacle": _OBSTACLE,
    "staticObstacle": _OBSTACLE,
    "obstacle": _OBSTACLE,
    "trajectory": {"state"},
    "initialState": _STATE,
    "state": _STATE,
    "planningProblem": {"initialState", "goalState"},
    "goalState": {"position", "orientation", "time", "velocity"},
}  # fmt: skip
"""What is read inside what; a lanelet's traffic lights are told where they stand themselves."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """What one file states."""

    road: Road
    actors: tuple[Actor, ...]
    problems: tuple[Problem, ...]
    step: float
    """Time step of the file, s."""


def read_commonroad(path: Path) -> Scenario:
    """The scenario of an .xml file. Raises `RoadError` (file, line, what to do) and `FileError`."""
    return _Reader(path).read()


class _Reader:
    """Owns what is known of one file while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index: dict[str, int] = {}
        self.left = LeftOut()

    def read(self) -> Scenario:
        root = XmlReader(self.path, RoadError).root("commonRoad")
        version = root.word("commonRoadVersion")
        if version not in VERSIONS:
            raise root.fault(f"expected CommonRoad {' or '.join(VERSIONS)}, got {version}; convert the file")
        self.step = root.number("timeStepSize", low=1e-3, high=10.0)
        for number, lanelet in enumerate(root.all("lanelet")):
            if lanelet.word("id") in self.index:
                raise lanelet.fault(f"lanelet {lanelet.word('id')} stands twice; renumber one")
            self.index[lanelet.word("id")] = number
        self.limits = dict(self._limits(root))
        self.junctions = dict(self._junctions(root))
        lanes = [self._lane(lanelet) for lanelet in root.all("lanelet")]
        crossings = [
            _crossing(lane) for lane, e in zip(lanes, root.all("lanelet"), strict=True) if "crosswalk" in _types(e)
        ]
        actors = tuple(self._actors(root))
        problems = tuple(self._problem(problem) for problem in root.all("planningProblem"))
        self.left.walk(root, READ)
        road = Road(self.path.stem, _both_ways(lanes), tuple(crossings), _keeps_right(lanes), self.left.told())
        return Scenario(check_road(road), actors, problems, self.step)

    # lanes -------------------------------------------------------------------------------------------------------

    def _lane(self, lanelet: Element) -> Lane:
        left, right = (self._border(lanelet.one(name)) for name in ("leftBound", "rightBound"))
        if len(left) != len(right):
            raise lanelet.fault(
                f"expected as many points in both bounds of lanelet {lanelet.word('id')}, got {len(left)} and "
                f"{len(right)}; repair them"
            )
        length = float(np.hypot(*np.diff(0.5 * (left + right), axis=0).T).sum())
        if length > LENGTH_MAX:
            raise lanelet.fault(
                f"expected lanelet {lanelet.word('id')} to be at most {LENGTH_MAX:g} m long, got {length:g}; repair it"
            )
        left, right = _even(left, right)
        links = {tag: tuple(self._refer(link) for link in lanelet.all(tag)) for tag in ("successor", "predecessor")}
        sides = {}
        for side in ("Left", "Right"):
            link = lanelet.some(f"adjacent{side}")
            direction = link.word("drivingDir") if link else ""
            if link and direction not in ("same", "opposite"):
                raise link.fault(f'expected drivingDir "same" or "opposite", got "{direction}"; repair it')
            sides[side] = (self._refer(link) if link else -1, direction == "same")
        beyond = [index for index, same in sides.values() if index >= 0 and not same]
        limit = lanelet.some("speedLimit")
        limits = [limit.value(low=0.0)] if limit else []
        for reference in lanelet.all("trafficSignRef"):
            sign = reference.word("ref")
            if sign not in self.limits:
                raise reference.fault(f"expected the id of a traffic sign, got {sign}; repair it")
            limits.append(self.limits[sign])
        kinds = [LANE_KINDS[name] for name in _types(lanelet) if name in LANE_KINDS]
        return Lane(
            name=lanelet.word("id"),
            left=left,
            right=right,
            limit=min(limits, default=math.inf),
            kind=kinds[0] if kinds else LaneKind.DRIVING,
            successors=links["successor"],
            predecessors=links["predecessor"],
            left_neighbour=sides["Left"][0] if sides["Left"][1] else -1,
            right_neighbour=sides["Right"][0] if sides["Right"][1] else -1,
            oncoming=beyond[0] if beyond else -1,
            may_change_left=_marking(lanelet.one("leftBound")) not in SOLID,
            may_change_right=_marking(lanelet.one("rightBound")) not in SOLID,
            junction=self.junctions.get(lanelet.word("id"), -1),
            chords=CHORDS,
        )

    def _border(self, bound: Element) -> Floats:
        points = np.array([_point(point) for point in bound.all("point")])
        if len(points) < 2:
            raise bound.fault(f"expected at least 2 points of a bound, got {len(points)}; add them")
        return points

    def _refer(self, link: Element) -> int:
        name = link.word("ref")
        if name not in self.index:
            raise link.fault(f"expected the id of a lanelet, got {name}; repair it")
        return self.index[name]

    def _limits(self, root: Element) -> Iterator[tuple[str, float]]:
        for sign in root.all("trafficSign"):
            limits = [math.inf]
            for element in sign.all("trafficSignElement"):
                name = element.one("trafficSignID").text.strip()
                if name in SPEED_SIGNS:
                    limits.extend(value.value(low=0.0) for value in element.all("additionalValue"))
                else:
                    self.left.note(f"traffic sign {word(name)}", element)
            yield sign.word("id"), min(limits)

    def _junctions(self, root: Element) -> Iterator[tuple[str, int]]:
        """Lanelets inside intersections: what follows their incoming ones."""
        for number, intersection in enumerate(root.all("intersection")):
            for incoming in intersection.all("incoming"):
                for child in incoming.children:
                    if child.tag.startswith("successors"):
                        self._refer(child)
                        yield child.word("ref"), number

    # actors ------------------------------------------------------------------------------------------------------

    def _actors(self, root: Element) -> Iterator[Actor]:
        for element in root.children:
            if element.tag in ("dynamicObstacle", "staticObstacle", "obstacle"):
                moves = element.tag == "dynamicObstacle"
                if element.tag == "obstacle":
                    role = element.one("role").text.strip()
                    if role not in ("static", "dynamic"):
                        raise element.fault(f'expected the role "static" or "dynamic", got "{role}"; repair it')
                    moves = role == "dynamic"
                yield self._actor(element, moves)

    def _actor(self, element: Element, moves: bool) -> Actor:
        name, kind = element.word("id"), element.one("type").text.strip()
        if kind not in KINDS:
            raise element.one("type").fault(f'expected a type of obstacle, got "{kind}"; known: {", ".join(KINDS)}')
        states = [element.one("initialState")]
        trajectory = element.some("trajectory")
        if trajectory is not None:
            states.extend(trajectory.all("state"))
        elif moves:
            raise element.fault(f"expected a <trajectory> of obstacle {name}, which moves, got none; add it")
        length, width, (x, y), turn = _extent(element.one("shape"))
        rows, spreads = [], []
        for state in states:
            px, py, spread = _place(state.one("position"))
            heading = _scalar(
                state.some("orientation"), 0.0 if KINDS[kind] == ActorKind.STATIC or not moves else None, state
            )
            speed = _scalar(state.some("velocity"), 0.0, state)
            time = _scalar(state.one("time"), None, state)
            c, w = math.cos(heading), math.sin(heading)
            rows.append((time * self.step, px + c * x - w * y, py + w * x + c * y, heading + turn, speed))
            spreads.append(spread)
        values = np.array(rows)
        if (np.diff(values[:, 0]) <= 0.0).any():
            raise element.fault(f"expected the times of obstacle {name} in rising order; sort its states")
        values[:, 3] = np.unwrap(values[:, 3])
        path = Trajectory(values[:, 0], values[:, 1:3], values[:, 3], values[:, 4], np.array(spreads))
        return Actor(name, KINDS[kind] if moves else ActorKind.STATIC, length, width, path)

    def _problem(self, element: Element) -> Problem:
        state = element.one("initialState")
        x, y, spread = _place(state.one("position"))
        if spread > 0.0:
            raise state.fault(
                "expected an exact position of the planning problem's initial state, got an area; repair it"
            )
        speed = _scalar(state.one("velocity"), None, state)
        if speed < 0.0:
            raise state.one("velocity").fault(
                f"expected planning problem {element.word('id')} to begin at 0 m/s or more, got {speed:g}; repair it"
            )
        slip = state.some("slipAngle")
        if slip is not None and _interval(slip) != (0.0, 0.0):
            self.left.note("slipAngle of initialState", slip)
        return Problem(
            name=element.word("id"),
            position=(x, y),
            heading=_scalar(state.one("orientation"), None, state),
            speed=speed,
            yaw_rate=_scalar(state.some("yawRate"), 0.0, state),
            time=_scalar(state.one("time"), None, state) * self.step,
            goals=tuple(self._goal(goal) for goal in element.all("goalState")),
        )

    def _goal(self, element: Element) -> Goal:
        position = element.some("position")
        areas, lanes = [], []
        for part in position.children if position else ():
            if part.tag == "lanelet":
                lanes.append(self._refer(part))
            else:
                areas.append(_outline(part))
        times = _interval(element.one("time"))
        return Goal(
            time=(times[0] * self.step, times[1] * self.step),
            areas=tuple(areas),
            lanes=tuple(lanes),
            heading=_interval(element.some("orientation")),
            speed=_interval(element.some("velocity")),
        )


def _types(lanelet: Element) -> list[str]:
    return [kind.text.strip() for kind in lanelet.all("laneletType")]


def _marking(bound: Element) -> str:
    marking = bound.some("lineMarking")
    return marking.text.strip() if marking else ""


def _even(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Both borders with as many points each at equal distances: pairs of the file stay opposite each other."""
    centre = 0.5 * (left + right)
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(centre, axis=0).T))])
    kept = np.concatenate([[True], np.diff(s) > 1e-6])
    at = np.linspace(0.0, s[-1], max(math.ceil(s[-1] / STEP), 1) + 1)
    return tuple(  # type: ignore[return-value] # two borders
        np.stack([np.interp(at, s[kept], border[kept, axis]) for axis in (0, 1)], axis=-1) for border in (left, right)
    )


def _both_ways(lanes: list[Lane]) -> tuple[Lane, ...]:
    """Links that only one of both lanelets states, stated by both."""
    after = [set(lane.successors) for lane in lanes]
    before = [set(lane.predecessors) for lane in lanes]
    for index in range(len(lanes)):
        for other in lanes[index].successors:
            before[other].add(index)
        for other in lanes[index].predecessors:
            after[other].add(index)
    return tuple(
        replace(lane, successors=tuple(sorted(after[i])), predecessors=tuple(sorted(before[i])))
        for i, lane in enumerate(lanes)
    )


def _keeps_right(lanes: list[Lane]) -> bool:
    """Whether oncoming lanes lie to the left."""
    for lane in lanes:
        if lane.oncoming >= 0:
            other = lanes[lane.oncoming].centre.mean(axis=0) - lane.centre.mean(axis=0)
            along = lane.centre[-1] - lane.centre[0]
            return bool(along[0] * other[1] - along[1] * other[0] > 0.0)
    return True


def _crossing(lane: Lane) -> Crossing:
    start, end = lane.centre[0].tolist(), lane.centre[-1].tolist()
    return Crossing((start[0], start[1]), (end[0], end[1]), float(lane.width.mean()))


def _point(element: Element) -> tuple[float, float]:
    return element.one("x").value(), element.one("y").value()


def _scalar(element: Element | None, default: float | None, owner: Element) -> float:
    """An exact value, or the middle of an interval; raises where neither is given and there is no default."""
    low, high = _interval(element)
    if element is None:
        if default is None:
            raise owner.fault(f"expected an orientation in <{owner.tag}>, it is missing; add it")
        return default
    return 0.5 * (low + high)


def _interval(element: Element | None) -> tuple[float, float]:
    """An exact value twice, or an interval; everything where nothing is stated."""
    if element is None:
        return -math.inf, math.inf
    exact = element.some("exact")
    if exact is not None:
        value = exact.value()
        return value, value
    low, high = element.one("intervalStart").value(), element.one("intervalEnd").value()
    if high < low:
        raise element.fault(f"expected an interval, got {low:g} to {high:g}; turn it round")
    return low, high


def _place(position: Element) -> tuple[float, float, float]:
    """Middle of a position, and the radius of the area that it states (0 for a point)."""
    if len(position.children) != 1:
        raise position.fault(f"expected one point or area in <position>, got {len(position.children)}; repair it")
    (part,) = position.children
    if part.tag == "point":
        return (*_point(part), 0.0)
    outline = _outline(part)
    x, y = (0.5 * (outline.min(axis=0) + outline.max(axis=0))).tolist()
    return x, y, float(np.hypot(*(outline - (x, y)).T).max())


def _outline(part: Element) -> Floats:
    """The corners of an area, (corners, 2); a circle as a polygon around it with 16."""
    if part.tag == "rectangle":
        length, width = part.one("length").value(low=0.0), part.one("width").value(low=0.0)
        turn = part.some("orientation")
        centre = part.some("center")
        angle = turn.value() if turn else 0.0
        x, y = _point(centre) if centre else (0.0, 0.0)
        corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (0.5 * length, 0.5 * width)
        c, w = math.cos(angle), math.sin(angle)
        return corners @ np.array([(c, w), (-w, c)]) + (x, y)
    if part.tag == "circle":
        centre = part.some("center")
        x, y = _point(centre) if centre else (0.0, 0.0)
        angles = np.arange(16) * (math.tau / 16)
        radius = part.one("radius").value(low=0.0) / math.cos(math.pi / 16)
        return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=-1)
    if part.tag == "polygon":
        points = np.array([_point(point) for point in part.all("point")])
        if len(points) < 3:
            raise part.fault(f"expected at least 3 points of a polygon, got {len(points)}; add them")
        return points
    raise part.fault(f"expected <rectangle>, <circle> or <polygon>, got <{part.tag}>; convert it")


def _extent(shape: Element) -> tuple[float, float, tuple[float, float], float]:
    """Length, width, middle and turn of the box around a shape in the obstacle's frame, m and rad."""
    parts = [part for part in shape.children]
    if len(parts) == 1 and parts[0].tag == "rectangle":
        (part,) = parts
        turn, centre = part.some("orientation"), part.some("center")
        middle = _point(centre) if centre else (0.0, 0.0)
        size = part.one("length").value(low=1e-3), part.one("width").value(low=1e-3)
        return *size, middle, turn.value() if turn else 0.0
    if not parts:
        raise shape.fault("expected a shape, got none; add it")
    outline = np.concatenate([_outline(part) for part in parts])
    low, high = outline.min(axis=0), outline.max(axis=0)
    x, y = (0.5 * (low + high)).tolist()
    return float(high[0] - low[0]), float(high[1] - low[1]), (x, y), 0.0
