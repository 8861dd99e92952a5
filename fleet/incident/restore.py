"""A floor as it was at a recorded moment: who stood where and moved how, from the plant's record or from what was seen.

    with plant.npz     robots, people, forklifts, doors, pods and boxes as they truly were; other robots, what they
                       carry, and forklifts go on as recorded; people walk on
    without            the robot where it took itself to be, with its pod if it carries one; other robots as the picture
                       told, standing; doors open where somebody is near; whatever the lidar met that is neither map nor
                       a told robot: a person each, who stands, or walks to it

A black box has no plan of anybody else, so nobody can answer the way in which another policy drives but by the site's
profile. People of the plant walk on along their cells, with the speed that they had shown, and choose their ways anew;
who keeps to no cells (a social-force crowd) goes on as recorded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordination.messages import LegKind
from fleet.incident.walk import Walked
from fleet.words import scan_points
from sim.fixtures import DoorState
from sim.people import PERSON_RADIUS
from sim.robot import SECOND, RobotSpec
from sim.site import MOVES, Site
from sim.trace import Trace, blend, read_trace

EXPLAINED = 0.2
"""m around racks and told robots within which a lidar's point is theirs: localisation, noise and a rack's corner."""
APART = 0.4
"""m between two points of the lidar that begin another body: nearly the width of a person."""
HELD = 0.1
"""m between a robot and the pod on its lift, which is welded to it in the pose in which it was taken."""
DOORWAY = 0.6
"""m from an automatic door's cells within which somebody may stand in it, so that it is not shut on him."""
ON_LANE = 0.02
"""m from the line between two cells' centres within which somebody walks along it: float32 on a large floor."""


@dataclass(frozen=True)
class Walker:
    """A person on a floor of cells (sim/people.py): `walked` m from the centre of `origin` towards `target`."""

    position: tuple[float, float]
    origin: int
    target: int
    walked: float
    speed: float
    """m/s"""
    stands: bool
    """For good: somebody of whom nothing else is known"""
    recorded: bool = False
    """Goes on as the plant's record says"""


@dataclass(frozen=True)
class Places:
    """Where everything is that goes on as recorded."""

    robots: NDArray[np.float64]
    """The others, (robots - 1, 3), W"""
    people: NDArray[np.float64]
    """(people, 2)"""
    forklifts: NDArray[np.float64]
    """(forklifts, 3)"""
    pods: NDArray[np.float64]
    """(pods, 3)"""


@dataclass(frozen=True)
class After:
    """The record from a moment on; the first row is the moment itself."""

    stamps: NDArray[np.int64]
    """(n,), ns"""
    robots: NDArray[np.float64]
    """(n, robots - 1, 3)"""
    people: NDArray[np.float64]
    """(n, people, 2)"""
    forklifts: NDArray[np.float64]
    """(n, forklifts, 3)"""
    pods: NDArray[np.float64]
    """(n, pods, 3)"""

    def at(self, stamp: int) -> Places:
        """Between the two rows around a stamp; after the last one everything stands."""
        one = int(np.clip(np.searchsorted(self.stamps, stamp, "right") - 1, 0, len(self.stamps) - 1))
        two = min(one + 1, len(self.stamps) - 1)
        share = float(np.clip((stamp - self.stamps[one]) / max(self.stamps[two] - self.stamps[one], 1), 0.0, 1.0))
        return Places(
            blend(self.robots[one], self.robots[two], share),
            self.people[one] + share * (self.people[two] - self.people[one]),
            blend(self.forklifts[one], self.forklifts[two], share),
            blend(self.pods[one], self.pods[two], share),
        )


