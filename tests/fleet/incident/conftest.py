"""A run with one black box: a robot that delivers along an aisle in which somebody stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.policy import Policy
from fleet.blackbox import BlackBox, Step
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()
CONFIG = ControlConfig(robot="r0", spec=SPEC, person_speed=1.6)


@dataclass(frozen=True)
class Run:
    """A recorded run."""

    root: Path
    box: Path
    policy: Policy
    steps: list[Step]


def write_box(root: Path, policy: Policy | None, steps: list[Step], chunk: int = 7) -> Path:
    """A run's black box with these steps; its file."""
    box = BlackBox(root / "blackbox", "r0", *write_header(CONFIG, SITE, policy))
    for number, step in enumerate(steps, 1):
        box.append(step)
        if number % chunk == 0:
            box.flush()
    box.close()
    return sorted((root / "blackbox").glob("*.mcap"))[-1]


@pytest.fixture(scope="session")
def incident_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """15 s of driving towards a cell, towards somebody in the way; the scan is withheld for a second."""
    root = tmp_path_factory.mktemp("incident")
    policy = write_hand_policy(root, SPEC)
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, ((8.0, 1.8, 0.25),))
    episode = Episode(
        Stepper(CONFIG, SITE, policy), FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(5))
    )
    episode.run(6.0)
    episode.robot.stale.add("scan")
    episode.run(1.0)
    episode.robot.stale.clear()
    episode.run(8.0)
    return Run(root, write_box(root, policy, episode.steps), policy, episode.steps)
