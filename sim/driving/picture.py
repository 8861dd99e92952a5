"""A drive from above, frame by frame: road, actors, what others may do and how the ego would stop.

North is up and the frame follows the ego; a road that fits is shown whole and stays. Between two frames only what moves
is drawn anew (sim/driving/raster.py). From below to above:

    route         where the ego is to go, a faint line
    reach         where others may be while the stored plan plays, amber
    plan          the ground that the ego covers while it stops, in the colour of who drives
    trail         where it has been
    everybody     shadows, then vehicles and people, the ego last
    scan          where the rays of its lidar ended, if it has one

A frame of 1280 x 720 with 14 others took 12 to 16 ms on one core (2026-11).
"""

from __future__ import annotations

import itertools
import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from sim.driving.drawn import COLOURS, GRASS, DrawnRoad, drawn_road, hull
from sim.driving.figures import EGO, HALO, SHADOW, actor_parts, car_parts, shadow
from sim.driving.instruments import TONES, tone, write
from sim.driving.moment import CarSize, Course, Moment, scan_points
from sim.driving.raster import Brush, Bytes, Part, Sheet, disc, window_at
from sim.driving.scenery import scenery
from sim.road import Floats, Road

WIDTH, HEIGHT = 1280, 720
"""Pixels of a frame."""

SCALES = ((27.0, 5.6), (17.0, 7.0), (0.0, 9.6))
"""Limit (m/s) from which a frame has so many pixels per metre: at its limit a car crosses half a frame in 3 to 4 s."""

SCALE_MAX = 14.0
"""Pixels per metre at most: a car of a third of the picture shows nothing of the road."""

WHOLE = 7.0
"""Pixels per metre at which a road that fits into a frame is shown whole: a car is 32 pixels long."""

REACH: Bytes = (246, 178, 58)
ROUTE: Bytes = (84, 156, 255)
TRAIL: Bytes = (28, 116, 232)
SCAN: Bytes = (214, 24, 78)

DOT = 0.35
"""Radius of a lidar's point, m: it is to be seen beside the line of a box."""

SEEN = 4.0
"""Trail that is shown, s."""

AHEAD, AHEAD_MAX = 1.6, 0.22
"""The frame's middle is so many seconds ahead of the ego, at most this share of the frame's width."""

SETTLE = 1.5
"""s in which the frame follows a change of that by 63 %."""


