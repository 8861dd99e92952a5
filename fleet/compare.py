"""Each level of the hierarchy beside its hand-written twin: the same episodes for both, the deterministic policy.

    motor      mean speed error of a point of the hull (`sim/tasks/track.py`), m/s
    navigate   share of the episodes that succeed times their mean speed along the path, m/s; without a shield

Draws and floors come from seeds that no training uses. Navigate runs on the wheeled body on the frozen motor policy,
and so does its twin: only one level differs. The twin of motor is the drive's law, the correction 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.layers import read_layers
from agents.navigation import EVALUATION
from agents.policy import Policy
from fleet.learning import driven_by
from fleet.levels import motor_task
from hierarchy.curriculum import Comparison
from hierarchy.follower import Follower
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.motornet import NavigateOnMotor, OnMotor
from sim.perceptron import Layers
from sim.robot import RobotSpec
from sim.tasks.navigate import Navigate
from sim.tasks.navigate_contract import navigate_contract
from sim.tasks.track import Track, track_contract, track_site

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Observations (rows, n) to actions (rows, k)."""

ROWS = 100
"""Worlds side by side; each contributes the same number of episodes."""

BLOCKS = (5, 5)
"""Of the floor of navigate's episodes: 25 layouts."""


def compare_motor(motor: Path, spec: RobotSpec, *, seed: int, episodes: int) -> Comparison:
    """The motor level of a robot and the drive's law."""
    policy = Policy.load(motor)
    policy.check(track_contract(spec))
    learned = speed_error(policy.act, spec, seed, episodes)
    twin = speed_error(law, spec, seed, episodes)
    return Comparison(
        level="motor",
        figure="mean speed error",
        unit="m/s",
        learned=learned,
        twin=twin,
        goal=0.8,
        better="lower",
        episodes=episodes,
        twin_name="the drive's law",
    )


def law(observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The twin of motor: no correction."""
    return np.zeros((len(observation), 2), np.float32)


def speed_error(act: Act, spec: RobotSpec, seed: int, episodes: int) -> float:
    """Mean over whole episodes of the task `track`, m/s."""
    rows = min(ROWS, episodes)
    config = motor_task("", spec)
    env = BatchEnv(track_site(), config, worlds=rows, seed=EVALUATION + seed, body="wheeled", threads=2, lidar=False)
    task = env.task
    assert isinstance(task, Track)
    observation, total = env.reset(), 0.0
    steps = math.ceil(episodes / rows) * task.steps
    for _ in range(steps):
        observation = env.step(act(observation)).observation
        total += float(task.following.error.numpy().mean(dtype=np.float64))
    return total / steps


@dataclass(frozen=True)
class Drives:
    """What became of navigate's episodes."""

    success: float
    """Share."""
    speed: float
    """Mean over the successful ones of the path's length over their time, m/s."""
    collisions: float
    """Share."""

    @property
    def figure(self) -> float:
        """Success x speed, m/s."""
        return self.success * self.speed


def compare_navigate(navigate: Path, motor: Path, spec: RobotSpec, *, seed: int, episodes: int) -> Comparison:
    """The navigate skill of a robot and pure pursuit, both on the motor policy."""
    policy, layers = Policy.load(navigate), read_layers(motor)
    policy.check(navigate_contract(spec))
    learned = drives(policy.act, layers, spec, seed, episodes)
    twin = drives(Follower(spec).act, layers, spec, seed, episodes)
    return Comparison(
        level="navigate",
        figure=f"success x speed ({learned.success:.1%} x {learned.speed:.2f}, twin {twin.success:.1%} x "
        f"{twin.speed:.2f} m/s)",
        unit="m/s",
        learned=learned.figure,
        twin=twin.figure,
        goal=1.0,
        better="higher",
        episodes=episodes,
        twin_name="pure pursuit",
    )


def drives(act: Act, motor: Layers | None, spec: RobotSpec, seed: int, episodes: int) -> Drives:
    """At least `episodes` episodes of navigate on a floor of the evaluations', the same number in every world."""
    rows = min(ROWS, episodes)
    site = generate_campus(EVALUATION + seed, blocks=BLOCKS)
    config = driven_by(NavigateOnMotor(motor=motor), spec)
    env = BatchEnv(site, config, worlds=rows, seed=EVALUATION + seed, body="wheeled", threads=2)
    task = env.task
    assert isinstance(task, OnMotor)
    way_left = way_of(task).course.remaining.numpy()
    wanted, period = math.ceil(episodes / rows), env.spec.period / 1e9
    done, steps = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    observation = env.reset()
    way = way_left.copy()
    successes, collisions, speeds = 0, 0, []
    while done.min() < wanted:
        step = env.step(act(observation))
        observation = step.observation
        steps += 1
        ended = np.asarray(step.terminated | step.truncated, bool)
        counted = ended & (done < wanted)
        won = counted & step.success
        successes += int(won.sum())
        collisions += int((counted & step.collision).sum())
        speeds.extend(way[won] / (steps[won] * period))
        done += ended
        steps[ended] = 0
        way[ended] = way_left[ended]  # the next episode has begun
    env.end_rollout()
    many = rows * wanted
    return Drives(successes / many, float(np.mean(speeds)) if speeds else 0.0, collisions / many)


def way_of(task: OnMotor) -> Navigate:
    """The navigate rows under a motor policy."""
    assert isinstance(task.task, Navigate)
    return task.task