@dataclass(frozen=True)
class Situation:
    """Everything that moves, at one moment; the robot that is asked about first."""

    stamp: int
    names: tuple[str, ...]
    poses: NDArray[np.float64]
    """(robots, 3), W"""
    twists: NDArray[np.float64]
    """(robots, 2): v (m/s), w (rad/s)"""
    people: tuple[Walker, ...]
    source: str
    """What it was restored from, in words"""
    after: After | None = None
    """What was recorded from then on; None: everything else stands"""
    doors: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """Which of them could be passed, (doors,)"""
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    """Spilled ones, (boxes, 3)"""
    lift: float = -1.0
    """How far the robot's lift with a pod is up, m; -1 without a pod"""
    carried: int = -1
    """Number of that pod; -1 where nothing says which, or without one"""
    battery: float = 1.0
    """Charge of the robot"""

    def places_at(self, stamp: int) -> Places:
        """Where everything is at a stamp that goes on as recorded."""
        if self.after is not None:
            return self.after.at(stamp)
        people = np.array([person.position for person in self.people], np.float64).reshape(-1, 2)
        return Places(self.poses[1:], people, np.zeros((0, 3)), np.zeros((0, 3)))


def record_of(run: Path) -> Trace | None:
    """The plant's record of a run; None where it has none. Raises ViewError for a damaged one."""
    return read_trace(run) if (run / "plant.npz").exists() else None


def from_record(trace: Trace, site: Site, step: Walked, robot: str) -> Situation | None:
    """The floor as the plant had it at a step; None where its record lacks robot or moment."""
    at = int(np.searchsorted(trace.stamps, step.inputs.stamp))
    if robot not in trace.names or at >= len(trace.stamps) or trace.stamps[at] != step.inputs.stamp:
        return None
    mine = trace.names.index(robot)
    order = [mine, *(number for number in range(len(trace.names)) if number != mine)]
    poses = trace.poses[:, order].astype(np.float64)
    before = max(at - 1, 0)
    dt = max((trace.stamps[at] - trace.stamps[before]) / SECOND, 1e-9)
    twists = np.stack([_twist(poses[before, k], poses[at, k], dt) for k in range(len(order))])
    twists[0] = step.inputs.twist
    people = _people(trace, site, at)
    after = After(
        trace.stamps[at:], poses[at:, 1:], trace.people[at:].astype(np.float64),
        trace.forklifts[at:].astype(np.float64), trace.pods[at:].astype(np.float64),
    )  # fmt: skip
    carried = -1
    if step.inputs.lift >= 0.0 and trace.pods.shape[1]:
        away = np.hypot(*(trace.pods[at, :, :2] - poses[at, 0, :2]).T)
        carried = int(away.argmin()) if away.min() < HELD else -1
    counts = ((trace.forklifts.shape[1], "forklifts"), (trace.doors.shape[1], "doors"), (trace.pods.shape[1], "pods"),
              (len(trace.boxes), "boxes"))  # fmt: skip
    beside = "".join(f", {count} {what}" for count, what in counts if count)
    return Situation(
        stamp=step.inputs.stamp,
        names=tuple(trace.names[number] for number in order),
        poses=poses[at],
        twists=twists,
        people=people,
        source=f"the plant's record: {len(order)} robots, {len(people)} people{beside}; other robots go on as recorded",
        after=after,
        doors=trace.doors[at].copy(),
        boxes=trace.boxes.astype(np.float64),
        lift=step.inputs.lift,
        carried=carried,
        battery=_charge(step),
    )


