"""The road's shield: RSS behind a lead in closed form, its reasons, and nobody touched who keeps to the profile.

The simulations are adversarial within the bounds (tests/safety/roadworld.py); each is run again with one assumption of
the shield broken and must find contacts then, so that zero means something.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import warp as wp

from safety.reason import Reason
from safety.roadbounds import RoadShieldError
from safety.roadshield import RoadShield
from safety.rss import Rules, following
from sim.driving.profile import RoadProfile
from sim.driving.state import PATH_BEHIND, PathColumn
from sim.road import ConflictKind
from tests.safety.roadworld import CAR, RoadWorld
from tests.safety.roadworld import WIDTH as LANE

SPEC = CAR
NOSE = SPEC.length - SPEC.car.rear_overhang


def lead_states(rows: int, seed: int) -> tuple[RoadWorld, np.ndarray]:
    """Egos behind one lead at random speeds and gaps, no errors of sensors; the gaps between bumpers, m."""
    world = RoadWorld(rows, 1, spec=SPEC, noise=0.0, limit=40.0)
    world.shield.bounds.speed_error = 0.0
    world.shield.bounds.limit_slack = 10.0
    rng = np.random.default_rng(seed)
    world.put(0.0, 0.0, rng.uniform(0.0, 33.0, rows))
    gap = rng.uniform(0.5, 130.0, rows)
    o = world.others
    o.kind[:], o.v[:, 0] = 1, rng.uniform(0.0, 33.0, rows)
    o.s[:, 0] = NOSE + gap + 0.5 * o.length[:, 0] + 0.2  # 0.2 is the spread that sense() states
    world.sense()
    world.seen["range"][...] = 400.0
    world.judge(np.stack([rng.uniform(-6.0, 3.0, rows), np.zeros(rows)], -1))
    return world, gap


@pytest.mark.parametrize("seed", range(5))
def test_released_accelerations_keep_the_rss_distance(seed: int) -> None:
    """100,000 states in all: what is released never needs more room than Shalev-Shwartz's definition 1 leaves."""
    rows = 20_000
    world, gap = lead_states(rows, seed)
    released, verified = world.released[:, 0], world.out.margin.numpy() >= 0.0
    asked = world.inputs.command.numpy()[:, 0].astype(float)
    moves = verified & ((world.v > 0.05) | (released > 0.0))
    assert moves.sum() > 0.25 * rows
    assert (gap > needed(world, released))[moves].all()
    # and no more than errors (0.04 m + 0.06 m/s t), slices and the ramp of braking ask for
    ramp = world.v * 0.5 * (SPEC.car.brake_min + np.maximum(asked, 0.0)) / SPEC.car.jerk_max
    far = world.v**2 / 12.0 + world.v > 150.0  # 180 m of path are all that is known
    # nor than what may stand before a lead that moves aside, 0.8 s and its own length away
    stop = needed(world, asked) + world.others.v[:, 0] ** 2 / (2 * world.profile.brake)
    before = stop - world.others.length[:, 0] - 0.8 * world.others.v[:, 0]
    ample = (gap > np.maximum(needed(world, asked), before) + ramp + 1.0) & ~far
    assert ample.sum() > 0.25 * rows
    assert (world.out.reason.numpy()[ample] == Reason.NONE).mean() > 0.998


def needed(world: RoadWorld, accel: np.ndarray) -> np.ndarray:
    """The distance of definition 1 when the car does `accel` for a period after its latency, then brakes."""
    rho, late, brake = SPEC.latency_bound + world.period, SPEC.latency_bound, SPEC.car.brake_min
    lead = Rules(brake_hardest=world.profile.brake)
    v, u = world.v, world.others.v[:, 0]
    slower = np.maximum(v + np.minimum(accel, 0.0) * world.period, 0.0)
    braked = v * late + 0.5 * (v + slower) * world.period + slower**2 / (2 * brake) - u**2 / (2 * world.profile.brake)
    faster = [
        following(a, b, Rules(reaction=rho, accel=max(c, 0.0), brake=brake, speed=1e3), lead)
        for a, b, c in zip(v, u, accel, strict=True)
    ]
    return np.where(accel < 0.0, np.maximum(braked, 0.0), faster)


