"""Depth cameras against the geometry of an empty hall, where every pixel has a closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.depth import DepthCameras
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.robot import MILLISECOND
from sim.sensorspec import DepthCamera, Imu, SensorError, Sensors, Timing
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary
from tests.sim.records import needs_opengl

EXACT = DepthCamera(disparity=0.0, down_deg=0.0, farthest=30.0, timing=Timing(rate=10.0, phase=0.0))


def environment(**changes: object) -> BatchEnv:
    config = NavigateConfig(paths=64, people=0, randomization=vary(level=0.0), **changes)  # type: ignore[arg-type]
    env = BatchEnv(generate_campus(5, blocks=(2, 2)), config, worlds=2, seed=1, threads=1)
    env.reset()
    return env


def put(env: BatchEnv, row: int, x: float, y: float, yaw: float) -> None:
    env.backend.qpos.numpy()[row, :3] = x, y, yaw
    env.plant.read()


def by_rays(env: BatchEnv, camera: DepthCamera, row: int) -> NDArray[np.float64]:
    """Depth of each pixel by stepping its ray over the floor's cells: floor below, racks and walls 2 m high."""
    x, y, yaw = env.state.pose.numpy()[row]
    x, y = x + math.cos(yaw) * (0.32 + camera.ahead), y + math.sin(yaw) * (0.32 + camera.ahead)
    focal = 0.5 * camera.height / math.tan(math.radians(camera.fov_deg) / 2)
    depth = np.zeros((camera.height, camera.width))
    site = env.site
    blocked = np.pad(site.blocked, 1, constant_values=True)
    z = np.arange(0.02, 30.0, 0.004)
    for i in range(0, camera.height, 6):
        for j in range(0, camera.width, 7):
            right, up = (j + 0.5 - camera.width / 2) / focal, (camera.height / 2 - i - 0.5) / focal
            px = x + z * (math.cos(yaw) + right * math.sin(yaw))
            py = y + z * (math.sin(yaw) - right * math.cos(yaw))
            pz = camera.above + z * up
            column = np.clip((px / site.cell).astype(int) + 1, 0, site.width + 1)
            line = np.clip(site.height - (py / site.cell).astype(int), 0, site.height + 1)
            hit = (pz <= 0.0) | (blocked[line, column] & (pz <= 2.0))
            depth[i, j] = z[hit.argmax()] if hit.any() else 99.0
    return depth


@needs_opengl
def test_every_pixel_is_as_deep_as_the_floor_and_the_racks_say() -> None:
    env = environment()
    cameras = DepthCameras(env, [0, 1], EXACT)
    cameras.look()
    for row in (0, 1):
        frame, expected = cameras.frame(row), by_rays(env, EXACT, row)
        some = (expected > 0.28) & (expected < 30.0)
        assert some.sum() > 60
        error = np.abs(frame.depth - expected)[some]
        assert np.median(error) < 0.01
        assert (error < 0.03 + 0.02 * expected[some]).mean() > 0.95  # but for pixels on an edge
    cameras.close()


@needs_opengl
def test_errors_grow_with_the_square_of_the_depth_and_far_things_are_not_seen() -> None:
    env = environment()
    clean, noisy = (
        DepthCameras(env, [0], replace(EXACT, disparity=disparity, farthest=4.0)) for disparity in (0.0, 0.05)
    )
    for cameras in (clean, noisy):
        cameras.look()
    true, said = clean.frame(0).depth, noisy.frame(0).depth
    np.testing.assert_array_equal(true == 0.0, said == 0.0)
    assert (true <= 4.0).all()
    focal = 0.5 * 60 / math.tan(math.radians(29.0))
    seen = true > 0.0
    share = (said - true)[seen] / (true[seen] ** 2 * 0.05 / (focal * 0.05))
    assert share.std() == pytest.approx(1.0, abs=0.06)
    assert np.abs(share).max() <= 3.001
    for cameras in (clean, noisy):
        cameras.close()


@needs_opengl
def test_light_changes_colours_and_no_depth() -> None:
    env = environment()
    bright = DepthCameras(env, [0], EXACT, colour=True)
    bright.look()
    env.scene.model.light_diffuse[:] = 0.05
    dark = DepthCameras(env, [0], EXACT, colour=True)
    dark.look()
    one, two = bright.frame(0), dark.frame(0)
    np.testing.assert_array_equal(one.depth, two.depth)
    assert one.colour is not None
    assert two.colour is not None
    assert one.colour.shape == (60, 106, 3)
    assert one.colour.mean() > two.colour.mean() + 5.0
    bright.close()
    dark.close()


@needs_opengl
def test_frames_come_at_their_own_rate_and_late() -> None:
    """10 Hz and 150 ms late, looked at after each physics step of 20 ms."""
    env = environment(sensors=Sensors(imu=Imu()), time_limit=60.0)
    cameras = DepthCameras(env, [0], replace(EXACT, timing=Timing(rate=10.0, latency=0.15, phase=0.0)))
    cameras.look()
    seen = []

    def hook(_: BatchEnv) -> None:
        cameras.look()
        seen.append(cameras.frame(0).stamp // MILLISECOND)

    env.substep_hook = hook
    for _ in range(4):
        env.step(np.zeros((2, 2), np.float32))
    # physics steps at 20, 40, ... ms; looks at 100, 200, ...; the first is there at 250, seen at 260
    assert seen == [0] * 12 + [100] * 5 + [200] * 3
    assert len(cameras._rows[0].frames) <= 3
    cameras.close()


def test_a_camera_that_cannot_be_is_refused() -> None:
    env = environment()
    with pytest.raises(SensorError, match="depth: expected rows from 0 to 1, got 2"):
        DepthCameras(env, [2])
    with pytest.raises(SensorError, match=r"depth\.timing: expected a rate and a phase"):
        DepthCameras(env, [0], replace(EXACT, timing=Timing(rate=0.0)))
