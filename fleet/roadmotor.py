"""The road's motor level: trained below the driving skills, and compared with its twin, the car's firmware.

One lane of environments drives the full body, the other the kinematic one, because the policy serves both. The figure
is the mean error of the car's velocity in the task `sim.driving.motor`, in episodes whose draws come from seeds that no
training uses; the twin is the correction 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fleet.learning import device_named, held_out_on, varied
from fleet.leveltrain import LevelConfig, freeze, learn, make_trainer
from fleet.metrics import TrainingMetrics
from fleet.rundir import plain
from hierarchy.curriculum import Comparison

if TYPE_CHECKING:
    from agents.ppo import PpoConfig
    from sim.driving.motor import MotorConfig
    from sim.driving.scene import RoadBody
    from sim.worlds import Worlds

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Observations (rows, n) to actions (rows, 2)."""

STEPS = 2_000_000
"""Decisions of a whole training, 20 ms each: 0.53 of the firmware's error after 100 s, 0.62 after 0.6 M (2026-11)."""

BODIES: tuple[RoadBody, ...] = ("full", "kinematic")
"""Of the two lanes."""

ROWS = 100
"""Worlds side by side in a comparison; each contributes the same number of episodes."""

HELD_OUT, EVALUATION = 1_000_000, 2_000_000
"""First seed of held-out checks and of comparisons; trainings begin at 0."""


class MotorLevel(LevelConfig, Protocol):
    """What a command that trains the motor level was told."""

    @property
    def randomization(self) -> str:
        """File with other ranges of what varies; empty: the task's own; `nominal`: nothing varies."""
        ...


def motor_task(file: str, elsewhere: Collection[str] = ()) -> MotorConfig:
    """The task with the ranges of a file, "" for none; rows named in `elsewhere` are left to others.

    Raises VaryError where they are out of bounds.
    """
    from sim.driving.motor import MotorConfig

    return varied(MotorConfig(), file, elsewhere)  # type: ignore[type-var]  # varies as the warehouse's tasks do


def motor_ppo() -> PpoConfig:
    """A task of half a second's memory, little noise, a network that a kernel answers in microseconds."""
    from agents.ppo import PpoConfig

    return PpoConfig(gamma=0.95, lam=0.9, hidden=(32, 32), log_std=-1.5, anneal=0.5)


def train_motor(
    config: MotorLevel,
    root: Path,
    seconds: float,
    metrics: TrainingMetrics,
    *,
    steps: int = STEPS,
    episodes: int = 200,
    elsewhere: Collection[str] = (),
) -> Comparison:
    """Train and freeze the level in the folder `motor` of a run, and compare it with its twin in `episodes` episodes.

    A level that was under way goes on from its newest checkpoint.
    """
    from sim.driving.motor import motor_worlds

    task, place, device = motor_task(config.randomization, elsewhere), root / "motor", device_named(config.device)
    place.mkdir(parents=True, exist_ok=True)

    def lanes(seed: int, worlds: int) -> list[Worlds]:
        return [
            motor_worlds(
                task,
                worlds=worlds // len(BODIES),
                seed=len(BODIES) * seed + lane,
                body=body,
                device=device,
            )
            for lane, body in enumerate(BODIES)
        ]

    learned = lanes(config.seed, config.worlds)
    checked = held_out_on(lanes(HELD_OUT + config.seed, 64), 64, device)
    trainer = make_trainer(
        motor_ppo(), steps, seconds, config, learned, learned[0].contract, checked, place, {"task": plain(task)}
    )
    learn(trainer, "motor", place, metrics)
    freeze(trainer, place, config, below={})
    comparison = compare_motor(place, seed=config.seed, episodes=episodes, task=task)
    comparison.write(place)
    return comparison


def compare_motor(
    motor: Path, *, seed: int, episodes: int, body: RoadBody = "full", task: MotorConfig | None = None
) -> Comparison:
    """The frozen level of a folder and the firmware alone, in the same episodes."""
    from agents.policy import Policy
    from sim.driving.motor import MotorConfig, motor_contract

    policy, task = Policy.load(motor), task or MotorConfig()
    policy.check(motor_contract(task.spec))
    return Comparison(
        level="motor",
        figure=f"mean velocity error ({body} body)",
        unit="m/s",
        learned=velocity_error(policy.act, seed, episodes, body, task),
        twin=velocity_error(firmware, seed, episodes, body, task),
        goal=0.8,
        better="lower",
        episodes=episodes,
        twin_name="the firmware",
    )


def firmware(observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The twin: no correction."""
    return np.zeros((len(observation), 2), np.float32)


def velocity_error(act: Act, seed: int, episodes: int, body: RoadBody, task: MotorConfig) -> float:
    """Mean over whole episodes, m/s."""
    from sim.driving.motor import MotorTask, motor_worlds

    rows = min(ROWS, episodes)
    env = motor_worlds(task, worlds=rows, seed=EVALUATION + seed, body=body, threads=2)
    driven = env.task
    assert isinstance(driven, MotorTask)
    observation, total = env.reset(), 0.0
    steps = math.ceil(episodes / rows) * driven.steps
    for _ in range(steps):
        observation = env.step(act(observation)).observation
        total += float(driven.following.error.numpy().mean(dtype=np.float64))
    return total / steps
