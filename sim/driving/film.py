"""A video of drives: the road from above with the view from behind in a corner, one drive after the other.

`film(drives, path)` draws what was recorded, so that any drive can be drawn again. Where no OpenGL works the view from
above is alone, and the result says why in one line. Pillow and imageio-ffmpeg come with the extra `view`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.driving.drawn import drawn_road
from sim.driving.moment import Course, Moment
from sim.driving.picture import FromAbove
from sim.film import writing
from sim.trace import ViewError

EDGE = 3
"""Pixels of the frame around the view from behind, at 720 lines."""


class Side(Enum):
    """The upper corner that the view from behind is in."""

    LEFT = 0
    RIGHT = 1


@dataclass(frozen=True)
class Look:
    """How a video is made."""

    width: int = 1280
    """Pixels, even"""
    height: int = 720
    rate_hz: int = 20
    """Frames in one second of video"""
    speed: float = 1.0
    """Simulated seconds in one second of video"""
    inset: float = 0.4
    """Share of the width that the view from behind has"""
    seconds: float = float("inf")
    """Simulated seconds that are shown of each drive, from its beginning"""


@dataclass(frozen=True, eq=False)
class Drive:
    """A drive that is over."""

    course: Course
    moments: Sequence[Moment]


@dataclass(frozen=True)
class Filmed:
    """What became of a video."""

    path: Path
    frames: int
    trouble: str
    """Why there is no view from behind; empty where there is one"""


def film(drives: Sequence[Drive], path: Path, look: Look | None = None) -> Filmed:
    """Draw drives into `path`. Raises `ViewError` for values or a machine that cannot, `FileError` for the file."""
    look = look if look is not None else Look()
    check_look(look)
    if not any(drive.moments for drive in drives):
        raise ViewError("expected at least one moment of one drive to draw, got none; drive first")
    count, trouble = 0, ""
    with writing(path, look.width, look.height, look.rate_hz) as writer:
        for drive in drives:
            for frame, why in frames(drive, look):
                writer.send(frame)
                count, trouble = count + 1, trouble or why
    return Filmed(path, count, trouble)


def check_look(look: Look) -> None:
    """Raise `ViewError` for what cannot be drawn or on this machine not."""
    if not (look.speed > 0.0 and look.rate_hz >= 1 and min(look.width, look.height) >= 64 and 0.0 <= look.inset < 1.0):
        raise ViewError(
            f"expected a speed above 0, at least 1 frame a second, 64 x 64 pixels and an inset below 1, got "
            f"{look.speed:g}, {look.rate_hz}, {look.width} x {look.height} and {look.inset:g}; choose others"
        )
    if look.width % 2 or look.height % 2:
        raise ViewError(f"expected even numbers of pixels, got {look.width} x {look.height}; H.264 needs them")
    missing = [name for name in ("imageio_ffmpeg", "PIL") if find_spec(name) is None]
    if missing:
        raise ViewError(
            f"a video needs {' and '.join(missing)}, which is not installed; pip install 'muster[sim,view]'"
        )


def frames(drive: Drive, look: Look) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """Frames (height, width, 3) of one drive, and why the view from behind is missing, if it is."""
    side = Side.LEFT
    from sim.driving.chase import FromBehind, sizes_of
    from sim.opengl import OpenGLError

    shown = chosen(drive, look)
    drawn = drawn_road(drive.course.road)
    above = FromAbove(drive.course, look.width, look.height, drawn=drawn)
    width, height = round(look.width * look.inset), round(look.height * look.inset)
    behind, trouble = None, ""
    # OpenGL is bound to the thread that made it, and draws there while the view from above is drawn here
    with ThreadPoolExecutor(1, "behind") as thread:
        if width >= 64 and height >= 36:
            try:
                behind = thread.submit(FromBehind, drive.course, sizes_of(shown), width, height, drawn=drawn).result()
            except OpenGLError as error:
                trouble = str(error)
        try:
            for moment in shown:
                drawing = thread.submit(behind.frame, moment) if behind is not None else None
                frame = above.frame(moment)
                if drawing is not None:
                    side = free_side(side, above, moment, look)
                    frame = inset(frame, drawing.result(), side)
                yield np.ascontiguousarray(frame), trouble
        finally:
            if behind is not None:
                thread.submit(behind.close).result()


def chosen(drive: Drive, look: Look) -> list[Moment]:
    """The moments that are shown: for each frame the last one before it."""
    times = np.array([moment.time for moment in drive.moments])
    if not len(times):
        return []
    end = min(times[-1], times[0] + look.seconds)
    at = np.arange(times[0], end + 1e-9, look.speed / look.rate_hz)
    rows = np.searchsorted(times, at + 1e-6, side="right") - 1
    return [drive.moments[row] for row in rows.tolist()]


def free_side(side: Side, above: FromAbove, moment: Moment, look: Look) -> Side:
    """The upper corner that hides neither the ego nor what lies ahead of it; the same as before where both would do.

    A frame that follows the ego has it on one side and what lies ahead on the other, so of the upper corners the left
    one is free while it drives to the north-east or south-west. In one that stays, the inset makes way for the ego.
    """
    if above.follows:
        slope = math.sin(2.0 * moment.pose[2])
        return side if abs(slope) < 0.35 else Side.LEFT if slope > 0.0 else Side.RIGHT
    column, row = above.window.pixels(np.array(moment.pose[:2])).tolist()
    if row > (look.inset + 0.15) * look.height:
        return side
    share = column / look.width
    if side is Side.LEFT:
        return Side.RIGHT if share < look.inset + 0.08 else side
    return Side.LEFT if share > 1.0 - look.inset - 0.08 else side


def inset(frame: NDArray[np.uint8], picture: NDArray[np.uint8], side: Side) -> NDArray[np.uint8]:
    """The frame with a smaller picture in an upper corner, framed in white."""
    edge = max(round(EDGE * len(frame) / 720), 1)
    gap = round(20 * len(frame) / 720)
    height, width = picture.shape[:2]
    whole = frame.copy()
    top, left = gap, gap if side is Side.LEFT else frame.shape[1] - gap - width
    whole[top - edge : top + height + edge, left - edge : left + width + edge] = 250
    whole[top : top + height, left : left + width] = picture
    return whole
