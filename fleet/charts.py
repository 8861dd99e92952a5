"""Charts as strings of SVG and PNG, for pages that load nothing: lines, bars, ranges, heat.

Colours are taken from CSS variables of the page (`--ink`, `--faint`, `--a`, `--b`, `--c`), so that a page can be dark.
Each mark carries its numbers in a <title>, which browsers show as a tooltip. No chart knows what it shows.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 26, 40


@dataclass(frozen=True)
class Line:
    """One curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = "var(--a)"
    dots: bool = False
    """Mark each point."""
    step: bool = False
    """Go sideways, then up: for counts."""


@dataclass(frozen=True)
class Span:
    """A stretch of the x axis that is marked behind the curves."""

    name: str
    begin: float
    end: float
    colour: str


def line_chart(
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    y_range: tuple[float, float] | None = None,
    spans: Sequence[Span] = (),
) -> str:
    """Curves over a common grid, with marked stretches behind them. Lines without points are left out."""
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return ""
    x_low, x_high = min(min(line.x) for line in lines), max(max(line.x) for line in lines)
    x_low = min(x_low, 0.0) if x_low < 0.3 * x_high else x_low
    y_low, y_high = y_range or (0.0, max(max(line.y) for line in lines) * 1.05)
    x_high, y_high = (x_high if x_high > x_low else x_low + 1.0), (y_high if y_high > y_low else y_low + 1.0)

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (min(max(y, y_low), y_high) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM),
        )

    parts = [_grid(at, ticks(x_low, x_high), ticks(y_low, y_high), x_name, y_name)]
    for span in spans:
        (left, top), (right, bottom) = at(span.begin, y_high), at(span.end, y_low)
        place = f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 1.0):.1f}" height="{bottom - top:.1f}"'
        parts.append(f'<rect {place} fill="{span.colour}" opacity=".28"><title>{html.escape(span.name)}</title></rect>')
    for line in lines:
        points: list[tuple[float, float]] = []
        for x, y in zip(line.x, line.y, strict=True):
            px, py = at(x, y)
            if line.step and points:
                points.append((px, points[-1][1]))
            points.append((px, py))
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-width="2"/>')
        if line.dots:
            parts += [
                f'<circle cx="{at(x, y)[0]:.1f}" cy="{at(x, y)[1]:.1f}" r="3.5" fill="{line.colour}">'
                f"<title>{html.escape(line.name)}: {number(y)} at {number(x)}</title></circle>"
                for x, y in zip(line.x, line.y, strict=True)
            ]
    return _svg(WIDTH, HEIGHT, "".join(parts)) + legend([(line.name, line.colour) for line in lines])


def bar_chart(values: Sequence[tuple[str, float]], colour: str = "var(--a)", unit: str = "") -> str:
    """Horizontal bars with their names and values, in the given order."""
    if not values:
        return ""
    row, most = 26, max(value for _, value in values) or 1.0
    name_width = 30 + 7.2 * max(len(name) for name, _ in values)
    parts = []
    for k, (name, value) in enumerate(values):
        y = k * row + 4
        length = value / most * (WIDTH - name_width - 110)
        parts.append(
            f'<text x="{name_width - 8:.0f}" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="{name_width:.0f}" y="{y}" width="{max(length, 1.0):.1f}" height="18" rx="3" fill="{colour}">'
            f"<title>{html.escape(name)}: {number(value)} {unit}</title></rect>"
            f'<text x="{name_width + length + 6:.1f}" y="{y + 14}" class="value">{number(value)} {unit}</text>'
        )
    return _svg(WIDTH, len(values) * row + 6, "".join(parts))


