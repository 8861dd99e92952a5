"""What stands behind each lidar point, and who may hide: the bounds on motion that a shield needs with a scan.

A scan shows surfaces; how fast each may move follows from the site and from what other robots hold:

    within the localisation bound of a blocked cell    the site map itself: stands (speed -1, see FilterInputs)
    no fresh picture of what other robots hold         anything: the larger of a person's and a robot's speed
    on a robot that reported there                     0: its corridor is disjoint from ours, so neither leaves its own
    in a cell declared person-free                     0: a robot in its own cells, or a thing that stands
    anything else                                      a person or a forklift: V, the site profile's speed

A cell that another robot holds is no proof that what is seen in it is that robot: people know no grants. Only the
robot's own reported place is.

Persons may also stand where the scan does not reach: behind the near side of every range step. Such a *phantom* is a
disc of a person's radius, hidden wholly, that touches the line of sight; its possible centres form a segment along
that line. What is not a phantom, and why that is honest: a disc that overlaps the map (nobody stands inside a rack
or wall) or stands in a person-free cell; a disc of which some ray would have seen a part (this drops shadows that
are too narrow for a body, among them those of single rays that dropped out). A person nearer than such a centre
cannot be hidden; a hidden one deeper in the shadow must cross the segment, or the thing that hides it, first.

Around a robot in person-free cells there is a disc that no person's body can enter; its radius lets the shield judge
what stays inside it by standing things alone.

The kernels are launched on preallocated arrays over rows, like every stage of a control step. This module needs
numpy and warp alone.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import math
from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.errors import MusterError
from sim.filter import FilterInputs
from sim.fixtures import DoorState
from sim.launches import Launchable, record
from sim.robot import SECOND, RobotSpec
from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

ROBOTS = 16
"""Reported robots that one row has room for; of more the caller gives the nearest."""

BLOCKED = 1
"""Bit of a grid flag: racks and walls fill the cell."""

PERSON_FREE = 2
"""Bit of a grid flag: people never enter the cell."""

MAP_SPEED = wp.constant(-1.0)
"""Speed of a point of the site map (`FilterInputs.point_speed`)."""

PERSON = wp.constant(0.25)
"""Radius of a person's disc, m (sim/people.py; ISO 7250 body depth and breadth 0.3 to 0.5 m)."""

STEP = wp.constant(0.3)
"""Range step between neighbouring rays behind which somebody may hide, m; nobody passes a gap below 0.4 m."""

SAMPLE = wp.constant(0.05)
"""Spacing at which centres along a line of sight are tried, m; the first one found moves one spacing nearer."""

CLOSE = wp.constant(0.06)
"""m; a person overlapping the map by less may stand there: localisation bound and range noise."""


class PointsError(MusterError):
    """A robot that cannot see as far as it must."""


def relevant_range(spec: RobotSpec, person_speed: float) -> float:
    """How far away a person can be and still matter to a stop from top speed, m; the lidar must reach as far.

    Own circle, the way of age, latency, period and stop, what a person walks meanwhile, and 0.5 m for a person's
    breadth, errors and noise.
    """
    drive = spec.diff
    before = spec.sensor_age_bound + spec.latency_bound + spec.period / SECOND
    stop = max(drive.speed_max / drive.brake_min, drive.turn_max / drive.turn_accel_max)
    way = drive.speed_max * (before + 0.5 * stop)
    return spec.radius + way + person_speed * (before + stop) + 0.5


def grid_flags(site: Site) -> NDArray[np.uint8]:
    """One byte a cell, (height, width): bit BLOCKED, bit PERSON_FREE.

    Only what never moves is on the map. A pod may have been carried away and an automatic door be open, so a point
    seen there is a thing that stands (pods lie in person-free cells) or, at a door, a person's until it opens.
    """
    fixed = site.blocked.copy()
    fixed.reshape(-1)[site.fixtures.door_cells(DoorState.SHUT)] = True
    return (fixed * BLOCKED + site.person_free * PERSON_FREE).astype(np.uint8)


@wp.func
def flag_at(x: float, y: float, flags: wp.array2d(dtype=wp.uint8), cell: float) -> int:
    """The flags of the cell under a point of W; off the floor everything is blocked."""
    column = int(wp.floor(x / cell))
    line = flags.shape[0] - 1 - int(wp.floor(y / cell))
    if column < 0 or column >= flags.shape[1] or line < 0 or line >= flags.shape[0]:
        return 1
    return int(flags[line, column])


