"""Reference lines and polynomials of OpenDRIVE files (sim/opendrive.py reads what lies along them).

A reference line is pieces of closed forms (line, arc, spiral, poly3, paramPoly3), each placed by its own start; pieces
that do not meet are refused, as are shapes that are not read.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim.curves import Arc, Curve, Line, ParamPoly3, Spiral, place, poly3
from sim.road import GAP_MAX, LENGTH_MAX, Floats
from sim.xmltree import Element

TURN_MAX = 200.0
"""rad that one piece turns at most: 32 rounds of a car park's ramp; more is no road, and costs hours to follow."""


SAME = 1e-9
"""m; a polynomial counts from so little before its s, for what sums of floats miss."""


@dataclass(frozen=True)
class Poly:
    """a + b ds + c ds^2 + d ds^3 from s on."""

    s: float
    a: float
    b: float
    c: float
    d: float


@dataclass(eq=False)
class ReferenceLine:
    """The reference line of a road."""

    pieces: list[tuple[float, float, Curve, float, float, float]]
    """Start s, length, curve, x, y, heading."""
    length: float

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        """x, y, heading at s, all (n,)."""
        which = np.clip(np.searchsorted(self.starts, s + 1e-9, side="right") - 1, 0, len(self.starts) - 1)
        found = np.zeros((3, len(s)))
        order = np.argsort(which, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(which[order])) + 1):
            begin, length, curve, x, y, heading = self.pieces[which[rows[0]]]
            found[:, rows] = place(curve, np.clip(s[rows] - begin, 0.0, length), x, y, heading)
        return found[0], found[1], found[2]

    @cached_property
    def starts(self) -> Floats:
        """Of the pieces, (pieces,), m."""
        return np.array([piece[0] for piece in self.pieces])


def reference_line(road: Element) -> ReferenceLine:
    """The reference line that a road's `planView` states."""
    pieces: list[tuple[float, float, Curve, float, float, float]] = []
    total = road.number("length", low=1e-6, high=LENGTH_MAX)
    for geometry in road.one("planView").all("geometry"):
        s, length = geometry.number("s", low=0.0), geometry.number("length", low=0.0, high=LENGTH_MAX)
        if length == 0.0:
            continue
        x, y, heading = (geometry.number(name) for name in ("x", "y", "hdg"))
        if pieces:
            begin, before, curve, *pose = pieces[-1]
            if abs(begin + before - s) > GAP_MAX:
                raise geometry.fault(
                    f"expected s = {begin + before:.3f} m, where the geometry before ends, got {s:.3f}; repair it"
                )
            end_x, end_y, _ = place(curve, np.array([before]), *pose)
            gap = math.hypot(float(end_x[0]) - x, float(end_y[0]) - y)
            if gap > GAP_MAX:
                raise geometry.fault(
                    f"expected this geometry to begin where the one before ends, got a gap of {gap:.2f} m; close it"
                )
        elif s > GAP_MAX:
            raise geometry.fault(f"expected the first geometry at s = 0, got {s:.3f}; repair it")
        pieces.append((s, length, _curve(geometry, length), x, y, heading))
    if not pieces:
        raise road.one("planView").fault("expected at least one <geometry>, got none; add it")
    end = pieces[-1][0] + pieces[-1][1]
    if abs(end - total) > GAP_MAX:
        raise road.fault(f"expected a length of {end:.3f} m, where its geometries end, got {total:.3f}; repair it")
    return ReferenceLine(pieces, min(end, total))


def _curve(geometry: Element, length: float) -> Curve:
    if len(geometry.children) != 1:
        raise geometry.fault(f"expected one shape in <geometry>, got {len(geometry.children)}; repair it")
    (shape,) = geometry.children
    if shape.tag == "line":
        return Line()
    if shape.tag == "arc":
        return _turning(shape, Arc(shape.number("curvature")), length)
    if shape.tag == "spiral":
        begin, end = shape.number("curvStart"), shape.number("curvEnd")
        return _turning(shape, Spiral(begin, (end - begin) / length), length)
    if shape.tag == "poly3":
        a, b, c, d = (shape.number(name) for name in "abcd")
        return _long(shape, poly3(a, b, c, d, length))
    if shape.tag == "paramPoly3":
        u, v = (
            (shape.number(f"a{w}"), shape.number(f"b{w}"), shape.number(f"c{w}"), shape.number(f"d{w}")) for w in "UV"
        )
        kind = shape.word("pRange", "normalized")
        if kind not in ("arcLength", "normalized"):
            raise shape.fault(f'expected pRange "arcLength" or "normalized", got "{kind}"; repair it')
        return _long(shape, ParamPoly3(u, v, length if kind == "arcLength" else 1.0, length))
    raise shape.fault(f"<{shape.tag}> is no shape of a reference line that is read; convert it to paramPoly3")


def _turning(shape: Element, curve: Arc | Spiral, length: float) -> Curve:
    rate = curve.rate if isinstance(curve, Spiral) else 0.0
    turn = abs(curve.curvature) * length + 0.5 * abs(rate) * length**2
    if turn > TURN_MAX:
        raise shape.fault(f"expected a curve that turns by at most {TURN_MAX:g} rad, got {turn:.4g}; repair it")
    return curve


def _long(shape: Element, curve: ParamPoly3) -> Curve:
    long = curve.arc_length
    if not 0.5 * curve.length - GAP_MAX <= long <= 2.0 * curve.length + GAP_MAX:
        raise shape.fault(f"expected a curve of the stated {curve.length:g} m, got one of {long:.4g} m; repair it")
    return curve


def polynomials(elements: Sequence[Element] | Iterator[Element], name: str = "s", begin: float = 0.0) -> list[Poly]:
    """Polynomials that elements state, sorted by where they begin; `name` says in which attribute, from `begin` on."""
    found = [Poly(begin + each.number(name, low=0.0), *(each.number(letter) for letter in "abcd")) for each in elements]
    return sorted(found, key=lambda poly: poly.s)


def evaluate(polys: Sequence[Poly], s: Floats) -> Floats:
    """The piecewise polynomial at s (n,); 0 before the first piece. The last of pieces that begin together counts."""
    if not polys:
        return np.zeros_like(s)
    begin, a, b, c, d = np.array([(poly.s, poly.a, poly.b, poly.c, poly.d) for poly in polys]).T
    which = np.searchsorted(begin - SAME, s, side="right") - 1
    ds = s - begin[which]
    value = a[which] + ds * (b[which] + ds * (c[which] + ds * d[which]))
    return np.where(which >= 0, value, 0.0)


def within(polys: Sequence[Poly], begin: float, end: float) -> Sequence[Poly]:
    """Those of sorted polynomials that count from s = `begin` to `end`."""
    first = bisect_right(polys, begin + SAME, key=lambda poly: poly.s) - 1
    return polys[max(first, 0) : bisect_right(polys, end + SAME, key=lambda poly: poly.s)]
