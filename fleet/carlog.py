"""The black box of a car node: what it took itself to see and what it decided, in the format of drives.

Files are `<directory>/drive<k>-0.mcap`, one for each activation, in the channels of fleet/drivelog.py; `muster replay`
decides them once more. A drive in the simulator knows the truth and records that; a car records its own view in the
same places: pose, motion and others are as sensed, contacts and blame stay empty, because nobody tells it.

The control step hands over copies of what it saw and decided. What takes milliseconds (the stored plan played to its
end, the others' reach sets, distances) is worked out by the black box's writer, on its thread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleet.blackbox import BlackBox
from fleet.box.sealkey import SealKey
from fleet.carcontrol import CarControl, CarOutput
from fleet.cardecision import CarDecided
from fleet.carstep import CarStep, kept, lasts, plan_of, reach_of
from fleet.driveguard import Guard, sparse
from fleet.drivelog import recording
from safety.supervisor import Mode
from sim.device import start_warp
from sim.driving.moment import AMPLE, CarSize, Course, Moment, Others
from sim.driving.reachsets import ReachSets
from sim.driving.reading import CarReading
from sim.driving.state import PATH_BEHIND, ObjectColumn, PathColumn
from sim.driving.witness import nearest, time_to_collision
from sim.road import Road
from sim.robot import SECOND, RobotSpec


@dataclass(frozen=True, eq=False)
class Logged:
    """What the control step hands over."""

    step: CarStep
    reading: CarReading
    decided: CarDecided
    time: float
    """Since the drive began, s"""
    contact: str = ""
    """Nobody tells a car"""

    @property
    def mode(self) -> str:
        """Who proposed."""
        return self.decided.mode.name.lower()


class CarLog:
    """Owns the black boxes of one car node."""

    def __init__(
        self,
        directory: Path,
        road: Road,
        spec: RobotSpec,
        name: str,
        driver: str,
        *,
        lidar: bool = False,
        key: SealKey | None = None,
        heads: Path | None = None,
        policies: Mapping[str, str] | None = None,
    ) -> None:
        """`name`: of the road, for people; `driver`: of the policies. Nothing is written before `begin`.

        `key`, `heads`, `policies`: as `fleet.drivelog.recording` takes them.
        """
        start_warp()
        car = spec.car
        size = CarSize(spec.length, spec.width, spec.height, car.rear_overhang)
        self.course = Course(
            name, road, spec.period / SECOND, size, driver=driver, lidar=spec.lidar.range_max if lidar else 0.0
        )
        self.drives = 0
        """Black boxes begun"""
        self._directory, self._bounds = directory, Guard(spec).assumed
        self._sets, self._open = ReachSets(road), ExitStack()
        self._key, self._heads, self._policies = key, heads, policies
        self._box: BlackBox | None = None

    def begin(self) -> None:
        """Another drive into a file of its own."""
        self.end()
        settings = {"body": "a car on a bus", "fault": ""}
        self._box = self._open.enter_context(
            recording(
                self._directory,
                self.course,
                settings,
                f"drive{self.drives}",
                self._bounds,
                self.moment,
                key=self._key,
                heads=self._heads,
                policies=self._policies,
            )
        )
        self.drives += 1

    def append(self, control: CarControl, reading: CarReading, output: CarOutput) -> None:
        """A control step that was decided; some tens of microseconds."""
        if self._box is not None and output.decided is not None:
            step = kept(control)
            self._box.append(Logged(step, reading, output.decided, step.number * self.course.period))

    def end(self) -> None:
        """Close what is open; safe to call twice."""
        self._open.close()
        self._box = None

    def moment(self, logged: Logged) -> Moment:
        """A step as drives record it; on the writer's thread."""
        decided, step, seen = logged.decided, logged.step, logged.step.seen
        x, y, yaw = (float(value) for value in seen["pose"])
        speed, accel, curvature, turn = (float(value) for value in seen["motion"])
        pose, motion = (x, y, yaw), (speed, accel, curvature, turn)
        others = _others(step)
        size, extent = self.course.size, (self.course.size.length, self.course.size.width)
        middle = (*size.middle(*pose), pose[2])
        clearance = ttc = math.inf
        if len(others.kind) and math.isfinite(sum(middle) + motion[0]):
            clearance = nearest(middle, extent, others.pose, others.size)
            ttc = time_to_collision(middle, extent, motion[0], others.pose, others.size, others.motion[:, 0])
        fallback = decided.mode is Mode.FALLBACK
        mode = "fallback" if fallback else "shielded" if decided.reason else "policy"
        plan, scan = plan_of(step), logged.reading.scan
        return Moment(
            time=step.number * self.course.period,
            pose=pose,
            motion=motion,
            proposed=decided.proposed,
            released=decided.released,
            mode="stopped" if decided.margin < 0.0 else mode,
            reason=decided.reason.name.lower().replace("_", " ") if decided.reason else "",
            margin=decided.margin if decided.margin < AMPLE else math.inf,
            plan=plan,
            reach=reach_of(step, self._sets, lasts(plan)),
            lane=int(seen["lane"]),
            s=float(seen["path_s"][PATH_BEHIND]),
            d=float(seen["where"][0]),
            limit=float(seen["path"][PATH_BEHIND, PathColumn.LIMIT]),
            left=float(seen["goal"][0]),
            clearance=clearance,
            ttc=ttc,
            sensed=len(others.kind),
            others=others,
            scan=np.zeros(0) if scan is None else scan.ranges.astype(np.float64),
            scan_age=math.inf if scan is None else (logged.reading.now - scan.stamp) / SECOND,
            decision=sparse(decided.decision, step.number),
        )


def _others(step: CarStep) -> Others:
    """Everybody else as sensed."""
    seen = step.seen
    there = np.flatnonzero(seen["object_kind"] >= 0)
    rows = seen["objects"][there].astype(np.float64)
    motion = np.stack([rows[:, ObjectColumn.SPEED], rows[:, ObjectColumn.ACCEL], np.zeros(len(there))], axis=-1)
    poses = rows[:, [ObjectColumn.X, ObjectColumn.Y, ObjectColumn.YAW]]
    return Others(seen["object_kind"][there].copy(), poses, motion, rows[:, [ObjectColumn.LENGTH, ObjectColumn.WIDTH]])