@wp.func
def map_distance(x: float, y: float, limit: float, flags: wp.array2d(dtype=wp.uint8), cell: float) -> float:
    """Distance of a point of W to the nearest blocked cell, m, exact below `limit` (at most one cell), else `limit`."""
    best = limit
    column = int(wp.floor(x / cell))
    line = int(wp.floor(y / cell))
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            i = column + dx
            j = line + dy
            cx = (float(i) + 0.5) * cell
            cy = (float(j) + 0.5) * cell
            if (flag_at(cx, cy, flags, cell) & 1) != 0:
                ex = wp.max(wp.abs(x - cx) - 0.5 * cell, 0.0)
                ey = wp.max(wp.abs(y - cy) - 0.5 * cell, 0.0)
                best = wp.min(best, wp.sqrt(ex * ex + ey * ey))
    return best


@wp.kernel
def point_speeds(
    scan: wp.array2d(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    ray_cos: wp.array(dtype=wp.float32),
    ray_sin: wp.array(dtype=wp.float32),
    flags: wp.array2d(dtype=wp.uint8),
    cell: float,
    robots: wp.array3d(dtype=wp.float32),
    others_fresh: wp.array(dtype=wp.uint8),
    person_speed: float,
    robot_speed: float,
    near: float,
    range_max: float,
    speed: wp.array2d(dtype=wp.float32),
) -> None:
    """The largest speed of what each ray hit, m/s, as the module's table says."""
    row, ray = wp.tid()
    r = scan[row, ray]
    if not (r < range_max - 1.0e-3):  # nothing was hit, or no number: the shield refuses those itself
        speed[row, ray] = person_speed
        return
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    x = pose[row, 0] + r * (c * ray_cos[ray] - s * ray_sin[ray])
    y = pose[row, 1] + r * (s * ray_cos[ray] + c * ray_sin[ray])
    if map_distance(x, y, near + 0.1, flags, cell) <= near:
        speed[row, ray] = MAP_SPEED
        return
    if others_fresh[row] == wp.uint8(0):
        speed[row, ray] = wp.max(person_speed, robot_speed)
        return
    if person_speed == 0.0 or (flag_at(x, y, flags, cell) & 2) != 0:
        speed[row, ray] = 0.0
        return
    for k in range(robots.shape[1]):
        radius = robots[row, k, 2]
        if radius > 0.0:
            dx = x - robots[row, k, 0]
            dy = y - robots[row, k, 1]
            if dx * dx + dy * dy <= radius * radius:
                speed[row, ray] = 0.0
                return
    speed[row, ray] = person_speed


@wp.func
def may_stand(x: float, y: float, flags: wp.array2d(dtype=wp.uint8), cell: float) -> bool:
    """Whether a person's centre may be at a point of W, the localisation error in favour of yes."""
    if map_distance(x, y, PERSON, flags, cell) < PERSON - CLOSE:
        return False
    for k in range(4):
        dx = wp.float32(0.0)
        dy = wp.float32(0.0)
        if k == 0:
            dx = CLOSE
        if k == 1:
            dx = -CLOSE
        if k == 2:
            dy = CLOSE
        if k == 3:
            dy = -CLOSE
        if flag_at(x + dx, y + dy, flags, cell) == 0:
            return True
    return False


@wp.func
def hidden(x: float, y: float, row: int, scan: wp.array2d(dtype=wp.float32), ray_angle: float) -> bool:
    """Whether a person's disc at (x, y) in B would be wholly out of sight: no ray reads past where it enters it."""
    rays = scan.shape[1]
    distance = wp.sqrt(x * x + y * y)
    if distance <= PERSON:
        return False
    half = wp.asin(PERSON / distance)
    bearing = wp.atan2(y, x)
    low = int(wp.ceil((bearing - half + wp.pi) / ray_angle))
    high = int(wp.floor((bearing + half + wp.pi) / ray_angle))
    seen = wp.int32(0)
    for i in range(low, high + 1):
        ray = ((i % rays) + rays) % rays
        angle = -wp.pi + float(i) * ray_angle
        off = distance * wp.sin(angle - bearing)
        square = PERSON * PERSON - off * off
        if square > 0.0:
            enter = distance * wp.cos(angle - bearing) - wp.sqrt(square)
            if scan[row, ray] > enter + CLOSE:
                seen = seen + 1
    # one ray may have dropped out (it reads far), and the two at the rim touch the line of sight itself
    return seen <= 2


@wp.kernel
def find_phantoms(
    scan: wp.array2d(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    ray_cos: wp.array(dtype=wp.float32),
    ray_sin: wp.array(dtype=wp.float32),
    flags: wp.array2d(dtype=wp.uint8),
    cell: float,
    person_speed: float,
    ray_angle: float,
    depth: float,
    phantoms: wp.array3d(dtype=wp.float32),
) -> None:
    """The segments of centres at which persons may hide from each row, nearest kept where there are too many."""
    row = wp.tid()
    rays = scan.shape[1]
    capacity = phantoms.shape[1]
    for k in range(capacity):
        phantoms[row, k, 4] = 0.0
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    count = wp.int32(0)
    for i in range(rays):
        j = i + 1
        if j == rays:
            j = 0
        ri = scan[row, i]
        rj = scan[row, j]
        if wp.abs(ri - rj) > STEP and wp.min(ri, rj) < depth:
            # the near side hides; n points from the line of sight into its shadow
            edge = i
            near = ri
            far = rj
            side = wp.float32(-1.0)
            if rj < ri:
                edge = j
                near = rj
                far = ri
                side = 1.0
            dx = ray_cos[edge]
            dy = ray_sin[edge]
            nx = -side * dy
            ny = side * dx
            last = wp.min(far, depth + 1.0)
            first = wp.float32(-1.0)
            steps = int(wp.ceil((last - near) / SAMPLE))
            for k in range(steps + 1):
                if first < 0.0:
                    along = wp.min(near + float(k) * SAMPLE, last)
                    px = along * dx + PERSON * nx
                    py = along * dy + PERSON * ny
                    wx = pose[row, 0] + c * px - s * py
                    wy = pose[row, 1] + s * px + c * py
                    if may_stand(wx, wy, flags, cell) and hidden(px, py, row, scan, ray_angle):
                        first = wp.max(along - SAMPLE, near)
            if first >= 0.0:
                slot = count
                if count == capacity:
                    # full: the furthest gives way
                    furthest = wp.float32(0.0)
                    for k in range(capacity):
                        ax = phantoms[row, k, 0]
                        ay = phantoms[row, k, 1]
                        if ax * ax + ay * ay > furthest:
                            furthest = ax * ax + ay * ay
                            slot = k
                    if first * first >= furthest:
                        slot = -1
                else:
                    count = count + 1
                if slot >= 0:
                    phantoms[row, slot, 0] = first * dx + PERSON * nx
                    phantoms[row, slot, 1] = first * dy + PERSON * ny
                    phantoms[row, slot, 2] = last * dx + PERSON * nx
                    phantoms[row, slot, 3] = last * dy + PERSON * ny
                    phantoms[row, slot, 4] = PERSON
                    phantoms[row, slot, 5] = person_speed


@wp.kernel
def find_person_free(
    pose: wp.array2d(dtype=wp.float32),
    flags: wp.array2d(dtype=wp.uint8),
    cell: float,
    others_fresh: wp.array(dtype=wp.uint8),
    radius: wp.array(dtype=wp.float32),
) -> None:
    """Distance of each row to the nearest cell that people may enter, m, less CLOSE; at most two cells.

    Without a fresh picture it is 0: then a robot may come anywhere.
    """
    row = wp.tid()
    radius[row] = 0.0
    if others_fresh[row] == wp.uint8(0):
        return
    x = pose[row, 0]
    y = pose[row, 1]
    if not (wp.abs(x) < 1.0e6 and wp.abs(y) < 1.0e6):
        return
    best = 2.0 * cell
    column = int(wp.floor(x / cell))
    line = int(wp.floor(y / cell))
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            cx = (float(column + dx) + 0.5) * cell
            cy = (float(line + dy) + 0.5) * cell
            if flag_at(cx, cy, flags, cell) == 0:
                ex = wp.max(wp.abs(x - cx) - 0.5 * cell, 0.0)
                ey = wp.max(wp.abs(y - cy) - 0.5 * cell, 0.0)
                best = wp.min(best, wp.sqrt(ex * ex + ey * ey))
    radius[row] = wp.max(best - CLOSE, 0.0)


@dataclass(frozen=True)
class PointMemory:
    """What a caller knows of the other robots, one row each; written in place before a launch."""

    robots: wp.array
    """Reported robots: x, y in W and the radius within which all of the robot is; 0: unused; (rows, ROBOTS, 3)."""
    others_fresh: wp.array
    """Whether others and robots are of a fresh picture, uint8 (rows,)."""


class Points:
    """Fills `point_speed`, `phantoms` and `person_free` of filter inputs. Owns its recorded launches.

    Args:
        site: the floor. spec: lidar and bounds of the robot.
        person_speed: V of the site profile, m/s: 0 (people stand still before robots) or 1.6 (they walk on).
        yaw_error: largest error of the reported yaw, rad; it moves a point of the map by range times it.
    """

    def __init__(self, site: Site, spec: RobotSpec, person_speed: float, *, yaw_error: float = 0.01) -> None:
        self.site = site
        self.spec = spec
        self.person_speed = float(person_speed)
        # points further than 2 m matter to no stop of a robot whose map points all stand: the yaw's part counts there
        self.near = spec.localisation_bound + 3.0 * spec.lidar.noise + 2.0 * yaw_error
        self.depth = relevant_range(spec, self.person_speed)
        if self.depth > spec.lidar.range_max:
            raise PointsError(
                f"robot {spec.name} at {spec.diff.speed_max} m/s among people at {person_speed} m/s needs to see "
                f"{self.depth:.1f} m, its lidar sees {spec.lidar.range_max} m; lower its top speed"
            )
        self.recorded: dict[tuple[int, int], tuple[tuple[Launchable, ...], FilterInputs, PointMemory]] = {}

    def init(self, rows: int, device: str = "cpu") -> PointMemory:
        """Memory for `rows` robots that are alone, their picture fresh."""
        return PointMemory(
            robots=wp.zeros((rows, ROBOTS, 3), dtype=wp.float32, device=device),
            others_fresh=wp.full((rows,), 1, dtype=wp.uint8, device=device),
        )

    def launch(self, inputs: FilterInputs, memory: PointMemory) -> None:
        """Judge the newest scan; recorded at the first call on these arrays, no allocation after it."""
        key = (id(inputs), id(memory))
        recording = self.recorded.get(key)
        if recording is None:
            recording = (self._record(inputs, memory), inputs, memory)
            self.recorded[key] = recording
        for command in recording[0]:
            command.launch()

    def _record(self, inputs: FilterInputs, memory: PointMemory) -> tuple[Launchable, ...]:
        rows, rays = inputs.scan.shape
        if rays != self.spec.lidar.rays:
            raise PointsError(
                f"scan has {rays} rays, robot {self.spec.name} has {self.spec.lidar.rays}; make both from one RobotSpec"
            )
        device = inputs.scan.device
        angles = self.spec.lidar.angles().astype(np.float64)
        ray_cos = wp.array(np.cos(angles).astype(np.float32), device=device)
        ray_sin = wp.array(np.sin(angles).astype(np.float32), device=device)
        flags = wp.array(grid_flags(self.site), dtype=wp.uint8, device=device)
        lidar = [inputs.scan, inputs.pose, ray_cos, ray_sin, flags, float(self.site.cell)]
        known = [memory.robots, memory.others_fresh]
        speeds = [self.person_speed, float(self.spec.diff.speed_max), float(self.near)]
        recording: list[Launchable] = [
            record(
                point_speeds,
                dim=(rows, rays),
                inputs=[*lidar, *known, *speeds, float(self.spec.lidar.range_max), inputs.point_speed],
                device=device,
            )
        ]
        if inputs.phantoms is not None:
            hide = record(
                find_phantoms,
                dim=rows,
                inputs=[*lidar, self.person_speed, 2.0 * math.pi / rays, self.depth, inputs.phantoms],
                device=device,
            )
            recording.append(hide)
        if inputs.person_free is not None:
            clear = record(
                find_person_free,
                dim=rows,
                inputs=[inputs.pose, flags, float(self.site.cell), memory.others_fresh, inputs.person_free],
                device=device,
            )
            recording.append(clear)
        return tuple(recording)
