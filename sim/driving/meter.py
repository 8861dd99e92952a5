"""What episodes of driving come to in the field's terms, over many worlds at once: for evaluations and curves.

    at_fault     share of the episodes with a contact at fault (sim/driving/blame.py)
    completion   share of the route that was driven; only where routes are driven
    speed        share of the speed limit, mean over the time
    ttc          least time to collision, s, HORIZON where there was none shorter
    ttc_short    share of the time in which it is below SHORT (time exposed: Minderhoud and Bovy 2001)
    accel, lateral, jerk    root mean squares, m/s^2, m/s^2 and m/s^3: comfort

Time to collision is when the ego's box first touches another if both keep their velocities and headings: on each of the
boxes' four normals the time in which the projections overlap is an interval, and the boxes overlap in the intersection.
Comfort and time to collision count while the car moves. All is read from the truth after each control step; nothing is
written, so that a run is the same with a meter and without. A drive's own figures: fleet/drivefigures.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.driving.blame import Blame
from sim.driving.env import RoadEnv
from sim.driving.manoeuvre import Manoeuvres
from sim.robot import SECOND

Floats = NDArray[np.float64]

MOVING = 0.05
"""m/s; the bound of a contact at fault."""

HORIZON = 8.0
"""s; the witness looks for times to collision so far (sim/driving/witness.py)."""

SHORT = 1.5
"""s: below it an encounter is a conflict (van der Horst and Hogema 1993)."""

EVERY = 4
"""Control steps from one look for times to collision to the next: 0.2 s, half of what the rest of a look costs."""

SUMS = ("looks", "moving", "speed", "limit", "short", "accel", "lateral", "jerk")
"""What is added up over an episode."""


class DriveMeter:
    """`agents.evaluation.Meter` of an environment of roads. Owns the sums of the episodes under way."""

    def __init__(self, environment: RoadEnv | Manoeuvres) -> None:
        """Choices of manoeuvres are looked at in each of their control steps: their `watch` becomes the meter's."""
        env = environment.environment if isinstance(environment, Manoeuvres) else environment
        plant = env.plant
        self._route = env.config.skill == "route"
        self._robots, self._dt = env.robots, env.spec.period / SECOND
        arrays = {
            "kind": plant.actors.kind, "pose": plant.actors.pose, "motion": plant.actors.motion,
            "size": plant.actors.size, "own": plant.true_motion, "lane": plant.footing.lane, "left": plant.footing.left,
            "ended": env.task.outcome.ended, "success": env.task.outcome.success,
            "blame": plant.judge.blame.ended_counts,
        }  # fmt: skip
        self._read = _reader(arrays, env.device)
        self._limits = plant.atlas.lanes.limit.numpy().astype(np.float64)
        self._sums = np.zeros((len(SUMS), env.rows))
        self._ttc, self._accel = np.full(env.rows, HORIZON), np.zeros(env.rows)
        self._length, self._left = np.full(env.rows, np.nan), np.full(env.rows, np.nan)
        self._done: dict[str, Floats] = {}
        self._count = 0
        self._fresh = np.ones(env.rows, bool)
        """Rows whose figures nobody has taken, or that have ended no episode."""
        self._each_step = not isinstance(environment, Manoeuvres)
        if isinstance(environment, Manoeuvres):
            environment.watch = self._look

    def begin(self) -> None:
        """Every row begins an episode: call after `reset`."""
        self._start(np.ones(len(self._ttc), bool), self._read())
        self._fresh[:] = True

    def step(self) -> None:
        """After each step of the environment."""
        if self._each_step:
            self._look()

    def take(self, rows: NDArray[np.intp]) -> dict[str, Floats]:
        """The figures of the episodes that have just ended in some rows, each (rows,)."""
        self._fresh[rows] = True
        return {name: values[rows].copy() for name, values in self._done.items()}

    def _look(self) -> None:
        read = self._read()
        ended = read["ended"].astype(bool)
        closing = ended & self._fresh  # of two ends within one choice of a manoeuvre the first counts
        if closing.any():
            self._close(closing, read)
        self._add(~ended, read)
        if ended.any():  # what is read is the next episode's beginning
            self._start(ended, read)

    def _add(self, rows: NDArray[np.bool_], read: dict[str, NDArray]) -> None:
        speed, accel, curvature = read["own"].astype(np.float64).T[:3]
        limit = np.where(read["lane"] >= 0, self._limits[read["lane"]], np.inf)
        known, moves = np.isfinite(limit), rows & (speed > MOVING)
        ttc, looked = np.full(len(speed), np.inf), self._count % EVERY == 0
        if looked:
            ttc = np.where(moves, times_to_collision(read, self._robots), np.inf)
        self._count += 1
        values = (
            moves & looked, moves, np.where(known, speed, 0.0), np.where(known, limit, 0.0), ttc < SHORT,
            accel**2, (speed**2 * curvature) ** 2, ((accel - self._accel) / self._dt) ** 2,
        )  # fmt: skip
        for total, value, name in zip(self._sums, values, SUMS, strict=True):
            total += np.where(moves if name in ("short", "accel", "lateral", "jerk") else rows, value, 0.0)
        self._ttc = np.minimum(self._ttc, ttc)
        self._accel = np.where(rows, accel, self._accel)
        left = read["left"].astype(np.float64)
        self._left = np.where(rows & np.isfinite(left), left, self._left)

    def _close(self, rows: NDArray[np.bool_], read: dict[str, NDArray]) -> None:
        total = dict(zip(SUMS, self._sums, strict=True))
        moving = np.maximum(total["moving"], 1.0)
        found = {"at_fault": (read["blame"][:, Blame.AT_FAULT] > 0).astype(np.float64)}
        if self._route:
            behind = np.clip(1.0 - self._left / np.maximum(self._length, 1e-9), 0.0, 1.0)
            found["completion"] = np.where(read["success"].astype(bool), 1.0, behind)
        limit = np.where(total["limit"] > 0.0, total["limit"], np.nan)
        found |= {
            "speed": total["speed"] / limit,
            "ttc": self._ttc,
            "ttc_short": total["short"] / np.maximum(total["looks"], 1.0),
        }
        found |= {name: np.sqrt(total[name] / moving) for name in ("accel", "lateral", "jerk")}
        for name, values in found.items():
            self._done[name] = np.where(rows, values, self._done.get(name, np.nan))
        self._fresh[rows] = False

    def _start(self, rows: NDArray[np.bool_], read: dict[str, NDArray]) -> None:
        self._sums[:, rows] = 0.0
        self._ttc[rows] = HORIZON
        self._accel[rows] = read["own"][rows, 1]
        left = read["left"].astype(np.float64)
        self._length[rows] = self._left[rows] = np.where(np.isfinite(left), left, np.nan)[rows]


