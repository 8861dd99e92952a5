"""The judge of contacts: each class, and what comes just short of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import warp as wp

from sim.actors import ActorKind
from sim.device import start_warp
from sim.driving.blame import NOTED, Blame, Judge
from sim.driving.families import KMH, cut_in, decelerating_lead, scenario_road
from sim.driving.scenario import Scenario, grid, sample
from sim.driving.state import make_actors
from sim.driving.touching import record_touching
from sim.frenet import lane_arrays
from tests.sim.driving.scriptedworld import EGO_LENGTH, EGO_WIDTH, ScriptedWorld, keep_speed

LENGTH, WIDTH = 4.6, 1.85
TOUCH_X, TOUCH_Y = 0.5 * (EGO_LENGTH + LENGTH), 0.5 * (EGO_WIDTH + WIDTH)
LANE = 3.5
KEEP = 0.5 * LANE - 0.5 * EGO_WIDTH + 0.3
"""How far the ego's middle may be off the middle of its lane, m: 1.1."""


@dataclass
class Other:
    """Who touches the ego; places relative to the ego's middle, the road straight along x."""

    along: float = -TOUCH_X + 0.05
    across: float = 0.0
    speed: float = 20.0
    yaw: float = 0.0
    kind: ActorKind = ActorKind.CAR
    lane: int | None = None
    """None: the lane that it is on"""
    violates: bool = False


@dataclass
class Ego:
    """The ego, on the middle one of three lanes."""

    d: float = 0.0
    speed: float = 15.0
    sideways: float = 0.0
    yaw: float = 0.0
    accel: float = 0.0
    past: list[float] = field(default_factory=list)
    """Accelerations of the motor periods before"""


class Bench:
    """One world of an ego and another."""

    def __init__(self, middle: float = 0.0) -> None:
        start_warp()
        self.lanes = lane_arrays(scenario_road())
        self.actors = make_actors(1, 3, "cpu")
        self.twist, self.motion = wp.zeros((1, 3)), wp.zeros((1, 2))
        self.touching = wp.zeros((1, 3), dtype=wp.uint8)
        self.judge = Judge(
            lanes=self.lanes, actors=self.actors, twist=self.twist, motion=self.motion, touching=self.touching,
            robots=1, comfort=3.0, middle=middle,
        )  # fmt: skip

    def put(self, slot: int, x: float, y: float, yaw: float, speed: float, lane: int | None = None) -> None:
        self.actors.pose.numpy()[0, slot] = x, y, yaw
        self.actors.motion.numpy()[0, slot, 0] = speed
        on = 1 - math.floor(y / LANE + 0.5)
        lane = (on if 0 <= on < 3 else -1) if lane is None else lane
        self.actors.lane.numpy()[0, slot] = lane
        self.actors.place.numpy()[0, slot] = x + 1000.0, y - LANE * (1 - lane), speed * math.sin(yaw)

    def meets(self, ego: Ego, other: Other, pushed: float = 0.0) -> Blame:
        self.judge.begin(wp.full(1, 1, dtype=wp.uint8)).launch()
        self.touching.zero_()
        self.twist.numpy()[0] = ego.speed, 0.0, ego.sideways
        for accel in (*ego.past, ego.accel):
            self.motion.numpy()[0, 0] = accel
            self.judge.watch.launch()
        self.put(0, 0.0, ego.d, ego.yaw, abs(ego.speed))
        self.put(1, other.along, ego.d + other.across, other.yaw, other.speed, other.lane)
        if pushed:  # the physics has pushed the ego by the time that boxes overlap
            self.twist.numpy()[0], self.motion.numpy()[0, 0] = (pushed, 0.0, 0.0), (pushed - ego.speed) / 0.01
        self.actors.kind.numpy()[0, :2] = int(ActorKind.CAR), int(other.kind)
        self.actors.size.numpy()[0, :2] = (EGO_LENGTH, EGO_WIDTH), (LENGTH, WIDTH)
        self.actors.violates.numpy()[0, 1] = other.violates
        self.touching.numpy()[0, 1] = 1
        self.judge.watch.launch()
        (verdict,) = self.judge.verdicts(0)
        counts = self.judge.blame.counts.numpy()[0]
        assert counts.sum() == 1
        assert counts[verdict.blame] == 1
        return verdict.blame


FRONT = Other(along=TOUCH_X - 0.05, speed=5.0)
"""The ego drives into it."""


def test_who_stands_and_is_pushed_stands_and_who_drives_and_is_stopped_drove() -> None:
    """A full body has bounced back by the end of the motor period in which boxes come to overlap."""
    assert Bench().meets(Ego(speed=0.0), FRONT, pushed=-0.4) == Blame.STANDING
    assert Bench().meets(Ego(speed=5.0), FRONT, pushed=0.01) == Blame.AT_FAULT
    assert Bench().meets(Ego(), Other(), pushed=0.5) == Blame.BEHIND


