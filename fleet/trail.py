"""What a robot saw and decided, step by step, from its black box: for the page of `muster view`.

`read_trail` decodes all steps of one robot once (0.8 s for 220 s of driving); `Trail.at` answers for any stamp: what
its lidar saw, which ground it was granted, how it would stop, and what the shield said. Everything is as the robot had
it: points lie where its own localisation put them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fleet.recordings import read_steps
from fleet.records import Inputs, Outputs
from fleet.salvage import BlackBoxError
from fleet.words import REASONS, scan_points, stopping_poses
from hierarchy.corridors import corridor, window
from safety.reason import Reason
from safety.supervisor import Cause, Mode
from sim.overlay import Strip, strips
from sim.robot import SECOND, RobotSpec
from sim.site import Site


@dataclass(frozen=True)
class Verdict:
    """What was decided in one step, without what it was decided on."""

    mode: Mode
    reason: Reason
    margin: float
    """Clearance of the released plan, m; negative while the stored plan plays."""


@dataclass(frozen=True)
class Moment:
    """One control step as a picture needs it."""

    stamp: int
    pose: tuple[float, float, float]
    """Where the robot took itself to be, W"""
    points: NDArray[np.float32]
    """What its lidar met, (n, 2), W"""
    granted: list[Strip]
    """All ground that it may cover"""
    corridor: list[Strip]
    """The part of it that skill and shield saw"""
    way: NDArray[np.float64]
    """Centres of the granted cells from its own on, (n, 2), W"""
    goal: tuple[float, float] | None
    plan: NDArray[np.float64]
    """Poses while it stops, the first where it is, (n, 3), W"""
    verdict: Verdict
    rows: list[tuple[str, str]]
    """Words about the step: what, value."""


@dataclass(frozen=True)
class Trail:
    """Every recorded step of one robot."""

    robot: str
    site: Site
    spec: RobotSpec
    stamps: NDArray[np.int64]
    """(steps,), ns, rising"""
    inputs: list[Inputs]
    outputs: list[Outputs]

    def index(self, stamp: int) -> int | None:
        """The newest step at a stamp; None before the first, and where nothing was recorded for a second."""
        found = int(np.searchsorted(self.stamps, stamp, side="right")) - 1
        return found if found >= 0 and stamp - self.stamps[found] <= SECOND else None

    def verdict(self, stamp: int) -> Verdict | None:
        """What was decided at a stamp."""
        index = self.index(stamp)
        return None if index is None else _verdict(self.outputs[index])

    def verdicts(self) -> list[Verdict]:
        """What was decided in every step."""
        return [_verdict(outputs) for outputs in self.outputs]

    def margins(self, stamp: int, back: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Margins in the `back` seconds before a stamp: seconds before it (negative), and m; each (n,)."""
        last = int(np.searchsorted(self.stamps, stamp, side="right"))
        first = int(np.searchsorted(self.stamps, stamp - round(back * SECOND)))
        seconds = (self.stamps[first:last] - stamp) / SECOND
        return seconds, np.array([max(outputs.margin, 0.0) for outputs in self.outputs[first:last]])

    def at(self, stamp: int) -> Moment | None:
        """The newest step at a stamp."""
        index = self.index(stamp)
        if index is None:
            return None
        inputs, outputs = self.inputs[index], self.outputs[index]
        picture = inputs.picture
        cells = picture.grant.cells if picture is not None and picture.grant is not None and not picture.error else ()
        cells = tuple(cell for cell in cells if 0 <= cell < self.site.blocked.size)
        radius = self.spec.radius + self.spec.localisation_bound
        goal = outputs.report.goal
        way = window(self.site, cells, inputs.pose[:2], goal, radius)
        lane = corridor(self.site, way)
        centres = self.site.centre(np.array(cells, np.int64)).reshape(-1, 2)
        here = cells.index(way.cells[way.here]) if way.cells else 0
        half = self.site.cell / 2
        return Moment(
            stamp=int(self.stamps[index]),
            pose=inputs.pose,
            points=scan_points(_scan(inputs), inputs.pose, self.spec),
            granted=[Strip(x, y, 0.0, half, half) for x, y in centres.tolist()],
            corridor=strips(lane.points, lane.half_width) if way.cells else [],
            way=centres[here:],
            goal=tuple(self.site.centre(goal).tolist()) if goal >= 0 else None,
            plan=stopping_poses(inputs.pose, outputs.plan, self.spec.period / SECOND),
            verdict=_verdict(outputs),
            rows=_rows(inputs, outputs),
        )


def read_trail(files: Sequence[Path]) -> Trail:
    """The steps in the black box files of one robot, in order. Raises BlackBoxError where they cannot be read."""
    steps: list[tuple[Inputs, Outputs]] = []
    header = None
    for file in files:
        header, found = read_steps(file)
        steps += found
    if header is None or not steps:
        raise BlackBoxError(f"expected control steps in {', '.join(map(str, files)) or 'no file'}; there is none")
    steps.sort(key=lambda step: step[0].stamp)
    stamps = np.array([one.stamp for one, _ in steps], np.int64)
    config = header.config
    return Trail(config.robot, header.site, config.spec, stamps, [one for one, _ in steps], [two for _, two in steps])


def _verdict(outputs: Outputs) -> Verdict:
    return Verdict(outputs.mode, outputs.reason, outputs.margin)


def _scan(inputs: Inputs) -> NDArray[np.float32]:
    """The ranges; none where they are no whole numbers."""
    return np.frombuffer(inputs.scan, np.float32) if len(inputs.scan) % 4 == 0 else np.zeros(0, np.float32)


def _rows(inputs: Inputs, outputs: Outputs) -> list[tuple[str, str]]:
    released, proposed = outputs.released, outputs.proposed
    return [
        ("shield", REASONS[outputs.reason]),
        ("margin", f"{outputs.margin:.2f} m" if outputs.margin >= 0.0 else "the stored plan plays"),
        ("mode", outputs.mode.name.lower()),
        ("cause", outputs.cause.name.lower().replace("_", " ") if outputs.cause is not Cause.NONE else "-"),
        ("proposed by", outputs.source),
        ("proposed", f"{proposed[0]:+.2f} m/s  {proposed[1]:+.2f} rad/s"),
        ("released", f"{released[0]:+.2f} m/s  {released[1]:+.2f} rad/s"),
        ("speed", f"{inputs.twist[0]:+.2f} m/s"),
        ("option", outputs.option.name.lower()),
        ("battery", f"{100 * inputs.battery:.0f} %" if math.isfinite(inputs.battery) else "unknown"),
    ]
