"""Rings of samples at physics resolution: when a sensor looks, when its answer arrives, and how old what is held is.

Each sensor has a ring of samples for each row. At every physics step (`clock` counts them since the episode's begin) a
sensor's kernel asks `open_slot` whether it looks now; if so it writes its numbers there, with the stamp of this step
and the step from which they can be read:

    looks at n    <=>  floor((n dt - phase) / period) > floor(((n - 1) dt - phase) / period),  at each n without a rate
    arrives at    ceil((n dt + latency + jitter u) / dt)

`deliver` copies the newest sample that has arrived, and its age; between two arrivals that is the same one. A ring has
as many slots as samples can be under way, and two more, so that what is held is never written over.

An episode begins (`first_slot`) with one sample of the state in which the robot is put down. It stands for all ticks
up to that moment, as if the robot had stood there before, so that its age goes on as that of any other (`stamp_of`).
All of this is int64 nanoseconds and int32 steps, and every draw is keyed by (row, episode, tick): it does not depend on
what else runs. Nothing is allocated or read back after `make_ring`.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math

import warp as wp

from sim.randomization import Term, draw_from, stream, unit
from sim.robot import SECOND
from sim.sensorspec import NAMES, Timing
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

NEVER = wp.constant(2**31 - 1)
"""Step at which an empty slot arrives."""

BEFORE = wp.constant(-(2**30))
"""Stamp of the sample that stands for all ticks before an episode."""

TIMING_TERM = wp.constant(int(Term.SENSOR_TIMING))
PHASE_TERM = wp.constant(int(Term.SENSOR_PHASE))


@wp.struct
class Clockwork:
    """`Timing` as kernels read it."""

    number: int
    """Of the sensor, which its draws are keyed by."""
    seed: int
    step: wp.int64
    """Physics step, ns."""
    period: wp.int64
    """ns; at least a step."""
    values: wp.array2d(dtype=wp.float32)
    """What the table of what varies gave to each row's episode, (rows, rows of the table)."""
    latency: int
    """Which of them is the latency, s."""
    jitter: wp.int64
    hold: float
    phase: wp.int64
    """ns; negative: drawn."""


@wp.struct
class Ring:
    """Samples of one sensor; every array has rows first."""

    value: wp.array3d(dtype=wp.float32)
    """(rows, slots, numbers)"""
    stamp: wp.array2d(dtype=wp.int32)
    """Physics step of the look, (rows, slots); BEFORE for the sample that an episode begins with."""
    due: wp.array2d(dtype=wp.int32)
    """Physics step from which it can be read, (rows, slots)."""
    head: wp.array(dtype=wp.int32)
    """Slot that is written next, (rows,)."""
    ticks: wp.array(dtype=wp.int32)
    """Ticks of the episode, lost ones too, (rows,)."""


def make_clockwork(name: str, timing: Timing, timestep: float, seed: int, table: Table, values: wp.array) -> Clockwork:
    """The timing of a sensor (of `sim.sensorspec.NAMES`) on physics of `timestep` s; latencies are of the table."""
    clockwork = Clockwork()
    clockwork.number, clockwork.seed = NAMES.index(name), seed
    clockwork.values, clockwork.latency = values, table.index(f"{name}_latency")
    step = round(timestep * SECOND)
    clockwork.step = step
    clockwork.period = max(round(SECOND / timing.rate), step) if timing.rate > 0.0 else step
    clockwork.jitter = round(timing.jitter * SECOND)
    clockwork.hold = timing.hold
    on_grid = timing.rate == 0.0  # every step, whatever the phase
    clockwork.phase = 0 if on_grid else -1 if timing.phase is None else round(timing.phase * SECOND)
    return clockwork


def slots_for(timing: Timing, latency: float, timestep: float) -> int:
    """Samples that can be under way at once, and two more: the one that is held and the one that is written.

    `latency` is the longest of all episodes, s.
    """
    period = max(1.0 / timing.rate, timestep) if timing.rate > 0.0 else timestep
    return math.ceil((latency + timing.jitter + timestep) / period) + 2


def make_ring(rows: int, slots: int, numbers: int, device: str) -> Ring:
    """Nothing sampled yet."""
    ring = Ring()
    ring.value = wp.zeros((rows, slots, numbers), dtype=wp.float32, device=device)
    ring.stamp = wp.zeros((rows, slots), dtype=wp.int32, device=device)
    ring.due = wp.full((rows, slots), 2**31 - 1, dtype=wp.int32, device=device)
    ring.head = wp.zeros(rows, dtype=wp.int32, device=device)
    ring.ticks = wp.zeros(rows, dtype=wp.int32, device=device)
    return ring


@wp.func
def steps_late(clockwork: Clockwork, wait: wp.int64) -> int:
    """Physics steps until something that takes `wait` ns is there."""
    return int((wait + clockwork.step - wp.int64(1)) / clockwork.step)


@wp.func
def latency_of(row: int, clockwork: Clockwork) -> wp.int64:
    """The latency of a row's episode, ns, to the microsecond: float32 seconds say no more."""
    return wp.int64(wp.round(wp.float64(clockwork.values[row, clockwork.latency]) * wp.float64(1.0e6))) * wp.int64(1000)


