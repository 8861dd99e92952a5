"""Seconds of driving simulated per second, over those of highway-env with as many vehicles, in the same run.

highway-env is one world in Python, `highway-v0`: a straight highway of 4 lanes, VEHICLES others by IDM and MOBIL, its
kinematic observation, a decision a second and 15 simulation steps a second; `highway-fast-v0` has 3 lanes, 5 simulation
steps a second and checks collisions of the ego alone. Ours is `RoadEnv`, WORLDS worlds with VEHICLES others by IDM and
MOBIL on a generated highway, senses and randomization on, 20 decisions a second, 100 motor periods a second, by the
kinematic body (kinematic, fast) and by MuJoCo with suspension, tyres and 200 physics steps a second (full). Both drive
straight on and begin again where an episode ends. They take turns, so that both meet the same machine; times are
processor seconds of the process, one thread. The rival's value is its seconds of driving per processor second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import gymnasium
import numpy as np
from drive_env_layer import driver
from figure import Figure

from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.scene import RoadBody
from sim.roadfile import load_road
from sim.robot import SECOND

VEHICLES = 16
WORLDS = 64

TURN = 20.0
"""Seconds of driving that each world of one side does before the other's turn."""

IDLE = 1
"""highway-env's action: keep lane and speed."""


def theirs(name: str, seed: int) -> Callable[[], float]:
    """Drives of highway-env: a function that drives for TURN seconds and says for how many it did."""
    import highway_env

    gymnasium.register_envs(highway_env)
    env = gymnasium.make(name, config={"vehicles_count": VEHICLES}).unwrapped
    env.reset(seed=seed)
    period = 1.0 / env.config["policy_frequency"]  # type: ignore[attr-defined]  # highway-env's own

    def drive() -> float:
        for _ in range(round(TURN / period)):
            _, _, terminated, truncated, _ = env.step(IDLE)
            if terminated or truncated:
                env.reset()
        return round(TURN / period) * period

    return drive


def ours(body: RoadBody, seed: int) -> Callable[[], float]:
    """The same of ours; the hand-written driver's processor time counts with it."""
    atlas = Atlas([load_road("highway:7")])
    config = RoadConfig(traffic=VEHICLES, walkers=0)
    env = RoadEnv(atlas, config, worlds=WORLDS, seed=seed, body=body, threads=1)
    env.reset()
    period = config.spec.period / SECOND

    def drive() -> float:
        for _ in range(round(TURN / period)):
            env.step(driver(env.observation.numpy()))
        return WORLDS * round(TURN / period) * period

    return drive


def race(sides: list[Callable[[], float]], turns: int) -> list[float]:
    """Seconds of driving per processor second of each side."""
    done, spent = np.zeros(len(sides)), np.zeros(len(sides))
    for turn in range(turns + 1):  # the first turn warms up
        for number, side in enumerate(sides):
            begin = time.process_time()
            driven = side()
            if turn > 0:
                spent[number] += time.process_time() - begin
                done[number] += driven
    return (done / spent).tolist()


def measure(quick: bool) -> Iterable[Figure]:
    """Parts kinematic, full and fast."""
    turns = 1 if quick else 5
    sides = [theirs("highway-v0", 1), theirs("highway-fast-v0", 1), ours("kinematic", 1), ours("full", 1)]
    slow, fast, kinematic, full = race(sides, turns)
    yield Figure("kinematic", kinematic / slow, "1", "highway-v0, seconds driven per CPU-second", slow)
    yield Figure("full", full / slow, "1", "highway-v0, seconds driven per CPU-second", slow)
    yield Figure("fast", kinematic / fast, "1", "highway-fast-v0, seconds driven per CPU-second", fast)
