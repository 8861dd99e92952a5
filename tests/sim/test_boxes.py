from __future__ import annotations

import numpy as np
import pytest
import warp as wp

from sim.backend import BatchBackend
from sim.bodies.box import BOX_FRICTION, BOX_MASS, BOX_SIZE
from sim.bodies.parts import Body
from sim.boxes import spill
from sim.people import PARKED
from sim.robot import RobotSpec
from sim.scene import Scene, build_scene
from sim.site import make_site

SPEC = RobotSpec()
SITE = make_site("open", np.zeros((6, 10), bool))
BODIES: list[Body] = ["planar", "wheeled"]
BOXES = 4


def spilled(body: Body, worlds: int = 2) -> tuple[Scene, BatchBackend, np.ndarray]:
    """Three boxes in a row in front of the robot, 1, 3 and 5 m away, and one parked; boxes' coordinates by world."""
    scene = build_scene(SITE, SPEC, 1, 0, body, boxes=BOXES)
    backend = BatchBackend(scene.model, worlds, threads=1)
    places = np.zeros((worlds, BOXES, 3), np.float32)
    places[:, :, 0] = 3.0 + 2.0 * np.arange(BOXES)
    places[:, :, 1] = 3.0
    places[:, :, 2] = 0.4
    backend.qpos.numpy()[:, :2] = (2.0, 3.0)
    spill(
        scene,
        backend,
        wp.full(worlds, 1, dtype=wp.uint8, device="cpu"),
        wp.array(places, device="cpu"),
        wp.full(worlds, 3, dtype=wp.int32, device="cpu"),
    ).launch()
    return scene, backend, backend.qpos.numpy()[:, scene.qpos_stride :].reshape(worlds, BOXES, -1)


def asleep(backend: BatchBackend) -> np.ndarray:
    """Whether each tree (robot first, then boxes) sleeps, (worlds, trees)."""
    return np.stack([backend.batch.get_data(world).tree_asleep >= 0 for world in range(backend.worlds)])


@pytest.mark.parametrize("body", BODIES)
def test_boxes_lie_where_they_were_spilled_and_fall_asleep(body: Body) -> None:
    scene, backend, boxes = spilled(body)
    start = boxes.copy()
    backend.step(round(1.0 / scene.timestep))
    np.testing.assert_allclose(boxes[..., :2], start[..., :2], atol=1e-3)
    np.testing.assert_allclose(boxes[:, :3, 0], [[3.0, 5.0, 7.0]] * 2, atol=1e-3)
    np.testing.assert_allclose(boxes[:, 3, :2], [[PARKED, PARKED + 6.0]] * 2, atol=1e-3)
    if scene.falls:
        np.testing.assert_allclose(boxes[:, :, 2], BOX_SIZE[2] / 2, atol=2e-3)
    np.testing.assert_array_equal(asleep(backend), [[False, True, True, True, True]] * 2)


@pytest.mark.parametrize("body", BODIES)
def test_a_robot_wakes_the_box_that_it_pushes_and_no_other(body: Body) -> None:
    scene, backend, boxes = spilled(body)
    backend.step(round(1.0 / scene.timestep))
    start = boxes.copy()
    speed = 0.5 if body == "planar" else 0.5 / SPEC.drive.wheel_radius
    backend.ctrl.numpy()[0, : 1 if body == "planar" else 2] = speed  # in the first world alone
    backend.step(round(2.0 / scene.timestep))
    # the hull's front (0.32) reaches the box (about 0.24 before its middle) after 0.44 m, and goes on for 0.5 m
    assert boxes[0, 0, 0] - start[0, 0, 0] == pytest.approx(2.0 * 0.5 - 0.44, abs=0.15)
    np.testing.assert_array_equal(boxes[0, 1:], start[0, 1:])  # not a bit: they slept
    np.testing.assert_array_equal(boxes[1], start[1])
    np.testing.assert_array_equal(asleep(backend), [[False, False, True, True, True], [False, True, True, True, True]])
    column = 1  # the map, then the boxes
    found = backend.sensordata.numpy()[:, scene.contacts[0]] > 0.0
    assert found[0, column]
    assert not found[0, [0, 2, 3, 4]].any()
    assert not found[1].any()


def test_a_pushed_box_slides_to_rest_as_its_friction_says() -> None:
    scene, backend, boxes = spilled("planar")
    speed = 1.5
    first = scene.qvel_stride
    backend.qvel.numpy()[:, first] = speed
    start = boxes.copy()
    backend.step(round(1.5 / scene.timestep))
    way = speed**2 / (2 * BOX_FRICTION * 9.81)
    np.testing.assert_allclose(boxes[:, 0, 0] - start[:, 0, 0], way, rtol=0.1)
    assert scene.model.body("box0").mass[0] == pytest.approx(BOX_MASS)


@pytest.mark.parametrize("body", BODIES)
def test_spilling_wakes_boxes_in_the_masked_worlds_alone(body: Body) -> None:
    scene, backend, boxes = spilled(body)
    backend.step(round(1.0 / scene.timestep))
    start = backend.qpos.numpy().copy()
    places = np.full((2, BOXES, 3), 2.0, np.float32)
    places[:, :, 1] = 1.0 + np.arange(BOXES)
    mask = wp.array(np.array([0, 1], np.uint8), device="cpu")
    counts = wp.array(np.array([4, 1], np.int32), device="cpu")
    spill(scene, backend, mask, wp.array(places, device="cpu"), counts).launch()
    np.testing.assert_array_equal(backend.qpos.numpy()[0], start[0])
    np.testing.assert_allclose(boxes[1, :, 0], [2.0, PARKED, PARKED, PARKED])
    backend.step(1)
    np.testing.assert_array_equal(asleep(backend)[0, 1:], True)
    assert not asleep(backend)[1, 1]
