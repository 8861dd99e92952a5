"""`muster view RUN`: draw what a plant recorded as a video, or one moment of it as a picture.

plant.npz in the run directory holds the floor and every pose; cargo.json, where there is one, says who carried what
when. The scene is built for the eye alone: racks are kept low, so that a camera at a slant sees into every aisle;
floor marks show where people walk, stations and chargers; robots wear colours, their load and a nose; people are
orange. It simulates nothing: poses are set, drawn by MuJoCo's renderer and encoded by ffmpeg (imageio-ffmpeg brings
its own).

OpenGL without a screen needs EGL or OSMesa, and MuJoCo picks one when it is imported. So the drawing runs in a process
of its own, first with EGL, then with OSMesa; where neither works the error says what to install. Software drawing takes
12 ms for a frame of 640 x 400 with 16 robots and 190 rack cells, encoding included (2026-11, one core).
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import colorsys
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from sim.drawing import drawn_fixtures
from sim.errors import MusterError
from sim.files import FileError, replacing
from sim.fixtures import unpack_fixtures
from sim.site import Site, merged_boxes, open_exits

LIBRARIES = ("egl", "osmesa")
"""Values of MUJOCO_GL that need no screen, the faster one first."""

NO_GL = 3
"""Exit code of the drawing process where its OpenGL does not work."""

RACK_HEIGHT = 0.75
"""m; real racks are higher, but these are to be looked over."""

LARGE = 60.0
"""m; floors with a longer side are seen from higher above, and what moves on them is drawn larger."""

DETAILED = 600
"""Rack cells up to which each gets a box of its own; larger floors get whole blocks."""

STEEL, WALL = (0.30, 0.36, 0.45, 1.0), (0.72, 0.74, 0.77, 1.0)
FLOOR, WALKWAY = (0.83, 0.85, 0.88, 1.0), (0.96, 0.88, 0.62, 1.0)
STATION, CHARGER = (0.13, 0.45, 0.80, 1.0), (0.18, 0.65, 0.35, 1.0)
TRUCK, MAST = (0.90, 0.72, 0.12, 1.0), (0.20, 0.21, 0.24, 1.0)
VEST, SKIN, CARDBOARD = (0.93, 0.42, 0.10, 1.0), (0.80, 0.62, 0.50, 1.0), (0.74, 0.57, 0.37, 1.0)


class ViewError(MusterError):
    """A picture cannot be drawn."""


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


@dataclass(frozen=True)
class Trace:
    """What a plant recorded, for drawing."""

    site: Site
    stamps: NDArray[np.int64]
    """(periods,), ns"""
    poses: NDArray[np.float32]
    """(periods, robots, 3): x, y, yaw in W."""
    people: NDArray[np.float32]
    """(periods, people, 2)"""
    footprint: tuple[float, float, float]
    """Length, width and height of a robot, m."""
    names: tuple[str, ...]
    """Robots, in the order of the poses."""
    doors: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))
    """(periods, doors): which are open; no columns without doors."""
    forklifts: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    """(periods, forklifts, 3): x, y, yaw in W; no columns without forklifts."""
    truck: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Length, width and height of a forklift, m."""


def run(config: Config) -> int:
    """Draw the video or the picture; returns 0. Raises `ViewError` and `FileError`."""
    folder = config.run if config.run.is_dir() else config.run.parent
    name = "fleet.mp4" if config.still is None else f"fleet-{config.still:g}s.png"
    output = config.output or folder / name
    film(config.run, output, config)
    print(output)
    return 0


def film(source: Path, output: Path, config: Config) -> None:
    """Draw in a process of its own, with the first OpenGL that works. Raises `ViewError` where none does."""
    read_trace(source)  # says what is wrong with the record before a process starts
    words = json.dumps({**asdict(config), "run": str(source), "output": str(output)})
    failures = []
    for library in LIBRARIES:
        environment = {**os.environ, "MUJOCO_GL": library}
        environment.pop("DISPLAY", None)
        child = subprocess.run(
            [sys.executable, "-m", "sim.view", words], env=environment, capture_output=True, text=True, check=False
        )
        if child.returncode == 0:
            return
        lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        if child.returncode != NO_GL:
            raise ViewError(f"expected a video, got {lines[-1]}; run `muster view {source}` to draw it again")
        failures.append(f"{library}: {lines[-1]}")
    raise ViewError(
        f"expected OpenGL by EGL or OSMesa to draw pictures, got {'; '.join(failures)}; "
        "install libegl1 and libgl1-mesa-dri, or libosmesa6"
    )