def run(
    world: RoadWorld,
    steps: int,
    policy: Callable[[int], np.ndarray],
    others: Callable[[int, float], None],
    exempt: Callable[[], np.ndarray] | None = None,
) -> tuple[int, float]:
    """Worlds in which a moving ego touched somebody who may not be touched, and the mean speed."""
    hit, speed = np.zeros(world.worlds, bool), 0.0
    for k in range(steps):
        world.sense()
        world.judge(policy(k))
        touched = world.drive(lambda dt, k=k: others(k, dt)) & (world.v > 0.05)[:, None]
        if exempt is not None:
            touched &= ~exempt()
        hit |= touched.any(1)
        speed += float(world.v.mean())
    return int(hit.sum()), speed / steps


def throttle(world: RoadWorld) -> Callable[[int], np.ndarray]:
    """Full speed ahead, along the lane."""

    def policy(_: int) -> np.ndarray:
        _, d, turn = world.frenet()
        steer = world.curvature - 0.02 * (d - world.lane * LANE) - 0.3 * turn
        return np.stack([np.full(world.worlds, 3.0), steer], -1)

    return policy


def leads(curvature: float, policy: str, worlds: int, steps: int, broken: bool, seed: int = 0) -> tuple[int, float]:
    """Behind leads that brake and speed up as hard as they may, at random."""
    world = RoadWorld(worlds, 1, curvature, spec=SPEC, seed=seed)
    if broken:
        world.shield.bounds.other_brake *= 0.5
    rng = np.random.default_rng(seed + 1)
    world.put(-900.0, 0.0, rng.uniform(5.0, 25.0, worlds))
    o, begin = world.others, world.frenet()[0]
    o.kind[:], o.s[:, 0], o.v[:, 0] = 1, begin + rng.uniform(60.0, 100.0, worlds), rng.uniform(5.0, 25.0, worlds)
    accel = np.zeros((worlds, 1))

    def others(k: int, dt: float) -> None:
        nonlocal accel
        # dt is a fifth of a step: a change every second or so
        accel = np.where(rng.random((worlds, 1)) < 0.01, rng.choice([-8.0, -8.0, 0.0, 2.0, 3.5], (worlds, 1)), accel)
        v = np.clip(o.v + accel * dt, 0.0, 36.0)
        o.s += 0.5 * (o.v + v) * dt
        o.v = v

    def weave(k: int) -> np.ndarray:
        swing = curvature + 0.01 * np.sin(0.1 * k + np.arange(worlds))
        return np.stack([np.full(worlds, 3.0), swing], -1)

    def drawn(_: int) -> np.ndarray:
        return np.stack([rng.uniform(-3.0, 3.0, worlds), curvature + rng.normal(0.0, 0.02, worlds)], -1)

    policies = {"throttle": throttle(world), "weave": weave, "random": drawn}
    return run(world, steps, policies[policy], others)


@pytest.mark.parametrize(("curvature", "policy"), [(0.0, "throttle"), (1 / 400, "random"), (-1 / 300, "weave")])
def test_no_lead_is_hit_however_it_brakes(curvature: float, policy: str) -> None:
    hits, speed = leads(curvature, policy, 30, 240, broken=False)
    assert hits == 0
    assert speed > 8.0


def test_leads_that_brake_twice_as_hard_as_assumed_are_hit() -> None:
    assert leads(0.0, "throttle", 30, 240, broken=True)[0] > 3


def walkers(worlds: int, steps: int, broken: bool, seed: int = 0) -> tuple[int, float]:
    """People who now and then walk at where the car will be, as fast as they may."""
    world = RoadWorld(worlds, 6, spec=SPEC, seed=seed, limit=15.0)
    if broken:
        world.shield.bounds.pedestrian = 0.0
        world.noise = 0.0
    rng = np.random.default_rng(seed + 1)
    world.put(-100.0, 0.0, 10.0)
    o = world.others
    o.kind[:], o.length[:], o.width[:] = 5, 0.5, 0.5
    o.s[:] = rng.uniform(-60.0, 60.0, o.s.shape)
    o.d[:] = rng.choice([-1.0, 1.0], o.s.shape) * rng.uniform(2.5, 5.0, o.s.shape)
    waits = rng.uniform(0.5, 3.0, o.s.shape)

    def others(k: int, dt: float) -> None:
        s, d, _ = world.frenet()
        goes = o.s - s[:, None] - NOSE < waits * world.v[:, None]
        ds, dd = s[:, None] + 2.0 - o.s, d[:, None] - o.d
        step = np.where(goes, 1.6 * dt / np.maximum(np.hypot(0.2 * ds, dd), 0.3), 0.0)
        o.s += 0.2 * step * ds
        o.d += step * dd

    return run(world, steps, throttle(world), others)


