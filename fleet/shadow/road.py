"""A candidate for cars: the decision of a step once more, by its own manoeuvre policy and skills, under a shield.

    step = RoadStep(cycle, stamp, decision)      what production's guard read, remembered and gave
    RoadCandidate(...).pair(step)                the same view and memory, with the candidate's proposal

What a pair begins with is production's: what the car saw, the last command, what shield and supervisor remember, and
at each choice (once a second) what was wished. Between two choices the candidate keeps what it chose itself, so that a
manoeuvre policy can be seen in every step; where it was left out when it should have chosen, production's choice
stands. The same policies beside themselves thus propose the same, bit for bit.

It sees a copy of the view on a map of its own, whoever drives: a car on a bus (fleet/carnode.py), the simulator
(fleet/driving.py), or a log (fleet/shadow/drivelogs.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fleet.cardecision import CarDecision
from fleet.driveguard import Decision, assuming
from fleet.drivinglevels import DrivingLevels
from fleet.shadow.pairs import ROAD, Pair, Side, bounded, finite
from safety.supervisor import Mode
from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.routes import RoutePlan
from sim.driving.state import make_view
from sim.road import Road
from sim.robot import RobotSpec


class RoadStep(NamedTuple):
    """A control step of production."""

    cycle: int
    """Since the drive began, from 0"""
    stamp: int
    """Site clock, ns"""
    decision: Decision
    """With its memory"""


class RoadCandidate:
    """Owns a decision, the view that it reads, and what it chose."""

    def __init__(
        self,
        road: Road,
        levels: DrivingLevels,
        spec: RobotSpec,
        production: str,
        bounds: Mapping[str, float] | None = None,
    ) -> None:
        """`production`: name of what drives; `bounds`: what its shield assumes, ours where it is not said.

        Raises RoadShieldError for a car that cannot be judged.
        """
        start_warp()
        atlas = Atlas([road], routes=[[RoutePlan(0, 0.0, 0, road.lanes[0].length)]])  # who decides reads no routes
        self.hash = levels.top.hash
        self._production, self._spec, self._chose, self._last = production, spec, -1, -1
        assumed = None if bounds is None else assuming(bounds)
        self._decision = CarDecision(
            levels, spec, make_view(1, "cpu"), atlas.lanes, atlas.conflicts, by_angle=False, bounds=assumed
        )
        self._decision.step()  # nobody's first step waits for kernels
        self._decision.begin()

    def asked(self, step: RoadStep) -> bool:
        """Whether production's policies were at the controls, and saw what one can be asked about."""
        decision = step.decision
        if decision.failed or decision.mode != int(Mode.POLICY) or not decision.wish:
            return False
        seen = decision.inputs
        pose, motion = np.frombuffer(seen["view.pose"], np.float32), np.frombuffer(seen["view.motion"], np.float32)
        located = int(np.frombuffer(seen["view.lane"], np.int32)[0]) >= 0
        return located and math.isfinite(float(pose.sum()) + float(motion.sum()))

    def pair(self, step: RoadStep, *, hurried: bool) -> Pair:
        """As `fleet.shadow.live.Candidate`; no answer of a car's policy is given up for being late."""
        mine, second = self._decision, step.cycle // self._decision.chooses
        if step.cycle < self._last:
            self._chose = -1  # another drive
        choosing = step.cycle % mine.chooses == 0
        mine.recall(step.decision, step.cycle, wish=choosing or self._chose != second)
        self._chose, self._last = second if choosing else self._chose, step.cycle
        decided = mine.step()
        speed = float(np.frombuffer(step.decision.inputs["view.motion"], np.float32)[0])
        ours = side(step.decision, self._production)
        theirs = side(decided.decision, self.hash[:12])
        return Pair(
            robot="",
            cycle=step.cycle,
            stamp=step.stamp,
            production=ours,
            candidate=theirs,
            disagreement=distance(ours.proposed, theirs.proposed, speed, self._spec),
            world=ROAD,
        )


def side(decision: Decision, policy: str) -> Side:
    """What one of the two decided; commands are acceleration (m/s^2) and curvature (1/m)."""
    (proposed, released) = (np.frombuffer(each["command"], np.float32) for each in (decision.inputs, decision.outputs))
    margin = float(np.frombuffer(decision.outputs["margin"], np.float32)[0])
    return Side(
        policy=policy,
        proposed=finite((float(proposed[0]), float(proposed[1]))),
        released=finite((float(released[0]), float(released[1]))),
        reason=int(np.frombuffer(decision.outputs["reason"], np.int8)[0]),
        margin=bounded(margin),
        failed=decision.failed or not bool(np.isfinite(proposed).all()),
    )


def distance(one: tuple[float, float], other: tuple[float, float], speed: float, spec: RobotSpec) -> float:
    """The largest difference of two commands, in shares of what the car accelerates and bends by, 2 at most.

    At `speed`, m/s: at 14 m/s lateral acceleration leaves a fifteenth of the curvature that the steering could.
    """
    car = spec.car
    bend = min(car.curvature_max, car.lateral_max / max(speed * speed, 1e-3))
    return min(max(abs(one[0] - other[0]) / car.accel_max, abs(one[1] - other[1]) / bend), 2.0)
