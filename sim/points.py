"""What stands behind each lidar point, and who may hide: the bounds on motion that a shield needs with a scan.

A scan shows surfaces; how fast each may move follows from the site and from what other robots hold:

    within the localisation bound of a blocked cell    the site map itself: stands (speed -1, see FilterInputs)
    no fresh picture of what other robots hold         anything: the larger of a person's and a robot's speed
    on a robot that reported there                     0: its corridor is disjoint from ours, so neither leaves its own
    in a cell declared person-free                     0: a robot in its own cells, or a thing that stands
    anything else                                      a person or a forklift: V, the site profile's speed

A cell that another robot holds is no proof that what is seen in it is that robot: people know no grants. Only the
robot's own reported place is.

Persons may also stand where the scan does not reach: `phantoms` are where they may. And around a robot in person-free
cells there is a disc that no person's body can enter, `person_free`. What makes both honest: sim/pointkernels.py.

The kernels are launched on preallocated arrays over rows, like every stage of a control step. This module needs
numpy and warp alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.errors import MusterError
from sim.filter import FilterInputs
from sim.fixtures import DoorState
from sim.launches import Launchable, record
from sim.pointkernels import BLOCKED, PERSON_FREE, find_person_free, find_phantoms, point_speeds
from sim.robot import SECOND, RobotSpec
from sim.site import Site

ROBOTS = 16
"""Reported robots that one row has room for; of more the caller gives the nearest."""


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