def test_nobody_on_foot_is_hit() -> None:
    hits, speed = walkers(30, 200, broken=False)
    assert hits == 0
    assert speed > 3.0


def test_people_faster_than_assumed_are_hit() -> None:
    assert walkers(30, 200, broken=True)[0] > 3


def pulls_out(gap: float, *, careless: bool = False) -> tuple[bool, float, float]:
    """From standstill a car turns into the left lane; who stands `gap` m behind it hides one who comes there at 30 m/s.

    That one brakes as in R157 once the car is 0.3 m over the border. Whether they touch, how far the car comes to the
    left before the other is past, and in the end.
    """
    world = RoadWorld(1, 2, spec=SPEC, limit=30.0)
    if careless:
        world.shield.bounds.cut_in_reaction, world.shield.bounds.cut_in_brake = 0.0, 1e6
    world.put(0.0, 0.0, 0.0)
    o = world.others
    o.kind[0], o.s[0], o.d[0] = 1, (-SPEC.car.rear_overhang - gap - 2.25, -90.0), (0.0, LANE)
    o.v[0, 1] = 30.0
    over = 0.0

    def others(dt: float) -> None:
        nonlocal over
        left = world.ego_corners()[0, :, 1].max() > 0.5 * LANE + 0.3
        over = over + dt if left and o.s[0, 1] < world.x[0] else 0.0
        o.v[0, 1] = max(o.v[0, 1] - (6.0 * dt if over > 0.35 else 0.0), 0.0)
        o.s += o.v * dt

    touched, before = False, -1e3
    for _ in range(140):
        away, off = world.x[0] + world.middle - o.s[0, 1], o.d[0, 1] - world.y[0]
        near = world.x[0] + world.middle - o.s[0, 0] - 2.25
        shaded = away > near and world.y[0] + off * near / max(away, 1.0) < 0.9
        o.kind[0, 1] = -1 if shaded else 1
        world.sense()
        world.judge(np.array([[1.5, 1.0 * (LANE - world.y[0]) / 20.0 - 0.4 * world.yaw[0]]]))
        o.kind[0, 1] = 1
        touched |= bool(world.drive(others).any())
        if o.s[0, 1] < world.x[0]:
            before = max(before, float(world.ego_corners()[0, :, 1].max()))
    return touched, before, float(world.y[0])


@pytest.mark.parametrize("gap", [1.0, 2.0])
def test_no_lane_is_entered_in_front_of_who_may_be_hidden_behind_a_follower(gap: float) -> None:
    touched, before, after = pulls_out(gap)
    assert not touched
    assert before < 0.5 * LANE + 0.4
    assert after > 0.5 * LANE  # it is past: the lane is free


def test_who_is_careless_of_who_may_be_hidden_behind_a_follower_is_touched() -> None:
    assert pulls_out(1.0, careless=True)[0]


@pytest.mark.parametrize(("listed", "speed", "enters"), [(True, 5.0, False), (False, 5.0, True), (True, 25.0, True)])
def test_a_lane_beside_is_shut_by_what_hides_it_and_by_our_speed(listed: bool, speed: float, enters: bool) -> None:
    world = RoadWorld(1, 1, spec=SPEC, noise=0.0)
    world.put(0.0, 0.0, speed)
    o = world.others
    o.kind[0, 0], o.s[0, 0], o.v[0, 0] = (1 if listed else -1), -speed - 8.0, speed
    o.width[0, 0], o.d[0, 0] = 2.5, 0.3  # so that moving over shows no more

    def others(dt: float) -> None:
        o.s += o.v * dt

    for _ in range(120):
        world.sense()
        wish = 0.8 * (LANE - world.y[0]) / max(world.v[0], 4.0) ** 2 - 1.6 * world.yaw[0] / max(world.v[0], 4.0)
        world.judge(np.array([[0.0, wish]]))
        world.drive(others)
    assert (float(world.y[0]) > 0.6 * LANE) == enters


