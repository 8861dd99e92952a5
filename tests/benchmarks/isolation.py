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
from sim.fixtures import Fixtures, Ramp
from sim.generate import generate_campus, generate_warehouse
from sim.loads import Loads
from sim.people import Profile
from sim.points import Points
from sim.scene import Body
from sim.sensorspec import LidarSensor, Sensors, Timing, full_suite
from sim.site import Site, make_site, with_fixtures
from sim.snapshots import of_worlds
from sim.tasks.fleet import FleetConfig, fleet
from sim.tasks.navigate import NavigateConfig
from sim.tasks.registry import TASKS
from sim.tasks.task import TaskConfig
from sim.vary import vary

WORLDS = 5


@dataclass
class Pair:
    """Two equal environments of one task."""

    one: BatchEnv
    """Is disturbed."""
    two: BatchEnv
    """Is restored from it, on another number of threads, and left alone."""


def make_pair(site: Site, config: TaskConfig, robots: int, body: Body, seed: int, *, shielded: bool = False) -> Pair:
    """Two environments that differ in their number of threads alone."""
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


def short(config: TaskConfig) -> TaskConfig:
    """With episodes so short that some end on their own, and few paths, which are quickly found."""
    config = replace(config, time_limit=1.5)
    if isinstance(config, NavigateConfig):
        return replace(config, paths=256)
    if isinstance(config, FleetConfig):
        return replace(config, each=short(config.each), fewest=1)
    return config


def crowded(config: TaskConfig) -> TaskConfig:
    """Among people who push and forklifts."""
    return replace(config, people=3, crowd="social_force", forklifts=2, profile=Profile.WALKING)


def sensed(config: TaskConfig) -> TaskConfig:
    """With sensors in time that are late, lossy and faulty."""
    return replace(config, sensors=_late_and_lossy())


def make_pairs() -> list[Pair]:
    """Every task, with one and several robots, on both bodies, with and without a shield, and what plants may have.

    That is a crowd and forklifts, sensors in time, doors and slow zones, pods that anybody may lift, other fleets,
    boxes that sleep, masses and lights that vary, ramps.
    """
    site = generate_campus(5, blocks=(2, 2))
    tasks = {name: short(make()) for name, make in TASKS.items()}
    pairs = []
    for name, config in tasks.items():
        pairs += [make_pair(site, config, 1, "planar", 17), make_pair(site, config, 3, "planar", 19)]
        pairs.append(make_pair(site, config, 2, "wheeled", 20))
        if name != "track":  # the motor level has no corridor that a filter could judge
            pairs.append(make_pair(site, config, 1, "planar", 18, shielded=True))
    roomy = generate_campus(0, blocks=(4, 4))  # where forklifts fit
    pairs += [make_pair(roomy, crowded(tasks["navigate"]), 1, "planar", 21)]
    pairs += [make_pair(roomy, crowded(tasks["fleet"]), 3, "planar", 21)]
    pairs += [make_pair(site, sensed(tasks["navigate"]), 2, "planar", 23, shielded=True)]
    pairs += [make_pair(site, sensed(tasks["dock"]), 1, "wheeled", 23)]
    pairs += [make_pair(site, sensed(tasks["fleet"]), 3, "planar", 23)]
    furnished = generate_warehouse(3, width=16, height=12, stations=4, chargers=2, doors=3, pods=4, speed_limit=0.5)
    pairs += [make_pair(furnished, replace(tasks["avoid"], people=2), 2, "planar", 24, shielded=True)]
    lifted = Loads(movable_pods=True)
    bodies: tuple[Body, ...] = ("planar", "wheeled")
    for body in bodies:
        pairs.append(make_pair(furnished, replace(tasks["navigate"], loads=lifted), 3, body, 25))
    for name in ("avoid", "dock", "carry", "pick", "track"):
        pairs.append(make_pair(site, short(fleet(TASKS[name]())), 3, "planar", 26))
    for name in ("carry", "track"):
        pairs.append(make_pair(site, short(fleet(TASKS[name]())), 2, "wheeled", 27))
    ramps = (Ramp((4, 2, 3, 3), rise=0.2, up=0), Ramp((7, 2, 2, 3), rise=0.2))
    hill = with_fixtures(make_site("hill", np.zeros((8, 12), bool)), Fixtures(ramps=ramps))
    varied = vary(mass=(0.7, 1.4), inertia=(0.7, 1.4), light=(0.3, 2.0), light_x=(-1.0, 1.0), light_dir_x=(-0.5, 0.5))
    for body in bodies:
        spilled = replace(tasks["navigate"], loads=Loads(boxes=3), randomization=vary(boxes=(0, 3)))
        pairs.append(make_pair(site, spilled, 2, body, 31))
        pairs.append(make_pair(site, replace(tasks["navigate"], randomization=varied), 2, body, 28))
        pairs.append(make_pair(site, replace(tasks["carry"], randomization=varied), 1, body, 29))
    return [*pairs, make_pair(hill, tasks["navigate"], 2, "wheeled", 30)]


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
    names += [name for name in one.keys() - of_worlds(one).keys() if one[name].tobytes() != two[name].tobytes()]
    for name, values in of_worlds(one).items():
        others = two[name]
        if len(values) not in (WORLDS, pair.one.rows):
            raise AssertionError(f"{name} has no dimension of worlds or rows: {values.shape}")
        mask = untouched if len(values) == WORLDS else np.repeat(untouched, pair.one.robots)
        if values[mask].tobytes() != others[mask].tobytes():
            names.append(name)
    return names


def _lift(env: BatchEnv, rng: np.random.Generator) -> None:
    """A pod of the floor stands above each robot, and some raise their lifts in the steps to come."""
    scene, lifts = env.scene, env.plant.pods
    assert lifts is not None
    width = 7 if scene.falls else 3
    qpos, pods = env.backend.qpos.numpy(), scene.robots * scene.qpos_stride
    for robot in range(scene.robots):
        at, pod = robot * scene.qpos_stride, pods + robot * width
        qpos[:, pod : pod + 2] = qpos[:, at : at + 2]
    env.backend.qvel.numpy()[:, : scene.robots * scene.qvel_stride] = 0.0
    lifts.state.wanted.numpy()[...] = rng.random(env.rows) < 0.7


def case(pair: Pair, rng: np.random.Generator) -> list[str]:
    """One random case; the names of what leaked."""
    one, two = pair.one, pair.two

    def drawn() -> NDArray[np.float32]:
        action = rng.uniform(-1.0, 1.0, one.action.shape).astype(np.float32)
        action[:, 0] = np.abs(action[:, 0]) * rng.choice([0.3, 1.0])
        return action

    for _ in range(rng.integers(0, 4)):
        one.step(drawn())
    if one.scene.pods and not one.scene.own_pods and rng.random() < 0.5:
        _lift(one, rng)
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
