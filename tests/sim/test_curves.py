"""Reference lines against quadrature and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from sim.curves import Arc, Line, ParamPoly3, Spiral, place, poly3


def walked(curve: Spiral, s: float) -> tuple[float, float]:
    def heading(t: float) -> float:
        return curve.curvature * t + 0.5 * curve.rate * t * t

    x = quad(lambda t: math.cos(heading(t)), 0.0, s, limit=400, epsabs=1e-10)[0]
    return x, quad(lambda t: math.sin(heading(t)), 0.0, s, limit=400, epsabs=1e-10)[0]


@given(
    curvature=st.floats(-0.1, 0.1),
    rate=st.one_of(st.floats(-1e-2, 1e-2), st.sampled_from([0.0, 1e-13, -1e-11, 1e-8, -3e-7])),
    s=st.floats(0.1, 120.0),
)
def test_a_spiral_is_what_its_curvature_says(curvature: float, rate: float, s: float) -> None:
    x, y, heading = Spiral(curvature, rate).at(np.array([s]))
    expected = walked(Spiral(curvature, rate), s)
    assert (float(x[0]), float(y[0])) == pytest.approx(expected, abs=1e-6)
    assert float(heading[0]) == pytest.approx(curvature * s + 0.5 * rate * s * s, abs=1e-12)


def test_an_arc_is_a_circle() -> None:
    s = np.linspace(0.0, 60.0, 50)
    x, y, heading = Arc(-0.05).at(s)
    assert np.hypot(x, y + 20.0) == pytest.approx(20.0)
    assert heading == pytest.approx(-0.05 * s)
    assert Arc(0.0).at(s)[0] == pytest.approx(Line().at(s)[0])


@pytest.mark.parametrize("end", [1.0, 31.0])
def test_a_cubic_is_walked_by_arc_length(end: float) -> None:
    """A circle's quarter as a cubic: equal steps of s are equal distances, whatever p does."""
    k, radius = 0.5522847498, 20.0
    points = np.array([(0.0, 0.0), (k, 0.0), (1.0, 1.0 - k), (1.0, 1.0)]) * radius
    a, b = points[0], 3 * (points[1] - points[0])
    c, d = 3 * (points[2] - 2 * points[1] + points[0]), points[3] - 3 * points[2] + 3 * points[1] - points[0]
    u, v = (tuple(float(each[axis]) / end**power for power, each in enumerate((a, b, c, d))) for axis in (0, 1))
    curve = ParamPoly3(u, v, end, radius * math.pi / 2)
    s = np.linspace(0.0, curve.length, 200)
    x, y, heading = curve.at(s)
    assert np.hypot(x, y - radius) == pytest.approx(radius, abs=6e-3)  # the cubic's own error, 2.7e-4 of the radius
    steps = np.hypot(np.diff(x), np.diff(y))
    assert steps.std() / steps.mean() < 1e-4
    assert (x[-1], y[-1], heading[-1]) == pytest.approx((radius, radius, math.pi / 2), abs=1e-6)


def test_a_poly3_is_as_long_as_it_says() -> None:
    curve = poly3(0.0, 0.2, -0.01, 2e-4, 50.0)
    x, y, _ = curve.at(np.linspace(0.0, 50.0, 5001))
    assert np.hypot(np.diff(x), np.diff(y)).sum() == pytest.approx(50.0, abs=1e-5)
    assert y == pytest.approx(0.2 * x - 0.01 * x**2 + 2e-4 * x**3)


def test_a_start_pose_turns_and_moves() -> None:
    x, y, heading = place(Line(), np.array([0.0, 2.0]), 1.0, 2.0, math.pi / 2)
    assert x == pytest.approx([1.0, 1.0])
    assert y == pytest.approx([2.0, 4.0])
    assert heading == pytest.approx(math.pi / 2)
