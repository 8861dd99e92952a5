"""Boxes that were spilled on a fleet's floor: seen by the lidar, felt by the engine, counted by both witnesses."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.spilled import box_places
from fleet.world import World
from sim.bodies.parts import Body
from sim.people import Profile
from sim.robot import RobotSpec
from sim.site import SiteError, make_site

SPEC = RobotSpec()
SITE = make_site("hall", np.zeros((5, 9), bool), stations=[0, 8], chargers=[44])


def test_boxes_lie_on_free_cells_of_their_own() -> None:
    starts = np.array([20, 21], np.int32)
    places = box_places(SITE, starts, 12, seed=4)
    cells = SITE.cell_at(places[:, :2])
    assert len(set(cells.tolist())) == 12
    assert not set(cells.tolist()) & {0, 8, 44, 20, 21}
    np.testing.assert_array_equal(places, box_places(SITE, starts, 12, seed=4))
    assert not np.array_equal(places, box_places(SITE, starts, 12, seed=5))
    with pytest.raises(SiteError, match="expected room for 41 boxes on hall, got 40 cells"):
        box_places(SITE, starts, 41, seed=4)


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_a_box_is_seen_and_whoever_drives_into_it_is_counted_by_both(body: Body) -> None:
    world = World(SITE, SPEC, 1, profile=Profile.STILL, starts=np.array([2 * 9 + 4], np.int32), boxes=3, body=body)
    spilled = world.spilled
    assert spilled is not None
    world.step()
    x, y, yaw = world.poses[0].astype(float)
    spilled._at[0, :2] = x + 1.5 * np.cos(yaw), y + 1.5 * np.sin(yaw)  # in its way
    world.step()
    assert world.readings(0).scan[SPEC.lidar.rays // 2] == pytest.approx(1.4, abs=0.16)
    before = spilled.poses()[0, :2].copy()
    for _ in range(35):
        world.command(np.array([(0.6, 0.0)], np.float32))
        world.step()
    if body == "planar":
        assert world.physics.collisions == world.oracle.collisions == 1
    else:  # a light box that slides on the floor is touched and left again many times on the way
        assert world.physics.collisions > 0
        assert abs(world.physics.collisions - world.oracle.collisions) <= 0.1 * world.physics.collisions
    assert np.hypot(*(spilled.poses()[0, :2] - before)) > 0.1  # it was pushed
    assert np.hypot(*(spilled.poses()[1, :2] - box_places(SITE, world.starts, 3, 0)[1, :2])) < 1e-3  # asleep


def test_without_boxes_a_world_has_none() -> None:
    world = World(SITE, SPEC, 1)
    assert world.spilled is None
    assert world.scene.boxes == 0
