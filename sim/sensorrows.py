"""The rows of the table of what varies (sim/vary.py) that sensors in time bring: latencies, errors, faults.

They stand in a table only for sensors that are asked for (`Sensors`), with the ranges of their configurations, and can
be changed by name as any row: `vary(lidar_latency=(0.02, 0.08), lidar_ghosts=(0.0, 0.02))`. A latency, a ghost's
chance, a wheel's scale is a value of the robot's episode; what is drawn for each sample or axis (noise, the axes of a
bias) is drawn by the sensor's kernel, as large as the row says. Noise and dropout of a range, and the amplitude of
localisation, are rows of every plant (sim/varied.py) and are those here too.
"""

from __future__ import annotations

from sim.fields import Recompute
from sim.randomization import Term
from sim.sensorspec import LATENCY_MAX, NAMES, SOURCES, Sensors
from sim.vary import Row

FAULTS = 16
"""First counter behind those of latencies, of which there is room for one each sensor."""


def sensor_rows(sensors: Sensors, level: float = 1.0) -> tuple[Row, ...]:
    """The rows of the sensors that there are; `level` shrinks errors and faults, 0 switches them off, never latencies.

    A latency's row may not leave what its ring has room for, which is the larger of its range's end and the
    configuration's latency when the suite is made.
    """
    rows = [
        _row(f"{name}_latency", NAMES.index(name), (timing.latency, timing.latency), "s", f"{name}.timing.latency",
             most=LATENCY_MAX - timing.jitter)
        for name, timing in sensors.timings().items()
    ]  # fmt: skip
    if sensors.lidar:
        ghosts, width = sensors.lidar.ghosts, sensors.lidar.blocked_width
        share, blocked = level * sensors.lidar.noise_share, level * sensors.lidar.blocked_share
        rows += [
            _row("lidar_noise_share", FAULTS, (share, share), "m each m", "lidar.noise_share", most=0.5),
            _row("lidar_ghosts", FAULTS + 1, (level * ghosts[0], level * ghosts[1]), "of the rays", "lidar.ghosts"),
            _row("lidar_blocked", FAULTS + 2, (blocked, blocked), "1", "lidar.blocked_share", kind="bernoulli"),
            _row("lidar_blocked_width", FAULTS + 3, width, "rad", "lidar.blocked_width", most=6.2832),
            _row("lidar_blocked_angle", FAULTS + 4, (-3.1416, 3.1416), "rad in B", "lidar.blocked_share",
                 least=-3.1416, most=3.1416),
        ]  # fmt: skip
    if sensors.odometry:
        scale, walk = level * sensors.odometry.scale, level * sensors.odometry.walk
        sides = enumerate(("left", "right"))
        rows += [
            _row(f"encoder_{side}", FAULTS + 8 + k, (-scale, scale), "1", "odometry.scale", least=-0.5, most=0.5)
            for k, side in sides
        ]
        rows.append(_row("encoder_walk", FAULTS + 10, (walk, walk), "m at 1 m", "odometry.walk"))
    if sensors.imu:
        for number, (kind, unit) in enumerate((("accel", "m/s^2"), ("gyro", "rad/s"))):
            for error, per in (("noise", "/sqrt(Hz)"), ("bias", ""), ("walk", "/sqrt(s)")):
                value = level * getattr(sensors.imu, f"{kind}_{error}")
                counter = FAULTS + 16 + 3 * number + ("noise", "bias", "walk").index(error)
                rows.append(_row(f"imu_{kind}_{error}", counter, (value, value), unit + per, f"imu.{kind}_{error}"))
    if sensors.battery:
        gauge = sensors.battery
        error, noise = level * gauge.error, level * gauge.voltage_noise
        rows += [
            _row("battery_charge", FAULTS + 24, gauge.start, "1", "battery.start"),
            _row("battery_error", FAULTS + 25, (-error, error), "1", "battery.error", least=-1.0),
            _row("battery_voltage_noise", FAULTS + 26, (noise, noise), "V", "battery.voltage_noise", most=10.0),
        ]
    return tuple(rows)


def _row(
    name: str, counter: int, ends: tuple[float, float], unit: str, source: str, *, least: float = 0.0,
    most: float = 1.0, kind: str = "uniform",
) -> Row:  # fmt: skip
    return Row(
        Term.SENSOR_FAULT,
        name,
        "bernoulli" if kind == "bernoulli" else "uniform",
        *ends,
        unit,
        "",
        Recompute.NONE,
        SOURCES[source],
        bounds=(least, most),
        nominal=None if name.endswith(("_latency", "_charge", "_width", "_angle")) else 0.0,
        counter=counter,
    )
