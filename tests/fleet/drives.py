"""A short drive along a highway's lane for tests of logs, figures and reports: no environment, numbers by hand."""

from __future__ import annotations

import functools
import math

import numpy as np

from sim.actors import ActorKind
from sim.driving.moment import Course, Moment, Others
from sim.frenet import middle
from sim.road import Road
from sim.roadgen import generate_highway

PERIOD = 0.05

MOTION, SIZE = np.array([[15.0, 0.0, 0.0]]), np.array([[9.0, 2.5]])


@functools.cache
def road() -> Road:
    return generate_highway(3, length=600.0, lanes=2, ramps=0)


def course(name: str = "highway:3", *, shielded: bool = True) -> Course:
    return Course(name, road(), PERIOD, route=(1,), length=500.0, seed=3, driver="by hand", shielded=shielded)


def moments(seconds: float = 2.0, *, speed: float = 20.0) -> list[Moment]:
    """At a constant speed; the shield intervenes in the second quarter for an obstacle."""
    lane = road().lanes[1]
    found = []
    for step in range(round(seconds / PERIOD)):
        time = step * PERIOD
        s = 50.0 + speed * time
        x, y = (lane.at(s) - middle(road())).tolist()
        yaw = float(np.interp(s, lane.s, lane.heading))
        along = np.linspace(0.0, 30.0, 8)
        plan = np.stack([x + along * math.cos(yaw), y + along * math.sin(yaw), np.full(8, yaw)], axis=-1)
        shielded = 0.25 <= time / seconds < 0.5
        other = np.array([[x + 40.0 * math.cos(yaw), y + 40.0 * math.sin(yaw), yaw]])
        found.append(
            Moment(
                time=time, pose=(x, y, yaw), motion=(speed, -1.0 if shielded else 0.5, 0.001, 0.02),
                proposed=(0.5, 0.0), released=(-1.0 if shielded else 0.5, 0.0),
                mode="shielded" if shielded else "policy", reason="obstacle" if shielded else "",
                margin=2.0 + time, plan=plan, reach=(other[:, :2] + np.array([(0.0, 1.0), (9.0, 1.0), (9.0, -1.0)]),),
                lane=1, s=s, d=0.1, limit=lane.limit, left=500.0 - s, clearance=35.0 - time, ttc=6.0 - time, sensed=1,
                others=Others(np.array([int(ActorKind.TRUCK)]), other, MOTION, SIZE),
            )
        )  # fmt: skip
    return found