def read_trace(source: Path) -> Trace:
    """What a plant recorded. Raises `FileError` where there is nothing, `ViewError` where it is no record."""
    path = source / "plant.npz" if source.is_dir() else source
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            blocked = content["blocked"]
            length, width, height = content["footprint"].tolist()
            truck = content["truck"].tolist() if "truck" in content else [0.0, 0.0, 0.0]
            trace = Trace(
                site=Site(
                    name=str(source),
                    blocked=blocked,
                    person_free=content["person_free"],
                    exits=open_exits(blocked),
                    stations=content["stations"],
                    chargers=content["chargers"],
                    cell=float(content["cell"]),
                    fixtures=unpack_fixtures(content["fixtures"].tobytes() if "fixtures" in content else b""),
                ),
                doors=content["doors"] if "doors" in content else np.zeros((len(content["stamps"]), 0), bool),
                stamps=content["stamps"],
                poses=content["poses"],
                people=content["people"],
                forklifts=content["forklifts"] if "forklifts" in content else np.zeros((0, 0, 3), np.float32),
                truck=(truck[0], truck[1], truck[2]),
                footprint=(length, width, height),
                names=tuple(content["names"].tolist()),
            )
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}; name a run in which a plant ran") from error
    except Exception as error:  # a damaged zip raises whatever its decoder does
        raise ViewError(f"{path}: expected a plant's record, got {error}; run the fleet again") from error
    if len(trace.stamps) == 0:
        raise ViewError(f"{path}: expected at least one period, got none; run the fleet again")
    return trace


def read_cargo(source: Path, trace: Trace) -> NDArray[np.bool_]:
    """Who carries something when, (periods, robots), from cargo.json: [{"robot", "from", "to"}] with stamps in ns."""
    carrying = np.zeros(trace.poses.shape[:2], bool)
    path = (source if source.is_dir() else source.parent) / "cargo.json"
    if not path.exists():
        return carrying
    for entry in json.loads(path.read_text(encoding="utf-8")):
        if entry["robot"] in trace.names:
            during = (trace.stamps >= entry["from"]) & (trace.stamps < entry["to"])
            carrying[during, trace.names.index(entry["robot"])] = True
    return carrying


def moments(trace: Trace, speed: float, rate_hz: int) -> NDArray[np.float64]:
    """Positions of the video's frames in the record: periods, with fractions."""
    seconds = (trace.stamps - trace.stamps[0]) / 1e9
    frames = np.arange(0.0, max(seconds[-1], 1e-9), speed / rate_hz)
    return np.interp(frames, seconds, np.arange(len(seconds)))


def camera_distance(site: Site, aspect: float, fov_deg: float, elevation_deg: float) -> float:
    """How far a camera that looks at the floor's middle must be to see all of it, m (pinhole, by bisection)."""
    half_x, half_y = site.width * site.cell / 2 + 0.6, site.height * site.cell / 2 + 0.6
    tilt, half = math.radians(elevation_deg), math.tan(math.radians(fov_deg) / 2)
    low, high = 0.1, 100.0 * (half_x + half_y)
    while high - low > 0.01:
        distance = (low + high) / 2
        seen = True
        for x in (-half_x, half_x):
            for y in (-half_y, half_y):
                depth = distance + y * math.cos(tilt)
                up = y * math.sin(tilt)
                seen &= depth > 0 and abs(up) <= depth * half and abs(x) <= depth * half * aspect
        low, high = (low, distance) if seen else (distance, high)
    return high


def drawn_scale(trace: Trace) -> float:
    """How much larger than life robots and people are drawn: a cell on a large floor, so that they can be seen."""
    site = trace.site
    if max(site.width, site.height) * site.cell <= LARGE:
        return 1.0
    return max(1.0, 0.98 * site.cell / trace.footprint[0])