def from_sight(site: Site, spec: RobotSpec, step: Walked, robot: str, speed: float, walk: bool) -> Situation:
    """The floor as robot and picture had it; what only the lidar met are people, who walk at `speed` or stand."""
    inputs = step.inputs
    told = inputs.picture.robots if inputs.picture is not None else ()
    scan = np.frombuffer(inputs.scan, np.float32)
    points = unexplained(site, scan_points(scan, inputs.pose, spec), told)
    bodies = [_body(group, inputs.pose) for group in groups(points)]
    people = tuple(_seen(site, place, inputs.pose, speed, walk) for place in bodies)
    poses = np.array([inputs.pose, *((x, y, 0.0) for x, y, _ in told)])
    twists = np.zeros((len(poses), 2))
    twists[0] = inputs.twist
    words = (
        f"what {robot} saw: {len(told)} robots that the picture told, standing, and {len(people)} bodies that only the "
        f"lidar met, as people who {f'walk at {speed:g} m/s' if walk else 'stand'}"
    )
    names = (robot, *(f"other{number}" for number in range(len(told))))
    carried = _pod_of(site, step)
    if carried >= 0:
        words += ", and the pod that its work says"
    doors = np.array([_stands_open(site, number, poses[:, :2]) for number in range(len(site.fixtures.doors))], bool)
    return Situation(
        inputs.stamp, names, poses, twists, people, words,
        doors=doors, lift=inputs.lift, carried=carried, battery=_charge(step),
    )  # fmt: skip


def _charge(step: Walked) -> float:
    charge = step.inputs.battery
    return min(max(charge, 0.0), 1.0) if math.isfinite(charge) else 1.0


def _pod_of(site: Site, step: Walked) -> int:
    """The pod that a robot carries, by the cell at which its work let it take one; -1 without."""
    picture = step.inputs.picture
    work = picture.assignment if picture is not None else None
    if step.inputs.lift < 0.0 or work is None or not site.fixtures.pods:
        return -1
    taken = [leg.cell for leg in work.legs if leg.kind is LegKind.LIFT]
    if not taken:
        return -1
    away = np.hypot(*(site.centre(np.array(site.fixtures.pods)) - site.centre(taken[-1])).T)
    return int(away.argmin())


def _stands_open(site: Site, number: int, places: NDArray[np.floating]) -> bool:
    """Whether a door must have been open for who is at `places` (n, 2): somebody stands in what opens it."""
    door = site.fixtures.doors[number]
    if door.state is not DoorState.AUTOMATIC:
        return door.state is DoorState.OPEN
    middles = site.centre(np.array(door.cells)).reshape(-1, 1, 2)
    gaps = np.maximum(np.abs(middles - places[None]) - site.cell / 2, 0.0)
    return bool((np.hypot(gaps[..., 0], gaps[..., 1]) < DOORWAY).any())


def unexplained(
    site: Site, points: NDArray[np.floating], robots: tuple[tuple[float, float, float], ...]
) -> NDArray[np.float64]:
    """Points (n, 2) that are neither of a rack or a wall nor of a robot (x, y, radius), (m, 2)."""
    kept = []
    for x, y in points.tolist():
        if any(math.hypot(x - rx, y - ry) <= radius + EXPLAINED for rx, ry, radius in robots):
            continue
        around = [
            _filled(site, x + dx, y + dy) for dx in (-EXPLAINED, 0.0, EXPLAINED) for dy in (-EXPLAINED, 0.0, EXPLAINED)
        ]
        if not any(around):
            kept.append((x, y))
    return np.array(kept, np.float64).reshape(-1, 2)


