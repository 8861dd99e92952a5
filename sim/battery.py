"""Energy of a robot: what driving and electronics take out of its battery, and what a charger puts back.

Demand at the terminals, W, of a differential drive of mass m, yaw inertia J and track b at v, w:

    P = P_idle + max(P_roll + dE/dt, 0) / eta
    P_roll = c m g (|v - w b/2| + |v + w b/2|) / 2            each side carries half of the weight
    E = (m v^2 + J w^2) / 2                                   braking heats the brakes: nothing is won back

The pack is an open-circuit voltage U(s) over the state of charge s with a resistance R (an Rint model: He, Xiong and
Fan, Energies 4(4), 2011). Discharging, P = (U - I R) I; charging at a station, constant current until the terminals
reach the end voltage, then constant voltage, so that the current falls (CC/CV). The charger feeds the electronics too.

    I = (U - sqrt(U^2 - 4 R P)) / 2 R        at most U / 2 R, beyond which no more power comes out
    I = -min(I_cc, (U_cv - U) / R)           at a charger
    ds/dt = -I / Q

Not modelled: temperature, ageing, self-discharge, wheel slip. One Warp kernel over rows serves the plant of a fleet
and training alike.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import warp as wp

from sim.bodies.parts import GRAVITY
from sim.errors import MusterError
from sim.robot import RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CURVE = (
    (0.0, 2.80), (0.05, 3.10), (0.10, 3.20), (0.20, 3.25), (0.40, 3.29), (0.60, 3.30), (0.80, 3.33), (0.95, 3.36),
    (1.0, 3.50),
)  # fmt: skip
"""Open-circuit voltage of one lithium iron phosphate cell over the state of charge, V: from 5 to 95 % within 0.05 V of
what the measured half cells of a published cell give ([BPX] of sim/sources.py; tests/sim/test_battery.py)."""

POINTS = wp.constant(len(CURVE))


class BatteryError(MusterError):
    """A battery that cannot be."""


@dataclass(frozen=True)
class Battery:
    """A pack, its charger and what the robot takes. Defaults: the small AMR."""

    capacity: float = 20.0
    """Q, Ah: 1 kWh."""
    cells: int = 16
    """In series: a 48 V pack."""
    resistance: float = 0.08
    """R, ohm, polarisation, leads and protection included."""
    charge_current: float = 20.0
    """I_cc, A: 1C."""
    charge_voltage: float = 56.0
    """U_cv, V: 3.50 V a cell, below the 3.65 V of data sheets, so that the pack lives long."""
    idle: float = 60.0
    """P_idle, W: computer, lidars, safety controller, radio."""
    rolling: float = 0.02
    """c: of polyurethane on concrete."""
    efficiency: float = 0.70
    """eta, from the terminals to the floor: controller, motor and gears."""


def truck_battery() -> Battery:
    """For a forklift-like AMR of 0.75 t."""
    return Battery(capacity=200.0, resistance=0.008, charge_current=100.0, idle=150.0)


SOURCES: Mapping[str, str] = {
    "capacity": "datasheet: as [MP500]'s 24 V and 50 Ah, 1.2 kWh, for a smaller robot: 1.0 kWh",
    "cells": "datasheet: [CSP6400] 16 in series",
    "resistance": "datasheet: 16 times a fifth of [LFP cell]'s 18 mohm, and [LFP board]'s 20 mohm: 0.078 ohm",
    "charge_current": "datasheet: [LFP cell] 1C at most, as [CSP6400]",
    "charge_voltage": "datasheet: under [LFP cell]'s 3.65 V: 3.50 V for each of 16",
    "idle": "measured: a shift of 12 to 14 h at 0.8 m/s on 1 kWh (tests/sim/test_battery.py)",
    "rolling": "datasheet: [AGV drives] between 0.015 on smooth and 0.025 on rough concrete",
    "efficiency": "norm: [IEC 60034-30] 0.825 of an IE3 motor times 0.88 of gears ([AGV drives]), less the controller",
}
"""Where each number of the small robot's pack comes from, as sim/sources.py takes sources."""

TRUCK_SOURCES: Mapping[str, str] = {
    **SOURCES,
    "capacity": "measured: a shift of 8 h at 1 m/s with half a tonne leaves 10 % and more (tests/sim/test_battery.py)",
    "resistance": "datasheet: ten times the small pack's cells and boards side by side ([LFP cell], [LFP board])",
    "charge_current": "datasheet: [LFP cell] 0.5C, its standard charge",
    "idle": "measured: with it the truck lasts that shift of 8 h (tests/sim/test_battery.py)",
}
"""The same of the truck's."""


@wp.struct
class BatteryNumbers:
    """`Battery` and a robot's body as a kernel takes them."""

    charge: float
    """Q, A s."""
    cells: float
    resistance: float
    charge_current: float
    charge_voltage: float
    idle: float
    rolling: float
    efficiency: float
    half_track: float
    mass: float
    inertia: float
    curve: wp.array2d(dtype=wp.float32)
    """CURVE, (points, 2)."""


@wp.struct
class BatteryArrays:
    """The batteries of many rows."""

    charge: wp.array(dtype=wp.float64)
    """State of charge, 0 to 1; (rows,). A step of 0.1 s takes 2e-6 of it, which float32 would round by a fiftieth."""
    current: wp.array(dtype=wp.float32)
    """Out of the pack, A; negative while it charges; (rows,)."""
    energy: wp.array(dtype=wp.float32)
    """Kinetic energy for each kg at the step before, J/kg or m^2/s^2; (rows,)."""