@wp.func
def ticks_until(time: wp.int64, phase: wp.int64, period: wp.int64) -> wp.int64:
    """How many ticks lie at or before a time."""
    if time < phase:
        return wp.int64(0)
    return (time - phase) / period + wp.int64(1)


@wp.func
def phase_of(row: int, clockwork: Clockwork, episode: int) -> wp.int64:
    """When the sensor's first tick is, ns after the episode's begin."""
    if clockwork.phase >= wp.int64(0):
        return clockwork.phase
    key = stream(clockwork.seed, PHASE_TERM, row, episode)
    return wp.int64(unit(draw_from(key, clockwork.number)) * float(clockwork.period))


@wp.func
def looks(row: int, now: int, clockwork: Clockwork, episode: int) -> bool:
    """Whether the sensor looks at physics step `now`, 1 and later."""
    phase = phase_of(row, clockwork, episode)
    time = wp.int64(now) * clockwork.step
    before = ticks_until(time - clockwork.step, phase, clockwork.period)
    return ticks_until(time, phase, clockwork.period) > before


@wp.func
def open_slot(row: int, now: int, clockwork: Clockwork, episode: int, ring: Ring) -> int:
    """The slot to write if the sensor looks at physics step `now`; -1 if it does not, -2 if this sample is lost."""
    if not looks(row, now, clockwork, episode):
        return -1
    tick = ring.ticks[row]
    ring.ticks[row] = tick + 1
    key = stream(clockwork.seed, TIMING_TERM, row, episode)
    counter = (tick * 16 + clockwork.number) * 2
    if clockwork.hold > 0.0 and unit(draw_from(key, counter)) < clockwork.hold:
        return -2
    wait = latency_of(row, clockwork)
    if clockwork.jitter > wp.int64(0):
        wait += wp.int64(unit(draw_from(key, counter + 1)) * float(clockwork.jitter))
    slot = ring.head[row]
    ring.head[row] = (slot + 1) % ring.stamp.shape[1]
    ring.stamp[row, slot] = now
    ring.due[row, slot] = now + steps_late(clockwork, wait)
    return slot


@wp.func
def first_slot(row: int, ring: Ring) -> int:
    """Empty the ring of a row whose episode begins; the slot of the sample that it begins with."""
    for slot in range(ring.stamp.shape[1]):
        ring.due[row, slot] = NEVER
        ring.stamp[row, slot] = 0
        for k in range(ring.value.shape[2]):
            ring.value[row, slot, k] = 0.0
    ring.stamp[row, 0] = BEFORE
    ring.due[row, 0] = 0
    ring.head[row] = 1
    ring.ticks[row] = 1
    return 0


@wp.func
def held_slot(row: int, now: int, ring: Ring) -> int:
    """The slot of the newest sample that has arrived at physics step `now`."""
    found = wp.int32(0)
    newest = wp.int32(-NEVER)
    for slot in range(ring.stamp.shape[1]):
        if ring.due[row, slot] <= now and ring.stamp[row, slot] > newest:
            newest = ring.stamp[row, slot]
            found = slot
    return found


@wp.func
def stamp_of(row: int, now: int, slot: int, clockwork: Clockwork, episode: int, ring: Ring) -> int:
    """The physics step that a slot's sample is of; of the first one the newest tick that can have arrived by now."""
    stamp = ring.stamp[row, slot]
    if stamp != BEFORE:
        return stamp
    newest = wp.min(now - steps_late(clockwork, latency_of(row, clockwork)), 0)
    after = phase_of(row, clockwork, episode) - wp.int64(newest) * clockwork.step  # to the first tick, ns
    back = (after + clockwork.period - wp.int64(1)) / clockwork.period * clockwork.period - after
    return newest - int(back / clockwork.step)  # the tick is `back` ns earlier; its look at the next step


@wp.kernel
def count_steps(clock: wp.array(dtype=wp.int32)) -> None:
    """One physics step on; clock (rows,)."""
    row = wp.tid()
    clock[row] = clock[row] + 1


@wp.kernel
def restart_clocks(mask: wp.array(dtype=wp.uint8), clock: wp.array(dtype=wp.int32)) -> None:
    """The masked rows' episodes begin."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        clock[row] = 0


@wp.kernel
def deliver(
    ring: Ring,
    clockwork: Clockwork,
    clock: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    out: wp.array2d(dtype=wp.float32),
    age: wp.array2d(dtype=wp.float32),
) -> None:
    """What each masked row holds: its first numbers into out (rows, numbers), its age into age (rows, sensors), s."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    now = clock[row]
    slot = held_slot(row, now, ring)
    for k in range(out.shape[1]):
        out[row, k] = ring.value[row, slot, k]
    steps = now - stamp_of(row, now, slot, clockwork, episode[row], ring)
    age[row, clockwork.number] = float(steps) * (float(clockwork.step) * 1.0e-9)


@wp.kernel
def find_oldest(
    columns: int, mask: wp.array(dtype=wp.uint8), age: wp.array2d(dtype=wp.float32), oldest: wp.array(dtype=wp.float32)
) -> None:
    """The largest of the masked rows' first `columns` ages, s: what a filter that judges all of them must assume."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    most = wp.float32(0.0)
    for k in range(columns):
        most = wp.max(most, age[row, k])
    oldest[row] = most
