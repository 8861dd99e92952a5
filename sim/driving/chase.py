"""A drive from behind the ego, by MuJoCo's renderer: road, lines, houses and trees as meshes, actors placed per frame.

The model holds no physics. What stands still is one mesh for each colour; each kind and size of actor has its meshes,
which are put into the picture where a `Moment` has the actor, with brake lights lit by its acceleration. It needs
OpenGL without a screen (sim/opengl.py) and raises `OpenGLError` where there is none.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.actors import ActorKind
from sim.drawing import Colour
from sim.driving.drawn import COLOURS, GRASS, DrawnRoad, Ground, drawn_road
from sim.driving.figures import BRAKE, BRAKING, COATS, EGO, GLASS, HEADLIGHT, PAINTS, SKIN, TAIL, TYRE
from sim.driving.instruments import tone
from sim.driving.moment import Course, Moment
from sim.driving.raster import Bytes
from sim.driving.scenery import TRUNK, Scenery, scenery
from sim.driving.solids import Piece, Solid, actor, ground, house_roof, house_walls, join, tree_crown, tree_trunk
from sim.opengl import Canvas, Shape
from sim.picture import looking

WIDTH, HEIGHT = 640, 360
"""Pixels of a frame."""

BEHIND, ABOVE, AIM = 9.5, 3.6, 9.0
"""m: where the camera stands behind and above the ego's middle, and how far ahead of it it looks at the road."""

FOV_DEG = 48.0
SETTLE = 0.35
"""s in which the camera swings behind a car that turned, by 63 %."""

SEEN = 260.0
"""Actors up to so far are drawn, m: a car is 4 pixels wide there."""

SKY_TOP, SKY_LOW = (0.36, 0.56, 0.82), (0.86, 0.91, 0.95)

LAYER = 0.012
"""Between two layers of ground, m: less would flicker far away."""

FADED = (120.0, 900.0)
"""From where to where the road fades into the sky, m."""


