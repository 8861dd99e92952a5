from __future__ import annotations

import mujoco
import numpy as np
import pytest
import warp as wp

from sim.bodies import specs
from sim.bodies.parts import Body
from sim.boxes import spill
from sim.fixtures import Fixtures
from sim.loads import Loads, Shelf
from sim.plant import Plant
from sim.podkernels import LIFT_TIME
from sim.robot import Lidar, RobotSpec
from sim.site import make_site, with_fixtures

SPEC = RobotSpec(lidar=Lidar(noise=0.0, dropout=0.0))
POD = 4 * 12 + 5
SITE = with_fixtures(make_site("pods", np.zeros((8, 12), bool)), Fixtures(pods=(POD, 4 * 12 + 9)))
AT = SITE.centre(POD)
WORLDS = 2
BODIES: list[Body] = ["planar", "wheeled"]


def make(body: Body = "planar", robots: int = 2) -> Plant:
    """Robot 0 a metre and a half to the left of the first pod, robot 1 above it; three boxes spilled, one parked."""
    loads = Loads(movable_pods=True, boxes=4)
    plant = Plant(SITE, SPEC, worlds=WORLDS, robots=robots, body=body, loads=loads, threads=1)
    begin(plant)
    places = np.zeros((WORLDS, 4, 3), np.float32)
    places[:, :, 0] = AT[0] - 1.0 + np.arange(4)
    places[:, :, 1] = 1.6
    places[:, :, 2] = 0.5 * np.arange(4)
    spill(
        plant.scene,
        plant.backend,
        wp.full(WORLDS, 1, dtype=wp.uint8, device="cpu"),
        wp.array(places, device="cpu"),
        wp.full(WORLDS, 3, dtype=wp.int32, device="cpu"),
    ).launch()
    return plant


def begin(plant: Plant, rows: np.ndarray | None = None) -> None:
    """The next episode of some rows, at the places of `make`."""
    mask = plant.all_rows if rows is None else wp.array(rows.astype(np.uint8), device="cpu")
    plant.renew(mask).launch()
    pose = plant.state.pose.numpy().reshape(WORLDS, plant.robots, 3)
    pose[:, 0] = (*(AT - np.array([1.5, 0.0])), 0.0)
    pose[:, 1:] = (*(AT + np.array([0.0, 2.0])), 0.0)
    plant.place(mask).launch()
    plant.read()


def drive(plant: Plant, seconds: float, v: float) -> None:
    for _ in range(round(seconds / 0.1)):
        for command in (plant.drive.before, plant.drive.released):  # nothing is late
            command.numpy().reshape(WORLDS, plant.robots, 2)[:, 0] = (v, 0.0)
        plant.move()


def sense(plant: Plant) -> np.ndarray:
    for launch in plant.sense(plant.all_rows):
        launch.launch()
    return plant.state.scan.numpy().reshape(WORLDS, plant.robots, -1).copy()


def engine_ranges(plant: Plant, world: int, robot: int, blind: tuple[str, ...] = ()) -> np.ndarray:
    """The same sweep by mj_multiRay 0.1 m above the floor, own body and `blind` bodies left out."""
    model = plant.scene.model
    data = mujoco.MjData(model)
    data.qpos[:] = plant.backend.qpos.numpy()[world]
    mujoco.mj_forward(model, data)
    group = model.geom_group.copy()
    for name in blind:
        model.geom_group[model.geom_bodyid == model.body(name).id] = 5
    seen = np.array([1, 1, 1, 1, 1, 0], np.uint8)
    rays, far = SPEC.lidar.rays, SPEC.lidar.range_max
    x, y, yaw = plant.state.pose.numpy()[world * plant.robots + robot]
    angles = SPEC.lidar.angles() + yaw
    directions = np.stack([np.cos(angles), np.sin(angles), np.zeros(rays)], axis=-1).reshape(-1).astype(np.float64)
    distance, geom = np.zeros(rays), np.zeros(rays, np.int32)
    body = model.body(f"robot{robot}").id
    mujoco.mj_multiRay(
        model, data, np.array([x, y, 0.1]), directions, seen, 1, body, geom, distance, None, rays, far
    )  # fmt: skip
    model.geom_group[:] = group
    return np.where((distance < 0.0) | (distance > far), far, distance)


def test_the_lidar_sees_legs_and_boxes_as_the_engine_does() -> None:
    plant = make()
    plant.move()
    scan = sense(plant)
    for world in range(WORLDS):
        for robot in range(2):
            truth = engine_ranges(plant, world, robot)
            close = np.abs(scan[world, robot] - truth) < 1e-3
            assert close.mean() > 0.99  # a ray may graze an edge
    assert (scan[0, 0, 150:210] < 1.2).sum() >= 4  # two legs, 1 m ahead and half a metre to either side
    plant.backend.qpos.numpy()[:, 6 + 6 :] = -20.0  # without the boxes (and nobody told the legs)
    assert (sense(plant) != scan).any()


