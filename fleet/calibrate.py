"""`muster calibrate`: drive a course, fit the bounds that shield and policy rest on, and say how far they hold.

The course (fleet/stages.py) is driven through the `Robot` protocol: on a simulated wheeled robot in process
(sim/hall.py), `--planted SEED` one that is not what its specification says, or with `--bus` on a robot behind ROS 2's
topics (fleet/ros/solo.py), hardware or simulated. A run directory keeps

    robot.yaml         the specification with the bounds that were found (`--spec` of other commands, `spec:=`)
    ranges.yaml        what varies about this robot, for `randomization:=`
    calibration.yaml   the record: specification, floor, date, runs, bounds (`--calibration` of `muster robot`)

Exit code 0 with all three written; 2 where the robot cannot be calibrated (a blocked beam, no room, weak brakes).
"""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from tyro.conf import Suppress

from fleet.ros.bus import BusKind
from sim.errors import MusterError
from sim.files import write_atomic

if TYPE_CHECKING:
    from fleet.bounds import Bound, Bounds
    from fleet.calibrationfile import Record
    from fleet.stages import Demand, Findings
    from sim.robot import Robot, RobotSpec
    from sim.site import Site
    from sim.specfile import Range, SpecFile


PATIENCE = 15.0
"""s for a robot's first readings over a bus: discovery takes one, latched data of Fast DDS three."""


class CalibrateError(MusterError):
    """A calibration cannot be made as asked."""


@dataclass(frozen=True)
class Config:
    """Drive a course and fit the bounds of a robot, with their confidence."""

    spec: str = ""
    """What the robot is taken for: a specification file; empty for the default robot"""
    site: str = ""
    """The floor that it drives on: map file, problem file or generate:SEED; empty for an empty hall of 12 m"""
    bus: BusKind = "none"
    """none: a simulated robot; else one behind ROS 2's topics on that bus, on --site"""
    robot: str = "r0"
    """Over a bus: its name, which is its namespace"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments, as --ros-args -r pose:=amcl_pose -p use_sim_time:=true"""
    planted: int = 0
    """The simulated robot: 0 is what its specification says, another number draws one that is not"""
    blocked_deg: float = 0.0
    """Sector of its lidar that sees nothing, degrees"""
    coverage: float = 0.999
    """Share of later drives that keep every bound; 0.999 takes 3,688 runs, 0.99 367, 0.95 72"""
    confidence: float = 0.95
    """With which that is said"""
    speed: float = 0.0
    """Fastest run, m/s; 0 for the robot's own top speed"""
    days: float = 90.0
    """How long the calibration holds, days"""
    seed: int = 0
    """Which runs are driven"""
    name: str = ""
    """Name of the robot; that of its specification with -calibrated if not given"""
    output: Path | None = None
    """A folder that gets the three files too"""


@dataclass(frozen=True)
class Calibration:
    """What a calibration writes."""

    record: Record
    spec: SpecFile
    ranges: dict[str, Range]


def check(config: Config) -> None:
    """Raise `MusterError` for whatever is wrong with a command line, before anything is made for it."""
    from fleet.ros.robotnode import check as check_bus
    from fleet.ros.transport import SCHEME
    from fleet.tolerance import check_demand
    from sim.seeds import check_seed
    from sim.specfile import check_name

    check_demand(config.coverage, config.confidence)
    check_seed(config.seed)
    check_seed(config.planted)
    if not (config.speed == 0.0 or 0.1 <= config.speed <= 20.0):
        raise CalibrateError(f"--speed: expected 0.1 to 20 m/s, or 0 for its own, got {config.speed:g}; give another")
    if not 0.01 <= config.days <= 3650.0:
        raise CalibrateError(f"--days: expected 0.01 to 3650 days, got {config.days:g}; give for example 90")
    if not 0.0 <= config.blocked_deg <= 360.0:
        raise CalibrateError(
            f"--blocked-deg: expected 0 to 360 degrees, got {config.blocked_deg:g}; give for example 20"
        )
    if config.output is not None:
        if not config.output.is_dir():
            raise CalibrateError(f"--output: expected a folder that is there, got {config.output}; make it")
        try:
            with tempfile.TemporaryFile(dir=config.output):
                pass  # hours later it would be too late
        except OSError as error:
            raise CalibrateError(
                f"--output: cannot write to {config.output}: {error.strerror}; give another folder"
            ) from error
    if config.name:
        check_name(config.name, "--name")
    if config.bus != "none":
        _check_real(config)
    check_bus(config.bus, config.ros_arguments, (config.robot,), SCHEME)


