"""From an identification to a specification: what is written where, and which side of a range is the safe one.

A bound that the shield relies on takes the side of its range on which the robot is worse than thought: acceleration
its upper end, braking its lower, latency and lag their upper ends. A true wheel radius or track goes beside what the
firmware goes on believing. What could not be identified stays as it was.
"""

from __future__ import annotations

import math
from dataclasses import replace

from sim.drive import BRAKE_SHARE
from sim.robot import RobotSpec
from sim.specfile import Range, SpecFile
from sim.sysid import UNITS, Estimate, Fit
from sim.varied import SERVO_RESERVE

QUANTITIES = {"traction": "friction", "lag": "motor_lag", "latency": "command_latency"}
"""Parameters that the randomization knows by another name."""


def refit(spec: RobotSpec, fit: Fit, name: str) -> SpecFile:
    """The specification of the robot that was recorded, with the ranges over its recordings."""
    found = {estimate.name: estimate for estimate in fit.estimates if estimate.identifiable}
    drive, sources = spec.diff, {}

    def source(estimate: Estimate) -> str:
        return (
            f"measured: muster validate-sim, {fit.seconds:.0f} s of {len(fit.recordings)} recordings, "
            f"standard error {estimate.error:.2g} {estimate_unit(estimate.name)}".rstrip()
        )

    for parameter, field in (("wheel_radius", "wheel_radius"), ("track", "track")):
        if parameter in found:
            believed = {f"firmware_{field}": getattr(drive, f"believed_{field}")}
            drive = replace(drive, **{field: found[parameter].value}, **believed)
            sources[f"drive.{field}"] = source(found[parameter])
            sources[f"drive.firmware_{field}"] = f"measured: what {spec.name} took for the {field} when recorded"
    for parameter, field, value in (
        ("accel", "accel_max", lambda e: e.high),
        ("brake", "brake_min", lambda e: e.low / BRAKE_SHARE),
        ("turn_accel", "turn_accel_max", lambda e: e.value),
    ):
        if parameter in found:
            drive = replace(drive, **{field: value(found[parameter])})
            sources[f"drive.{field}"] = source(found[parameter])
    spec = replace(spec, name=name, drive=drive)
    if "mass" in found:
        spec = replace(spec, mass=found["mass"].value)
        sources["mass"] = source(found["mass"])
    late = [found[parameter] for parameter in ("lag", "latency") if parameter in found]
    if late:
        bound = sum(estimate.high for estimate in late) + SERVO_RESERVE
        spec = replace(spec, latency_bound=math.ceil(bound * 1000.0) / 1000.0)
        sources["latency_bound"] = source(max(late, key=lambda estimate: estimate.error))
    ranges = {
        QUANTITIES.get(parameter, parameter): Range(
            float(estimate.low), float(estimate.high), UNITS[parameter], source(estimate)
        )
        for parameter, estimate in found.items()
    }
    low, high = fit.odometry_scale
    ranges["odometry_scale"] = Range(low, high, "1", f"measured: muster validate-sim, {fit.seconds:.0f} s of driving")
    return SpecFile(spec, ranges, sources)


def estimate_unit(name: str) -> str:
    """The unit of a parameter, empty where it has none."""
    return "" if UNITS[name] == "1" else UNITS[name]
