"""What one observation costs: readings, 64 rays and the whole observation, in microseconds of processor time per robot.

robots_1 is the training task (one robot and two people in a block of a campus), robots_32 a warehouse of 32 x 22 cells
with 32 robots and two people in each world. Median of repeated launches over all rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from figure import Figure

from sim.env import BatchEnv
from sim.generate import generate_campus, generate_warehouse
from sim.site import Site
from sim.tasks.navigate import NavigateConfig


def cost(site: Site, worlds: int, robots: int, launches: int) -> float:
    """Microseconds per robot."""
    env = BatchEnv(site, NavigateConfig(), worlds=worlds, robots=robots, seed=1, threads=1)
    env.reset()
    rng = np.random.default_rng(0)
    for _ in range(20):  # spread out a little
        env.step(rng.uniform(-0.5, 1.0, (env.rows, 2)).astype(np.float32))
    taken = []
    for _ in range(launches):
        begin = time.process_time()
        env.observe()
        taken.append(time.process_time() - begin)
    return float(np.median(taken)) / env.rows * 1e6


def measure(quick: bool) -> Iterable[Figure]:
    """Parts robots_1 and robots_32."""
    launches = 50 if quick else 400
    yield Figure("robots_1", cost(generate_campus(0), 256, 1, launches), "us per robot")
    yield Figure("robots_32", cost(generate_warehouse(0), 8, 32, launches), "us per robot")
