"""A floor's fixtures on the report's plan, as SVG in metres with y down: what stands there, and how one may drive.

zones filled, doors and pods outlined, ramps with an arrow uphill, one-way moves as arrows; each with its words
"""

from __future__ import annotations

from html import escape

import numpy as np

from sim.fixtures import DIRECTIONS, FLAT, DoorState
from sim.site import MOVES, Site, one_way_moves

ZONE, DOOR, POD, RAMP, ARROW = "#c98aa6", "#cc5a33", "#5973bf", "#8a8f88", "#3b4250"
"""Colours, those of the pictures (`sim/drawing.py`) made darker for a white page."""

WORDS = {
    DoorState.OPEN: "stands open",
    DoorState.SHUT: "stays shut",
    DoorState.AUTOMATIC: "opens by itself",
}


def fixture_names(site: Site) -> tuple[tuple[str, str], ...]:
    """Legend entries of what the floor has: name and colour."""
    fixtures = site.fixtures
    entries = (
        ("speed zone", ZONE, bool(fixtures.zones)),
        ("door", DOOR, bool(fixtures.doors)),
        ("pod", POD, bool(fixtures.pods)),
        ("ramp", RAMP, bool(fixtures.ramps)),
        ("one way", ARROW, bool(one_way_moves(site).any())),
    )
    return tuple((name, colour) for name, colour, there in entries if there)


def draw_fixtures(site: Site) -> str:
    """SVG elements of everything beside racks, stations and chargers."""
    fixtures, c = site.fixtures, site.cell
    top = site.height * c
    parts: list[str] = []

    def box(cell: int, length: float, width: float, style: str, words: str) -> None:
        x, y = site.centre(cell).tolist()
        place = f'x="{x - length / 2:.2f}" y="{top - y - width / 2:.2f}" width="{length:.2f}" height="{width:.2f}"'
        parts.append(f"<rect {place} {style}><title>{escape(words)}</title></rect>")

    def arrow(cell: int, towards: int, share: float, colour: str, words: str) -> None:
        x, y = site.centre(cell).tolist()
        row, column = MOVES[towards]
        along, across = (column * c * share, row * c * share), (row * c * share * 0.5, -column * c * share * 0.5)
        tip = (x + along[0], top - y + along[1])
        tails = [(x - along[0] + s * across[0], top - y - along[1] + s * across[1]) for s in (1.0, -1.0)]
        points = " ".join(f"{px:.2f},{py:.2f}" for px, py in (tails[0], tip, tails[1]))
        line = f'fill="none" stroke="{colour}" stroke-width="{0.06 * c:.3f}"'
        parts.append(f'<polyline points="{points}" {line}><title>{escape(words)}</title></polyline>')

    for zone in fixtures.zones:
        for cell in zone.cells:
            box(cell, c, c, f'fill="{ZONE}" fill-opacity=".28"', f"at most {zone.limit:g} m/s")
    for ramp in fixtures.ramps:
        for cell in ramp.cells(site.width):
            words = f"platform, {ramp.rise:g} m" if ramp.up == FLAT else f"ramp to {ramp.rise:g} m"
            box(cell, c, c, f'fill="{RAMP}" fill-opacity=".35"', words)
            if ramp.up != FLAT:
                arrow(cell, ramp.up, 0.2, RAMP, f"{words}, up {DIRECTIONS[ramp.up]}")
    for door in fixtures.doors:
        fill = "none" if door.state is DoorState.OPEN else DOOR
        style = f'fill="{fill}" fill-opacity=".45" stroke="{DOOR}" stroke-width="{0.08 * c:.3f}"'
        for cell in door.cells:
            box(cell, 0.92 * c, 0.92 * c, style, f"door {door.name} {WORDS[door.state]}, {door.opening:g} s")
    length, width, _ = fixtures.pod_size
    words = "pod" if fixtures.pod_side is None else f"pod, lifted from {DIRECTIONS[fixtures.pod_side]}"
    for cell in fixtures.pods:
        style = f'fill="{POD}" fill-opacity=".3" stroke="{POD}" stroke-width="{0.06 * c:.3f}"'
        box(cell, length, width, style, f"{words}, cell {cell}")
    for row, column, towards in np.argwhere(one_way_moves(site)).tolist():
        arrow(row * site.width + column, towards, 0.14, ARROW, f"one way, {DIRECTIONS[towards]}")
    return "".join(parts)
