"""One random case of the law of resets: what is done to some worlds changes no bit of the others.

Two equal environments, the second restored from a snapshot of the first and with another number of threads. Some worlds
of the first are disturbed: reset from outside, given an action that is no number, or thrown off the floor so that their
episodes end and begin anew on their own. Then both go on with the same actions. Every array of every world that was not
disturbed must be equal in both, bit for bit: physics, delays, timers, commands, people, corridors, observations, filter
memory. That also shows that a snapshot holds all of it, and that threads change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safety.shield import Shield
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.people import Profile
from sim.points import Points
from sim.scene import Body
from sim.sensorspec import LidarSensor, Sensors, Timing, full_suite
from sim.site import Site
from sim.tasks.fleet import FleetConfig
from sim.tasks.navigate import NavigateConfig
from sim.tasks.registry import TASKS

WORLDS = 5


@dataclass
class Pair:
    """Two equal environments of one task."""

    one: BatchEnv
    """Is disturbed."""
    two: BatchEnv
    """Is restored from it, on another number of threads, and left alone."""


def make_pair(
    site: Site, task: str, robots: int, body: Body, seed: int, *, shielded: bool, crowded: bool = False,
    sensed: bool = False,
) -> Pair:  # fmt: skip
    """A pair with short episodes, so that some end on their own.

    `crowded` with a crowd and forklifts, `sensed` with sensors in time that are late, lossy and faulty.
    """
    config = replace(TASKS[task](), time_limit=1.5)
    if sensed:
        config = replace(config, sensors=_late_and_lossy())
    if crowded:
        config = replace(config, people=3, crowd="social_force", forklifts=2, profile=Profile.WALKING)
    if isinstance(config, NavigateConfig):
        config = replace(config, paths=256)
    elif isinstance(config, FleetConfig):
        config = replace(config, each=replace(config.each, paths=256), fewest=1)
    envs = []
    for threads in (1, 2):
        extra: dict[str, Any] = {}  # arguments of several types
        if shielded:
            points = Points(site, config.spec, 0.0)
            memory = points.init(WORLDS * robots)
            extra = {"filter": Shield(config.spec), "point_speeds": lambda i, p=points, m=memory: p.launch(i, m)}
        env = BatchEnv(site, config, worlds=WORLDS, robots=robots, seed=seed, body=body, threads=threads, **extra)
        env.reset()
        envs.append(env)
    return Pair(*envs)


def make_pairs() -> list[Pair]:
    """Every task, with one and several robots, on both bodies, with and without a shield, among a crowd, and with
    sensors in time."""
    site = generate_campus(5, blocks=(2, 2))
    kinds: list[tuple[int, Body, bool]] = [
        (1, "planar", False),
        (1, "planar", True),
        (3, "planar", False),
        (2, "wheeled", False),
    ]
    pairs = []
    for task in TASKS:
        for number, (robots, body, shielded) in enumerate(kinds):
            if shielded and task == "track":
                continue  # the motor level has no corridor that a filter could judge
            pairs.append(make_pair(site, task, robots, body, 17 + number, shielded=shielded))
    roomy = generate_campus(0, blocks=(4, 4))  # where forklifts fit
    for task, robots in (("navigate", 1), ("fleet", 3)):
        pairs.append(make_pair(roomy, task, robots, "planar", 21, shielded=False, crowded=True))
    sensed: list[tuple[str, int, Body]] = [("navigate", 2, "planar"), ("dock", 1, "wheeled"), ("fleet", 3, "planar")]
    for task, robots, body in sensed:
        pairs.append(make_pair(site, task, robots, body, 23, shielded=task == "navigate", sensed=True))
    return pairs


def _late_and_lossy() -> Sensors:
    """Every sensor, with samples under way for longer than a control step."""
    timing = Timing(rate=30.0, latency=0.12, jitter=0.05, hold=0.2)
    sensors = full_suite()
    each = {name: replace(getattr(sensors, name), timing=timing) for name in sensors.timings()}
    return replace(
        sensors, **each | {"lidar": LidarSensor(timing, ghosts=(0.0, 0.1), blocked_share=0.5)}, observed=True
    )


def differing(pair: Pair, untouched: NDArray[np.bool_]) -> list[str]:
    """Names of the arrays that differ between the pair in the worlds that are untouched."""
    names = []
    one, two = pair.one.snapshot(), pair.two.snapshot()
    for name, values in one.items():
        others = two[name]
        if len(values) not in (WORLDS, pair.one.rows):
            raise AssertionError(f"{name} has no dimension of worlds or rows: {values.shape}")
        mask = untouched if len(values) == WORLDS else np.repeat(untouched, pair.one.robots)
        if values[mask].tobytes() != others[mask].tobytes():
            names.append(name)
    return names


def case(pair: Pair, rng: np.random.Generator) -> list[str]:
    """One random case; the names of what leaked."""
    one, two = pair.one, pair.two

    def drawn() -> NDArray[np.float32]:
        action = rng.uniform(-1.0, 1.0, one.action.shape).astype(np.float32)
        action[:, 0] = np.abs(action[:, 0]) * rng.choice([0.3, 1.0])
        return action

    for _ in range(rng.integers(0, 4)):
        one.step(drawn())
    two.restore(one.snapshot())
    worlds = rng.random(WORLDS) < rng.choice([0.0, 0.3, 0.7])
    rows = np.repeat(worlds, one.robots) & (rng.random(one.rows) < rng.choice([0.5, 1.0]))
    worlds = rows.reshape(WORLDS, one.robots).any(axis=1)
    how = rng.integers(3)
    action = drawn()
    if how == 0:
        one.reset(rows)
        leaked = differing(pair, ~worlds)
        if leaked:
            return leaked
    if how == 1:
        poisoned = action.copy()
        poisoned[rows, rng.integers(action.shape[1])] = rng.choice([np.nan, np.inf])
        one.step(poisoned)
        two.step(action)
    if how == 2:
        first = one.scene.qpos_stride * rng.integers(one.robots)
        one.backend.qpos.numpy()[worlds, first] += rng.choice([40.0, 3.0e9])  # off the floor, or beyond all numbers
    for _ in range(rng.integers(1, 4)):
        action = drawn()
        one.step(action)
        two.step(action)
    return differing(pair, ~worlds)
