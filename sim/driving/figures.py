"""What actors on the road look like from above: polygons in their colours, with lights.

Shapes are given on a unit box (x ahead, y to the left, both -0.5 to 0.5) and stretched to the actor's length and width,
so every kind needs few numbers. The ego is blue and outlined in white, others have the muted colours of traffic, by
slot.
"""

from __future__ import annotations

import math

import numpy as np

from sim.actors import ActorKind
from sim.driving.raster import Bytes, Part, disc
from sim.road import Floats

EGO: Bytes = (28, 116, 232)
HALO: Bytes = (255, 255, 255)
GLASS: Bytes = (38, 46, 58)
TYRE: Bytes = (28, 30, 34)
SHADOW: Bytes = (20, 24, 20)
HEADLIGHT: Bytes = (255, 250, 225)
TAIL: Bytes = (128, 22, 24)
BRAKE: Bytes = (255, 40, 32)
SKIN: Bytes = (214, 170, 138)
PAINTS: tuple[Bytes, ...] = (
    (232, 233, 235), (168, 174, 182), (96, 104, 114), (58, 62, 70), (172, 62, 56), (196, 160, 96), (84, 118, 96),
    (122, 92, 132), (214, 206, 190),
)  # fmt: skip
"""Cars: white, silver, grey, black, a few reds, golds, greens."""
COATS: tuple[Bytes, ...] = ((206, 72, 44), (226, 168, 40), (52, 92, 158), (126, 60, 116), (40, 122, 104))
"""People's clothes: the bright ones that can be seen from above."""

BRAKING = -0.6
"""Acceleration below which brake lights burn, m/s^2 (UN R13-H asks for them from -1.3, allows them from -0.7)."""


def actor_parts(
    kind: int, pose: tuple[float, float, float], size: tuple[float, float], accel: float, number: int
) -> list[Part]:
    """An actor by its kind: middle of its box with yaw, length and width, acceleration, number for its colour."""
    if kind == ActorKind.PEDESTRIAN:
        return _pedestrian(pose, COATS[number % len(COATS)])
    if kind in (ActorKind.BICYCLE, ActorKind.MOTORCYCLE):
        return _rider(pose, size, COATS[number % len(COATS)], motor=kind == ActorKind.MOTORCYCLE, braking=accel)
    if kind == ActorKind.STATIC:
        return _obstacle(pose, size)
    paint = PAINTS[number % len(PAINTS)]
    return _truck(pose, size, paint, accel) if kind == ActorKind.TRUCK else car_parts(pose, size, paint, accel)


def car_parts(
    pose: tuple[float, float, float], size: tuple[float, float], paint: Bytes, accel: float, halo: Bytes | None = None
) -> list[Part]:
    """A car; `halo` outlines it."""
    roof = tuple(min(255, round(1.07 * part + 6)) for part in paint)
    dark = tuple(round(0.8 * part) for part in paint)
    lights = BRAKE if accel < BRAKING else TAIL
    parts = [] if halo is None else [Part(_placed(_body(), pose, (size[0] + 0.7, size[1] + 0.7)), halo)]
    shapes = [
        (_body(), dark),
        (_body() * (0.975, 0.93), paint),
        (_quad(0.49, 0.44, 0.30, 0.44), HEADLIGHT),
        (_quad(0.49, 0.44, -0.44, -0.30), HEADLIGHT),
        (_quad(-0.44, -0.49, 0.24, 0.45), lights),
        (_quad(-0.44, -0.49, -0.45, -0.24), lights),
        (np.array([(0.22, -0.43), (0.22, 0.43), (-0.40, 0.40), (-0.40, -0.40)]), GLASS),
        (np.array([(0.06, -0.36), (0.06, 0.36), (-0.27, 0.36), (-0.27, -0.36)]), roof),
    ]
    return parts + [Part(_placed(shape, pose, size), (colour[0], colour[1], colour[2])) for shape, colour in shapes]


def shadow(pose: tuple[float, float, float], size: tuple[float, float]) -> Floats:
    """The outline of what an actor's shadow covers: its box, a little larger, to the south-east."""
    x, y, yaw = pose
    return _placed(_body(), (x + 0.18, y - 0.22, yaw), (size[0] + 0.15, size[1] + 0.15))


