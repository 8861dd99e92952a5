"""ood_fallback: ten planted shifts of what a robot reads, begun while it drives; and driving without any.

    reached          share of the robots whose guard lets the baseline drive within 5 steps of the shift's begin
    <shift>          the same of each shift
    held_out_*       the same of seventeen more shifts, which were written down before the guard was made to see any
                     (2026-11-22); one number was chosen with them in view (docs/benchmarks.md)
    false_fallbacks  of undisturbed driving, an hour of one robot; `robot_hours` how many were driven, `rate_bound` the
                     upper bound of the rate (95 %, exact)
    found_at_start   share of the planted skews of the feature code (units, order, normaliser, ...) that are refused
                     before the first actuation
    step_us          what the guard's look at the readings takes of a robot's step, us (median)

A trial begins at one step of a drive in which the policy moves the robot (faster than MOVING, or turning): the shift
changes its readings from then on, the shared feature code makes the observation, the guarded policy's own graph tells
its scores, and the rule that serves (fleet/guards/rows.py, held equal to watch.py by a test) decides. The robot is
driven on by what the policy answers to the shifted observation: nothing else is told to the guard.

A held-out shift that changed no reading of a robot by more than twice the errors that its sensors are specified with
(`felt`; odometry that is late at a constant speed, say) is no trial of it; the ten have no such rule.

No shift is known to the guard: its networks were fitted to corruptions of fields (agents/exposure.py), and its
residuals (fleet/guards/senses.py) to nothing, but for limits from undisturbed driving.
MUSTER_GUARD_POLICY names a policy that `muster calibrate-guard` wrote; without one the shared policy is calibrated.
MUSTER_GUARD_SEED are the floors (SEED, and the one after it for driving without shifts).
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from figure import Figure
from numpy.typing import NDArray
from policy import trained_policy

from agents.errors import AgentError
from agents.navigation import training_task
from agents.policy import Policy
from fleet.guards import calibrate
from fleet.guards.drive import Fleet, drive, fleets, task_of
from fleet.guards.limits import rate_bound
from fleet.guards.preflight import observed, preflight
from fleet.guards.raw import Raw
from fleet.guards.rows import RowWatch
from fleet.guards.senses import Senses, wrapped
from fleet.guards.watch import GuardMemory, watch
from hierarchy.skills import Answer, sees_limit
from sim.generate import generate_warehouse
from sim.robot import SECOND, RobotSpec
from sim.site import Site
from sim.varied import ODOMETRY_NOISE

SLOW = True

SEED = 700
"""Of the floors: calibration takes 10 to 12."""
WITHIN = 5
MOVING = 0.15
"""m/s or rad/s: a robot that stands is about to do nothing that the baseline would do better."""
WARM = 30
"""Steps before the shifts: the readings of late shifts come from there."""
REST = 100
"""Steps without a shift before that: whom the one before drove into something begins a new episode meanwhile."""


@dataclass
class History:
    """What a shift may look back on; one for each fleet."""

    raws: list[Raw] = field(default_factory=list)
    """Unshifted; the newest is this step's"""
    steps: int = 0
    """Of the shift, this one included"""
    frozen: Raw | None = None
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))


Shift = Callable[[Raw, History], Raw]


def reversed_rays(raw: Raw, past: History) -> Raw:
    """The lidar is mounted upside down, or its driver counts the other way."""
    return replace(raw, scan=np.ascontiguousarray(raw.scan[:, ::-1]))


def scaled_ranges(raw: Raw, past: History) -> Raw:
    """Ranges come 1.5 times too long."""
    return replace(raw, scan=np.minimum(raw.scan * np.float32(1.5), 10.0).astype(np.float32))


def frozen_scan(raw: Raw, past: History) -> Raw:
    """The driver repeats the last scan under new stamps."""
    past.frozen = past.frozen or raw
    return replace(raw, scan=past.frozen.scan)


def late_scan(raw: Raw, past: History) -> Raw:
    """Scans come 0.3 s later than their stamps say."""
    return replace(raw, scan=past.raws[-4].scan)


