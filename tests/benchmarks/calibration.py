"""calibration: bounds that `muster calibrate` fits to robots with planted parameters, held against their later drives.

Robots are drawn by key (sim/hall.py): wheels, track, mass, firmware limits, lag, latency and its jitter, the rate and
latency of their lidar and the floor all differ from the specification that the course starts from; sensors have their
errors. Each drives the whole course through the `Robot` protocol (fleet/stages.py). Then come as many later drives of
the same robot as are asked for, in halls of their own with other errors of its sensors: from rest to a drawn (v, w),
held, then random changes for a second or two in half of them, and a full stop or the shield's stopping plan.

The later drives are judged by the truth of the simulation at every physics step, not by what the robot says of itself:
accelerations and the answer's delay by the same lines through ramps, the place against the shield's prediction at every
instant, ages as they were. A drive is covered where every bound holds in it; parts count the drives in which one does.
`worst` is the covered share of the robot with the least. Conservatism is reported beside it: the bound over the true
planted value (`brake_ratio` below 1, `latency_over` in s above it).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator

import numpy as np
from figure import Figure
from numpy.typing import NDArray

from fleet.bounds import Bounds
from fleet.course import follow, hold_cycles
from fleet.estimates import LEVEL, RAMP_V, RAMP_W, Ramp, ramp
from fleet.stages import Course, Demand, Findings
from safety.conformance import Prediction, foresee, plan_commands, strays
from sim.drive import BRAKE_SHARE
from sim.hall import Hall, HallRobot, Likeness, draw_likeness, empty_hall
from sim.robot import SECOND, RobotSpec
from sim.varied import SERVO_RESERVE

NAMES = ("accel", "brake", "turn_accel", "turn_brake", "latency", "age", "tracking")

FIELD = 100
"""Cells of a later drive's hall: 120 m, so that none meets a wall."""


STEADY = 0.05
"""m/s and rad/s by which a level before a stop may change within 0.35 s; else the ramp has no beginning."""

CYCLE = 0.1
"""s; ramps shorter than the course's own least number of readings are left to the tracking bound, as there."""


def later_drives(
    likeness: Likeness, found: Findings, count: int, seed: int, worlds: int = 250
) -> dict[str, tuple[int, int]]:
    """Of `count` later drives: drives and exceptions of each bound, and of all of them together (`all`)."""
    tally: dict[str, tuple[int, int]] = {name: (0, 0) for name in (*NAMES, "all")}
    for part in range(math.ceil(count / worlds)):
        rows = min(worlds, count - part * worlds)
        for broken, judged in drive_once(likeness, found, rows, seed + 1000 * part):
            for name in NAMES:
                drives, exceptions = tally[name]
                tally[name] = drives + (name in judged), exceptions + (name in broken)
            drives, exceptions = tally["all"]
            tally["all"] = drives + 1, exceptions + bool(broken)
    return tally


