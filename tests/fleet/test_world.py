import json
import time
from pathlib import Path

import numpy as np
import pytest

from fleet.placement import start_cells, start_yaws
from fleet.warm import compiled_modules
from fleet.world import World, warm
from sim.encoders import turn_wheels
from sim.fixtures import Door, DoorState, Fixtures
from sim.forklifts import ForkliftError
from sim.generate import generate_warehouse
from sim.launches import Nothing
from sim.people import PERSON_RADIUS, Profile
from sim.readers import load_problem
from sim.robot import Lidar, RobotSpec
from sim.site import Site, SiteError, declare_person_free, make_site, with_fixtures

SPEC = RobotSpec()


def hall(width: int = 12, height: int = 5) -> Site:
    return make_site("hall", np.zeros((height, width), bool), stations=[0])


def drive(world: World, v: float, w: float, rounds: int) -> None:
    for _ in range(rounds):
        world.command(np.tile(np.array([v, w], np.float32), (world.robots, 1)))
        world.step()


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_a_commanded_robot_drives_where_it_looks(body: str) -> None:
    world = World(hall(), SPEC, 1, starts=np.array([25]), seed=3, body=body)
    x, y, yaw = world.poses[0].tolist()
    drive(world, 0.3, 0.0, 20)
    moved = world.poses[0, :2] - (x, y)
    # 2 s at 0.3 m/s less the start: 20 ms of latency, 15 ms of lag and 0.3 s / 2 of acceleration at 1 m/s^2
    assert np.dot(moved, (np.cos(yaw), np.sin(yaw))) == pytest.approx(0.3 * (2.0 - 0.035 - 0.15), abs=0.03)
    assert world.stamp == 2_000_000_000
    reading = world.readings(0)
    assert reading.stamp == world.stamp
    assert np.hypot(*(reading.pose[:2] - world.poses[0, :2])) <= SPEC.localisation_bound
    assert reading.twist[0] == pytest.approx(0.3, abs=0.05)
    assert reading.scan.shape == (360,)


def test_driving_into_a_wall_is_seen_by_both_witnesses_once() -> None:
    site = make_site("aisle", np.zeros((1, 3), bool))
    world = World(site, SPEC, 1, starts=np.array([1]), seed=0)
    drive(world, 0.5, 0.0, 60)
    assert (world.physics.collisions, world.oracle.collisions) == (1, 1)
    assert world.physics.contacts[0].speed == pytest.approx(0.5, abs=0.02)
    assert world.readings(0).bumper


def gated(state: DoorState = DoorState.AUTOMATIC) -> Site:
    """A lane of ten cells with a door in the sixth (x 6.0 to 7.2) and a pod at its end, nobody else on it."""
    fixtures = Fixtures(doors=(Door("gate", (5,), 1.0, state),), pods=(9,), pod_size=(0.8, 0.8, 2.0))
    return with_fixtures(declare_person_free(make_site("lane", np.zeros((1, 10), bool))), fixtures)


def facing_east(site: Site, x: float) -> World:
    world = World(site, RobotSpec(lidar=Lidar(noise=0.0, dropout=0.0)), 1, starts=np.array([1]), seed=0)
    world.data.qpos[:3] = x, 0.6, 0.0
    world.observe_bodies()
    return world


def test_a_door_opens_for_a_robot_before_it_and_its_lidar_sees_that() -> None:
    world = facing_east(gated(), 4.0)
    ahead = []
    for _ in range(15):
        drive(world, 0.0, 0.0, 1)
        ahead.append(float(world.readings(0).scan[180]))  # the ray along +x
    opened = int(np.argmax(np.array(world.history.doors)[:, 0]))
    assert opened == 10  # 1.0 s of 0.1 s periods, the record's first entry is the start
    np.testing.assert_allclose(ahead[: opened - 1], 2.0, atol=1e-3)
    np.testing.assert_allclose(ahead[opened - 1 :], 11.0 - 4.0, atol=1e-3)  # the pod
    drive(world, 0.8, 0.0, 60)
    assert world.poses[0, 0] > 8.0
    assert world.physics.contacts == world.oracle.contacts == []
    drive(world, 0.8, 0.0, 40)  # on into the pod, seen by both
    assert (world.physics.collisions, world.oracle.collisions) == (1, 1)
    assert world.poses[0, 0] + SPEC.length / 2 == pytest.approx(11.0, abs=0.03)


@pytest.mark.parametrize("state", [DoorState.AUTOMATIC, DoorState.SHUT])
def test_a_shut_door_is_hit_by_who_drives_into_it_and_both_witnesses_say_so(state: DoorState) -> None:
    world = facing_east(gated(state), 5.4)
    drive(world, 1.0, 0.0, 9)  # the door needs ten
    assert (world.physics.collisions, world.oracle.collisions) == (1, 1)
    assert world.poses[0, 0] + SPEC.length / 2 == pytest.approx(6.0, abs=0.03)


