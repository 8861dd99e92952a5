"""What a lease of the closed course leaves of a candidate's commands, through the control step."""

from pathlib import Path

import pytest

from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.records import Outputs
from fleet.registry.pins import pins
from fleet.replay import replay_all
from fleet.rollout.makers import BASELINE, write_policy
from safety.calibration import within
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.test_replay import write_box

SPEC, SITE = RobotSpec(), aisle()


def drive(directory: Path, speed: float) -> tuple[Stepper, Episode, list[Outputs]]:
    """4 s down the aisle with somebody's obstacle at its side, under a lease that leaves this speed."""
    stepper = Stepper(ControlConfig(spec=SPEC, person_speed=0.0, leased=True), SITE, write_policy(directory, BASELINE))
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)
    episode = Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(8)))
    episode.spoil = {"speed": speed}
    return stepper, episode, episode.run(4.0)


def test_no_command_is_faster_than_the_lease_leaves(tmp_path: Path) -> None:
    free = [abs(outputs.released[0]) for outputs in drive(tmp_path, 0.0)[2]]
    bounded = [abs(outputs.released[0]) for outputs in drive(tmp_path, 0.25)[2]]
    assert max(free) > 0.6
    assert 0.2 < max(bounded) <= 0.25 + 1e-6


def test_a_drive_under_a_bound_replays_bit_for_bit(tmp_path: Path) -> None:
    stepper, episode, _ = drive(tmp_path, 0.25)
    assert stepper.policy is not None
    path = write_box(tmp_path, stepper.policy, episode.steps, config=stepper.config)
    (verdict,) = replay_all(path, tmp_path)
    assert verdict.identical, verdict


def test_that_leases_may_bound_a_robot_is_no_other_release() -> None:
    assert pins(ControlConfig(leased=True)) == pins(ControlConfig())


@pytest.mark.parametrize(
    ("speed", "command", "left"),
    [
        (0.3, (0.9, 0.6), ((0.3, 0.2), 0.3)),
        (0.3, (-0.9, 0.6), ((-0.3, 0.2), 0.3)),
        (0.3, (0.2, 1.0), ((0.2, 1.0), 0.3)),
        (0.0, (0.9, 0.6), ((0.9, 0.6), 1.0)),
        (float("nan"), (0.9, 0.6), ((0.9, 0.6), 1.0)),
    ],
)
def test_a_bound_keeps_the_arc(speed: float, command: tuple[float, float], left: tuple) -> None:
    (v, w), limit = within(speed, command, 1.0)
    assert ((v, w), limit) == (pytest.approx(left[0]), left[1])