def drive_once(likeness: Likeness, found: Findings, rows: int, seed: int) -> Iterator[tuple[list[str], list[str]]]:
    """The broken and the judged bounds of each of `rows` drives, side by side."""
    fitted, bounds = found.fitted, found.bounds
    assert bounds is not None
    hall = Hall(likeness, empty_hall(FIELD), seed=seed, worlds=rows, lidar=False, threads=2)
    rng = np.random.default_rng(seed)
    period = fitted.period / SECOND
    draws = Course(found.spec, Demand(seed=seed))
    draws.found.top = found.top
    told = np.array([draws.draw() for _ in range(rows)])  # the course's own mixture of runs
    slowest = 0.9 * min(bounds.accel.middle if bounds.accel else 1.0, likeness.spec.diff.accel_max)
    turning = 0.5 * bounds.turn_brake.middle if bounds.turn_brake else 2.0
    up = max(hold_cycles(fitted, v, w, slowest, turning) for v, w in told.tolist()) + int(rng.integers(0, 4))
    wander = rng.random(rows) < 0.5
    plan = rng.random(rows) < 0.5
    changes = int(rng.integers(10, 21))
    times: list[float] = []
    ages: list[NDArray[np.float64]] = []
    fine_poses: list[NDArray[np.float64]] = []
    fine_twists: list[NDArray[np.float64]] = []
    state = hall.plant.state

    def look() -> None:
        fine_poses.append(np.array(state.pose.numpy(), np.float64))
        fine_twists.append(np.array(state.twist.numpy()[:, :2], np.float64))

    look()
    command = np.zeros((rows, 2))

    def send(now: NDArray[np.float64]) -> None:
        times.append(hall.cycle * period)
        ages.append(np.array([_oldest(hall, row) for row in range(rows)]))
        hall.step(now.astype(np.float32), look)

    for _ in range(3):
        send(command)
    for _ in range(up):
        command = told.copy()
        send(command)
    drive = found.spec.diff
    low, high = np.array([-min(drive.reverse_max, found.top), -drive.turn_max]), np.array([found.top, drive.turn_max])
    for _ in range(changes + LEVEL):
        if len(times) < 3 + up + changes:
            change = wander & (rng.random(rows) < 0.3)
            command = np.where(change[:, None], rng.uniform(low, high, (rows, 2)), command)
        send(command)
    stop = len(times)
    near = np.where(rng.random(rows) < 0.5, rng.random(rows), 0.0)
    candidate = np.where(plan[:, None], command * (1.0 - np.column_stack([0.5 * near, near])), 0.0)
    aged = np.array([_oldest(hall, row) for row in range(rows)])
    prediction = foresee(fitted, np.array(state.measured_twist.numpy())[:, :2], command, candidate, aged)
    send(candidate)
    played = [plan_commands(each, period) for each in prediction.plan]
    for k in range(max(25, 4 + max(map(len, played)))):
        send(np.array([row[k] if plan[i] and k < len(row) else (0.0, 0.0) for i, row in enumerate(played)]))
    yield from _judged(
        bounds, fitted, plan, stop, aged, prediction, up,
        np.array(times), np.stack(ages, 1), np.stack(fine_poses, 1), np.stack(fine_twists, 1),
    )  # fmt: skip


def _oldest(hall: Hall, row: int) -> float:
    suite = hall.plant.suite
    return 0.0 if suite is None else float(suite.oldest.numpy()[row])


def _judged(
    bounds: Bounds,
    fitted: RobotSpec,
    plan: NDArray[np.bool_],
    stop: int,
    aged: NDArray[np.float64],
    prediction: Prediction,
    up: int,
    times: NDArray[np.float64],
    ages: NDArray[np.float64],
    poses: NDArray[np.float64],
    twists: NDArray[np.float64],
) -> Iterator[tuple[list[str], list[str]]]:
    """Each drive's broken and judged bounds, by the truth at every physics step."""
    step = (times[1] - times[0]) / ((poses.shape[1] - 1) / len(times))
    fine = np.arange(poses.shape[1]) * step
    for row in range(len(plan)):
        seen = Prediction(prediction.slices[row][None], prediction.plan[row][None]) if plan[row] else None
        rise = _ramps(fine, twists[row], step, times[3], times[3 + up], rising=True)
        steady = np.ptp(twists[row, (fine > times[stop] - 0.35) & (fine <= times[stop])], 0).max() < STEADY
        fall = [None, None]
        if steady and seen is None:
            fall = _ramps(fine, twists[row], step, times[stop], times[-1], rising=False)
        turns = [each.rate for each in (rise[1], fall[1]) if each is not None]
        truth = {
            "accel": rise[0].rate if rise[0] else math.nan,
            "brake": fall[0].rate if fall[0] else math.nan,
            "turn_accel": max(turns, default=math.nan),
            "turn_brake": min(turns, default=math.nan),
            "latency": max((each.delay for each in fall if each is not None), default=math.nan),
            "age": float(ages[row].max()),
        }
        broken, judged = [], []
        for name, value in truth.items():
            side = -1.0 if name.endswith("brake") else 1.0
            one = getattr(bounds, name)
            if one is not None and math.isfinite(value):
                judged.append(name)
                if side * (value - one.value) > 1e-6:
                    broken.append(name)
        if seen is not None:
            judged.append("tracking")
            if _strays(seen, fine, poses[row], times[stop] - aged[row], fitted):
                broken.append("tracking")
        yield broken, judged