def uncovers(headway: float, wish: float) -> tuple[float, float]:
    """At 130 km/h a lead moves aside after 2 s, 1.5 s before one that stands, who is seen once that uncovers a corner.

    The speed of an impact, else 0, and the hardest braking before the lead moves, m/s^2.
    """
    world = RoadWorld(1, 2, spec=SPEC, limit=36.2)
    world.put(-800.0, 0.0, 36.0)
    o = world.others
    o.kind[0, 0], o.v[0, 0] = 1, 36.0
    o.s[0, 0] = -800.0 + NOSE + headway * 36.0 + 2.25
    o.s[0, 1] = o.s[0, 0] + 4.5 + 36.0 * 3.5

    def others(dt: float) -> None:
        moves = o.s[0, 1] - o.s[0, 0] <= 4.5 + 36.0 * 1.5
        o.lateral[0, 0] = max(o.lateral[0, 0] - 3.0 * dt, -2.2) if moves and o.d[0, 0] > -3.0 else 0.0
        o.s[0, 0] += o.v[0, 0] * dt
        o.d[0, 0] += o.lateral[0, 0] * dt

    hardest = 0.0
    for _ in range(200):
        o.kind[0, 1] = 1 if o.d[0, 0] < -0.5 else -1
        world.sense()
        world.judge(np.array([[wish, -0.02 * world.y[0] - 0.3 * world.yaw[0]]]))
        hardest = max(hardest, -float(world.released[0, 0])) if o.d[0, 0] == 0.0 else hardest
        o.kind[0, 1] = 1
        if world.drive(others).any():
            return float(world.v[0]), hardest
    return 0.0, hardest


@pytest.mark.parametrize("headway", [2.0, 3.0])
def test_what_stands_hidden_before_a_vehicle_ahead_is_stopped_for_and_nobody_brakes_hard_before(headway: float) -> None:
    impact, hardest = uncovers(headway, 0.0)
    assert impact == 0.0
    assert hardest == 0.0 if headway > 2.9 else 1.0 <= hardest < 2.5


def crossers(worlds: int, steps: int, broken: bool, seed: int = 0) -> tuple[int, float]:
    """Traffic across the lane: it speeds up and brakes at random, and enters no ground that the car is on if it can."""
    world = RoadWorld(worlds, 6, crossing=True, spec=SPEC, seed=seed, limit=14.0)
    if broken:
        world.shield.bounds.other_accel, world.shield.bounds.speed_error = 0.0, -12.0
    rng = np.random.default_rng(seed + 1)
    world.put(-120.0 - 60.0 * rng.random(worlds), 0.0, 8.0)
    o = world.others
    o.kind[:], o.across[:] = 1, True
    o.v[:], o.s[:] = rng.uniform(3.0, 14.0, o.v.shape), -40.0 - 25.0 * np.arange(6) - 30.0 * rng.random((worlds, 1))
    accel, held = np.zeros(o.v.shape), np.zeros(o.v.shape, bool)

    def others(k: int, dt: float) -> None:
        nonlocal accel, held
        accel = np.where(rng.random(o.v.shape) < 0.02, rng.choice([-4.0, 0.0, 2.0, 3.5], o.v.shape), accel)
        s, _, _ = world.frenet()
        occupied = ((s + NOSE > -3.0) & (s - SPEC.car.rear_overhang < 3.0))[:, None]
        gap = -0.5 * LANE - 0.9 - (o.s + 0.5 * o.length)
        need = o.v**2 / 8.0
        held = occupied & (gap > 0.0) & (held | ((gap > need + 0.1) & (gap < need + 0.1 * o.v + 1.0)))
        a = np.where(held, -np.minimum(o.v**2 / (2.0 * np.maximum(gap, 0.05)) + 0.2, 8.0), accel)
        before = np.concatenate([np.full((worlds, 1), 1e9), o.s[:, :-1]], 1)
        a = np.where(before - o.s - 4.5 < 1.0 * o.v + 3.0, -6.0, a)
        v = np.clip(o.v + a * dt, 0.0, 1.2 * 14.0)
        o.s += 0.5 * (o.v + v) * dt
        o.v = v

    return run(world, steps, throttle(world), others)


