"""Nodes of the page of `muster view`: the same part of many things as one batched mesh, and one robot's view.

viser keeps a scene of named nodes; a change of a property is one message to every browser. A part of all robots is one
node, so a moment costs a few messages however many robots there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from fleet.shown import LIDAR, PLAN, Focus, to_bytes, to_linear
from sim.drawing import MARK, Colour, robot_colour, tint
from sim.overlay import Strip

Mesh = tuple[NDArray[np.float32], NDArray[np.uint32]]
"""Vertices (n, 3) and faces (m, 3)."""

SCAN_HEIGHT = 0.22
"""m above the floor at which lidar points are drawn."""

HIDDEN = 1e-4
"""The size of what is not there: three.js draws nothing of it, and may not be given 0 (its normals)."""


def _prism(sides: int) -> Mesh:
    """An upright prism of radius 0.5 and height 1 around the origin."""
    angle = 2.0 * math.pi * np.arange(sides) / sides
    rim = 0.5 * np.column_stack([np.cos(angle), np.sin(angle)])
    low, high = (np.column_stack([rim, np.full(sides, z)]) for z in (-0.5, 0.5))
    vertices = np.vstack([low, high, [[0.0, 0.0, -0.5], [0.0, 0.0, 0.5]]])
    faces = []
    for one in range(sides):
        two = (one + 1) % sides
        faces += [(one, two, two + sides), (one, two + sides, one + sides)]
        faces += [(two, one, 2 * sides), (one + sides, two + sides, 2 * sides + 1)]
    return vertices.astype(np.float32), np.array(faces, np.uint32)


def _ball(bands: int, sides: int) -> Mesh:
    """A sphere of diameter 1."""
    down = math.pi * np.arange(bands + 1) / bands
    round_ = 2.0 * math.pi * np.arange(sides) / sides
    x, y = np.outer(np.sin(down), np.cos(round_)), np.outer(np.sin(down), np.sin(round_))
    vertices = 0.5 * np.stack([x, y, np.repeat(np.cos(down)[:, None], sides, axis=1)], axis=-1).reshape(-1, 3)
    faces = []
    for band in range(bands):
        for one in range(sides):
            a, b = band * sides + one, band * sides + (one + 1) % sides
            faces += [(a, a + sides, b + sides), (a, b + sides, b)]
    return vertices.astype(np.float32), np.array(faces, np.uint32)


def _cube() -> Mesh:
    """A box of side 1."""
    vertices = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], np.float32)
    squares = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [face for a, b, c, d in squares for face in ((a, b, c), (a, c, d))]
    return vertices, np.array(faces, np.uint32)


BOX, CYLINDER, BALL = _cube(), _prism(28), _ball(10, 16)


def quaternions(yaw: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turns about z as (w, x, y, z), (n, 4)."""
    nothing = np.zeros(len(yaw))
    return np.column_stack([np.cos(yaw / 2), nothing, nothing, np.sin(yaw / 2)]).astype(np.float32)


class Batch:
    """The same part of many things. Owns one node; nothing where there are none of them."""

    def __init__(
        self,
        server: viser.ViserServer,
        name: str,
        mesh: Mesh,
        at: tuple[float, float, float],
        size: tuple[float, float, float],
        colours: Sequence[Colour],
    ) -> None:
        """One part for each colour, `at` in its thing's frame and `size` along its axes, m."""
        self._at, self._size = at, np.array(size)
        count = len(colours)
        self.node: Any = None  # viser's handle
        if count:
            self.node = server.scene.add_batched_meshes_simple(
                name,
                *mesh,
                batched_wxyzs=quaternions(np.zeros(count)),
                batched_positions=np.zeros((count, 3), np.float32),
                batched_scales=np.tile(self._size, (count, 1)).astype(np.float32),
                batched_colors=np.array([to_linear(colour) for colour in colours], np.uint8),
                flat_shading=mesh is BOX,
                lod="off",
                cast_shadow=False,
            )

    def move(self, poses: NDArray[np.floating]) -> None:
        """The things to x, y, yaw; (n, 3), W."""
        if self.node is None:
            return
        c, s, (x, y, z) = np.cos(poses[:, 2]), np.sin(poses[:, 2]), self._at
        places = np.column_stack([poses[:, 0] + c * x - s * y, poses[:, 1] + s * x + c * y, np.full(len(c), z)])
        self.node.batched_positions = places.astype(np.float32)
        self.node.batched_wxyzs = quaternions(poses[:, 2])

    def colour(self, colours: NDArray[np.uint8]) -> None:
        """Of each thing, (n, 3)."""
        if self.node is not None and not np.array_equal(self.node.batched_colors, colours):
            self.node.batched_colors = colours

    def present(self, present: NDArray[np.bool_]) -> None:
        """Hide those that are not there, (n,)."""
        if self.node is not None:
            sizes = np.where(present[:, None], self._size, HIDDEN).astype(np.float32)
            if not np.array_equal(self.node.batched_scales, sizes):
                self.node.batched_scales = sizes


