from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from sim.fixtures import FLAT, Fixtures, Ramp
from sim.furnishing import door_geoms
from sim.readers import load_site
from sim.robot import RobotSpec
from sim.scene import build_scene
from sim.site import make_site, with_fixtures

SITES = Path(__file__).parents[2] / "launch" / "sites"
SPEC = RobotSpec()


def height(model: mujoco.MjModel, data: mujoco.MjData, x: float, y: float) -> tuple[float, str]:
    """Height and name of what a ray from above meets."""
    geom = np.zeros(1, np.int32)
    down = mujoco.mj_ray(model, data, np.array([x, y, 5.0]), np.array([0.0, 0.0, -1.0]), None, True, -1, geom)
    return 5.0 - down, model.geom(int(geom[0])).name


@pytest.mark.parametrize("name", ["small_warehouse", "two_halls"])
def test_what_is_filled_is_solid_and_nothing_else(name: str) -> None:
    site = load_site(SITES / f"{name}.yaml")
    model = build_scene(site, SPEC, 1, 0, "planar").model
    data = mujoco.MjData(model)
    data.qpos[:2] = -50.0
    mujoco.mj_forward(model, data)
    pods, doors = site.fixtures.pods, site.fixtures.door_cells(*type(site.fixtures.doors[0].state))
    ramps = [cell for ramp in site.fixtures.ramps for cell in ramp.cells(site.width)]
    for cell in range(site.blocked.size):
        _, met = height(model, data, *site.centre(cell).tolist())
        if not site.filled.reshape(-1)[cell]:
            assert met.startswith("ramp" if cell in ramps else "floor"), (cell, met)
        else:
            assert met.startswith("pod" if cell in pods else "door" if cell in doors else "rack"), (cell, met)
    for number, door in enumerate(site.fixtures.doors):
        if site.filled.reshape(-1)[door.cells[0]]:
            x, y = model.geom_pos[door_geoms(model, site, number), :2].T
            assert set(site.cell_at(np.stack([x, y], axis=-1)).tolist()) == set(door.cells)


@pytest.mark.parametrize("up", range(4))
def test_a_ramp_is_as_high_as_it_says_everywhere(up: int) -> None:
    area = (2, 1, 4, 2) if up in (0, 2) else (2, 1, 2, 4)
    ramp = Ramp(area, 0.3, up)
    site = with_fixtures(make_site("ramp", np.zeros((7, 9), bool), cell=1.0), Fixtures(ramps=(ramp,)))
    model = build_scene(site, SPEC, 1, 0, "wheeled").model
    data = mujoco.MjData(model)
    data.qpos[:2] = -50.0
    mujoco.mj_forward(model, data)
    for x in np.arange(2.05, 2.0 + area[2], 0.3):
        for up_y in np.arange(0.05, area[3], 0.3):
            y = site.height - area[1] - area[3] + up_y
            top, met = height(model, data, x, y)
            assert met == "ramp0"
            assert top == pytest.approx(ramp.height(x, site.height - y), abs=1e-6)
    assert height(model, data, 1.9, 4.0)[1] == "floor"


def test_the_wheeled_body_climbs_a_ramp_and_the_planar_one_does_not_feel_it() -> None:
    # 0.2 m up over 2.4 m (8.3 %), a platform, and a level floor before it
    ramps = (Ramp((3, 0, 2, 3), 0.2, 0), Ramp((5, 0, 3, 3), 0.2, FLAT))
    site = with_fixtures(make_site("ramp", np.zeros((3, 8), bool)), Fixtures(ramps=ramps))
    scene = build_scene(site, SPEC, 1, 0, "wheeled", visual=False)
    data = mujoco.MjData(scene.model)
    data.qpos[:3] = 1.8, 1.8, scene.rest_height
    data.ctrl[:] = 0.8 / SPEC.drive.wheel_radius
    heights = []
    while data.qpos[0] < 7.5 and data.time < 15.0:
        mujoco.mj_step(scene.model, data)
        heights.append(float(data.qpos[2]))
    assert data.qpos[0] >= 7.5, "stuck on the ramp"
    assert heights[-1] == pytest.approx(0.2, abs=0.02)
    assert min(heights) > -0.02
    assert abs(data.qpos[1] - 1.8) < 0.2

    planar = build_scene(site, SPEC, 1, 0, "planar", visual=False)
    data = mujoco.MjData(planar.model)
    data.qpos[:2] = 1.8, 1.8
    data.ctrl[0] = 0.8
    for _ in range(400):
        mujoco.mj_step(planar.model, data)
    assert data.qpos[0] == pytest.approx(1.8 + 0.8 * 8.0, abs=0.1)
    assert not data.sensordata.any() or data.qpos[0] > 7.0
