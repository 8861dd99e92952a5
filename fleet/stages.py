"""The scripted course of `muster calibrate`: look around, creep, raise the speed, fit, and verify.

    look      stand, turn once on the spot at creep rate: a blocked beam ends the course before any way is driven
    raise     runs at 0.3 m/s, then each stage half as fast again, as far as room and the robot's top speed allow
    fit       full stops out of straight runs, arcs left and right, turns on the spot, reverse: bounds are fixed;
              then the shield's stopping plans under these bounds: the tracking line is fixed
    verify    both kinds in turn, until enough runs have kept every bound (fleet/tolerance.py). A run that breaks one
              widens it, and counting begins anew

Runs are drawn by the seed; each is begun where the lidar shows room for it (fleet/course.py), and where there is none
the robot creeps to where there is more. A run that the guard breaks off is driven again and counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fleet.beams import BeamError, Beams, blocked_beams, judge_beams
from fleet.bounds import Bounds, exceptions, fit_bounds, fit_tracking, fitted_spec
from fleet.course import CREEP_TURN, STEADY, BrokenOff, CourseError, Ending, Mover, Script, hold_cycles
from fleet.estimates import Measured, Run, measure
from fleet.freeroom import MARGIN, straight_room
from fleet.tolerance import runs_needed
from safety.calibration import CREEP_SPEED
from safety.fallback import CREEP
from sim.robot import RobotSpec

FASTER = 1.5
"""From one stage to the next."""

STAGE_RUNS = 6
"""Runs at each speed before the next: braking is seen several times before more of it is needed."""

FIT_SHARE, FIT_LEAST = 12, 40
"""A twelfth of the verifying runs fixes the bounds, and as many the tracking line; at least so many each."""

TRIES = 12
"""Draws that may not fit into the room until the robot moves to where there is more."""

BROKEN = 20
"""Runs broken off in a row until the course gives up: it is no free room then."""

ATTEMPTS = 6
"""Times that bounds may be widened; then they do not settle."""

STILL = 12
"""Scans in a row at rest for noise and dropout: more than a second at 10 Hz."""


@dataclass(frozen=True)
class Demand:
    """What a calibration is to show."""

    coverage: float = 0.999
    """Share of later drives that keep every bound"""
    confidence: float = 0.95
    speed: float = math.inf
    """Fastest run, m/s; the robot's own top speed where that is less"""
    seed: int = 0
    """Which runs are driven"""


@dataclass
class Findings:
    """What a course found; grows while it is driven."""

    spec: RobotSpec
    """The robot as it was taken for"""
    fitted: RobotSpec
    """As it was found; the same until bounds are fixed"""
    bounds: Bounds | None = None
    beams: Beams | None = None
    top: float = CREEP_SPEED
    """Fastest run, m/s"""
    raised: int = 0
    """Runs of each part"""
    fit: int = 0
    verified: int = 0
    """Runs in a row without an exception, after the last widening"""
    attempt: int = 1
    broken: int = 0
    """Runs that the guard broke off"""
    seconds: float = 0.0
    """How long the course took"""
    widened: list[str] = field(default_factory=list)
    """What was widened, in words"""