class FromBehind:
    """Draws a drive's moments in their order. Owns a model, its data and an OpenGL context; close it in its thread."""

    def __init__(
        self,
        course: Course,
        sizes: Iterable[tuple[int, float, float]],
        width: int = WIDTH,
        height: int = HEIGHT,
        *,
        drawn: DrawnRoad | None = None,
    ) -> None:
        """`sizes`: kind, length and width of every actor that will be shown (`sizes_of`). Raises `OpenGLError`."""
        self.course = course
        kinds = sorted({_size(*each) for each in sizes} | {self._ego})
        pieces = {each: actor(*each) for each in kinds}
        model, self._meshes = build(
            drawn if drawn is not None else drawn_road(course.road), scenery(course.road), pieces
        )
        self._data = mujoco.MjData(model)
        mujoco.mj_forward(model, self._data)
        self._canvas = Canvas(model, width, height, haze=True)
        self._camera = mujoco.MjvCamera()
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        self._heading, self._before = math.nan, 0.0

    @property
    def _ego(self) -> tuple[int, float, float]:
        return _size(int(ActorKind.CAR), self.course.size.length, self.course.size.width)

    def frame(self, moment: Moment) -> NDArray[np.uint8]:
        """One moment, (height, width, 3)."""
        x, y = self.course.size.middle(*moment.pose)
        yaw = moment.pose[2]
        self._look(x, y, yaw, moment.time)
        shapes = self._plan(moment)
        shapes += self._actor(self._ego, (x, y, yaw), EGO, moment.motion[1])
        others = moment.others
        away = np.hypot(others.pose[:, 0] - x, others.pose[:, 1] - y) if len(others.kind) else np.zeros(0)
        for number in np.flatnonzero((others.kind >= 0) & (away < SEEN)).tolist():
            kind, pose = int(others.kind[number]), others.pose[number].tolist()
            key = _size(kind, *others.size[number].tolist())
            paints = COATS if kind >= ActorKind.MOTORCYCLE else PAINTS
            shapes += self._actor(key, pose, paints[number % len(paints)], float(others.motion[number, 1]))
        return self._canvas.draw(self._data, self._camera, shapes)

    def close(self) -> None:
        """Free the OpenGL context; safe to call again."""
        self._canvas.close()

    def _look(self, x: float, y: float, yaw: float, time: float) -> None:
        if math.isnan(self._heading):
            self._heading = yaw
        turn = math.atan2(math.sin(yaw - self._heading), math.cos(yaw - self._heading))
        self._heading += turn * (1.0 - math.exp(-max(time - self._before, 0.0) / SETTLE))
        self._before = time
        c, s = math.cos(self._heading), math.sin(self._heading)
        self._canvas.model.cam_pos[0] = x - BEHIND * c, y - BEHIND * s, ABOVE
        self._canvas.model.cam_quat[0] = looking(self._heading, math.atan2(ABOVE - 0.8, BEHIND + AIM))
        mujoco.mj_kinematics(self._canvas.model, self._data)
        mujoco.mj_camlight(self._canvas.model, self._data)

    def _actor(
        self,
        key: tuple[int, float, float],
        pose: Any,
        paint: Bytes,
        accel: float,  # three numbers
    ) -> list[Shape]:
        x, y, yaw = pose
        return [
            Shape((x, y, 0.0), (1.0, 1.0, 1.0), _coloured(name, paint, accel), float(yaw), mesh=mesh)
            for name, mesh in self._meshes[key]
        ]

    def _plan(self, moment: Moment) -> list[Shape]:
        """The ground that the ego covers while it stops, as a ribbon on the road, and a bar where it would stand."""
        plan, size = np.asarray(moment.plan, float), self.course.size
        if len(plan) < 2:
            return []
        red, green, blue = (part / 255 for part in tone(moment))
        middles = np.array([size.middle(*pose) for pose in plan[:, :3].tolist()])
        shapes = []
        for (a, b), (c, d) in zip(middles[:-1].tolist(), middles[1:].tolist(), strict=True):
            half = 0.5 * math.hypot(c - a, d - b)
            if half > 0.01:
                at, yaw = (0.5 * (a + c), 0.5 * (b + d), 0.13), math.atan2(d - b, c - a)
                shapes.append(Shape(at, (half, 0.5 * size.width, 0.005), (red, green, blue, 0.42), yaw))
        x, y, yaw = plan[-1, :3].tolist()
        front = size.length - size.rear
        bar = (x + front * math.cos(yaw), y + front * math.sin(yaw), 0.16)
        return [*shapes, Shape(bar, (0.12, 0.5 * size.width, 0.02), (red, green, blue, 0.95), yaw)]


def sizes_of(moments: Iterable[Moment]) -> set[tuple[int, float, float]]:
    """Kind, length and width of everybody in some moments."""
    found: set[tuple[int, float, float]] = set()
    for moment in moments:
        others = moment.others
        rows = zip(others.kind.tolist(), others.size.tolist(), strict=True)
        found |= {_size(kind, *size) for kind, size in rows if kind >= 0}
    return found


