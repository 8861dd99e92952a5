"""A small road world in numpy for the shield's tests; it shares no module with the shield but the arrays between them.

Rows are worlds with one ego each on a road of constant curvature with two lanes (the right one is lane 0, its middle at
d = 0 of the road's frame), and a third that crosses both where one is asked for. The ego is a kinematic single-track
car with a late drive, jerk and steering limits; others are driven by whoever tests, in (s, d) of the road or, across
it, along the crossing lane. `sense` tells the view with errors at their bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import warp as wp
from numpy.typing import NDArray

from safety.roadbounds import RoadRules
from safety.roadshield import RoadShield
from sim.bodies.specs import CAR
from sim.driving.atlas import Atlas
from sim.driving.filter import RoadInputs
from sim.driving.profile import RoadProfile
from sim.driving.state import PATH, PATH_BEHIND, PATH_STEP, PathColumn, make_view
from sim.filter import FilterOutputs
from sim.road import Lane, Road
from sim.robot import SECOND, RobotSpec

Floats = NDArray[np.float64]

WIDTH = 3.5
"""Of a lane, m"""

SUBSTEPS = 5
LENGTH = 6000.0
"""Of the road, m; it begins at -LENGTH / 2."""


def place(curvature: float, s: Floats, d: Floats) -> tuple[Floats, Floats, Floats]:
    """x, y and heading of (s, d) beside an arc that passes the origin along x."""
    s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
    heading = curvature * s
    if curvature == 0.0:
        return s, d, heading
    x, y = np.sin(heading) / curvature, (1.0 - np.cos(heading)) / curvature
    return x - d * np.sin(heading), y + d * np.cos(heading), heading


def find(curvature: float, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """(s, d) of places, s within half a turn of the origin."""
    if curvature == 0.0:
        return x, y
    radius = 1.0 / curvature
    sign = np.sign(curvature)
    angle = np.arctan2(sign * x, sign * (radius - y))
    return angle / curvature, radius - sign * np.hypot(x, radius - y)


def road_of(curvature: float, crossing: bool) -> Road:
    """Two lanes that run the same way, and one across them at s = 0."""
    half = LENGTH / 2 if curvature == 0.0 else min(LENGTH / 2, 3.0 / abs(curvature))
    s = np.linspace(-half, half, 801)

    def border(d: float) -> Floats:
        x, y, _ = place(curvature, s, np.full_like(s, d))
        return np.stack([x, y], -1)

    right = Lane("right", border(0.5 * WIDTH), border(-0.5 * WIDTH), limit=30.0, left_neighbour=1)
    left = Lane("left", border(1.5 * WIDTH), border(0.5 * WIDTH), limit=30.0, right_neighbour=0)
    if not crossing:
        return Road("arc", (right, left))
    y = np.linspace(-200.0, 200.0, 401)
    across = Lane("across", np.stack([0 * y - 1.75, y], -1), np.stack([0 * y + 1.75, y], -1), limit=14.0)
    return Road("cross", (right, left, across))


@dataclass
class Others:
    """Everybody else, (worlds, many): along and beside the road, or along the crossing lane where `across`."""

    s: Floats
    d: Floats
    v: Floats
    lateral: Floats
    length: Floats
    width: Floats
    kind: NDArray[np.int32]
    """-1 for none"""
    across: NDArray[np.bool_]
    """Drives along the crossing lane: s is along it, -200 at its beginning"""


def no_others(worlds: int, many: int) -> Others:
    """Room for others."""
    zero = np.zeros((worlds, many))
    return Others(
        zero.copy(), zero.copy(), zero.copy(), zero.copy(), zero + 4.5, zero + 1.8,
        np.full((worlds, many), -1, np.int32), np.zeros((worlds, many), bool),
    )  # fmt: skip


def corners(x: Floats, y: Floats, yaw: Floats, length: Floats, width: Floats) -> Floats:
    """Corners of boxes, (..., 4, 2)."""
    along = np.stack([np.cos(yaw), np.sin(yaw)], -1)[..., None, :]
    across = np.stack([-np.sin(yaw), np.cos(yaw)], -1)[..., None, :]
    signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)], float)
    half = 0.5 * np.stack(np.broadcast_arrays(length, width), -1)[..., None, :] * signs
    return np.stack(np.broadcast_arrays(x, y), -1)[..., None, :] + half[..., :1] * along + half[..., 1:] * across


def overlap(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Whether boxes share ground, by separating axes; corners (..., 4, 2)."""
    apart = np.zeros(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), bool)
    for box in (a, b):
        for i in (0, 1):
            axis = box[..., i + 1, :] - box[..., i, :]
            p, q = (a * axis[..., None, :]).sum(-1), (b * axis[..., None, :]).sum(-1)
            apart |= (p.max(-1) <= q.min(-1)) | (q.max(-1) <= p.min(-1))
    return ~apart


