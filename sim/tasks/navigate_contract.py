"""The navigate skill as policy and robot see it: the corridor is the goal, the observation is one kernel.

The same kernel observes thousands of rows in training and one row on a robot; equal inputs give equal bits on one
device. Fields in order (89 numbers):

    nearness      64   0.2 m / (0.2 m + gap) of the ray nearest to each of 64 equal bin centres; bin i looks at
                       -pi + 2 pi i / 64 in B; the gap is what lies between the hull and what the ray hit
    corridor      15   the five next way-points from the robot's segment on: x, y in B / 5 m within [-1, 1], half
                       width in m
    track          3   signed distance from the segment (m, left positive), sine and cosine of the heading error
    twist          2   v / speed_max, w / turn_max, measured
    last_command   2   the same, as released in the cycle before
    remaining      2   distance along the corridor to its end / 5 m, at most 1; 1 where that end is the leg's goal
    clearance      1   distance along the corridor to the nearest of those rays' hits in it / 5 m, at most 1

A policy for floors with speed zones may ask for one number more (`limited`), behind the others:

    limit          1   the speed that may be commanded here and on the way (sim/pace.py) / speed_max, at most 1

Granted cells hold no rack, so a hit well inside the corridor (CLEAR_MARGIN from its edge) is a person or something
left behind. Without this field a policy of the same size drove into one in ten of the people it met (2026-11, 1.5 M
steps).

The robot's segment is the nearest one of the corridor; of two equally near the later. A corridor of one way-point is
a segment of no length that points from the robot to it. Without a corridor its fields are 0. This module needs
numpy and Warp alone, because robots import it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import replace

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.geometry import CORRIDOR_POINTS
from sim.launches import record
from sim.robot import SECOND, Lidar, RobotSpec
from sim.segments import nearest_segment
from sim.tasks.contract import Contract, Field

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

BINS = 64
"""Range bins of the observation."""

NEAR = 0.2
"""m; a gap of this much is half way between touching and far. What decides a collision happens within decimetres: with
ranges / 6 m instead, training reached 0.91 on held-out layouts after 1.0 M steps, with nearness 0.945 after 0.5 M;
counted from the hull, half as many episodes end at a rack as when counted from its middle (2026-11)."""

WAYPOINTS = 5
"""Way-points observed: the coordinator's look-ahead."""

POINT_SCALE = 5.0
"""m"""

CORRIDOR_AT, TRACK_AT, TWIST_AT, COMMAND_AT, REMAINING_AT, CLEARANCE_AT = (
    wp.constant(begin) for begin in (64, 79, 82, 84, 86, 88)
)
"""Where each field after the first begins in an observation."""

CLEAR_MARGIN = 0.12
"""Hits nearer than this to the corridor's edge may be the rack beside it, m: localisation bound, noise and yaw."""

OBSERVATION = 89
"""Numbers in an observation."""

BINS_C = wp.constant(BINS)
NEAR_C = wp.constant(NEAR)
WAYPOINTS_C = wp.constant(WAYPOINTS)
POINT_C = wp.constant(POINT_SCALE)
MARGIN_C = wp.constant(CLEAR_MARGIN)


def navigate_contract(spec: RobotSpec, *, limited: bool = False) -> Contract:
    """The contract of the navigate skill on one kind of robot. Only what the observation depends on enters it.

    The number of rays is no part of it: the bins are taken from whatever the lidar has. `limited` adds the speed limit.
    """
    period = spec.period / SECOND
    age = spec.sensor_age_bound

    def field(name: str, shape: tuple[int, ...], unit: str, frame: str, low: float, high: float) -> Field:
        return Field(name, shape, "float32", unit, frame, low, high, period, age)

    return Contract(
        task="navigate",
        fields=(
            field("nearness", (BINS,), "0.2 m / (0.2 m + gap)", "B", 0.0, 1.0),
            field("corridor", (WAYPOINTS, 3), "5 m, 5 m, m", "B", -1.0, 2.0),
            field("track", (3,), "m, 1, 1", "B", -5.0, 5.0),
            field("twist", (2,), "speed_max, turn_max", "B", -2.0, 2.0),
            field("last_command", (2,), "speed_max, turn_max", "B", -1.0, 1.0),
            field("remaining", (2,), "5 m, 1", "", 0.0, 1.0),
            field("clearance", (1,), "5 m", "", 0.0, 1.0),
            *([field("limit", (1,), "speed_max", "B", 0.0, 1.0)] if limited else []),
        ),
        actions=(
            Field("speed", (1,), "float32", "speed_max forwards, reverse_max backwards", "B", -1.0, 1.0, period, 0.0),
            Field("turn", (1,), "float32", "turn_max", "B", -1.0, 1.0, period, 0.0),
        ),
        embodiment=replace(spec, lidar=replace(spec.lidar, rays=BINS)).embodiment_hash(),
    )


