"""What driving policies see and do: one layout for the skills and one for the manoeuvre level.

Every skill (drive in lane, change lane, pull over) sees the same numbers and does the same: an acceleration beside that
of a brisk driver (sim/driving/brisk.py), and a curvature beside that of the lane ahead. Which skill it was trained as
is the contract's task. A manoeuvre policy sees the same and chooses the skill. Offsets of the layout stand here once,
for kernels and for contracts. Needs no physics.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.robot import SECOND, Ackermann, Lidar, RobotSpec
from sim.tasks.contract import Contract, Field

SKILLS = ("lane", "change", "pull_over")
"""Drive in lane, change lane, pull over."""

PREVIEW = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.0)
"""Times ahead at which the path is looked at, s; at least 2 m of way each."""

ROLES = ("ahead", "behind", "left ahead", "left behind", "right ahead", "right behind")
"""The nearest vehicles along the own lane and the lanes beside it."""

CROSSERS = 2
"""Others of which the most urgent are seen: on foot, and vehicles that come across or against us."""

SPEED, FORCE, NEAR, FAR = 30.0, 5.0, 2.0, 50.0
"""What one stands for: m/s, m/s^2, m across the road, m along it."""

BEND = 0.05
"""What one stands for, 1/m: a bend of 20 m."""

OWN, PLACE, WISH, ALLOWED, LANES, GOAL = 6, 4, 3, 2, 4, 3
"""Numbers of the fields."""

GOAL_AT = OWN + PLACE + WISH + ALLOWED + 2 * len(PREVIEW) + LANES
"""Where the goal stands in an observation: known to who chooses, 0 for the skills."""

OBSERVATION = OWN + PLACE + WISH + ALLOWED + 2 * len(PREVIEW) + LANES + GOAL + 4 * len(ROLES) + 4 * 2 * CROSSERS
"""Numbers of an observation."""

STEERING = 0.06
"""Largest curvature beside the lane's at small speed, 1/m, and at higher speed what accelerates by SIDE."""

ANSWER = 1.0
"""s in which a brisk driver makes up a difference of speed: an action of 0 does."""

SIDE = 2.0
"""m/s^2 across; half of what dry asphalt holds is comfort's limit in a change of lane (ISO 15622: 2.3)."""


def fields(period: float) -> tuple[Field, ...]:
    """The observation of every driving policy that acts every `period` seconds."""

    def field(name: str, size: int, unit: str, frame: str, high: float) -> Field:
        return Field(name, (size,), "float32", unit, frame, -high, high, period, period)

    return (
        field("own", OWN, f"{SPEED} m/s, {FORCE} m/s^2 along, across, rad/s; told {FORCE} m/s^2, {BEND}/m", "B", 10.0),
        field("place", PLACE, f"{NEAR} m to the line to follow, rad, {NEAR} m to both borders", "lane", 10.0),
        field("wish", WISH, "lanes to the left, pull over, share of the allowed speed", "", 3.0),
        field("allowed", ALLOWED, f"{SPEED} m/s, {FORCE} m/s more: by limits, bends and vehicles ahead", "", 3.0),
        field("preview", 2 * len(PREVIEW), f"{BEND} 1/m, {SPEED} m/s at {PREVIEW} s", "lane", 10.0),
        field("lanes", LANES, "1: left, right, shoulder; 100 m to the end of the road", "lane", 1.0),
        field("goal", GOAL, "500 m left, changes to the left, 300 m to the last; 0 for skills", "lane", 10.0),
        field("vehicles", 4 * len(ROLES), f"{FAR} m, {SPEED / 2} m/s, {SPEED} m/s, m/s across: {ROLES}", "lane", 10.0),
        field("crossers", 8 * CROSSERS, f"{FAR} m, 10 m, 10 m/s along, across: on foot, others", "lane", 10.0),
    )  # fmt: skip


def drive_contract(task: str, spec: RobotSpec) -> Contract:
    """The contract of a skill ("lane", ...) on one kind of car, whatever its lidar."""
    period = spec.period / SECOND
    return Contract(
        task=f"drive.{task}",
        fields=fields(period),
        actions=(
            Field(
                "acceleration", (1,), "float32", "0 brisk, 1 accel_max, -1 brake_min", "B", -1.0, 1.0, period,
                0.0,
            ),
            Field(
                "curvature", (1,), "float32", f"{STEERING} 1/m, or {SIDE} m/s^2, beside the lane's", "B", -1.0, 1.0,
                period, 0.0,
            ),
        ),
        embodiment=replace(spec, lidar=Lidar()).embodiment_hash(),
    )  # fmt: skip


def manoeuvre_contract(spec: RobotSpec, period: float) -> Contract:
    """The contract of the level that chooses a manoeuvre every `period` seconds."""

    def choice(name: str, unit: str) -> Field:
        return Field(name, (1,), "float32", unit, "", -1.0, 1.0, period, 0.0)

    return Contract(
        task="drive.manoeuvre",
        fields=fields(period),
        actions=(
            choice("side", "above 1/2 a lane to the left, below -1/2 to the right, else as the route asks"),
            choice("pace", "-1: half of the allowed speed, 0 and above: all of it"),
            choice("pull_over", "above 2/3: stop at the side"),
        ),
        embodiment=replace(spec, lidar=Lidar()).embodiment_hash(),
    )  # fmt: skip


def asks(accel: NDArray[np.floating] | float, seen: NDArray[np.floating], car: Ackermann) -> NDArray[np.float32]:
    """Action that means an acceleration, m/s^2, where `seen` (rows, OBSERVATION) is observed; for drivers by hand."""
    at = OWN + PLACE + WISH
    brisk = np.clip((seen[:, at] - seen[:, 0]) * SPEED / ANSWER, -car.brake_min, car.accel_max)
    more = np.asarray(accel) - brisk
    span = np.where(more > 0.0, car.accel_max - brisk, car.brake_min + brisk)
    return np.clip(more / np.maximum(span, 1e-6), -1.0, 1.0).astype(np.float32)