@dataclass
class RoadWorld:
    """Worlds, a shield and the arrays between them."""

    worlds: int
    many: int = 6
    curvature: float = 0.0
    crossing: bool = False
    spec: RobotSpec = CAR
    profile: RoadProfile = field(default_factory=RoadProfile)
    rules: RoadRules = field(default_factory=RoadRules)
    seed: int = 0
    noise: float = 1.0
    """Share of the errors' bounds"""
    limit: float = 30.0

    def __post_init__(self) -> None:
        wp.config.quiet = True
        self.rng = np.random.default_rng(self.seed)
        self.atlas = Atlas([road_of(self.curvature, self.crossing)], routes=1)
        self.ox, self.oy = self.atlas.origin(0)
        self.shield = RoadShield(self.spec, self.profile, self.rules)
        rows = self.worlds

        def zeros(*shape: int, dtype: type = wp.float32) -> wp.array:
            return wp.zeros(shape, dtype=dtype, device="cpu")

        self.view = make_view(rows, "cpu")
        self.inputs = RoadInputs(zeros(rows, 2), zeros(rows, 2), self.view, self.atlas.lanes, self.atlas.conflicts)
        self.memory = self.shield.init(rows)
        self.out = FilterOutputs(zeros(rows, 2), zeros(rows), zeros(rows, dtype=wp.int8))
        self.seen = {name: getattr(self.view, name).numpy() for name in self.view._cls.vars}
        self.period = self.spec.period / SECOND
        drive = self.spec.car
        self.delay = np.round(self.rng.uniform(0.0, self.spec.latency_bound, rows) / self.period * SUBSTEPS).astype(int)
        """Substeps after which the drive answers"""
        self.queue = np.zeros((rows, 64, 2))
        self.x, self.y, self.yaw = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        self.v, self.a, self.k = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        self.released = np.zeros((rows, 2))
        self.others = no_others(rows, self.many)
        self.middle = 0.5 * self.spec.length - drive.rear_overhang
        self.lane = np.zeros(rows, int)

    def put(self, s: Floats | float, d: Floats | float, v: Floats | float) -> None:
        """Place the egos, looking along the road, driving steadily; the shield forgets."""
        s, d = (
            np.broadcast_to(np.asarray(s, float), (self.worlds,)),
            np.broadcast_to(np.asarray(d, float), (self.worlds,)),
        )
        self.x, self.y, self.yaw = (np.array(value) for value in place(self.curvature, s, d))
        self.v = np.array(np.broadcast_to(np.asarray(v, float), (self.worlds,)))
        self.a, self.k = np.zeros(self.worlds), np.full(self.worlds, self.curvature)
        self.released = np.stack([np.zeros(self.worlds), self.k], -1)
        self.queue[...] = self.released[:, None]
        self.shield.reset(wp.array(np.ones(self.worlds, np.uint8), device="cpu"), self.memory)

    def frenet(self) -> tuple[Floats, Floats, Floats]:
        """s, d and heading error of the egos on the road."""
        s, d = find(self.curvature, self.x, self.y)
        turn = self.yaw - self.curvature * s
        return s, d, np.arctan2(np.sin(turn), np.cos(turn))

    def poses(self) -> tuple[Floats, Floats, Floats]:
        """x, y and yaw of the others' middles."""
        o = self.others
        x, y, yaw = place(self.curvature, o.s, o.d)
        x, y = np.where(o.across, -o.d, x), np.where(o.across, o.s, y)
        turn = np.where(np.abs(o.v) > 0.1, np.arctan2(o.lateral, np.maximum(o.v, 0.1)), 0.0)
        return x, y, np.where(o.across, 0.5 * np.pi, yaw) + turn

    def sense(self) -> None:
        """Write the view: truth and errors."""
        n, rng, o = self.seen, self.rng, self.others
        s, d, turn = self.frenet()

        def error(bound: float, *shape: int) -> Floats:
            return bound * self.noise * rng.uniform(-1.0, 1.0, shape)

        rows = self.worlds
        self.lane = np.where(d > 0.5 * WIDTH, 1, 0)
        base = self.lane * WIDTH
        points = s[:, None] + (np.arange(PATH) - PATH_BEHIND) * PATH_STEP / (1.0 - self.curvature * base[:, None])
        x, y, heading = place(self.curvature, points, np.broadcast_to(base[:, None], points.shape))
        path = n["path"]
        path[:, :, PathColumn.X], path[:, :, PathColumn.Y] = x - self.ox, y - self.oy
        path[:, :, PathColumn.HEADING] = heading
        path[:, :, PathColumn.CURVATURE] = (self.curvature / (1.0 - self.curvature * base))[:, None]
        path[:, :, PathColumn.LEFT] = path[:, :, PathColumn.RIGHT] = 0.5 * WIDTH
        path[:, :, PathColumn.LEFT_LANE] = np.where(self.lane == 0, WIDTH, 0.0)[:, None]
        path[:, :, PathColumn.RIGHT_LANE] = np.where(self.lane == 1, WIDTH, 0.0)[:, None]
        path[:, :, PathColumn.LIMIT] = self.limit
        begin = -LENGTH / 2 if self.curvature == 0.0 else -min(LENGTH / 2, 3.0 / abs(self.curvature))
        n["path_lane"][...] = self.lane[:, None]
        n["path_s"][...] = (points - begin) * (1.0 - self.curvature * base[:, None])
        n["lane"][...] = self.lane
        n["pose"][:, 0], n["pose"][:, 1], n["pose"][:, 2] = self.x - self.ox, self.y - self.oy, self.yaw
        for k, value in enumerate((self.v, self.a, self.k, self.v * self.k)):
            n["motion"][:, k] = value
        n["where"][:, 0] = d - base + error(0.5 * self.rules.lane_error, rows)
        n["where"][:, 1] = turn
        n["range"][...] = 180.0
        m = self.many
        ox, oy, oyaw = self.poses()
        n["object_kind"][:, :m] = o.kind
        spread = 0.2
        objects = n["objects"][:, :m]
        angle = rng.uniform(0, 2 * np.pi, (rows, m))
        off = spread * self.noise * rng.random((rows, m))
        objects[:, :, 0] = ox - self.ox + off * np.cos(angle)
        objects[:, :, 1] = oy - self.oy + off * np.sin(angle)
        objects[:, :, 2], objects[:, :, 5], objects[:, :, 6] = oyaw, o.length, o.width
        objects[:, :, 3] = np.maximum(o.v + error(self.rules.speed_error, rows, m), 0.0)
        objects[:, :, 7], objects[:, :, 11] = 0.0, spread
        lane = np.where(o.across, 2, np.where(o.d > 0.5 * WIDTH, 1, 0))
        n["object_lane"][:, :m] = np.where(o.kind == 5, -1, lane)
        lane_s = (o.s - begin) * (1.0 - self.curvature * o.d)
        objects[:, :, 8] = np.where(o.across, o.s + 200.0, lane_s) + error(spread, rows, m)
        objects[:, :, 9] = np.where(o.across, o.d, o.d - lane * WIDTH)
        objects[:, :, 10] = o.lateral

    def judge(self, command: Floats) -> Floats:
        """What the shield releases for proposals (worlds, 2)."""
        self.inputs.command.numpy()[...] = command
        self.inputs.last_command.numpy()[...] = self.released
        self.shield.launch(self.inputs, self.memory, self.out)
        self.released = self.out.command.numpy().astype(float)
        return self.released

    def drive(self, others: object = None) -> NDArray[np.bool_]:
        """One period of motion; `others(dt)` moves everybody else. Which others the egos touched, (worlds, many)."""
        drive, dt = self.spec.car, self.period / SUBSTEPS
        touched = np.zeros((self.worlds, self.many), bool)
        rows = np.arange(self.worlds)
        for _ in range(SUBSTEPS):
            self.queue = np.concatenate([self.released[:, None], self.queue[:, :-1]], 1)
            told = self.queue[rows, self.delay]
            wish = np.clip(told[:, 0], -drive.brake_min, drive.accel_max)
            self.a = self.a + np.clip(wish - self.a, -drive.jerk_max * dt, drive.jerk_max * dt)
            rate = drive.steer_rate / drive.wheelbase * dt
            self.k = self.k + np.clip(told[:, 1] - self.k, -rate, rate)
            v = np.clip(self.v + self.a * dt, 0.0, drive.speed_max)
            self.a = np.where(v <= 0.0, np.maximum(self.a, 0.0), self.a)
            way = 0.5 * (self.v + v) * dt
            middle = self.yaw + 0.5 * self.k * way
            self.x, self.y = self.x + way * np.cos(middle), self.y + way * np.sin(middle)
            self.yaw, self.v = self.yaw + self.k * way, v
            if callable(others):
                others(dt)
            touched |= self.touching()
        return touched

    def ego_corners(self) -> Floats:
        """(worlds, 4, 2)"""
        x, y = self.x + self.middle * np.cos(self.yaw), self.y + self.middle * np.sin(self.yaw)
        return corners(x, y, self.yaw, np.array(self.spec.length), np.array(self.spec.width))

    def touching(self) -> NDArray[np.bool_]:
        """Whom the egos touch now, (worlds, many)."""
        o = self.others
        boxes = corners(*self.poses(), o.length, o.width)
        return overlap(self.ego_corners()[:, None], boxes) & (o.kind >= 0)