def ray_directions(lidar: Lidar, device: str) -> wp.array:
    """Unit vectors of the rays in B, vec2 (rays,)."""
    angle = lidar.angles().astype(np.float64)
    return wp.array(np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32), dtype=wp.vec2, device=device)


def bin_rays(rays: int) -> NDArray[np.int32]:
    """The ray nearest to each bin's centre, int32 (BINS,)."""
    return (np.rint(np.arange(BINS) * rays / BINS).astype(np.int64) % rays).astype(np.int32)


def bin_hull(spec: RobotSpec) -> NDArray[np.float32]:
    """Distance from base_link to the footprint's edge along each bin's direction, m, float32 (BINS,)."""
    angle = -np.pi + 2.0 * np.pi * np.arange(BINS) / BINS
    ahead = spec.length / 2.0 / np.maximum(np.abs(np.cos(angle)), 1e-9)
    aside = spec.width / 2.0 / np.maximum(np.abs(np.sin(angle)), 1e-9)
    return np.minimum(ahead, aside).astype(np.float32)


@wp.func
def to_command(speed: float, turn: float, speed_max: float, reverse_max: float, turn_max: float) -> wp.vec2:
    """An action in [-1, 1]^2 as v (m/s) and w (rad/s)."""
    a = wp.clamp(speed, -1.0, 1.0)
    return wp.vec2(wp.max(a, 0.0) * speed_max + wp.min(a, 0.0) * reverse_max, wp.clamp(turn, -1.0, 1.0) * turn_max)


@wp.kernel
def act(
    action: wp.array2d(dtype=wp.float32),
    speed_max: float,
    reverse_max: float,
    turn_max: float,
    command: wp.array2d(dtype=wp.float32),
) -> None:
    """Each row's action as a command, (rows, 2)."""
    row = wp.tid()
    told = to_command(action[row, 0], action[row, 1], speed_max, reverse_max, turn_max)
    for k in range(2):
        command[row, k] = told[k]


def action_to_command(action: NDArray[np.float32], spec: RobotSpec) -> NDArray[np.float32]:
    """The same on the host, (..., 2): what a robot does with its policy's output."""
    a = np.clip(np.asarray(action, np.float32), np.float32(-1.0), np.float32(1.0))
    v = np.maximum(a[..., 0], 0) * np.float32(spec.diff.speed_max) + np.minimum(a[..., 0], 0) * np.float32(
        spec.diff.reverse_max
    )
    return np.stack([v, a[..., 1] * np.float32(spec.diff.turn_max)], axis=-1).astype(np.float32)