def build_picture(trace: Trace) -> Any:  # a mujoco.MjModel
    """The model that is drawn: floor, racks, marks; a mocap body for each robot and person. Nothing collides."""
    import mujoco

    site = trace.site
    world = mujoco.MjSpec()
    width, height = site.width * site.cell, site.height * site.cell
    world.visual.quality.offsamples = 0  # software rendering is four times faster without
    world.visual.global_.offwidth, world.visual.global_.offheight = 1920, 1200
    world.visual.global_.fovy = 18.0
    world.visual.map.znear = 0.01
    world.visual.map.zfar = 10.0
    world.visual.headlight.ambient = (0.42, 0.42, 0.42)
    world.visual.headlight.diffuse = (0.12, 0.12, 0.12)
    world.visual.headlight.specular = (0.0, 0.0, 0.0)
    world.stat.extent = max(width, height)
    world.worldbody.add_light(
        pos=(width / 2, height / 2, 30.0),
        dir=(0.35, 0.45, -1.0),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        castshadow=False,  # three times the frames per second
        diffuse=(0.46, 0.46, 0.44),
        specular=(0.05, 0.05, 0.05),
    )
    world.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        rgb1=(0.95, 0.96, 0.97),
        rgb2=(0.95, 0.96, 0.97),
        width=16,
        height=96,
    )

    def box(
        where: tuple[float, float, float, float], low: float, high: float, colour: tuple[float, ...], door: str = ""
    ) -> None:
        x_min, y_min, x_max, y_max = where
        world.worldbody.add_geom(
            name=f"{door}{len(world.worldbody.geoms)}" if door else "",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=((x_max - x_min) / 2, (y_max - y_min) / 2, (high - low) / 2),
            pos=((x_min + x_max) / 2, (y_min + y_max) / 2, (low + high) / 2),
            contype=0,
            conaffinity=0,
            rgba=colour,
        )

    box((0.0, 0.0, width, height), -0.10, 0.0, FLOOR)
    if site.person_free.any():
        for where in _runs(site, ~(site.person_free | site.blocked)):
            box(where, 0.0, 0.01, WALKWAY)
    for cells, colour in ((site.chargers, CHARGER), (site.stations, STATION)):
        for x, y in site.centre(cells):
            side = site.cell * 0.38
            box((x - side, y - side, x + side, y + side), 0.0, 0.025, colour)
    for part in drawn_fixtures(site):
        box(part.where, part.low, part.high, part.colour, f"door{part.door}." if part.door >= 0 else "")
    _add_racks(site, box)
    scale = drawn_scale(trace)
    length, broad, tall = (scale * size for size in trace.footprint)
    for robot in range(trace.poses.shape[1]):
        _add_robot(mujoco, world, robot, length, broad, tall)
    for person in range(trace.people.shape[1]):
        body = world.worldbody.add_body(name=f"person{person}", mocap=True)
        _solid(body, mujoco.mjtGeom.mjGEOM_CYLINDER, (0.25 * scale, 0.55, 0.0), (0.0, 0.0, 0.6), VEST)
        _solid(body, mujoco.mjtGeom.mjGEOM_SPHERE, (0.17 * scale, 0.0, 0.0), (0.0, 0.0, 1.3), SKIN)
    for forklift in range(trace.forklifts.shape[1]):
        _add_forklift(mujoco, world, forklift, trace.truck)
    return world.compile()


