"""Robot specifications as files, and what makes one impossible.

    muster: 1
    robot:                      every key may be left out: the default robot's value holds then
      name: depot7
      mass: 71.5
      drive: {track: 0.418, wheel_radius: 0.0834, firmware_wheel_radius: 0.08}     a car's has a wheelbase instead
    randomization:              what varies from robot to robot, from floor to floor, from day to day
      motor_lag: {low: 0.018, high: 0.026, unit: s, source: "measured: ..."}
    sources:                    where numbers come from, by their dotted names
      drive.track: "measured: ..."

`muster validate-sim` writes such files; `--spec FILE` of sim, robot and evaluate and `spec:=FILE` of a launch read
them. A file is read strictly: an unknown key names the nearest, a number that no robot can have is refused with its
line. SI units; `period` and `motor_period` in ns as in `RobotSpec`.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from sim.bodies.specs import akin
from sim.errors import MusterError, shown
from sim.files import write_atomic
from sim.robot import MILLISECOND, SECOND, Ackermann, DiffDrive, RobotSpec
from sim.strictyaml import Reader

PHYSICS_STEP = 5 * MILLISECOND
"""The finest physics step of a body (sim/scene.py), ns: drive controllers run on whole multiples of it."""

NAME_MAX = 64
"""Characters of a name, which stands in logs, tables and lines on terminals"""

BOUNDS: Mapping[str, tuple[float, float]] = {
    "drive.track": (0.01, 10.0),
    "drive.wheel_radius": (0.005, 1.0),
    "drive.speed_max": (0.01, 20.0),
    "drive.reverse_max": (0.0, 20.0),
    "drive.turn_max": (0.01, 20.0),
    "drive.accel_max": (0.01, 20.0),
    "drive.brake_min": (0.01, 20.0),
    "drive.turn_accel_max": (0.01, 100.0),
    "drive.firmware_track": (0.01, 10.0),
    "drive.firmware_wheel_radius": (0.005, 1.0),
    "lidar.rays": (1, 100_000),
    "lidar.range_max": (0.1, 1000.0),
    "lidar.noise": (0.0, 1.0),
    "lidar.dropout": (0.0, 1.0),
    "length": (0.1, 20.0),
    "width": (0.05, 20.0),
    "height": (0.06, 20.0),
    "mass": (5.0, 100_000.0),
    "payload_max": (0.0, 100_000.0),
    "localisation_bound": (0.0, 10.0),
    "sensor_age_bound": (0.001, 10.0),
    "latency_bound": (0.0, 10.0),
    "tracking_e0": (0.0, 10.0),
    "tracking_e1": (0.0, 10.0),
    "period": (1 * MILLISECOND, 10 * SECOND),
    "motor_period": (PHYSICS_STEP, 1 * SECOND),
}
"""Least and largest value of each number: what a floor vehicle of any make can have. The lower ends keep the wheeled
body's parts apart (a caster of 0.03 m, a hull that begins 0.05 m above the floor)."""

CAR_BOUNDS: Mapping[str, tuple[float, float]] = {
    "drive.wheelbase": (0.2, 10.0),
    "drive.track": (0.1, 3.0),
    "drive.wheel_radius": (0.02, 1.0),
    "drive.rear_overhang": (0.0, 5.0),
    "drive.steer_max": (0.05, 1.2),
    "drive.steer_rate": (0.01, 10.0),
    "drive.speed_max": (0.1, 70.0),
    "drive.accel_max": (0.1, 12.0),
    "drive.brake_min": (0.5, 12.0),
    "drive.brake_comfort": (0.1, 12.0),
    "drive.lateral_max": (0.1, 12.0),
    "drive.jerk_max": (0.5, 1000.0),
    "drive.steer_lag": (0.0, 1.0),
    "drive.drive_lag": (0.0, 1.0),
}
"""The same of a car's drive: what road vehicles of any make can have."""

TOOLS = (1e-4, 1e6)
"""Of each number of a fork or an arm: a size, a mass, a force or a speed."""

OTHERS = (-100.0, 100.0)
"""Of those that may be negative: places on the robot, m, and angles, rad."""

SIGNED = ("arm.mount", "arm.tote_at", "arm.home")


class SpecError(MusterError):
    """A robot specification, or the file that describes it, is not as it must be."""


