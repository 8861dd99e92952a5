"""`render_mode="rgb_array"`: one world of an environment as a picture, with what lies ahead of its robots.

The picture is of the very bodies that are simulated: a copy of the plant's model, coloured for the eye, at the world's
coordinates, in the light that its episode has (sim/lighting.py). Racks are drawn low, so that a camera at a slant sees
into the aisles; each robot has the colour of its corridor, its way and its goal. What else the worlds' own copies of
the model differ in (masses, friction) is not visible.

Only who asks for a picture pays: nothing is made before the first one, and no OpenGL is needed until then. Measured
costs of a frame: docs/benchmarks.md.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import copy

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.drawing import (
    CHARGER,
    FLOOR,
    MARK,
    RACK_HEIGHT,
    STATION,
    STEEL,
    VEST,
    WALL,
    camera_distance,
    robot_colour,
    tint,
)
from sim.env import BatchEnv
from sim.lighting import Lighting
from sim.opengl import Canvas, Shape
from sim.overlay import ahead_of, stays
from sim.picture import SKY, set_light
from sim.reach import components

WIDTH, HEIGHT = 640, 480
"""Pixels, as MuJoCo's environments of Gymnasium have them by default (480 x 480), wider because floors are."""

CLOSE = 1.2
"""m around robots that work where they stand: a shelf and an arm fill the picture."""

SLANT_DEG = 55.0
"""How steeply the camera looks down."""


class Renderer:
    """Owns the pictures of one environment. Close it in the thread that drew."""

    def __init__(self, environment: BatchEnv, width: int = WIDTH, height: int = HEIGHT) -> None:
        """Raises `OpenGLError` where no OpenGL works, in one line that says what to install."""
        self.environment = environment
        site, model = environment.site, painted(environment)
        self._light = Lighting(environment.scene.model, model)
        self._data = mujoco.MjData(model)
        self._canvas = Canvas(model, width, height)
        self._camera = mujoco.MjvCamera()
        self._camera.azimuth, self._camera.elevation = 90.0, -SLANT_DEG
        self._parts, self._shown = components(site), frozenset[int]()
        size = max(site.width, site.height) * site.cell
        ground = Shape((size / 2, size / 2, -1.0), (10.0 * size, 10.0 * size, 0.1), (*SKY, 1.0))
        side = 0.38 * site.cell
        self._marks = [ground] + [
            Shape((x, y, 0.006), (side, side, 0.004), colour)
            for cells, colour in ((site.chargers, CHARGER), (site.stations, STATION))
            for x, y in site.centre(cells).tolist()
        ]

    def frame(self, world: int = 0) -> NDArray[np.uint8]:
        """One world as it stands, (height, width, 3)."""
        env, data = self.environment, self._data
        for name in ("qpos", "mocap_pos", "mocap_quat"):
            getattr(data, name)[...] = env.backend.data(name).numpy()[world]
        self._light.put(env.backend, world)
        mujoco.mj_kinematics(self._canvas.model, data)
        mujoco.mj_camlight(self._canvas.model, data)
        rows = [row for row in range(world * env.robots, (world + 1) * env.robots) if env.state.active.numpy()[row]]
        self._frame(env.state.pose.numpy()[rows, :2])
        shapes = list(self._marks)
        for row in rows:
            shapes += self._ahead(row, robot_colour(row % env.robots))
        return self._canvas.draw(data, self._camera, shapes)

    def _frame(self, places: NDArray[np.float32]) -> None:
        """Turn the camera to the parts of the floor that robots are in: training floors hold many separate ones."""
        site = self.environment.site
        inside = self._parts[site.cell_at(places)] if len(places) else np.array([], int)
        shown = frozenset(inside[inside >= 0].tolist())
        if len(places) and stays(self.environment):
            self._look_at(places.min(axis=0) - CLOSE, places.max(axis=0) + CLOSE)
            return
        if shown == self._shown and shown:
            return
        self._shown = shown
        cells = np.flatnonzero(np.isin(self._parts, list(shown))) if shown else np.arange(site.blocked.size)
        at, edge = site.centre(cells), 1.5 * site.cell  # half a cell, and the wall around
        self._look_at(at.min(axis=0) - edge, at.max(axis=0) + edge)

    def _look_at(self, low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
        """Turn the camera to a rectangle of the floor, by its corners, W."""
        self._camera.lookat[:] = *((low + high) / 2), 0.0
        fov = float(self._canvas.model.vis.global_.fovy)
        size = (float(high[0] - low[0]), float(high[1] - low[1]))
        self._camera.distance = camera_distance(size, self._canvas.width / self._canvas.height, fov, SLANT_DEG)

    def _ahead(self, row: int, colour: tuple[float, float, float, float]) -> list[Shape]:
        """The corridor as a pale carpet, the way to the goal as studs, the goal as a disc."""
        ahead = ahead_of(self.environment, row)
        if ahead is None:
            return []
        pale = tint(colour, 0.65)
        shapes = [
            Shape((part.x, part.y, 0.003), (part.half_length, part.half_width, 0.002), pale, part.yaw)
            for part in ahead.corridor
        ]
        shapes += [Shape((x, y, 0.012), (0.07, 0.07, 0.004), colour, round=True) for x, y in ahead.way[:-1].tolist()]
        if ahead.arrived:
            x, y = ahead.way[-1].tolist()
            shapes.append(Shape((x, y, 0.012), (0.3, 0.3, 0.004), colour, round=True))
            shapes.append(Shape((x, y, 0.016), (0.15, 0.15, 0.004), MARK, round=True))
        return shapes

    def close(self) -> None:
        """Free the OpenGL context; safe to call again."""
        self._canvas.close()


def painted(environment: BatchEnv) -> mujoco.MjModel:
    """A copy of the plant's model in the house's colours; racks low, robots by number. The plant's stays as it is."""
    model = copy.copy(environment.scene.model)
    set_light(model.vis)
    model.light_diffuse[:] = 0.46
    for geom in range(model.ngeom):
        name = model.geom(geom).name
        kind, number = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
        if kind in ("rack", "wall"):
            model.geom_rgba[geom] = STEEL if kind == "rack" else WALL
            model.geom_size[geom, 2] = model.geom_pos[geom, 2] = RACK_HEIGHT / 2
        elif kind == "floor":
            model.geom_rgba[geom] = FLOOR
        elif kind == "hull":
            model.geom_rgba[geom] = robot_colour(int(number))
        elif kind == "person":
            model.geom_rgba[geom] = VEST
    return model