@pytest.mark.parametrize(
    ("ego", "other", "blame"),
    [
        (Ego(), FRONT, Blame.AT_FAULT),
        (Ego(speed=0.06), FRONT, Blame.AT_FAULT),
        (Ego(speed=0.05), FRONT, Blame.STANDING),
        (Ego(speed=0.0, sideways=0.06), FRONT, Blame.AT_FAULT),
        (Ego(speed=-0.06), FRONT, Blame.AT_FAULT),
        # struck from behind
        (Ego(), Other(), Blame.BEHIND),
        (Ego(speed=0.2), Other(speed=1.0), Blame.BEHIND),
        (Ego(accel=-3.0), Other(), Blame.BEHIND),
        (Ego(accel=-3.1), Other(), Blame.AT_FAULT),
        (Ego(past=[-4.0] + [0.0] * 98), Other(), Blame.AT_FAULT),
        (Ego(past=[-4.0] + [0.0] * 101), Other(), Blame.BEHIND),
        (Ego(d=KEEP - 0.02), Other(), Blame.BEHIND),
        (Ego(d=KEEP + 0.02), Other(), Blame.AT_FAULT),
        (Ego(d=-KEEP - 0.02), Other(), Blame.AT_FAULT),
        (Ego(yaw=0.6), Other(across=-1.0), Blame.AT_FAULT),
        (Ego(speed=-1.0), Other(speed=0.0), Blame.AT_FAULT),
        (Ego(speed=-1.0), Other(speed=5.0), Blame.AT_FAULT),
        (Ego(), Other(speed=20.0, yaw=math.pi), Blame.AT_FAULT),
        # struck laterally
        (Ego(), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08), Blame.LATERAL),
        (Ego(), Other(0.0, -TOUCH_Y - 0.15, 15.0, 0.08), Blame.LATERAL),
        (Ego(), Other(-3.0, TOUCH_Y + 0.15, 15.0, -0.08, ActorKind.BICYCLE), Blame.LATERAL),
        (Ego(), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08, lane=-1), Blame.LATERAL),
        (Ego(), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08, ActorKind.PEDESTRIAN), Blame.AT_FAULT),
        (Ego(), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08, ActorKind.STATIC), Blame.AT_FAULT),
        (Ego(accel=-5.0), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08), Blame.LATERAL),
        (Ego(d=KEEP + 0.02), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08), Blame.AT_FAULT),
        (Ego(d=KEEP + 0.02), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08, lane=-1), Blame.AT_FAULT),
        (Ego(sideways=1.3), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08), Blame.AT_FAULT),
        (Ego(sideways=1.1), Other(0.0, TOUCH_Y + 0.15, 15.0, -0.08), Blame.LATERAL),
        (Ego(sideways=1.0), Other(0.0, TOUCH_Y - 0.01, 15.0), Blame.AT_FAULT),
        # its box ends 0.3 m over the border: the ego stands 0.8 m to the left, nobody has left a lane
        (Ego(d=0.8), Other(0.0, TOUCH_Y - 0.01, 15.0, -0.01), Blame.AT_FAULT),
        # outside its bounds
        (Ego(), Other(TOUCH_X - 0.05, 0.0, 5.0, violates=True), Blame.BOUNDS),
        (Ego(d=KEEP + 0.02), Other(violates=True), Blame.BOUNDS),
        (Ego(), Other(0.0, TOUCH_Y, 15.0, -0.08, ActorKind.PEDESTRIAN, violates=True), Blame.BOUNDS),
        (Ego(), Other(violates=True), Blame.BEHIND),
        (Ego(speed=0.0), Other(violates=True), Blame.STANDING),
    ],
)  # fmt: skip
def test_contacts_have_the_class_that_the_rules_say(ego: Ego, other: Other, blame: Blame) -> None:
    assert Bench().meets(ego, other) == blame


def test_the_direction_of_a_contact_is_the_one_that_closed_last() -> None:
    """A corner: 0.2 m deep along, 0.02 m across. Whoever closes by 5 m/s along and 0.1 m/s across came from along."""
    corner = Other(-TOUCH_X + 0.2, TOUCH_Y - 0.02, 20.0, 0.0)
    assert Bench().meets(Ego(), corner) == Blame.BEHIND
    slanting = Other(-TOUCH_X + 0.4, TOUCH_Y + 0.1, 15.1, -0.08)
    assert Bench().meets(Ego(), slanting) == Blame.LATERAL