@dataclass(frozen=True)
class Range:
    """Where a quantity lies over the robots, floors and days that were recorded."""

    low: float
    high: float
    unit: str
    source: str


@dataclass(frozen=True)
class SpecFile:
    """What one file says."""

    spec: RobotSpec
    randomization: Mapping[str, Range] = field(default_factory=dict)
    """By the name of the quantity."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """By the dotted name of the number; numbers that a file leaves out have their source in `known_sources`."""


def check_spec(spec: RobotSpec) -> None:
    """Raise `SpecError` for the first thing that no robot of ours can be."""
    for name, text in faults(spec):
        raise SpecError(f"robot {spec.name!r}: {name}: {text}")


def check_name(name: str, what: str) -> None:
    """Raise `SpecError` that begins with `what` for a name that no specification can have."""
    if wrong := _name_fault(name):
        raise SpecError(f"{what}: {wrong}")


def _name_fault(name: str) -> str:
    if not name:
        return "expected a name, got none; name the robot"
    if len(name) > NAME_MAX or not name.isprintable():
        return f"expected at most {NAME_MAX} printable characters, got {shown(name)}; shorten or correct it"
    return ""


def faults(spec: RobotSpec) -> list[tuple[str, str]]:
    """Everything that is wrong with a specification, as (dotted name, what is expected and what came)."""
    found: list[tuple[str, str]] = []
    bounds = {**BOUNDS, **CAR_BOUNDS} if isinstance(spec.drive, Ackermann) else BOUNDS
    for name, value in leaves(asdict(spec)).items():
        for number in value if isinstance(value, (tuple, list)) else (value,):
            if not isinstance(number, (int, float)):
                continue  # the name, and what the robot does not have
            low, high = bounds.get(name, OTHERS if name in SIGNED else TOOLS)
            if not (math.isfinite(number) and low <= number <= high):
                found.append((name, f"expected a number from {low:g} to {high:g}, got {number:g}; correct it"))
                break
    if found:
        return found  # the rules below compute with these numbers
    if wrong := _name_fault(spec.name):
        found.append(("name", wrong))
    if spec.motor_period % PHYSICS_STEP:
        found.append(
            (
                "motor_period",
                f"expected a multiple of {PHYSICS_STEP} ns (a physics step), got {spec.motor_period}; round it",
            )
        )
    if spec.period % spec.motor_period:
        found.append(
            (
                "period",
                f"expected a multiple of motor_period ({spec.motor_period} ns), got {spec.period} ns; "
                f"take {max(1, round(spec.period / spec.motor_period)) * spec.motor_period}",
            )
        )
    found += _car_faults(spec, spec.drive) if isinstance(spec.drive, Ackermann) else _drive_faults(spec, spec.drive)
    return found


def _drive_faults(spec: RobotSpec, drive: DiffDrive) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if drive.track > 2.0 * spec.radius:
        found.append(
            (
                "drive.track",
                f"expected wheels under the hull, got {drive.track:g} m for a hull of {spec.width:g} m",
            )
        )
    if drive.reverse_max > drive.speed_max:
        found.append(
            (
                "drive.reverse_max",
                f"expected at most speed_max ({drive.speed_max:g} m/s), got {drive.reverse_max:g}; lower it",
            )
        )
    return found


def _car_faults(spec: RobotSpec, drive: Ackermann) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if drive.wheelbase + drive.rear_overhang > spec.length:
        found.append(
            (
                "drive.wheelbase",
                f"expected both axles under the hull, got {drive.wheelbase:g} m with a rear overhang of "
                f"{drive.rear_overhang:g} m for a hull of {spec.length:g} m; state the length too",
            )
        )
    if drive.track > spec.width:
        found.append(
            ("drive.track", f"expected wheels under the hull, got {drive.track:g} m for a hull of {spec.width:g} m")
        )
    if drive.brake_comfort > drive.brake_min:
        found.append(
            (
                "drive.brake_comfort",
                f"expected at most brake_min ({drive.brake_min:g} m/s^2), got {drive.brake_comfort:g}; lower it",
            )
        )
    if spec.fork is not None or spec.arm is not None:
        found.append(("drive", "expected a car without fork and arm, got one with them; leave them out"))
    return found


def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:  # numbers, text and None of a specification
    """The numbers and words of nested mappings by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def read_spec(path: Path) -> SpecFile:
    """The specification in a file. Raises `SpecError` with file and line, `FileError` when it cannot be read."""
    reader = Reader(path, SpecError)
    entries = reader.root(required=("robot",), optional=("randomization", "sources"))
    places: dict[str, yaml.Node] = {}
    spec = _read(reader, RobotSpec, entries["robot"], "robot", "", places)
    for name, text in faults(spec):
        raise reader.fault(places.get(name, entries["robot"]), f"robot: {name}: {text}")
    return SpecFile(
        spec, _read_ranges(reader, entries.get("randomization")), _read_sources(reader, entries.get("sources"), spec)
    )


