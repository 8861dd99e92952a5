"""Polygons on pictures with smooth edges: drawn four times too large and made smaller, each in its own patch.

Pillow fills polygons without anti-aliasing. `Brush` draws what moves onto one frame; `Sheet` keeps what stands still as
square tiles, each drawn when it is first seen, and cuts frames out of them: a frame of 1280 x 720 costs what its moving
things cost. Rows of a picture count from above, so y is turned round. Pillow comes with the extra `view`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.road import Floats

Bytes = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

FINE = 4
"""Samples along each side of a pixel: 17 shades of an edge."""

LARGE = 150_000
"""Pixels of a patch from which half as fine is fine enough: large patches have long edges, and cost."""

TILE = 512
"""Side of a tile, pixels."""

TILES = 96
"""Tiles that are kept, 0.8 MB each: about four screens of 1920 x 1080."""


@dataclass(frozen=True, eq=False)
class Part:
    """A polygon with a colour."""

    outline: Floats
    """(corners, 2), W, m"""
    colour: Bytes


@dataclass(frozen=True)
class Window:
    """Which part of W a frame shows."""

    left: float
    """x of its left edge, m"""
    top: float
    """y of its upper edge, m"""
    scale: float
    """Pixels in a metre"""
    width: int
    """Pixels"""
    height: int

    def pixels(self, points: Floats) -> Floats:
        """Places (..., 2) in W as column and row."""
        return (np.asarray(points) - (self.left, self.top)) * (self.scale, -self.scale)

    def sees(self, points: Floats, margin: float = 0.0) -> bool:
        """Whether the box around some points (n, 2), W, touches the frame, with `margin` pixels around it."""
        low, high = self.pixels(points).min(axis=0), self.pixels(points).max(axis=0)
        return bool((high >= -margin).all() and low[0] <= self.width + margin and low[1] <= self.height + margin)


def window_at(x: float, y: float, scale: float, width: int, height: int) -> Window:
    """The window about a point, on whole pixels of the sheet so that what stands still does not shimmer."""
    left, top = round(x * scale - 0.5 * width), round(-y * scale - 0.5 * height)
    return Window(left / scale, -top / scale, scale, width, height)


class Brush:
    """Draws on one frame. Owns its picture until `frame`."""

    def __init__(self, ground: NDArray[np.uint8], window: Window) -> None:
        """`ground` (height, width, 3) is what lies below."""
        from PIL import Image

        self.window = window
        self.picture: Any = Image.fromarray(ground)  # PIL.Image.Image

    def fill(self, outlines: Sequence[Floats], colour: Bytes, opacity: float = 1.0) -> None:
        """Polygons (corners, 2) of one colour as one shape: where they overlap it is no darker."""
        self._fill([self.window.pixels(outline) for outline in outlines if len(outline) > 2], colour, opacity)

    def line(self, points: Floats, width: float, colour: Bytes, opacity: float = 1.0) -> None:
        """A polyline (n, 2) of a width, m, with round ends."""
        if len(points) > 1:
            at, half = self.window.pixels(points), 0.5 * width * self.window.scale
            self._fill([*_segments(at, half), disc(at[0], half), disc(at[-1], half)], colour, opacity)

    def parts(self, parts: Sequence[Part]) -> None:
        """Opaque polygons from below to above."""
        from PIL import Image, ImageDraw

        at = [self.window.pixels(part.outline) for part in parts]
        box = self._box(at)
        if box is None:
            return
        x, y, width, height = box
        patch = Image.new("RGBA", (width * FINE, height * FINE), (*parts[0].colour, 0))
        draw = ImageDraw.Draw(patch)
        for part, points in zip(parts, at, strict=True):
            draw.polygon(_flat((points - (x, y)) * FINE), fill=(*part.colour, 255))
        patch = patch.reduce(FINE)
        self.picture.paste(patch, (x, y), patch)

    def frame(self) -> NDArray[np.uint8]:
        """The picture, (height, width, 3)."""
        return np.asarray(self.picture)

    def _fill(self, outlines: Sequence[Floats], colour: Bytes, opacity: float) -> None:
        from PIL import Image, ImageDraw

        box = self._box(outlines)
        if box is None:
            return
        x, y, width, height = box
        fine = FINE if width * height < LARGE else FINE // 2
        mask = Image.new("L", (width * fine, height * fine), 0)
        draw = ImageDraw.Draw(mask)
        for points in outlines:
            draw.polygon(_flat((points - (x, y)) * fine), fill=round(255 * opacity))
        self.picture.paste(colour, (x, y, x + width, y + height), mask.reduce(fine))

    def _box(self, outlines: Sequence[Floats]) -> tuple[int, int, int, int] | None:
        """Column, row, width and height of the pixels that outlines touch; None where none is in the frame."""
        if not outlines:
            return None
        points = np.concatenate(outlines)
        if not np.isfinite(points).all():
            return None
        low = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, (self.window.width, self.window.height))
        if (high <= low).any():
            return None
        return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


class Sheet:
    """What stands still, at one scale. Owns its tiles."""

    def __init__(self, parts: Sequence[Part], scale: float, ground: Bytes) -> None:
        """`parts` from below to above on `ground`; `scale` in pixels per metre."""
        self._scale, self._ground = scale, ground
        self._parts = [(part.outline * (scale, -scale), part.colour) for part in parts if len(part.outline) > 2]
        self._low = np.array([points.min(axis=0) for points, _ in self._parts]).reshape(-1, 2)
        self._high = np.array([points.max(axis=0) for points, _ in self._parts]).reshape(-1, 2)
        self._tiles: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()

    def cut(self, window: Window) -> NDArray[np.uint8]:
        """The frame of a window of this scale, (height, width, 3)."""
        left, top = round(window.left * self._scale), round(-window.top * self._scale)
        frame = np.empty((window.height, window.width, 3), np.uint8)
        for row in range(top // TILE, (top + window.height - 1) // TILE + 1):
            for column in range(left // TILE, (left + window.width - 1) // TILE + 1):
                x, y = column * TILE - left, row * TILE - top
                x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + TILE, window.width), min(y + TILE, window.height)
                frame[y0:y1, x0:x1] = self._tile(column, row)[y0 - y : y1 - y, x0 - x : x1 - x]
        return frame

    def _tile(self, column: int, row: int) -> NDArray[np.uint8]:
        key = column, row
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        from PIL import Image, ImageDraw

        corner = np.array([column, row]) * TILE
        picture = Image.new("RGB", (TILE * FINE, TILE * FINE), self._ground)
        draw = ImageDraw.Draw(picture)
        touched = ((self._high >= corner - 1) & (self._low <= corner + TILE + 1)).all(axis=1)
        for index in np.flatnonzero(touched):
            points, colour = self._parts[index]
            draw.polygon(_flat((points - corner) * FINE), fill=colour)
        self._tiles[key] = np.asarray(picture.reduce(FINE))
        if len(self._tiles) > TILES:
            self._tiles.popitem(last=False)
        return self._tiles[key]


def disc(middle: Floats | tuple[float, float], radius: float, corners: int = 20) -> Floats:
    """The outline of a disc, (corners, 2)."""
    turn = np.linspace(0.0, math.tau, corners, endpoint=False)
    return np.asarray(middle) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=-1)


def _segments(points: Floats, half: float) -> list[Floats]:
    """Boxes along each segment of a polyline, and discs at its joints."""
    along = np.diff(points, axis=0)
    long = np.hypot(*along.T)
    keep = long > 1e-6
    begin, end = points[:-1][keep], points[1:][keep]
    across = np.stack([-along[keep, 1], along[keep, 0]], axis=-1) / long[keep, None] * half
    boxes = np.stack([begin + across, end + across, end - across, begin - across], axis=1)
    return [*boxes, *(disc(point, half, 8) for point in end[:-1])] if half > 1.0 else list(boxes)


def _flat(points: Floats) -> list[float]:
    return points.ravel().tolist()
