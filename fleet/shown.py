"""What the page of `muster view` shows at one moment, and the words and colours that it has for it.

Shown    the whole floor: where everything is, and how each robot drives
Focus    what one robot had: lidar points, granted ground, stopping plan, the shield's verdict
Tone     how a robot drives, in colours
"""

from __future__ import annotations

import enum
import html
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.drawing import CHARGER, STATION, VEST, WALKWAY, Colour
from sim.overlay import Strip

Bytes = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

LIDAR: Bytes = (214, 24, 78)
PLAN: Bytes = (20, 24, 32)


class Tone(enum.IntEnum):
    """How a robot drives."""

    POLICY = 0
    SHIELDED = 1
    FALLBACK = 2
    STOPPED = 3
    UNKNOWN = 4
    MANUAL = 5


TONES: dict[Tone, tuple[str, Bytes]] = {
    Tone.POLICY: ("drives as proposed", (38, 166, 91)),
    Tone.SHIELDED: ("changed by the shield", (245, 150, 30)),
    Tone.FALLBACK: ("the fallback drives", (142, 68, 173)),
    Tone.STOPPED: ("stops", (217, 30, 24)),
    Tone.MANUAL: ("an operator drives", (0, 140, 186)),
    Tone.UNKNOWN: ("not recorded", (150, 156, 166)),
}
"""Words and colours."""


@dataclass(frozen=True)
class Shown:
    """One moment of a floor."""

    poses: NDArray[np.floating]
    """(robots, 3): x, y, yaw in W."""
    people: NDArray[np.floating]
    """(people, 2)"""
    forklifts: NDArray[np.floating]
    """(forklifts, 3)"""
    loaded: NDArray[np.bool_]
    """Who carries something, (robots,)."""
    doors: NDArray[np.bool_]
    """Which are open, (doors,)."""
    tones: Sequence[Tone]
    """One for each robot."""


@dataclass(frozen=True)
class Focus:
    """One moment as one robot had it."""

    points: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 2)))
    """What its lidar met, (n, 2), W."""
    granted: Sequence[Strip] = ()
    """All ground that it may cover"""
    corridor: Sequence[Strip] = ()
    """The part of it that skill and shield see"""
    way: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 2)))
    """Where it wants to drive, (n, 2), W."""
    goal: tuple[float, float] | None = None
    plan: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 3)))
    """Poses while it stops, the first where it is, (n, 3), W."""
    tone: Tone = Tone.UNKNOWN
    headline: str = ""
    """Beside its name, above it"""
    rows: Sequence[tuple[str, str]] = ()
    """Words about the moment: what, value."""


def to_bytes(colour: Colour) -> Bytes:
    """A colour without its opacity."""
    return (round(255 * colour[0]), round(255 * colour[1]), round(255 * colour[2]))


def to_linear(colour: Colour | Bytes) -> Bytes:
    """A colour for a batched mesh: viser takes theirs as light, not as sRGB (whose curve is near a power of 2.2)."""
    shares = colour[:3] if isinstance(colour[0], float) else [part / 255 for part in colour]
    red, green, blue = (round(255 * share**2.2) for share in shares)
    return (red, green, blue)


def legend_html() -> str:
    """What the colours mean."""
    things = [(to_bytes(colour), words) for colour, words in (
        (STATION, "station"),
        (CHARGER, "charger"),
        (WALKWAY, "walkway, where people are"),
        (VEST, "person"),
    )]  # fmt: skip
    seen = [(LIDAR, "lidar point, as the chosen robot saw it"), (PLAN, "how it would stop, and where")]
    rings = [(colour, f"ring: {words}") for words, colour in TONES.values()]
    rows = "".join(
        f'<div><span style="{_square(colour)}"></span>&ensp;{words}</div>' for colour, words in (*rings, *seen, *things)
    )
    return f'<div style="padding:0 1em;font-size:0.85em;line-height:1.6">{rows}</div>'


def verdict_html(name: str, focus: Focus) -> str:
    """The chosen robot's words, its verdict as a coloured badge."""
    words, (red, green, blue) = TONES[focus.tone]
    badge = f"background:rgb({red},{green},{blue});color:white;border-radius:4px;padding:0.15em 0.6em;font-weight:600"
    rows = "".join(
        f'<tr><td style="opacity:0.6;padding-right:1em;white-space:nowrap">{html.escape(what)}</td>'
        f"<td>{html.escape(value)}</td></tr>"
        for what, value in focus.rows
    )
    return (
        f'<div style="padding:0 1em;font-size:0.85em"><div style="margin:0.3em 0 0.5em 0"><b>{html.escape(name)}</b>'
        f'&ensp;<span style="{badge}">{words}</span></div><table>{rows}</table></div>'
    )


def _square(colour: Bytes) -> str:
    red, green, blue = colour
    return f"display:inline-block;width:0.8em;height:0.8em;border-radius:2px;background:rgb({red},{green},{blue})"