def _check_real(config: Config) -> None:
    """What a robot over a bus must be told, and what cannot be asked of it."""
    from sim.robot import RobotNameError, robot_names

    try:
        names = robot_names(config.robot)
    except RobotNameError as error:
        raise CalibrateError(str(error).replace("--robots", "--robot")) from None
    if names != (config.robot,):
        raise CalibrateError(f"--robot: expected one robot's name, got {config.robot!r}; calibrate one after the other")
    if not config.site:
        raise CalibrateError("--site: expected the floor that the robot stands on, got none; a calibration is for it")
    if config.planted or config.blocked_deg:
        raise CalibrateError("expected no --planted and no --blocked-deg over a bus: they are a simulated robot's")


def run(config: Config) -> int:
    """Drive the course, print what was found, leave the run directory."""
    from fleet.rundir import join_run
    from fleet.stages import Demand
    from sim.readers import load_site
    from sim.specfile import named_spec

    check(config)
    spec = named_spec(config.spec).spec
    _ = spec.diff  # a car has no course yet
    site = load_site(config.site) if config.site else None
    demand = Demand(config.coverage, config.confidence, config.speed or math.inf, config.seed)
    with contextlib.ExitStack() as stack:
        robot, floor = _robot(config, spec, site, stack)
        directory = join_run(arguments=sys.argv, config=config, seed=config.seed)
        found = calibrate(
            robot, spec, demand, site=floor.name, floor=floor.hash, now=datetime.now(UTC), days=config.days,
            name=config.name, unit=config.robot if config.bus != "none" else "", news=_news,
        )  # fmt: skip
    print("\n".join(said(found.record)))
    for folder in (directory.root, config.output):
        if folder is not None:
            write(folder, found)
    print(f"specification, ranges and record: {config.output or directory.root}")
    return 0


def _robot(config: Config, spec: RobotSpec, site: Site | None, stack: contextlib.ExitStack) -> tuple[Robot, Site]:
    """The robot, which the stack closes, and its floor."""
    if config.bus != "none":
        from fleet.ros.solo import first, open_solo
        from sim.device import start_warp

        assert site is not None
        start_warp()  # before the bus has threads
        bus, robot = open_solo(config.bus, config.robot, spec, config.ros_arguments)
        stack.callback(bus.close)
        stack.callback(robot.close)
        first(robot, PATIENCE)
        return robot, site
    from sim.hall import Hall, HallRobot, draw_likeness

    likeness = replace(draw_likeness(spec, config.planted), blocked=math.radians(config.blocked_deg))
    hall = Hall(likeness, site, seed=config.seed + config.planted)
    return HallRobot(hall), hall.site


