"""`muster video RUN`: draw what a plant recorded as a video, or one moment of it as a picture.

    fleet.mp4    the floor from above
    chase.mp4    with --chase ROBOT: from behind one robot

Both are drawn by MuJoCo's renderer from one pass over the record and encoded by ffmpeg (imageio-ffmpeg brings its
own). Measured costs of a frame: docs/benchmarks.md.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from sim.drawing import camera_distance
from sim.errors import nearest
from sim.files import replacing
from sim.opengl import Canvas
from sim.picture import CHASE, FOV_DEG, Scenery, drawn_scale
from sim.trace import AUTO, Trace, ViewError, read_cargo, read_trace

SETTLE = 0.6
"""s of the site's clock in which the chase camera swings behind a robot that turned: 63 % of the turn."""


@dataclass(frozen=True)
class Config:
    """Draw a recorded run as a video."""

    run: Positional[Path]
    """The run directory, or a plant.npz"""
    output: Path | None = None
    """Where the video goes; fleet.mp4 in the run directory if not given"""
    speed: float = 4.0
    """Simulated seconds in one second of video"""
    rate_hz: int = 20
    """Frames in one second of video"""
    width: int = 960
    """Pixels"""
    height: int = 600
    """Pixels"""
    still: float | None = None
    """Write one PNG of this simulated second instead"""
    chase: str = ""
    """Also follow this robot in chase.mp4 (auto: the one that drove furthest)"""


def run(config: Config) -> int:
    """Draw the video or the picture; returns 0. Raises `ViewError`, `OpenGLError` and `FileError`."""
    folder = config.run if config.run.is_dir() else config.run.parent
    name = "fleet.mp4" if config.still is None else f"fleet-{config.still:g}s.png"
    for path in film(config.run, config.output or folder / name, config):
        print(path)
    return 0


def film(source: Path, output: Path, config: Config) -> list[Path]:
    """Draw `output`, and beside it chase.mp4 (or chase-<output's rest>) where a robot is followed; the files.

    Raises `FileError` or `ViewError` for a record that cannot be drawn, `OpenGLError` where nothing can.
    """
    if not config.speed > 0.0 or config.rate_hz < 1 or min(config.width, config.height) < 16:
        raise ViewError(
            f"expected a speed above 0, at least 1 frame a second and 16 x 16 pixels, got {config.speed:g}, "
            f"{config.rate_hz} and {config.width} x {config.height}; choose others"
        )
    missing = [name for name in ("imageio_ffmpeg", "PIL") if find_spec(name) is None]
    if missing:
        raise ViewError(
            f"muster video needs {' and '.join(missing)}, which is not installed; pip install 'muster[sim,view]'"
        )
    trace = read_trace(source)
    robot = chased(trace, config.chase)
    carrying = read_cargo(source, trace)
    outputs = [output]
    if robot is not None:
        outputs.append(
            output.with_name(
                output.name.replace("fleet", "chase") if "fleet" in output.name else f"chase-{output.name}"
            )
        )
    if config.still is not None:
        from PIL import Image

        times = np.array([np.interp(config.still, trace.seconds, np.arange(len(trace.stamps)))])
        for frames in draw(trace, carrying, times, config, robot):
            for path, frame in zip(outputs, frames, strict=True):
                with replacing(path) as temporary:
                    Image.fromarray(frame).save(temporary)
        return outputs
    pictures = draw(trace, carrying, moments(trace, config.speed, config.rate_hz), config, robot)
    first = next(pictures)  # where nothing can be drawn, that is said before a file is begun
    with contextlib.ExitStack() as files:
        size = config.width, config.height
        writers = [files.enter_context(writing(path, *size, config.rate_hz)) for path in outputs]
        for frames in itertools.chain([first], pictures):
            for writer, frame in zip(writers, frames, strict=True):
                writer.send(frame)
    return outputs


def chased(trace: Trace, name: str) -> int | None:
    """The number of the robot to follow; None for an empty name. Raises `ViewError` for one that is not there."""
    if not name:
        return None
    if name == AUTO and len(trace.names):
        steps = np.diff(trace.poses[..., :2], axis=0)
        return int(np.hypot(steps[..., 0], steps[..., 1]).sum(axis=0).argmax())
    if name not in trace.names:
        raise ViewError(f'expected a robot of the run to follow, got "{name}"{nearest(name, trace.names)}')
    return trace.names.index(name)