class FromAbove:
    """Draws a drive's moments in their order. Owns the road's tiles and the trail."""

    def __init__(
        self, course: Course, width: int = WIDTH, height: int = HEIGHT, *, drawn: DrawnRoad | None = None
    ) -> None:
        """`drawn` saves drawing the same road's strips again."""
        self.course, self.width, self.height = course, width, height
        self.drawn = drawn if drawn is not None else drawn_road(course.road)
        self.scale, self._fixed = self._fit()
        parts = [Part(strip.outline, to_bytes(COLOURS[strip.ground])) for strip in self.drawn.strips]
        self._sheet = Sheet([*parts, *_beside(course.road)], self.scale, to_bytes(GRASS))
        self._route, self._reached = self._way(), 0
        self._trail: deque[tuple[float, float, float]] = deque()
        self._look: tuple[float, float, float] | None = None
        self.window = window_at(0.0, 0.0, self.scale, width, height)
        """What the last frame showed"""

    @property
    def follows(self) -> bool:
        """Whether the frame goes with the ego, instead of showing the road whole."""
        return self._fixed is None

    def frame(self, moment: Moment, *, words: bool = True) -> NDArray[np.uint8]:
        """One moment, (height, width, 3)."""
        size = self.course.size
        x, y = size.middle(*moment.pose)
        window = window_at(*(self._fixed or self._ahead(moment, x, y)), self.scale, self.width, self.height)
        self.window = window
        brush = Brush(self._sheet.cut(window), window)
        self._draw_route(brush, x, y)
        if moment.reach:
            brush.fill(moment.reach, REACH, 0.34)
        if len(moment.plan) > 1:
            self._plan(brush, moment)
        self._follow(brush, moment.time, x, y)
        self._actors(brush, moment, (x, y, moment.pose[2]))
        if len(moment.scan):
            brush.fill([disc((px, py), DOT, 8) for px, py in scan_points(self.course, moment).tolist()], SCAN, 0.9)
        frame = brush.frame()
        return write(frame, self.course, moment) if words else frame

    def _fit(self) -> tuple[float, tuple[float, float] | None]:
        """Pixels per metre, and the middle of the frame where the road is shown whole."""
        low_x, low_y, high_x, high_y = self.drawn.bounds
        fits = min(self.width / (high_x - low_x + 10.0), self.height / (high_y - low_y + 10.0))
        if fits >= WHOLE * self.height / HEIGHT:
            scale = min(fits, SCALE_MAX * self.height / HEIGHT)
            return scale, (0.5 * (low_x + high_x), 0.5 * (low_y + high_y))
        lanes = self.course.road.lanes
        limits = [lanes[lane].limit for lane in self.course.route] or [lane.limit for lane in lanes]
        known = [limit for limit in limits if math.isfinite(limit)]
        most = max(known, default=20.0)
        return next(scale for least, scale in SCALES if most >= least) * self.height / HEIGHT, None

    def _way(self) -> Floats:
        """The middle of the route's lanes, about the road's middle, (points, 2)."""
        lanes = self.course.road.lanes
        lines = []
        for index, lane in enumerate(self.course.route):
            follows = index + 1 == len(self.course.route) or self.course.route[index + 1] in lanes[lane].successors
            if follows:
                lines.append(lanes[lane].centre[::4])
        return np.concatenate(lines) - self.drawn.origin if lines else np.zeros((0, 2))

    def _ahead(self, moment: Moment, x: float, y: float) -> tuple[float, float]:
        """Where the frame's middle is, W: ahead of the ego, following slowly."""
        far = min(AHEAD * max(moment.speed, 0.0), AHEAD_MAX * self.width / self.scale)
        dx, dy = far * math.cos(moment.pose[2]), 0.6 * far * math.sin(moment.pose[2])  # frames are less high than wide
        if self._look is not None:
            share = 1.0 - math.exp(-max(moment.time - self._look[2], 0.0) / SETTLE)
            dx, dy = self._look[0] + share * (dx - self._look[0]), self._look[1] + share * (dy - self._look[1])
        self._look = (dx, dy, moment.time)
        return x + dx, y + dy

    def _draw_route(self, brush: Brush, x: float, y: float) -> None:
        """The route from the ego on."""
        if len(self._route) < 2:
            return
        near = np.hypot(*(self._route[self._reached : self._reached + 60] - (x, y)).T)
        self._reached += int(near.argmin())
        ahead = self._route[self._reached :]
        close = np.hypot(*(ahead - (x, y)).T) < math.hypot(self.width, self.height) / self.scale
        for run in np.split(ahead[close], np.flatnonzero(np.diff(np.flatnonzero(close)) > 1) + 1):
            brush.line(run, 0.5, ROUTE, 0.5)

    def _plan(self, brush: Brush, moment: Moment) -> None:
        """The ground under the ego's box from now until it stands, and that box."""
        colour, size = tone(moment), self.course.size
        boxes = [box(pose, size) for pose in np.asarray(moment.plan, float)[:, :3].tolist()]
        swept = [hull(np.concatenate([one, two])) for one, two in itertools.pairwise(boxes)]
        brush.fill(swept, colour, 0.38)
        outline = np.concatenate([boxes[-1], boxes[-1][:1]])
        brush.line(outline, max(0.18, 1.6 / self.scale), colour, 0.95)

    def _follow(self, brush: Brush, time: float, x: float, y: float) -> None:
        self._trail.append((time, x, y))
        while self._trail and time - self._trail[0][0] > SEEN:
            self._trail.popleft()
        points = np.array(self._trail)[:, 1:]
        third = max(len(points) // 3, 1)
        for index, opacity in enumerate((0.15, 0.3, 0.5)):  # older is fainter
            brush.line(points[index * third : None if index == 2 else (index + 1) * third + 1], 0.5, TRAIL, opacity)

    def _actors(self, brush: Brush, moment: Moment, ego: tuple[float, float, float]) -> None:
        size, others = self.course.size, moment.others
        seen: list[tuple[int, tuple[float, float, float], tuple[float, float], float, int]] = []
        for number, kind in enumerate(others.kind.tolist()):
            x, y, yaw = others.pose[number].tolist()
            if kind >= 0 and brush.window.sees(np.array([[x, y]]), 12.0 * self.scale):
                length, width = others.size[number].tolist()
                seen.append((kind, (x, y, yaw), (length, width), float(others.motion[number, 1]), number))
        boxes = [shadow(pose, extent) for _, pose, extent, _, _ in seen]
        brush.fill([*boxes, shadow(ego, (size.length, size.width))], SHADOW, 0.30)
        for kind, pose, extent, accel, number in sorted(seen, key=lambda each: -each[0]):
            brush.parts(actor_parts(kind, pose, extent, accel, number))
        halo = TONES["stopped"] if moment.contact else HALO
        brush.parts(car_parts(ego, (size.length, size.width), EGO, moment.motion[1], halo))


def _beside(road: Road) -> list[Part]:
    """Houses and trees with their shadows."""
    stands, parts = scenery(road), []
    grass = np.array(to_bytes(GRASS))
    shade = tuple((0.82 * grass).round().astype(int).tolist())
    for tree in stands.trees:
        parts.append(Part(disc((tree.x + 0.5, tree.y - 0.6), tree.radius, 24), (shade[0], shade[1], shade[2])))
    for house in stands.houses:
        fall = np.array([0.35, -0.4]) * min(0.35 * house.height, 3.0)
        swept = hull(np.concatenate([house.outline, house.outline + fall]))
        parts.append(Part(swept, (shade[0], shade[1], shade[2])))
    for tree in stands.trees:
        leaves = to_bytes(tree.leaves)
        light = (min(leaves[0] + 16, 255), min(leaves[1] + 18, 255), min(leaves[2] + 12, 255))
        parts.append(Part(disc((tree.x, tree.y), tree.radius, 24), leaves))
        parts.append(
            Part(disc((tree.x - 0.2 * tree.radius, tree.y + 0.25 * tree.radius), 0.55 * tree.radius, 20), light)
        )
    for house in stands.houses:
        roof = to_bytes(house.roof)
        edge = (round(0.82 * roof[0]), round(0.82 * roof[1]), round(0.82 * roof[2]))
        middle = np.array([house.x, house.y])
        parts.append(Part(house.outline, edge))
        parts.append(Part(middle + (house.outline - middle) * 0.94, roof))
    return parts


def box(pose: list[float], size: CarSize) -> Floats:
    """The corners of the ego's box where base_link is at a pose, counter-clockwise from its front right, (4, 2)."""
    x, y, yaw = pose
    c, s, half = math.cos(yaw), math.sin(yaw), 0.5 * size.width
    front, rear = size.length - size.rear, -size.rear
    local = ((front, -half), (front, half), (rear, half), (rear, -half))
    return np.array([(x + c * a - s * b, y + s * a + c * b) for a, b in local])


def to_bytes(colour: tuple[float, float, float, float]) -> Bytes:
    """A colour without its opacity, 0 to 255."""
    return (round(255 * colour[0]), round(255 * colour[1]), round(255 * colour[2]))
