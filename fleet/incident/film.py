"""An incident as a film: the steps around the moment from above, and from behind the robot where a plant saw it.

    above    mode and why, what was proposed and released, margin; a bar of the modes with the moment in it
    left     what the robot knew: lidar, granted ground, stopping plan, other robots; people where they truly were
    right    the floor as it truly was, drawn by MuJoCo as `muster video` does, from behind the robot

Frames are the replay's own steps, in real time, so the film shows what the page says. It is encoded by ffmpeg
(imageio-ffmpeg brings its own) and stands in the page itself. Without a plant's record, or where nothing can draw it,
the left picture has the whole width.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.incident.moment import Moment
from fleet.words import REASONS
from safety.reason import Reason
from sim.robot import SECOND

WIDTH, HEIGHT, BAR = 960, 480, 104
"""Pixels: of the film, of its pictures and of the words above them, where no player's controls hide them"""
REACH = 6.5
"""m around the robot that the left picture shows: it is half as wide as the page's."""
SHARP = 2
"""Pictures are drawn so many times as large and scaled down, which smooths their edges."""
NEEDS = ("imageio_ffmpeg", "PIL")
COLOURS = {
    "paper": "#f5f7f9", "block": "#c3ccd6", "ground": "#d5e3f3", "robot": "#2369b8", "point": "#c0392b",
    "plan": "#2e9e6b", "told": "#7d4cb3", "person": "#e08a1e", "other": "#5b6878", "ink": "#1d2733", "soft": "#5b6878",
}  # fmt: skip
"""Of the page's light theme (fleet/sheet.py)."""
MODES = {"policy": "#2369b8", "shielded": "#e08a1e", "fallback": "#2e9e6b", "stopped": "#c0392b", "latched": "#7b1e14",
         "manual": "#7d4cb3"}  # fmt: skip
SETTLE = 0.6
"""s in which the camera swings behind a robot that turned, as in `muster video`."""


def film(moment: Moment, data: dict[str, Any], run: Path) -> tuple[bytes, str]:
    """The film (mp4) and a note on what it lacks; no bytes where none can be made. `data`: `moment.frames(moment)`."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        return b"", f"no film: {' and '.join(missing)} not installed (pip install 'muster[view]')"
    behind, note = _behind(moment, run)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        _encode(path, pictures(data, behind), round(SECOND / moment.log.header.config.spec.period))
        return path.read_bytes(), note


def pictures(data: dict[str, Any], behind: list[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Every frame, (HEIGHT + BAR, WIDTH, 3); `behind` are the right pictures, or none."""
    width = WIDTH // 2 if behind else WIDTH
    for number in range(len(data["steps"])):
        frame = np.full((HEIGHT + BAR, WIDTH, 3), 255, np.uint8)
        frame[:BAR] = _words(data, number)
        frame[BAR:, :width] = _above(data, number, width)
        if behind:
            frame[BAR:, width:] = behind[number]
        yield frame


def _above(data: dict[str, Any], number: int, width: int) -> NDArray[np.uint8]:
    """What the robot knew, from above, the robot in the middle."""
    from PIL import Image, ImageDraw

    step, w, h = data["steps"][number], width * SHARP, HEIGHT * SHARP
    scale = h / (2.0 * REACH)
    x0, y0, yaw = step["pose"]
    picture = Image.new("RGB", (w, h), COLOURS["paper"])
    pen = ImageDraw.Draw(picture)

    def at(x: float, y: float) -> tuple[float, float]:
        return w / 2 + (x - x0) * scale, h / 2 - (y - y0) * scale

    def square(x: float, y: float, half: float, colour: str) -> None:
        (left, low), (right, high) = at(x - half, y - half), at(x + half, y + half)
        pen.rectangle((left, high, right, low), fill=colour)

    def disc(x: float, y: float, radius: float, fill: str | None, line: str) -> None:
        (left, low), (right, high) = at(x - radius, y - radius), at(x + radius, y + radius)
        pen.ellipse((left, high, right, low), fill=fill, outline=line, width=2 * SHARP)

    def body(pose: list[float], colour: str) -> None:
        x, y, turn = pose
        cos, sin, along, across = math.cos(turn), math.sin(turn), data["length"] / 2, data["width"] / 2

        def point(a: float, b: float) -> tuple[float, float]:
            return at(x + a * cos - b * sin, y + a * sin + b * cos)

        corners = [point(a, b) for a, b in ((along, across), (along, -across), (-along, -across), (-along, across))]
        pen.polygon(corners, fill=colour, outline=COLOURS["ink"], width=SHARP)
        pen.line([point(0.2 * along, -0.6 * across), point(0.8 * along, 0.0), point(0.2 * along, 0.6 * across)],
                 fill="white", width=3 * SHARP)  # fmt: skip

    half = data["cell"] / 2
    for x, y in _pairs(step["granted"]):
        square(x, y, half, COLOURS["ground"])
    for x, y in data["blocked"]:
        square(x, y, half, COLOURS["block"])
    for x, y, radius in step["told"]:
        disc(x, y, radius, None, COLOURS["told"])
    for pose in step["robots"]:
        body(pose, COLOURS["other"])
    for x, y in step["people"]:
        disc(x, y, 0.25, COLOURS["person"], COLOURS["ink"])
    for x, y in _pairs(step["points"]):
        square(x, y, 0.04, COLOURS["point"])
    body([x0, y0, yaw], COLOURS["robot"])
    plan = [at(x, y) for x, y in _pairs(step["plan"])]
    if len(plan) > 1:
        pen.line(plan, fill=COLOURS["plan"], width=4 * SHARP)
    for x, y in _pairs(step["plan"])[-1:]:
        disc(x, y, data["radius"], None, COLOURS["plan"])
    return np.asarray(picture.resize((width, HEIGHT), Image.Resampling.LANCZOS))


