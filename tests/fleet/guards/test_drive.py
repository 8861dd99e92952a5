"""Simulated driving as guards are calibrated on it: its readings agree, and who begins inside somebody is left out."""

from __future__ import annotations

import numpy as np
import pytest

from agents.navigation import training_task
from agents.policy import RESIDUALS
from fleet.guards.drive import Fleet, fleets, task_of
from sim.robot import RobotSpec
from tests.fleet.guarded import LIMITS


@pytest.fixture(scope="module")
def both() -> tuple[Fleet, Fleet]:
    return fleets(task_of(training_task(), RobotSpec(), limited=False), 3, 24)


def test_readings_of_simulated_robots_agree(both: tuple[Fleet, Fleet]) -> None:
    generator = np.random.default_rng(1)
    for fleet in both:
        most, action = np.zeros(len(RESIDUALS)), np.zeros((fleet.rows, 2), np.float32)
        for _ in range(60):
            residuals = fleet.sense(fleet.raw())
            most = np.maximum(most, residuals[fleet.calm].max(0, initial=0.0))
            drawn = generator.uniform((0.0, -0.6), (0.7, 0.6), action.shape)
            action = (0.8 * action + 0.2 * drawn).astype(np.float32)
            fleet.step(action)
        assert {name: value for name, value in zip(RESIDUALS, most.tolist(), strict=True) if value > LIMITS[name]} == {}
        assert most[RESIDUALS.index("place")] > 0.2


def test_a_robot_that_begins_inside_somebody_is_disturbed_until_its_next_episode(both: tuple[Fleet, Fleet]) -> None:
    fleet = both[0]
    fleet.first[:], fleet.calm[:] = True, True
    scan = fleet.environment.plant.state.scan.numpy()
    kept = scan[0].copy()
    scan[0] = 0.05
    fleet._free()
    scan[0] = kept
    assert not fleet.calm[0]
    assert fleet.calm[1:].all()
    fleet.first[:] = False
    fleet._free()
    assert not fleet.calm[0]
