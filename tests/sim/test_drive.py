from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from sim.backend import BatchBackend
from sim.device import start_warp
from sim.drive import BRAKE_SHARE, make_drive, record_drive
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.robot import RobotSpec
from sim.scene import Body, build_scene
from sim.site import make_site
from sim.tasks.navigate import NavigateConfig
from sim.truth import read_bodies
from sim.vary import vary

start_warp()
SPEC = RobotSpec()
DT = 0.02


class Bench:
    """One robot in the middle of an empty hall."""

    def __init__(self, body: Body) -> None:
        self.scene = build_scene(make_site("hall", np.zeros((20, 20), bool)), SPEC, 1, 0, body)
        self.backend = BatchBackend(self.scene.model, 1, threads=1)
        start = (12.0, 12.0, 0.0) if body == "planar" else (12.0, 12.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        self.backend.qpos.numpy()[0] = start
        self.drive = make_drive(1, "cpu")
        self.commands = record_drive(SPEC, self.drive, self.backend.ctrl, 1, self.scene.ctrl_stride, "cpu")
        self.pose, self.twist = wp.zeros((1, 3), dtype=wp.float32), wp.zeros((1, 3), dtype=wp.float32)
        self.read = wp.launch(
            read_bodies,
            dim=1,
            inputs=[self.backend.qpos, self.backend.qvel, 1, self.scene.qpos_stride, self.scene.qvel_stride, self.pose,
                    self.twist],
            record_cmd=True,
        )  # fmt: skip

    def cycle(self, v: float, w: float) -> NDArray[np.float64]:
        """One control period; (5, 6) of pose and twist after each motor period."""
        self.drive.before.numpy()[:] = self.drive.released.numpy()
        self.drive.released.numpy()[0] = (v, w)
        seen = []
        for command in self.commands:
            command.launch()
            self.backend.step(round(DT / self.scene.timestep))
            self.read.launch()
            seen.append(np.concatenate([self.pose.numpy()[0], self.twist.numpy()[0]]).astype(np.float64))
        return np.array(seen)


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_each_body_tracks_a_commanded_arc(body: Body) -> None:
    """v = 0.8 m/s, w = 0.6 rad/s for 4 s, against the arc of the slew-limited command integrated by hand."""
    bench = Bench(body)
    x, y, yaw, v, w = 12.0, 12.0, 0.0, 0.0, 0.0
    worst = 0.0
    for _ in range(40):
        for pose in bench.cycle(0.8, 0.6)[:, :3]:
            v, w = min(0.8, v + 1.0 * DT), min(0.6, w + 4.0 * DT)
            x, y = x + v * DT * math.cos(yaw + w * DT / 2), y + v * DT * math.sin(yaw + w * DT / 2)
            yaw += w * DT
            worst = max(worst, math.hypot(pose[0] - x, pose[1] - y))
    assert worst < 0.06
    np.testing.assert_allclose(bench.twist.numpy()[0, :2], [0.8, 0.6], atol=0.01)
    assert math.remainder(bench.pose.numpy()[0, 2] - yaw, 2 * math.pi) == pytest.approx(0.0, abs=0.03)
    assert bench.backend.sensordata.numpy()[0, 0] == 0.0  # wheels and casters on the floor are no contact


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_the_setpoint_obeys_the_drive_limits(body: Body) -> None:
    bench = Bench(body)
    drive = SPEC.drive
    command = [(1.5, 2.0)] * 12 + [(-0.3, -2.0)] * 20 + [(0.0, 0.0)] * 5
    last = np.zeros(2)
    for v, w in command:
        bench.cycle(v, w)
        # five periods at most; braking where the speed falls towards zero
        now = bench.drive.setpoint.numpy()[0].astype(np.float64)
        brake = BRAKE_SHARE * drive.brake_min
        assert -0.1 * brake - 1e-5 <= now[0] - last[0] <= 0.1 * brake + 1e-5
        if now[0] > last[0] >= 0.0:
            assert now[0] - last[0] <= 0.1 * drive.accel_max + 1e-5
        assert abs(now[1] - last[1]) <= 0.1 * drive.turn_accel_max + 1e-5
        last = now
    np.testing.assert_array_equal(last, 0.0)


def test_latency_holds_the_old_command_for_whole_periods() -> None:
    bench = Bench("planar")
    bench.drive.latency.numpy()[:] = 2
    setpoints = []
    for command in bench.commands:
        bench.drive.released.numpy()[0] = (1.0, 0.0)
        command.launch()
        setpoints.append(float(bench.drive.setpoint.numpy()[0, 0]))
    np.testing.assert_allclose(setpoints, [0.0, 0.0, 0.02, 0.04, 0.06], atol=1e-6)


def test_lag_is_first_order() -> None:
    bench = Bench("planar")
    bench.drive.lag.numpy()[:] = 0.03
    bench.drive.setpoint.numpy()[0, 0] = 1.0
    bench.drive.released.numpy()[0, 0] = 1.0
    outputs = []
    for command in bench.commands:
        command.launch()
        outputs.append(float(bench.drive.output.numpy()[0, 0]))
    # share = 0.02 / 0.05 = 0.4 of what is left, each period
    np.testing.assert_allclose(outputs, 1.0 - 0.6 ** np.arange(1, 6), atol=1e-6)


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_every_drawn_robot_brakes_as_guaranteed(body: Body) -> None:
    """Payload, floor, lag and latency as drawn: from any speed v a stop takes no more than v^2 / 2 b + v latency."""
    config = replace(NavigateConfig(), people=0, shortest=8, paths=128, randomization=vary(start_offset=0.0))
    env = BatchEnv(generate_campus(2, blocks=(2, 2)), config, worlds=64, seed=3, body=body, threads=1)
    env.reset()
    # face along the path, so that the way is free
    cells = env.task.paths.cells.numpy()[env.task.course.path.numpy()]
    ahead = env.site.centre(cells[:, 1]) - env.site.centre(cells[:, 0])
    straight = cells[:, 2] - cells[:, 1] == cells[:, 1] - cells[:, 0]
    yaw = np.arctan2(ahead[:, 1], ahead[:, 0])
    qpos = env.backend.qpos.numpy()
    if body == "planar":
        qpos[:, 2] = yaw
    else:
        qpos[:, 3], qpos[:, 6] = np.cos(yaw / 2), np.sin(yaw / 2)
    for _ in range(11):
        env.step(np.tile(np.float32([1.0, 0.0]), (64, 1)))
    usable = straight & (env.state.episode.numpy() == 0)
    start, speed = env.state.pose.numpy()[:, :2].copy(), env.state.twist.numpy()[:, 0].copy()
    for _ in range(14):
        env.step(np.zeros((64, 2), np.float32))
    usable &= env.state.episode.numpy() == 0
    assert usable.sum() > 10
    assert speed[usable].min() > 0.8
    assert np.abs(env.state.twist.numpy()[usable]).max() < 0.02
    way = np.linalg.norm(env.state.pose.numpy()[:, :2] - start, axis=1)
    # the robot may still be gaining speed when the command comes: up to accel x latency more
    reached = speed + SPEC.drive.accel_max * SPEC.latency_bound
    bound = reached * SPEC.latency_bound + reached**2 / (2.0 * SPEC.drive.brake_min)
    assert (way <= bound)[usable].all()
