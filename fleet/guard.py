"""The shield on a robot: its arrays, filled from one control step's records, and its verdict as a record.

    load(inputs, corridor, memory)   scan, pose, twist, what the picture says of other robots, the stored stopping plan
    judge(command)                   points of the scan are told apart (map, robots, unknown), then the shield decides
    play()                           nothing is proposed: the shield plays its stored plan

The kernels are those of training with one row (`safety.shield`, `sim.points`). Arrays and recorded launches carry
nothing from step to step. With a pod on, the robot is as large as the pod.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.evidence import Tried, TriedViews
from fleet.records import Inputs, ShieldState
from hierarchy.skills import Observed
from safety.monitors import PLACE_MAX
from safety.shield import Reason, Shield
from sim.filter import FilterInputs, FilterOutputs, make_inputs, make_outputs
from sim.points import ROBOTS, Points
from sim.robot import SECOND, Readings, RobotSpec
from sim.site import Site

FRESH_PICTURE = 0.3
"""A picture's words on other robots hold this long, s: three rounds; their reported places grow by their top speed."""


@dataclass(frozen=True)
class Verdict:
    """What the shield decided in one step."""

    command: tuple[float, float]
    """v (m/s), w (rad/s)"""
    margin: float
    """Smallest clearance of the released plan, m; negative when the stored plan plays"""
    reason: Reason
    """Why the proposal was changed"""
    memory: ShieldState
    tried: Tried


class Guard:
    """Owns the shield's arrays and launches for one robot."""

    def __init__(
        self,
        spec: RobotSpec,
        driven: RobotSpec,
        laden: RobotSpec | None,
        site: Site,
        person_speed: float,
        limited: bool,
    ) -> None:
        """`driven` is the robot as its body drives, `laden` the same with a pod on, None where it cannot lift one.

        `limited` says whether the floor limits speeds anywhere.
        """
        self._site, self._spec = site, spec
        self._shield = Shield(driven)
        self._laden = self._shield if laden is None else Shield(laden)
        self._memory = self._shield.init(1, "cpu")
        self._points = Points(site, spec, person_speed)
        self._point_memory = self._points.init(1, "cpu")
        self._inputs, self._out = make_inputs(1, spec.lidar.rays, limited=limited), make_outputs(1)
        self._view = _Views(self._inputs, self._out, self._memory, self._point_memory)
        self._tried = TriedViews(self._memory)

    def load(
        self,
        inputs: Inputs,
        readings: Readings | None,
        last_command: NDArray[np.float32],
        corridor: Observed,
        memory: ShieldState,
    ) -> None:
        """Write everything that the kernels read; `readings` are None where they cannot be used."""
        v = self._view
        age = 1.0e3
        if readings is not None:
            v.scan[0], v.pose[0], v.twist[0] = readings.scan, readings.pose, readings.twist
            oldest = min(inputs.scan_stamp, inputs.pose_stamp, inputs.twist_stamp)
            age = max((inputs.stamp - oldest) / SECOND, 0.0)
        v.scan_age[0] = age
        v.command[0] = 0.0
        v.last_command[0] = last_command
        v.corridor_points[...] = corridor.points
        v.corridor_half_width[...] = corridor.half_width
        v.corridor_count[...] = corridor.count
        v.plan[0] = memory.plan
        v.elapsed[0] = memory.elapsed
        v.played[0] = memory.played
        self._load_others(inputs, inputs.pose if readings is not None else None)

    def judge(self, command: tuple[float, float], limit: float, laden: bool) -> Verdict:
        """The verdict on a command (v, w) where the floor allows `limit` m/s, with a pod on or without."""
        self._view.command[0] = command
        if self._view.speed_limit is not None:
            self._view.speed_limit[0] = limit
        self._points.launch(self._inputs, self._point_memory)
        return self._launch(laden)

    def play(self, laden: bool) -> Verdict:
        """The next command of the stored plan."""
        self._view.scan_age[0] = 1.0e3  # older than any bound: the shield plays its stored plan
        return self._launch(laden)

    def _launch(self, laden: bool) -> Verdict:
        (self._laden if laden else self._shield).launch(self._inputs, self._memory, self._out)
        v = self._view
        return Verdict(self._limits(), float(v.margin[0]), Reason(int(v.reason[0])), v.state(), self._tried.read())

    def _load_others(self, inputs: Inputs, pose: tuple[float, float, float] | None) -> None:
        """Write what the picture says of other robots; `pose` is None where it cannot be used, and nor can that."""
        v, picture = self._view, inputs.picture
        v.robots[0] = 0.0
        age = (inputs.stamp - picture.stamp) / SECOND if picture is not None else math.inf
        fresh = picture is not None and 0.0 <= age <= FRESH_PICTURE and picture.site == self._site.hash
        sound = pose is not None and picture is not None and all(map(_is_disc, picture.robots))
        v.others_fresh[0] = fresh and sound
        if not (fresh and sound) or picture is None or pose is None:
            return
        x, y = pose[:2]
        near = sorted(picture.robots, key=lambda robot: math.hypot(robot[0] - x, robot[1] - y))[:ROBOTS]
        if near:
            v.robots[0, : len(near)] = near
            # the radius holds for the picture's own round; later they have gone on
            growth = max(age - self._spec.period / SECOND, 0.0) * self._spec.diff.speed_max
            v.robots[0, : len(near), 2] += np.float32(growth)

    def _limits(self) -> tuple[float, float]:
        """The shield's command within the robot's limits; a full stop should it ever be no number."""
        drive = self._spec.diff
        v, w = (float(value) for value in self._view.released[0])
        if not (math.isfinite(v) and math.isfinite(w)):
            return (0.0, 0.0)
        return (
            min(max(v, -drive.reverse_max), drive.speed_max),
            min(max(w, -drive.turn_max), drive.turn_max),
        )


def _is_disc(robot: tuple[float, float, float]) -> bool:
    """Whether another robot's x, y (m) and radius (m) are such that they can be used."""
    x, y, radius = robot
    return abs(x) <= PLACE_MAX and abs(y) <= PLACE_MAX and 0.0 <= radius <= PLACE_MAX  # false for NaN


class _Views:
    """numpy views of the stepper's Warp arrays, which share their memory on the CPU."""

    def __init__(self, inputs: FilterInputs, out: FilterOutputs, memory: object, points: object) -> None:
        get: Callable[[object, str], NDArray[np.float32]] = lambda holder, name: getattr(holder, name).numpy()  # noqa: E731
        self.command, self.last_command = get(inputs, "command"), get(inputs, "last_command")
        self.scan, self.scan_age = get(inputs, "scan"), get(inputs, "scan_age")
        self.pose, self.twist = get(inputs, "pose"), get(inputs, "twist")
        self.corridor_points = get(inputs, "corridor_points")
        self.corridor_half_width = get(inputs, "corridor_half_width")
        self.corridor_count = get(inputs, "corridor_count")
        self.speed_limit = None if inputs.speed_limit is None else get(inputs, "speed_limit")
        self.released, self.margin, self.reason = get(out, "command"), get(out, "margin"), get(out, "reason")
        self.plan, self.elapsed, self.played = get(memory, "plan"), get(memory, "elapsed"), get(memory, "played")
        self.robots, self.others_fresh = get(points, "robots"), get(points, "others_fresh")

    def state(self) -> ShieldState:
        """The shield's memory as a record."""
        v, w, stop = (float(value) for value in self.plan[0])
        return ShieldState((v, w, stop), float(self.elapsed[0]), int(self.played[0]))