def test_nobody_who_comes_across_is_hit() -> None:
    hits, speed = crossers(25, 300, broken=False)
    assert hits == 0
    assert speed > 8.0


def test_traffic_across_faster_than_assumed_is_hit() -> None:
    assert crossers(60, 300, broken=True)[0] > 1


def test_a_profile_in_which_leads_brake_less_than_we_do_is_refused() -> None:
    with pytest.raises(RoadShieldError, match=r"raise `brake` of the road profile to 6\.0"):
        RoadShield(SPEC, RoadProfile(brake=5.9))


def reason_of(world: RoadWorld, a: float, k: float = 0.0) -> Reason:
    """Why the first row's proposal is refused."""
    world.sense()
    world.judge(np.tile((a, k), (world.worlds, 1)))
    return Reason(int(world.out.reason.numpy()[0]))


def alone(v: float, d: float = 0.0, limit: float = 30.0) -> RoadWorld:
    world = RoadWorld(1, 2, spec=SPEC, noise=0.0, limit=limit)
    world.put(0.0, d, v)
    return world


def test_whose_nose_is_at_another_lane_does_not_creep_into_it_before_one_who_comes_fast() -> None:
    world = RoadWorld(1, 1, spec=SPEC, limit=36.0)
    world.put(0.0, LANE + 0.9, 0.9)
    world.yaw -= 0.7  # the nose's corner 0.4 m beside who keeps to the middle of the right lane
    o = world.others
    o.kind[0, 0], o.s[0, 0], o.v[0, 0] = 1, -75.0, 34.0
    touched, least = False, 1e3

    def others(dt: float) -> None:
        o.s += o.v * dt

    for _ in range(60):
        world.sense()
        world.judge(np.array([[0.6, -0.16]]))
        touched |= bool(world.drive(others).any())
        least = min(least, float(world.ego_corners()[0, :, 1].min()))
    assert not touched
    assert o.s[0, 0] > 10.0  # it is past
    assert least > 0.5 * o.width[0, 0]


def test_each_invariant_has_its_own_reason() -> None:
    assert reason_of(alone(20.0), 1.0) is Reason.NONE
    assert reason_of(alone(20.0), 9.0) is Reason.LIMITS
    assert reason_of(alone(20.0, limit=20.0), 3.0) is Reason.SPEED_LIMIT
    assert reason_of(alone(20.0, d=-0.6), 0.0, -0.005) is Reason.LANE_BOUNDARY
    assert reason_of(alone(36.0, limit=40.0), 0.0) is Reason.NONE
    world = alone(20.0)
    world.sense()
    world.seen["path_lane"][:, 20:] = -1  # the way ends 45 m ahead; 20 m/s stop within 39 m
    world.judge(np.array([[3.0, 0.0]]))
    assert world.out.reason.numpy()[0] == Reason.PATH_END
    world.sense()
    world.seen["path_lane"][...] = 0
    world.seen["range"][...] = 40.0
    world.judge(np.array([[3.0, 0.0]]))
    assert world.out.reason.numpy()[0] == Reason.UNSEEN


@pytest.mark.parametrize(("beyond", "reason"), [(0.0, Reason.PATH_END), (2.5, Reason.NONE), (9.0, Reason.PATH_END)])
def test_a_way_ends_where_the_points_beyond_its_last_one_stand(beyond: float, reason: Reason) -> None:
    world = alone(6.5)  # it stops within 7.5 m
    world.sense()
    last, path = PATH_BEHIND + 3, world.seen["path"]
    world.seen["path_lane"][:, last + 1 :] = -1
    path[:, last + 1 :] = path[:, last : last + 1]
    path[:, last + 1 :, PathColumn.X] += beyond  # 9 m away they say nothing of where it ends
    world.judge(np.zeros((1, 2)))
    assert world.out.reason.numpy()[0] == reason


@pytest.mark.parametrize("speed", [3.0, 4.5])
@pytest.mark.parametrize(("goes_on", "reason"), [(True, Reason.NONE), (False, Reason.LANE_BOUNDARY)])
def test_a_lane_that_ends_is_left_at_its_end_only_for_one_that_goes_on(
    speed: float, goes_on: bool, reason: Reason
) -> None:
    world = alone(speed)
    world.put(0.0, LANE - 0.9, speed)
    world.yaw[:] = -0.12  # to the right, on the border
    if goes_on:
        world.atlas.lanes.successors.numpy()[0, 0] = 0
    for ends in (False, True):
        world.sense()
        if ends:
            last, path = PATH_BEHIND + 4, world.seen["path"]
            world.seen["path_lane"][:, last + 1 :] = -1
            path[:, last + 1 :] = path[:, last : last + 1]
        world.judge(np.zeros((1, 2)))
    assert world.out.reason.numpy()[0] == reason


