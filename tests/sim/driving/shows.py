"""A course and moments of it for tests of pictures: an ego on the first lane of a road, somebody ahead."""

from __future__ import annotations

import math

import numpy as np

from sim.actors import ActorKind
from sim.driving.moment import Course, Moment, Others, nobody
from sim.frenet import middle
from sim.road import Road


def course_on(road: Road, lane: int = 0) -> Course:
    return Course("test road", road, period=0.05, route=(lane,), length=road.lanes[lane].length)


def place_on(road: Road, lane: int, s: float) -> tuple[float, float, float]:
    """The pose at s on a lane's centre, about the road's middle."""
    x, y = (road.lanes[lane].at(s) - middle(road)).tolist()
    return x, y, float(np.interp(s, road.lanes[lane].s, road.lanes[lane].heading))


def somebody(
    kind: ActorKind, pose: tuple[float, float, float], size: tuple[float, float], accel: float = 0.0
) -> Others:
    return Others(np.array([kind]), np.array([pose]), np.array([[5.0, accel, 0.0]]), np.array([size]))


def moment_at(
    pose: tuple[float, float, float],
    *,
    speed: float = 10.0,
    time: float = 0.0,
    others: Others | None = None,
    stop: float = 0.0,
    mode: str = "policy",
    reason: str = "",
    **rest: object,
) -> Moment:
    """A moment whose plan leads straight on for `stop` metres."""
    x, y, yaw = pose
    along = np.linspace(0.0, stop, 9)
    plan = np.stack([x + along * math.cos(yaw), y + along * math.sin(yaw), np.full(9, yaw)], axis=-1)
    return Moment(
        time,
        pose,
        (speed, 0.0, 0.0, 0.0),
        (0.0, 0.0),
        (0.0, 0.0),
        mode=mode,
        reason=reason,
        plan=plan if stop > 0.0 else np.zeros((0, 3)),
        others=others or nobody(),
        **rest,  # type: ignore[arg-type]
    )
