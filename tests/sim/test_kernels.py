"""The lidar against MuJoCo's own rays, and poses and contacts read from either body."""

from __future__ import annotations

import math
from pathlib import Path

import mujoco
import numpy as np
import pytest
import warp as wp

from sim.device import start_warp
from sim.fixtures import Fixtures
from sim.forklifts import ForkliftSpec
from sim.generate import generate_campus
from sim.lidar import make_boxes, sweep_lidar
from sim.rays import floor_arrays
from sim.readers import load_site
from sim.robot import Lidar, RobotSpec
from sim.scene import build_scene
from sim.sensors import SensorErrors
from sim.site import Site, make_site, with_fixtures
from sim.tasks.navigate_contract import ray_directions
from sim.truth import after_substep

start_warp()
SITES = Path(__file__).parents[2] / "launch" / "sites"
SPEC = RobotSpec(lidar=Lidar(rays=360, noise=0.0, dropout=0.0))
TRUCK = ForkliftSpec()


def sweep(
    site: Site,
    pose: np.ndarray,
    people: np.ndarray,
    *,
    robots: int,
    lidar: Lidar = SPEC.lidar,
    noise: float = 0.0,
    dropout: float = 0.0,
    step: int = 0,
    mask: np.ndarray | None = None,
    scan: np.ndarray | None = None,
    forklifts: np.ndarray | None = None,
) -> np.ndarray:
    """Scans (rows, rays) of rows at `pose` (rows, 3) among people (worlds, people, 2) and forklifts (worlds, n, 3)."""
    rows = len(pose)
    trucks = np.zeros((len(people), 0, 3)) if forklifts is None else forklifts
    boxes = make_boxes(wp.array(trucks.astype(np.float32), dtype=wp.float32), TRUCK.length, TRUCK.width)
    floor = floor_arrays(site, "cpu")
    errors = SensorErrors()
    errors.values = wp.array(np.tile(np.float32([noise, dropout]), (rows, 1)), dtype=wp.float32)
    errors.lidar_noise, errors.lidar_dropout = 0, 1
    out = wp.array(np.zeros((rows, lidar.rays), np.float32) if scan is None else scan, dtype=wp.float32)
    wp.launch(
        sweep_lidar,
        dim=rows,
        inputs=[
            wp.array(pose.astype(np.float32), dtype=wp.float32),
            ray_directions(lidar, "cpu"),
            floor.flags,
            floor.width,
            floor.height,
            floor.cell,
            floor.pod,
            wp.array(people.astype(np.float32), dtype=wp.float32),
            boxes,
            robots,
            SPEC.length / 2,
            SPEC.width / 2,
            lidar.range_max,
            errors,
            11,
            wp.zeros(rows, dtype=wp.int32),
            wp.full(rows, step, dtype=wp.int32),
            wp.array(np.ones(rows, np.uint8) if mask is None else mask, dtype=wp.uint8),
            out,
        ],
    )
    return out.numpy()


def mujoco_ranges(model: mujoco.MjModel, data: mujoco.MjData, robot: int, lidar: Lidar) -> np.ndarray:
    """The same sweep by mj_multiRay, the robot's own body left out."""
    body = model.body(f"robot{robot}").id
    yaw = data.qpos[3 * robot + 2]
    angle = yaw + lidar.angles().astype(np.float64)
    direction = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    geom = np.zeros(lidar.rays, np.int32)
    distance = np.zeros(lidar.rays)
    start = np.array([*data.qpos[3 * robot : 3 * robot + 2], 0.15])
    mujoco.mj_multiRay(
        model, data, start, direction.ravel(), None, True, body, geom, distance, None, lidar.rays, lidar.range_max
    )
    return np.where((distance < 0.0) | (distance > lidar.range_max), lidar.range_max, distance)


