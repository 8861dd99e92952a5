"""What a robot tells people and tools of itself: state, stored plan, shield, diagnostics. Nothing acts on it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

from coordination.messages import Cycle
from fleet.records import Outputs
from fleet.ros import diagnose
from fleet.ros.bus import Diagnostic, Level, Node
from fleet.ros.messages.builtin_interfaces import Duration
from fleet.ros.messages.diagnostic_msgs import DiagnosticStatus
from fleet.ros.messages.geometry_msgs import Point, Pose, PoseStamped, Vector3
from fleet.ros.messages.nav_msgs import Path
from fleet.ros.messages.std_msgs import ColorRGBA, String
from fleet.ros.messages.visualization_msgs import Marker, MarkerArray
from fleet.ros.planar import At, driven, header, pose_of
from fleet.ros.topics import DIAGNOSTICS, PATH, SHIELD, STATE, Frames
from safety.shield import Reason
from safety.supervisor import Mode, may_drive
from sim.robot import SECOND, RobotSpec

EVERY = 5
"""Cycles between two drawings: twice a second, which an eye follows, for a fifth of the cost."""
COLOURS = {
    Mode.POLICY: (0.2, 0.8, 0.3),
    Mode.SHIELDED: (0.95, 0.8, 0.1),
    Mode.FALLBACK: (0.95, 0.5, 0.1),
    Mode.STOPPED: (0.9, 0.2, 0.2),
    Mode.LATCHED: (0.6, 0.1, 0.1),
    Mode.MANUAL: (0.2, 0.5, 0.95),
}
"""Red, green, blue by mode."""


def state_message(outputs: Outputs) -> String:
    """What the robot does and why, as a JSON object."""
    report = outputs.report
    state = {
        "cycle": outputs.cycle,
        "stamp": outputs.stamp,
        "mode": outputs.mode.name,
        "cause": outputs.cause.name,
        "reason": outputs.reason.name,
        "margin": round(outputs.margin, 3) if math.isfinite(outputs.margin) else None,
        "source": outputs.source,
        "released": [round(part, 4) for part in outputs.released],
        "status": report.status.name,
        "task": report.task,
        "leg": report.legs_done,
        "battery": round(report.battery, 4),
    }
    return String(json.dumps(state, separators=(",", ":")))


def path_message(outputs: Outputs, pose: At, period: float, frame: str) -> Path:
    """Where the stored plan leads, a pose for each period of `period` s, from where the robot is."""
    head, poses = header(outputs.stamp, frame), [pose]
    for v, w in outputs.plan:
        poses.append(driven(poses[-1], v, w, period))
    return Path(head, [PoseStamped(head, pose_of(one)) for one in poses])


def shield_message(outputs: Outputs, pose: At, radius: float, robot: str, frame: str) -> MarkerArray:
    """The robot's circle in the colour of its mode, and why the shield or the supervisor stepped in."""
    head, life = header(outputs.stamp, frame), Duration(1, 0)
    red, green, blue = COLOURS[outputs.mode]
    colour = ColorRGBA(red, green, blue, 0.6)
    words = [outputs.mode.name.lower()]
    if not may_drive(outputs.mode):
        words.append(outputs.cause.name.lower())
    if outputs.reason is not Reason.NONE:
        words.append(outputs.reason.name.lower())
    if math.isfinite(outputs.margin):
        words.append(f"{outputs.margin:.2f} m")
    disc = Marker(
        header=head, ns=robot, id=0, type=Marker.CYLINDER, pose=pose_of(pose), color=colour, lifetime=life,
        scale=Vector3(2.0 * radius, 2.0 * radius, 0.02),
    )  # fmt: skip
    above = Pose(Point(pose[0], pose[1], 0.6))
    text = Marker(
        header=head, ns=robot, id=1, type=Marker.TEXT_VIEW_FACING, pose=above, scale=Vector3(0.0, 0.0, 0.2),
        color=ColorRGBA(1.0, 1.0, 1.0, 1.0), lifetime=life, text=f"{robot}: {', '.join(words)}",
    )  # fmt: skip
    return MarkerArray([disc, text])


def control_status(robot: str, outputs: Outputs | None) -> DiagnosticStatus:
    """How the control step is: an ERROR while only a reset ends its stop, a WARN while it stops or has not begun."""
    if outputs is None:
        found = [Diagnostic(Level.WARN, "control", "no control cycle yet")]
        return diagnose.status(f"{robot}: control", robot, found)
    level = Level.ERROR if outputs.mode is Mode.LATCHED else Level.OK if may_drive(outputs.mode) else Level.WARN
    text = f"{outputs.mode.name.lower()} ({outputs.cause.name.lower()})"
    found = [Diagnostic(level, "control", text)]
    values = (("cycle", outputs.cycle), ("source", outputs.source), ("margin", f"{outputs.margin:.3f}"))
    return diagnose.status(f"{robot}: control", robot, found, values)


class Teller:
    """Owns the publishers; messages are made by the functions above."""

    def __init__(self, node: Node, robot: str, spec: RobotSpec, frames: Frames) -> None:
        """On the robot's node. Raises MusterError."""
        self._robot, self._spec, self._frames = robot, spec, frames
        self._state, self._path, self._shield = STATE.publisher(node), PATH.publisher(node), SHIELD.publisher(node)
        self._diagnostics = DIAGNOSTICS.publisher(node)
        self._outputs: Outputs | None = None
        self._count = 0

    def tell(self, outputs: Outputs, cycle: Cycle) -> None:
        """What a control step decided."""
        self._outputs = outputs
        self._state.publish(state_message(outputs))
        self._count += 1
        if self._count % EVERY == 1 and all(map(math.isfinite, cycle.pose)):
            period, frame = self._spec.period / SECOND, self._frames.map
            self._path.publish(path_message(outputs, cycle.pose, period, frame))
            self._shield.publish(shield_message(outputs, cycle.pose, self._spec.radius, self._robot, frame))

    def diagnose(
        self, now: int, bus: Iterable[Diagnostic], inputs: Iterable[Diagnostic], values: Mapping[str, object]
    ) -> None:
        """Once a second: how bus, inputs and control are, at `now` ns."""
        robot = self._robot
        statuses = [
            diagnose.status(f"{robot}: bus", robot, bus),
            diagnose.status(f"{robot}: inputs", robot, inputs, values.items()),
            control_status(robot, self._outputs),
        ]
        self._diagnostics.publish(diagnose.array(now, statuses))

    def close(self) -> None:
        """Tell no more."""
        for end in (self._state, self._path, self._shield, self._diagnostics):
            end.close()
