"""What a car shows to people and tools: lane, stored plan and reach sets to be drawn, its state in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fleet.carcontrol import CarOutput
from fleet.carview import CarView
from fleet.ros.bus import Diagnostic
from fleet.ros.carmessages import Frames, pose_message, time_of
from fleet.ros.messages.builtin_interfaces import Duration
from fleet.ros.messages.diagnostic_msgs import DiagnosticStatus, KeyValue
from fleet.ros.messages.geometry_msgs import Point, Vector3
from fleet.ros.messages.nav_msgs import Path
from fleet.ros.messages.std_msgs import ColorRGBA, Header, String
from fleet.ros.messages.visualization_msgs import Marker, MarkerArray
from safety.reason import Reason
from safety.supervisor import Mode
from sim.driving.state import PathColumn

LASTS = Duration(0, 500_000_000)
"""A marker is gone half a second after its car: five pictures."""

PLAN, REACH = ColorRGBA(0.1, 0.6, 1.0, 0.9), ColorRGBA(1.0, 0.55, 0.1, 0.6)


def status_of(
    name: str,
    output: CarOutput | None,
    doubts: Sequence[str],
    wire: Sequence[Diagnostic],
    hardware: str,
    *,
    shadow: bool,
    beside: Mapping[str, int] | None = None,
) -> list[DiagnosticStatus]:
    """How a car is, and everything that is wrong on its bus; the worst first word is the car's.

    `beside`: what a candidate in its shadow was asked (`fleet.shadow.live.Shadow.counts`).
    """
    decided = None if output is None else output.decided
    level, said = DiagnosticStatus.OK, "drives" if not shadow else "shadow: commands nobody"
    if decided is None:
        level, said = DiagnosticStatus.WARN, "held: " + (doubts[0] if doubts else "has not found itself yet")
    elif decided.mode is Mode.FALLBACK:
        level, said = DiagnosticStatus.ERROR, f"fallback: {decided.trouble}"
    elif decided.margin < 0.0:
        level, said = DiagnosticStatus.ERROR, f"stops by its stored plan: {decided.reason.name.lower()}"
    elif doubts:
        level, said = DiagnosticStatus.WARN, doubts[0]
    values = [KeyValue(f"doubt {number}", text) for number, text in enumerate(doubts)]
    if output is not None:
        values += [
            KeyValue("acceleration", f"{output.acceleration:.3f}"),
            KeyValue("steering angle", f"{output.angle:.4f}"),
        ]
    if decided is not None:
        values += [
            KeyValue("mode", decided.mode.name.lower()),
            KeyValue("reason", "" if decided.reason is Reason.NONE else decided.reason.name.lower()),
            KeyValue("margin", f"{decided.margin:.2f}"),
        ]
    values += [KeyValue(f"candidate {name}", str(count)) for name, count in sorted((beside or {}).items())]
    own = DiagnosticStatus(level, f"{name}: car", said, hardware, values)
    return [own, *(DiagnosticStatus(int(each.level), f"{name}: {each.name}", each.text, hardware) for each in wire)]


def state_of(output: CarOutput, cycle: int, *, shadow: bool) -> String:
    """What a car does and why, as a JSON object; the names that robots on a floor use where they mean the same."""
    decided = output.decided
    state: dict[str, object] = {
        "cycle": cycle,
        "stamp": output.stamp,
        "mode": "HELD" if decided is None else "STOPPED" if decided.margin < 0.0 else decided.mode.name,
        "shadow": shadow,
        "released": [round(output.acceleration, 4), round(output.angle, 5)],
        "doubts": list(output.doubts),
    }
    if decided is not None:
        margin = round(decided.margin, 3) if math.isfinite(decided.margin) else None
        state |= {"reason": decided.reason.name, "margin": margin}
        state |= {"proposed": [round(part, 5) for part in decided.proposed if math.isfinite(part)]}
    return String(json.dumps(state, separators=(",", ":")))


def lane_of(view: CarView, stamp: int, origin: tuple[float, float], frames: Frames) -> Path:
    """The lane ahead in the map, as far as it can be driven."""
    points, lanes = view.seen["path"][0], view.seen["path_lane"][0]
    poses = [
        (float(x) + origin[0], float(y) + origin[1], float(yaw))
        for (x, y, yaw), lane in zip(points[:, : PathColumn.HEADING + 1], lanes, strict=True)
        if lane >= 0
    ]
    return Path(Header(time_of(stamp), frames.map), [pose_message(pose, stamp, frames.map) for pose in poses])


def path_of(plan: NDArray[np.float64], stamp: int, origin: tuple[float, float], frames: Frames) -> Path:
    """A stored plan (fleet/carstep.py) in the map, a pose for each 0.1 s, from where the car is."""
    poses = [(x + origin[0], y + origin[1], yaw) for x, y, yaw in plan.tolist()]
    return Path(Header(time_of(stamp), frames.map), [pose_message(pose, stamp, frames.map) for pose in poses])


def markers_of(
    plan: NDArray[np.float64],
    outlines: Sequence[NDArray[np.float64]],
    stamp: int,
    origin: tuple[float, float],
    frames: Frames,
) -> MarkerArray:
    """A stored plan and reach sets in the map, for RViz and Foxglove."""
    lines = [("plan", 0, plan[:, :2], PLAN)] if len(plan) > 1 else []
    lines += [("reach", k, np.concatenate([each, each[:1]]), REACH) for k, each in enumerate(outlines)]
    header = Header(time_of(stamp), frames.map)
    return MarkerArray([
        Marker(
            header, ns, number, Marker.LINE_STRIP, Marker.ADD, scale=Vector3(0.15, 0.0, 0.0), color=colour,
            lifetime=LASTS, points=[Point(float(x) + origin[0], float(y) + origin[1], 0.1) for x, y in points],
        )
        for ns, number, points, colour in lines
    ])  # fmt: skip