@pytest.mark.parametrize("name", ["campus", "small_warehouse", "two_halls"])
def test_the_lidar_agrees_with_mujoco_among_racks_robots_people_forklifts_pods_and_doors(name: str) -> None:
    site = generate_campus(3, blocks=(2, 2)) if name == "campus" else load_site(SITES / f"{name}.yaml")
    robots, people, forklifts = 5, 3, 2
    model = build_scene(site, SPEC, robots, people, forklifts=forklifts).model
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    differing = total = 0
    for _ in range(20):
        open_cells = np.flatnonzero(~site.filled)
        first = site.centre(rng.choice(open_cells))
        # all in the twelve nearest cells, so that robots and people are in sight
        near = open_cells[np.argsort(np.linalg.norm(site.centre(open_cells) - first, axis=1))[:12]]
        cells = rng.choice(near, robots + people + forklifts, replace=False)
        at = site.centre(cells) + rng.uniform(-0.15, 0.15, (len(cells), 2))
        pose = np.column_stack([at[:robots], rng.uniform(-math.pi, math.pi, robots)])
        data.qpos[:] = pose.ravel()
        data.mocap_pos[:, :2] = at[robots:]
        trucks = np.column_stack([at[robots + people :], rng.uniform(-math.pi, math.pi, forklifts)])
        data.mocap_quat[people:] = 0.0
        data.mocap_quat[people:, 0], data.mocap_quat[people:, 3] = np.cos(trucks[:, 2] / 2), np.sin(trucks[:, 2] / 2)
        mujoco.mj_forward(model, data)
        scan = sweep(site, pose, at[None, robots : robots + people], robots=robots, forklifts=trucks[None])
        for robot in range(robots):
            expected = mujoco_ranges(model, data, robot, SPEC.lidar)
            error = np.abs(scan[robot] - expected)
            away = trucks[:, :2] - pose[robot, :2]
            if (np.hypot(*away.T) < math.hypot(TRUCK.length, TRUCK.width) / 2).any():
                continue  # perhaps inside a forklift, where the engine sees its inside
            # a ray that grazes an edge may meet it in one and miss it in the other: all else is float32 rounding
            differing += int((error > 1e-4).sum())
            total += len(error)
    assert total > 10 * robots * 360
    assert differing <= total * 5e-4


def test_a_pod_is_met_where_its_box_stands_and_missed_beside_it() -> None:
    site = with_fixtures(
        make_site("pod", np.zeros((3, 5), bool), cell=1.0), Fixtures(pods=(7,), pod_size=(0.8, 0.6, 2))
    )
    lidar = Lidar(rays=4, range_max=10.0)
    at = np.array([[0.5, 1.5, 0.0], [2.5, 0.5, 0.0], [0.5, 1.85, 0.0]])  # the pod stands at 2.1 to 2.9, 1.2 to 1.8
    scan = sweep(site, at, np.zeros((3, 0, 2)), robots=1, lidar=lidar)
    np.testing.assert_allclose(scan[0], [0.5, 1.5, 1.6, 1.5], atol=1e-5)  # rays look west, south, east, north
    np.testing.assert_allclose(scan[1], [2.5, 0.5, 2.5, 0.7], atol=1e-5)
    np.testing.assert_allclose(scan[2], [0.5, 1.85, 4.5, 1.15], atol=1e-5)


def test_the_outer_wall_is_met_where_the_floor_ends() -> None:
    site = make_site("open", np.zeros((4, 6), bool), cell=1.0)
    lidar = Lidar(rays=4, range_max=10.0)
    scan = sweep(site, np.array([[2.0, 1.0, math.pi / 2]]), np.zeros((1, 0, 2)), robots=1, lidar=lidar)[0]
    # rays look at -pi, -pi/2, 0 and pi/2 from a heading of +y: down, east, up, west
    np.testing.assert_allclose(scan, [1.0, 4.0, 3.0, 2.0], atol=1e-5)


def test_nothing_in_reach_reads_the_full_range() -> None:
    site = make_site("open", np.zeros((30, 30), bool))
    lidar = Lidar(rays=8, range_max=5.0)
    scan = sweep(site, np.array([[18.0, 18.0, 0.3]]), np.array([[[18.0, 25.0]]]), robots=1, lidar=lidar)
    np.testing.assert_array_equal(scan, 5.0)


def test_noise_is_bounded_and_dropped_rays_read_nothing() -> None:
    site = make_site("open", np.zeros((3, 3), bool))
    pose = np.repeat([[1.8, 1.8, 0.2]], 200, axis=0)
    people = np.zeros((200, 0, 2))
    clean = sweep(site, pose, people, robots=1)
    noisy = sweep(site, pose, people, robots=1, noise=0.01)
    error = noisy - clean
    assert np.abs(error).max() <= 0.03 + 1e-6
    assert error.std() == pytest.approx(0.01, rel=0.05)
    dropped = sweep(site, pose, people, robots=1, dropout=0.1) == SPEC.lidar.range_max
    assert dropped.mean() == pytest.approx(0.1, abs=0.01)
    assert (sweep(site, pose, people, robots=1, noise=0.01, step=1) != noisy).any()
    usual = RobotSpec().lidar.dropout  # 360 of 72,000 rays: a standard deviation of 5 % of it
    lost = sweep(site, pose, people, robots=1, dropout=usual) == SPEC.lidar.range_max
    assert lost.mean() == pytest.approx(usual, rel=0.2)


