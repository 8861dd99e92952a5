"""Where a scan fits the map: an analytic scan gives back what was wrong; what is in no map counts for nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fleet.guards.walls import BEYOND_AT, BIAS_AT, ROUGH_AT, UNSURE, WALL, X_AT, YAW_AT, Walls, wall_flags
from sim.fixtures import Door, DoorState, Fixtures
from sim.robot import Lidar, RobotSpec
from sim.site import Site, make_site

RAYS = 64
SPEC = RobotSpec(lidar=Lidar(rays=RAYS))
HIGH, WIDE = 4, 5
"""Free cells of the room."""


def room() -> Site:
    """Four by five free cells within walls of one cell."""
    blocked = np.ones((HIGH + 2, WIDE + 2), bool)
    blocked[1:-1, 1:-1] = False
    return make_site("room", blocked)


def seen(pose: tuple[float, float, float], offset: float = 0.0, rays: int = RAYS) -> np.ndarray:
    """The room's scan, (1, rays), by the distances to its four planes."""
    x, y, yaw = pose
    angle = yaw - math.pi + 2.0 * math.pi * np.arange(rays) / rays
    c, s = np.cos(angle), np.sin(angle)
    low, right, top = 1.2, 1.2 * (WIDE + 1), 1.2 * (HIGH + 1)
    across = np.where(c > 0, right - x, low - x) / np.where(np.abs(c) < 1e-12, 1e-12, c)
    along = np.where(s > 0, top - y, low - y) / np.where(np.abs(s) < 1e-12, 1e-12, s)
    return (np.minimum(across, along) + offset).astype(np.float32)[None]


TRUE = (3.1, 2.9, 0.4)


def fit(scan: np.ndarray, pose: tuple[float, float, float] = TRUE, site: Site | None = None) -> np.ndarray:
    return Walls(site or room(), SPEC).fit(scan, np.array([pose], np.float32))[0]


def test_a_true_pose_fits() -> None:
    assert np.abs(fit(seen(TRUE))).max() < 2e-4


@pytest.mark.parametrize("wrong", [(0.05, 0.0, 0.0), (-0.03, 0.04, 0.0), (0.0, 0.0, 0.02), (0.02, -0.03, -0.01)])
def test_the_fit_tells_how_far_the_pose_is_off(wrong: tuple[float, float, float]) -> None:
    x, y, yaw = (a + b for a, b in zip(TRUE, wrong, strict=True))
    found = fit(seen(TRUE), (x, y, yaw))
    np.testing.assert_allclose(found[X_AT : YAW_AT + 1], wrong, atol=3e-3)
    assert found[BEYOND_AT] < 0.04


def test_ranges_that_are_all_too_long_are_told_as_that_and_as_no_place() -> None:
    found = fit(seen(TRUE, 0.03))
    assert found[BIAS_AT] == pytest.approx(0.03, abs=3e-3)
    assert np.abs(found[X_AT : YAW_AT + 1]).max() < 3e-3


def test_people_and_pallets_move_no_fit() -> None:
    scan = seen(TRUE)
    scan[:, 5:18] = np.minimum(scan[:, 5:18], 0.6)  # a fifth of the view
    scan[:, 40:44] = np.minimum(scan[:, 40:44], 1.1)
    found = fit(scan)
    assert np.abs(found[X_AT:]).max() < 3e-3
    assert found[BEYOND_AT] == 0.0


def test_rays_that_see_through_walls_or_nothing_where_one_must_be_are_beyond() -> None:
    scan = seen(TRUE)
    scan[:, :8] += 2.0
    scan[:, 8:16] = SPEC.lidar.range_max
    assert fit(scan)[BEYOND_AT] == pytest.approx(16 / RAYS)


def test_noise_is_rough_and_people_are_not() -> None:
    scan = seen(TRUE)
    noisy = scan + np.random.default_rng(1).normal(0.0, 0.1, scan.shape).astype(np.float32)
    assert fit(noisy)[ROUGH_AT] > 0.4
    scan[:, 5:18] = 0.6
    assert fit(scan)[ROUGH_AT] == 0.0


def test_along_an_aisle_no_wall_says_where_the_robot_is() -> None:
    blocked = np.ones((3, 40), bool)
    blocked[1] = False
    aisle = make_site("aisle", blocked)
    angle = -math.pi + 2.0 * math.pi * np.arange(RAYS) / RAYS
    across = 0.6 / np.maximum(np.abs(np.sin(angle)), 1e-9)
    scan = np.minimum(across, SPEC.lidar.range_max).astype(np.float32)[None]
    found = fit(scan, (24.5, 1.8, 0.0), aisle)
    assert np.abs(found).max() < 2e-3
    found = fit(scan, (24.5, 1.84, 0.0), aisle)
    np.testing.assert_allclose(found[X_AT : YAW_AT + 1], (0.0, 0.04, 0.0), atol=3e-3)


def test_what_lies_behind_an_automatic_door_is_not_judged() -> None:
    site = room()
    door = 2 * (WIDE + 2) + WIDE + 1  # in the right wall
    site.blocked.reshape(-1)[door] = False
    scan = seen(TRUE)
    for state, flag, beyond in ((DoorState.AUTOMATIC, UNSURE, False), (DoorState.SHUT, WALL, True)):
        laid = replace(site, fixtures=Fixtures(doors=(Door("gate", (door,), state=state),)))
        assert wall_flags(laid)[door] == flag
        opened = scan.copy()
        angle = TRUE[2] - math.pi + 2.0 * math.pi * np.arange(RAYS) / RAYS
        at = TRUE[1] + np.sin(angle) * scan[0]
        through = (np.abs(TRUE[0] + np.cos(angle) * scan[0] - 1.2 * (WIDE + 1)) < 1e-3) & (at > 3.6) & (at < 4.8)
        assert through.sum() > 2
        opened[0, through] += 3.0
        assert bool(fit(opened, site=laid)[BEYOND_AT] > 0.0) is beyond


def test_a_floor_of_an_occupancy_grid_is_not_judged() -> None:
    site = replace(room(), fixtures=Fixtures(frame=(-10.0, -5.0, 0.0)))
    assert set(wall_flags(site)) == {0, UNSURE}
    assert np.abs(fit(seen((3.6, 2.2, 0.0)), site=site)).max() == 0.0


def test_other_numbers_of_rays_are_looked_at_in_their_own_directions() -> None:
    spec = RobotSpec(lidar=Lidar(rays=100))
    from sim.tasks.navigate_contract import bin_rays

    found = Walls(room(), spec).fit(seen(TRUE, rays=100)[:, bin_rays(100)], np.array([TRUE], np.float32))
    assert np.abs(found).max() < 2e-4


def test_rows_are_fitted_as_one_robot_is() -> None:
    poses = np.random.default_rng(2).uniform((1.8, 1.8, -3.0), (6.6, 5.4, 3.0), (9, 3)).astype(np.float32)
    scans = np.concatenate([seen(tuple(pose.tolist())) for pose in poses]) + np.float32(0.01)
    many, one = Walls(room(), SPEC, 9).fit(scans, poses), Walls(room(), SPEC)
    for row in range(9):
        assert many[row].tobytes() == one.fit(scans[row : row + 1], poses[row : row + 1])[0].tobytes()
