"""A calibration record as a course of 99.9 % leaves it, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleet.beams import Beams
from fleet.bounds import Bound
from fleet.calibrationfile import Record
from sim.robot import DiffDrive, RobotSpec

SPEC = RobotSpec(name="depot7", drive=DiffDrive(brake_min=1.3, accel_max=1.1), tracking_e0=0.02, tracking_e1=0.05)
FLOOR = "a" * 64
MADE = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)


def record(**changes: object) -> Record:
    whole = Record(
        robot=SPEC.name,
        embodiment=SPEC.embodiment_hash(),
        site="hall:10",
        floor=FLOOR,
        made=MADE,
        expires=MADE + timedelta(days=90),
        coverage=0.999,
        confidence=0.95,
        runs={"raised": 30, "fit": 616, "verified": 3688, "attempt": 1, "broken": 2},
        seconds=18_000.0,
        bounds={
            "brake": Bound(1.56, 1.8, 1.64, 700, "m/s^2"),
            "latency": Bound(0.08, 0.06, 0.07, 700, "s"),
            "age": Bound(0.07, 0.07, 0.07, 4_000, "s"),
        },
        tracking=(SPEC.tracking_e0, SPEC.tracking_e1),
        odometry=(1.01, 0.99),
        gain=(1.02, 0.97),
        beams=Beams(360, 13, 0.011, 0.009),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]
