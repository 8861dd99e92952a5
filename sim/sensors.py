"""What a robot is told about itself: localisation and odometry with bounded errors.

Localisation: the true pose plus an offset that circles slowly, p = p_true + a (cos(phi + r t), sin(phi + r t)), with
the amplitude a drawn for the episode and never beyond the specification's bound: what a scan matcher does along an
aisle. The yaw is exact. Odometry: a scale error drawn for the episode and bounded white noise. The lidar's noise and
dropout are part of its sweep (sim/lidar.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.randomization import Term, bell, draw_from, stream, unit
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

LOCALISATION_RATE = wp.constant(0.5)
"""How fast the localisation offset circles, rad/s."""

LOCALISATION_TERM = wp.constant(int(Term.LOCALISATION))
ODOMETRY_TERM = wp.constant(int(Term.ODOMETRY))


@wp.struct
class SensorErrors:
    """How large each error is in each row's episode: the table's values (sim/vary.py), and which is which."""

    values: wp.array2d(dtype=wp.float32)
    """(rows, rows of the table)"""
    localisation: int
    """Amplitude, m."""
    odometry_scale: int
    odometry_noise: int
    """Standard deviation, m/s and rad/s."""
    lidar_noise: int
    """Standard deviation, m."""
    lidar_dropout: int
    """Share of the rays."""


def sensor_errors(table: Table, values: wp.array) -> SensorErrors:
    """The errors of rows whose values were drawn from a table, (rows, rows of the table)."""
    errors = SensorErrors()
    errors.values = values
    for name in ("localisation", "odometry_scale", "odometry_noise", "lidar_noise", "lidar_dropout"):
        setattr(errors, name, table.index(name))
    return errors


def no_errors(rows: int, device: str) -> SensorErrors:
    """A sensor without errors."""
    errors = SensorErrors()
    errors.values = wp.zeros((rows, 1), dtype=wp.float32, device=device)
    return errors


@wp.func
def localise(seed: int, row: int, episode: int, errors: SensorErrors, time: float) -> wp.vec2:
    """What localisation adds to a row's place `time` s into its episode; never longer than its amplitude, m."""
    key = stream(seed, LOCALISATION_TERM, row, episode)
    amplitude = errors.values[row, errors.localisation]
    angle = 2.0 * wp.pi * unit(draw_from(key, 1)) + LOCALISATION_RATE * time
    return wp.vec2(amplitude * wp.cos(angle), amplitude * wp.sin(angle))


@wp.kernel
def measure(
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    errors: SensorErrors,
    period: float,
    seed: int,
    episode: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    measured_pose: wp.array2d(dtype=wp.float32),
    measured_twist: wp.array2d(dtype=wp.float32),
) -> None:
    """Readings of each masked row, pose (rows, 3) and twist (rows, 2)."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    key = stream(seed, LOCALISATION_TERM, row, episode[row])
    amplitude = errors.values[row, errors.localisation]
    angle = 2.0 * wp.pi * unit(draw_from(key, 1)) + LOCALISATION_RATE * period * float(step[row])
    measured_pose[row, 0] = pose[row, 0] + amplitude * wp.cos(angle)
    measured_pose[row, 1] = pose[row, 1] + amplitude * wp.sin(angle)
    measured_pose[row, 2] = pose[row, 2]
    key = stream(seed, ODOMETRY_TERM, row, episode[row])
    scale = 1.0 + errors.values[row, errors.odometry_scale]
    noise = errors.values[row, errors.odometry_noise]
    for k in range(2):
        error = noise * bell(draw_from(key, 1 + 2 * step[row] + k))
        measured_twist[row, k] = twist[row, k] * scale + error