def battery_numbers(battery: Battery, spec: RobotSpec, device: str) -> BatteryNumbers:
    """A kernel's numbers. Raises `BatteryError` for a battery that cannot be, naming the field."""
    full = CURVE[-1][1] * battery.cells
    for name, value, good in (
        ("capacity", battery.capacity, battery.capacity > 0.0),
        ("cells", battery.cells, battery.cells >= 1),
        ("resistance", battery.resistance, battery.resistance > 0.0),
        ("charge_current", battery.charge_current, battery.charge_current > 0.0),
        ("charge_voltage", battery.charge_voltage, battery.charge_voltage >= full),
        ("idle", battery.idle, battery.idle >= 0.0),
        ("rolling", battery.rolling, battery.rolling >= 0.0),
        ("efficiency", battery.efficiency, 0.0 < battery.efficiency <= 1.0),
    ):
        if not good:
            least = f"at least {full:g} V, the voltage of a full pack" if name == "charge_voltage" else "above 0"
            limit = "above 0 and at most 1" if name == "efficiency" else least
            raise BatteryError(f"battery's {name}: expected {limit}, got {value:g}; correct it")
    numbers = BatteryNumbers()
    for name, value in (
        ("charge", battery.capacity * 3600.0),
        ("half_track", spec.diff.track / 2.0),
        ("mass", spec.mass),
        ("inertia", spec.mass * (spec.length**2 + spec.width**2) / 12.0),
        *((name, getattr(battery, name)) for name in (
            "cells", "resistance", "charge_current", "charge_voltage", "idle", "rolling", "efficiency",
        )),
    ):  # fmt: skip
        setattr(numbers, name, float(value))
    numbers.curve = wp.array(CURVE, dtype=wp.float32, device=device)
    return numbers


def make_batteries(rows: int, device: str) -> BatteryArrays:
    """Full batteries of robots at rest."""
    arrays = BatteryArrays()
    arrays.charge = wp.full(rows, 1.0, dtype=wp.float64, device=device)
    arrays.current = wp.zeros(rows, dtype=wp.float32, device=device)
    arrays.energy = wp.zeros(rows, dtype=wp.float32, device=device)
    return arrays


@wp.func
def cell_voltage(curve: wp.array2d(dtype=wp.float32), share: float) -> float:
    """U of one cell: straight between the points of the curve."""
    found = curve[POINTS - 1, 1]
    for k in range(POINTS - 1):
        low = curve[POINTS - 2 - k, 0]
        high = curve[POINTS - 1 - k, 0]
        if share <= high:
            along = wp.max(share - low, 0.0) / (high - low)
            found = curve[POINTS - 2 - k, 1] + along * (curve[POINTS - 1 - k, 1] - curve[POINTS - 2 - k, 1])
    return found


STANDING = wp.constant(0.02)
"""m/s and rad/s; a robot that is slower stands (the project's definition of a collision)."""


@wp.kernel
def plug_in(
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    chargers: wp.array2d(dtype=wp.float32),
    half: float,
    charging: wp.array(dtype=wp.uint8),
) -> None:
    """Who stands in a charger's cell charges: pose, twist (rows, 3), chargers (n, 2) in W, `half` a cell, m."""
    row = wp.tid()
    charging[row] = wp.uint8(0)
    if wp.abs(twist[row, 0]) < STANDING and wp.abs(twist[row, 1]) < STANDING:
        for k in range(chargers.shape[0]):
            if wp.max(wp.abs(pose[row, 0] - chargers[k, 0]), wp.abs(pose[row, 1] - chargers[k, 1])) < half:
                charging[row] = wp.uint8(1)


@wp.kernel
def run_batteries(
    numbers: BatteryNumbers,
    twist: wp.array2d(dtype=wp.float32),
    payload: wp.array(dtype=wp.float32),
    charging: wp.array(dtype=wp.uint8),
    seconds: float,
    batteries: BatteryArrays,
) -> None:
    """A step of `seconds` of every row's battery. twist (rows, 3), payload (rows,) kg, charging (rows,) at a charger.

    The twist is that at the step's end, the one of the step before is remembered as energy. A payload counts as if it
    stood on the axle: its own turning is left out.
    """
    row = wp.tid()
    v = twist[row, 0]
    w = twist[row, 1]
    share = wp.float32(batteries.charge[row])
    voltage = numbers.cells * cell_voltage(numbers.curve, share)
    mass = numbers.mass + payload[row]
    energy = 0.5 * (v * v + numbers.inertia / numbers.mass * w * w)
    turn = w * numbers.half_track
    rolling = numbers.rolling * mass * wp.static(float(GRAVITY)) * 0.5 * (wp.abs(v - turn) + wp.abs(v + turn))
    motion = rolling + mass * (energy - batteries.energy[row]) / seconds
    power = numbers.idle + wp.max(motion, 0.0) / numbers.efficiency
    room = wp.max(voltage * voltage - 4.0 * numbers.resistance * power, 0.0)
    current = (voltage - wp.sqrt(room)) / (2.0 * numbers.resistance)
    if charging[row] != wp.uint8(0):
        current = -wp.min(numbers.charge_current, (numbers.charge_voltage - voltage) / numbers.resistance)
    batteries.energy[row] = energy
    batteries.current[row] = current
    left = batteries.charge[row] - wp.float64(current * seconds / numbers.charge)
    batteries.charge[row] = wp.clamp(left, wp.float64(0.0), wp.float64(1.0))
