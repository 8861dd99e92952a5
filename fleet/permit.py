"""A robot's permit: what its calibration lets it do, asked at the start and held against calendar and monitors later.

    valid record      full authority; its bounds are watched (`safety.calibration.watch_calibration`)
    none, or no more  what `--uncalibrated` says: drive (simulated robots), creep or shadow
    expired meanwhile creep: by the calendar, or because the monitors found the robot to be another; the record is
                      marked, so that the next start finds it

A record that cannot be read, or a motor whose tracking error nobody measured, is an error: the robot is not started.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fleet.tolerance import check_demand
from hierarchy.motor import FIRMWARE, TrackingBound, check_motor, motor_hash
from safety.calibration import Authority, Calibrated, Exceeded
from sim.errors import MusterError
from sim.robot import RobotSpec

UNCALIBRATED = {"drive": Authority.FULL, "creep": Authority.CREEP, "shadow": Authority.SHADOW}
"""What a robot may do without a valid calibration, by the word of its command line."""

WORDS = {
    Exceeded.BRAKING: "it braked weaker than calibrated",
    Exceeded.LATENCY: "it answered later than calibrated",
    Exceeded.TRACKING: "it strayed further from its commands than calibrated",
}


class PermitError(MusterError):
    """A permit that cannot be asked for."""


@dataclass(frozen=True)
class Permit:
    """What a robot may do."""

    authority: Authority = Authority.FULL
    motor: str = FIRMWARE
    """Hash of the motor that it drives by"""
    calibrated: Calibrated | None = None
    """The bounds to watch; None without a valid calibration"""
    path: Path | None = None
    """The record"""
    until: float = float("inf")
    """When it ends, seconds since 1970"""
    said: str = ""
    """For the log; empty where there is nothing to say"""

    def by(self, now: float) -> Authority:
        """What the calendar leaves at `now`, seconds since 1970."""
        return Authority.FULL if now < self.until else Authority.CREEP

    def expire(self, robot: str, found: Exceeded) -> str:
        """Mark the record as expired; what there is to say about it. A disk that cannot be written does not stop it."""
        from fleet.calibrationfile import expire

        text = f"{WORDS[found]} ({robot}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC)"
        if self.path is not None:
            try:
                expire(self.path, text)
            except MusterError as error:
                return f"{robot} creeps: {text}; its record could not be marked: {error}"
        return f"{robot} creeps: {text}; calibrate it anew (muster calibrate)"


@dataclass(frozen=True)
class Asked:
    """What a command line says of calibrations."""

    path: Path | None = None
    """The record"""
    uncalibrated: Literal["drive", "creep", "shadow"] = "drive"
    coverage: float = 0.999
    """Share of drives that the record must show to keep its bounds"""
    robots: int = 1
    """Robots in the process"""
    unit: str = ""
    """Name of a robot that may be a real one, whose own the record must be; empty for simulated ones"""


def permit_for(asked: Asked, spec: RobotSpec, floor: str, body: str, now: float) -> Permit:
    """The permit of a robot of this specification on this floor (the site's hash) at `now`, seconds since 1970.

    Raises `CalibrationError` and `FileError` for the record, `MotorError` for a motor whose error is not known,
    `PermitError` and `ToleranceError` for what cannot be asked.
    """
    path, uncalibrated = asked.path, asked.uncalibrated
    check_demand(asked.coverage, 0.95)
    if path is not None and asked.robots != 1:
        raise PermitError(
            f"--calibration: expected one robot, whose record it is, got {asked.robots}; host each calibrated robot in "
            "a process of its own"
        )
    left = UNCALIBRATED[uncalibrated]
    if path is None:
        if left is Authority.FULL:
            check_motor(FIRMWARE, spec, body)
            return Permit()
        return Permit(left, motor_hash(spec), said=f"without a calibration: {uncalibrated} only (muster calibrate)")
    from fleet.calibrationfile import faults, read_record

    record = read_record(path)
    found = faults(record, spec, floor, datetime.fromtimestamp(now, UTC), asked.coverage, asked.unit)
    if found:
        if left is Authority.FULL:
            left = Authority.CREEP  # who names a record that does not hold knows of a robot that is none of simulation
        word = {Authority.CREEP: "creep", Authority.SHADOW: "shadow"}[left]
        return Permit(left, motor_hash(spec), said=f"{path} does not hold, {word} only: {'; '.join(found)}")
    motor, (e0, e1) = motor_hash(spec), record.tracking
    check_motor(motor, spec, body, TrackingBound(e0, e1))
    return Permit(
        Authority.FULL, motor, record.watched(), path, record.expires.timestamp(),
        f"calibrated {record.made:%Y-%m-%d}, until {record.expires:%Y-%m-%d}",
    )  # fmt: skip
