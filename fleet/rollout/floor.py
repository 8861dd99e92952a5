"""A simulated fleet for the demo: zones of ten lanes, each with a robot, and somebody who stands beside its way.

A wave is one mission of every robot of a zone: the plant is `fleet.world.World` (MuJoCo, the planar body, lidar and
localisation with their errors), every command is released by `fleet.control.step`, whichever release drives. What a
mission was is told by the plant, not by the robot: how near it came to the person, what it touched, how long it took.

    ###########
    o   P     .      open ground, where the person stands
    > - - - - x      the lane: 5.4 m from start to goal
    ###########

Where the person stands is drawn by (seed, wave, zone, lane) alone, so both arms of a rollout meet the same people.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
# (mujoco and warp define these names at run time)

from __future__ import annotations

import math
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from coordination.messages import Assignment, Grant, Leg, LegKind, Picture
from fleet.control import ControlConfig, Stepper
from fleet.judge.missions import Mission
from fleet.judge.near import hull_gap, met
from fleet.records import Memory, at_start, inputs_of
from fleet.rollout.lease import inside
from fleet.rollout.plan import Course
from fleet.shadow.floor import asked, pair
from fleet.shadow.pairs import Pair
from fleet.world import World
from hierarchy.skills import Act, Answer
from sim.people import PERSON_RADIUS, Profile
from sim.robot import SECOND, Readings, RobotSpec
from sim.site import Site, make_site

LANES = 10
"""Robots of a zone"""
LENGTH = 7
"""Cells of a lane; the robot goes from the second to the last but one"""
LIMIT = 20.0
"""s after which somebody has to fetch a robot that is not there: three times what a mission takes"""
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
"""Multiples of it, modulo 1, spread evenly however many they are (Weyl)."""
ASIDE = (0.80, 1.25)
"""m from the lane's middle to the person, at least and at most: beside the lane"""
RATED = 200.0
"""W that a robot of this size takes while it drives, at full speed; half of it while it stands"""
SPREAD = 9 * SECOND
"""ns over which the robots of a wave set out, as they do on a floor. If all began at once, the order in which missions
end were their order by length, and those that the judge compares with each other would have been picked by it."""
EXPLORED = (0.25, 0.10)
"""Standard deviations of what is added to speed and turn where choices are to be learned from"""


@dataclass(frozen=True)
class Wave:
    """One mission of each robot of a zone: what a worker is told."""

    zone: int
    number: int
    begin: int
    """ns of the site clock"""
    seed: int
    policies: tuple[str, ...]
    """Directory of the policy that drives each lane; empty: this robot stays where it is"""
    releases: tuple[str, ...]
    arms: tuple[str, ...]
    course: Course | None = None
    """The closed course, if they drive there: within its speed, and those who leave its fence are stopped"""
    shadow: str = ""
    """Directory of a policy that is asked beside, and drives nothing"""
    explore: bool = False
    """Add noise to actions, and keep them with what was seen"""
    without: str = ""
    """Metric that does not arrive, for a rehearsal of that"""


@dataclass
class Told:
    """What came of a wave."""

    missions: list[Mission] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    """Of the shadow, each robot's in order"""
    logged: list[Logged] = field(default_factory=list)
    seconds: float = 0.0
    """CPU time"""
    steps: int = 0

    def add(self, other: Told) -> None:
        """What came of another wave."""
        self.missions += other.missions
        self.pairs += other.pairs
        self.logged += other.logged


@dataclass(frozen=True)
class Logged:
    """One mission's choices."""

    observations: NDArray[np.float32]
    """(steps, observation)"""
    actions: NDArray[np.float32]
    """(steps, 2): as drawn, before the shield"""
    means: NDArray[np.float32]
    """(steps, 2): of what they were drawn from, with EXPLORED"""
    moved: NDArray[np.float32]
    """(steps,): m towards the goal in the step"""
    done: bool


def zone_site() -> Site:
    """Lanes between racks, each with open ground on its left."""
    blocked = np.ones((3 * LANES + 1, LENGTH), bool)
    for lane in range(LANES):
        blocked[3 * lane + 1 : 3 * lane + 3] = False
    return make_site("zone", blocked)


def names(zones: int) -> dict[str, str]:
    """Zone by robot."""
    return {f"r{zone * LANES + lane:02d}": f"z{zone}" for zone in range(zones) for lane in range(LANES)}


def base(lane: int) -> int:
    """First cell of a lane."""
    return (3 * lane + 2) * LENGTH