def with_one(speed: float, kind: int = 1, **other: float) -> RoadWorld:
    """An ego in the right lane and somebody else."""
    world = alone(speed)
    world.others.kind[:, 0] = kind
    for name, value in other.items():
        getattr(world.others, name)[:, 0] = value
    return world


def test_whoever_is_there_has_a_reason_of_its_own() -> None:
    assert reason_of(with_one(20.0, s=30.0, v=10.0), 0.0) is Reason.VEHICLE_AHEAD
    assert reason_of(with_one(20.0, s=30.0, d=LANE, v=10.0), 0.0) is Reason.NONE  # keeps its lane beside ours
    assert reason_of(with_one(20.0, s=30.0, d=LANE, v=10.0, lateral=-0.6), 0.0) is Reason.VEHICLE  # leaves it
    assert reason_of(with_one(20.0, s=30.0, d=LANE, v=10.0, lateral=0.6), 0.0) is Reason.NONE  # to the other side
    assert reason_of(with_one(10.0, 5, s=12.0, d=-3.0), 0.0) is Reason.PEDESTRIAN
    # about to enter the left lane, where one at 30 m/s comes from behind
    assert reason_of(drifting(-20.0), 0.0) is Reason.REAR
    assert reason_of(drifting(-120.0), 0.0) is Reason.NONE


def drifting(s: float) -> RoadWorld:
    """An ego about to enter the left lane at 15 m/s, with a vehicle at 30 m/s there."""
    world = alone(15.0, d=0.9)
    world.yaw[:] = 0.06
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.d[:, 0], o.v[:, 0] = 1, s, LANE, 30.0
    return world


def reaching(s: float, v: float) -> RoadWorld:
    """An ego that creeps with its nose in the left lane, and one in that lane behind it."""
    world = alone(0.5, d=1.0)
    world.yaw[:] = 0.6
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.d[:, 0], o.v[:, 0] = 1, s, LANE, v
    return world


def test_who_reaches_into_a_lane_waits_for_one_who_cannot_stop_behind_and_goes_on_before_one_who_stands() -> None:
    assert reason_of(reaching(-20.0, 15.0), 1.0) is Reason.REAR
    assert reason_of(reaching(-60.0, 15.0), 1.0) is Reason.NONE
    assert reason_of(reaching(-6.0, 0.0), 1.0) is Reason.NONE


@pytest.mark.parametrize(("d", "yaw", "reason"), [(0.8, 0.03, Reason.VEHICLE_AHEAD), (1.3, 0.06, Reason.NONE)])
def test_a_free_lane_beside_is_no_leave_to_come_nearer_before_the_border_is_crossed(
    d: float, yaw: float, reason: Reason
) -> None:
    """Who drives slowly ahead may enter that lane first: nobody is in it yet."""
    world = alone(27.0, d=d)
    world.yaw[:] = yaw
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.v[:, 0] = 1, 70.0, 5.0
    assert reason_of(world, 0.0) is reason


@pytest.mark.parametrize("bend", [-1 / 8, 1 / 16])
def test_no_corner_touches_who_stands_ahead_in_the_bend_of_a_junction(bend: float) -> None:
    """Egos that creep up to a standing lead, their steering thrown from side to side."""
    many, rng = 60, np.random.default_rng(4)
    world = RoadWorld(many, 1, bend, spec=SPEC, seed=4, limit=8.0)
    world.put(rng.uniform(-9.0, -7.5, many), rng.uniform(-0.4, 0.4, many), 0.0)
    o = world.others
    o.kind[:], o.s[:], o.d[:], o.length[:] = 1, 1.0, rng.uniform(-0.3, 0.3, (many, 1)), 5.0
    turn = np.zeros(many)
    for _ in range(300):
        turn = np.where(rng.random(many) < 0.05, SPEC.car.curvature_max * rng.choice((-1.0, 1.0), many), turn)
        world.sense()
        world.seen["path_lane"][:, PATH_BEHIND + 6 :] = -1  # before the circle comes round
        world.judge(np.stack([np.full(many, 2.0), turn], -1))
        assert not world.drive().any()
    gap = -1.5 - 0.5 * SPEC.length - world.middle - world.frenet()[0]
    assert np.median(gap) < 2.5  # they did come near