def test_people_stay_out_of_a_shut_door_and_nobody_starts_in_one() -> None:
    blocked = np.zeros((3, 5), bool)
    blocked[:, 2] = True
    blocked[1, 2] = False
    site = with_fixtures(make_site("two rooms", blocked), Fixtures(doors=(Door("d", (7,), 1.0, DoorState.SHUT),)))
    for seed in range(6):
        assert 7 not in start_cells(site, 6, seed)
    world = World(site, SPEC, 1, 3, starts=np.array([0]), seed=2, profile=Profile.WALKING)
    for _ in range(200):
        world.step()
    cells = site.cell_at(np.array(world.history.walkers).reshape(-1, 2))
    assert 7 not in cells


def test_witnesses_agree_on_every_contact_of_a_reckless_fleet() -> None:
    world = World(generate_warehouse(7), SPEC, 16, 6, seed=3)
    draws = np.random.default_rng(0)
    for number in range(120):
        if number % 10 == 0:
            world.command(draws.uniform((0.0, -1.0), (0.8, 1.0), (16, 2)))
        world.step()
    seen = {(contact.step, contact.robot, contact.other) for contact in world.physics.contacts}
    assert seen == {(contact.step, contact.robot, contact.other) for contact in world.oracle.contacts}
    assert world.physics.collisions == world.oracle.collisions > 10


def test_a_wrong_collision_mask_is_found_out_by_the_oracle() -> None:
    world = World(make_site("aisle", np.zeros((1, 3), bool)), SPEC, 1, starts=np.array([1]), seed=0)
    world.model.geom_contype[:] = 0
    world.model.geom_conaffinity[:] = 0
    drive(world, 0.5, 0.0, 40)
    assert world.physics.collisions == 0
    assert world.oracle.collisions == 1


def test_a_person_who_walks_into_a_standing_robot_is_no_collision() -> None:
    world = World(hall(), SPEC, 1, 1, starts=np.array([30]), seed=1)
    # Put the person beside the robot and push them in: what the walking profile's own rule would not do.
    world.traffic.movers.step = Nothing()
    for share in np.linspace(1.0, 0.3, 40):
        world.data.mocap_pos[0, :2] = world.poses[0, :2] + (share, 0.0)
        world.step()
    for tally in (world.physics, world.oracle):
        assert (tally.collisions, tally.person_contacts) == (0, 1)


class Leaning:
    """Stands in for the people: the only one leans a centimetre into the robot's back, wherever it is."""

    def __init__(self, world: World) -> None:
        self.world = world

    def launch(self) -> None:
        x, y, yaw = self.world.poses[0].tolist()
        behind = SPEC.length / 2 + PERSON_RADIUS - 0.01
        self.world.data.mocap_pos[0, :2] = x - behind * np.cos(yaw), y - behind * np.sin(yaw)


def test_a_wall_driven_into_while_a_person_leans_on_the_robot_is_a_collision_by_both_counts() -> None:
    world = World(make_site("hall", np.zeros((3, 4), bool)), SPEC, 1, 1, starts=np.array([5]), seed=0)
    world.traffic.movers.step = Leaning(world)
    drive(world, 0.0, 0.0, 2)
    for tally in (world.physics, world.oracle):
        assert (tally.collisions, tally.person_contacts) == (0, 1)
    for _ in range(80):
        drive(world, 0.5, 0.0, 1)
        if world.physics.collisions:
            break
    for tally in (world.physics, world.oracle):
        assert (tally.collisions, tally.person_contacts) == (1, 1)
        assert [contact.other for contact in tally.contacts] == [2, 0]  # the person, then the map


def test_people_walk_and_stay_off_person_free_cells() -> None:
    site = generate_warehouse(7)
    world = World(site, SPEC, 1, 6, profile=Profile.WALKING, seed=2)
    drive(world, 0.0, 0.0, 200)
    people = np.array(world.history.walkers)
    assert (np.hypot(*(people[-1] - people[0]).T) > 0.5).sum() >= 4
    cells = site.cell_at(people)
    assert (cells >= 0).all()
    assert not (site.blocked | site.person_free).reshape(-1)[cells].any()


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for seed in (5, 5, 6):
        world = World(generate_warehouse(7), SPEC, 4, 3, seed=seed)
        drive(world, 0.2, 0.3, 30)
        runs.append(
            np.concatenate([world.poses.ravel(), world.readings(2).scan, np.array(world.history.walkers).ravel()])
        )
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


def test_starts_are_given_then_drawn_apart_and_off_the_stations() -> None:
    site = generate_warehouse(7)
    cells = start_cells(site, 40, 3, np.array([40, 41], np.int32))
    assert cells[:2].tolist() == [40, 41]
    assert len(set(cells.tolist())) == 40
    assert not site.blocked.reshape(-1)[cells].any()
    assert not np.isin(cells[2:], np.concatenate([site.stations, site.chargers])).any()


def test_drawn_starts_are_connected_with_the_stations() -> None:
    blocked = np.zeros((3, 9), bool)
    blocked[:, 4] = True
    site = make_site("two halls", blocked, stations=[8])
    assert (start_cells(site, 12, 0) % 9 > 4).all()