def draw(trace: Trace, carrying: NDArray[np.bool_], times: NDArray[np.float64], config: Config) -> Iterator[NDArray]:
    """Frames (height, width, 3) uint8 at moments of the record. Needs OpenGL: see `film`."""
    import mujoco

    model = build_picture(trace)
    data = mujoco.MjData(model)
    robots = trace.poses.shape[1]
    loads = np.array([model.geom(f"load{robot}").id for robot in range(robots)], int)
    doors = [
        [geom for geom in range(model.ngeom) if model.geom(geom).name.startswith(f"door{door}.")]
        for door in range(trace.doors.shape[1])
    ]
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    site = trace.site
    camera.azimuth, camera.elevation = 90.0, -82.0 if drawn_scale(trace) > 1.0 else -60.0
    camera.lookat[:] = site.width * site.cell / 2, site.height * site.cell / 2, 0.0
    aspect = config.width / config.height
    camera.distance = camera_distance(site, aspect, float(model.vis.global_.fovy), -camera.elevation)
    last = len(trace.stamps) - 1
    with mujoco.Renderer(model, height=config.height, width=config.width, max_geom=model.ngeom + 100) as renderer:
        for at in times:
            one = min(int(at), last)
            two, share = min(one + 1, last), at - one
            a, b = trace.poses[one].astype(np.float64), trace.poses[two].astype(np.float64)
            data.mocap_pos[:robots, :2] = a[:, :2] + share * (b[:, :2] - a[:, :2])
            turn = np.arctan2(np.sin(b[:, 2] - a[:, 2]), np.cos(b[:, 2] - a[:, 2]))
            yaw = a[:, 2] + share * turn
            data.mocap_quat[:robots, 0], data.mocap_quat[:robots, 3] = np.cos(yaw / 2), np.sin(yaw / 2)
            walkers = robots + trace.people.shape[1]
            data.mocap_pos[robots:walkers, :2] = trace.people[one] + share * (trace.people[two] - trace.people[one])
            if trace.forklifts.shape[1]:
                a, b = trace.forklifts[one].astype(np.float64), trace.forklifts[two].astype(np.float64)
                data.mocap_pos[walkers:, :2] = a[:, :2] + share * (b[:, :2] - a[:, :2])
                yaw = a[:, 2] + share * np.arctan2(np.sin(b[:, 2] - a[:, 2]), np.cos(b[:, 2] - a[:, 2]))
                data.mocap_quat[walkers:, 0], data.mocap_quat[walkers:, 3] = np.cos(yaw / 2), np.sin(yaw / 2)
            model.geom_rgba[loads, 3] = carrying[one]
            for door, geoms in enumerate(doors):
                model.geom_rgba[geoms, 3] = 0.0 if trace.doors[one, door] else 1.0
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            renderer.update_scene(data, camera)
            yield _label(renderer.render(), trace, at, config.speed)


def _draw_here(config: Config) -> None:
    """Draw and encode in this process, whose MUJOCO_GL is set."""
    assert config.output is not None
    trace = read_trace(config.run)
    carrying = read_cargo(config.run, trace)
    if config.still is not None:
        at = np.interp(config.still, (trace.stamps - trace.stamps[0]) / 1e9, np.arange(len(trace.stamps)))
        from PIL import Image

        (frame,) = draw(trace, carrying, np.array([at]), config)
        with replacing(config.output) as temporary:
            Image.fromarray(frame).save(temporary)
        return
    import imageio_ffmpeg

    times = moments(trace, config.speed, config.rate_hz)
    with replacing(config.output) as temporary:
        writer = imageio_ffmpeg.write_frames(
            str(temporary),
            (config.width, config.height),
            fps=config.rate_hz,
            codec="libx264",
            macro_block_size=2,
            output_params=["-preset", "veryfast", "-crf", "24", "-movflags", "+faststart"],
            ffmpeg_log_level="error",
        )
        writer.send(None)
        for frame in draw(trace, carrying, times, config):
            writer.send(np.ascontiguousarray(frame))
        writer.close()


def _label(frame: NDArray[np.uint8], trace: Trace, at: float, speed: float) -> NDArray[np.uint8]:
    """The frame with one line of text: the site's time and how fast the video goes."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(frame)
    size = max(11, frame.shape[0] // 32)
    seconds = (trace.stamps[min(int(at), len(trace.stamps) - 1)] - trace.stamps[0]) / 1e9
    text = f"{int(seconds // 60)}:{int(seconds % 60):02d}   {speed:g} x   {len(trace.names)} robots"
    if trace.people.shape[1]:
        text += f", {trace.people.shape[1]} people"
    if drawn_scale(trace) > 1.0:
        text += f", drawn {drawn_scale(trace):.1f} x as large"
    ImageDraw.Draw(picture).text((size, size // 2), text, fill=(40, 48, 60), font=ImageFont.load_default(size))
    return np.asarray(picture)


def _add_racks(site: Site, box: Any) -> None:  # the closure that adds a box
    """Racks as low steel blocks with a carton on each cell; the floor's outermost blocked cells as walls."""
    edge = np.zeros_like(site.blocked)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    for where in _runs(site, site.blocked & edge):
        box(where, 0.0, 0.5, WALL)
    inner = site.blocked & ~edge
    if inner.sum() > DETAILED:
        for where in _runs(site, inner):
            box(where, 0.0, RACK_HEIGHT, STEEL)
        return
    for where in _runs(site, inner):
        box(where, 0.0, 0.35, STEEL)
    draws = np.random.default_rng(1)
    for x, y in site.centre(np.flatnonzero(inner)):
        side_x, side_y = draws.uniform(0.33, 0.44, 2) * site.cell
        shade = draws.uniform(0.85, 1.1)
        colour = (*(min(1.0, c * shade) for c in CARDBOARD[:3]), 1.0)
        box((x - side_x, y - side_y, x + side_x, y + side_y), 0.35, draws.uniform(0.5, RACK_HEIGHT), colour)


