"""The words on pictures of a drive: speed beside the limit as its sign, who drives and why, time, road.

TONES   the colour of each mode, the same on pictures, charts and pages
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.driving.moment import Course, Moment
from sim.driving.raster import Bytes

TONES: dict[str, Bytes] = {
    "policy": (46, 168, 98),
    "shielded": (240, 150, 36),
    "fallback": (150, 84, 190),
    "stopped": (214, 48, 40),
    "latched": (140, 20, 24),
}
"""Who drives, as the warehouse's pictures have it."""

SAID = {
    "policy": "policy drives",
    "shielded": "shield intervenes",
    "fallback": "fallback drives",
    "stopped": "stopping",
    "latched": "stopped for good",
}

BACK: Bytes = (18, 22, 28)
"""Behind the words"""
INK: Bytes = (240, 243, 246)
SOFT: Bytes = (168, 178, 190)

FULL = 12.0
"""Margin at which its bar is full, m: beyond it nothing presses."""


def tone(moment: Moment) -> Bytes:
    """The colour of who drives."""
    return TONES.get(moment.mode, SOFT)


def write(frame: NDArray[np.uint8], course: Course, moment: Moment) -> NDArray[np.uint8]:
    """The frame with its words, at the lower left; (height, width, 3)."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(frame)
    unit = frame.shape[0] / 720.0
    width, height = round(372 * unit), round(174 * unit)
    x, y = round(20 * unit), frame.shape[0] - height - round(20 * unit)
    picture.paste(BACK, (x, y, x + width, y + height), _plate(width, height, round(14 * unit)))
    draw = ImageDraw.Draw(picture)

    def say(column: float, row: float, text: str, size: float, colour: Bytes = INK, anchor: str = "ls") -> None:
        draw.text((x + column * unit, y + row * unit), text, fill=colour, font=_font(round(size * unit)), anchor=anchor)

    say(20, 28, course.name if len(course.name) < 34 else course.name[:32] + "...", 16, SOFT)
    say(104, 94, f"{3.6 * moment.speed:.0f}", 56, anchor="rs")
    say(112, 94, "km/h", 17, SOFT)
    sign = _sign(moment.limit, round(58 * unit))
    picture.paste(sign, (x + round(168 * unit), y + round(42 * unit)), sign)
    say(352, 70, f"{int(moment.time // 60)}:{moment.time % 60:04.1f}", 22, anchor="rs")
    if math.isfinite(moment.left):
        left = f"{moment.left:.0f} m" if moment.left < 1000.0 else f"{moment.left / 1000.0:.1f} km"
        say(352, 94, f"{left} to go", 15, SOFT, anchor="rs")
    colour = tone(moment)
    chip = (x + 20 * unit, y + 114 * unit, x + 34 * unit, y + 128 * unit)
    draw.ellipse(chip, fill=colour)
    said = SAID.get(moment.mode, moment.mode) if course.shielded or moment.mode != "policy" else "no shield"
    say(44, 127, said + (f": {moment.reason}" if moment.reason else ""), 17)
    if moment.contact:
        say(20, 158, f"contact: {moment.contact}, {moment.blame}".rstrip(", "), 16, TONES["stopped"])
    elif math.isfinite(moment.margin):
        share = min(max(moment.margin / FULL, 0.0), 1.0)
        bar = (x + 88 * unit, y + 148 * unit, x + 288 * unit, y + 156 * unit)
        draw.rectangle(bar, fill=(62, 70, 80))
        draw.rectangle((bar[0], bar[1], bar[0] + share * (bar[2] - bar[0]), bar[3]), fill=colour)
        say(20, 158, "margin", 15, SOFT)
        say(352, 158, f"{moment.margin:.1f} m", 15, SOFT, anchor="rs")
    return np.asarray(picture)


@functools.lru_cache(maxsize=64)
def _font(size: int) -> Any:  # PIL.ImageFont.FreeTypeFont
    from PIL import ImageFont

    return ImageFont.load_default(max(size, 6))


@functools.lru_cache(maxsize=8)
def _plate(width: int, height: int, corner: int) -> Any:  # PIL.Image.Image
    """Opacity of a dark plate with round corners."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", (4 * width, 4 * height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), 4 * corner, fill=208)
    return mask.reduce(4)


@functools.lru_cache(maxsize=64)
def _sign(limit: float, size: int) -> Any:  # PIL.Image.Image
    """A speed limit's round sign; the grey one that ends all limits where there is none."""
    from PIL import Image, ImageDraw

    side = 4 * size
    sign = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    draw = ImageDraw.Draw(sign)
    draw.ellipse((0, 0, side - 1, side - 1), fill=(250, 250, 250, 255))
    if math.isfinite(limit) and limit > 0.0:
        draw.ellipse((4, 4, side - 5, side - 5), fill=(204, 32, 36, 255))
        rim = 0.13 * side
        draw.ellipse((rim, rim, side - rim, side - rim), fill=(250, 250, 250, 255))
        text = f"{3.6 * limit:.0f}"
        size_of = 0.46 if len(text) < 3 else 0.36
        draw.text(
            (0.5 * side, 0.51 * side), text, fill=(20, 20, 20, 255), font=_font(round(size_of * side)), anchor="mm"
        )
    else:
        draw.ellipse((8, 8, side - 9, side - 9), fill=(228, 230, 232, 255))
        for shift in (-0.12, 0.0, 0.12):
            ends = (side * (0.25 + shift), side * (0.8 + shift * 0.4), side * (0.7 + shift), side * (0.2 + shift * 0.4))
            draw.line(ends, fill=(90, 94, 100, 255), width=round(0.035 * side))
    return sign.reduce(4)
