"""World steps per second of `BatchEnv` over those of Gymnasium's own vector environments, in the same run.

The rivals wrap one-world environments (`sim.adapters.WarehouseEnv`: the same kernels, the same physics, W = 1) in
`gymnasium.vector.SyncVectorEnv`, which steps them one after the other, and in `AsyncVectorEnv`, which gives each its
process and shared memory for observations. `BatchEnv` gets as many worlds and two threads. All meet the same seeds and
random actions, in turns of TURN control steps, so that all meet the same machine; the figure is the ratio of wall time,
because the rivals' processes have their own processor time. A rival's value is its world steps per second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import gymnasium
import numpy as np
from figure import Figure
from numpy.typing import NDArray
from oneworld import floor, make_one, task

from sim.env import BatchEnv

SYNC_WORLDS, ASYNC_WORLDS = 64, 16
"""An asynchronous world is a process of 250 MB that takes two seconds of processor time to begin."""

TURN = 50
"""Control steps played by one before the other's turn."""


def race(rivals: gymnasium.vector.VectorEnv, worlds: int, steps: int) -> tuple[float, float]:
    """World steps per second of `BatchEnv` and of the rivals."""
    env = BatchEnv(floor(), task(), worlds=worlds, seed=1, threads=2)
    env.reset()
    rivals.reset(seed=1)
    rng = np.random.default_rng(0)
    spent = [0.0, 0.0]
    play: list[Callable[[NDArray[np.float32]], object]] = [env.step, rivals.step]
    for turn in range(steps // TURN + 1):  # the first turn warms up
        actions = rng.uniform(-0.5, 1.0, (TURN, worlds, 2)).astype(np.float32).clip(-1.0, 1.0)
        for side, step in enumerate(play):
            begin = time.perf_counter()
            for action in actions:
                step(action)
            spent[side] += (time.perf_counter() - begin) * (turn > 0)
    rivals.close()
    done = worlds * TURN * (steps // TURN)
    return done / spent[0], done / spent[1]


def measure(quick: bool) -> Iterable[Figure]:
    """Parts sync and async."""
    steps = 100 if quick else 600
    sync = gymnasium.vector.SyncVectorEnv([make_one] * SYNC_WORLDS)
    ours, theirs = race(sync, SYNC_WORLDS, steps)
    yield Figure("sync", ours / theirs, "1", rival="gymnasium SyncVectorEnv, world steps/s", rival_value=theirs)
    several = gymnasium.vector.AsyncVectorEnv([make_one] * ASYNC_WORLDS, context="spawn")
    ours, theirs = race(several, ASYNC_WORLDS, steps)
    yield Figure("async", ours / theirs, "1", rival="gymnasium AsyncVectorEnv, world steps/s", rival_value=theirs)