class Vision:
    """What one robot saw, was granted and would do. Owns the nodes under /view."""

    def __init__(self, server: viser.ViserServer, footprint: tuple[float, float, float]) -> None:
        self._server, self._footprint = server, footprint
        self._nodes: dict[str, Any] = {}  # viser's handles
        self._drawn: dict[str, Any] = {}
        """What each node shows now: only what changed is sent."""
        self._visible = {"lidar": True, "ground": True, "plan": True}

    def layers(self, **visible: bool) -> None:
        """Show or hide lidar, ground (corridor, way, goal) and plan."""
        self._visible |= visible
        for name, node in self._nodes.items():
            node.visible = self._visible.get(name.partition("/")[0], True)

    def show(self, number: int, name: str, pose: NDArray[np.floating], focus: Focus) -> None:
        """Draw a robot's moment."""
        colour = robot_colour(number)
        self._squares("ground/granted", focus.granted, tint(colour, 0.78), 0.027)
        self._squares("ground/corridor", focus.corridor, tint(colour, 0.5), 0.031)
        way = [(x, y, 0.06) for x, y in np.asarray(focus.way).tolist()]
        self._lines("ground/way", list(itertools.pairwise(way)), to_bytes(tint(colour, 0.1)), 0.09)
        self._disc(focus.goal, colour)
        points = np.column_stack([focus.points, np.full(len(focus.points), SCAN_HEIGHT)]).astype(np.float32)
        self._points(points)
        self._lines("plan/path", _outline(focus, self._footprint), PLAN, 0.07)
        self._label(f"{name}  {focus.headline}".strip(), (float(pose[0]), float(pose[1]), self._footprint[2] + 0.75))

    def _keep(self, name: str, shown: Any, make: Any) -> None:  # any value that says what is shown; a maker of nodes
        """Make a node anew where it shows something else; None: nothing."""
        if self._drawn.get(name) == shown:
            return
        self._drawn[name] = shown
        old = self._nodes.pop(name, None)
        if shown:
            self._nodes[name] = make()  # takes the place of its namesake
            self._nodes[name].visible = self._visible.get(name.partition("/")[0], True)
        elif old is not None:
            old.remove()

    def _squares(self, name: str, parts: Sequence[Strip], colour: Colour, height: float) -> None:
        def make() -> Any:
            return self._server.scene.add_batched_meshes_simple(
                f"/view/{name}",
                *BOX,
                batched_wxyzs=quaternions(np.array([part.yaw for part in parts])),
                batched_positions=np.array([(part.x, part.y, height) for part in parts], np.float32),
                batched_scales=np.array(
                    [(2 * part.half_length, 2 * part.half_width, 0.004) for part in parts], np.float32
                ),
                batched_colors=to_linear(colour),
                lod="off",
                cast_shadow=False,
            )

        self._keep(name, (tuple(parts), colour) if parts else None, make)

    def _lines(self, name: str, segments: list[Any], colour: tuple[int, int, int], thick: float) -> None:
        def make() -> Any:
            points = np.array(segments, np.float32)
            return self._server.scene.add_line_segments(f"/view/{name}", points, colour, thickness=thick)

        self._keep(name, (tuple(segments), colour) if segments else None, make)

    def _disc(self, goal: tuple[float, float] | None, colour: Colour) -> None:
        def make() -> Any:
            assert goal is not None
            return self._server.scene.add_batched_meshes_simple(
                "/view/ground/goal",
                *CYLINDER,
                batched_wxyzs=quaternions(np.zeros(2)),
                batched_positions=np.array([(*goal, 0.04), (*goal, 0.045)], np.float32),
                batched_scales=np.array([(0.8, 0.8, 0.02), (0.4, 0.4, 0.03)], np.float32),
                batched_colors=np.array([to_linear(colour), to_linear(MARK)], np.uint8),
                lod="off",
                cast_shadow=False,
            )

        self._keep("ground/goal", (goal, colour) if goal is not None else None, make)

    def _points(self, points: NDArray[np.float32]) -> None:
        def make() -> Any:
            return self._server.scene.add_point_cloud(
                "/view/lidar",
                points,
                LIDAR,
                point_size=0.07,
                point_shape="circle",
                point_shading="flat",
                precision="float32",
            )

        self._keep("lidar", points.tobytes() or None, make)

    def _label(self, text: str, at: tuple[float, float, float]) -> None:
        node = self._nodes.get("label")
        if node is None:
            self._nodes["label"] = self._server.scene.add_label(
                "/view/label", text, position=at, anchor="bottom-center", font_screen_scale=1.1
            )
            return
        node.position = at
        if node.text != text:
            node.text = text


def _outline(focus: Focus, footprint: tuple[float, float, float]) -> list[Any]:
    """The path of a stopping plan and the footprint at its end, as segments."""
    if not len(focus.plan):
        return []
    path = [(x, y, 0.1) for x, y, _ in np.asarray(focus.plan).tolist()]
    x, y, yaw = np.asarray(focus.plan)[-1].tolist()
    c, s, half, broad = math.cos(yaw), math.sin(yaw), footprint[0] / 2, footprint[1] / 2
    around = [(half, broad), (-half, broad), (-half, -broad), (half, -broad)]
    corners = [(x + c * a - s * b, y + s * a + c * b, 0.1) for a, b in around]
    pairs = [(one, two) for one, two in itertools.pairwise(path) if math.dist(one, two) > 1e-3]
    return [*pairs, *zip(corners, corners[1:] + corners[:1], strict=True)]
