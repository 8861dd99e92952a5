"""A control step of a car, kept: what records and pictures are made from, whenever somebody has the time for it.

    step = kept(control)                    copies of some kilobytes: what a control step can afford
    plan_of(step), reach_of(step, sets)     milliseconds each

Who has that time is the black box's writer, on its thread, and who draws.
"""

# pyright: reportGeneralTypeIssues=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.carcontrol import CarControl
from safety.roadbounds import RoadBounds
from safety.roadstored import STEP, KeptPlan, keep, play
from sim.driving.reachsets import COLUMNS, NEAR, ReachSets


@dataclass(frozen=True, eq=False)
class CarStep:
    """One control step; its arrays are its own."""

    number: int
    """Since the drive began, from 0"""
    seen: Mapping[str, NDArray[Any]]  # of several types
    """The arrays of `sim.driving.state.View`, of its one row"""
    plan: KeptPlan
    bounds: RoadBounds
    """By which it is played"""


def kept(control: CarControl) -> CarStep:
    """The control step that was made last."""
    decision = control.decision
    seen = {name: array[0].copy() for name, array in control.view.seen.items()}
    return CarStep(max(decision.steps - 1, 0), seen, keep(decision.memory, 0), decision.guard.shield.bounds)


def plan_of(step: CarStep) -> NDArray[np.float64]:
    """The stored plan as poses about the road's middle, (k, 3); none where there is none."""
    x, y, yaw = (float(value) for value in step.seen["pose"])
    speed = float(step.seen["motion"][0])
    if not math.isfinite(x + y + yaw + speed):
        return np.zeros((0, 3))
    return play(step.plan, step.bounds, (x, y, yaw), speed)


def lasts(plan: NDArray[np.float64]) -> float:
    """How long a plan of `plan_of` takes, s."""
    return STEP * max(len(plan) - 1, 0)


def reach_of(step: CarStep, sets: ReachSets, time: float) -> tuple[NDArray[np.float64], ...]:
    """Where others may be within `time` s, as outlines about the road's middle."""
    seen = step.seen
    rows, pose = seen["objects"][:, COLUMNS].astype(np.float64), seen["pose"]
    near = (seen["object_kind"] >= 0) & (np.hypot(rows[:, 0] - pose[0], rows[:, 1] - pose[1]) < NEAR)
    there = np.flatnonzero(near)
    return sets.outlines(seen["object_kind"][there].tolist(), rows[there], seen["object_lane"][there].tolist(), time)