def noise_floor(raw: Raw, past: History) -> Raw:
    """Each range is noisy by 0.15 m instead of 0.01."""
    noise = past.generator.normal(0.0, 0.15, raw.scan.shape)
    return replace(raw, scan=np.clip(raw.scan + noise, 0.0, 10.0).astype(np.float32))


def shifted_pose(raw: Raw, past: History) -> Raw:
    """Localisation is 0.3 m and 0.2 rad wrong."""
    return replace(raw, pose=raw.pose + np.array([0.3, -0.2, 0.2], np.float32))


def other_floor_scale(raw: Raw, past: History) -> Raw:
    """The map's metres are 1.25 of the floor's: pose and corridor are larger than what is seen."""
    grow = np.float32(1.25)
    pose = raw.pose * np.array([grow, grow, 1.0], np.float32)
    return replace(raw, pose=pose, points=raw.points * grow, half_width=raw.half_width * grow)


def load_drags(raw: Raw, past: History) -> Raw:
    """A load on the wheels: the robot moves at 0.6 of what it was told, and odometry says so."""
    return replace(raw, twist=raw.twist * np.float32(0.6))


def dropped_rays(raw: Raw, past: History) -> Raw:
    """A third of the rays, side by side, sees nothing."""
    scan = raw.scan.copy()
    scan[:, : scan.shape[1] // 3] = 10.0
    return replace(raw, scan=scan)


def wrong_speed_unit(raw: Raw, past: History) -> Raw:
    """Odometry tells kilometres an hour."""
    return replace(raw, twist=raw.twist * np.array([3.6, 1.0], np.float32))


def turned_scan(raw: Raw, past: History) -> Raw:
    """The lidar was mounted anew, turned by one of 64 rays (5.6 degrees)."""
    return replace(raw, scan=np.roll(raw.scan, 1, 1))


def swapped_scan(raw: Raw, past: History) -> Raw:
    """It looks backwards."""
    return replace(raw, scan=np.roll(raw.scan, raw.scan.shape[1] // 2, 1))


def biased_ranges(raw: Raw, past: History) -> Raw:
    """Ranges come 0.15 m too long."""
    return replace(raw, scan=np.minimum(raw.scan + np.float32(0.15), 10.0).astype(np.float32))


def shrunk_ranges(raw: Raw, past: History) -> Raw:
    """And 0.8 of what they are."""
    return replace(raw, scan=raw.scan * np.float32(0.8))


def half_frozen(raw: Raw, past: History) -> Raw:
    """Half of the rays are repeated."""
    past.frozen = past.frozen or raw
    half, scan = raw.scan.shape[1] // 2, raw.scan.copy()
    scan[:, :half] = past.frozen.scan[:, :half]
    return replace(raw, scan=scan)


def slow_scan(raw: Raw, past: History) -> Raw:
    """Scans come 0.2 s late."""
    return replace(raw, scan=past.raws[-3].scan)


def dim_scan(raw: Raw, past: History) -> Raw:
    """Three in ten rays, others in each scan, see nothing."""
    lost = past.generator.random(raw.scan.shape) < 0.3
    return replace(raw, scan=np.where(lost, np.float32(10.0), raw.scan))


def rough_scan(raw: Raw, past: History) -> Raw:
    """Each range is noisy by 0.06 m."""
    noise = past.generator.normal(0.0, 0.06, raw.scan.shape)
    return replace(raw, scan=np.clip(raw.scan + noise, 0.0, 10.0).astype(np.float32))


def dirty_lens(raw: Raw, past: History) -> Raw:
    """Ten rays side by side read 0.1 m."""
    scan = raw.scan.copy()
    scan[:, 20:30] = 0.1
    return replace(raw, scan=scan)


def slightly_shifted_pose(raw: Raw, past: History) -> Raw:
    """Localisation is 0.18 m and 0.05 rad wrong."""
    return replace(raw, pose=raw.pose + np.array([0.15, 0.1, 0.05], np.float32))


def frozen_pose(raw: Raw, past: History) -> Raw:
    """Localisation tells the same pose again and again."""
    past.frozen = past.frozen or raw
    return replace(raw, pose=past.frozen.pose)


def late_pose(raw: Raw, past: History) -> Raw:
    """Poses come 0.3 s late."""
    return replace(raw, pose=past.raws[-4].pose)


def creeping_pose(raw: Raw, past: History) -> Raw:
    """Localisation slides away by 0.4 m/s."""
    return replace(raw, pose=raw.pose + np.array([0.04 * past.steps, 0.0, 0.0], np.float32))


def turned_twist(raw: Raw, past: History) -> Raw:
    """Yaw rates have the other sign."""
    return replace(raw, twist=raw.twist * np.array([1.0, -1.0], np.float32))


def late_twist(raw: Raw, past: History) -> Raw:
    """Odometry comes 0.3 s late."""
    return replace(raw, twist=past.raws[-4].twist)


def fast_twist(raw: Raw, past: History) -> Raw:
    """Odometry tells 1.3 of every speed: wheels that slip, or are worn."""
    return replace(raw, twist=raw.twist * np.float32(1.3))


def other_corridor(raw: Raw, past: History) -> Raw:
    """Its corridor is another robot's."""
    names = ("points", "half_width", "count", "final")
    return replace(raw, **{name: np.roll(getattr(raw, name), 1, 0) for name in names})


SHIFTS: tuple[Shift, ...] = (
    reversed_rays,
    scaled_ranges,
    frozen_scan,
    late_scan,
    noise_floor,
    shifted_pose,
    other_floor_scale,
    load_drags,
    dropped_rays,
    wrong_speed_unit,
)


HELD_OUT: tuple[Shift, ...] = (
    turned_scan,
    swapped_scan,
    biased_ranges,
    shrunk_ranges,
    half_frozen,
    slow_scan,
    dim_scan,
    rough_scan,
    dirty_lens,
    slightly_shifted_pose,
    frozen_pose,
    late_pose,
    creeping_pose,
    turned_twist,
    late_twist,
    fast_twist,
    other_corridor,
)


def felt(told: Raw, true: Raw, spec: RobotSpec) -> NDArray[np.bool_]:
    """Whose readings a shift has changed by more than twice their specified errors, (rows,).

    A range by 6 of its standard deviations (it is clipped at 3) on more than one ray in sixteen, a place by twice the
    localisation's bound, a heading by 0.02 rad, a speed by 6 deviations of odometry, a corridor at all.
    """
    rays = np.abs(told.scan - true.scan) > 6.0 * spec.lidar.noise
    pose = np.abs(told.pose - true.pose)
    return (
        (16 * rays.sum(1) > rays.shape[1])
        | (pose[:, :2] > 2.0 * spec.localisation_bound).any(1)
        | (np.abs(wrapped((told.pose - true.pose)[:, 2].astype(float))) > 0.02)
        | (np.abs(told.twist - true.twist) > 6.0 * ODOMETRY_NOISE).any(1)
        | (told.points != true.points).any((1, 2))
    )


@dataclass
class Trials:
    """What became of the robots of one shift."""

    reached: int = 0
    missed: int = 0
    steps: Counter[int] = field(default_factory=Counter)
    """Robots by the step of their shift in which the baseline took over, 1 the first"""


def plant(shift: Shift, policy: Policy, fleet: Fleet, trials: Trials, *, only_felt: bool) -> None:
    """One shift on all robots of a fleet that move in the step in which it begins.

    One whose episode ends before five steps are over, untripped, is no trial; nor is one that was touched, or that
    the guard took over within the warm-up; nor, with `only_felt`, one that did not feel the shift in any of the steps.
    """
    drive(fleet, policy, REST, lambda now, before, residuals: None)
    watch, past, before = RowWatch(fleet.rows, 0.1), History(), fleet.observation
    tripped, tried = np.zeros(fleet.rows, bool), np.zeros(fleet.rows, bool)
    reached, touched = np.zeros(fleet.rows, np.int64), np.full(fleet.rows, not only_felt)
    for step in range(WARM + WITHIN):
        raw = fleet.raw()
        past.raws.append(raw)
        if step == 0:
            assert np.array_equal(fleet.see(raw), fleet.observation), "the feature code is not the simulator's"
        if step == WARM:
            tried = (np.abs(raw.twist) > MOVING).any(1) & fleet.calm & ~fleet.first & ~tripped
        if step > WARM:
            tried &= (fleet.calm & ~fleet.first) | (reached > 0)
        told = raw
        if step >= WARM:
            past.steps += 1
            told = shift(raw, past)
            touched |= felt(told, raw, fleet.environment.plant.spec)
        now = fleet.see(told) if step >= WARM else fleet.observation
        before = np.where(fleet.first[:, None], now, before)
        action, novelty = policy.judge(now, before, fleet.sense(told))
        found = watch.found(novelty, fleet.first) > 0
        if step < WARM:
            tripped = (tripped & ~fleet.first) | found
        else:
            reached = np.where(tried & found & (reached == 0), step - WARM + 1, reached)
        before = now
        fleet.step(action)
    counts = tried & touched & ((reached > 0) | (fleet.calm & ~fleet.first))
    trials.steps.update(reached[counts & (reached > 0)].tolist())
    trials.reached = sum(trials.steps.values())
    trials.missed += int((counts & (reached == 0)).sum())


def step_cost(site: Site, spec: RobotSpec) -> float:
    """Median time of all that a guarded step takes more than one without residuals, s: on 360 rays, one robot."""
    senses, memory, scan = Senses(site, spec), GuardMemory(), np.full(spec.lidar.rays, 3.0, np.float32)
    x, y = (float(value) for value in site.centre(int(site.free_cells[0])))
    said, taken = Answer((0.0, 0.0), policy="p", novelty=(0.0,) * 20, fix=(0.0, 0.0, 0.0)), []
    for cycle in range(2000):
        stamp, begin = cycle * SECOND // 10, time.perf_counter()
        reading = senses.reading(scan, (x + 0.001 * cycle % 0.5, y, 0.3), (0.1, 0.2), (stamp, stamp, stamp))
        senses.look(memory, cycle, reading)
        memory = watch(memory, said, b"1234", cycle, stamp, reading).memory
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def skewed(policy: Policy, spec: RobotSpec) -> dict[str, bool]:
    """Which planted skews of a robot's feature code, policy or body are refused before it moves."""

    def of(change: Callable[[dict[str, NDArray[np.float32]]], dict[str, NDArray[np.float32]]]) -> Callable[[], object]:
        return lambda: preflight(policy, spec, lambda raw, robot: observed(change(dict(raw)), robot))

    def after(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Callable[[], object]:
        return lambda: preflight(policy, spec, lambda raw, robot: change(observed(raw, robot).copy()))

    def fields_swapped(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        seen[:, [82, 83, 84, 85]] = seen[:, [84, 85, 82, 83]]
        return seen

    stale = replace(policy, session=_Shifted(policy))
    drive = replace(spec.diff, speed_max=spec.diff.speed_max * 1.2)
    cases: dict[str, Callable[[], object]] = {
        "ranges in millimetres": of(lambda raw: raw | {"scan": raw["scan"] * np.float32(1000.0)}),
        "corridor in feet": of(lambda raw: raw | {"points": raw["points"] * np.float32(3.281)}),
        "speed in km/h": of(lambda raw: raw | {"twist": raw["twist"] * np.array([3.6, 1.0], np.float32)}),
        "yaw in degrees": of(lambda raw: raw | {"pose": raw["pose"] * np.array([1, 1, 57.3], np.float32)}),
        "scan reversed": of(lambda raw: raw | {"scan": np.ascontiguousarray(raw["scan"][:, ::-1])}),
        "scan rolled by half": of(lambda raw: raw | {"scan": np.roll(raw["scan"], 32, 1)}),
        "yaw rate of the other sign": of(lambda raw: raw | {"twist": raw["twist"] * np.array([1, -1], np.float32)}),
        "ranges / 6 m": after(lambda seen: np.concatenate([(0.2 / seen[:, :64] - 0.2) / 6.0, seen[:, 64:]], 1)),
        "twist and command exchanged": after(fields_swapped),
        "fields in another order": after(lambda seen: np.roll(seen, 3, 1)),
        "stale normaliser": lambda: preflight(stale, spec),
        "another embodiment": lambda: preflight(policy, replace(spec, drive=drive)),
    }
    return {name: _refused(case) for name, case in cases.items()}


class _Shifted:
    """A graph that answers as with a normaliser of other moments: what it sees is moved and stretched before it."""

    def __init__(self, policy: Policy) -> None:
        self._session = policy.session

    def get_outputs(self) -> object:
        return self._session.get_outputs()

    def run(self, names: list[str], given: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        moved = {name: (values * np.float32(1.1) + np.float32(0.05)) for name, values in given.items()}
        return [np.asarray(each, np.float32) for each in self._session.run(names, moved)]


def _refused(case: Callable[[], object]) -> bool:
    try:
        case()
    except AgentError:
        return True
    return False


def measure(quick: bool) -> Iterable[Figure]:
    """All parts; each shift's steps on standard error."""
    policy = Policy.load(guarded_policy())
    spec = RobotSpec()
    task = task_of(training_task(), spec, limited=sees_limit(policy, spec))
    rows = int(os.environ.get("MUSTER_GUARD_ROWS", "192"))
    seed = int(os.environ.get("MUSTER_GUARD_SEED", SEED))
    both = fleets(task, seed, rows)
    for shifts, prefix in ((SHIFTS, ""), (HELD_OUT, "held_out_")):
        every = Trials()
        for shift in shifts:
            trials = Trials()
            for fleet in both:
                plant(shift, policy, fleet, trials, only_felt=shifts is HELD_OUT)
            robots = trials.reached + trials.missed
            print(f"{shift.__name__}: {trials.reached} of {robots}, by step {dict(trials.steps)}", file=sys.stderr)
            every.reached += trials.reached
            every.missed += trials.missed
            yield Figure(f"{prefix}{shift.__name__}", trials.reached / max(robots, 1), "1")
        yield Figure(f"{prefix}reached", every.reached / max(every.reached + every.missed, 1), "1")
        yield Figure(f"{prefix}robots", float(every.reached + every.missed), "1")
    yield Figure("step_us", 1e6 * step_cost(generate_warehouse(1), spec), "us")
    found = skewed(policy, spec)
    print(f"skews not found: {[name for name, ok in found.items() if not ok]}", file=sys.stderr)
    yield Figure("found_at_start", sum(found.values()) / len(found), "1")
    hours = float(os.environ.get("MUSTER_GUARD_HOURS", "30"))
    steps = round(hours * 36_000 / rows)
    counted = calibrate.count_trips(policy, fleets(task, seed + 1, rows), steps, 0.1)
    print(f"false fallbacks by reason: {counted.by}", file=sys.stderr)
    yield Figure("false_fallbacks", counted.trips / counted.hours, "1/h")
    yield Figure("robot_hours", counted.hours, "h")
    yield Figure("rate_bound", rate_bound(counted.trips, counted.hours), "1/h")


def guarded_policy() -> Path:
    """A policy with a guard: the one named, or the shared one, calibrated once beside it."""
    given = os.environ.get("MUSTER_GUARD_POLICY")
    if given:
        return Path(given)
    base = trained_policy()
    out = base / "guarded"
    if not (out / "policy.json").exists():
        print(f"calibrating the guard of {base} (up to 20 minutes)", file=sys.stderr)
        calibrate.run(calibrate.Config(base))
    return out
