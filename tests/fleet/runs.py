"""A small recorded run, as `muster launch` leaves one: plant.npz, cargo.json and a black box."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fleet.blackbox import BlackBox
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

PERSON = (10.2, 1.8)
"""Somebody who stands in the aisle, where the robot wants to go."""


def write_run(folder: Path, seconds: float = 12.0) -> Episode:
    """r0 drives down an aisle towards a person and has a black box; r1 stands at its end and has none."""
    spec, site = RobotSpec(), aisle()
    policy = write_hand_policy(folder, spec)
    config = ControlConfig(robot="r0", spec=spec)
    scan = walls(site, spec.lidar.rays, spec.lidar.range_max, ((*PERSON, 0.25),))
    robot = FakeRobot(spec, (0.6, 1.8, 0.0), scan)
    episode = Episode(Stepper(config, site, policy), robot, FakeCoordinator(site, delivery(12)))
    episode.run(seconds)
    box = BlackBox(folder / "blackbox", "r0", *write_header(config, site, policy))
    for step in episode.steps:
        box.append(step)
    box.close()
    poses = np.zeros((len(episode.steps), 2, 3), np.float32)
    poses[:, 0] = [step.inputs.pose for step in episode.steps]
    poses[:, 1] = (13.8, 1.8, np.pi)
    stamps = np.array([step.stamp for step in episode.steps], np.int64)
    np.savez(
        folder / "plant.npz",
        names=np.array(["r0", "r1"]),
        stamps=stamps,
        poses=poses,
        people=np.tile(np.float32(PERSON), (len(stamps), 1, 1)),
        footprint=np.array([spec.length, spec.width, spec.height], np.float32),
        blocked=site.blocked,
        person_free=site.person_free,
        stations=site.stations,
        chargers=site.chargers,
        cell=np.array(site.cell),
    )
    cargo = [{"robot": "r0", "from": int(stamps[10]), "to": int(stamps[-1])}]
    (folder / "cargo.json").write_text(json.dumps(cargo))
    return episode
