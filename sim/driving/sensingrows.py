"""The rows of the table of what varies (sim/vary.py) that a car's sensors bring: noise, misses, latency, faults.

A row's range ends where the configuration says, which is what `sim.driving.sensing.bounds` promises, and no change may
lead beyond it. A fault is four rows: whether the episode has it, when it begins, how long it lasts, how bad it is. A
lidar brings its noise and dropout under the warehouse's names, and its own faults.
"""

from __future__ import annotations

from sim.driving.sensing import LARGEST, SOURCES, RoadSensors
from sim.fields import Recompute
from sim.randomization import Term
from sim.robot import RobotSpec
from sim.vary import Row

NOISES = (
    "objects.range_noise", "objects.bearing_noise", "objects.speed_noise", "objects.yaw_noise", "objects.accel_noise",
    "gnss.bias", "gnss.noise", "odometer.scale", "odometer.speed_noise", "odometer.heading", "odometer.heading_noise",
    "odometer.accel_noise", "odometer.curvature_noise", "odometer.turn_noise", "lane.offset", "lane.offset_noise",
    "lane.heading", "lane.heading_noise", "lane.curvature", "lane.curvature_noise",
)  # fmt: skip
"""Errors by number: each is drawn for the episode from half of it to all of it."""

OTHERS = ("latency", "miss", "outage")
"""The rows behind those of the noises."""

FAULT_COUNTER = 64
"""First counter of the faults' draws."""

SECTOR_COUNTER = FAULT_COUNTER - 1
"""Of the direction of the sector that the lidar loses, which only its kernel draws."""

UNITS = {"list_stale": "s", "ghost": "m", "lane_bias": "m", "gnss_jump": "m", "lidar_sector": "rad", "lidar_bias": "m"}
"""Of the sizes of faults; the others are shares, or have none."""

OFF = "own choice: a fault that a test or a campaign switches on"


def row_name(noise: str) -> str:
    """The row of an error: `objects.range_noise` is `sensed_objects_range_noise`."""
    return "sensed_" + noise.replace(".", "_")


def road_sensor_rows(sensors: RoadSensors, spec: RobotSpec, level: float = 1.0) -> tuple[Row, ...]:
    """The rows of a car's sensors, one behind the other; `level` shrinks errors and misses, 0 switches them off."""
    rows = [
        _row(row_name(name), k, (0.5 * level * value, level * value), "SI", SOURCES[name], most=value, nominal=0.0)
        for k, (name, value) in enumerate((name, _value(sensors, name)) for name in NOISES)
    ]  # fmt: skip
    k, objects, outage = len(NOISES), sensors.objects, sensors.gnss.outage
    late = _row("sensed_latency", k, objects.latency, "s", SOURCES["objects.latency"], most=objects.latency[1])
    rows += [
        late,
        _row("sensed_miss", k + 1, (level * objects.miss[0], level * objects.miss[1]), "of the objects in a list",
             SOURCES["objects.miss"], most=0.9, nominal=0.0),
        _row("sensed_outage", k + 2, (level * outage[0], level * outage[1]), "of the stretches of time",
             "own choice: a bridge or a gantry every 20 s of some drives", most=outage[1], nominal=0.0),
    ]  # fmt: skip
    if sensors.lidar:
        for term, name, unit in (
            (Term.LIDAR_NOISE, "noise", "m"), (Term.LIDAR_DROPOUT, "dropout", "of the rays")
        ):  # fmt: skip
            value = level * getattr(spec.lidar, name)
            rows.append(
                Row(
                    term, f"lidar_{name}", "uniform", value, value, unit, "", Recompute.NONE,
                    f"specification: lidar.{name}", bounds=(0.0, 1.0), nominal=0.0,
                )
            )  # fmt: skip
    for number, name in enumerate(sensors.breakable):
        fault, counter = getattr(sensors.faults, name), FAULT_COUNTER + 4 * number
        chance = Row(
            Term.ROAD_SENSING, f"fault_{name}", "bernoulli", fault.chance, fault.chance, "1", "", Recompute.NONE,
            OFF, bounds=(0.0, 1.0), nominal=0.0, counter=counter,
        )  # fmt: skip
        rows += [
            chance,
            _row(f"fault_{name}_onset", counter + 1, fault.onset, "s", OFF, most=1e4),
            _row(f"fault_{name}_duration", counter + 2, fault.duration, "s", OFF, most=1e4),
            _row(f"fault_{name}_size", counter + 3, fault.size, UNITS.get(name, ""), OFF, most=LARGEST.get(name, 0.0)),
        ]
    return tuple(rows)


def _value(sensors: RoadSensors, name: str) -> float:
    part, _, field = name.partition(".")
    return float(getattr(getattr(sensors, part), field))


def _row(
    name: str,
    counter: int,
    ends: tuple[float, float],
    unit: str,
    source: str,
    *,
    most: float,
    nominal: float | None = None,
) -> Row:
    return Row(
        Term.ROAD_SENSING, name, "uniform", *ends, unit, "", Recompute.NONE, source, bounds=(0.0, most),
        nominal=nominal, counter=counter,
    )  # fmt: skip