def build(
    drawn: DrawnRoad, stands: Scenery, actors: dict[tuple[int, float, float], list[Piece]]
) -> tuple[mujoco.MjModel, dict[tuple[int, float, float], list[tuple[str, int]]]]:
    """The model of a road, and for each kind and size of actor the names and numbers of its meshes."""
    spec = mujoco.MjSpec()
    _set_look(spec)
    low_x, low_y, high_x, high_y = drawn.bounds
    far = max(high_x - low_x, high_y - low_y) + 2000.0
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=(far, far, 1.0), rgba=GRASS, contype=0, conaffinity=0
    )
    made: list[Solid] = []

    def add(solid: Solid) -> str:
        name = f"m{len(made)}"
        made.append(solid)
        spec.add_mesh(
            name=name,
            uservert=solid.vertices.ravel(),
            userface=solid.faces.ravel(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )
        return name

    for kind in Ground:
        strips = [strip for strip in drawn.strips if strip.ground == kind]
        if strips:
            _stand(spec, add(ground(strips, LAYER * (1 + int(kind)))), COLOURS[kind])
    still: dict[Colour, list[Solid]] = {}
    for house in stands.houses:
        still.setdefault(house.wall, []).append(house_walls(house))
        still.setdefault(house.roof, []).append(house_roof(house))
    for tree in stands.trees:
        still.setdefault(tree.leaves, []).append(tree_crown(tree))
        still.setdefault(TRUNK, []).append(tree_trunk(tree))
    for colour, solids in still.items():
        _stand(spec, add(join(solids)), colour)
    names = {key: [(piece.name, add(piece.solid)) for piece in pieces] for key, pieces in actors.items()}
    model = spec.compile()
    _restore(model)
    return model, {key: [(word, model.mesh(name).id) for word, name in pieces] for key, pieces in names.items()}


def _set_look(spec: Any) -> None:  # mujoco.MjSpec
    visual = spec.visual
    visual.quality.offsamples = 4
    visual.map.znear, visual.map.zfar = 0.004, 20.0  # times the extent of 100 m
    visual.map.fogstart, visual.map.fogend = (far / 100.0 for far in FADED)
    visual.rgba.fog = (*SKY_LOW, 1.0)
    visual.rgba.haze = (*SKY_LOW, 1.0)
    visual.headlight.ambient[:] = 0.52
    visual.headlight.diffuse[:] = 0.16
    visual.headlight.specular[:] = 0.0
    spec.stat.extent = 100.0
    spec.stat.center[:] = 0.0
    sky = mujoco.mjtTexture.mjTEXTURE_SKYBOX
    gradient = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
    spec.add_texture(name="sky", type=sky, builtin=gradient, rgb1=SKY_TOP, rgb2=SKY_LOW, width=64, height=384)
    spec.worldbody.add_light(
        pos=(0.0, 0.0, 80.0),
        dir=(0.45, -0.35, -0.85),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        castshadow=False,  # three times the frames per second; actors carry a dark patch under them
        diffuse=(0.52, 0.51, 0.48),
        specular=(0.0, 0.0, 0.0),
    )
    spec.worldbody.add_camera(name="chase", fovy=FOV_DEG)


def _stand(spec: Any, mesh: str, colour: Colour) -> None:  # mujoco.MjSpec
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh, rgba=colour, contype=0, conaffinity=0)


def _restore(model: mujoco.MjModel) -> None:
    """Put every mesh back where it was given: the compiler turns meshes to their axes of inertia."""
    for mesh in range(model.nmesh):
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, model.mesh_quat[mesh])
        rotate = turn.reshape(3, 3)
        first, many = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        rows = slice(first, first + many)
        model.mesh_vert[rows] = model.mesh_vert[rows] @ rotate.T + model.mesh_pos[mesh]
        rows = slice(int(model.mesh_normaladr[mesh]), int(model.mesh_normaladr[mesh] + model.mesh_normalnum[mesh]))
        model.mesh_normal[rows] = model.mesh_normal[rows] @ rotate.T
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_MESH.value).tolist():
        model.geom_pos[geom] = 0.0
        model.geom_quat[geom] = (1.0, 0.0, 0.0, 0.0)
        model.geom_sameframe[geom] = 0


def _size(kind: int, length: float, width: float) -> tuple[int, float, float]:
    """Rounded, so that few meshes serve many actors: 0.1 m is two pixels at the nearest."""
    return kind, max(round(length, 1), 0.2), max(round(width, 1), 0.2)


def _coloured(name: str, paint: Bytes, accel: float) -> Colour:
    fixed: dict[str, Bytes] = {
        "glass": GLASS,
        "tyre": TYRE,
        "dark": (52, 56, 62),
        "head": HEADLIGHT,
        "skin": SKIN,
        "crate": (206, 150, 66),
        "cargo": (226, 227, 224),
        "tail": BRAKE if accel < BRAKING else TAIL,
        "shadow": (16, 18, 20),
    }
    red, green, blue = fixed.get(name, paint)
    return (red / 255, green / 255, blue / 255, 0.45 if name == "shadow" else 1.0)
