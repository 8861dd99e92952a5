"""Depth cameras of some robots of an environment, by rendering: outside of the step, at their own rate, late.

Each `look` renders what is due from the bodies as they stand (the plant's own model: racks at their true height), so
that only who has a camera pays. A frame is the depth along the camera's axis, m, with the error of a stereo camera, and
0 where it sees nothing; colours if asked for. Depth does not depend on light. Frames carry the time of their look, and
`frame` gives the newest that has arrived, as other sensors do (sim/sensorspec.py): looks happen at the first call at or
after a tick, so that who calls once a control step gets ages of whole control steps.

The camera is where the robot's pose says, level: a wheeled robot's nodding is left out. Needs EGL or OSMesa.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.env import BatchEnv
from sim.opengl import Canvas
from sim.randomization import Term, bell_numpy, draw_numpy
from sim.robot import SECOND
from sim.sensorspec import DepthCamera, SensorError

NEAR = 0.02
"""Near plane of the rendering, m: under the least distance of any camera."""


@dataclass(frozen=True)
class Frame:
    """One picture."""

    depth: NDArray[np.float32]
    """(height, width), m; 0 where the camera sees nothing."""
    colour: NDArray[np.uint8] | None
    """(height, width, 3)"""
    stamp: int
    """When it was taken, ns since the episode began."""
    due: int
    """When it arrives, ns."""


@dataclass
class _Row:
    """One robot's camera."""

    episode: int = -1
    ticks: int = 0
    frames: list[Frame] = field(default_factory=list)
    """Oldest first: the one that is held, and those under way."""


class DepthCameras:
    """Owns the pictures of the cameras of some rows. Close it in the thread that drew."""

    def __init__(
        self, environment: BatchEnv, rows: Sequence[int], camera: DepthCamera | None = None, *, colour: bool = False
    ) -> None:
        """The timing must have a rate and a phase; jitter and hold are not simulated here.

        Raises `OpenGLError` where no OpenGL works, `SensorError` for a row that is not there and another timing.
        """
        self.camera = camera or DepthCamera()
        timing = self.camera.timing
        if timing.rate <= 0.0 or timing.phase is None or timing.jitter or timing.hold:
            raise SensorError(f"depth.timing: expected a rate and a phase, no jitter and no hold, got {timing}")
        for row in rows:
            if not 0 <= row < environment.rows:
                raise SensorError(f"depth: expected rows from 0 to {environment.rows - 1}, got {row}")
        self._env, self._colour = environment, colour
        model = copy.copy(environment.scene.model)
        model.vis.global_.fovy = self.camera.fov_deg
        model.vis.map.znear = NEAR / model.stat.extent
        self._data = mujoco.MjData(model)
        self._canvas = Canvas(model, self.camera.width, self.camera.height)
        self._rows = {row: _Row() for row in rows}
        self._view = mujoco.MjvCamera()

    def look(self) -> None:
        """Take the pictures that are due; to be called after `reset` and each step, or as `substep_hook`."""
        for row, state in self._rows.items():
            now, episode = self._now(row), int(self._env.state.episode.numpy()[row])
            if episode != state.episode:
                state.episode, state.ticks, state.frames = episode, 0, []
            timing = self.camera.timing
            ticks = math.floor((now / SECOND - (timing.phase or 0.0)) * timing.rate + 1e-9) + 1
            if ticks <= state.ticks and state.frames:
                continue
            state.ticks = ticks
            depth, colour = self._picture(row, ticks)
            begun = not state.frames  # it stood there before: the first frame is there at once
            state.frames.append(Frame(depth, colour, now, now if begun else now + round(timing.latency * SECOND)))

    def frame(self, row: int) -> Frame:
        """The newest frame of a robot's camera that has arrived; `look` must have been called in its episode."""
        state, now = self._rows[row], self._now(row)
        while len(state.frames) > 1 and state.frames[1].due <= now:
            state.frames.pop(0)
        return state.frames[0]

    def close(self) -> None:
        """Free the OpenGL context; safe to call again."""
        self._canvas.close()

    def _now(self, row: int) -> int:
        """Ns since the row's episode began."""
        suite = self._env.plant.suite
        if suite is not None:  # it counts physics steps
            return int(suite.clock.numpy()[row]) * round(self._env.scene.timestep * SECOND)
        return int(self._env.state.step.numpy()[row]) * self._env.spec.period

    def _picture(self, row: int, tick: int) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        env, camera, data, view = self._env, self.camera, self._data, self._view
        world = row // env.robots
        for name in ("qpos", "mocap_pos", "mocap_quat"):
            getattr(data, name)[...] = env.backend.data(name).numpy()[world]
        mujoco.mj_kinematics(self._canvas.model, data)
        mujoco.mj_camlight(self._canvas.model, data)
        x, y, yaw = env.state.pose.numpy()[row].tolist()
        front, down = env.spec.length / 2 + camera.ahead, math.radians(camera.down_deg)
        # a free camera stands `distance` behind what it looks at
        view.distance, view.azimuth, view.elevation = 1.0, math.degrees(yaw), -camera.down_deg
        view.lookat[:] = (
            x + math.cos(yaw) * (front + math.cos(down)),
            y + math.sin(yaw) * (front + math.cos(down)),
            camera.above - math.sin(down),
        )
        depth = self._canvas.depth(data, view)
        colour = self._canvas.draw(data, view) if self._colour else None
        focal = 0.5 * camera.height / math.tan(math.radians(camera.fov_deg) / 2)
        pixels = np.arange(depth.size).reshape(depth.shape)
        episode = int(env.state.episode.numpy()[row])
        bits = draw_numpy(env.plant.seed, int(Term.DEPTH), row, episode, tick * depth.size + pixels)
        error = depth**2 * np.float32(camera.disparity / (focal * camera.baseline)) * bell_numpy(bits)
        seen = (depth >= camera.nearest) & (depth <= camera.farthest)
        return np.where(seen, np.maximum(depth + error, 0.0), 0.0).astype(np.float32), colour