def test_more_robots_than_free_cells_are_refused() -> None:
    with pytest.raises(SiteError, match=r"at most 60 robots, one for each free cell of hall .* got 61"):
        World(hall(), SPEC, 61)


def test_a_blocked_or_repeated_start_is_refused() -> None:
    with pytest.raises(SiteError, match="got cell 3 for robot 1"):
        start_cells(hall(), 2, 0, np.array([3, 3], np.int32))


def test_more_people_than_cells_for_them_are_refused() -> None:
    with pytest.raises(SiteError, match=r"room for 2 people .* got 0 cells"):
        World(declare_person_free(hall()), SPEC, 1, 2)


def test_robots_look_along_a_move_that_their_cell_allows() -> None:
    site = make_site("aisle", np.zeros((1, 3), bool))
    assert start_yaws(site, np.array([0, 2]), 0).tolist() == pytest.approx([0.0, np.pi])


def test_the_record_is_written_whole(tmp_path: Path) -> None:
    world = World(hall(), SPEC, 2, 1, seed=1)
    drive(world, 0.1, 0.0, 5)
    world.write(tmp_path, ("r0", "r1"), ended="by the test")
    summary = json.loads((tmp_path / "plant.json").read_text())
    assert summary["sim_seconds"] == pytest.approx(0.5)
    assert summary["ended"] == "by the test"
    with np.load(tmp_path / "plant.npz") as trace:
        assert trace["poses"].shape == (6, 2, 3)
        assert trace["people"].shape == (6, 1, 2)
        assert trace["stamps"].tolist() == [k * 100_000_000 for k in range(6)]


def test_a_charger_fills_the_battery_and_driving_empties_it() -> None:
    site = make_site("hall", np.zeros((3, 12), bool), chargers=[0])
    world = World(site, SPEC, 2, starts=np.array([0, 13]), seed=0)
    world.battery[:] = 0.5
    drive(world, 0.0, 0.0, 10)
    # 1 s: 20 A in; 60 W out of 16 cells of 3.295 V at 0.08 ohm are 1.1401 A; both of 20 Ah
    assert world.battery.tolist() == pytest.approx([0.5 + 20.0 / 72000, 0.5 - 1.1401 / 72000], abs=1e-9)


def test_a_round_of_the_demos_fleet_costs_far_less_than_ten_milliseconds() -> None:
    world = World(generate_warehouse(7), SPEC, 16, 6, seed=3)
    drive(world, 0.0, 0.0, 5)
    begun = time.process_time()
    drive(world, 0.1, 0.1, 50)
    assert (time.process_time() - begun) / 50 < 0.010


def test_forklifts_drive_among_robots_are_seen_and_counted_by_both_witnesses(root: Path) -> None:
    """A robot drives into a truck's side: one collision with something solid, by both counts."""
    site = load_problem(str(root / "launch" / "sites" / "small_warehouse.yaml")).site
    world = World(site, RobotSpec(), 2, people=1, crowd="social_force", forklifts=2, seed=3)
    there = world.traffic.trucks.place.numpy()[0] >= 0
    assert there.all()
    start = world.traffic.trucks.pose.numpy()[0].copy()
    for _ in range(150):
        world.step()
    moved = np.hypot(*(world.traffic.trucks.pose.numpy()[0] - start)[:, :2].T)
    assert moved.max() > 3.0
    # by a truck's side, driving at it
    world.traffic.trucks.pause.numpy()[:] = 100.0
    world.traffic.trucks.speed.numpy()[:] = 0.0
    x, y, yaw = world.traffic.trucks.pose.numpy()[0, 0].astype(np.float64)
    side = np.array([-np.sin(yaw), np.cos(yaw)])
    world.data.qpos[:3] = x + 1.5 * side[0], y + 1.5 * side[1], yaw - np.pi / 2
    world.data.qvel[:3] = 0.0
    before = world.physics.collisions
    world.observe_bodies()
    world.perception.begin()
    ahead = world.readings(0).scan[180]
    assert ahead == pytest.approx(1.5 - 1.05 / 2, abs=0.06)
    for _ in range(30):
        world.command(np.array([[0.6, 0.0], [0.0, 0.0]]))
        world.step()
    assert world.physics.collisions == world.oracle.collisions == before + 1
    assert not world.physics.contacts[-1].person
    assert world.summary(("r0", "r1"))["forklifts"] == 2


def test_forklifts_that_the_profile_does_not_cover_are_refused() -> None:
    with pytest.raises(ForkliftError, match="got V = 0"):
        World(make_site("hall", np.zeros((9, 9), bool)), RobotSpec(), 1, forklifts=1, profile=Profile.STILL)


def test_generic_kernels_of_sensors_are_compiled_before_processes_start() -> None:
    """A module's load compiles no generic kernel: the plant would stall for them on a machine's first launch."""
    assert "fleet.world" in compiled_modules()
    warm()
    assert turn_wheels.is_generic
    assert turn_wheels.overloads
