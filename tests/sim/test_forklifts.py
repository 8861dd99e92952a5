"""Forklifts keep to their rules, judged by exact rectangles that share no code with the kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from fleet.oracle import on_the_map, rectangles_overlap
from sim.device import start_warp
from sim.env import BatchEnv
from sim.forklifts import (
    ForkliftError,
    ForkliftSpec,
    check_bound,
    make_forklifts,
    make_yard,
    record_drivers,
    record_starts,
)
from sim.generate import generate_campus
from sim.people import Profile, make_people
from sim.readers import load_problem
from sim.robot import Lidar, RobotSpec
from sim.site import Site, make_site
from sim.snapshots import of_worlds
from sim.tasks.navigate import NavigateConfig
from sim.tasks.task import Ending
from sim.warp_backend import WarpBackend
from sim.yard import Forklifts, Yard

DT = 0.02
SPEC = ForkliftSpec()


@dataclass
class Yards:
    """Trucks in some worlds with one robot and one person each."""

    trucks: Forklifts
    robots: wp.array
    people: wp.array
    quat: wp.array
    yard: Yard
    drivers: list[wp.Launch]

    def launch(self) -> None:
        for launch in self.drivers:
            launch.launch()


def settle(site: Site, worlds: int, trucks: int, seed: int = 0) -> Yards:
    """Trucks at their starts; robots and people far off the floor."""
    start_warp()
    robots = wp.array(np.full((worlds, 3), -50.0, np.float32), dtype=wp.float32)
    people = make_people(worlds, 1, "cpu").position
    arrays = make_forklifts(worlds, trucks, "cpu")
    yard = make_yard(site, SPEC, robots=1, radius=0.4, pose=robots, people=people, seed=seed)
    mask, episode = wp.full(worlds, 1, dtype=wp.uint8), wp.zeros(worlds, dtype=wp.int32)
    record_starts(yard, arrays, mask, episode, seed=seed)[0].launch()
    position, quat = (wp.zeros((worlds, 1 + trucks, n), dtype=wp.float64) for n in (3, 4))
    drivers = record_drivers(yard, arrays, position, quat, bodies=1, dt=DT, seed=seed)
    return Yards(arrays, robots, people, quat, yard, drivers)


def corners(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of the trucks' rectangles, (..., 4, 2)."""
    c, s = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    out = []
    for i, j in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        dx, dy = i * SPEC.length / 2, j * SPEC.width / 2
        out.append(np.stack([pose[..., 0] + c * dx - s * dy, pose[..., 1] + s * dx + c * dy], -1))
    return np.stack(out, -2)


def faults(site: Site, track: NDArray[np.float64], claims: NDArray[np.float64]) -> list[str]:
    """What trucks did wrong: poses (steps, worlds, trucks, 3), claims (steps, worlds, trucks, 4)."""
    wrong = []
    forbidden = replace(site, blocked=site.filled | site.person_free)
    if on_the_map(forbidden, SPEC.length, SPEC.width, track).any():
        wrong.append("on a cell that trucks must not enter")
    trucks = track.shape[2]
    for one in range(trucks):
        for two in range(one):
            a, b = (track[:, :, k].reshape(-1, 3) for k in (one, two))
            if rectangles_overlap(SPEC.length, SPEC.width, a, SPEC.length, SPEC.width, b).any():
                wrong.append("two trucks overlap")
    points = corners(track)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1) / DT
    if speed.max() > SPEC.bound + 0.06:  # a millimetre of a step, where a stop is rounded to its cell's centre
        wrong.append("a point faster than the bound")
    low, high = points.min(axis=-2), points.max(axis=-2)
    if (low < claims[..., :2] - 2e-3).any() or (high > claims[..., 2:] + 2e-3).any():
        wrong.append("outside of its claim")
    return wrong


def watch(site: Site, worlds: int, trucks: int, seconds: float) -> tuple[NDArray, NDArray, NDArray]:
    """Poses, claims (steps, worlds, trucks, ...) and how often each truck reached a stop."""
    yards = settle(site, worlds, trucks)
    track, claims, loads = [], [], np.zeros((worlds, trucks), int)
    for _ in range(round(seconds / DT)):
        before = yards.trucks.pause.numpy() > 0.0
        yards.launch()
        loads += (yards.trucks.pause.numpy() > 0.0) & ~before
        track.append(yards.trucks.pose.numpy().astype(np.float64))
        claims.append(yards.trucks.claim.numpy().astype(np.float64))
    return np.array(track), np.array(claims), loads


