"""`muster judge missions RUN`: a run's black boxes become the missions that the judge reads, each of them once."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.policy import Policy
from fleet.blackbox import BlackBox, Step
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from fleet.judge.cli import Config, run
from fleet.judge.missions import FILE, MissionError, read_missions
from fleet.salvage import BlackBoxError
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC, SITE = RobotSpec(), aisle()
CONFIG = ControlConfig(robot="r0", spec=SPEC, person_speed=0.0)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


@pytest.fixture(scope="module")
def steps(policy: Policy) -> list[Step]:
    """A whole delivery, and the begin of another one."""
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)
    robot, coordinator = FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(4))
    episode = Episode(Stepper(CONFIG, SITE, policy), robot, coordinator)
    episode.run(15.0)
    assert episode.steps[-1].outputs.report.legs_done == 1
    coordinator.assignment = type(delivery(8))("0190-next", 1, delivery(8).legs)
    episode.run(1.0)
    return episode.steps


def record(root: Path, policy: Policy, steps: list[Step], rotate_bytes: int = 1 << 30) -> None:
    box = BlackBox(root / "blackbox", "r0", *write_header(CONFIG, SITE, policy), rotate_bytes=rotate_bytes)
    for number, step in enumerate(steps, 1):
        box.append(step)
        if number % 7 == 0:
            box.flush()
    box.close()


def test_a_mission_across_rotated_files_is_one_and_told_once(
    tmp_path: Path, policy: Policy, steps: list[Step], capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, policy, steps, rotate_bytes=50_000)
    assert len(list((tmp_path / "blackbox").glob("*.mcap"))) > 2
    for added in (1, 0):
        assert run(Config("missions", tmp_path)) == 0
        assert f"{added} missions added of 1 that 1 robots ended; 1 were under way" in capsys.readouterr().out
    (mission,) = read_missions(tmp_path / FILE)
    assert (mission.id, mission.done, mission.arm, mission.latency_p99) == ("0190-task/1", True, "baseline", None)
    assert mission.steps == (mission.end - mission.begin) // SPEC.period + 1
    assert run(Config("look", tmp_path)) == 3


def test_a_file_that_is_gone_leaves_its_mission_without_counts(
    tmp_path: Path, policy: Policy, steps: list[Step]
) -> None:
    record(tmp_path, policy, steps, rotate_bytes=100_000)
    sorted((tmp_path / "blackbox").glob("*.mcap"))[1].unlink()
    assert run(Config("missions", tmp_path)) == 0
    (mission,) = read_missions(tmp_path / FILE)
    assert (mission.steps, mission.contacts) == (None, None)


def test_a_run_without_black_boxes_and_a_file_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BlackBoxError, match="there is none"):
        run(Config("missions", tmp_path))
    with pytest.raises(MissionError, match="run directory"):
        run(Config("missions", tmp_path / "none"))
    (tmp_path / "blackbox").mkdir()
    (tmp_path / "blackbox" / "r0-0.mcap").write_bytes(b"no log")
    with pytest.raises(BlackBoxError):
        run(Config("missions", tmp_path))
    with pytest.raises(MissionError, match="--capacity"):
        run(Config("missions", tmp_path, capacity=-1.0))
