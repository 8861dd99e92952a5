"""Triangle meshes of what stands and drives on a road, for the view from behind; numpy alone.

A `Solid` is vertices and triangles, seen from the side from which they run counter-clockwise. Bodies of vehicles are
lofts: rings of as many points each, one above the other, closed by a lid. All stand on z = 0 about the middle of their
box, x ahead, y to the left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.actors import ActorKind
from sim.driving.drawn import Strip
from sim.driving.scenery import House, Tree
from sim.road import Floats

TURN, LONG = 0.015, 25.0
"""Points of a strip closer than both (rad of turn, m) are left out: chords of 25 m lie 5 cm inside such a bend."""

HEIGHTS = {
    ActorKind.STATIC: 1.0, ActorKind.CAR: 1.5, ActorKind.TRUCK: 3.6, ActorKind.MOTORCYCLE: 1.74,
    ActorKind.BICYCLE: 1.74, ActorKind.PEDESTRIAN: 1.75,
}  # fmt: skip
"""How high actors are drawn, riders and all, m; maps and files state no heights."""


@dataclass(frozen=True, eq=False)
class Solid:
    """Triangles."""

    vertices: Floats
    """(n, 3), m"""
    faces: NDArray[np.int64]
    """(m, 3), counter-clockwise seen from outside"""


@dataclass(frozen=True, eq=False)
class Piece:
    """Part of an actor: a solid and which of the actor's colours it has."""

    name: str
    """paint, glass, tyre, tail, head, skin, coat, shadow"""
    solid: Solid


def join(solids: Sequence[Solid]) -> Solid:
    """Several as one."""
    before = np.cumsum([0, *(len(solid.vertices) for solid in solids[:-1])])
    faces = [solid.faces + first for solid, first in zip(solids, before.tolist(), strict=True)]
    return Solid(np.concatenate([solid.vertices for solid in solids]), np.concatenate(faces))


def ground(strips: Sequence[Strip], z: float) -> Solid:
    """Flat strips at one height, seen from above."""
    return join([_flat(strip, z) for strip in strips])