class Floor:
    """Drives waves, one after the other. Owns a stepper for each policy that it was given."""

    def __init__(self, spec: RobotSpec | None = None) -> None:
        self.spec = spec or RobotSpec()
        self.site = zone_site()
        self._steppers: dict[str, Stepper] = {}

    def stepper(self, place: str) -> Stepper:
        """The control step with a policy."""
        if place not in self._steppers:
            config = ControlConfig(spec=self.spec, person_speed=0.0, leased=True)
            self._steppers[place] = Stepper(config, self.site, Policy.load(Path(place)))
        return self._steppers[place]

    def drive(self, wave: Wave) -> Told:
        """Every robot's mission, to its end or LIMIT."""
        began = time.process_time()
        starts = np.array([base(lane) + 1 for lane in range(LANES)], np.int32)
        seed = wave.seed * 1_000_003 + wave.number * 101 + wave.zone
        world = World(self.site, self.spec, LANES, LANES, profile=Profile.STILL, starts=starts, seed=seed)
        draws = np.random.default_rng(seed)
        people = self._stand(world, draws)
        robots = [
            _Robot(self, wave, world, lane, people[lane], draws.spawn(1)[0] if wave.explore else None)
            for lane in range(LANES)
            if wave.policies[lane]
        ]
        commands = np.zeros((LANES, 2), np.float32)
        shadow = self.stepper(wave.shadow) if wave.shadow else None
        told = Told()
        for cycle in range(int(LIMIT * SECOND / self.spec.period)):
            for robot in robots:
                if not robot.over:
                    commands[robot.lane] = robot.step(cycle, shadow, told)
                    told.steps += 1
                else:
                    commands[robot.lane] = 0.0
            if all(robot.over for robot in robots):
                break
            world.command(commands)
            world.step()
            for robot in robots:
                robot.look()
        contacts = [contact.robot for contact in world.physics.contacts]
        told.missions = [robot.mission(contacts.count(robot.lane)) for robot in robots]
        told.logged = [robot.logged() for robot in robots if wave.explore]
        told.seconds = time.process_time() - began
        return told

    def _stand(self, world: World, draws: np.random.Generator) -> NDArray[np.float64]:
        """Put a person beside each lane, who stays there; where, (LANES, 2)."""
        crowd = world.traffic.people
        cells = np.array([base(lane) + LENGTH // 2 for lane in range(LANES)])
        middle = self.site.centre(cells)
        along, aside = draws.uniform(-1.5, 1.5, LANES), draws.uniform(*ASIDE, LANES)
        places = np.stack([middle[:, 0] + along, middle[:, 1] + aside], axis=-1)
        crowd.origin.numpy()[0] = crowd.target.numpy()[0] = cells - LENGTH
        crowd.position.numpy()[0] = places
        crowd.pause.numpy()[0] = 1e9
        world.data.mocap_pos[:LANES, :2] = places
        for lane in range(LANES):  # every robot looks along its lane
            world.data.qpos[lane * world.scene.qpos_stride + 2] = 0.0
        world.observe_bodies()
        world.step()  # sensors tell the new places from here on
        return places


_floor: Floor | None = None
"""Of a worker's process"""


def drive(wave: Wave) -> Told:
    """What a worker does with a wave."""
    global _floor
    _floor = _floor or Floor()
    return _floor.drive(wave)


def quiet() -> None:
    """A worker leaves Ctrl-C to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Robot:
    """One robot's mission."""

    def __init__(
        self,
        floor: Floor,
        wave: Wave,
        world: World,
        lane: int,
        person: NDArray[np.float64],
        draws: np.random.Generator | None,
    ) -> None:
        self.lane, self.done, self.over, self.steps = lane, False, False, 0
        self.name = f"r{wave.zone * LANES + lane:02d}"
        self._floor, self._wave, self._world, self._person, self._draws = floor, wave, world, person, draws
        self._stepper = floor.stepper(wave.policies[lane])
        self._memory: Memory = at_start()
        self._picture: Picture | None = None
        self._seconds: list[float] = []
        self._near, self._misses, self._energy, self._before = False, 0, 0.0, 0.0
        self._seen: list[NDArray[np.float32]] = []
        self._drawn: list[NDArray[np.float32]] = []
        self._meant: list[NDArray[np.float32]] = []
        self._moved: list[float] = []

    def step(self, cycle: int, shadow: Stepper | None, told: Told) -> tuple[float, float]:
        """One control step; the command that it releases."""
        readings = self._world.readings(self.lane)
        picture = self._picture or self._grant(cycle, readings)  # it waits for no first grant
        course = self._wave.course
        if course is not None and not inside(course.fence, [(float(readings.pose[0]), float(readings.pose[1]))]):
            self.over = True
            return 0.0, 0.0
        inputs = inputs_of(readings, cycle, picture, speed=course.speed if course is not None else 0.0)
        began, memory = time.thread_time(), self._memory
        outputs, self._memory = self._stepper.step(inputs, memory, self._act())
        self._seconds.append(time.thread_time() - began)
        self.steps += 1
        self._picture = self._grant(cycle, readings)
        report = outputs.report
        self.done = self.over = report.task != "" and report.legs_done == 1
        if shadow is not None and shadow.policy is not None and asked(outputs):
            theirs, _ = shadow.step(inputs, memory)
            told.pairs.append(pair(outputs, theirs, self._floor.spec, shadow.policy.hash, self.name))
        return outputs.released

    def look(self) -> None:
        """What the plant says of the period that is over."""
        if self.over:
            return
        spec, pose, twist = self._floor.spec, self._world.poses[self.lane], self._world.twists[self.lane]
        dx, dy = (self._person - pose[:2]).tolist()
        c, s = math.cos(pose[2]), math.sin(pose[2])
        gap = float(hull_gap(spec, c * dx + s * dy, c * dy - s * dx)) - PERSON_RADIUS
        self._near, began = met(self._near, gap, float(twist[0]))
        self._misses += began
        period = spec.period / SECOND
        self._energy += RATED * (0.5 + 0.5 * abs(float(twist[0])) / spec.diff.speed_max) * period
        moved = float(pose[0]) - self._before if self._before else 0.0
        self._before = float(pose[0])
        if self._draws is not None and len(self._moved) < len(self._seen):
            self._moved.append(moved)

    def mission(self, contacts: int) -> Mission:
        """Its record."""
        wave, lane = self._wave, self.lane
        period = self._floor.spec.period
        number = wave.zone * LANES + lane
        begin = wave.begin + int(number * GOLDEN % 1.0 * SPREAD)
        values = {
            "interventions": int(not self.done),
            "contacts": contacts,
            "near_misses": self._misses,
            "energy": round(self._energy, 3),
            "latency_p99": float(np.quantile(self._seconds, 0.99)),
        }
        values.pop(wave.without, None)
        return Mission(
            id=f"{wave.number}-{wave.zone}-{lane}",
            robot=self.name,
            shift=f"{wave.begin // (60 * SECOND)}",
            zone=f"z{wave.zone}",
            release=wave.releases[lane],
            arm=wave.arms[lane],
            begin=begin,
            end=begin + self.steps * period,
            steps=self.steps,
            done=self.done,
            **values,
        )

    def logged(self) -> Logged:
        """Its choices."""
        count = len(self._moved)
        seen, drawn, meant = (np.array(one[:count], np.float32) for one in (self._seen, self._drawn, self._meant))
        return Logged(seen, drawn, meant, np.array(self._moved, np.float32), self.done)

    def _act(self) -> Act | None:
        """How the policy is asked where its choices are to be learned from."""
        draws, policy = self._draws, self._stepper.policy
        if draws is None or policy is None:
            return None

        def ask(observation: NDArray[np.float32]) -> Answer:
            mean = np.asarray(policy.act(observation)[0], np.float32)
            action = np.clip(mean + draws.normal(0.0, EXPLORED, 2), -1.0, 1.0).astype(np.float32)
            self._seen.append(np.array(observation[0], np.float32))
            self._drawn.append(action)
            self._meant.append(mean)
            return Answer((float(action[0]), float(action[1])), policy=policy.hash[:12])

        return ask

    def _grant(self, cycle: int, readings: Readings) -> Picture:
        """What a coordinator would say: the lane's cells ahead, and the errand to its end."""
        site, first, x = self._floor.site, base(self.lane), float(readings.pose[0])
        low, here, high = (min(max(int((x + d) // site.cell), 0), LENGTH - 1) for d in (-0.45, 0.0, 0.45))
        cells = range(low, max(min(here + 5, LENGTH - 1), high) + 1)
        grant = Grant(cycle + 1, tuple(first + cell for cell in cells), readings.stamp + 2 * SECOND)
        leg = Leg(first + LENGTH - 2, LegKind.VISIT)
        errand = Assignment(f"wave-{self._wave.number}", 1, (leg,))
        return Picture(cycle, readings.stamp, site.hash, grant, assignment=errand)