@wp.kernel
def observe(
    scan: wp.array2d(dtype=wp.float32),
    directions: wp.array(dtype=wp.vec2),
    bins: wp.array(dtype=wp.int32),
    hull: wp.array(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    last_command: wp.array2d(dtype=wp.float32),
    points: wp.array3d(dtype=wp.float32),
    half_width: wp.array2d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    final: wp.array(dtype=wp.uint8),
    speed_max: float,
    turn_max: float,
    mask: wp.array(dtype=wp.uint8),
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The observation of each masked row, (rows, OBSERVATION)."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    for k in range(BINS_C):
        out[row, k] = NEAR_C / (NEAR_C + wp.max(scan[row, bins[k]] - hull[k], 0.0))
    x = pose[row, 0]
    y = pose[row, 1]
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    n = count[row]
    segment, share = nearest_segment(row, points, n, x, y)
    # direction and lateral offset
    ux = wp.float32(0.0)
    uy = wp.float32(0.0)
    lateral = wp.float32(0.0)
    rest = wp.float32(0.0)
    if n > 1:
        ux = points[row, segment, 0] - points[row, segment - 1, 0]
        uy = points[row, segment, 1] - points[row, segment - 1, 1]
        length = wp.sqrt(ux * ux + uy * uy)
        rest = (1.0 - share) * length
        if length > 1.0e-6:
            ux = ux / length
            uy = uy / length
            lateral = ux * (y - points[row, segment, 1]) - uy * (x - points[row, segment, 0])
        for k in range(segment + 1, n):
            ex = points[row, k, 0] - points[row, k - 1, 0]
            ey = points[row, k, 1] - points[row, k - 1, 1]
            rest += wp.sqrt(ex * ex + ey * ey)
    elif n == 1:
        ux = points[row, 0, 0] - x
        uy = points[row, 0, 1] - y
        rest = wp.sqrt(ux * ux + uy * uy)
        if rest > 1.0e-3:
            ux = ux / rest
            uy = uy / rest
        else:
            ux = c
            uy = s
    for k in range(WAYPOINTS_C):
        at = CORRIDOR_AT + 3 * k
        if n > 0:
            j = wp.min(segment + k, n - 1)
            dx = points[row, j, 0] - x
            dy = points[row, j, 1] - y
            out[row, at] = wp.clamp((c * dx + s * dy) / POINT_C, -1.0, 1.0)
            out[row, at + 1] = wp.clamp((c * dy - s * dx) / POINT_C, -1.0, 1.0)
            out[row, at + 2] = half_width[row, j]
        else:
            out[row, at] = 0.0
            out[row, at + 1] = 0.0
            out[row, at + 2] = 0.0
    clear = wp.float32(POINT_C)
    if n > 1:
        for k in range(BINS_C):
            ray = bins[k]
            distance = scan[row, ray]
            if distance < POINT_C:
                d = directions[ray]
                px = x + distance * (c * d[0] - s * d[1])
                py = y + distance * (s * d[0] + c * d[1])
                # distance along the corridor from the robot's foot to the end of the segment before
                before = wp.float32(0.0)
                for j in range(segment, n):
                    ax = points[row, j - 1, 0]
                    ay = points[row, j - 1, 1]
                    ex = points[row, j, 0] - ax
                    ey = points[row, j, 1] - ay
                    length = wp.sqrt(ex * ex + ey * ey)
                    if length > 1.0e-6:
                        ex = ex / length
                        ey = ey / length
                        along = ex * (px - ax) + ey * (py - ay)
                        if j == segment:
                            before = -share * length
                        beyond = length
                        if j == n - 1:
                            beyond = length + half_width[row, j] - MARGIN_C
                        if along > 0.0 and along <= beyond:
                            beside = wp.abs(ex * (py - ay) - ey * (px - ax))
                            if beside < half_width[row, j] - MARGIN_C and before + along > 0.0:
                                clear = wp.min(clear, before + along)
                        before += length
    out[row, TRACK_AT] = wp.clamp(lateral, -5.0, 5.0)
    out[row, TRACK_AT + 1] = s * ux - c * uy
    out[row, TRACK_AT + 2] = c * ux + s * uy
    out[row, TWIST_AT] = twist[row, 0] / speed_max
    out[row, TWIST_AT + 1] = twist[row, 1] / turn_max
    out[row, COMMAND_AT] = last_command[row, 0] / speed_max
    out[row, COMMAND_AT + 1] = last_command[row, 1] / turn_max
    out[row, REMAINING_AT] = wp.min(rest / POINT_C, 1.0)
    out[row, REMAINING_AT + 1] = float(final[row])
    out[row, CLEARANCE_AT] = clear / POINT_C


class NavigateObserver:
    """The observation of a few robots outside the simulator: preallocated inputs, one recorded launch.

    Owns its arrays: write the numpy views (`scan`, `pose`, ...), call `observe`, read the result. On a robot `rows`
    is 1.
    """

    def __init__(self, spec: RobotSpec, rows: int = 1, device: str = "cpu", *, limited: bool = False) -> None:
        """`limited`: `out` has one number more, the limit, which whoever knows it writes into its last column."""
        shapes = {
            "scan": (rows, spec.lidar.rays),
            "pose": (rows, 3),
            "twist": (rows, 2),
            "last_command": (rows, 2),
            "points": (rows, CORRIDOR_POINTS, 2),
            "half_width": (rows, CORRIDOR_POINTS),
        }
        arrays = {name: wp.zeros(shape, dtype=wp.float32, device=device) for name, shape in shapes.items()}
        count = wp.zeros(rows, dtype=wp.int32, device=device)
        final = wp.zeros(rows, dtype=wp.uint8, device=device)
        out = wp.zeros((rows, OBSERVATION + int(limited)), dtype=wp.float32, device=device)
        self._keep = (arrays, count, final, out)
        self.scan, self.pose, self.twist, self.last_command, self.points, self.half_width = (
            arrays[name].numpy() for name in shapes
        )
        self.count, self.final, self.out = count.numpy(), final.numpy(), out.numpy()
        self._command = record(
            observe,
            dim=rows,
            inputs=[
                arrays["scan"],
                ray_directions(spec.lidar, device),
                wp.array(bin_rays(spec.lidar.rays), dtype=wp.int32, device=device),
                wp.array(bin_hull(spec), dtype=wp.float32, device=device),
                arrays["pose"],
                arrays["twist"],
                arrays["last_command"],
                arrays["points"],
                arrays["half_width"],
                count,
                final,
                spec.diff.speed_max,
                spec.diff.turn_max,
                wp.ones(rows, dtype=wp.uint8, device=device),
                out,
            ],
            device=device,
        )

    def observe(self) -> NDArray[np.float32]:
        """The observation of what the inputs hold now, (rows, OBSERVATION); the next call writes the array again."""
        self._command.launch()
        return self.out
