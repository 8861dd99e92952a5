"""opendrive_geometry: distance of the borders that are read from an OpenDRIVE file to the curves that it states, m.

One road of every shape (line, arc, spiral, poly3, paramPoly3 by arc length and normalized), each with a laneOffset and
a lane whose width is a cubic. The truth is the shape's definition integrated step by step (heading for arcs and
spirals, arc length for the cubics: SciPy's ODE solver to 1e-11), moved along its normal; nothing of sim/curves.py is
used. A figure is the largest distance of 4,000 points of a border to the polyline that the reader made.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from figure import Figure
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from sim.opendrive import read_opendrive
from sim.road import project

Floats = NDArray[np.float64]
LENGTH = 120.0
POSE = (12.0, -7.0, 0.7)
OFFSET = (0.2, 0.01, -2e-4, 1e-6)
WIDTH = (3.4, 0.01, 3e-4, -3e-6)

CUBIC = (0.0, 0.05, 1.2e-3, -6e-6)
"""v(u) of the poly3"""
U, V = (0.0, 1.0, -4e-4, 1e-6), (0.0, 0.02, 2.5e-3, -1e-5)
"""u(p), v(p) of the paramPoly3"""


def heading(curvature: float, rate: float) -> Callable[[Floats], tuple[Floats, Floats, Floats]]:
    """Points of a curve whose curvature is linear, at arc lengths."""

    def at(s: Floats) -> tuple[Floats, Floats, Floats]:
        def slope(t: float, _: Floats) -> tuple[float, float]:
            angle = curvature * t + 0.5 * rate * t * t
            return math.cos(angle), math.sin(angle)

        found = solve_ivp(slope, (0.0, LENGTH), (0.0, 0.0), t_eval=s, rtol=1e-11, atol=1e-11)
        return found.y[0], found.y[1], curvature * s + 0.5 * rate * s * s

    return at


def cubic(u: tuple[float, ...], v: tuple[float, ...]) -> Callable[[Floats], tuple[Floats, Floats, Floats]]:
    """Points of u(p), v(p) at arc lengths: dp/ds = 1 / |(u', v')|."""
    powers = np.arange(4)

    def slope(k: tuple[float, ...], p: Floats) -> Floats:
        return sum(k[n] * n * p ** (n - 1) for n in (1, 2, 3))  # type: ignore[return-value] # three arrays

    def at(s: Floats) -> tuple[Floats, Floats, Floats]:
        def speed(_: float, p: Floats) -> Floats:
            return 1.0 / np.hypot(slope(u, p), slope(v, p))

        p = solve_ivp(speed, (0.0, LENGTH), [0.0], t_eval=s, rtol=1e-11, atol=1e-11).y[0]
        values = [(np.array(k) * p[:, None] ** powers).sum(-1) for k in (u, v)]
        return values[0], values[1], np.arctan2(slope(v, p), slope(u, p))

    return at


def shapes() -> Iterable[tuple[str, str, Callable[[Floats], tuple[Floats, Floats, Floats]]]]:
    """Name, element and truth of each shape."""
    yield "line", "<line/>", heading(0.0, 0.0)
    yield "arc", '<arc curvature="0.03"/>', heading(0.03, 0.0)
    yield "spiral", '<spiral curvStart="-0.02" curvEnd="0.04"/>', heading(-0.02, 0.06 / LENGTH)
    a, b, c, d = CUBIC
    yield "poly3", f'<poly3 a="{a}" b="{b}" c="{c}" d="{d}"/>', cubic((0.0, 1.0, 0.0, 0.0), CUBIC)
    end = float(solve_ivp(lambda _, p: 1.0 / speed_of(p), (0.0, LENGTH), [0.0], rtol=1e-11, atol=1e-11).y[0, -1])
    for kind, scale in (("arcLength", end / LENGTH), ("normalized", end)):
        words = [
            f'{letter}{axis}="{k * scale**n!r}"'
            for axis, ks in (("U", U), ("V", V))
            for n, (letter, k) in enumerate(zip("abcd", ks, strict=True))
        ]
        yield f"paramPoly3_{kind}", f'<paramPoly3 {" ".join(words)} pRange="{kind}"/>', cubic(U, V)


def speed_of(p: Floats) -> Floats:
    """|(u', v')| of the paramPoly3."""
    return np.hypot(U[1] + 2 * U[2] * p + 3 * U[3] * p * p, V[1] + 2 * V[2] * p + 3 * V[3] * p * p)


def road(shape: str) -> str:
    """A file with one road of one shape."""
    x, y, angle = POSE
    offset, width = (
        " ".join(f'{letter}="{k!r}"' for letter, k in zip("abcd", ks, strict=True)) for ks in (OFFSET, WIDTH)
    )
    place = f'x="{x}" y="{y}" hdg="{angle}" length="{LENGTH}"'
    lane = f'<lane id="-1" type="driving"><width sOffset="0" {width}/></lane>'
    sides = f'<center><lane id="0" type="none"/></center><right>{lane}</right>'
    plan = f'<planView><geometry s="0" {place}>{shape}</geometry></planView>'
    lanes = f'<lanes><laneOffset s="0" {offset}/><laneSection s="0">{sides}</laneSection></lanes>'
    body = f'<road id="1" length="{LENGTH}" junction="-1">{plan}{lanes}</road>'
    return f'<OpenDRIVE><header revMajor="1" revMinor="6"/>{body}</OpenDRIVE>'


def measure(quick: bool) -> Iterable[Figure]:
    """The largest distance for each shape, and of all."""
    s = np.linspace(0.0, LENGTH, 400 if quick else 4000)
    powers = s[:, None] ** np.arange(4)
    t_left, width = powers @ np.array(OFFSET), powers @ np.array(WIDTH)
    x, y, angle = POSE
    worst = []
    with tempfile.TemporaryDirectory() as folder:
        for name, shape, truth in shapes():
            path = Path(folder) / f"{name}.xodr"
            path.write_text(road(shape))
            (lane,) = read_opendrive(path).lanes
            u, v, turn = truth(s)
            c, w = math.cos(angle), math.sin(angle)
            px, py, direction = x + c * u - w * v, y + w * u + c * v, angle + turn
            for border, t in ((lane.left, t_left), (lane.right, t_left - width)):
                points = np.stack([px - t * np.sin(direction), py + t * np.cos(direction)], axis=-1)
                at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(border, axis=0).T))])
                worst.append(float(np.abs(project(border, at, points)[1]).max()))
            yield Figure(name, max(worst[-2:]), "m")
    yield Figure("m", max(worst), "m")