def times_to_collision(read: dict[str, NDArray], robots: int) -> Floats:
    """Least time to collision of every ego with anybody else, s, infinite without; (rows,).

    `read`: kind (W, A), pose (W, A, 3), motion (W, A, 3), size (W, A, 2); the first `robots` actors are the egos.
    """
    pose, size = read["pose"].astype(np.float64), read["size"].astype(np.float64)
    heading = np.stack([np.cos(pose[..., 2]), np.sin(pose[..., 2])], axis=-1)
    velocity = heading * read["motion"][..., :1]
    least = np.full((len(pose), robots), np.inf)
    for robot in range(robots):
        apart, closing = pose[:, :, :2] - pose[:, robot, None, :2], velocity - velocity[:, robot, None]
        enter, leave = np.zeros(pose.shape[:2]), np.full(pose.shape[:2], np.inf)
        for direction in (heading, heading[:, robot, None] + np.zeros_like(heading)):
            for normal in (direction, np.stack([-direction[..., 1], direction[..., 0]], axis=-1)):
                reach = _reach(heading, size, normal)
                reach = reach + _reach(heading[:, robot, None], size[:, robot, None], normal)
                at, rate = (apart * normal).sum(-1), (closing * normal).sum(-1)
                rate = np.where(np.abs(rate) < 1e-9, 1e-9, rate)
                first, last = (-np.copysign(reach, rate) - at) / rate, (np.copysign(reach, rate) - at) / rate
                enter, leave = np.maximum(enter, first), np.minimum(leave, last)
        there = (read["kind"] >= 0) & (np.arange(pose.shape[1]) != robot)
        least[:, robot] = np.where(there & (enter <= leave), enter, np.inf).min(axis=1)
    return least.reshape(-1)


def _reach(heading: Floats, size: Floats, normal: Floats) -> Floats:
    """Half of boxes' extent along normals, m."""
    along = np.abs((heading * normal).sum(-1))
    across = np.abs(heading[..., 0] * normal[..., 1] - heading[..., 1] * normal[..., 0])
    return 0.5 * (size[..., 0] * along + size[..., 1] * across)


def _reader(arrays: dict[str, wp.array], device: str) -> Callable[[], dict[str, NDArray]]:
    """Reads all arrays: views of the host's own memory, copies of a device's."""
    if device == "cpu":
        views = {name: array.numpy() for name, array in arrays.items()}
        return lambda: views
    return lambda: {name: array.numpy() for name, array in arrays.items()}
