"""What an operator's wish becomes: never faster than a walk beside it, and nothing once nobody asks any more."""

from __future__ import annotations

import math

import pytest

from safety.manual import DEAD_MAN, JOG_SPEED, command
from sim.robot import MILLISECOND, RobotSpec

RADIUS = 0.4


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ((0.1, 0.0), (0.1, 0.0)),
        ((-0.2, 0.0), (-0.2, 0.0)),
        ((1.5, 0.0), (0.3, 0.0)),
        ((-1.5, 0.0), (-0.3, 0.0)),
        ((0.0, 0.5), (0.0, 0.5)),  # the rim at 0.2 m/s
        ((0.0, 3.0), (0.0, 0.75)),  # 0.75 * 0.4 = 0.3
        ((0.0, 0.0), (0.0, 0.0)),
        ((0.6, -1.5), (0.15, -0.375)),  # 0.6 + 1.5 * 0.4 = 1.2: a quarter of both
    ],
)
def test_no_point_of_the_footprint_is_faster_than_the_cap_and_the_arc_stays(
    wanted: tuple[float, float], expected: tuple[float, float]
) -> None:
    v, w = command(wanted, 0, RADIUS)
    assert (v, w) == pytest.approx(expected)
    assert abs(v) + abs(w) * RADIUS <= JOG_SPEED + 1e-12
    assert v * wanted[1] == pytest.approx(w * wanted[0])


def test_a_wish_older_than_the_dead_man_moves_nothing() -> None:
    assert command((0.2, 0.1), DEAD_MAN, RADIUS) == (0.2, 0.1)
    for age in (DEAD_MAN + 1, -DEAD_MAN - 1, 10 * DEAD_MAN):
        assert command((0.2, 0.1), age, RADIUS) == (0.0, 0.0)
    assert 200 * MILLISECOND <= DEAD_MAN <= 500 * MILLISECOND, "a few hundred milliseconds"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_wish_that_is_no_number_moves_nothing(bad: float) -> None:
    assert command((bad, 0.0), 0, RADIUS) == (0.0, 0.0)
    assert command((0.1, bad), 0, RADIUS) == (0.0, 0.0)


def test_huge_wishes_keep_to_the_cap() -> None:
    v, w = command((1e300, -1e300), 0, RADIUS)
    assert abs(v) + abs(w) * RADIUS <= JOG_SPEED + 1e-12


def test_the_cap_is_what_the_norm_allows_where_nobody_looks() -> None:
    assert RobotSpec().diff.reverse_max == JOG_SPEED, "the same clause of ISO 3691-4"
