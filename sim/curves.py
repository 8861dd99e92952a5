"""Plane curves by arc length, in closed form: what reference lines of roads are made of (ASAM OpenDRIVE 1.6, 7.3).

    line           curvature 0
    arc            constant curvature
    spiral         curvature linear in s: Euler spiral (clothoid), Fresnel integrals
    poly3          v(u) = a + b u + c u^2 + d u^3 in the local frame, s along the curve
    param_poly3    u(p), v(p) cubic, p the arc length or from 0 to 1

A curve answers `at(s)`: local x, y (m) and heading (rad) at arc lengths s (m) from its start, in the frame of its start
pose; `place` puts them into the world. The cubics have no closed form in s, so p is found from arc length by Gauss
quadrature on a fine grid and Newton steps, to better than a micrometre on any road.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRAIGHT = 1e-12
"""Curvatures (1/m) and their rates (1/m^2) below it are straight to within 1e-6 m over a kilometre."""


FLAT = 30.0
"""Argument of the Fresnel integrals beyond which a spiral is integrated by quadrature: up to it 1e-9 m are kept."""


class Curve(Protocol):
    """A curve from the origin along x."""

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        """Local x, y, heading at arc lengths `s`, all (n,)."""
        ...


@dataclass(frozen=True)
class Line:
    """Straight on."""

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        """As `Curve`."""
        return s, np.zeros_like(s), np.zeros_like(s)


@dataclass(frozen=True)
class Arc:
    """A circle's arc; curvature positive to the left, 1/m."""

    curvature: float

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        """As `Curve`."""
        return Spiral(self.curvature, 0.0).at(s)


@dataclass(frozen=True)
class Spiral:
    """Curvature `curvature` + `rate` s."""

    curvature: float
    """At the start, 1/m."""
    rate: float
    """1/m^2"""

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        """As `Curve`."""
        heading = self.curvature * s + 0.5 * self.rate * s * s
        if abs(self.rate) < STRAIGHT:
            if abs(self.curvature) < STRAIGHT:
                return s, 0.5 * self.curvature * s * s, heading
            turn = self.curvature * s  # without the rate, whose share would be divided by a small curvature
            # 2 sin^2(h / 2) = 1 - cos h, without its cancellation
            return np.sin(turn) / self.curvature, 2.0 * np.sin(0.5 * turn) ** 2 / self.curvature, heading
        if abs(self.curvature) > FLAT * math.sqrt(math.pi * abs(self.rate)):
            # nearly an arc: the difference of two Fresnel integrals far out would lose its digits
            nodes, weights = np.polynomial.legendre.leggauss(24 + math.ceil(float(np.abs(heading).max())))
            t = 0.5 * s[:, None] * (1.0 + nodes)
            turn = self.curvature * t + 0.5 * self.rate * t * t
            return 0.5 * s * (np.cos(turn) @ weights), 0.5 * s * (np.sin(turn) @ weights), heading
        from scipy.special import fresnel

        # complete the square: heading(s) = +-(pi / 2) t^2 + shift, with t = (s + k0 / rate) sqrt(|rate| / pi)
        scale = math.sqrt(math.pi / abs(self.rate))
        sign = math.copysign(1.0, self.rate)
        begin = self.curvature / self.rate
        sine_0, cosine_0 = fresnel(begin / scale)
        sine, cosine = fresnel((s + begin) / scale)
        x, y = scale * (cosine - cosine_0), sign * scale * (sine - sine_0)
        shift = -0.5 * self.curvature * self.curvature / self.rate
        c, w = math.cos(shift), math.sin(shift)
        return c * x - w * y, w * x + c * y, heading


@dataclass(frozen=True)
class ParamPoly3:
    """u(p) and v(p), each a + b p + c p^2 + d p^3 (coefficients (4,)), p from 0 to `end`, over `length` metres."""

    u: tuple[float, float, float, float]
    v: tuple[float, float, float, float]
    end: float
    """p at the end: the length, or 1 for the normalized range."""
    length: float
    """m, as stated: arc lengths are scaled so that p reaches `end` there."""

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        """As `Curve`."""
        p = self._parameter(s)
        du, dv = _derivative(self.u, p), _derivative(self.v, p)
        return _value(self.u, p), _value(self.v, p), np.arctan2(dv, du)

    @property
    def arc_length(self) -> float:
        """Length of the curve itself, m."""
        return float(self._lengths()[1][-1])

    def _speed(self, p: Floats) -> Floats:
        return np.hypot(_derivative(self.u, p), _derivative(self.v, p))

    def _lengths(self) -> tuple[Floats, Floats]:
        """Grid of p and the arc length there: five Gauss points in each of the grid's cells."""
        grid = np.linspace(0.0, self.end, max(int(self.length), 8) + 1)
        nodes, weights = np.polynomial.legendre.leggauss(5)
        half = 0.5 * np.diff(grid)[:, None]
        inner = grid[:-1, None] + half * (1.0 + nodes)
        pieces = (self._speed(inner) * weights * half).sum(axis=1)
        return grid, np.concatenate([[0.0], np.cumsum(pieces)])

    def _parameter(self, s: Floats) -> Floats:
        """The parameter at arc lengths s; s = length is p = end."""
        grid, lengths = self._lengths()
        wanted = np.asarray(s) * (lengths[-1] / self.length)
        p = np.interp(wanted, lengths, grid)
        nodes, weights = np.polynomial.legendre.leggauss(5)
        cell = np.clip(np.searchsorted(grid, p, side="right") - 1, 0, len(grid) - 2)
        for _ in range(3):
            half = 0.5 * (p - grid[cell])[:, None]
            inner = grid[cell][:, None] + half * (1.0 + nodes)
            missing = wanted - lengths[cell] - (self._speed(inner) * weights * half).sum(axis=1)
            p = p + missing / np.maximum(self._speed(p), 1e-9)
        return p


def poly3(a: float, b: float, c: float, d: float, length: float) -> ParamPoly3:
    """v(u) = a + b u + c u^2 + d u^3 over `length` metres of the curve itself (not of u)."""
    low, high = 0.0, length  # the curve is at least as long as its u
    for _ in range(60):
        middle = 0.5 * (low + high)
        long = ParamPoly3((0.0, 1.0, 0.0, 0.0), (a, b, c, d), middle, max(middle, 1e-9)).arc_length
        low, high = (middle, high) if long < length else (low, middle)
    return ParamPoly3((0.0, 1.0, 0.0, 0.0), (a, b, c, d), high, length)


def place(curve: Curve, s: Floats, x: float, y: float, heading: float) -> tuple[Floats, Floats, Floats]:
    """World x, y (m) and heading (rad) of a curve that starts at a pose."""
    u, v, turn = curve.at(np.asarray(s, np.float64))
    c, w = math.cos(heading), math.sin(heading)
    return x + c * u - w * v, y + w * u + c * v, heading + turn


def _value(k: tuple[float, float, float, float], p: Floats) -> Floats:
    return k[0] + p * (k[1] + p * (k[2] + p * k[3]))


def _derivative(k: tuple[float, float, float, float], p: Floats) -> Floats:
    return k[1] + p * (2.0 * k[2] + p * 3.0 * k[3])
