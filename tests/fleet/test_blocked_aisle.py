"""A pallet stands in the aisle: the robot reports it, the coordinator finds another way, the task is done; or, where
there is no other way, a person is asked in the end. Control step and coordinator are the real ones, without sockets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coordination.client import new_task_id
from coordination.coordinator import Coordinator
from coordination.messages import Leg, LegKind, Picture, Report, RobotStatus
from coordination.requests import Submit, Task
from coordination.tasks import Store
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.records import Inputs, Memory, at_start
from hierarchy import meta
from sim.robot import RobotCommand, RobotSpec
from sim.site import Site, make_site
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
PALLET = 0.35
"""m, radius of the disc that stands for it"""


def ring(*, closed: bool) -> Site:
    """Two aisles, one above the other, joined at both ends; `closed` leaves only the upper one."""
    blocked = np.ones((5, 9), bool)
    blocked[1, 1:8] = False
    if not closed:
        blocked[3, 1:8] = False
        blocked[2, (1, 7)] = False
    return make_site("ring", blocked)


def scanner(site: Site, pallet: tuple[float, float]) -> Callable[[tuple[float, float, float]], NDArray[np.float32]]:
    """A lidar by marching each ray over the grid in steps of 4 cm; shares nothing with the simulator's."""
    angles = -math.pi + 2.0 * math.pi * np.arange(SPEC.lidar.rays) / SPEC.lidar.rays
    steps = np.arange(0.04, SPEC.lidar.range_max, 0.04)

    def scan(pose: tuple[float, float, float]) -> NDArray[np.float32]:
        x = pose[0] + np.outer(np.cos(angles + pose[2]), steps)
        y = pose[1] + np.outer(np.sin(angles + pose[2]), steps)
        column = np.clip((x / site.cell).astype(int), 0, site.width - 1)
        row = np.clip(site.height - 1 - (y / site.cell).astype(int), 0, site.height - 1)
        hit = site.blocked[row, column] | (np.hypot(x - pallet[0], y - pallet[1]) < PALLET)
        first = np.where(hit.any(axis=1), hit.argmax(axis=1), len(steps) - 1)
        return np.where(hit.any(axis=1), steps[first], SPEC.lidar.range_max).astype(np.float32)

    return scan


@dataclass
class Life:
    """One robot under the real coordinator."""

    site: Site
    stepper: Stepper
    robot: FakeRobot
    coordinator: Coordinator
    memory: Memory = field(default_factory=at_start)
    picture: Picture | None = None
    reports: list[Report] = field(default_factory=list)
    nearest: float = math.inf
    """Smallest distance of the robot's centre to the pallet's, m"""

    def run(self, seconds: float, pallet: tuple[float, float], until: Callable[[Report], bool]) -> bool:
        """Rounds until a report satisfies `until`; False when none did."""
        for number in range(round(seconds * 10)):
            readings = self.robot.read(0.0)
            assert readings is not None
            x, y, yaw = (float(value) for value in readings.pose)
            v, w = (float(value) for value in readings.twist)
            stamp = readings.stamp
            inputs = Inputs(
                number, stamp, readings.scan.tobytes(), stamp, (x, y, yaw), stamp, (v, w), stamp, picture=self.picture
            )
            outputs, self.memory = self.stepper.step(inputs, self.memory)
            self.robot.write(RobotCommand(*outputs.released))
            self.reports.append(outputs.report)
            self.nearest = min(self.nearest, math.dist((x, y), pallet))
            with self.coordinator.store.transaction():
                self.coordinator.handle("r0", outputs.report, stamp)
                replies = self.coordinator.tick(stamp)
            self.picture = next(body for peer, body in replies if peer == "r0" and isinstance(body, Picture))
            if until(outputs.report):
                return True
        return False


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Life]]:
    stores = []

    def make(site: Site, pallet: tuple[float, float], legs: tuple[Leg, ...] = ()) -> Life:
        policy = write_hand_policy(tmp_path, SPEC)
        start = site.centre(site.width + 1)
        robot = FakeRobot(SPEC, (float(start[0]), float(start[1]), 0.0), scanner(site, pallet))
        stores.append(Store(tmp_path / "tasks.sqlite"))
        coordinator = Coordinator(site, stores[-1])
        task = Task(new_task_id(), legs or (Leg(site.width + 7, LegKind.VISIT),))
        with coordinator.store.transaction():
            coordinator.handle("client", Submit("q", (task,)), 0)
        return Life(site, Stepper(ControlConfig(spec=SPEC, person_speed=0.0), site, policy), robot, coordinator)

    yield make
    for store in stores:
        store.close()


def test_a_blocked_aisle_leads_to_another_route(begin: Callable[..., Life]) -> None:
    site = ring(closed=False)
    pallet = tuple(float(value) for value in site.centre(site.width + 4))
    life = begin(site, (pallet[0], pallet[1]))
    assert life.run(120.0, (pallet[0], pallet[1]), lambda report: report.legs_done == 1), life.reports[-1]
    blocked = {cell for report in life.reports for cell in report.blocked}
    assert site.width + 4 in blocked
    lower = {cell for report in life.reports for cell in report.cells if cell // site.width == 3}
    assert len(lower) == 7  # it went round by the lower aisle
    assert life.nearest > PALLET + SPEC.radius
    assert not any(report.failed for report in life.reports)


def test_without_another_route_a_person_is_asked_in_the_end(
    begin: Callable[..., Life], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta, "RETRY_SECONDS", 3.0)
    site = ring(closed=True)
    pallet = tuple(float(value) for value in site.centre(site.width + 4))
    life = begin(site, (pallet[0], pallet[1]))
    assert life.run(60.0, (pallet[0], pallet[1]), lambda report: report.status is RobotStatus.OPERATOR)
    assert "replans" in life.reports[-1].failed
    assert life.nearest > PALLET + SPEC.radius


@pytest.mark.parametrize("picture_kept", [True, False])
def test_a_robot_whose_process_is_started_anew_finishes_the_task_that_it_had_begun(
    begin: Callable[..., Life], picture_kept: bool
) -> None:
    """The fetch leg is done and the load on board: it goes on to the delivery, and does not wait for the fetch cell."""
    site, nowhere = ring(closed=False), (-50.0, -50.0)
    legs = (Leg(site.width + 3, LegKind.FETCH, 1.0), Leg(site.width + 7, LegKind.DELIVER, 1.0))
    life = begin(site, nowhere, legs)
    assert life.run(60.0, nowhere, lambda report: report.legs_done == 1)
    assert life.run(60.0, nowhere, lambda report: report.pose[0] > 6.5), "well past the fetch cell"
    life.memory = at_start()
    if not picture_kept:
        life.picture = None
    begun = len(life.reports)
    assert life.run(60.0, nowhere, lambda report: report.legs_done == 2), life.reports[-1]
    assert all(report.legs_done >= 1 for report in life.reports[begun:] if report.task), "no leg is done twice"
    assert life.coordinator.store.counts()["DONE"] == 1
