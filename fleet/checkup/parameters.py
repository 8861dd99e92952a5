"""The files that a robot is started with: parameters, floor, specification, calibration, key.

Each is read as its command reads it, so that what is wrong is said before the robot stands in the hall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from coordination.keys import Keys, read_keys
from fleet.calibrationfile import Record, faults, read_record
from fleet.checkup.finding import Finding, Reading, Section, one_line, readable
from fleet.ros.paramfile import GivenByNode, read_parameters
from sim.errors import MusterError
from sim.readers import load_site
from sim.robot import Ackermann, RobotSpec
from sim.site import CELL, Site
from sim.specfile import named_spec

T = TypeVar("T")

SECTION = Section("parameters")

SOON = timedelta(days=14)
"""A calibration that ends within it is told: time to drive the course again, own choice"""


@dataclass(frozen=True)
class ParameterFacts:
    """What was read; None for what was not given."""

    parameters: Reading[GivenByNode] | None = None
    site: Reading[Site] | None = None
    spec: Reading[RobotSpec] | None = None
    calibration: Reading[Record] | None = None
    key: Reading[Keys] | None = None


def look(
    parameters: Path | None,
    site: str,
    spec: str,
    calibration: Path | None,
    key: Path | None,
    cell: float = CELL,
) -> ParameterFacts:
    """Read all that was given."""
    return ParameterFacts(
        read(str(parameters), lambda: read_parameters(str(parameters))) if parameters is not None else None,
        read(site, lambda: load_site(site, cell)) if site else None,
        read(spec or "the default robot", lambda: named_spec(spec).spec),
        read(str(calibration), lambda: read_record(Path(calibration or ""))) if calibration is not None else None,
        read(str(key), lambda: read_keys(Path(key or ""))) if key is not None else None,
    )


def check(
    facts: ParameterFacts, now: datetime, coverage: float, robots: Sequence[str] = (), unit: str = ""
) -> list[Finding]:
    """Judge them at `now`; a calibration must show `coverage`, a key must serve `robots`.

    `unit` is the one robot behind a bus whose calibration it must be; empty where it may be a simulated one's.
    """
    findings = []
    if facts.parameters is not None:
        findings.append(_parameters(facts.parameters))
    if facts.site is not None:
        findings.append(_site(facts.site))
    if facts.spec is not None:
        findings.append(_spec(facts.spec))
    if facts.calibration is not None:
        findings += _calibration(facts, now, coverage, unit)
    if facts.key is not None:
        findings.append(_key(facts.key, robots))
    return findings


def read(place: str, reader: Callable[[], T]) -> Reading[T]:
    """What a reader reads, or why it could not."""
    try:
        return Reading(readable(place), reader())
    except (MusterError, OSError, ValueError) as error:  # a name with a NUL byte is a ValueError
        return Reading(readable(place), error=one_line(error))


def _parameters(reading: Reading[GivenByNode]) -> Finding:
    if reading.value is None:
        return SECTION.unread("params-file", reading, "correct the line that it names")
    count = sum(map(len, reading.value.values()))
    nodes = ", ".join(list(reading.value)[:8])
    return SECTION.judged(
        count > 0, "params-file", f"{reading.place}: {count} parameters for {nodes or 'no node'}", "parameters",
        "write them as NODE: {ros__parameters: {NAME: VALUE}}",
    )  # fmt: skip


def _site(reading: Reading[Site]) -> Finding:
    site = reading.value
    if site is None:
        return SECTION.unread("site", reading, "give the map that the plant or the robot's localisation has")
    text = f"{site.name}: {site.width} x {site.height} cells of {site.cell:g} m, floor {site.hash[:12]}"
    return SECTION.ok("site", text)


def _spec(reading: Reading[RobotSpec]) -> Finding:
    spec = reading.value
    if spec is None:
        return SECTION.unread("spec", reading, "correct the line that it names")
    drive = "Ackermann" if isinstance(spec.drive, Ackermann) else "differential drive"
    return SECTION.ok(
        "spec", f"{spec.name}: {spec.length:g} x {spec.width:g} m, {spec.mass:g} kg, {drive}, up to "
        f"{spec.drive.speed_max:g} m/s, embodiment {spec.embodiment_hash()[:12]}"
    )  # fmt: skip


def _calibration(facts: ParameterFacts, now: datetime, coverage: float, unit: str) -> list[Finding]:
    assert facts.calibration is not None
    record = facts.calibration.value
    if record is None:
        return [SECTION.unread("calibration", facts.calibration, "give the calibration.yaml of `muster calibrate`")]
    spec = facts.spec.value if facts.spec is not None else None
    site = facts.site.value if facts.site is not None else None
    if spec is None:
        return [
            SECTION.note(
                "calibration", "not compared: there is no specification", "the robot.yaml beside it", "give --spec"
            )
        ]
    wrong = faults(record, spec, site.hash if site is not None else record.floor, now, coverage, unit)
    if wrong:
        return [
            SECTION.mend(
                "calibration", each, "a calibration that holds: the robot creeps at best without",
                "calibrate it anew (muster calibrate), or give the spec, site and record that belong together",
            )
            for each in wrong
        ]  # fmt: skip
    owner = f" of {record.unit}" if record.unit else " of a simulated robot"
    found = [
        SECTION.ok(
            "calibration", f"{record.robot}{owner}, {record.coverage:.4g} of drives, until {record.expires:%Y-%m-%d}"
        )
    ]
    if site is None:
        found.append(
            SECTION.note(
                "calibration", f"made on {record.site}, not compared", "the floor that it drives on", "give --site"
            )
        )
    if record.expires - now < SOON:
        found.append(
            SECTION.note("calibration", f"it ends in {(record.expires - now).days} days", "weeks", "calibrate it again")
        )
    return found


def _key(reading: Reading[Keys], robots: Sequence[str]) -> Finding:
    keys = reading.value
    if keys is None:
        return SECTION.unread(
            "key", reading, "make one by `muster keys create`, and the robot's by `muster keys derive`"
        )
    if keys.fleet is not None:
        return SECTION.note(
            "key", f"{reading.place} is the fleet's key", "on a robot its own key, which betrays nobody else",
            "muster keys derive NAME on the server, and give the robot NAME.key",
        )  # fmt: skip
    missing = [name for name in robots if name not in keys.nodes]
    return SECTION.judged(
        not missing, "key", f"{reading.place} is the key of {', '.join(keys.nodes)}",
        f"a key of {', '.join(missing)}", "muster keys derive NAME on the server",
    )  # fmt: skip