def test_the_middle_of_a_turning_car_swings_out() -> None:
    """0.5 rad/s, 1.4 m ahead of the axle: 0.7 m/s to the left, towards one that comes by 0.6 m/s."""
    for middle, blame in ((0.0, Blame.LATERAL), (1.4, Blame.AT_FAULT)):
        bench = Bench(middle)
        bench.put(0, 0.0, 0.0, 0.0, 15.0)
        bench.put(1, 0.0, TOUCH_Y + 0.05, -0.04, 15.0)
        bench.twist.numpy()[0] = 15.0, 0.5, 0.0
        bench.actors.kind.numpy()[0, :2] = 1, 1
        bench.actors.size.numpy()[0, :2] = (EGO_LENGTH, EGO_WIDTH), (LENGTH, WIDTH)
        bench.touching.numpy()[0, 1] = 1
        bench.judge.watch.launch()
        assert bench.judge.verdicts(0)[0].blame == blame


def test_a_contact_counts_once_until_it_ends() -> None:
    bench = Bench()
    assert bench.meets(Ego(), FRONT) == Blame.AT_FAULT
    for _ in range(5):
        bench.judge.watch.launch()
    assert bench.judge.blame.counts.numpy().tolist() == [[1, 0, 0, 0, 0]]
    bench.touching.zero_()
    bench.judge.watch.launch()
    bench.touching.numpy()[0, 1] = 1
    bench.actors.violates.numpy()[0, 1] = 1
    bench.judge.watch.launch()
    assert bench.judge.blame.counts.numpy().tolist() == [[1, 0, 0, 0, 1]]
    first, second = bench.judge.verdicts(0)
    assert (first.at_fault, second.at_fault) == (True, False)
    assert (first.slot, first.kind, first.speed, first.other, first.closing) == (1, ActorKind.CAR, 15.0, 5.0, 10.0)
    assert (first.time, second.time) == pytest.approx((0.02, 0.09))
    bench.judge.begin(wp.full(1, 1, dtype=wp.uint8)).launch()
    assert bench.judge.verdicts(0) == []
    assert bench.judge.verdicts(0, ended=True) == [first, second]
    assert bench.judge.blame.ended_counts.numpy().tolist() == [[1, 0, 0, 0, 1]]


def test_all_contacts_are_counted_though_few_are_noted() -> None:
    bench = Bench()
    bench.meets(Ego(), FRONT)
    for _ in range(NOTED + 3):
        bench.touching.zero_()
        bench.judge.watch.launch()
        bench.touching.numpy()[0, 1] = 1
        bench.judge.watch.launch()
    assert bench.judge.blame.counts.numpy()[0, 0] == NOTED + 4
    assert len(bench.judge.verdicts(0)) == NOTED


def drive(scenario: Scenario, rows: np.ndarray, seconds: float) -> np.ndarray:
    """First class of each world's contacts, -1 for none; the ego keeps its speed."""
    world = ScriptedWorld(scenario, rows, driver=keep_speed)
    many = len(rows)
    twist, motion = wp.zeros((many, 3)), wp.zeros((many, 2))
    touching = wp.zeros((many, 4), dtype=wp.uint8)
    judge = Judge(
        lanes=world.lanes, actors=world.actors, twist=twist, motion=motion, touching=touching, robots=1, comfort=3.0,
        middle=0.0, step=0.05,
    )  # fmt: skip
    look = record_touching(1, world.actors, touching, "cpu")
    for _ in range(round(seconds / 0.05)):
        world.step()
        twist.numpy()[:, 0] = world.speed
        look.launch()
        judge.watch.launch()
    return np.array([int(found[0].blame) if (found := judge.verdicts(row)) else -1 for row in range(many)])


def test_who_runs_into_the_lead_is_at_fault_unless_it_brakes_beyond_its_bounds() -> None:
    scenario = decelerating_lead(60.0).fixed(ego=50 * KMH, headway=2.0)
    rows = grid(scenario)
    assert rows[:, 2].tolist() == [float(k) for k in range(1, 11)]
    assert drive(scenario, rows, 25.0).tolist() == [0] * 8 + [4] * 2


def test_an_ego_that_never_brakes_is_judged_by_the_distance_that_a_cut_in_left() -> None:
    """Far cut-ins are the ego's fault, near ones the other's, those beside it strike it laterally."""
    scenario = cut_in(60.0).fixed(ego=50 * KMH, closing=20 * KMH, lateral=1.5, accel=0.0)
    rows = grid(scenario)
    found = drive(scenario, rows, 20.0)
    gaps = rows[:, 2]
    assert set(found[gaps == 0.0]) == {int(Blame.LATERAL)}
    assert set(found[gaps == 10.0]) == {int(Blame.BOUNDS)}
    assert set(found[gaps >= 40.0]) == {int(Blame.AT_FAULT)}


def test_nobody_is_struck_from_behind_where_nobody_is_behind() -> None:
    scenario = cut_in(130.0)
    found = drive(scenario, sample(scenario, 4, 40), 15.0)
    assert (found >= -1).all()
    assert not np.isin(found, [Blame.BEHIND, Blame.STANDING]).any()
    assert (found >= 0).mean() > 0.5
