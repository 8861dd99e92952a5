"""The shield and the corridor that a robot was granted: where its disc may be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from safety.shield import Reason
from sim.robot import RobotSpec

SPEC = RobotSpec()


def test_nothing_granted_means_no_way(scene: object) -> None:
    scene.inputs.corridor_count.numpy()[:] = 0
    scene.ask(0.5)
    assert scene.judge()[::2] == ((0.0, 0.0), Reason.NO_CORRIDOR)
    scene.ask(0.0)
    assert scene.judge()[2] is Reason.NONE  # standing needs no permission


def test_corridor_ends_before_the_robot_would(make_scene: Callable[..., object]) -> None:
    # from 1.0 m/s at full acceleration: 0.15 + 0.01125 + 1.15^2 / 3 = 0.6021 m; the end of the stop is at t = 0.9167 s
    error = SPEC.tracking_e0 + SPEC.tracking_e1 * (0.15 + 1.15 / 1.5) + 0.001
    need = 0.15 + 0.01125 + 1.15**2 / 3.0 + 0.40 + SPEC.localisation_bound + error
    for off, free in ((-0.003, False), (0.003, True)):
        scene = make_scene()
        scene.corridor([(-5.0, 0.0), (need + off - 1.0, 0.0)], 1.0)
        scene.ask(1.5, twist=(1.0, 0.0))
        assert (scene.judge()[2] is Reason.NONE) is free


@pytest.mark.parametrize(
    ("offset", "yaw", "free"),
    [(0.0, 0.0, True), (0.11, 0.0, True), (-0.11, 0.0, True), (0.09, 0.05, False), (-0.09, -0.05, False),
     (0.06, 0.05, True), (0.14, 0.01, False), (0.14, -0.01, True)],
)  # fmt: skip
def test_aisle_of_1_2_m_leaves_a_hand_to_each_side_at_full_speed(
    make_scene: Callable[..., object], offset: float, yaw: float, free: bool
) -> None:
    # 0.6 - 0.40 - 0.03 - (0.010 + 0.037 * 1.15 + 0.001) = 0.116 m at the end of the stop, 0.975 m ahead; a yaw of
    # 0.05 leads 0.049 m aside until there. Beyond it the robot may come back, not go further
    scene = make_scene()
    scene.corridor([(0.0, 0.0), (1.2, 0.0), (2.4, 0.0), (3.6, 0.0), (4.8, 0.0)], 0.6)
    scene.inputs.pose.numpy()[:] = (0.3, offset, yaw)
    scene.ask(1.5, twist=(1.5, 0.0))
    assert (scene.judge()[2] is Reason.NONE) is free


def test_robot_turns_on_the_spot_anywhere_inside_its_corridor(make_scene: Callable[..., object]) -> None:
    for x, y in ((0.0, 0.0), (0.1, 0.1), (0.1, -0.13), (1.25, 0.12)):
        scene = make_scene()
        scene.corridor([(0.0, 0.0), (1.2, 0.0)], 0.6)
        scene.inputs.pose.numpy()[:] = (x, y, 2.0)
        scene.ask(0.0, 1.5)
        assert scene.judge()[2] is Reason.NONE, (x, y)


def test_robot_drives_round_a_corner_through_the_centre_of_its_cell(make_scene: Callable[..., object]) -> None:
    scene = make_scene()
    scene.corridor([(0.0, 0.0), (1.2, 0.0), (2.4, 0.0), (2.4, 1.2), (2.4, 2.4)], 0.6)
    x, y, yaw, v, w = 0.0, 0.0, 0.0, 0.0, 0.0
    for _ in range(160):
        target = (2.4, 0.0) if x < 2.36 else (2.4, 2.4)
        error = np.arctan2(target[1] - y, target[0] - x) - yaw
        if np.hypot(target[0] - x, target[1] - y) < 0.05:
            break
        scene.inputs.pose.numpy()[:] = (x, y, yaw)
        last = tuple(scene.out.command.numpy()[0])
        scene.ask(0.0 if abs(error) > 0.3 else 1.0, float(np.clip(3.0 * error, -2.0, 2.0)), twist=(v, w))
        scene.inputs.last_command.numpy()[:] = last
        (cv, cw), _, _ = scene.judge()
        after_v = min(max(cv, v - 0.15), v + 0.10)
        after_w = min(max(cw, w - 0.4), w + 0.4)
        heading = yaw + 0.025 * (w + after_w)
        x += 0.05 * (v + after_v) * np.cos(heading)
        y += 0.05 * (v + after_v) * np.sin(heading)
        yaw += 0.05 * (w + after_w)
        v, w = after_v, after_w
    assert np.hypot(x - 2.4, y - 2.4) < 0.15


@pytest.mark.parametrize("y", [0.16, -0.16])
def test_policy_that_repeats_a_refused_advance_is_turned_along_its_corridor(
    make_scene: Callable[..., object], y: float
) -> None:
    scene = make_scene()
    scene.corridor([(0.0, 0.0), (1.2, 0.0), (2.4, 0.0), (3.6, 0.0)], 0.6)
    x, yaw, v, w = 0.3, 0.4 * np.sign(y), 0.0, 0.0  # at the edge of the free ground, looking out of it
    for cycle in range(60):
        scene.inputs.pose.numpy()[:] = (x, y, yaw)
        last = tuple(scene.out.command.numpy()[0])
        scene.ask(0.8, 0.0, twist=(v, w))
        scene.inputs.last_command.numpy()[:] = last
        (cv, cw), _, reason = scene.judge()
        if cycle == 0:
            assert reason is Reason.CORRIDOR
            assert cv == 0.0
            assert cw * y < 0.0  # inwards
        after_v = min(max(cv, v - 0.15), v + 0.10)
        after_w = min(max(cw, w - 0.4), w + 0.4)
        x += 0.05 * (v + after_v) * np.cos(yaw)
        y += 0.05 * (v + after_v) * np.sin(yaw)
        yaw += 0.05 * (w + after_w)
        v, w = after_v, after_w
        if x > 1.5:
            break
    assert x > 1.5


def test_robot_slightly_outside_comes_back_and_goes_no_further(make_scene: Callable[..., object]) -> None:
    for yaw, free in ((-0.6, True), (0.0, True), (0.6, False)):
        scene = make_scene()
        scene.corridor([(0.0, 0.0), (4.8, 0.0)], 0.6)
        scene.inputs.pose.numpy()[:] = (1.0, 0.22, yaw)  # 5 cm beyond 0.6 - 0.40 - 0.03
        scene.ask(0.3)
        assert (scene.judge()[2] is Reason.NONE) is free, yaw


def test_robot_carried_far_outside_releases_nothing(scene: object) -> None:
    scene.corridor([(0.0, 0.0), (4.8, 0.0)], 0.6)
    scene.inputs.pose.numpy()[:] = (1.0, 0.6, -1.5)
    scene.ask(0.3)
    assert scene.judge()[::2] == ((0.0, 0.0), Reason.CORRIDOR)


def test_corridor_narrower_than_the_robot_is_no_permission(scene: object) -> None:
    scene.corridor([(0.0, 0.0), (4.8, 0.0)], 0.39)
    scene.ask(0.3)
    assert scene.judge()[2] is Reason.CORRIDOR