def meeting(yaw: float) -> RoadWorld:
    """An ego, and one a little behind, who comes from the second lane to the left into the lane between."""
    world = alone(20.0, d=0.4)
    world.yaw[:] = yaw
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.d[:, 0], o.v[:, 0], o.lateral[:, 0] = 1, -5.0, LANE + 1.6, 20.0, -1.2
    return world


def test_of_two_who_want_the_lane_between_them_neither_is_taken_for_absent() -> None:
    assert reason_of(meeting(0.08), 0.0) is Reason.REAR
    assert reason_of(meeting(0.0), 0.0) is Reason.NONE  # who comes over our lane's border has us where we are


def turning_off(s: float, kind: ConflictKind) -> RoadWorld:
    """An ego before a slow vehicle that has turned into a lane which begins where ours does."""
    world = RoadWorld(1, 2, spec=SPEC, noise=0.0, crossing=True)
    world.atlas.conflicts.kind.numpy()[...] = int(kind)
    world.put(-9.0, 0.0, 6.0)
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.v[:, 0], o.across[:, 0] = 1, s, 1.0, True
    return world


def test_who_turns_off_counts_until_its_rear_is_out_of_our_way() -> None:
    assert reason_of(turning_off(2.0, ConflictKind.SPLIT), 3.0) in (Reason.VEHICLE, Reason.VEHICLE_AHEAD)
    assert reason_of(turning_off(8.0, ConflictKind.SPLIT), 3.0) is Reason.NONE


def merging(s: float, v: float) -> RoadWorld:
    """An ego 8 m before a merge with the lane from the right, on which another comes from further away."""
    world = RoadWorld(1, 2, spec=SPEC, noise=0.0, crossing=True)
    world.atlas.conflicts.kind.numpy()[...] = int(ConflictKind.MERGE)
    world.put(-8.0, 0.0, 7.0)
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.v[:, 0], o.across[:, 0] = 1, s, v, True
    return world


def test_who_comes_first_to_a_merge_leaves_the_others_room_to_stay_behind() -> None:
    assert reason_of(merging(-22.0, 14.0), 3.0) is Reason.REAR
    assert reason_of(merging(-120.0, 14.0), 3.0) is Reason.NONE


@pytest.mark.parametrize(
    ("array", "value", "reason"),
    [
        ("motion", np.nan, Reason.NOT_FINITE),
        ("age", 1.0, Reason.STALE_VIEW),
        ("list_age", 1.0, Reason.STALE_OBJECTS),
        ("pose", np.inf, Reason.NOT_FINITE),
    ],
)
def test_the_stored_plan_brings_a_car_to_rest_whatever_its_sensors_say(
    array: str, value: float, reason: Reason
) -> None:
    world = RoadWorld(4, 1, 1 / 200, spec=SPEC, noise=0.0)
    world.put(-100.0, 0.2, 20.0)
    for k in range(160):
        world.sense()
        if k >= 10:
            world.seen[array][...] = value
        world.judge(np.tile((1.0, 0.005), (4, 1)))
        if k >= 10:
            assert (world.out.reason.numpy() == reason).all()
        world.drive()
        _, d, _ = world.frenet()
        assert (np.abs(d) + 0.5 * SPEC.width < 0.5 * LANE).all()
    assert (world.v == 0.0).all()


def test_rows_do_not_depend_on_each_other_and_a_reset_forgets_one_row() -> None:
    together, alone_ = lead_states(50, 3)[0], RoadWorld(1, 1, spec=SPEC, noise=0.0, limit=40.0)
    alone_.shield = together.shield
    for name in ("pose", "motion", "where", "path", "path_lane", "path_s", "objects", "object_kind", "object_lane"):
        alone_.seen[name][...] = together.seen[name][17:18]
    alone_.seen["range"][...] = 400.0
    alone_.judge(together.inputs.command.numpy()[17:18].astype(float))
    np.testing.assert_array_equal(alone_.released[0], together.released[17])
    before = {name: getattr(together.memory, name).numpy().copy() for name in ("plan", "path", "state", "history")}
    mask = np.zeros(50, np.uint8)
    mask[17] = 1
    together.shield.reset(wp.array(mask, device="cpu"), together.memory)
    for name, values in before.items():
        after = getattr(together.memory, name).numpy()
        np.testing.assert_array_equal(np.delete(after, 17, 0), np.delete(values, 17, 0))
    assert not together.memory.plan.numpy()[17].any()