def named_spec(place: str) -> SpecFile:
    """What a command's `--spec` names: a file, or the default robot where it is empty. Raises as `read_spec`."""
    return read_spec(Path(place)) if place else SpecFile(RobotSpec())


def write_spec(path: Path, content: SpecFile) -> None:
    """Write a specification so that `read_spec` gives it back; raises `SpecError` when no robot can be so."""
    check_spec(content.spec)
    document: dict[str, Any] = {"muster": 1, "robot": _stated(asdict(content.spec))}  # text, numbers, mappings
    if content.randomization:
        document["randomization"] = {name: asdict(entry) for name, entry in content.randomization.items()}
    document["sources"] = {**known_sources(content.spec), **content.sources}
    write_atomic(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))


def known_sources(spec: RobotSpec) -> dict[str, str]:
    """The sources of those numbers that a robot shares with ours of its kind, by dotted name."""
    ours, sources = akin(spec)
    here, there = leaves(asdict(spec)), leaves(asdict(ours))
    return {name: source for name, source in sources.items() if here[name] == there[name]}


def _stated(values: dict[str, Any]) -> dict[str, Any]:  # as above
    return {
        name: _stated(value) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None
    }


def _read(reader: Reader, kind: type, node: yaml.Node, what: str, prefix: str, places: dict[str, yaml.Node]) -> Any:
    """An instance of a dataclass (RobotSpec or a part of it) from the keys of a mapping; notes where each stood."""
    hints = typing.get_type_hints(kind)
    needed = tuple(part.name for part in fields(kind) if part.default is MISSING and part.default_factory is MISSING)
    entries = reader.keys(node, what, needed, tuple(part.name for part in fields(kind) if part.name not in needed))
    given: dict[str, Any] = {}  # whatever the fields are
    for name, entry in entries.items():
        label = f"{what}: {name}"
        kinds = [one for one in typing.get_args(hints[name]) if is_dataclass(one) or one is float]
        hint = next(iter(kinds), hints[name])
        if len(kinds) > 1 and isinstance(entry, yaml.MappingNode):  # a drive: what only a car has says that it is one
            ours = {part.name for part in fields(Ackermann)} - {part.name for part in fields(DiffDrive)}
            hint = Ackermann if ours & {str(key.value) for key, _ in entry.value} else DiffDrive
        places[prefix + name] = entry
        if typing.get_origin(hints[name]) is tuple:
            given[name] = tuple(reader.numbers(entry, label, len(typing.get_args(hints[name]))))
        elif is_dataclass(hint) and isinstance(hint, type):
            given[name] = _read(reader, hint, entry, label, f"{prefix}{name}.", places)
        elif hint is str:
            given[name] = reader.text(entry, label)
        elif hint is int:
            given[name] = reader.whole(entry, label, -(2**62), 2**62)
        else:
            given[name] = reader.number(entry, label)
    return kind(**given)


def _read_ranges(reader: Reader, node: yaml.Node | None) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    if node is None:
        return ranges
    names = [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    for name, entry in reader.keys(node, "randomization", optional=tuple(names)).items():
        what = f"randomization: {name}"
        parts = reader.keys(entry, what, ("low", "high", "unit", "source"))
        low = reader.number(parts["low"], f"{what}: low")
        high = reader.number(parts["high"], f"{what}: high", low=low)
        unit = reader.text(parts["unit"], f"{what}: unit")
        ranges[name] = Range(low, high, unit, reader.text(parts["source"], f"{what}: source"))
    return ranges


def _read_sources(reader: Reader, node: yaml.Node | None, spec: RobotSpec) -> dict[str, str]:
    if node is None:
        return {}
    known = tuple(leaves(asdict(spec)))
    entries = reader.keys(node, "sources", optional=known)
    return {name: reader.text(entry, f"sources: {name}") for name, entry in entries.items()}