def box(size: tuple[float, float, float], at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Solid:
    """A box of length, width and height on a point in the middle of its bottom."""
    x, y, z = at
    outline = np.array([(0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)]) * size[:2] + (x, y)
    return loft([_ring(outline, z), _ring(outline, z + size[2])])


def loft(rings: Sequence[Floats]) -> Solid:
    """Rings (points, 3) above each other, counter-clockwise seen from above, with a lid; the bottom is open."""
    many = len(rings[0])
    faces = []
    for level in range(len(rings) - 1):
        for k in range(many):
            a, b = level * many + k, level * many + (k + 1) % many
            faces += [(a, b, b + many), (a, b + many, a + many)]
    top = (len(rings) - 1) * many
    faces += [(top, top + k, top + k + 1) for k in range(1, many - 1)]
    return Solid(np.concatenate(rings), np.array(faces))


def actor(kind: int, length: float, width: float) -> list[Piece]:
    """The pieces of an actor."""
    makers = {
        int(ActorKind.TRUCK): _truck,
        int(ActorKind.MOTORCYCLE): _rider,
        int(ActorKind.BICYCLE): _rider,
        int(ActorKind.PEDESTRIAN): _walker,
        int(ActorKind.STATIC): _obstacle,
    }
    shade = loft([_ring(_rounded(length + 0.25, width + 0.3), z) for z in (0.105, 0.11)])
    pieces = makers.get(kind, _car)(length, width)
    return pieces if kind == ActorKind.PEDESTRIAN else [Piece("shadow", shade), *pieces]


def house_walls(house: House) -> Solid:
    """Four walls."""
    outline = house.outline
    eaves = 0.78 * house.height
    return loft([_ring(outline, 0.0), _ring(outline, eaves)])


def house_roof(house: House) -> Solid:
    """A gable roof along the house."""
    a, b, c, d = (np.append(corner, 0.78 * house.height) for corner in _grown(house.outline, 0.4))
    ridge = [np.append(0.5 * (p + q)[:2], house.height + 0.9) for p, q in ((a, d), (b, c))]
    vertices = np.array([a, b, c, d, *ridge])
    faces = [(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5), (3, 0, 4), (1, 2, 5), (0, 2, 1), (0, 3, 2)]
    return Solid(vertices, np.array(faces))


def tree_crown(tree: Tree) -> Solid:
    """Three rings and a tip."""
    turn = np.linspace(0.0, math.tau, 8, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    rows = ((0.30, 0.55), (0.52, 1.0), (0.82, 0.62), (1.0, 0.12))
    rings = [_ring(circle * share * tree.radius + (tree.x, tree.y), up * tree.height) for up, share in rows]
    return loft(rings)


def tree_trunk(tree: Tree) -> Solid:
    """A post."""
    return box((0.35, 0.35, 0.4 * tree.height), (tree.x, tree.y, 0.0))


def ball(radius: float, at: tuple[float, float, float]) -> Solid:
    """A sphere of six rings."""
    turn = np.linspace(0.0, math.tau, 10, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    rings = [
        _ring(circle * radius * math.cos(tilt) + at[:2], at[2] + radius * math.sin(tilt))
        for tilt in np.linspace(-1.5, 1.5, 6).tolist()
    ]
    return loft(rings)


def _car(length: float, width: float) -> list[Piece]:
    high = HEIGHTS[ActorKind.CAR]
    belt = 0.62 * high
    rings = []
    for up, share_x, share_y in ((0.20, 0.955, 0.92), (0.36, 0.995, 0.99), (0.62, 1.0, 1.0), (belt, 0.965, 0.93)):
        ring = _ring(_rounded(length * share_x, width * share_y), up)
        if up == belt:  # the bonnet falls ahead of the windscreen
            ring[:, 2] -= 0.22 * np.clip(ring[:, 0] / length - 0.2, 0.0, 0.3) / 0.3 + 0.04 * (
                ring[:, 0] < -0.4 * length
            )
        rings.append(ring)
    glass = _frustum(length, width, ((0.25, -0.43, 0.90, belt - 0.06), (0.07, -0.32, 0.72, high - 0.05)))
    roof = _frustum(length, width, ((0.075, -0.325, 0.73, high - 0.055), (0.05, -0.30, 0.68, high)))
    wheels = [
        _wheel(0.32, 0.22, (x * length, y * (0.5 * width - 0.10), 0.32)) for x in (0.29, -0.29) for y in (1.0, -1.0)
    ]
    return [
        Piece("tyre", join(wheels)),
        Piece("paint", loft(rings)),
        Piece("glass", glass),
        Piece("paint", roof),
        Piece("tail", _lamps(-0.487 * length, 0.36 * width, (0.07, 0.30, 0.13), 0.64)),
        Piece("head", _lamps(0.475 * length, 0.34 * width, (0.10, 0.34, 0.11), 0.52)),
        Piece("dark", box((0.05, 0.52, 0.11), (-0.5 * length + 0.01, 0.0, 0.46))),
    ]


def _truck(length: float, width: float) -> list[Piece]:
    cab, high = min(2.3, 0.35 * length), HEIGHTS[ActorKind.TRUCK]
    front = 0.5 * length - 0.5 * cab
    body = length - cab - 0.3
    wheels = [
        _wheel(0.5, 0.3, (x, y * (0.5 * width - 0.15), 0.5))
        for x in (front, -0.5 * length + 1.0, -0.5 * length + 2.2)
        for y in (1.0, -1.0)
    ]
    window = box((0.08, 0.86 * width, 0.8), (0.5 * length, 0.0, 1.75))
    return [
        Piece("tyre", join(wheels)),
        Piece("paint", box((cab, width, 2.5), (front, 0.0, 0.45))),
        Piece("glass", window),
        Piece("cargo", box((body, width, high - 1.0), (-0.5 * length + 0.5 * body, 0.0, 1.0))),
        Piece("dark", box((length - 0.4, 0.7 * width, 0.4), (0.0, 0.0, 0.6))),
        Piece("tail", _lamps(-0.5 * length - 0.02, 0.40 * width, (0.08, 0.36, 0.22), 0.8)),
        Piece("head", _lamps(0.5 * length + 0.01, 0.36 * width, (0.06, 0.40, 0.20), 0.75)),
    ]


def _rider(length: float, width: float) -> list[Piece]:
    reach, wheel = 0.5 * length, 0.33
    wheels = [_wheel(wheel, 0.08, (x, 0.0, wheel)) for x in (reach - wheel, wheel - reach)]
    return [
        Piece("tyre", join(wheels)),
        Piece("dark", box((length - 1.3 * wheel, 0.10, 0.32), (0.0, 0.0, 0.42))),
        Piece("dark", box((0.08, max(width, 0.5), 0.06), (0.26 * length, 0.0, 1.0))),
        Piece("coat", box((0.32, 0.42, 0.62), (-0.06 * length, 0.0, 0.82))),
        Piece("dark", box((0.40, 0.30, 0.38), (0.0, 0.0, 0.46))),
        Piece("skin", ball(0.14, (-0.02 * length, 0.0, 1.60))),
        Piece("tail", box((0.05, 0.12, 0.08), (-reach + 0.05, 0.0, 0.72))),
    ]


def _walker(_length: float, _width: float) -> list[Piece]:
    legs = [box((0.17, 0.16, 0.85), (0.0, side * 0.10, 0.0)) for side in (1.0, -1.0)]
    return [
        Piece("dark", join(legs)),
        Piece("coat", box((0.26, 0.46, 0.62), (0.0, 0.0, 0.82))),
        Piece("skin", ball(0.14, (0.0, 0.0, 1.60))),
    ]


def _obstacle(length: float, width: float) -> list[Piece]:
    return [Piece("crate", box((length, width, HEIGHTS[ActorKind.STATIC])))]


def _lamps(x: float, y: float, size: tuple[float, float, float], z: float) -> Solid:
    return join([box(size, (x, side * y, z)) for side in (1.0, -1.0)])


def _frustum(length: float, width: float, rows: Sequence[tuple[float, float, float, float]]) -> Solid:
    """Rectangles of (front, rear, share of the width, height), front and rear in shares of the length."""
    rings = []
    for front, rear, share, up in rows:
        half = 0.5 * share * width
        outline = np.array(
            [(front * length, -half), (front * length, half), (rear * length, half), (rear * length, -half)]
        )
        rings.append(_ring(outline, up))
    return loft(rings)


def _wheel(radius: float, broad: float, at: tuple[float, float, float]) -> Solid:
    """A cylinder along y."""
    turn = np.linspace(0.0, math.tau, 14, endpoint=False)
    x, z = radius * np.cos(turn) + at[0], radius * np.sin(turn) + at[2]
    rings = [np.stack([x, np.full_like(x, at[1] + side * 0.5 * broad), z], axis=-1) for side in (1.0, -1.0)]
    outer = loft(rings)  # its lid is at the right; the left needs one of its own
    left = np.array([(0, k + 1, k) for k in range(1, len(turn) - 1)])
    return Solid(outer.vertices, np.concatenate([outer.faces, left]))


def _rounded(length: float, width: float) -> Floats:
    """A rectangle with round corners, counter-clockwise, (points, 2)."""
    corner = min(0.34, 0.3 * width)
    turn = np.linspace(0.0, 0.5 * math.pi, 4)
    arc = corner * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    x, y = 0.5 * length - corner, 0.5 * width - corner
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])  # a quarter turn to the left
    pieces, rotate = [], np.eye(2)
    for place in ((x, y), (-x, y), (-x, -y), (x, -y)):
        pieces.append(arc @ rotate.T + place)
        rotate = quarter @ rotate
    return np.concatenate(pieces)


def _grown(outline: Floats, by: float) -> Floats:
    """A rectangle's corners, moved outward from its middle along both sides by `by`."""
    middle = outline.mean(axis=0)
    a, b = outline[0] - outline[1], outline[0] - outline[3]
    one, other = a / np.hypot(*a), b / np.hypot(*b)
    signs = np.sign((outline - middle) @ np.stack([one, other], axis=-1))
    return outline + by * (signs[:, :1] * one + signs[:, 1:] * other)


def _ring(outline: Floats, z: float) -> Floats:
    return np.column_stack([outline, np.full(len(outline), z)])


def _flat(strip: Strip, z: float) -> Solid:
    keep = _thin(strip)
    left, right = strip.left[keep], strip.right[keep]
    many = len(left)
    vertices = np.concatenate([_ring(left, z), _ring(right, z)])
    k = np.arange(many - 1)
    faces = np.concatenate(
        [np.stack([k, k + many, k + many + 1], axis=-1), np.stack([k, k + many + 1, k + 1], axis=-1)]
    )
    a, b, c = (vertices[faces[:, corner], :2] for corner in range(3))
    twice = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    faces[twice < 0.0] = faces[twice < 0.0][:, ::-1]
    return Solid(vertices, faces[np.abs(twice) > 1e-6])


def _thin(strip: Strip) -> NDArray[np.int64]:
    """Points of a strip that its shape needs: its ends, and where it has turned or gone on enough since the last."""
    if len(strip.left) < 4:
        return np.arange(len(strip.left))
    keep, turned, gone = [0], 0.0, 0.0
    turns, steps = np.zeros(len(strip.left)), np.zeros(len(strip.left))
    for border in (strip.left, strip.right):
        along = np.diff(border, axis=0)
        angles = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
        turns[1:-1] = np.maximum(turns[1:-1], np.abs(np.diff(angles)))
        steps[1:] = np.maximum(steps[1:], np.hypot(*along.T))
    for index in range(1, len(turns) - 1):
        turned, gone = turned + turns[index], gone + steps[index]
        if turned > TURN or gone > LONG:
            keep.append(index)
            turned = gone = 0.0
    return np.array([*keep, len(turns) - 1])