def _words(data: dict[str, Any], number: int) -> NDArray[np.uint8]:
    """The bar of modes, and what was decided."""
    from PIL import Image, ImageDraw, ImageFont

    steps, step = data["steps"], data["steps"][number]
    picture = Image.new("RGB", (WIDTH * SHARP, BAR * SHARP), "white")
    pen = ImageDraw.Draw(picture)
    share = WIDTH * SHARP / len(steps)
    for place, each in enumerate(steps):
        pen.rectangle((place * share, (BAR - 12) * SHARP, (place + 1) * share, BAR * SHARP), fill=MODES[each["mode"]])
    for place, colour, wide in ((data["at"], "white", 2), (number, COLOURS["ink"], 3)):
        middle = (place + 0.5) * share
        pen.line([(middle, (BAR - 15) * SHARP), (middle, BAR * SHARP)], fill=colour, width=wide * SHARP)
    large, small = (ImageFont.load_default(size * SHARP) for size in (21, 16))
    pen.text((14 * SHARP, 6 * SHARP), _first(step), fill=MODES[step["mode"]], font=large)
    pen.text((14 * SHARP, 35 * SHARP), _second(step), fill=COLOURS["ink"], font=small)
    pen.text((14 * SHARP, 59 * SHARP), _third(step), fill=COLOURS["soft"], font=small)
    return np.asarray(picture.resize((WIDTH, BAR), Image.Resampling.LANCZOS))


def _first(step: dict[str, Any]) -> str:
    reason = Reason.__members__.get(step["reason"].upper().replace(" ", "_"), Reason.NONE)
    why = REASONS[reason] if reason is not Reason.NONE else step["cause"] if step["cause"] != "none" else ""
    return f"{step['t']:.1f} s   {step['mode']}" + (f": {why}" if why else "")


def _second(step: dict[str, Any]) -> str:
    margin = "the stored plan plays" if (step["margin"] or 0.0) < 0.0 else f"margin {_number(step['margin'])} m"
    proposed, released = step["proposed"], step["released"]
    return (
        f"proposed {_number(proposed[0])} m/s {_number(proposed[1])} rad/s by {step['source'].split('/')[0]},  "
        f"released {_number(released[0])} m/s {_number(released[1])} rad/s,  {margin}"
    )


def _third(step: dict[str, Any]) -> str:
    refused = f"; refused candidates: {step['refused']}" if step.get("refused") else ""
    answered = f",  policy {step['answered']}" if step["answered"] else ""
    return f"released is {step.get('outcome', 'not recorded')}{refused}{answered}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _pairs(values: list[float]) -> list[tuple[float, float]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _behind(moment: Moment, run: Path) -> tuple[list[NDArray[np.uint8]], str]:
    """The true floor from behind the robot, a frame a step; a note where there is none."""
    trace = moment.trace
    if trace is None:
        return [], "the run has no plant's record: only what the robot knew is shown"
    if moment.log.robot not in trace.names:
        return [], f"the plant's record has no {moment.log.robot}: only what the robot knew is shown"
    import mujoco

    from sim.errors import MusterError
    from sim.opengl import Canvas
    from sim.picture import CHASE, Scenery
    from sim.trace import read_cargo

    robot = trace.names.index(moment.log.robot)
    stamps = np.array([step.inputs.stamp for step in moment.steps])
    frames: list[NDArray[np.uint8]] = []
    try:
        scenery = Scenery(trace, read_cargo(run, trace))
        camera = mujoco.MjvCamera()
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, scenery.model.camera(CHASE).id
        canvas = Canvas(scenery.model, WIDTH // 2, HEIGHT)
    except MusterError as error:
        return [], f"no view from behind: {error}"
    period = moment.log.header.config.spec.period / SECOND
    heading = math.nan
    try:
        for at in np.interp(stamps, trace.stamps, np.arange(len(trace.stamps))).tolist():
            scenery.pose(at)
            x, y, yaw = trace.poses_at(at)[robot].tolist()
            heading = yaw if math.isnan(heading) else heading
            turn = math.atan2(math.sin(yaw - heading), math.cos(yaw - heading))
            heading += turn * (1.0 - math.exp(-period / SETTLE))
            scenery.chase(x, y, heading)
            mujoco.mj_camlight(scenery.model, scenery.data)
            frames.append(np.asarray(canvas.draw(scenery.data, camera)).copy())
    finally:
        canvas.close()
    return frames, ""


def _encode(path: Path, frames: Iterator[NDArray[np.uint8]], rate_hz: int) -> None:
    from sim.film import writing

    with writing(path, WIDTH, HEIGHT + BAR, rate_hz) as writer:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
