"""The hold skill brings a robot to the middle of its cell from anywhere near it, on an ideal unicycle."""

from __future__ import annotations

import math

import pytest

from hierarchy.options import REACHED
from hierarchy.skills import SETTLE_SPEED, SETTLED, settle


def driven(x: float, y: float, yaw: float, seconds: float) -> tuple[float, float]:
    """Where the skill leads within a time, m from the middle, and the longest way it went."""
    way = 0.0
    for _ in range(round(seconds / 0.1)):
        v, w = settle((x, y, yaw), (0.0, 0.0))
        assert abs(v) <= SETTLE_SPEED
        x, y, yaw = x + 0.1 * v * math.cos(yaw), y + 0.1 * v * math.sin(yaw), yaw + 0.1 * w
        way += 0.1 * abs(v)
    return math.hypot(x, y), way


@pytest.mark.parametrize("yaw", [0.0, 0.5, 1.4, 1.6, 3.0, -2.0, -0.7])
@pytest.mark.parametrize(("x", "y"), [(0.3, 0.0), (-0.3, 0.1), (0.1, 0.15), (-0.2, -0.25)])
def test_the_middle_is_reached_without_detours(x: float, y: float, yaw: float) -> None:
    distance, way = driven(x, y, yaw, 6.0)
    assert distance < REACHED
    assert way < 1.5 * math.hypot(x, y)


def test_a_robot_in_the_middle_stands_still() -> None:
    assert settle((SETTLED * 0.7, SETTLED * 0.7, 1.0), (0.0, 0.0)) == (0.0, 0.0)


def test_a_middle_behind_is_reached_backwards() -> None:
    v, w = settle((0.3, 0.0, 0.0), (0.0, 0.0))
    assert v < 0.0
    assert w == pytest.approx(0.0)
