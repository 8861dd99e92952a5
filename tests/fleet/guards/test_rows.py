"""Many rows are judged as one robot is: the rule that simulations count with is the rule that serves."""

from __future__ import annotations

import numpy as np

from agents.policy import SCORES
from fleet.guards.rows import RowWatch
from fleet.guards.watch import START, GuardMemory, Trip, calls, watch
from hierarchy.skills import Answer
from sim.robot import SECOND

ROWS, STEPS = 40, 120
COLUMNS = 2 * len(SCORES)


def test_rows_and_a_robot_are_called_in_the_same_steps_for_the_same_reasons() -> None:
    generator = np.random.default_rng(3)
    novelty = generator.normal(0.2, 0.27, (STEPS, ROWS, COLUMNS)).astype(np.float32)
    novelty[..., len(SCORES) :] += np.float32(0.3)
    first = generator.random((STEPS, ROWS)) < 0.02
    first[0] = True
    rows, called, reasons = RowWatch(ROWS, 0.1), 0, set[Trip]()
    found = np.stack([rows.found(novelty[step], first[step]) for step in range(STEPS)])
    for row in range(ROWS):
        memory, cycle = GuardMemory(seen=START), 0
        for step in range(STEPS):
            cycle += 5 if first[step, row] else 1
            said = Answer((0.0, 0.0), policy="p", novelty=tuple(float(each) for each in novelty[step, row]))
            told = watch(memory, said, b"1234", cycle, cycle * SECOND // 10)
            memory = told.memory
            assert (Trip(int(found[step, row])) if found[step, row] else Trip.NONE) is (
                told.trip if calls(told.trip) else Trip.NONE
            )
            called += calls(told.trip)
            reasons.add(told.trip)
    assert 20 < called < STEPS * ROWS // 2
    assert {Trip.ALONE, Trip.DISTANCE, Trip.ODOMETRY, Trip.STILL, Trip.PLACE_LASTING} <= reasons


def test_a_robot_that_the_fallback_drives_is_not_called_twice() -> None:
    rows = RowWatch(2, 0.1)
    new = np.array([[2.0] * COLUMNS, [0.0] * COLUMNS], np.float32)
    none = np.zeros(2, bool)
    assert rows.calls(new, none) == [Trip.ALONE]
    assert all(rows.calls(new, none) == [] for _ in range(300))
