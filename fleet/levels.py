"""What each level of `muster hierarchy` trains on, and the settings that it learns best by.

One file of ranges serves all levels: each takes the rows that it has, and a row that none has is refused. The libraries
of learning and simulation are imported where they are needed, because they take seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.learning import driven_by, varied

if TYPE_CHECKING:
    from agents.ppo import PpoConfig
    from sim.motornet import NavigateOnMotor
    from sim.perceptron import Layers
    from sim.robot import RobotSpec
    from sim.tasks.navigate import NavigateConfig, Reward
    from sim.tasks.track import TrackConfig


def motor_task(file: str, spec: RobotSpec) -> TrackConfig:
    """Track on a robot, with the ranges of a file, "" for none.

    Raises VaryError where they are out of bounds and SpecError for a car, as the next two.
    """
    from sim.tasks.track import TrackConfig

    return varied(driven_by(TrackConfig(), replace(spec, period=spec.motor_period)), file, _rows())


def planar_task(file: str, spec: RobotSpec) -> NavigateConfig:
    """Navigate on the planar body."""
    return varied(driven_by(navigate_task(), spec), file, _rows())


def wheel_task(file: str, spec: RobotSpec, layers: Layers | None = None) -> NavigateOnMotor:
    """Navigate on the motor policy's wheels."""
    from sim.motornet import NavigateOnMotor

    return varied(driven_by(NavigateOnMotor(motor=layers, reward=navigate_reward()), spec), file, _rows())


def _rows() -> set[str]:
    """What one file may name: the rows of all levels."""
    from sim.motornet import NavigateOnMotor
    from sim.tasks.track import TrackConfig

    return {row.name for task in (TrackConfig(), NavigateOnMotor()) for row in task.table()}


def motor_ppo() -> PpoConfig:
    """A task of half a second's memory, little noise, a network that a kernel answers in microseconds."""
    from agents.ppo import PpoConfig

    return PpoConfig(gamma=0.9, lam=0.9, hidden=(32, 32), log_std=-1.5, anneal=0.5)


def navigate_ppo() -> PpoConfig:
    """As `muster train`."""
    from agents.navigation import ppo_for_best

    return ppo_for_best()


def tune_ppo() -> PpoConfig:
    """Going on with a policy that drives already: smaller steps."""
    return replace(navigate_ppo(), learning_rate=3e-4)


def navigate_reward() -> Reward:
    """Time is three times as dear as for `muster train`: 1.03 m/s of success x speed where that gave 0.89 (2026-11)."""
    from sim.tasks.navigate import Reward

    return Reward(time=0.1)


def navigate_task() -> NavigateConfig:
    """Navigate as trained here."""
    from agents.navigation import training_task

    return replace(training_task(), reward=navigate_reward())