@pytest.mark.parametrize("body", BODIES)
def test_a_plant_lifts_carries_and_begins_anew(body: Body) -> None:
    plant = make(body)
    assert plant.pods is not None
    drive(plant, 2.5, 0.6)
    drive(plant, 0.6, 0.0)
    away = plant.state.pose.numpy().reshape(WORLDS, 2, 3)[:, 0, :2] - AT
    backend = plant.backend.qpos.numpy()
    backend[:, :2] -= away  # the last centimetres of a docking skill
    plant.read()
    plant.pods.state.wanted.numpy().reshape(WORLDS, 2)[0, 0] = 1  # in the first world alone
    drive(plant, LIFT_TIME + 0.2, 0.0)
    np.testing.assert_array_equal(plant.pods.carried(), [[0, -1], [-1, -1]])
    drive(plant, 2.0, 0.5)
    pod = plant.backend.qpos.numpy()[:, 2 * plant.scene.qpos_stride :][:, :2]
    assert pod[0, 0] - AT[0] == pytest.approx(plant.state.pose.numpy()[0, 0] - AT[0], abs=0.005)
    assert pod[0, 0] - AT[0] > 0.6
    np.testing.assert_allclose(pod[1], AT, atol=1e-3)
    assert not plant.state.collided.numpy().any()
    scan = sense(plant)[0, 0]
    wheels = () if body == "planar" else ("left0", "right0")
    truth = engine_ranges(plant, 0, 0, blind=("pod0", *wheels))  # its own legs it does not see
    assert (np.abs(scan - truth) < 5e-3).mean() > 0.99
    begin(plant, np.array([0, 1, 0, 0]))  # another robot of the first world
    np.testing.assert_array_equal(plant.pods.carried(), [[0, -1], [-1, -1]])
    begin(plant, np.array([1, 1, 0, 0]))
    np.testing.assert_array_equal(plant.pods.carried(), -1)
    np.testing.assert_allclose(plant.backend.qpos.numpy()[0, 2 * plant.scene.qpos_stride :][:2], AT, atol=1e-6)


def test_a_carried_pod_that_drives_into_something_is_a_collision() -> None:
    plant = make()
    assert plant.pods is not None
    pose = plant.backend.qpos.numpy()
    pose[:, :2] = AT
    plant.read()
    plant.pods.state.wanted.numpy().reshape(WORLDS, 2)[:, 0] = 1
    drive(plant, 0.3, 0.0)
    hit = np.zeros(WORLDS, bool)
    for _ in range(60):  # the other pod stands 4.8 m ahead
        plant.state.collided.zero_()
        drive(plant, 0.1, 1.0)
        hit |= plant.state.collided.numpy().reshape(WORLDS, 2)[:, 0] > 0
        if hit.all():
            break
    assert hit.all()
    gap = 9 * 1.2 + 0.6 - plant.state.pose.numpy().reshape(WORLDS, 2, 3)[:, 0, 0]
    np.testing.assert_allclose(gap, 1.0, atol=0.12)  # deck to deck, far outside of the robot's own hull


def test_state_of_loads_is_part_of_what_a_plant_names() -> None:
    plant = make()
    assert {"pods.carried", "pods.carrier", "pods.raised"} <= set(plant.arrays())
    assert not [name for name in Plant(SITE, SPEC, worlds=1).arrays() if name.startswith("pods")]


def test_a_heavy_robot_has_drives_to_match() -> None:
    spec = specs.forklift()
    plant = Plant(make_site("open", np.zeros((8, 12), bool)), spec, worlds=4)
    plant.renew(plant.all_rows).launch()  # with payloads of up to a tonne
    plant.state.pose.numpy()[:] = (3.0, 4.0, 0.0)
    plant.place(plant.all_rows).launch()
    plant.drive.latency.zero_()
    for _ in range(15):
        for command in (plant.drive.before, plant.drive.released):
            command.numpy()[:] = (0.6, 0.0)
        plant.move()
    np.testing.assert_allclose(plant.state.twist.numpy()[:, 0], 0.6, atol=0.02)


def test_a_manipulator_stands_before_its_shelf() -> None:
    shelf = Shelf(at=(AT[0] + 0.8, AT[1], 0.0))
    plant = Plant(
        make_site("open", np.zeros((8, 12), bool)), specs.mobile_manipulator(), worlds=1, loads=Loads(shelves=(shelf,))
    )
    assert plant.scene.items == 1
    assert plant.substeps == 4
    plant.renew(plant.all_rows).launch()
    plant.state.pose.numpy()[0] = (*AT, 0.0)
    plant.place(plant.all_rows).launch()
    for _ in range(10):
        plant.move()
    assert not plant.state.touching.numpy().any()
    item = plant.backend.qpos.numpy()[0, plant.scene.qpos_stride :]
    np.testing.assert_allclose(item[:3], (AT[0] + 0.8, AT[1], shelf.height + 0.03), atol=2e-3)