def moments(trace: Trace, speed: float, rate_hz: int) -> NDArray[np.float64]:
    """Positions of the video's frames in the record: periods, with fractions."""
    seconds = trace.seconds
    frames = np.arange(0.0, max(seconds[-1], 1e-9), speed / rate_hz)
    return np.interp(frames, seconds, np.arange(len(seconds)))


def draw(
    trace: Trace, carrying: NDArray[np.bool_], times: NDArray[np.float64], config: Config, robot: int | None = None
) -> Iterator[list[NDArray[np.uint8]]]:
    """Frames at moments of the record: from above, and from behind a robot if one is given.

    Each frame is (height, width, 3).
    """
    scenery = Scenery(trace, carrying)
    above, behind = _from_above(trace, config), mujoco.MjvCamera()
    behind.type, behind.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, scenery.model.camera(CHASE).id
    canvas = Canvas(scenery.model, config.width, config.height)
    heading, before = math.nan, 0.0
    try:
        for at in times.tolist():
            scenery.pose(at)
            one, two, _ = trace.between(at)
            now = float(np.interp(at, np.arange(len(trace.stamps)), trace.seconds))
            if robot is not None:
                x, y, yaw = trace.poses_at(at)[robot].tolist()
                if math.isnan(heading):
                    heading = yaw
                turn = math.atan2(math.sin(yaw - heading), math.cos(yaw - heading))
                heading += turn * (1.0 - math.exp(-(now - before) / SETTLE))
                scenery.chase(x, y, heading)
            before = now
            mujoco.mj_camlight(scenery.model, scenery.data)
            text = f"{int(now // 60)}:{int(now % 60):02d}   {config.speed:g} x   "
            frames = [_label(canvas.draw(scenery.data, above), text + _crowd(trace))]
            if robot is not None:
                step = np.hypot(*(trace.poses[two, robot, :2] - trace.poses[one, robot, :2]).tolist())
                speed = step / max((trace.stamps[two] - trace.stamps[one]) / 1e9, 1e-9) if two > one else 0.0
                load = ", loaded" if carrying[one, robot] else ""
                words = f"{text}{trace.names[robot]}, {speed:.1f} m/s{load}"
                frames.append(_label(canvas.draw(scenery.data, behind), words))
            yield frames
    finally:
        canvas.close()


def _from_above(trace: Trace, config: Config) -> mujoco.MjvCamera:
    site, camera = trace.site, mujoco.MjvCamera()
    camera.azimuth, camera.elevation = 90.0, -82.0 if drawn_scale(trace) > 1.0 else -60.0
    size = site.width * site.cell, site.height * site.cell
    camera.lookat[:] = size[0] / 2, size[1] / 2, 0.0
    camera.distance = camera_distance(size, config.width / config.height, FOV_DEG, -camera.elevation)
    return camera


@contextlib.contextmanager
def writing(path: Path, width: int, height: int, rate_hz: int) -> Iterator[Generator[None, NDArray[np.uint8], None]]:
    """A video file to send frames (height, width, 3) to; whole when the block ends, and absent when it fails."""
    import imageio_ffmpeg

    with replacing(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            str(temporary),
            (width, height),
            fps=rate_hz,
            codec="libx264",
            macro_block_size=2,
            output_params=["-preset", "veryfast", "-crf", "24", "-movflags", "+faststart"],
            ffmpeg_log_level="error",
        )
        writer.send(None)
        try:
            yield writer
        finally:
            writer.close()


def _crowd(trace: Trace) -> str:
    text = f"{len(trace.names)} robots"
    if trace.people.shape[1]:
        text += f", {trace.people.shape[1]} people"
    if drawn_scale(trace) > 1.0:
        text += f", drawn {drawn_scale(trace):.1f} x as large"
    return text


def _label(frame: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """The frame with one line of text."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(frame)
    size = max(11, frame.shape[0] // 32)
    ImageDraw.Draw(picture).text((size, size // 2), text, fill=(40, 48, 60), font=ImageFont.load_default(size))
    return np.ascontiguousarray(picture)
