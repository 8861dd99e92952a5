"""The calibration record: what a course showed of one robot on one floor, and until when it holds.

    muster: 1
    calibration:
      robot: depot7                 and the hash of the specification that was written with it
      embodiment: 3f...
      site: hall:10                 and the floor's own hash: another floor brakes otherwise
      floor: a0...
      made: 2026-11-22T01:00:00+00:00
      expires: 2027-02-20T01:00:00+00:00
      coverage: 0.999               of later drives keep every bound, at this confidence
      confidence: 0.95
      runs: {raised: 30, fit: 616, verified: 3688, attempt: 1, broken: 0}
      seconds: 18000
      bounds: {brake: {value: 1.67, middle: 1.79, worst: 1.71, samples: 640, unit: m/s^2}, ...}
      tracking: {e0: 0.02, e1: 0.03}
      odometry: {v: 1.01, w: 1.01}
      gain: {v: 0.99, w: 0.99}
      beams: {rays: 360, scans: 13, noise: 0.011, dropout: 0.009}
      unit: r1                      the robot's name in its fleet; left out of a simulated one's
      findings: [...]               why it does not hold from the start; empty
      expired: "..."                why it holds no more: written by the robot whose monitors found so

Read strictly, line by line, as every muster file. `faults` says why a record does not let a robot drive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from fleet.beams import Beams
from fleet.bounds import Bound
from safety.calibration import Calibrated
from sim.errors import MusterError
from sim.files import write_atomic
from sim.robot import RobotSpec
from sim.strictyaml import Reader

DAYS = 90.0
"""How long a calibration holds, days: own choice, a quarter, between two services."""

BOUNDS = ("accel", "brake", "turn_accel", "turn_brake", "latency", "age", "drift_way", "drift_turn")
"""What a record may bound, as `fleet.bounds.Bounds` names it."""

NEEDED = ("brake", "latency")
"""What it must bound: the monitors compare with it."""

YEARS = range(2020, 2200)
"""Of the dates in a record: at the ends of the calendar there is no other zone's date, nor a day before."""

RUNS = ("raised", "fit", "verified", "attempt", "broken")
KEYS = (
    "robot", "embodiment", "site", "floor", "made", "expires", "coverage", "confidence", "runs", "seconds", "bounds",
    "tracking", "odometry", "gain", "beams",
)  # fmt: skip


class CalibrationError(MusterError):
    """A calibration, or the file that holds it, is not as it must be."""


@dataclass(frozen=True)
class Record:
    """What a calibration record says."""

    robot: str
    embodiment: str
    site: str
    floor: str
    made: datetime
    expires: datetime
    coverage: float
    confidence: float
    runs: Mapping[str, int]
    seconds: float
    bounds: Mapping[str, Bound]
    tracking: tuple[float, float]
    """e0 (m), e1 (m/s)"""
    odometry: tuple[float, float]
    """Over what is driven, v and w"""
    gain: tuple[float, float]
    """What is driven over what is told, v and w"""
    beams: Beams
    findings: tuple[str, ...] = field(default=())
    expired: str = ""
    unit: str = ""
    """The robot's name in its fleet: two of one specification brake differently. Empty: a simulated robot's"""

    def watched(self) -> Calibrated:
        """What the monitors compare with."""
        return Calibrated(
            self.coverage, self.bounds["brake"].value, self.bounds["latency"].value, self.gain, self.odometry
        )


def faults(
    record: Record, spec: RobotSpec, floor: str, now: datetime, coverage: float = 0.999, unit: str = ""
) -> list[str]:
    """Why a record does not let a robot of this specification drive on this floor; none where it does.

    `floor` is the site's hash; `coverage` what is demanded of it; `unit` the robot's name in its fleet, empty where it
    is known to be simulated.
    """
    found = []
    if unit and record.unit != unit:
        made = f"of {record.unit}" if record.unit else "of a simulated robot"
        found.append(f"it was made {made}, this is {unit} (muster calibrate --bus auto --robot {unit})")
    if record.expired:
        found.append(f"it expired: {record.expired}")
    if now >= record.expires:
        found.append(f"it ended on {record.expires:%Y-%m-%d}")
    if now < record.made - timedelta(days=1):
        found.append(f"it was made on {record.made:%Y-%m-%d}, which the computer's clock has not reached")
    if record.embodiment != spec.embodiment_hash():
        found.append(
            f"it was made for specification {record.embodiment[:12]}, the robot's is {spec.embodiment_hash()[:12]}"
        )
    if record.floor != floor:
        found.append(f"it was made on floor {record.floor[:12]} ({record.site}), this one is {floor[:12]}")
    if record.coverage < coverage:
        found.append(f"it shows {record.coverage:.4g} of the drives to keep its bounds, {coverage:g} are asked for")
    return [*found, *record.findings]


