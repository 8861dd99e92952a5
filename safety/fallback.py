"""The fallback controller: what drives when the policy cannot, or when it has driven itself into a blocked place.

    STOP      come to rest
    FORWARD   creep along the corridor, turning on the spot where it bends away
    BACK      where nothing ahead is released for PATIENCE: creep back the way it came, then try again
    DONE      moved MOVED without the policy: hand back

It only proposes: the shield judges its commands like any other. It needs no policy, no lidar and no map: the corridor
and the pose alone. A pure function of inputs and memory.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.geometry import wrap_angle
from sim.robot import SECOND

CREEP = 0.15
"""m/s; half of ISO 3691-4's 0.3 m/s for driving without personnel detection."""

TURN = 0.6
"""rad/s on the spot."""

LOOK_AHEAD = 0.5
"""m along the corridor to the point that is steered for."""

ALIGNED = 0.35
"""rad; a larger heading error is turned away on the spot."""

MOVED = 0.3
"""m; a robot's radius less than a cell, enough to be somewhere else."""

PATIENCE = 3 * SECOND
"""ns without progress until the other way is tried: longer than a person takes to turn round (1 to 2 s)."""

REST = 0.02
"""m/s and rad/s; slower is standing."""


class Phase(enum.IntEnum):
    """What the fallback is doing."""

    STOP = 0
    FORWARD = 1
    BACK = 2
    DONE = 3


@dataclass(frozen=True)
class FallbackInputs:
    """What the fallback sees in one control cycle."""

    stamp: int
    """ns"""
    pose: NDArray[np.float32]
    """x, y, yaw in W, (3,)."""
    twist: NDArray[np.float32]
    """v, w in B, (2,)."""
    points: NDArray[np.float32]
    """The corridor's way-points in use, (n, 2), m."""


@dataclass(frozen=True)
class FallbackMemory:
    """What the fallback remembers while it drives; a new one at each call for help."""

    phase: Phase = Phase.STOP
    since: int = -1
    """Stamp of the last progress, or of the phase's begin."""
    x: float = 0.0
    y: float = 0.0
    """Where the phase began, m."""
    best: float = 0.0
    """Furthest from there so far, m."""
    attempts: int = 0
    """Times that the direction was changed for want of progress; the caller reports a blocked cell when it grows."""


@dataclass(frozen=True)
class FallbackOutput:
    """What the fallback proposes."""

    v: float
    w: float
    memory: FallbackMemory
    handed_back: bool
    """Whether the policy may drive again."""


def step(inputs: FallbackInputs, memory: FallbackMemory) -> FallbackOutput:
    """One control cycle of the fallback."""
    x, y, yaw = (float(value) for value in inputs.pose)
    v, w = (float(value) for value in inputs.twist)
    if memory.phase is Phase.STOP:
        if abs(v) > REST or abs(w) > REST or len(inputs.points) == 0:
            return FallbackOutput(0.0, 0.0, memory, handed_back=False)
        memory = FallbackMemory(Phase.FORWARD, inputs.stamp, x, y, 0.0, memory.attempts)
    if memory.phase is Phase.DONE or len(inputs.points) == 0:
        return FallbackOutput(0.0, 0.0, memory, handed_back=memory.phase is Phase.DONE)
    distance = math.hypot(x - memory.x, y - memory.y)
    if distance >= MOVED:
        if memory.phase is Phase.FORWARD:
            return FallbackOutput(0.0, 0.0, replace(memory, phase=Phase.DONE), handed_back=True)
        memory = FallbackMemory(Phase.FORWARD, inputs.stamp, x, y, 0.0, memory.attempts)
    elif distance > memory.best + 0.02 or abs(w) > 0.1:  # 2 cm are progress; so is turning on the spot
        memory = replace(memory, best=max(distance, memory.best), since=inputs.stamp)
    elif inputs.stamp - memory.since > PATIENCE:
        other = Phase.BACK if memory.phase is Phase.FORWARD else Phase.FORWARD
        memory = FallbackMemory(other, inputs.stamp, x, y, 0.0, memory.attempts + 1)
    forward = memory.phase is Phase.FORWARD
    goal_x, goal_y = _steer_for(inputs.points, x, y, LOOK_AHEAD if forward else -LOOK_AHEAD)
    error = wrap_angle(math.atan2(goal_y - y, goal_x - x) - yaw)
    if not forward:
        # reversing: the tail looks at the goal. Turned away too far, go straight back the way it came
        error = wrap_angle(error + math.pi)
        if abs(error) > ALIGNED:
            error = 0.0
    if math.hypot(goal_x - x, goal_y - y) < 0.05:  # at the corridor's end: nowhere to go
        return FallbackOutput(0.0, 0.0, replace(memory, phase=Phase.DONE), handed_back=True)
    if abs(error) > ALIGNED:
        return FallbackOutput(0.0, math.copysign(TURN, error), memory, handed_back=False)
    return FallbackOutput(CREEP if forward else -CREEP, max(-TURN, min(TURN, 1.5 * error)), memory, handed_back=False)


def _steer_for(points: NDArray[np.float32], x: float, y: float, ahead: float) -> tuple[float, float]:
    """The point of the polyline `ahead` metres along it from the place nearest to (x, y), clipped to its ends."""
    line = np.asarray(points, float)
    if len(line) == 1:
        return float(line[0, 0]), float(line[0, 1])
    steps = np.diff(line, axis=0)
    lengths = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)
    share = np.clip(((np.array((x, y)) - line[:-1]) * steps).sum(1) / lengths**2, 0.0, 1.0)
    nearest = line[:-1] + share[:, None] * steps
    k = int(np.argmin(np.hypot(nearest[:, 0] - x, nearest[:, 1] - y)))
    reached = np.concatenate(((0.0,), np.cumsum(lengths)))
    along = float(np.clip(reached[k] + share[k] * lengths[k] + ahead, 0.0, reached[-1]))
    return float(np.interp(along, reached, line[:, 0])), float(np.interp(along, reached, line[:, 1]))
