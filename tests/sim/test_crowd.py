"""A social-force crowd: what it does is compared with what was published, what it may do with the profile's words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from fleet.world import World
from sim.crowd import record_walk
from sim.device import start_warp
from sim.env import BatchEnv
from sim.generate import generate_campus, generate_warehouse
from sim.launches import Several
from sim.manners import RUN_HIGH, Conduct, CrowdArrays, Manners, make_crowd
from sim.people import SPEED_HIGH, PeopleArrays, Profile, make_people
from sim.rays import floor_arrays
from sim.readers import load_problem
from sim.robot import Lidar, RobotSpec
from sim.site import Site, make_site
from sim.snapshots import of_worlds
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary
from sim.ways import NOWHERE, Ways
from tests.sim.people_rules import DT, violations

BUSY = Manners(stopping=0.0, stay_longest=0.0)
"""Nobody stands without a reason."""


@dataclass
class Floor:
    """One world of people alone, with a robot if any."""

    site: Site
    people: PeopleArrays
    crowd: CrowdArrays
    walk: Several
    pose: wp.array
    twist: wp.array

    @property
    def position(self) -> NDArray[np.float32]:
        return self.people.position.numpy()[0]

    @property
    def velocity(self) -> NDArray[np.float32]:
        return self.crowd.velocity.numpy()[0]


def settle(
    site: Site,
    at: NDArray[np.floating],
    speed: NDArray[np.floating],
    goal: NDArray[np.integer],
    towards: NDArray[np.uint8],
    *,
    robots: int = 0,
    profile: Profile = Profile.WALKING,
    manners: Manners = BUSY,
) -> Floor:
    """People who have lived already: at (people, 2), each with a desired speed and a goal of the table `towards`."""
    start_warp()
    many = len(at)
    people, crowd = make_people(1, many, "cpu"), make_crowd(1, many, "cpu")
    people.position.numpy()[0] = at
    people.origin.numpy()[0] = site.cell_at(at)
    people.speed.numpy()[0] = speed
    crowd.lived.numpy()[:] = 0
    crowd.goal.numpy()[0] = goal
    crowd.conduct.numpy()[0] = int(Conduct.WALKING)
    crowd.heeds.numpy()[:] = 1
    pose, twist = (wp.zeros((max(robots, 1), 3), dtype=wp.float32) for _ in range(2))
    walk = record_walk(
        "social_force",
        site,
        floor_arrays(site, "cpu"),
        people,
        crowd,
        pose,
        twist,
        wp.zeros((1, many, 3), dtype=wp.float64),
        robots=robots,
        robot_radius=0.4,
        dt=DT,
        profile=int(profile),
        seed=0,
        manners=manners,
        ways=Ways(towards=towards, goals=np.zeros((len(towards), 1), np.int32)),
    )
    return Floor(site, people, crowd, walk, pose, twist)


def ring(width: int = 16, height: int = 8, aisle: int = 2) -> tuple[Site, NDArray[np.uint8]]:
    """An aisle around one rack, and ways round it without an end: goal 0 clockwise, goal 1 counter-clockwise."""
    blocked = np.zeros((height, width), bool)
    blocked[aisle:-aisle, aisle:-aisle] = True
    towards = np.full((2, height, width), NOWHERE, np.uint8)
    east, north, west, south = 0, 2, 4, 6
    for row, column in np.argwhere(~blocked).tolist():
        layer = min(row, column, height - 1 - row, width - 1 - column)
        top, left = row == layer, column == layer
        bottom, right = row == height - 1 - layer, column == width - 1 - layer
        towards[0, row, column] = (
            east if top and not right else south if right and not bottom else west if bottom and not left else north
        )
        towards[1, row, column] = (
            west if top and not left else south if left and not bottom else east if bottom and not right else north
        )
    return make_site("ring", blocked), towards.reshape(2, -1)


def stream(density: float, seconds: float, seed: int, both_ways: bool = False) -> tuple[Floor, float, float]:
    """People in a ring: the floor, and density (1/m^2) and speed (m/s) along its long sides in the second half."""
    site, towards = ring()
    rng = np.random.default_rng(seed)
    many = round(density * (~site.blocked).sum() * site.cell**2)
    at = site.centre(np.resize(rng.permutation(site.free_cells), many)) + rng.uniform(-0.34, 0.34, (many, 2))
    speed = rng.normal(1.34, 0.26, many).clip(0.6, 1.6)
    goal = rng.integers(0, 2, many) if both_ways else np.zeros(many, int)
    floor = settle(site, at, speed, goal, towards)
    low, high = 3 * site.cell, (site.width - 3) * site.cell
    counts, speeds = [], []
    for k in range(round(seconds / DT)):
        floor.walk.launch()
        if k * DT > seconds / 2 and k % 10 == 0:
            along = (floor.position[:, 0] > low) & (floor.position[:, 0] < high)
            counts.append(along.sum())
            speeds.append(np.abs(floor.velocity[along, 0]).mean())
    return floor, float(np.mean(counts)) / (2 * (high - low) * 2 * site.cell), float(np.mean(speeds))


def weidmann(density: float) -> float:
    """Speed of people on the level, m/s (Weidmann, Transporttechnik der Fussgaenger, ETH Zurich 1993, eq. 6)."""
    return 1.34 * (1.0 - np.exp(-1.913 * (1.0 / density - 1.0 / 5.4)))


@pytest.mark.parametrize("density", [0.5, 1.0, 2.0])
def test_speed_falls_with_density_as_weidmann_found(density: float) -> None:
    _, measured, speed = stream(density, 30.0, seed=0)
    assert speed == pytest.approx(weidmann(measured), rel=0.15)


def lanes(floor: Floor) -> float:
    """How much people keep to lanes: mean square of the share of each one's neighbours ahead and behind who walk his
    way, less those who do not (Rex and Loewen, Phys. Rev. E 75, 2007); 0 mixed, 1 in lanes."""
    along = np.flatnonzero((floor.position[:, 0] > 3.6) & (floor.position[:, 0] < 15.6) & (floor.position[:, 1] > 4.8))
    at, goal = floor.position[along], floor.crowd.goal.numpy()[0, along]
    order = []
    for k in range(len(along)):
        beside = (np.abs(at[:, 1] - at[k, 1]) < 0.3) & (np.arange(len(along)) != k)
        if beside.any():
            same = goal[beside] == goal[k]
            order.append((same.mean() - (~same).mean()) ** 2)
    return float(np.mean(order))


def test_people_who_walk_both_ways_sort_themselves_into_lanes() -> None:
    mixed, sorted_ = [], []
    for seed in range(4):
        site, towards = ring()
        rng = np.random.default_rng(seed)
        at = site.centre(np.resize(rng.permutation(site.free_cells), 60)) + rng.uniform(-0.34, 0.34, (60, 2))
        floor = settle(site, at, np.full(60, 1.3), np.arange(60) % 2, towards)
        for k in range(1500):
            if k == 10:
                mixed.append(lanes(floor))
            floor.walk.launch()
            if k > 1000 and k % 50 == 0:
                sorted_.append(lanes(floor))
    assert np.mean(sorted_) > np.mean(mixed) + 0.2


def test_two_people_who_meet_head_on_pass_without_touching() -> None:
    """Exactly head-on in an aisle of 2.4 m, and in one of 1.2 m where two bodies barely pass."""
    for aisle in (2, 1):
        site = make_site("aisle", np.zeros((aisle, 12), bool))
        towards = np.full((2, aisle, 12), 0, np.uint8)
        towards[1] = 4
        middle = aisle * site.cell / 2
        floor = settle(
            site,
            np.array([[2.0, middle], [12.0, middle]]),
            np.array([1.3, 1.3]),
            np.array([0, 1]),
            towards.reshape(2, -1),
        )
        nearest, seconds = 9.0, 0.0
        while floor.position[0, 0] < 11.0 or floor.position[1, 0] > 3.0:
            floor.walk.launch()
            nearest = min(nearest, float(np.hypot(*(floor.position[0] - floor.position[1]))))
            seconds += DT
            assert seconds < 14.0, (aisle, floor.position)
        assert nearest > 0.4  # two bodies of 0.2 m


def test_a_person_steers_around_a_standing_robot_that_leaves_room() -> None:
    site = make_site("hall", np.zeros((4, 12), bool))
    floor = settle(
        site,
        np.array([[2.0, 2.4]]),
        np.array([1.3]),
        np.zeros(1, int),
        np.full((1, site.blocked.size), 0, np.uint8),
        robots=1,
    )
    floor.pose.numpy()[0, :2] = 7.0, 2.42
    nearest = 9.0
    for _ in range(500):
        floor.walk.launch()
        nearest = min(nearest, float(np.hypot(*(floor.position[0] - (7.0, 2.42)))) - 0.65)
    assert floor.position[0, 0] > 11.0
    assert nearest >= 0.1 - 1e-5


def test_a_crowd_walks_around_forklifts(root: Path) -> None:
    """Six people and two trucks for two minutes: nobody steps nearer than 0.1 m to a truck, by the exact rectangle."""
    site = load_problem(str(root / "launch" / "sites" / "small_warehouse.yaml")).site
    world = World(site, RobotSpec(), 1, 6, crowd="social_force", forklifts=2, seed=3)
    size = np.array([world.truck.length, world.truck.width]) / 2

    def gaps(people: NDArray, trucks: NDArray) -> NDArray:
        offset = people[:, None] - trucks[None, :, :2]
        c, s = np.cos(trucks[:, 2]), np.sin(trucks[:, 2])
        local = np.stack([c * offset[..., 0] + s * offset[..., 1], c * offset[..., 1] - s * offset[..., 0]], -1)
        return np.linalg.norm(np.maximum(np.abs(local) - size, 0.0), axis=-1) - 0.25

    near = 0
    for _ in range(6000):
        trucks = world.traffic.trucks.pose.numpy()[0].astype(np.float64)
        before = world.traffic.people.position.numpy()[0].astype(np.float64)
        world.traffic.movers.walk.launch()
        after = world.traffic.people.position.numpy()[0].astype(np.float64)
        now, then = gaps(before, trucks), gaps(after, trucks)
        assert not ((then < 0.1 - 1e-4) & (then < now - 1e-5)).any()
        near += int((then < 0.5).sum())
        world.traffic.movers.drive.launch()
    assert near > 100


def sideways(
    before: NDArray[np.float64], after: NDArray[np.float64], robots: NDArray, speed: NDArray, turn: NDArray
) -> list[str]:
    """Steps within the danger distance of a robot that moves which do not lead away from it within 60 degrees."""
    wrong = []
    for start, end in zip(before, after, strict=True):
        step = np.linalg.norm(end - start)
        for robot, v, w in zip(robots, speed, turn, strict=True):
            away = start - robot
            distance = np.linalg.norm(away)
            near = distance - 0.65 < 1.0 + v + v**2 / 3.0 - 1e-4
            if step > 1e-5 and near and (v > 0.02 or abs(w) > 0.02) and (end - start) @ away < 0.48 * step * distance:
                wrong.append("moved sideways before a robot that moves")
    return wrong


def watched(profile: Profile, manners: Manners, site: Site, steps: int) -> tuple[list[str], float, set[int]]:
    """What the judge says of a crowd around robots that drive at random; metres walked, and what people did."""
    config = NavigateConfig(
        spec=RobotSpec(lidar=Lidar(rays=64)),
        people=4,
        profile=profile,
        crowd="social_force",
        manners=manners,
        randomization=vary(person_share=1.0),
    )
    wrong: list[str] = []
    walked = 0.0
    seen: set[int] = set()
    last: dict[str, NDArray] = {}

    def remember(env: BatchEnv) -> None:
        twist = env.state.twist.numpy().astype(np.float64)
        last["people"] = env.people.position.numpy().astype(np.float64)
        last["robots"] = env.state.pose.numpy()[:, :2].astype(np.float64)
        last["speed"], last["turn"] = np.hypot(twist[:, 0], twist[:, 2]), twist[:, 1].copy()
        last["episode"] = env.state.episode.numpy().copy()

    def look(env: BatchEnv) -> None:
        nonlocal walked
        people = env.people.position.numpy().astype(np.float64)
        there = env.people.origin.numpy() >= 0
        seen.update(np.unique(env.plant.crowd.conduct.numpy()[there]).tolist())
        for world in np.flatnonzero(env.state.episode.numpy() == last["episode"]):
            now, then = last["people"][world][there[world]], people[world][there[world]]
            walked += float(np.hypot(*(then - now).T).sum())
            state = [last[name][world : world + 1] for name in ("robots", "speed", "turn")]
            wrong.extend(violations(site, profile, now, then, *state))
            if profile == Profile.STILL:
                wrong.extend(sideways(now, then, *state))
        remember(env)

    env = BatchEnv(site, config, worlds=12, seed=4, threads=1, substep_hook=look)
    env.reset()
    rng = np.random.default_rng(0)
    for k in range(steps):
        if k % 10 == 0:
            action = rng.uniform(-1.0, 1.0, (env.rows, 2)).astype(np.float32)
            action[:, 0] = np.abs(action[:, 0])
            action[rng.random(env.rows) < 0.3] = 0.0  # some stand, so that people come near
        remember(env)
        env.step(action)
    return wrong, walked, seen


@pytest.mark.parametrize("profile", list(Profile))
def test_a_crowd_keeps_to_its_cells_and_its_profile(profile: Profile) -> None:
    site = generate_campus(7, blocks=(3, 3))
    assert site.person_free.any()
    wrong, walked, seen = watched(profile, replace(Manners(), crossing=1.0), site, steps=150)
    assert wrong == []
    assert walked > 100.0
    assert {int(Conduct.WALKING), int(Conduct.STANDING), int(Conduct.CROSSING)} <= seen


def test_the_judge_sees_people_who_run() -> None:
    """The same judge, and a crowd that breaks the contract: running is out of it, and bounded all the same."""
    site = generate_campus(7, blocks=(3, 3))
    wrong, _, seen = watched(Profile.STILL, Manners(running=1.0), site, steps=30)
    assert "faster than 1.6 m/s" in wrong
    assert int(Conduct.RUNNING) in seen
    assert int(Conduct.WALKING) not in seen
    assert Manners().bound == SPEED_HIGH
    assert Manners(running=0.1).bound == RUN_HIGH


def test_nobody_is_faster_than_the_bound_whatever_pushes() -> None:
    """Forces of 10^4 m/s^2 in random directions: speed and walls hold; without the clamp the judge would see it."""
    site = generate_warehouse(7)
    rng = np.random.default_rng(1)
    cells = rng.choice(np.flatnonzero(~(site.blocked | site.person_free)), 40, replace=False)
    towards = np.full((1, site.blocked.size), 0, np.uint8)
    floor = settle(site, site.centre(cells), rng.uniform(0.6, 1.6, 40), np.zeros(40, int), towards)
    _, step = floor.walk.launches
    nobody = np.zeros((0, 2))
    moved = 0.0
    for k in range(400):
        before = floor.position.astype(np.float64)
        floor.crowd.push.numpy()[0] = rng.normal(0.0, 1e4, (40, 2))
        if k % 2:
            floor.crowd.velocity.numpy()[0] = rng.normal(0.0, 50.0, (40, 2))
        step.launch()
        after = floor.position.astype(np.float64)
        moved += float(np.hypot(*(after - before).T).sum())
        assert violations(site, Profile.WALKING, before, after, nobody, np.zeros(0), np.zeros(0)) == []
        for x, y in after:  # the disc as well, not its centre alone
            for turn in np.linspace(0.0, 2 * np.pi, 9):
                cell = site.cell_at(np.array([x + 0.249 * np.cos(turn), y + 0.249 * np.sin(turn)]))
                assert cell >= 0
                assert not (site.blocked | site.person_free).reshape(-1)[cell]
    assert moved > 40.0


def test_people_held_up_in_a_dead_end_give_way() -> None:
    """One aisle, closed behind the person, a robot in front: it backs off and stands, and the robot can pass on."""
    site = make_site("aisle", np.zeros((1, 9), bool))
    towards = np.full((1, 9), 0, np.uint8)  # the only goal lies behind the robot
    floor = settle(site, np.array([[4.2, 0.6]]), np.array([1.0]), np.zeros(1, int), towards, robots=1)
    floor.pose.numpy()[0, :2] = 6.0, 0.6
    x, conduct, nearest = [], [], 9.0
    for _ in range(800):
        floor.walk.launch()
        nearest = min(nearest, float(np.hypot(*(floor.position[0] - (6.0, 0.6)))) - 0.65)
        x.append(float(floor.position[0, 0]))
        conduct.append(int(floor.crowd.conduct.numpy()[0, 0]))
    assert nearest >= 0.1 - 1e-5
    back = conduct.index(int(Conduct.GIVING_WAY))
    assert 1.0 / DT <= back <= 6.0 / DT
    stands = conduct.index(int(Conduct.STANDING), back)
    assert x[back] - x[stands] > 1.2
    assert np.ptp(x[stands + 100 : stands + 180]) < 5e-3  # m


def test_a_crowd_in_many_worlds_is_isolated_keyed_and_restorable() -> None:
    site = generate_campus(5, blocks=(2, 2))
    config = NavigateConfig(paths=256, people=3, crowd="social_force", profile=Profile.WALKING)
    rng = np.random.default_rng(0)
    moves = rng.uniform(-1.0, 1.0, (40, 9, 2)).astype(np.float32)
    few, many, thrown = (BatchEnv(site, config, worlds=n, seed=3, threads=1) for n in (3, 9, 9))
    for env in (few, many, thrown):
        env.reset()
    for k, action in enumerate(moves):
        if k == 20:
            saved = many.snapshot()
        if k == 10:
            thrown.backend.qpos.numpy()[[4, 7], 0] += 500.0
        few.step(action[:3])
        many.step(action)
        thrown.step(action)
    last = many.snapshot()
    others = np.delete(np.arange(9), [4, 7])
    for name, values in of_worlds(thrown.snapshot()).items():
        np.testing.assert_array_equal(values[others], last[name][others], err_msg=name)
    for name, values in of_worlds(few.snapshot()).items():
        np.testing.assert_array_equal(values, last[name][:3], err_msg=name)
    other = BatchEnv(site, config, worlds=9, seed=3, threads=2)
    other.restore(saved)
    for action in moves[20:]:
        other.step(action)
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, last[name], err_msg=name)
    assert np.abs(last["crowd.velocity"]).max() > 0.5