def cut_in(gap: float, speed: float, lateral: float, steps: int = 120) -> tuple[bool, float]:
    """A car at 25 m/s, and one that leaves the left lane in front of it at once; contact, and the hardest braking."""
    world = alone(25.0)
    o = world.others
    o.kind[0, 0], o.s[0, 0], o.d[0, 0], o.v[0, 0] = 1, NOSE + gap + 2.25, LANE, speed
    touched, hardest = False, 0.0

    def others(dt: float) -> None:
        o.lateral[0, 0] = -lateral if o.d[0, 0] > 0.0 else 0.0
        o.d[0, 0] = max(o.d[0, 0] + o.lateral[0, 0] * dt, 0.0)
        o.s[0, 0] += o.v[0, 0] * dt

    for _ in range(steps):
        world.sense()
        world.judge(np.array([[0.0, 0.0]]))
        touched |= bool(world.drive(others).any())
        hardest = min(hardest, float(world.released[0, 0]))
    return touched, hardest


def test_a_cut_in_without_room_is_braked_for_and_one_that_comes_late_is_passed() -> None:
    touched, hardest = cut_in(25.0, 15.0, 1.0)
    assert not touched
    assert hardest < -5.5
    # just behind one that is 7 m/s slower and drifts at 0.6 m/s: gone before it arrives, met if we brake
    touched, hardest = cut_in(1.0, 18.0, 0.6, steps=60)
    assert not touched
    assert hardest > -1.0


def test_of_the_reference_cut_ins_none_is_lost_that_rss_or_the_fuzzy_model_survives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("cutins")
    if not bench.VERDICTS.exists():
        pytest.skip("needs ../shared/data/driving/cutin_verdicts.csv")
    rows = bench.rows_of(bench.VERDICTS)[::6]
    hit = bench.CutIns(rows).run()
    lost = np.array([row["crash_RSS"] > 0 and row["crash_FSM"] > 0 for row in rows])
    assert not (hit & ~lost).any()
    assert 0 < hit.sum() <= 9  # some cannot be survived by braking alone


def test_where_neither_braking_nor_going_on_helps_the_car_brakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """110 km/h, 71 m behind one at 10 km/h that comes over at 0.9 m/s: met at a quarter of the speed difference."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("cutins")
    cut = bench.CutIns([{"ego_kmh": 110.0, "cutin_kmh": 10.0, "gap_m": 71.0, "lat_vel_mps": 0.9}])
    met: list[float] = []

    def driver(cuts: Any, step: int) -> np.ndarray:  # bench.CutIns
        if abs(cuts.x[0] - cuts.other_x[0]) < bench.LENGTH and abs(cuts.y[0]) < bench.WIDTH:
            met.append(float(cuts.ego_v[0] - cuts.other_v[0]))
        return cuts.shielded(step)

    assert cut.run(driver)[0]
    assert met[0] < 7.0


@pytest.mark.parametrize("ahead", [20.0, 24.0])
def test_who_swings_towards_one_who_leaves_a_lane_brakes_and_does_not_count_on_passing(ahead: float) -> None:
    """On the way to the right at 16 m/s, before one who all but stands across the border there."""
    world = RoadWorld(1, 1, spec=SPEC, noise=0.0)
    world.put(0.0, LANE + 0.7, 16.0)
    world.yaw[:], world.a[:], world.k[:] = -0.2, -3.0, 0.0
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.d[:, 0], o.v[:, 0], o.lateral[:, 0] = 2, ahead, 1.2, 0.2, 0.05
    o.length[:, 0], o.width[:, 0] = 4.0, 2.0
    world.sense()
    assert world.judge(np.array([[3.0, -0.25]]))[0, 0] == -SPEC.car.brake_min