def test_forklifts_never_touch_each_other_or_the_map_and_keep_going(root: Path) -> None:
    """Three long trucks on small floors, where they meet all the time: three minutes in four worlds each."""
    for name in ("small_warehouse", "two_halls"):
        site = load_problem(str(root / "launch" / "sites" / f"{name}.yaml")).site
        track, claims, loads = watch(site, 4, 3, 180.0)
        assert faults(site, track, claims) == []
        metres = np.linalg.norm(np.diff(track[..., :2], axis=0), axis=-1)
        assert metres.sum(axis=0).min() > 10.0
        assert metres[-3000:].sum(axis=(0, 2)).min() > 10.0  # no world stands still in the end
        # in the other one's strips of a single lane two trucks keep each other from the stops at its ends
        assert name == "small_warehouse" or loads.min() >= 3
        assert metres.max() / DT == pytest.approx(SPEC.speed, abs=0.06)


def test_the_judge_sees_each_planted_fault() -> None:
    site = make_site("hall", np.zeros((9, 9), bool))
    place = np.array([[[[4.2, 4.2, 0.0], [4.2, 8.0, 0.0]]]] * 2)
    claims = np.array([[[[2.7, 3.6, 5.7, 4.8], [2.7, 7.4, 5.7, 8.6]]]] * 2)
    assert faults(site, place, claims) == []

    def moved(truck: int, by: tuple[float, float, float]) -> NDArray:
        other = place.copy()
        other[1, 0, truck] += by
        return other

    assert "two trucks overlap" in faults(site, moved(0, (0.0, 3.0, 0.0)), claims)
    assert "on a cell that trucks must not enter" in faults(site, moved(0, (0.0, -3.8, 0.0)), claims)
    assert "outside of its claim" in faults(site, moved(0, (0.2, 0.0, 0.0)), claims)
    assert faults(site, moved(0, (0.04, 0.0, 0.0)), claims) == ["a point faster than the bound"]


@pytest.mark.parametrize("what", ["person", "robot"])
def test_a_forklift_stops_before_who_stands_in_its_lane(what: str) -> None:
    site = make_site("hall", np.zeros((5, 20), bool))
    yards = settle(site, 1, 1)
    trucks = yards.trucks
    trucks.place.numpy()[0, 0] = 4 * (2 * 20 + 3)  # heading east
    trucks.claim.numpy()[0, 0] = (2.8, 2.4, 5.6, 3.6)
    trucks.stop.numpy()[0, 0] = 0
    trucks.doing.numpy()[0, 0] = 1
    trucks.pause.numpy()[0, 0] = 0.0
    trucks.done.numpy()[0, 0] = trucks.speed.numpy()[0, 0] = 0.0
    yards.yard.table.numpy()[0] = 0  # straight on for ever
    radius = 0.25 if what == "person" else 0.4
    if what == "person":
        yards.people.numpy()[0, 0] = (15.0, 3.0)
    else:
        yards.robots.numpy()[0, :2] = (15.0, 3.0)
    speeds, gaps = [], []
    for _ in range(500):  # before its patience ends
        yards.launch()
        x = float(trucks.pose.numpy()[0, 0, 0])
        speeds.append(float(trucks.speed.numpy()[0, 0]))
        gaps.append(15.0 - radius - x - SPEC.length / 2)
    assert max(speeds) == pytest.approx(SPEC.speed, abs=1e-4)
    assert min(gaps) == pytest.approx(SPEC.gap, abs=0.02)
    assert min(gaps) >= SPEC.gap - 1e-3
    slowing = -np.diff(speeds) / DT
    assert slowing[np.array(speeds[1:]) >= 0.0].max() <= SPEC.brake + 1e-3


def test_a_site_must_assume_as_much_as_its_forklifts_do() -> None:
    check_bound(SPEC, Profile.WALKING)
    assert SPEC.bound == 1.5
    assert replace(SPEC, turn=1.2).bound == pytest.approx(1.2 * np.hypot(1.4, 0.525))
    with pytest.raises(ForkliftError, match="got V = 0"):
        check_bound(SPEC, Profile.STILL)
    with pytest.raises(ForkliftError, match=r"no faster than the 1\.6 m/s .* got 3 m/s"):
        check_bound(replace(SPEC, speed=3.0), Profile.WALKING)
    check_bound(replace(SPEC, speed=3.0), Profile.WALKING, assumed=3.5)


def test_a_floor_without_room_for_forklifts_is_refused() -> None:
    site = make_site("aisle", np.zeros((1, 9), bool))
    with pytest.raises(ForkliftError, match="got aisle, where they can go and come back nowhere"):
        settle(site, 1, 1)


CONFIG = NavigateConfig(
    spec=RobotSpec(lidar=Lidar(rays=64)),
    people=1,
    profile=Profile.WALKING,
    forklifts=2,
    paths=256,
    crowd="social_force",
)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(0, blocks=(4, 4))