def _ramps(
    fine: NDArray[np.float64], twist: NDArray[np.float64], step: float, told: float, end: float, *, rising: bool
) -> list[Ramp | None]:
    """The ramps of v and w that were told at `told`, where they are long enough for the lag's bends not to rule."""
    found: list[Ramp | None] = []
    for k, least in enumerate((RAMP_V * CYCLE, RAMP_W * CYCLE)):
        inside = fine <= end
        held = float(
            twist[(fine > told - 0.35) & (fine <= told), k].mean()
            if not rising
            else twist[(fine > end - 0.35) & inside, k].mean()
        )
        before, after = (0.0, held) if rising else (held, 0.0)
        count = round(least / step)
        found.append(ramp(fine[inside], twist[inside, k], told, before, after, count) if abs(held) > 0.1 else None)
    return found


def _strays(
    seen: Prediction, fine: NDArray[np.float64], poses: NDArray[np.float64], start: float, fitted: RobotSpec
) -> bool:
    """Whether the true place leaves the prediction's tube at any physics step after the scan's instant."""
    first = int(np.searchsorted(fine, start - 1e-6))
    x, y, yaw = poses[first]
    moved = poses[first + 1 :, :2] - (x, y)
    c, s = math.cos(yaw), math.sin(yaw)
    at = np.column_stack([c * moved[:, 0] + s * moved[:, 1], c * moved[:, 1] - s * moved[:, 0]])
    far = strays(at[None], fine[first + 1 :] - fine[first], seen.slices)
    return bool((far.error > fitted.tracking_e0 + fitted.tracking_e1 * far.end).any())


def calibrated(likeness: Likeness, seed: int, coverage: float) -> Findings:
    """What the course finds of a robot of which only the default specification is believed."""
    course = Course(RobotSpec(), Demand(coverage=coverage, seed=seed), lambda line: print(line, file=sys.stderr))
    return follow(HallRobot(Hall(likeness, seed=seed)), course.script())


def measure_robots(robots: Iterable[int], coverage: float, count: int) -> Iterator[tuple[int, Findings, dict]]:
    """Findings and tally of later drives of each planted robot."""
    for robot in robots:
        likeness = draw_likeness(RobotSpec(), robot)
        found = calibrated(likeness, robot, coverage)
        yield robot, found, later_drives(likeness, found, count, 77_000 + robot)


def measure(quick: bool) -> Iterable[Figure]:
    """Covered shares of later drives, and what the bounds cost."""
    robots, coverage, count = (range(1, 3), 0.99, 250) if quick else (range(1, 7), 0.999, 2_000)
    total = dict.fromkeys((*NAMES, "all"), np.zeros(2, int))
    worst, runs, hours, attempts, ratios, late = 1.0, 0, 0.0, 1, [], []
    for robot, found, tally in measure_robots(robots, coverage, count):
        truth, bounds = draw_likeness(RobotSpec(), robot), found.bounds
        assert bounds is not None
        assert bounds.brake is not None
        assert bounds.latency is not None
        for name in total:
            total[name] = total[name] + np.array(tally[name])
        worst = min(worst, 1.0 - tally["all"][1] / tally["all"][0])
        runs, hours = max(runs, found.raised + found.fit + found.verified), max(hours, found.seconds / 3600.0)
        attempts = max(attempts, found.attempt)
        gain = truth.spec.diff.wheel_radius / truth.spec.diff.believed_wheel_radius
        ratios.append(bounds.brake.value / (truth.spec.diff.brake_min * BRAKE_SHARE * gain))
        late.append(bounds.latency.value - truth.answer - SERVO_RESERVE)
        said = {name: tally[name] for name in tally}
        print(f"robot {robot}: {said}; attempts {found.attempt} {found.widened}", file=sys.stderr)
    for name in ("all", *NAMES):
        drives, broken = (int(number) for number in total[name])
        yield Figure("covered" if name == "all" else name, 1.0 - broken / max(drives, 1), "1", "drives", float(drives))
    yield Figure("worst", worst, "1")
    yield Figure("runs", float(runs), "1", "attempts", float(attempts))
    yield Figure("hours", hours, "h")
    yield Figure("brake_ratio", float(min(ratios)), "1", "middle robot", float(np.median(ratios)))
    yield Figure("latency_over", float(max(late)), "s", "middle robot", float(np.median(late)))
