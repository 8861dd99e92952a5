"""One robot as right of way knows it, and how far it may come before it stands.

From a report to the robot's acting on the answer four periods pass. Meanwhile it accelerates at most, then it brakes
as guaranteed, so from where it reported the speed v it comes at most

    d(v) = v' t + v'^2 / (2 b) + e0,    t = 4 periods,    v' = min(v_max, v + a t)

with the least braking b and the tracking error e0 of its RobotSpec. What lies within d of the reported pose, the
footprint added, can neither be cut from its grant nor given to another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from coordination.messages import Report, RobotStatus
from coordination.roadmap import NONE, Roadmap
from coordination.rules import STANDING_SPEED
from sim.robot import SECOND, RobotSpec


@dataclass
class Mover:
    """One robot as right of way knows it."""

    name: str
    index: int
    path: list[int] = field(default_factory=list)
    """Granted cells in driving order; the first are under or behind the robot."""
    at: int = 0
    """Index in `path` of the cell under its centre."""
    keep: int = 0
    """Index in `path` up to which it cannot be cut back: under the footprint, or within braking distance."""
    returning: dict[int, int] = field(default_factory=dict)
    """Cells no longer in the grant and not yet released, each with the id of the grant that lacks it first."""
    pending: int = NONE
    pending_since: int = 0
    grant_id: int = 0
    goal: int = NONE
    level: int = 0
    """Priority of its errand; one level is worth a minute of waiting"""
    since: int = 0
    """When it got this goal"""
    finishing: bool = False
    """Stays on its goal until it has a new one: nobody pushes it away"""
    report: Report | None = None
    heard: int = 0
    """Stamp at which its newest report was handled"""
    anchor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    still_since: int = 0
    """Since when it has been where `anchor` says"""
    conflict: str = ""
    """Why it gets no grant"""
    trespassed: set[int] = field(default_factory=set)
    """Cells of others under its footprint, already objected to"""
    tall: bool = False
    """Fits beneath no standing pod: it carries one, or is none that passes between their legs"""
    manual: bool = False
    """An operator has it: no plan moves it"""
    drive: int = 0
    """1 while he wants to drive forwards, -1 backwards"""
    slot: int = NONE
    """The field by which it plans around closed cells; NONE while it does not"""

    @property
    def ahead(self) -> int:
        """Granted cells beyond the one under its centre."""
        return len(self.path) - 1 - self.at

    def fixed(self, now: int, silent: int) -> bool:
        """Whether it takes part as an obstacle only; `silent`: not heard for so long, it gets no new cells."""
        report = self.report
        return (
            report is None
            or self.manual
            or bool(self.conflict)
            or now - self.heard > silent
            or report.status in (RobotStatus.WORKING, RobotStatus.STOPPED, RobotStatus.OPERATOR)
        )

    def note_motion(self, report: Report, now: int) -> None:
        """Since when it stands: `anchor` moves when it has moved or turned."""
        moved = math.hypot(report.pose[0] - self.anchor[0], report.pose[1] - self.anchor[1])
        turned = abs(math.remainder(report.pose[2] - self.anchor[2], math.tau))
        if moved > 0.05 or turned > 0.2:
            self.anchor, self.still_since = report.pose, now


def braking_distance(speed: float, spec: RobotSpec) -> float:
    """How far a robot may come from where it reported this speed, m.

    Four periods pass until it acts on news; at most it accelerates meanwhile; then it brakes as guaranteed. One that
    stands has just been given its cells and may have begun to move: 0.05 m.
    """
    if speed <= STANDING_SPEED:
        return 0.05
    delay = 4 * spec.period / SECOND
    top = min(spec.diff.speed_max, speed + spec.diff.accel_max * delay)
    return top * delay + top**2 / (2 * spec.diff.brake_min) + spec.tracking_e0


def reach(mover: Mover, report: Report, roadmap: Roadmap, spec: RobotSpec) -> int:
    """Index in the path up to which the robot may come before it stands, whatever it is told now."""
    cell_size = roadmap.site.cell
    keep = mover.at
    for index in range(mover.at + 1, len(mover.path)):
        if mover.path[index] in report.cells:
            keep = index
    speed = abs(report.twist[0])
    if mover.at + 1 < len(mover.path):
        x, y = roadmap.centre(mover.path[mover.at])
        ahead_x, ahead_y = _direction(mover.path[mover.at + 1] - mover.path[mover.at], roadmap.width)
        progress = (report.pose[0] - x) * ahead_x + (report.pose[1] - y) * ahead_y
        room = cell_size / 2 - progress  # from the centre to the next cell
        needed = braking_distance(speed, spec) + spec.radius + spec.localisation_bound
        if needed > room:
            keep = max(keep, mover.at + 1 + int((needed - room) // cell_size))
    return min(keep, len(mover.path) - 1)


def may_come_into(cell: int, report: Report, roadmap: Roadmap, spec: RobotSpec) -> bool:
    """Whether a robot that has left a cell may come into it again before it stands: only one that drives towards it."""
    # A robot stops within this distance of its centre; the diagonal of half a cell makes it one to cell centres.
    distance = braking_distance(abs(report.twist[0]), spec) + spec.radius + roadmap.site.cell * 0.71
    x, y = roadmap.centre(cell)
    dx, dy = x - report.pose[0], y - report.pose[1]
    heading = (math.cos(report.pose[2]), math.sin(report.pose[2]))
    forwards = (dx * heading[0] + dy * heading[1]) * (1.0 if report.twist[0] >= 0 else -1.0) > 0.0
    return abs(report.twist[0]) > STANDING_SPEED and forwards and math.hypot(dx, dy) < distance


def _direction(step: int, width: int) -> tuple[float, float]:
    """A move between cells as a direction in W."""
    if step == 1:
        return 1.0, 0.0
    if step == -1:
        return -1.0, 0.0
    return (0.0, 1.0) if step == -width else (0.0, -1.0)