def test_forklifts_in_many_worlds_are_isolated_keyed_and_restorable(site: Site) -> None:
    rng = np.random.default_rng(0)
    moves = rng.uniform(-1.0, 1.0, (60, 9, 2)).astype(np.float32)
    few, many, thrown = (BatchEnv(site, CONFIG, worlds=n, seed=3, threads=1) for n in (3, 9, 9))
    for env in (few, many, thrown):
        env.reset()
    saved = {}
    for k, action in enumerate(moves):
        if k == 30:
            saved = many.snapshot()
        if k == 20:
            thrown.backend.qpos.numpy()[[4, 7], 0] += 500.0
        few.step(action[:3])
        many.step(action)
        thrown.step(action)
    last = many.snapshot()
    others = np.delete(np.arange(9), [4, 7])
    after = thrown.snapshot()
    for name, values in of_worlds(after).items():
        np.testing.assert_array_equal(values[others], last[name][others], err_msg=name)
    assert (after["forklift.life"][[4, 7]] > 0).all()
    for name, values in of_worlds(few.snapshot()).items():
        np.testing.assert_array_equal(values, last[name][:3], err_msg=name)
    other = BatchEnv(site, CONFIG, worlds=9, seed=3, threads=2)
    other.restore(saved)
    for action in moves[30:]:
        other.step(action)
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, last[name], err_msg=name)
    assert (last["forklift.place"] >= 0).any()
    assert (last["forklift.pose"] != saved["forklift.pose"]).any(axis=(1, 2)).sum() >= 3


def alike(one: BatchEnv, two: BatchEnv, within: float) -> None:
    """Both live the same episode for three seconds, robots standing, people and trucks `within` m of each other."""
    for env in (one, two):
        env.reset()
    for _ in range(30):
        for env in (one, two):
            env.step(np.zeros((env.rows, 2), np.float32))
    start = make_forklifts(1, 1, "cpu").pose.numpy()[0, 0, 0]
    for first, second in (
        (one.people.position, two.people.position),
        (one.plant.forklifts.pose, two.plant.forklifts.pose),
        (one.backend.data("mocap_quat"), two.backend.data("mocap_quat")),
    ):
        np.testing.assert_allclose(second.numpy(), first.numpy(), atol=within)
    assert (one.plant.forklifts.pose.numpy()[..., 0] > start).any()


def test_both_engines_have_the_same_people_and_forklifts(site: Site) -> None:
    first = BatchEnv(site, CONFIG, worlds=3, seed=3, threads=1)
    second = BatchEnv(
        site, CONFIG, worlds=3, seed=3, backend=lambda scene, worlds: WarpBackend(scene.model, worlds, device="cpu")
    )
    alike(first, second, 1e-5)


@pytest.mark.gpu
def test_people_and_forklifts_move_alike_on_cuda(site: Site) -> None:
    alike(*(BatchEnv(site, CONFIG, worlds=16, seed=3, device=device) for device in ("cpu", "cuda:0")), 1e-3)


def test_robots_see_forklifts_and_collide_with_them(site: Site) -> None:
    env = BatchEnv(site, replace(CONFIG, people=0, forklifts=1), worlds=32, seed=1, threads=1)
    env.reset()
    trucks = env.plant.forklifts
    there = np.flatnonzero(trucks.place.numpy()[:, 0] >= 0)
    assert len(there) > 8
    gap = np.hypot(*(trucks.pose.numpy()[there, 0, :2] - env.state.pose.numpy()[there, :2]).T)
    assert gap.min() > SPEC.reach + 2.0
    # a robot in front of a truck's side, looking at it
    row = int(there[0])
    x, y, yaw = trucks.pose.numpy()[row, 0].astype(np.float64)
    trucks.pause.numpy()[:] = 100.0  # all stand
    at = np.array([x - np.sin(yaw) * 1.6, y + np.cos(yaw) * 1.6])
    env.backend.qpos.numpy()[row, :3] = *at, yaw - np.pi / 2
    env.plant.read()
    env.observe()
    ahead = env.state.scan.numpy()[row, 32]  # the ray at angle 0
    assert ahead == pytest.approx(1.6 - SPEC.width / 2, abs=0.05)
    # and then against it, moving
    env.backend.qpos.numpy()[row, :2] = x - np.sin(yaw) * 0.86, y + np.cos(yaw) * 0.86
    env.backend.qvel.numpy()[row, :2] = np.sin(yaw) * 0.5, -np.cos(yaw) * 0.5
    env.plant.read()
    step = env.step(np.full((32, 2), (0.5, 0.0), np.float32))
    assert step.ending[row] in (Ending.COLLIDED, Ending.LEFT)
    assert env.state.collided.numpy()[row] or step.collision[row]