def _truck(pose: tuple[float, float, float], size: tuple[float, float], paint: Bytes, accel: float) -> list[Part]:
    cab = min(2.3 / size[0], 0.35)
    front, lights = 0.5 - cab, BRAKE if accel < BRAKING else TAIL
    box = tuple(round(0.35 * part + 0.65 * 235) for part in paint)
    shapes = [
        (_quad(0.5, front + 0.01, -0.46, 0.46), paint),
        (_quad(0.5 - 0.25 * cab, front + 0.45 * cab, -0.42, 0.42), GLASS),
        (_quad(0.5, 0.5 - 0.12 * cab, 0.30, 0.44), HEADLIGHT),
        (_quad(0.5, 0.5 - 0.12 * cab, -0.44, -0.30), HEADLIGHT),
        (_quad(front - 0.02, -0.5, -0.5, 0.5), tuple(round(0.85 * part) for part in box)),
        (_quad(front - 0.035, -0.485, -0.44, 0.44), box),
        (_quad(-0.485, -0.5, 0.22, 0.48), lights),
        (_quad(-0.485, -0.5, -0.48, -0.22), lights),
    ]
    return [Part(_placed(shape, pose, size), (colour[0], colour[1], colour[2])) for shape, colour in shapes]


def _rider(
    pose: tuple[float, float, float], size: tuple[float, float], coat: Bytes, *, motor: bool, braking: float
) -> list[Part]:
    length, width = size
    wheels = 0.30 if motor else 0.12
    shapes = [
        (_quad(0.5, -0.5, -wheels, wheels), TYRE),
        (_quad(0.30, 0.24, -0.5, 0.5), TYRE),
        (_quad(-0.46, -0.5, -wheels, wheels), BRAKE if motor and braking < BRAKING else TAIL),
    ]
    parts = [Part(_placed(shape, pose, (length, max(width, 0.5))), colour) for shape, colour in shapes]
    x, y, yaw = pose
    body = disc((0.0, 0.0), 0.5, 14) * (0.75, max(width, 0.55))
    back = (x - 0.05 * length * math.cos(yaw), y - 0.05 * length * math.sin(yaw), yaw)
    head = disc((x + 0.08 * math.cos(yaw), y + 0.08 * math.sin(yaw)), 0.16, 12)
    return [*parts, Part(_placed(body, back, (1.0, 1.0)), coat), Part(head, TYRE if motor else SKIN)]


def _pedestrian(pose: tuple[float, float, float], coat: Bytes) -> list[Part]:
    x, y, _ = pose
    shoulders = _placed(disc((0.0, 0.0), 0.5, 16), pose, (0.42, 0.72))
    return [Part(disc((x, y), 0.46, 18), HALO), Part(shoulders, coat), Part(disc((x, y), 0.15, 12), SKIN)]


def _obstacle(pose: tuple[float, float, float], size: tuple[float, float]) -> list[Part]:
    parts = [Part(_placed(_quad(0.5, -0.5, -0.5, 0.5), pose, size), (120, 84, 40))]
    inner = (max(size[0] - 0.3, 0.6 * size[0]), max(size[1] - 0.3, 0.6 * size[1]))
    return [*parts, Part(_placed(_quad(0.5, -0.5, -0.5, 0.5), pose, inner), (206, 150, 66))]


def _body() -> Floats:
    """A box with round corners, the front ones rounder."""
    front, rear = (0.5, 0.36, 0.11), (0.5, 0.44, 0.07)
    side = [(front[0], 0.22), (0.475, front[1]), (0.5 - front[2], 0.485), (0.2, 0.5), (-0.3, 0.5)]
    side += [(-0.5 + rear[2], 0.485), (-0.485, rear[1]), (-0.5, 0.28)]
    half = np.array(side)
    return np.concatenate([half, half[::-1] * (1.0, -1.0)])


def _quad(front: float, rear: float, right: float, left: float) -> Floats:
    return np.array([(front, right), (front, left), (rear, left), (rear, right)])


def _placed(shape: Floats, pose: tuple[float, float, float], size: tuple[float, float]) -> Floats:
    """A unit shape at a pose, stretched to a size, W."""
    x, y, yaw = pose
    c, s = math.cos(yaw), math.sin(yaw)
    local = shape * size
    return np.stack([x + c * local[:, 0] - s * local[:, 1], y + s * local[:, 0] + c * local[:, 1]], axis=-1)