def range_chart(rows: Sequence[tuple[str, float, float, float]], unit: str, goals: Sequence[float] = ()) -> str:
    """For each row a line from its low over its middle to its high value, on a logarithmic axis; goals are marked."""
    if not rows:
        return ""
    row, name_width = 20, 30 + 7.2 * max(len(name) for name, *_ in rows)
    values = [max(value, 1e-6) for _, *three in rows for value in three] + list(goals)
    low, high = math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1
    bottom = len(rows) * row + 10

    def at(value: float) -> float:
        return name_width + (math.log10(max(value, 1e-6)) - low) / (high - low) * (WIDTH - name_width - 20)

    parts = []
    for power in range(math.floor(low), math.ceil(high) + 1):
        for factor in (1, 2, 5):
            value = factor * 10.0**power
            if low <= math.log10(value) <= high:
                parts.append(
                    f'<line x1="{at(value):.1f}" x2="{at(value):.1f}" y1="0" y2="{bottom}" class="grid"/>'
                    f'<text x="{at(value):.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>'
                )
    parts += [
        f'<line x1="{at(goal):.1f}" x2="{at(goal):.1f}" y1="0" y2="{bottom}" stroke="var(--c)" stroke-dasharray="4 3">'
        f"<title>goal {goal:g} {unit}</title></line>"
        for goal in goals
    ]
    for k, (name, lowest, middle, highest) in enumerate(rows):
        y = k * row + 12
        bar = f'x1="{at(lowest):.1f}" x2="{at(highest):.1f}" y1="{y}" y2="{y}"'
        parts.append(f'<text x="{name_width - 8:.0f}" y="{y + 4}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(f'<line {bar} stroke="var(--faint)" stroke-width="3"/>')
        parts += [
            f'<circle cx="{at(value):.1f}" cy="{y}" r="4" fill="{colour}">'
            f"<title>{number(value)} {unit}</title></circle>"
            for value, colour in ((highest, "var(--faint)"), (middle, "var(--b)"), (lowest, "var(--a)"))
        ]
    parts.append(f'<text x="{WIDTH - 20}" y="{bottom + 32}" text-anchor="end">{unit}</text>')
    return _svg(WIDTH, bottom + 38, "".join(parts))


def share_chart(values: Sequence[tuple[str, float, str]]) -> str:
    """One bar that shows how a whole is shared: name, value, colour."""
    whole = sum(value for _, value, _ in values)
    if not whole:
        return ""
    parts, x = [], 0.0
    for name, value, colour in values:
        width = value / whole * WIDTH
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{max(width - 1, 0.5):.1f}" height="24" fill="{colour}">'
            f"<title>{html.escape(name)}: {100 * value / whole:.2f} %</title></rect>"
        )
        x += width
    names = [(f"{name} {100 * value / whole:.1f} %", colour) for name, value, colour in values]
    return _svg(WIDTH, 26, "".join(parts)) + legend(names)


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names beside their colours."""
    spans = (f'<span><i style="background:{colour}"></i>{html.escape(name)}</span>' for name, colour in entries)
    return f'<div class="legend">{"".join(spans)}</div>'


def heat_colours(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours of values from 0 to 1, (..., 3): pale yellow over orange to dark violet."""
    stops = np.array([0.0, 0.15, 0.4, 0.7, 1.0])
    table = np.array([[253, 246, 222], [252, 211, 120], [240, 130, 60], [176, 42, 90], [66, 10, 104]], float)
    return np.stack([np.interp(values, stops, table[:, k]) for k in range(3)], axis=-1).astype(np.uint8)


def png(pixels: NDArray[np.uint8]) -> str:
    """An image (height, width, 3) as a PNG data address (PNG specification, 2nd edition: truecolour, no filter)."""
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def ticks(low: float, high: float) -> list[float]:
    """Round values between two bounds, four to eight of them."""
    rough = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1, 2, 2.5, 5, 10)), key=lambda size: abs(size - rough))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A number for people: thousands apart, few digits."""
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _grid(at, x_ticks: list[float], y_ticks: list[float], x_name: str, y_name: str) -> str:  # noqa: ANN001 a local rule
    parts = []
    for value in y_ticks:
        _, y = at(0.0, value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
        )
    for value in x_ticks:
        x, _ = at(value, 0.0)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(value)}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{html.escape(x_name)}</text>'
        f'<text x="4" y="12">{html.escape(y_name)}</text>'
    )
    return "".join(parts)


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{round(value, 6):g}"


def _svg(width: float, height: float, content: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img">{content}</svg>'
