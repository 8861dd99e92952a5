"""Many rows are judged as one robot is: the rule that simulations count with is the rule that serves."""

from __future__ import annotations

import numpy as np

from fleet.guards.rows import RowWatch
from fleet.guards.watch import START, GuardMemory, Trip, calls, watch
from hierarchy.skills import Answer
from sim.robot import SECOND

ROWS, STEPS = 40, 120


def test_rows_and_a_robot_are_called_in_the_same_steps_for_the_same_reasons() -> None:
    generator = np.random.default_rng(3)
    novelty = generator.normal(0.3, 0.35, (STEPS, ROWS, 6)).astype(np.float32)
    first = generator.random((STEPS, ROWS)) < 0.02
    first[0] = True
    rows, called = RowWatch(ROWS, 0.1), 0
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
    assert 20 < called < STEPS * ROWS // 2


def test_a_robot_that_the_fallback_drives_is_not_called_twice() -> None:
    rows = RowWatch(2, 0.1)
    new = np.array([[2.0] * 6, [0.0] * 6], np.float32)
    none = np.zeros(2, bool)
    assert rows.calls(new, none) == [Trip.ALONE]
    assert all(rows.calls(new, none) == [] for _ in range(300))