def write_record(path: Path, record: Record) -> None:
    """Write a record so that `read_record` gives it back. Raises `FileError`."""
    plain: dict[str, Any] = {  # what YAML holds
        "robot": record.robot,
        "embodiment": record.embodiment,
        "site": record.site,
        "floor": record.floor,
        "made": record.made.isoformat(timespec="seconds"),
        "expires": record.expires.isoformat(timespec="seconds"),
        "coverage": float(record.coverage),
        "confidence": float(record.confidence),
        "runs": {name: int(record.runs[name]) for name in RUNS},
        "seconds": float(record.seconds),
        "bounds": {name: _plain(asdict(one)) for name, one in record.bounds.items()},
        "tracking": {"e0": float(record.tracking[0]), "e1": float(record.tracking[1])},
        "odometry": {"v": float(record.odometry[0]), "w": float(record.odometry[1])},
        "gain": {"v": float(record.gain[0]), "w": float(record.gain[1])},
        "beams": _plain(asdict(record.beams)),
        "findings": list(record.findings),
    }
    if record.unit:
        plain["unit"] = record.unit
    if record.expired:
        plain["expired"] = record.expired
    write_atomic(path, yaml.safe_dump({"muster": 1, "calibration": plain}, sort_keys=False, width=120))


def expire(path: Path, reason: str) -> None:
    """Mark the record in a file as one that holds no more; the first reason stays. Raises as read and write do."""
    record = read_record(path)
    if not record.expired:
        write_record(path, replace(record, expired=" ".join(reason.split())))


def read_record(path: Path) -> Record:
    """The record in a file. Raises `CalibrationError` with file and line, `FileError` when it cannot be read."""
    reader = Reader(path, CalibrationError)
    root = reader.root(required=("calibration",), optional=())
    entries = reader.keys(root["calibration"], "calibration", KEYS, ("findings", "expired", "unit"))

    def pair(name: str, first: str, second: str, low: float) -> tuple[float, float]:
        parts = reader.keys(entries[name], name, (first, second))
        values = [reader.number(parts[key], f"{name}: {key}", low) for key in (first, second)]
        return values[0], values[1]

    runs = reader.keys(entries["runs"], "runs", RUNS)
    beams = reader.keys(entries["beams"], "beams", ("rays", "scans", "noise", "dropout"))
    return Record(
        robot=reader.text(entries["robot"], "robot"),
        embodiment=_hash(reader, entries["embodiment"], "embodiment"),
        site=reader.text(entries["site"], "site"),
        floor=_hash(reader, entries["floor"], "floor"),
        made=_date(reader, entries["made"], "made"),
        expires=_date(reader, entries["expires"], "expires"),
        coverage=reader.number(entries["coverage"], "coverage", 0.0, 1.0),
        confidence=reader.number(entries["confidence"], "confidence", 0.0, 1.0),
        runs={name: reader.whole(node, f"runs: {name}", 0, 10**9) for name, node in runs.items()},
        seconds=reader.number(entries["seconds"], "seconds", 0.0),
        bounds=_bounds(reader, entries["bounds"]),
        tracking=pair("tracking", "e0", "e1", 0.0),
        odometry=pair("odometry", "v", "w", 0.1),
        gain=pair("gain", "v", "w", 0.1),
        beams=Beams(
            reader.whole(beams["rays"], "beams: rays", 1, 100_000),
            reader.whole(beams["scans"], "beams: scans", 0, 10**9),
            reader.number(beams["noise"], "beams: noise", 0.0, 1.0),
            reader.number(beams["dropout"], "beams: dropout", 0.0, 1.0),
        ),
        findings=tuple(reader.text(node, "findings") for node in reader.items(entries.get("findings"), "findings")),
        expired=reader.text(entries["expired"], "expired") if "expired" in entries else "",
        unit=reader.text(entries["unit"], "unit") if "unit" in entries else "",
    )


def _bounds(reader: Reader, node: yaml.Node) -> dict[str, Bound]:
    others = tuple(name for name in BOUNDS if name not in NEEDED)
    found = {}
    for name, entry in reader.keys(node, "bounds", NEEDED, others).items():
        parts = reader.keys(entry, f"bounds: {name}", ("value", "middle", "worst", "samples", "unit"))
        value, middle, worst = (
            reader.number(parts[key], f"bounds: {name}: {key}", 0.0 if key == "value" else -1e6)
            for key in ("value", "middle", "worst")
        )
        samples = reader.whole(parts["samples"], f"bounds: {name}: samples", 0, 10**9)
        found[name] = Bound(value, middle, worst, samples, reader.text(parts["unit"], f"bounds: {name}: unit"))
    if not found["brake"].value > 0.0:
        raise reader.fault(node, "bounds: brake: expected a braking above 0 m/s^2; calibrate the robot anew")
    return found


def _hash(reader: Reader, node: yaml.Node, what: str) -> str:
    """A sha256 in hex; one of digits alone would be read as a number, so its tag does not count."""
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise reader.fault(node, f"{what}: expected a sha256 of 64 digits, got {text[:24]!r}; calibrate the robot anew")
    return text


def _date(reader: Reader, node: yaml.Node, what: str) -> datetime:
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        date = None
    if date is None or date.tzinfo is None or date.year not in YEARS:
        raise reader.fault(
            node, f"{what}: expected a date with its zone as 2026-11-22T01:00:00+00:00, got {text[:32]!r}; correct it"
        )
    return date.astimezone(UTC)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:  # numbers and words
    return {name: value if isinstance(value, (str, int)) else float(value) for name, value in values.items()}
