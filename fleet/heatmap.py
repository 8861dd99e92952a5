"""Where robots drove and people walked on a floor: how often each small square was entered, drawn over the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.charts import heat_colours, legend, png
from fleet.plan import draw_fixtures, fixture_names
from sim.robot import SECOND
from sim.trace import Trace

PIXEL = 0.3
"""Side of a heat map's pixel, m: half a robot."""

LEAST_SCALE = 8
"""Passes at the dark end of the heat map's scale, at least: a short run should not look like rush hour."""


def heat_maps(trace: Trace, contacts: Sequence[Mapping[str, Any]]) -> str:  # plain JSON values
    """The plan with the robots' passes and the collisions among plant.json's `contacts`; people's passes beside it."""
    site = trace.site
    shape = (round(site.height * site.cell / PIXEL), round(site.width * site.cell / PIXEL))
    rows = np.minimum((np.arange(shape[0]) + 0.5) * PIXEL / site.cell, site.height - 1).astype(int)
    columns = np.minimum((np.arange(shape[1]) + 0.5) * PIXEL / site.cell, site.width - 1).astype(int)
    blocked = site.blocked[rows][:, columns]

    def picture(points: NDArray[np.floating]) -> tuple[str, int]:
        counts = passes(trace, points)
        most = max(int(np.percentile(counts[counts > 0], 99.5)) if (counts > 0).any() else 1, LEAST_SCALE)
        pixels = heat_colours(np.sqrt(np.clip(counts / max(most, 1), 0.0, 1.0)))
        pixels[(counts == 0) & ~blocked] = (250, 250, 248)
        pixels[blocked] = (96, 106, 120)
        return png(pixels), most

    image, most = picture(trace.poses[..., :2])
    overlay = _marks(trace, contacts)
    size = f"{site.width * site.cell:g} {site.height * site.cell:g}"
    names = (("station", "#2d8fe3"), ("charger", "#2e9e6b"), ("collision", "#c0392b"), ("rack or wall", "#606a78"))
    names += fixture_names(site)
    robots = (
        f'<svg viewBox="0 0 {size}"><image href="{image}" width="100%" height="100%" '
        f'style="image-rendering:pixelated" preserveAspectRatio="none"/>{overlay}</svg>'
        '<div style="max-width:320px;margin-top:10px"><div class="scale"></div>'
        f'<div class="ends"><span>1 pass</span><span>{most} passes</span></div></div>{legend(names)}'
    )
    people = ""
    if trace.people.shape[1]:
        people = f'<p class="note" style="margin-top:0">Where people walked</p>{_image(picture(trace.people)[0])}'
    return f'<div class="maps"><div>{robots}</div><div>{people}</div></div>' if people else robots


def passes(trace: Trace, points: NDArray[np.floating], pixel: float = PIXEL) -> NDArray[np.int64]:
    """How often each pixel of the floor was entered, (rows, columns), top row first; points (periods, movers, 2)."""
    rows = round(trace.site.height * trace.site.cell / pixel)
    columns = round(trace.site.width * trace.site.cell / pixel)
    column = np.clip(np.floor(points[..., 0] / pixel).astype(int), 0, columns - 1)
    row = np.clip(rows - 1 - np.floor(points[..., 1] / pixel).astype(int), 0, rows - 1)
    inside = (points >= 0.0).all(axis=-1)  # people who are not on the floor are parked outside
    cell = np.where(inside, row * columns + column, -1)
    entered = np.ones_like(cell, bool)
    entered[1:] = cell[1:] != cell[:-1]
    counts = np.bincount(cell[entered & (cell >= 0)], minlength=rows * columns)
    return counts.reshape(rows, columns)


def _image(address: str) -> str:
    return f'<img class="map" alt="heat map" src="{address}">'


def _marks(trace: Trace, contacts: Sequence[Mapping[str, Any]]) -> str:
    """Fixtures, stations, chargers and collisions over the heat map, in metres, y down."""
    site = trace.site
    top = site.height * site.cell
    parts = [draw_fixtures(site)]
    for cells, colour, name in ((site.stations, "#2d8fe3", "station"), (site.chargers, "#2e9e6b", "charger")):
        for cell, (x, y) in zip(cells.tolist(), site.centre(cells), strict=True):
            place = f'x="{x - 0.42:.2f}" y="{top - y - 0.42:.2f}" width=".84" height=".84"'
            parts.append(
                f'<rect {place} fill="none" stroke="{colour}" stroke-width=".14">'
                f"<title>{name}, cell {cell}</title></rect>"
            )
    for contact in contacts:
        if contact["collision"] and contact["robot"] in trace.names:
            period = min(int(np.searchsorted(trace.stamps, contact["stamp"])), len(trace.stamps) - 1)
            x, y = trace.poses[period, trace.names.index(contact["robot"]), :2]
            parts.append(
                f'<circle cx="{x:.2f}" cy="{top - y:.2f}" r=".45" fill="none" stroke="#c0392b" stroke-width=".2">'
                f"<title>{contact['robot']} at {contact['stamp'] / SECOND:.1f} s</title></circle>"
            )
    return "".join(parts)