def groups(points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Points (n, 2), in the order of the rays, by body: a jump of more than APART begins another, all round."""
    if not len(points):
        return []
    jumps = np.hypot(*np.diff(points, axis=0).T) > APART
    found = np.split(points, np.flatnonzero(jumps) + 1)
    if len(found) > 1 and np.hypot(*(found[0][0] - found[-1][-1])) <= APART:
        found = [np.concatenate([found[-1], found[0]]), *found[1:-1]]
    return found


def _body(points: NDArray[np.float64], pose: tuple[float, float, float]) -> tuple[float, float]:
    """Where the middle of a person is whose near side was met: a radius behind the middle of the points."""
    x, y = points.mean(axis=0).tolist()
    away = math.atan2(y - pose[1], x - pose[0])
    return x + PERSON_RADIUS * math.cos(away), y + PERSON_RADIUS * math.sin(away)


def _seen(site: Site, place: tuple[float, float], pose: tuple[float, float, float], speed: float, walk: bool) -> Walker:
    """Somebody of whom one scan tells; who walks comes towards the robot, from the centre of the cell on."""
    cell = int(site.cell_at(np.array([place]))[0])
    if walk and speed > 0.0 and 0 <= cell < site.blocked.size:
        beside = [near for near in _neighbours(site, cell) if not (site.filled | site.person_free).reshape(-1)[near]]
        if beside:
            nearest = min(beside, key=lambda near: float(np.hypot(*(site.centre(near) - np.array(pose[:2])))))
            x, y = site.centre(cell).tolist()
            return Walker((x, y), cell, nearest, 0.0, speed, False)
    return Walker(place, max(cell, 0), max(cell, 0), 0.0, 0.0, True)


def _people(trace: Trace, site: Site, at: int) -> tuple[Walker, ...]:
    """The people of a plant at a period."""
    dt = np.diff(trace.stamps) / SECOND
    moved = np.hypot(*np.moveaxis(np.diff(trace.people, axis=0), 2, 0)) / dt[:, None] if len(dt) else np.zeros((1, 0))
    found = []
    for person in range(trace.people.shape[1]):
        here = trace.people[at, person].astype(np.float64)
        other = trace.people[min(at + 1, len(trace.people) - 1), person].astype(np.float64) - here
        if not np.hypot(*other) > 1e-4:
            other = here - trace.people[max(at - 1, 0), person].astype(np.float64)
        speed = float(np.clip(moved[:, person].max(initial=0.0), 0.1, 3.0))
        found.append(_walking(site, here, other, speed))
    return tuple(found)


def _walking(site: Site, here: NDArray[np.float64], way: NDArray[np.float64], speed: float) -> Walker:
    """Somebody at `here` who goes along `way`: along the line of cells there, else as recorded."""
    position = (float(here[0]), float(here[1]))
    cell = int(site.cell_at(here[None])[0])
    if not 0 <= cell < site.blocked.size:
        return Walker(position, 0, 0, 0.0, 0.0, stands=True, recorded=True)
    centre = np.asarray(site.centre(cell), np.float64)
    off = here - centre
    if np.abs(off).min() > ON_LANE:
        return Walker(position, cell, cell, 0.0, 0.0, stands=True, recorded=True)  # a crowd that keeps to no cells
    if np.abs(off).max() <= ON_LANE:
        return Walker(position, cell, cell, 0.0, speed, False)
    along = int(np.abs(off).argmax())
    step = np.zeros(2)
    step[along] = np.sign(off[along]) * site.cell
    beside = int(site.cell_at((centre + step)[None])[0])
    leaves = float(way[along]) * float(off[along]) >= 0.0
    if leaves:
        return Walker(position, cell, beside, abs(float(off[along])), speed, False)
    return Walker(position, beside, cell, site.cell - abs(float(off[along])), speed, False)


def _neighbours(site: Site, cell: int) -> list[int]:
    row, column = divmod(cell, site.width)
    places = [(row + dy, column + dx) for dy, dx in MOVES]
    return [r * site.width + c for r, c in places if 0 <= r < site.height and 0 <= c < site.width]


def _filled(site: Site, x: float, y: float) -> bool:
    """Whether a point is in a rack or beyond the floor."""
    column, up = math.floor(x / site.cell), math.floor(y / site.cell)
    inside = 0 <= column < site.width and 0 <= up < site.height
    return not inside or bool(site.filled[site.height - 1 - up, column])


def _twist(one: NDArray[np.float64], two: NDArray[np.float64], dt: float) -> NDArray[np.float64]:
    """V and w that lead from one pose to the next in dt s."""
    turn = math.atan2(math.sin(two[2] - one[2]), math.cos(two[2] - one[2]))
    heading = one[2] + turn / 2
    v = (two[0] - one[0]) * math.cos(heading) + (two[1] - one[1]) * math.sin(heading)
    return np.array([v / dt, turn / dt])
