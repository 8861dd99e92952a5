"""Conformance: how far a body strays from what the shield predicts of it, and the bound e(t) = e0 + e1 t over that.

At one instant the shield predicts "the last command goes on, the candidate for one period, then the stopping plan"
(safety/path.py). The body then does exactly that; at each later instant its error is the distance of its place from the
nearest of the prediction's chords that ends no earlier, less that chord's own growth for its arc: what the shield must
add. The bound is the line over the worst error of every tenth of a second that is lowest at 1 s.

`tests/benchmarks/tracking_error.py` measures simulated bodies so, `muster calibrate` a robot by what it says of itself.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

from safety.dynamics import Bounds, bounds
from safety.path import SLICES, predict
from sim.robot import RobotSpec

TENTH = 0.1
"""Errors are gathered over so long, s."""

STEEPEST = 0.2
"""Largest e1 that is tried, m/s: an eighth of the default robot's speed; what strays more is no drive of ours."""


@wp.kernel
def predict_all(
    twist: wp.array2d(dtype=wp.float32),
    last: wp.array2d(dtype=wp.float32),
    command: wp.array2d(dtype=wp.float32),
    age: wp.array(dtype=wp.float32),
    b: Bounds,
    slices: wp.array3d(dtype=wp.float32),
    plan: wp.array2d(dtype=wp.float32),
) -> None:
    """The shield's own prediction of each row."""
    row = wp.tid()
    path = predict(
        twist[row, 0], twist[row, 1], last[row, 0], last[row, 1], command[row, 0], command[row, 1], age[row], True, b
    )
    for k in range(path.count):
        for j in range(7):
            slices[row, k, j] = path.slices[k, j]
    plan[row, 0] = path.v
    plan[row, 1] = path.w
    plan[row, 2] = path.stop


@dataclass(frozen=True)
class Prediction:
    """What the shield predicts of some rows without any tracking error."""

    slices: NDArray[np.float64]
    """Chord ax, ay, bx, by (m, in the frame of the scan's pose), its growth (m), end time (s) and reach (m); (rows,
    SLICES, 7); end time 0 where there is no chord."""
    plan: NDArray[np.float64]
    """v, w at which the stopping plan begins, and how long it takes, s; (rows, 3)."""


def foresee(
    spec: RobotSpec,
    twist: NDArray[np.floating],
    last: NDArray[np.floating],
    command: NDArray[np.floating],
    age: NDArray[np.floating] | None = None,
) -> Prediction:
    """The prediction of rows that move with `twist`, obeyed `last` and are told `command` (rows, 2); e0 = e1 = 0.

    `age` (rows,) is how old the readings are when the command is released, s; None: not at all.
    """
    rows = len(twist)
    free = bounds(spec)
    free.e0 = free.e1 = 0.0
    slices = wp.zeros((rows, SLICES, 7), dtype=wp.float32, device="cpu")
    plan = wp.zeros((rows, 3), dtype=wp.float32, device="cpu")
    ages = np.zeros(rows) if age is None else age
    inputs = [wp.array(np.asarray(each, np.float32), dtype=wp.float32, device="cpu") for each in (twist, last, command)]
    inputs += [wp.array(np.asarray(ages, np.float32), dtype=wp.float32, device="cpu"), free, slices, plan]
    wp.launch(predict_all, dim=rows, inputs=inputs, device="cpu")
    return Prediction(slices.numpy().astype(np.float64), plan.numpy().astype(np.float64))


def plan_commands(plan: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """The commands of a whole stopping plan (v, w, seconds), one a control period after the candidate's, (n, 2)."""
    v, w, seconds = plan
    count = max(int(np.ceil(seconds / period - 1e-9)), 0)
    left = 1.0 - (np.arange(count) + 1.0) * period / max(seconds, 1e-9)
    return np.maximum(left, 0.0)[:, None] * np.array([[v, w]])


@dataclass(frozen=True)
class Strays:
    """How far bodies were from the chords of their predictions."""

    error: NDArray[np.float64]
    """Beyond the nearest chord that ends no earlier, its growth taken off, m; (rows, times)."""
    end: NDArray[np.float64]
    """When that chord ends, s; (rows, times)."""


def strays(at: NDArray[np.float64], times: NDArray[np.float64], slices: NDArray[np.float64]) -> Strays:
    """The errors of places `at` (rows, times, 2) in the frames of the predictions, at `times` (times,), s from them.

    After the last chord has ended it alone counts: the body stands there.
    """
    rows, count, _ = at.shape
    end = slices[..., 5]
    used = end > 0.0
    last = np.where(used, end, 0.0).max(axis=1)
    a, b = slices[..., 0:2], slices[..., 2:4]
    best, best_end = np.full((rows, count), np.inf), np.zeros((rows, count))
    for k in range(slices.shape[1]):
        u = b[:, k] - a[:, k]
        gap = at - a[:, None, k]
        share = np.clip((gap * u[:, None]).sum(-1) / np.maximum((u**2).sum(-1), 1e-12)[:, None], 0.0, 1.0)
        distance = np.linalg.norm(gap - share[..., None] * u[:, None], axis=-1) - slices[:, k, 4][:, None]
        fits = used[:, k, None] & (end[:, k, None] >= np.minimum(times[None], last[:, None]) - 1e-6)
        better = fits & (distance < best)
        best = np.where(better, distance, best)
        best_end = np.where(better, end[:, k, None], best_end)
    return Strays(best, best_end)


def line_over(error: NDArray[np.float64], time: NDArray[np.float64]) -> tuple[float, float]:
    """e0 (m) and e1 (m/s), neither negative, of the line over every worst error that is lowest at 1 s."""
    edges = np.arange(0.0, max(1.5, time.max(initial=0.0)), TENTH)
    worst = [(t + TENTH / 2, error[(time > t) & (time <= t + TENTH)].max(initial=0.0)) for t in edges]
    best = (np.inf, 0.0, 0.0)
    for e1 in np.linspace(0.0, STEEPEST, 201):
        e0 = max(max(e - e1 * t for t, e in worst), 0.0)
        best = min(best, (e0 + e1, e0, float(e1)))
    return best[1], best[2]