def _add_robot(mujoco: Any, world: Any, number: int, length: float, broad: float, tall: float) -> None:
    colour = (*colorsys.hsv_to_rgb(0.12 + 0.618034 * number % 1.0, 0.85, 0.95), 1.0)
    body = world.worldbody.add_body(name=f"robot{number}", mocap=True)
    cube = mujoco.mjtGeom.mjGEOM_BOX
    _solid(body, cube, (length / 2, broad / 2, tall * 0.3), (0.0, 0.0, tall * 0.3 + 0.03), (0.16, 0.18, 0.22, 1.0))
    _solid(body, cube, (length / 2 - 0.03, broad / 2 - 0.03, tall * 0.2), (0.0, 0.0, tall * 0.8), colour)
    _solid(body, cube, (0.03, broad / 2 - 0.05, 0.03), (length / 2 - 0.07, 0.0, tall + 0.02), (0.98, 0.98, 0.98, 1.0))
    load = _solid(body, cube, (0.17, 0.16, 0.15), (-0.07, 0.0, tall + 0.15), CARDBOARD)
    load.name = f"load{number}"


def _add_forklift(mujoco: Any, world: Any, number: int, size: tuple[float, float, float]) -> None:
    """A truck with its forks ahead: chassis, mast, two blades. MuJoCo's own types, imported late."""
    length, broad, tall = size
    forks = 0.4 * length
    body = world.worldbody.add_body(name=f"forklift{number}", mocap=True)
    box = mujoco.mjtGeom.mjGEOM_BOX
    rear = (length - forks) / 2
    _solid(body, box, (rear, broad / 2, 0.45), (-forks / 2, 0.0, 0.5), TRUCK)
    _solid(body, box, (0.06, 0.42 * broad, tall / 2), (length / 2 - forks - 0.06, 0.0, tall / 2), MAST)
    for side in (-1.0, 1.0):
        _solid(body, box, (forks / 2, 0.07, 0.03), ((length - forks) / 2, side * 0.25 * broad, 0.1), MAST)


def _solid(body: Any, kind: Any, size: tuple[float, ...], at: tuple[float, ...], colour: tuple[float, ...]) -> Any:
    """A geom that nothing collides with (mujoco's own types)."""
    return body.add_geom(type=kind, size=size, pos=at, rgba=colour, contype=0, conaffinity=0)


def _runs(site: Site, cells: NDArray[np.bool_]) -> list[tuple[float, float, float, float]]:
    """Cells as few boxes: x_min, y_min, x_max, y_max."""
    part = Site(site.name, cells, np.zeros_like(cells), open_exits(cells), cell=site.cell)
    return [tuple(box) for box in merged_boxes(part).astype(float).tolist()]


def _main(words: str) -> int:
    """The drawing process: `python -m sim.view JSON` with MUJOCO_GL set."""
    content = json.loads(words)
    config = Config(**{**content, "run": Path(content["run"]), "output": Path(content["output"])})
    try:
        import mujoco

        mujoco.GLContext(8, 8).free()
    except Exception as error:  # whatever a broken OpenGL raises, at import or at use
        print(str(error).replace("\n", " ") or type(error).__name__, file=sys.stderr)
        return NO_GL
    try:
        _draw_here(config)
    except MusterError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
