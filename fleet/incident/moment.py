"""What an incident's page shows, as plain values: one entry per control step around a moment, decided again.

Everything is what the replay gives, so the page shows decisions of this code on recorded inputs; where they are not the
recorded ones that is counted. Lengths are rounded to centimetres: it is a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.box.grounds import counted
from fleet.evidence import Evidence, outcome
from fleet.incident.walk import Log, Walked, walk
from fleet.incident.whatif import QuestionError
from fleet.words import scan_points, stopping_poses
from safety.supervisor import Cause, Mode
from sim.robot import SECOND
from sim.site import Site
from sim.trace import Trace

HOUR = 3600.0
"""s; what is older than this never came."""
REACH = 9.0
"""m around the robot that the picture shows: its stopping distance and who may come into it meanwhile."""


@dataclass(frozen=True)
class Moment:
    """The steps around a moment."""

    log: Log
    steps: tuple[Walked, ...]
    at: int
    """Index of the step at the moment"""
    zero: int
    """Stamp from which seconds count, ns"""
    trace: Trace | None
    """Where everybody truly was, if the run has it"""

    @property
    def strange(self) -> int:
        """Steps that this code decides otherwise than recorded."""
        return sum(not step.same for step in self.steps)

    def seconds(self, step: Walked) -> float:
        """Since the beginning of the recording."""
        return (step.inputs.stamp - self.zero) / SECOND


def read_moment(log: Log, stamp: int, zero: int, before: float, after: float, trace: Trace | None = None) -> Moment:
    """The steps from `before` s before a stamp to `after` s after it. Raises QuestionError where there are none."""
    steps = tuple(walk(log, begin=stamp - round(before * SECOND), end=stamp + round(after * SECOND)))
    if not steps:
        raise QuestionError(f"expected whole steps around {(stamp - zero) / SECOND:g} s of {log.path}, there are none")
    at = min(range(len(steps)), key=lambda index: abs(steps[index].inputs.stamp - stamp))
    return Moment(log, steps, at, zero, trace)


def frames(moment: Moment) -> dict[str, Any]:
    """Plain values for the page's picture (JSON)."""
    log = moment.log
    spec, site = log.header.config.spec, log.header.site
    return {
        "cell": site.cell,
        "radius": spec.radius,
        "length": spec.length,
        "width": spec.width,
        "reach": REACH,
        "at": moment.at,
        "blocked": _blocks(site, moment),
        "steps": [_frame(moment, step) for step in moment.steps],
    }


def _frame(moment: Moment, step: Walked) -> dict[str, Any]:
    site, spec = moment.log.header.site, moment.log.header.config.spec
    inputs, now = step.inputs, step.now
    scan = np.frombuffer(inputs.scan, np.float32) if len(inputs.scan) % 4 == 0 else np.zeros(0, np.float32)
    picture = inputs.picture
    granted = picture.grant.cells if picture is not None and picture.grant is not None and not picture.error else ()
    centres = site.centre(np.array([c for c in granted if 0 <= c < site.blocked.size], np.int64)).reshape(-1, 2)
    plan = stopping_poses(inputs.pose, now.plan, spec.period / SECOND)
    others, people = _truth(moment, inputs.stamp)
    return {
        "t": round(moment.seconds(step), 3),
        "pose": _short(inputs.pose, 3),
        "points": _flat(scan_points(scan, inputs.pose, spec)),
        "granted": _flat(centres),
        "plan": _flat(plan[:, :2]),
        "told": [_short(robot) for robot in (picture.robots if picture is not None else ())],
        "robots": others,
        "people": people,
        "v": _number(inputs.twist[0]),
        "proposed": [_number(value) for value in now.proposed],
        "released": [_number(value) for value in now.released],
        "margin": _number(now.margin),
        "mode": Mode(now.mode).name.lower(),
        "cause": Cause(now.cause).name.lower().replace("_", " "),
        "reason": now.reason.name.lower().replace("_", " "),
        "source": now.source,
        "answered": now.answer.policy if now.answer is not None else "",
        "release": inputs.release,
        **_grounds(now.evidence),
        "cycle": inputs.cycle,
        "same": step.same,
    }


def _grounds(evidence: Evidence | None) -> dict[str, Any]:
    """What the shield tried, and the monitors' values."""
    if evidence is None:
        return {}
    *ages, left = (round(age / SECOND, 3) for age in evidence.ages)
    return {
        "outcome": outcome(evidence.tried),
        "refused": counted(evidence.tried),
        "ages": ages,
        "lease": left if abs(left) < HOUR else None,
        "tracking": _number(evidence.tracking),
        "strayed": evidence.strayed,
        "stuck": round(evidence.stuck, 1),
        "played": evidence.played,
    }


def _truth(moment: Moment, stamp: int) -> tuple[list[list[float]], list[list[float]]]:
    """Poses of the other robots and places of people at a stamp, near the robot, from the plant's record."""
    trace = moment.trace
    if trace is None:
        return [], []
    at = min(int(np.searchsorted(trace.stamps, stamp)), len(trace.stamps) - 1)
    robots = [_short(trace.poses[at, k], 3) for k, name in enumerate(trace.names) if name != moment.log.robot]
    return robots, [_short(place) for place in trace.people[at]]


def _blocks(site: Site, moment: Moment) -> list[list[float]]:
    """Middles of blocked cells around where the robot drove."""
    poses = np.array([step.inputs.pose[:2] for step in moment.steps])
    poses = poses[np.isfinite(poses).all(axis=1)]
    if not len(poses):
        return []
    low, high = poses.min(axis=0) - 1.5 * REACH, poses.max(axis=0) + 1.5 * REACH
    centres = site.centre(np.flatnonzero(site.filled.reshape(-1))).reshape(-1, 2)
    near = centres[((centres > low) & (centres < high)).all(axis=1)]
    return [_short(place) for place in near]


def _number(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None


def _short(values: Any, digits: int = 2) -> list[float]:  # a row of numbers
    return [round(float(value), digits) if math.isfinite(value) else 0.0 for value in values]


def _flat(points: np.ndarray) -> list[float]:
    """x, y, x, y, ... of points (n, 2)."""
    return np.round(np.asarray(points, np.float64).reshape(-1), 2).tolist()
