"""What people and forklifts cost: microseconds of processor time per mover and 20 ms step, in 256 worlds of one robot.

cells_2 and social_force_2: two people a world, as in training, walking from cell to cell or by social forces;
social_force_12: twelve; forklifts_2: two trucks and no people. Everybody is there, in blocks of a campus, and robots
drive at random. Median of repeated steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from figure import Figure

from sim.crowd import CrowdKind
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.people import Profile
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary

WORLDS = 256


def cost(crowd: CrowdKind, people: int, forklifts: int, launches: int) -> float:
    """Microseconds per step of a person or forklift."""
    config = NavigateConfig(
        people=people,
        crowd=crowd,
        forklifts=forklifts,
        profile=Profile.WALKING,
        randomization=vary(person_share=1.0),
    )
    env = BatchEnv(generate_campus(0), config, worlds=WORLDS, seed=1, threads=1)
    env.reset()
    rng = np.random.default_rng(0)
    for _ in range(30):  # spread out a little
        env.step(rng.uniform(-0.5, 1.0, (env.rows, 2)).astype(np.float32))
    there = int((env.people.origin.numpy() >= 0).sum() + (env.plant.forklifts.place.numpy() >= 0).sum())
    taken = []
    for _ in range(launches):
        begin = time.process_time()
        env.plant.walk.launch()
        taken.append(time.process_time() - begin)
    return float(np.median(taken)) / there * 1e6


def measure(quick: bool) -> Iterable[Figure]:
    """Parts cells_2, social_force_2, social_force_12, forklifts_2."""
    launches = 100 if quick else 1000
    yield Figure("cells_2", cost("cells", 2, 0, launches), "us per person-step")
    yield Figure("social_force_2", cost("social_force", 2, 0, launches), "us per person-step")
    yield Figure("social_force_12", cost("social_force", 12, 0, launches), "us per person-step")
    yield Figure("forklifts_2", cost("cells", 0, 2, launches), "us per forklift-step")
