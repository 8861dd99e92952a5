"""Recorded problems as drives: which are solved, and which cannot be any more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.bodies.specs import CAR
from sim.driving.atlas import Atlas
from sim.driving.contract import asks
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.problems import Problems, Standing, asked, problem_env
from sim.driving.recorded import Recorded, from_commonroad
from sim.roadgen import generate_rural
from tests.sim.driving.test_appointment import AREA, times
from tests.sim.driving.test_recorded import moving, problem
from tests.sim.test_commonroad import ROADS, write

AHEAD = moving((80.0, 0.0, 0, 5.0), (80.5, 0.0, 1, 5.0))
SLOW = moving(*[(-4.0 + 0.7 * k, 0.0, k, 7.0) for k in range(40)])


def recorded(path: Path, goal: str, other: str = AHEAD) -> Recorded:
    """A car at 10 m/s, 5 m from a road's begin."""
    return from_commonroad(write(path, ROADS, other, problem(f"<goalState>{goal}</goalState>")))


def driven(recordings: list[Recorded], accel: float, worlds: int = 1, time_limit: float = 60.0) -> Problems:
    """Until all is over, at an acceleration along the lane, m/s^2."""
    env = problem_env(recordings, RoadConfig(time_limit=time_limit), worlds=worlds, seed=1, threads=1)
    env.reset()
    problems = Problems(env, recordings)
    action = np.zeros((worlds, 2), np.float32)
    for _ in range(400):
        action[:, 0] = asks(accel, np.array(env.observation.numpy()), CAR.car)
        env.step(action)
        before = problems.standing.copy()
        found = problems.look()
        assert (found[before != Standing.GOING] == Standing.GOING).all(), "each is told once"
        if problems.over:
            break
    return problems


def test_who_is_at_the_place_in_time_has_solved_it(tmp_path: Path) -> None:
    problems = driven([recorded(tmp_path / "a.xml", times(20, 40) + AREA)], 0.0)
    assert problems.standing.tolist() == [Standing.SOLVED]
    assert 2.0 <= problems.time <= 3.5, "10 m/s over 25 to 35 m"


def test_who_stands_is_too_late_as_soon_as_the_time_is_over(tmp_path: Path) -> None:
    problems = driven([recorded(tmp_path / "a.xml", times(20, 40) + AREA)], -6.0)
    assert problems.standing.tolist() == [Standing.LATE]
    assert problems.time == pytest.approx(4.1)


def test_without_a_place_the_whole_time_is_driven(tmp_path: Path) -> None:
    one = recorded(tmp_path / "a.xml", times(0, 30))
    assert asked(one) == (False, pytest.approx(3.0))
    problems = driven([one], -1.8)
    assert problems.standing.tolist() == [Standing.SOLVED]
    assert problems.time == pytest.approx(3.0)


def test_a_time_limit_ends_a_drive_before_its_problem(tmp_path: Path) -> None:
    problems = driven([recorded(tmp_path / "a.xml", times(20, 40) + AREA)], -6.0, time_limit=1.0)
    assert problems.standing.tolist() == [Standing.ENDED]
    assert problems.time == pytest.approx(1.0)


def test_who_stands_and_is_struck_has_not_solved_it(tmp_path: Path) -> None:
    problems = driven([recorded(tmp_path / "a.xml", times(0, 40), SLOW)], -6.0)
    assert problems.standing.tolist() == [Standing.STRUCK]
    assert problems.time < 3.0


def test_every_world_has_the_problem_of_the_road_that_it_drew(tmp_path: Path) -> None:
    """One asks for a time, the other for a place that nobody who rolls on reaches in time."""
    near, far = recorded(tmp_path / "a.xml", times(0, 10)), recorded(tmp_path / "b.xml", times(0, 11) + AREA)
    env = problem_env([near, far], RoadConfig(), worlds=8, seed=1, threads=1)
    env.reset()
    problems = Problems(env, [near, far])
    while not problems.over:
        env.step(np.zeros((8, 2), np.float32))
        problems.look()
    expected = np.where(env.plant.road.numpy() == 0, Standing.SOLVED, Standing.LATE)
    assert set(expected.tolist()) == {Standing.SOLVED, Standing.LATE}
    assert problems.standing.tolist() == expected.tolist()


def test_environments_without_recordings_have_no_problems() -> None:
    env = RoadEnv(Atlas([generate_rural(0)], routes=2), RoadConfig(), worlds=1, threads=1)
    with pytest.raises(ValueError, match="plays no recording"):
        Problems(env, [])
