"""kill -9 of the coordinator at its tenderest points, in small; `tests/benchmarks/coordinator_kill.py` is the large."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.coordination.killing import drill
from tests.coordination.nursery import Kill

KILLS = [
    Kill("answer:commit", 1),
    Kill("answer:committed", 1),
    Kill("round:commit", 12, blackout=22),
    Kill("round:committed", 15),
    Kill("round:sending", 9),
    Kill("", 8, blackout=2),
]


def test_no_task_is_lost_or_done_twice_and_no_robot_outlives_its_lease(tmp_path: Path) -> None:
    outcome = drill(tmp_path, clock="lockstep", kills=KILLS, seed=4)
    assert (outcome.lost, outcome.doubled, outcome.moved_after_lease, outcome.stuck) == (0, 0, 0, 0), outcome.notes
    assert outcome.kills.total() == len(KILLS)
    assert {kill.point for kill in KILLS if kill.point} <= set(outcome.kills)
    assert outcome.tasks >= len(KILLS)


def test_the_same_holds_by_the_clock(tmp_path: Path) -> None:
    kills = [Kill("round:commit", 5), Kill("", 4, blackout=22)]
    outcome = drill(tmp_path, clock="wall", kills=kills, seed=4, robots=2)
    assert (outcome.lost, outcome.doubled, outcome.moved_after_lease, outcome.stuck) == (0, 0, 0, 0), outcome.notes
    assert outcome.kills.total() == len(kills)


@pytest.mark.slow
def test_a_coordinator_that_acknowledges_before_it_commits_is_found_out(tmp_path: Path) -> None:
    kills = [Kill("answer:commit", 1)] * 3
    assert drill(tmp_path, clock="lockstep", kills=kills, seed=4, fault="acknowledge_early").lost > 0


@pytest.mark.slow
def test_a_coordinator_that_grants_before_it_commits_is_found_out(tmp_path: Path) -> None:
    kills = [Kill("round:commit", 10 + number) for number in range(6)]
    assert drill(tmp_path, clock="lockstep", kills=kills, seed=4, fault="grant_early").moved_after_lease > 0
