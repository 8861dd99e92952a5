"""What a fleet of each task costs: microseconds of processor time per robot and control step, one core.

32 robots in worlds of 1, 4 and 16, on an open floor of 24 m x 24 m (track: its own), act at random within a fifth of
their range, so that hardly anybody ends; whole environment steps, the median. The rival is the same robots in worlds of
one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from figure import Figure

from sim.fleetenv import FleetEnv
from sim.gym import configured
from sim.site import make_site
from sim.tasks.fleet import fleet
from sim.tasks.track import track_site

ROBOTS = 32
EPISODE = 50
"""Control steps until all begin again: before many have ended."""

OPEN = make_site("open", np.zeros((20, 20), bool))


def cost(task: str, robots: int, steps: int) -> float:
    """Microseconds per robot and step with `robots` in each world."""
    motor = task == "track"
    env = FleetEnv(
        track_site() if motor else OPEN,
        fleet(configured(task), fewest=0),
        worlds=ROBOTS // robots,
        robots=robots,
        seed=1,
        body="wheeled" if motor else "planar",
        threads=1,
    )
    draws = np.random.default_rng(0)
    taken, acted = [], 0
    for number in range(steps):
        if number % EPISODE == 0:
            env.reset()
        action = draws.uniform(-0.2, 0.2, env.action.shape).astype(np.float32)
        begin = time.process_time()
        step = env.step(action)
        taken.append(time.process_time() - begin)
        acted += int(step.acted.sum())
    if acted < 0.9 * steps * ROBOTS:
        raise RuntimeError(f"expected robots that act, got {acted} of {steps * ROBOTS} steps: the figure means nothing")
    return float(np.median(taken)) / ROBOTS * 1e6


def measure(quick: bool) -> Iterable[Figure]:
    """Parts TASK_ROBOTS of navigate, carry, track and pick with 1, 4 and 16 robots."""
    steps = 50 if quick else 400
    for task in ("navigate", "carry", "track", "pick"):
        alone = cost(task, 1, steps)
        for robots in (1, 4, 16):
            value = alone if robots == 1 else cost(task, robots, steps)
            yield Figure(f"{task}_{robots}", value, "us per robot and step", "one robot a world", alone)