def test_rows_outside_the_mask_keep_their_scan() -> None:
    site = make_site("open", np.zeros((3, 3), bool))
    before = np.full((2, 360), 7.5, np.float32)
    scan = sweep(
        site,
        np.array([[1.8, 1.8, 0.0]] * 2),
        np.zeros((2, 0, 2)),
        robots=1,
        mask=np.array([0, 1], np.uint8),
        scan=before,
    )
    np.testing.assert_array_equal(scan[0], 7.5)
    assert (scan[1] < 3.0).all()


class Substeps:
    """Contacts of rows that stand alone in their worlds, fed with what the sensors found.

    After the substep everybody is fast: who is judged by that, and not by the speed before it, collides.
    """

    def __init__(self, rows: int, counterparts: int) -> None:
        self.sensordata = wp.zeros((rows, counterparts), dtype=wp.float64)
        self.contacts = wp.array(np.arange(counterparts)[None, ::-1].copy(), dtype=wp.int32)  # in any order
        self.qpos, self.qvel = wp.zeros((rows, 3), dtype=wp.float64), wp.full((rows, 3), 5.0, dtype=wp.float64)
        self.pose, self.twist = wp.zeros((rows, 3), dtype=wp.float32), wp.zeros((rows, 3), dtype=wp.float32)
        self.touching = wp.zeros((rows, counterparts), dtype=wp.uint8)
        self.collided, self.bumped = wp.zeros(rows, dtype=wp.uint8), wp.zeros(rows, dtype=wp.uint8)

    def step(self, found: list[list[int]], speed: list[float], rate: list[float]) -> tuple[list[int], list[int]]:
        """Who collided and who was bumped, by row; `found` (rows, counterparts)."""
        self.sensordata.numpy()[:, ::-1] = found
        self.twist.numpy()[:, 0], self.twist.numpy()[:, 1], self.twist.numpy()[:, 2] = speed, rate, 0.0
        self.collided.zero_()
        self.bumped.zero_()
        wp.launch(
            after_substep,
            dim=len(found),
            inputs=[
                self.sensordata, self.qpos, self.qvel, 1, 3, 3, self.contacts, 0.02, self.pose, self.twist,
                self.touching, self.collided, self.bumped,
            ],
        )  # fmt: skip
        assert (self.twist.numpy()[:, 0] == 5.0).all()
        return self.collided.numpy().tolist(), self.bumped.numpy().tolist()


def test_a_contact_counts_by_the_speed_at_its_first_substep() -> None:
    """Found, and moving: a collision, once however long it lasts. Found at rest: a bump, also when it moves on."""
    rows, none = Substeps(4, 1), ([0] * 4, [0] * 4)
    began = rows.step([[0], [1], [1], [1]], [1.0, 0.03, 0.0, 0.02], [0.0, 0.0, -0.03, 0.02])
    assert began == ([0, 1, 1, 0], [0, 0, 0, 1])
    assert rows.step([[0], [1], [1], [1]], [1.0] * 4, [0.0] * 4) == none
    assert rows.step([[0], [0], [1], [0]], [1.0] * 4, [0.0] * 4) == none
    assert rows.step([[1]] * 4, [1.0, 1.0, 1.0, 0.0], [0.0] * 4) == ([1, 1, 0, 0], [0, 0, 0, 1])


def test_a_contact_that_begins_during_another_has_a_first_substep_of_its_own() -> None:
    """Counterparts are the map and two people: each pair is a contact."""
    rows = Substeps(2, 3)
    assert rows.step([[0, 1, 0], [0, 1, 0]], [0.0, 0.0], [0.0, 0.0]) == ([0, 0], [1, 1])  # a person walks into both
    assert rows.step([[0, 1, 0], [0, 1, 0]], [0.3, 0.3], [0.0, 0.0]) == ([0, 0], [0, 0])  # they drive on
    assert rows.step([[1, 1, 0], [0, 1, 1]], [0.3, 0.3], [0.0, 0.0]) == ([1, 1], [0, 0])  # into a rack, a person
    assert rows.step([[1, 0, 0], [0, 1, 1]], [0.3, 0.3], [0.0, 0.0]) == ([0, 0], [0, 0])
    assert rows.step([[1, 1, 0], [1, 1, 1]], [0.0, 0.0], [0.0, 0.0]) == ([0, 0], [1, 1])
