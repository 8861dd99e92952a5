"""The small sensors in time: the localised pose, the bumper, the battery's gauge.

Each kernel is one physics step of every row and writes a sample where one is due; each `start_...` begins the masked
rows' episodes.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.battery import BatteryArrays, BatteryNumbers, cell_voltage
from sim.randomization import Term, bell, draw_from, stream
from sim.sampling import Clockwork, Ring, first_slot, open_slot
from sim.sensors import SensorErrors, localise
from sim.sensorspec import BatteryGauge
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

GAUGE_TERM = wp.constant(int(Term.BATTERY_GAUGE))


@wp.func
def keep_place(
    row: int,
    slot: int,
    seed: int,
    episode: int,
    errors: SensorErrors,
    seconds: float,
    pose: wp.array2d(dtype=wp.float32),
    ring: Ring,
) -> None:
    """The pose as localised so many seconds into the episode, by sim/sensors.py's offset, into a slot."""
    offset = localise(seed, row, episode, errors, seconds)
    ring.value[row, slot, 0] = pose[row, 0] + offset[0]
    ring.value[row, slot, 1] = pose[row, 1] + offset[1]
    ring.value[row, slot, 2] = pose[row, 2]


@wp.kernel
def find_place(
    clock: wp.array(dtype=wp.int32),
    clockwork: Clockwork,
    episode: wp.array(dtype=wp.int32),
    errors: SensorErrors,
    dt: float,
    pose: wp.array2d(dtype=wp.float32),
    ring: Ring,
) -> None:
    """The pose (rows, 3) as localised at this physics step."""
    row = wp.tid()
    now = clock[row]
    slot = open_slot(row, now, clockwork, episode[row], ring)
    if slot >= 0:
        keep_place(row, slot, clockwork.seed, episode[row], errors, float(now) * dt, pose, ring)


@wp.kernel
def start_place(
    mask: wp.array(dtype=wp.uint8),
    seed: int,
    episode: wp.array(dtype=wp.int32),
    errors: SensorErrors,
    pose: wp.array2d(dtype=wp.float32),
    ring: Ring,
) -> None:
    """As localised where the robot is put down."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        keep_place(row, first_slot(row, ring), seed, episode[row], errors, 0.0, pose, ring)


@wp.kernel
def press(
    clock: wp.array(dtype=wp.int32),
    clockwork: Clockwork,
    episode: wp.array(dtype=wp.int32),
    touching: wp.array2d(dtype=wp.uint8),
    latched: wp.array(dtype=wp.uint8),
    ring: Ring,
) -> None:
    """The edge of each row: pressed where anything touched it since its last sample. touching (rows, counterparts)."""
    row = wp.tid()
    for k in range(touching.shape[1]):
        if touching[row, k] != wp.uint8(0):
            latched[row] = wp.uint8(1)
    slot = open_slot(row, clock[row], clockwork, episode[row], ring)
    if slot >= 0:
        ring.value[row, slot, 0] = float(latched[row])
    if slot != -1:
        latched[row] = wp.uint8(0)


@wp.kernel
def start_bumper(mask: wp.array(dtype=wp.uint8), latched: wp.array(dtype=wp.uint8), ring: Ring) -> None:
    """Nothing touches a robot that is put down."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        first_slot(row, ring)
        latched[row] = wp.uint8(0)


@wp.struct
class GaugeNumbers:
    """`BatteryGauge` as a kernel reads it."""

    seed: int
    resolution: float
    values: wp.array2d(dtype=wp.float32)
    """What the table of what varies gave to each row's episode, (rows, rows of the table)."""
    start: int
    error: int
    noise: int


def gauge_numbers(sensor: BatteryGauge, seed: int, table: Table, values: wp.array) -> GaugeNumbers:
    """A kernel's numbers. `values` were drawn from the table, (rows, rows of the table)."""
    numbers = GaugeNumbers()
    numbers.seed, numbers.resolution, numbers.values = seed, sensor.resolution, values
    numbers.start, numbers.error = table.index("battery_charge"), table.index("battery_error")
    numbers.noise = table.index("battery_voltage_noise")
    return numbers


@wp.func
def read_gauge(
    row: int, slot: int, episode: int, numbers: GaugeNumbers, pack: BatteryNumbers, batteries: BatteryArrays, ring: Ring
) -> None:
    """State of charge as counted, and the terminals' voltage, into a slot."""
    key = stream(numbers.seed, GAUGE_TERM, row, episode)
    charge = wp.float32(batteries.charge[row])
    said = wp.clamp(charge + numbers.values[row, numbers.error], 0.0, 1.0)
    if numbers.resolution > 0.0:
        said = numbers.resolution * wp.floor(said / numbers.resolution + 0.5)
    ring.value[row, slot, 0] = said
    voltage = pack.cells * cell_voltage(pack.curve, charge) - batteries.current[row] * pack.resistance
    ring.value[row, slot, 1] = voltage + numbers.values[row, numbers.noise] * bell(draw_from(key, ring.ticks[row]))


@wp.kernel
def gauge(
    clock: wp.array(dtype=wp.int32),
    clockwork: Clockwork,
    episode: wp.array(dtype=wp.int32),
    numbers: GaugeNumbers,
    pack: BatteryNumbers,
    batteries: BatteryArrays,
    ring: Ring,
) -> None:
    """What each row's battery management reports."""
    row = wp.tid()
    slot = open_slot(row, clock[row], clockwork, episode[row], ring)
    if slot >= 0:
        read_gauge(row, slot, episode[row], numbers, pack, batteries, ring)


@wp.kernel
def start_battery(
    mask: wp.array(dtype=wp.uint8),
    episode: wp.array(dtype=wp.int32),
    numbers: GaugeNumbers,
    pack: BatteryNumbers,
    batteries: BatteryArrays,
    ring: Ring,
) -> None:
    """A charge for the masked rows' episodes, at rest."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    slot = first_slot(row, ring)
    batteries.charge[row] = wp.float64(numbers.values[row, numbers.start])
    batteries.current[row] = 0.0
    batteries.energy[row] = 0.0
    read_gauge(row, slot, episode[row], numbers, pack, batteries, ring)
