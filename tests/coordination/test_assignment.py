import itertools

import numpy as np
import pytest

from coordination import assignment
from coordination.assignment import Candidate, Energy, assign, costs
from coordination.lifecycle import TaskRecord, level
from coordination.messages import Leg, LegKind
from coordination.requests import Task, TaskState
from coordination.roadmap import Fields, Roadmap
from sim.robot import SECOND
from sim.site import make_site

ENERGY = Energy(per_cell=0.01, reserve=0.1)


def fields(*rows: str) -> Fields:
    blocked = np.array([[character == "@" for character in row] for row in rows])
    return Fields(Roadmap(make_site("test", blocked)), slots=64)


def record(name: str, *cells: int, submitted: int = 0, **content: object) -> TaskRecord:
    task = Task(name, tuple(Leg(cell, LegKind.VISIT) for cell in cells), **content)  # type: ignore[arg-type]
    return TaskRecord(task, TaskState.QUEUED, 0, "", 0, submitted, submitted)


def pairs(*arguments: object, now: int = 0) -> dict[str, str]:
    records, candidates, floor = arguments
    return {match.task: match.robot for match in assign(records, candidates, floor, now, ENERGY)}  # type: ignore[arg-type]


def test_distance_is_measured_along_the_floor() -> None:
    floor = fields("....", "@@@.", "....")
    near, far = Candidate("near", 3), Candidate("far", 0)
    assert pairs([record("t", 8)], [far, near], floor) == {"t": "near"}, "0 is beside 8 but for the rack between"


def test_the_sum_counts_not_the_first_come() -> None:
    floor = fields("..........")
    # Greedy would give x to b (1 cell) and leave y to a (9 cells): 10. The best sum is 4 + 4.
    assert pairs([record("x", 4), record("y", 9)], [Candidate("a", 0), Candidate("b", 5)], floor) == {
        "x": "a",
        "y": "b",
    }


def test_priority_outbids_distance_and_so_does_waiting() -> None:
    floor = fields("." * 50)
    robot = [Candidate("a", 0)]
    assert pairs([record("near", 1), record("far", 49, priority=1)], robot, floor) == {"far": "a"}
    assert pairs([record("near", 1, submitted=60 * SECOND), record("far", 49)], robot, floor, now=60 * SECOND) == {
        "far": "a"
    }
    assert pairs([record("near", 1, submitted=30 * SECOND), record("far", 49)], robot, floor, now=60 * SECOND) == {
        "near": "a"
    }


def test_a_near_deadline_is_one_level() -> None:
    assert level(record("t", 1, deadline=100 * SECOND), 0) == 1.0
    assert level(record("t", 1, deadline=100_000 * SECOND), 0) == 0.0
    assert level(record("t", 1, priority=2), 90 * SECOND) == 3.5


def test_what_a_robot_cannot_do_is_not_given_to_it() -> None:
    floor = fields("....@.")
    weak = Candidate("weak", 0, payload_max=5.0)
    strong = Candidate("strong", 3, payload_max=50.0, capabilities=frozenset({"fork"}))
    assert pairs([record("heavy", 0, payload=20.0)], [weak, strong], floor) == {"heavy": "strong"}
    assert pairs([record("forked", 0, capability="fork")], [weak, strong], floor) == {"forked": "strong"}
    assert pairs([record("impossible", 0, capability="wings")], [weak, strong], floor) == {}
    assert pairs([record("unreachable", 5)], [weak, strong], floor) == {}


def test_the_battery_must_last_for_all_legs_and_leave_the_reserve() -> None:
    floor = fields("." * 20)
    # 5 cells there and 10 on, a hundredth of the battery each, and a tenth in reserve: 0.25.
    assert pairs([record("t", 5, 15)], [Candidate("a", 0, battery=0.249)], floor) == {}
    assert pairs([record("t", 5, 15)], [Candidate("a", 0, battery=0.251)], floor) == {"t": "a"}


@pytest.mark.parametrize("seed", range(6))
def test_the_matching_is_the_best_of_all(seed: int) -> None:
    dice = np.random.default_rng(seed)
    floor = fields(*["." * 12] * 6)
    records = [
        record(f"t{i}", int(cell), priority=int(dice.integers(2))) for i, cell in enumerate(dice.integers(0, 72, 5))
    ]
    candidates = [Candidate(f"r{i}", int(cell)) for i, cell in enumerate(dice.permutation(72)[:4])]
    table = costs(records, candidates, floor, 0, ENERGY)
    best = min(
        sum(table[row, task] for row, task in enumerate(chosen)) for chosen in itertools.permutations(range(5), 4)
    )
    rows = {candidate.robot: row for row, candidate in enumerate(candidates)}
    matches = assign(records, candidates, floor, 0, ENERGY)
    assert len(matches) == 4
    assert sum(table[rows[match.robot], int(match.task[1:])] for match in matches) == pytest.approx(best)


def test_a_large_fleet_is_matched_greedily_and_nobody_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "LARGE", 10)
    dice = np.random.default_rng(1)
    floor = fields(*["." * 12] * 6)
    records = [record(f"t{i}", int(cell)) for i, cell in enumerate(dice.integers(0, 72, 40))]
    candidates = [Candidate(f"r{i}", int(cell)) for i, cell in enumerate(dice.permutation(72)[:20])]
    matches = assign(records, candidates, floor, 0, ENERGY)
    assert len({match.task for match in matches}) == len({match.robot for match in matches}) == len(matches) == 20
    table = costs(records, candidates, floor, 0, ENERGY)
    row, column = np.unravel_index(np.argmin(table), table.shape)
    cheapest = {match.robot: match.task for match in matches}[candidates[row].robot]
    assert table[row, int(cheapest[1:])] == table[row, column], "the cheapest pair of all is among them"


def test_no_work_or_no_robot_is_no_match() -> None:
    floor = fields("..")
    assert pairs([], [Candidate("a", 0)], floor) == {}
    assert pairs([record("t", 0)], [], floor) == {}
