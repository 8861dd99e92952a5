"""The fallback controller on a point that moves as told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safety.fallback import CREEP, MOVED, PATIENCE, FallbackInputs, FallbackMemory, Phase, step
from sim.robot import SECOND

CYCLE = SECOND // 10


class Body:
    """A robot that does what it is told, where nothing forbids it."""

    def __init__(self, pose: tuple[float, float, float], points: list[tuple[float, float]]) -> None:
        self.pose = np.array(pose, np.float32)
        self.twist = np.zeros(2, np.float32)
        self.points = np.array(points, np.float32).reshape(-1, 2)
        self.stamp = 0
        self.memory = FallbackMemory()
        self.told: list[tuple[float, float]] = []

    def run(self, cycles: int, *, ahead: bool = True, back: bool = True) -> bool:
        """Whether it handed back within the cycles."""
        for _ in range(cycles):
            self.stamp += CYCLE
            out = step(FallbackInputs(self.stamp, self.pose, self.twist, self.points), self.memory)
            self.memory = out.memory
            self.told.append((out.v, out.w))
            if out.handed_back:
                return True
            v = 0.0 if (out.v > 0.0 and not ahead) or (out.v < 0.0 and not back) else out.v
            w = out.w if v != 0.0 or out.v == 0.0 else 0.0
            self.twist[:] = (v, w)
            yaw = float(self.pose[2])
            self.pose += np.array((v * math.cos(yaw), v * math.sin(yaw), w), np.float32) * np.float32(0.1)
        return False


AISLE = [(0.0, 0.0), (1.2, 0.0), (2.4, 0.0)]


def test_it_first_comes_to_rest() -> None:
    inputs = FallbackInputs(0, np.zeros(3, np.float32), np.array((0.8, 0.1), np.float32), np.array(AISLE, np.float32))
    out = step(inputs, FallbackMemory())
    assert (out.v, out.w, out.memory.phase, out.handed_back) == (0.0, 0.0, Phase.STOP, False)


@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.0, 3.1])
def test_it_creeps_along_the_corridor_and_hands_back(yaw: float) -> None:
    body = Body((0.1, 0.05, yaw), AISLE)
    assert body.run(150)
    assert body.pose[0] > 0.1 + MOVED - 0.05
    assert abs(body.pose[1]) < 0.12
    assert all(abs(v) <= CREEP and abs(w) <= 0.6 for v, w in body.told)


def test_it_goes_back_where_nothing_ahead_is_released_and_then_tries_again() -> None:
    body = Body((1.2, 0.0, 0.0), AISLE)
    assert not body.run(PATIENCE // CYCLE + 3, ahead=False)
    assert body.memory.phase is Phase.BACK
    assert body.memory.attempts == 1
    body.run(25, ahead=False)
    assert body.memory.phase is Phase.FORWARD
    assert body.pose[0] < 1.2 - MOVED + 0.05
    assert body.run(60)


def test_it_counts_its_attempts_where_nothing_is_released_at_all() -> None:
    body = Body((1.2, 0.0, 0.0), AISLE)
    assert not body.run(5 * int(PATIENCE // CYCLE) + 10, ahead=False, back=False)
    assert body.memory.attempts >= 4
    assert body.pose == pytest.approx((1.2, 0.0, 0.0))


def test_it_waits_without_a_corridor_and_hands_back_at_its_end() -> None:
    body = Body((0.0, 0.0, 0.0), [])
    assert not body.run(100)
    assert body.told == [(0.0, 0.0)] * 100
    body = Body((2.4, 0.0, 0.0), AISLE)
    assert body.run(3)


def test_same_inputs_and_memory_give_the_same_answer() -> None:
    inputs = FallbackInputs(
        7, np.array((0.3, 0.1, 0.2), np.float32), np.zeros(2, np.float32), np.array(AISLE, np.float32)
    )
    memory = FallbackMemory(Phase.FORWARD, 0, 0.2, 0.0, 0.05, 1)
    assert step(inputs, memory) == step(inputs, memory)