class Course:
    """One robot's course. Owns its findings and the draws; `script` is what `fleet.course.follow` drives."""

    def __init__(self, spec: RobotSpec, demand: Demand, news: Callable[[str], None] = lambda line: None) -> None:
        self.spec, self.demand, self.news = spec, demand, news
        self.mover = Mover(spec)
        self.found = Findings(spec, spec)
        self._rng = np.random.default_rng(demand.seed)
        self._brakes: list[Measured] = []
        self._plans: list[Measured] = []
        self._accel, self._turn_accel = 0.5 * spec.diff.accel_max, 0.4 * spec.diff.turn_accel_max

    def script(self) -> Script[Findings]:
        """The whole course. Raises `CourseError`, `BeamError`, `BoundError`: the robot cannot be calibrated."""
        first = yield from self.mover.tell()
        yield from self.look()
        yield from self.raise_speed()
        wanted = runs_needed(self.demand.coverage, self.demand.confidence)
        part = max(FIT_LEAST, math.ceil(wanted / FIT_SHARE))
        for _ in range(part):
            self._brakes.append((yield from self.one(plan=False)))
        self._refit()
        for _ in range(part):
            self._plans.append((yield from self.one(plan=True)))
        self._refit()
        self.found.fit = 2 * part
        yield from self.verify()
        self.found.seconds = (self.mover.now.stamp - first.stamp) / 1e9
        return self.found

    def look(self) -> Script[None]:
        """Stand, then turn once on the spot: what the lidar's beams are worth."""
        yield from self.mover.rest()
        still = [self.mover.now.scan]
        for _ in range(STILL):
            still.append((yield from self.mover.tell()).scan)
        lidar = self.spec.lidar
        near = float(np.sort(self.mover.now.scan)[: max(3, lidar.rays // 60)].max())
        if near < self.spec.radius:
            raise CourseError(f"something stands {near:.2f} m from the lidar; expected room to turn in, move it away")
        turned, left, before = [], 2.0 * math.pi, float(self.mover.now.pose[2])
        for _ in range(math.ceil(3.0 * left / CREEP_TURN * 1e9 / self.spec.period)):
            now = yield from self.mover.tell(0.0, CREEP_TURN)
            left -= math.remainder(float(now.pose[2]) - before, 2.0 * math.pi)
            before = float(now.pose[2])
            turned.append(now.scan)
            if left <= 0.0:
                break
        yield from self.mover.rest()
        bad = blocked_beams(np.array(turned), lidar.range_max)
        if bad:
            places = ", ".join(f"{first} to {last}" for first, last in bad)
            raise BeamError(
                f"expected every beam of the lidar to see, rays {places} of {lidar.rays} see nothing around them; "
                "clean the window or take away what stands before it, then begin again"
            )
        if left > 0.0:
            raise CourseError("expected the robot to turn once on the spot, it does not; is the drive switched on?")
        self.found.beams = judge_beams(np.array(still), lidar.range_max, self.demand.confidence)

    def raise_speed(self) -> Script[None]:
        """Runs at creep speed first, then faster and faster, as far as the room and the demand go."""
        top = min(self.demand.speed, self.spec.diff.speed_max)
        speed = min(CREEP_SPEED, top)
        while True:
            self.found.top = speed
            seen: list[Measured] = []
            for number in range(STAGE_RUNS):
                w = (0.0, 0.5, -0.5)[number % 3] * self.spec.diff.turn_max
                seen.append((yield from self.one(plan=False, told=(speed, w))))
            ways = [speed**2 / (2.0 * run.stop_way) for run in seen if run.stop_way > 0.0]
            self.mover.weakest = min(ways) if speed <= CREEP_SPEED else min(self.mover.weakest, *ways)
            accels = [run.accel for run in seen if math.isfinite(run.accel)]
            self._accel = min([0.9 * accel for accel in accels], default=self._accel)
            self._brakes += seen
            self.found.raised += len(seen)
            self.news(f"{speed:.2f} m/s: stops with {self.mover.weakest:.2f} m/s^2 or more over the whole way")
            if speed >= top:
                return
            speed = min(FASTER * speed, top)
            if not (yield from self._room_for(speed)):
                self.news(f"no room for {speed:.2f} m/s: the course goes on with {self.found.top:.2f} m/s")
                return

    def verify(self) -> Script[None]:
        """Runs of both kinds until enough of them kept every bound."""
        found, demand = self.found, self.demand
        while found.verified < runs_needed(demand.coverage, demand.confidence, found.attempt):
            plan = (found.verified + found.attempt) % 2 == 0
            run = yield from self.one(plan=plan)
            (self._plans if plan else self._brakes).append(run)
            assert found.bounds is not None
            broken = exceptions(run, found.bounds)
            found.verified += 1
            if broken:
                found.widened.append(f"{', '.join(broken)} after {found.verified} runs")
                self.news(f"widened: {found.widened[-1]}")
                found.attempt, found.verified = found.attempt + 1, 0
                if found.attempt > ATTEMPTS:
                    raise CourseError(
                        f"expected bounds that hold, they were widened {ATTEMPTS} times ({'; '.join(found.widened)}); "
                        "what this robot does changes while it drives"
                    )
                self._refit()
            elif found.verified % 500 == 0:
                self.news(f"{found.verified} runs kept every bound")

    def one(self, *, plan: bool, told: tuple[float, float] | None = None) -> Script[Measured]:
        """One run, drawn unless it is told, driven as often as it is broken off."""
        broken = tries = 0
        while True:
            v, w = told or self.draw()
            cycles = hold_cycles(self.spec, v, w, self._accel, self._turn_accel) + int(self._rng.integers(0, 4))
            end = STEADY
            if plan:
                cycles, end = int(self._rng.integers(3, cycles + 1)), self._ending(v)
            bounds = self.found.fitted if plan else None
            angle = self.mover.fits(v, w, cycles + end.cycles, bounds)
            if angle is None:
                tries += 1
                if tries % TRIES == 0 or told is not None:
                    yield from self._seek_room(tries)
                continue
            if abs(angle) > 0.01:
                yield from self.mover.turn(angle, CREEP_TURN if self.found.top <= CREEP_SPEED else 2.0 * CREEP_TURN)
                if self.mover.fits(v, w, cycles + end.cycles, bounds) != 0.0:
                    continue  # the turn ended a little off
            try:
                run: Run = yield from self.mover.go(v, w, cycles, bounds, end)
            except BrokenOff:
                broken += 1
                self.found.broken += 1
                if broken > BROKEN:
                    raise CourseError(
                        f"{BROKEN} runs in a row were broken off: expected free room, something keeps coming into it; "
                        "close the place off and begin again"
                    ) from None
                continue
            return measure(run)

    def _ending(self, v: float) -> Ending:
        """How a run with a stopping plan goes over into it: half of them are told something else before, no faster."""
        u, turn = self._rng.random(4), self.spec.diff.turn_max
        near = float(u[0]) if u[1] < 0.5 else 0.0
        if self._rng.random() < 0.5:
            return Ending(near=near)
        return Ending((float(v * u[2]), float((2.0 * u[3] - 1.0) * turn)), int(self._rng.integers(1, 9)), near)

    def draw(self) -> tuple[float, float]:
        """V and w of a run: straight, arcs, on the spot, reverse; most of them fast."""
        drive, u = self.spec.diff, self._rng.random(4)
        top = self.found.top
        v = top * (0.6 + 0.4 * u[1]) if u[0] < 0.6 else CREEP + (top - CREEP) * u[1]
        w = (2.0 * u[2] - 1.0) * drive.turn_max
        if u[3] < 0.25:
            w = 0.0
        elif u[3] < 0.40:
            v, w = 0.0, math.copysign(drive.turn_max * (0.5 + abs(u[2] - 0.5)), w)
        elif u[3] < 0.45 and drive.reverse_max > 0.0:
            v = -min(drive.reverse_max, top) * (0.3 + 0.7 * u[1])
        return float(v), float(w)

    def _refit(self) -> None:
        found = self.found
        bounds = fit_bounds([*self._brakes, *self._plans])
        found.bounds = fit_tracking(bounds, self._plans) if self._plans else bounds
        beams = found.beams
        assert beams is not None
        found.fitted = fitted_spec(self.spec, found.bounds, found.top, beams.noise, beams.dropout)

    def _room_for(self, speed: float) -> Script[bool]:
        """Whether a straight run at a speed fits, from here or from where there is more room."""
        cycles = hold_cycles(self.spec, speed, 0.0, self._accel, self._turn_accel)
        for tries in range(3):
            if self.mover.fits(speed, 0.0, cycles) is not None:
                return True
            yield from self._seek_room(tries)
        return False

    def _seek_room(self, tries: int) -> Script[None]:
        """Creep half of the way towards where the lidar sees furthest, from where there is more room on all sides."""
        if tries > 6 * TRIES:
            raise CourseError(
                f"expected room for runs at {self.found.top:.2f} m/s, the lidar sees none that is {MARGIN:g} m wider "
                "than the robot on either side; take it to a larger free place, or give a lower --speed"
            )
        points = self.mover.points()
        angles = np.linspace(-math.pi, math.pi, 24, endpoint=False)
        rooms = [straight_room(points, self.spec.radius, float(angle)) for angle in angles]
        best = int(np.argmax(rooms))
        way = 0.5 * rooms[best]
        if way < 0.1:
            raise CourseError(
                "expected free room around the robot, the lidar sees none; take it to a larger free place"
            )
        yield from self.mover.turn(float(angles[best]), CREEP_TURN)
        speed = min(CREEP_SPEED, self.found.top)
        x, y = (float(part) for part in self.mover.now.pose[:2])
        cycles = math.ceil(way / speed * 1e9 / self.spec.period)
        try:
            yield from self.mover.go(speed, 0.0, cycles)
        except BrokenOff:
            self.news(f"broken off near ({x:.1f}, {y:.1f}): something came into the way")
