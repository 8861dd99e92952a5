"""tracking_error: how far the MuJoCo body strays from the shield's prediction, and the bound e(t) = e0 + e1 t over it.

Robots on an empty floor under the whole randomization (friction, payload, motor lag, command latency, odometry error)
are driven by commands that are held for some cycles and then change at random over the whole range; at one cycle a
candidate is released and after it the stopping plan tick by tick, as a shield that refuses everything from then on
would. At each physics step until rest the error is the distance of the true position from the nearest of the
prediction's chords that ends no earlier, less that chord's own growth for its arc: what the shield must add.

The bound that is printed is the line over the worst error of every 0.1 s that is lowest at 1 s, plus 20 %. What the
shield is given for a robot on a body stands in `hierarchy/motor.py` (`MEASURED`).
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import warp as wp
from figure import Figure
from numpy.typing import NDArray

from hierarchy.motor import driven
from safety.conformance import foresee, line_over, strays
from sim.bodies.pod import POD_MASS
from sim.bodies.specs import amr, forklift, mobile_manipulator
from sim.env import BatchEnv
from sim.lifting import SPEED, TURN
from sim.loads import Loads
from sim.robot import SECOND, RobotSpec
from sim.scene import Body
from sim.site import Site, make_site
from sim.tasks.carry import CarryConfig
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary

KINDS: dict[str, Callable[[], RobotSpec]] = {"": amr, "forklift_": forklift, "manipulator_": mobile_manipulator}
"""Robots by the beginning of their figures' names."""


def stop_cycles(spec: RobotSpec) -> int:
    """Cycles after the candidate's until the slowest stop has ended."""
    drive = spec.diff
    longest = max(drive.speed_max / drive.brake_min, drive.turn_max / drive.turn_accel_max)
    return math.ceil(longest / (spec.period / SECOND)) + 3


@dataclass(frozen=True)
class Laden(CarryConfig):
    """Robots that begin beneath a pod as large as lifted pods are, and as heavy as the payload allows."""

    def loads_on(self, site: Site, robots: int) -> Loads:
        """One for each."""
        return replace(self.loads, pods=robots, pod_size=POD)


POD = (1.2, 1.2, 2.0)
"""m"""
LIFTING = 30
"""Cycles until a pod is up."""


def trial(env: BatchEnv, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors (rows, substeps) of one stop of every row, and the slice end times that bound them."""
    spec, rows = env.spec, env.rows
    drive = spec.diff
    told = drive if env.plant.pods is None else replace(drive, speed_max=SPEED, turn_max=TURN)
    low = np.array([-told.reverse_max, -told.turn_max])
    high = np.array([told.speed_max, told.turn_max])
    env.reset()

    def send(command: NDArray[np.float64]) -> NDArray[np.bool_]:
        action = command.copy()
        action[:, 0] = np.where(action[:, 0] >= 0.0, action[:, 0] / drive.speed_max, action[:, 0] / drive.reverse_max)
        action[:, 1] /= drive.turn_max
        if env.action_size == 3:
            action = np.column_stack([action, np.ones(rows)])  # the lift stays up
        step = env.step(action.astype(np.float32))
        return (step.terminated | step.truncated).astype(bool)

    alive = np.ones(rows, bool)
    if env.plant.pods is not None:
        for _ in range(LIFTING):
            send(np.zeros((rows, 2)))
        alive &= env.plant.pods.carried()[:, 0] >= 0
    command = rng.uniform(low, high, (rows, 2))
    fast = rng.random(rows) < 0.4  # many stops from high speed
    for _ in range(int(rng.integers(12, 26))):
        change = rng.random(rows) < 0.15
        drawn = rng.uniform(low, high, (rows, 2))
        drawn[fast, 0] = rng.uniform(2.0 / 3.0 * told.speed_max, told.speed_max, int(fast.sum()))
        command = np.where(change[:, None], drawn, command)
        alive &= ~send(command)
    near = rng.random(rows) < 0.5
    candidate = np.where(near[:, None], np.clip(command, low, high), rng.uniform(low, high, (rows, 2)))
    pose = env.state.pose.numpy().astype(np.float64)
    seen = foresee(spec, env.state.measured_twist.numpy()[:, :2], env.drive.released.numpy(), candidate)
    track: list[NDArray[np.float64]] = []
    env.substep_hook = lambda e: track.append(e.state.pose.numpy().astype(np.float64))
    v, w, stop = seen.plan.T
    alive &= ~send(candidate)
    for k in range(1, stop_cycles(spec) + 1):
        left = np.maximum(1.0 - k * 0.1 / np.maximum(stop, 1e-9), 0.0)
        alive &= ~send(np.stack([v * left, w * left], axis=-1))
    env.substep_hook = None
    moved = np.stack(track, axis=1)[..., :2] - pose[:, None, :2]
    c, s = np.cos(pose[:, 2])[:, None], np.sin(pose[:, 2])[:, None]
    at = np.stack([c * moved[..., 0] + s * moved[..., 1], c * moved[..., 1] - s * moved[..., 0]], axis=-1)
    seconds = 0.1 * (stop_cycles(spec) + 1)
    times = (np.arange(at.shape[1]) + 1) * seconds / at.shape[1]
    far = strays(at, times, seen.slices)
    ok = alive & (seen.slices[..., 5] > 0.0).any(axis=1)
    return far.error[ok], far.end[ok]


def run(
    spec: RobotSpec, body: Body, trials: int, worlds: int, *, laden: bool = False
) -> tuple[float, float, NDArray[np.float64], NDArray[np.float64]]:
    """Measure one body; e0, e1 without the 20 %, and all errors with their times."""
    site = make_site("empty", np.zeros((9, 9), bool), cell=12.0)
    config = NavigateConfig(spec=spec, people=1, time_limit=1e6, randomization=vary(person_share=0.0))
    if laden:
        config = Laden(spec=spec, time_limit=1e6, randomization=vary(payload=0.0, start_offset=0.0))
    env = BatchEnv(site, config, worlds=worlds, seed=11, body=body, lidar=False, threads=1)
    if env.plant.pods is not None:
        goods = wp.full((worlds, 1), spec.payload_max - POD_MASS, dtype=wp.float32)
        env.plant.pods.load(goods, wp.full(worlds, 1, dtype=wp.uint8))
    rng = np.random.default_rng(3)
    parts = [trial(env, rng) for _ in range(trials)]
    error = np.concatenate([part[0].ravel() for part in parts])
    time = np.concatenate([part[1].ravel() for part in parts])
    e0, e1 = line_over(error, time)
    return e0, e1, error, time


def measure(quick: bool) -> Iterable[Figure]:
    """e0 and e1 of every robot on both bodies, 20 % included; beside it what the shield is given for that body."""
    for kind, make in KINDS.items():
        for body in ("planar", "wheeled"):
            spec = driven(make(), body)
            trials, worlds = (
                (1 if kind else 4, 100) if quick else ((40, 300) if body == "planar" and not spec.arm else (8, 100))
            )
            e0, e1, error, time = run(spec, body, trials, worlds)
            for t in np.arange(0.0, time.max(), 0.1):
                inside = error[(time > t) & (time <= t + 0.1)]
                if inside.size:
                    print(f"{kind}{body} {t:.1f} s: worst {inside.max():.4f} m of {inside.size}", file=sys.stderr)
            yield Figure(f"{kind}{body}_e0", 1.2 * e0, "m", "spec", spec.tracking_e0)
            yield Figure(f"{kind}{body}_e1", 1.2 * e1, "m/s", "spec", spec.tracking_e1)