def _news(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def calibrate(
    robot: Robot,
    spec: RobotSpec,
    demand: Demand,
    *,
    site: str,
    floor: str,
    now: datetime,
    days: float,
    name: str = "",
    unit: str = "",
    news: Callable[[str], None] = lambda line: None,
) -> Calibration:
    """Drive a robot over the course and fit its bounds; `now` dates the record, `floor` is the site's hash.

    `unit` is the robot's name in its fleet, which the record is then for alone.

    Raises `MusterError` for a robot that cannot be calibrated; it has been told to stand.
    """
    from fleet.course import follow
    from fleet.stages import Course
    from fleet.tolerance import runs_needed

    news(
        f"the course shows {demand.coverage:g} of the drives at {demand.confidence:g} with "
        f"{runs_needed(demand.coverage, demand.confidence)} runs without an exception"
    )
    found = follow(robot, Course(spec, demand, news).script())
    return conclude(spec, demand, found, site, floor, now, days, name, unit)


def conclude(
    spec: RobotSpec,
    demand: Demand,
    found: Findings,
    site: str,
    floor: str,
    now: datetime,
    days: float,
    name: str = "",
    unit: str = "",
) -> Calibration:
    """Specification, ranges and record of what a course found."""
    from fleet.calibrationfile import Record
    from fleet.tolerance import shown
    from sim.specfile import SpecFile, check_spec

    bounds, beams = found.bounds, found.beams
    assert bounds is not None
    assert beams is not None
    written = replace(found.fitted, name=name or f"{spec.name}-calibrated")
    check_spec(written)
    kept = shown(found.verified, demand.confidence, found.attempt)
    source = f"measured: muster calibrate, {found.raised + found.fit + found.verified} runs, {now:%Y-%m-%d}"
    ranges = _ranges(written, bounds, beams.noise, beams.dropout, source)
    named = {label: one for label in _LABELS if (one := _bound(bounds, label)) is not None}
    record = Record(
        robot=written.name,
        embodiment=written.embodiment_hash(),
        site=site,
        floor=floor,
        made=now,
        expires=now + timedelta(days=days),
        coverage=math.floor(kept * 1e6) / 1e6,
        confidence=demand.confidence,
        runs={"raised": found.raised, "fit": found.fit, "verified": found.verified, "attempt": found.attempt,
              "broken": found.broken},
        seconds=round(found.seconds, 1),
        bounds=named,
        tracking=(written.tracking_e0, written.tracking_e1),
        odometry=bounds.scale,
        gain=(_known(bounds.gain[0]), _known(bounds.gain[1])),
        beams=beams,
        findings=tuple(_findings(bounds)),
        unit=unit,
    )  # fmt: skip
    changed = [label for label, value in _numbers(written).items() if _numbers(spec).get(label) != value]
    return Calibration(record, SpecFile(written, ranges, {label: source for label in changed}), ranges)


def _known(gain: float) -> float:
    return gain if math.isfinite(gain) else 1.0


_LABELS = ("accel", "brake", "turn_accel", "turn_brake", "latency", "age", "drift_way", "drift_turn")


def _bound(bounds: Bounds, label: str) -> Bound | None:
    if label.startswith("drift"):
        return bounds.drift[int(label == "drift_turn")]
    return getattr(bounds, label)


def _numbers(spec: RobotSpec) -> dict[str, object]:
    from sim.specfile import leaves

    return {label: value for label, value in leaves(asdict(spec)).items() if isinstance(value, (int, float))}


def _findings(bounds: Bounds) -> list[str]:
    """What keeps a calibration from holding although the course was driven to its end."""
    from sim.varied import ODOMETRY_SCALE

    return [
        f"its odometry of {words} is {scale - 1.0:+.1%} off localisation, the monitors assume {ODOMETRY_SCALE:.0%}; "
        "correct the wheel radius and track that the base believes in"
        for words, scale in zip(("speed", "turn"), bounds.scale, strict=True)
        if abs(scale - 1.0) > ODOMETRY_SCALE
    ]


def _ranges(spec: RobotSpec, bounds: Bounds, noise: float, dropout: float, source: str) -> dict[str, Range]:
    """What varies about the robot, by the rows of the plant's table, within the rows' own bounds."""
    from sim.drive import BRAKE_SHARE
    from sim.specfile import Range
    from sim.varied import SERVO_RESERVE, plant_table

    table = plant_table(spec)
    brake, latency = bounds.brake, bounds.latency
    assert brake is not None
    assert latency is not None
    period = spec.motor_period / 1e9
    earliest = max(2.0 * latency.middle - latency.worst - SERVO_RESERVE, 0.0)
    wanted = {
        "brake_strength": (spec.diff.brake_min * BRAKE_SHARE, 2.0 * brake.middle - brake.worst),
        "latency": (float(math.floor(earliest / period)), table.row("latency").bounds[1]),
        "odometry_scale": (bounds.scale[0] - 1.0 - 0.002, bounds.scale[0] - 1.0 + 0.002),
        "lidar_noise": (noise, noise),
        "lidar_dropout": (0.0, dropout),
    }
    found = {}
    for name, (low, high) in wanted.items():
        row = table.row(name)
        least, most = row.bounds
        low, high = min(max(low, least), most), min(max(high, least), most)
        found[name] = Range(float(min(low, high)), float(high), row.unit, source)
    return found


def write(folder: Path, found: Calibration) -> None:
    """Write robot.yaml, ranges.yaml and calibration.yaml. Raises `FileError`."""
    from fleet.calibrationfile import write_record
    from sim.specfile import write_spec

    write_spec(folder / "robot.yaml", found.spec)
    rows = {name: {"low": one.low, "high": one.high} for name, one in found.ranges.items()}
    write_atomic(folder / "ranges.yaml", yaml.safe_dump({"muster": 1, "rows": rows}, sort_keys=False))
    write_record(folder / "calibration.yaml", found.record)


def said(record: Record) -> list[str]:
    """The answer in words."""
    runs, (e0, e1) = record.runs, record.tracking
    lines = [
        f"{record.robot} on {record.site}: {record.coverage:.4%} of such drives keep every bound at confidence "
        f"{record.confidence:g} ({runs['verified']} runs without an exception, {runs['fit'] + runs['raised']} before "
        f"them, {record.seconds / 3600.0:.1f} h)"
    ]
    for name, one in record.bounds.items():
        lines.append(
            f"  {name:<11}{one.value:>8.3f} {one.unit:<8} middle {one.middle:.3f}, worst {one.worst:.3f} "
            f"of {one.samples}"
        )
    unknown = [label for label in _LABELS if label not in record.bounds]
    if unknown:
        lines.append(f"  not measured, so as the specification says: {', '.join(unknown)}")
    lines.append(
        f"  tracking   {e0:.3f} m + {e1:.3f} m/s; odometry {record.odometry[0]:.3f} and {record.odometry[1]:.3f}"
    )
    if record.findings:
        return [*lines, f"Is this my robot? Not to be driven: {'; '.join(record.findings)}."]
    return [*lines, f"Is this my robot? Yes, until {record.expires:%Y-%m-%d}."]
