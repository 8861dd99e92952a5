"""Robust least squares over batches of worlds: the parameters of the wheeled body that fit recorded drives best.

Nonlinear least squares over whole stretches (Levenberg and Marquardt, Huber loss) on the residuals of
sim/residuals.py: every Jacobian is one batch of worlds, and so is every line search. Each parameter with a threshold (a
slipping wheel, a limit that is never reached) can be scanned over its range, because its gradient is zero on the wrong
side of it; between fits all are swept, because a slipping wheel makes valleys beside the best one.

Parameters are rows z (parameters,) in the order of `sim.candidates.NAMES`, in units of `scales`; `free` names those
that may move. What the data say about each, and which cannot be told, is sim/sysid.py's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.candidates import CHANNELS, NAMES, Candidates, nominal
from sim.openloop import Drive
from sim.residuals import Residuals, compare, judged_seconds
from sim.robot import RobotSpec

LOW = np.array([0.7, 0.7, 0.3, 0.05, 0.05, 0.05, 0.05, 0.0, 0.0])
HIGH = np.array([1.4, 1.4, 4.0, 1.5, 6.0, 6.0, 6.0, 15.0, 25.0])
"""Bounds in multiples of SCALE: far beyond wear and load, within what the wheeled body bears."""

DELAY_SCALE = 0.02
"""Unit of lag and latency, s: a motor period; they may be zero."""

FLOORS = np.array([1e-3, 1e-3, 5e-4, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2, 1e-2])
"""Least spread of each channel: nothing is measured better, and a perfect channel must not silence the others."""


@dataclass(frozen=True)
class Effort:
    """When a fit has done enough."""

    tolerance: float
    """Relative fall of the cost that is worth another step."""
    iterations: int
    """At most."""


ROUGH, FINE = Effort(1e-2, 6), Effort(1e-3, 12)

ROUNDS = 4
"""Fits that a descent tries at most."""

SWEEP = np.array([-0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2])
"""Changes that a sweep tries, as shares; of a delay as shares of 5 x 20 ms."""

TRIALS = (
    (0.0, 1.0),
    (0.0, 0.5),
    (0.0, 0.25),
    (0.0, 1.5),
    (1e-3, 1.0),
    (1e-2, 1.0),
    (0.1, 1.0),
    (1.0, 1.0),
    (10.0, 1.0),
)
"""(damping, length) of the steps that are tried: Gauss-Newton's and shorter ones, then Marquardt's."""

WIDE, USUAL, NARROW = 0.02, 0.01, 0.003
"""Differences are taken over this share of a value: beyond the roughness of a slipping wheel (measured: a change of the
radius by 1e-5 turns a braking robot by 3e-4 rad, one by 1e-2 by 8e-2), within what is linear."""

HUBER = 3.0
"""Residuals beyond this many spreads weigh less: a bump, a wheel over a joint."""

WEAK = 1e-3
"""Weight that holds a parameter which the data do not see, per unit of scale."""

BLOWN = 1e3
"""Residual of a world that blew up: a candidate that nothing else can be worse than."""


GRIDS = {
    "latency": np.arange(0.0, 8.0),
    "traction": np.array([0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8]),
}
"""Values that are scanned, in units of scale: motor periods; shares of the nominal traction from oil to dust."""


WHOLE_FIT = 500
"""Candidates of a whole fit, more or less: 441 with eight parameters (40 s of a demo's black boxes), 519 with nine
(tests/benchmarks/validate_sim.py --quick), 2026-11-21."""


def pace(evaluations: int, seconds: float) -> str:
    """How far a fit is after that many candidates and s of wall time, in words."""
    left = (WHOLE_FIT - evaluations) * seconds / max(evaluations, 1)
    told = f"some {left:.0f} s left" if left > 0.0 else "longer than usual"
    return f"{evaluations} candidates simulated in {seconds:.0f} s, {told}"


def scales(spec: RobotSpec) -> NDArray[np.float64]:
    """Unit of each parameter in the optimiser, (parameters,)."""
    scale = nominal(spec)
    scale[-2:] = DELAY_SCALE
    return scale


class Descent:
    """Owns the worlds that candidates are simulated in, and the spread that each channel's residuals are judged by."""

    def __init__(
        self,
        spec: RobotSpec,
        parts: list[Drive],
        threads: int,
        news: Callable[[str], None] = lambda line: None,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fit to these pieces of driving; `news` is told of each fit, with what is left of the time by `wall` (s)."""
        self.parts, self.news = parts, news
        self._wall, self._begun = wall, wall()
        self.scale = scales(spec)
        self.start = nominal(spec) / self.scale
        """What the specification says, z (parameters,)."""
        self.spread = np.array([0.02, 0.02, 0.01, 0.02, 0.04, 0.3, 0.3, 0.5, 0.5])
        """Unit of each channel's residuals, (channels,)."""
        self.evaluations = 0
        """Candidates that were simulated."""
        self._batch = Candidates(spec, [part.stretch for part in parts], len(NAMES) + 1, threads)
        self._times = [judged_seconds(part) for part in parts]

    def scan(self, z: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        """Each threshold parameter over its range, the others held; what is there already wins a tie."""
        for name in names:
            k = NAMES.index(name)
            grid = np.concatenate([[z[k]], GRIDS.get(name, z[k] * np.array([0.25, 0.4, 0.6, 0.8, 1.3, 2.0, 3.0]))])
            rows = np.repeat(z[None], len(grid), axis=0)
            rows[:, k] = np.clip(grid, LOW[k], HIGH[k])
            cost = self._cost(rows)
            best = int(np.argmin(cost))
            if cost[best] < cost[0] * (1.0 - 1e-6):
                z = rows[best]
        return z

    def descend(self, z: NDArray[np.float64], free: Sequence[str]) -> NDArray[np.float64]:
        """Fits and sweeps in turn, until no sweep finds a better valley."""
        for _ in range(ROUNDS):
            z = self.fit(self.split_delay(z), free, FINE)
            before = float(self._cost(z[None])[0])
            swept = self._sweep(z, free)
            if not float(self._cost(swept[None])[0]) < before * (1.0 - ROUGH.tolerance):
                return z
            z = swept
        return self.fit(z, free, FINE)

    def _sweep(self, z: NDArray[np.float64], free: Sequence[str]) -> NDArray[np.float64]:
        """Each parameter in turn to the best of several values around its own."""
        for name in free:
            k = NAMES.index(name)
            around = SWEEP if self.start[k] > 0.0 else 5.0 * SWEEP / max(z[k], 0.05)
            rows = np.repeat(z[None], len(SWEEP) + 1, axis=0)
            rows[1:, k] = np.clip(z[k] * (1.0 + around), LOW[k], HIGH[k])
            z = rows[int(np.argmin(self._cost(rows)))]
        return z

    def split_delay(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """The best split of the whole delay into latency and lag: motor periods make a minimum of each of several."""
        lag, latency = NAMES.index("lag"), NAMES.index("latency")
        pairs = [(z[latency], z[lag])]
        for share in np.arange(0.0, min(z[lag] + z[latency] + 0.5, HIGH[latency]) + 1e-9, 0.5):
            pairs += [(share, z[lag] + z[latency] - share + more) for more in (-0.2, 0.0, 0.2)]
        rows = np.repeat(z[None], len(pairs), axis=0)
        rows[:, [latency, lag]] = np.clip(pairs, LOW[[latency, lag]], HIGH[[latency, lag]])
        return rows[int(np.argmin(self._cost(rows)))]

    def linear(
        self, z: NDArray[np.float64], free: Sequence[str], reach: float = USUAL
    ) -> tuple[list[Residuals], list[NDArray[np.float64]]]:
        """Residuals at z and their Jacobians by part, (residuals, free), by differences over `reach` of the value."""
        columns = [NAMES.index(name) for name in free]
        steps = reach * np.where(self.start > 0.0, np.maximum(z, 0.05), 5.0)  # of a delay: 5 x 20 ms
        rows = np.repeat(z[None], len(columns) + 1, axis=0)
        for row, k in enumerate(columns, 1):
            rows[row, k] = np.maximum(rows[row, k] + steps[k], LOW[k])
        moved = np.array([rows[row, k] - z[k] for row, k in enumerate(columns, 1)])
        moved = np.where(moved == 0.0, np.inf, moved)  # a delay of zero has nothing before it
        residuals = self._residuals(rows)
        values = [np.nan_to_num(part.values, nan=BLOWN) for part in residuals]
        return residuals, [((value[1:] - value[0]) / moved[:, None]).T for value in values]

    def fit(self, z: NDArray[np.float64], free: Sequence[str], effort: Effort) -> NDArray[np.float64]:
        """Levenberg and Marquardt with the whole line search in one batch.

        A slipping wheel makes the cost rough on a small scale, so that the differences are taken over what the last
        step moved, forward and backward in turn, and a step is what measured best of several.
        """
        columns = np.array([NAMES.index(name) for name in free])
        begin, best = z[columns].copy(), float(self._cost(z[None])[0])
        reach, failed = WIDE, 0
        for iteration in range(effort.iterations):
            residuals, jacobians = self.linear(z, free, (1.0 if iteration % 2 == 0 else -1.0) * reach)
            jacobian, values = np.concatenate(jacobians), np.concatenate([part.values[0] for part in residuals])
            weight = np.where(np.abs(values) > HUBER, HUBER / np.maximum(np.abs(values), 1e-9), 1.0)
            information = (jacobian.T * weight) @ jacobian + WEAK**2 * np.eye(len(columns))
            gradient = (jacobian.T * weight) @ values + WEAK**2 * (z[columns] - begin)
            rows = np.repeat(z[None], len(TRIALS), axis=0)
            for row, (damping, length) in zip(rows, TRIALS, strict=True):
                step = np.linalg.solve(information + damping * np.diag(np.diag(information)), -gradient)
                row[columns] = np.clip(z[columns] + length * step, LOW[columns], HIGH[columns])
            cost = self._cost(rows)
            chosen = int(np.argmin(cost))
            if cost[chosen] < best * (1.0 - effort.tolerance):
                reach = np.clip(float(np.max(np.abs(rows[chosen] - z))), NARROW, WIDE)
                z, best, failed = rows[chosen], float(cost[chosen]), 0
                continue
            if cost[chosen] < best:
                z, best = rows[chosen], float(cost[chosen])
            failed += 1
            reach = max(reach / 3.0, NARROW)
            if failed == 2:
                break
        told = pace(self.evaluations, self._wall() - self._begun)
        self.news(f"{len(free)} parameters, cost {best:.0f}, {told}")
        return z

    def respread(self, z: NDArray[np.float64]) -> None:
        """The robust spread of each channel's residuals at z becomes their unit."""
        parts = self._residuals(z[None])
        values = np.concatenate([part.values[0] for part in parts])
        channels = np.concatenate([part.channels for part in parts])
        for channel in range(len(CHANNELS)):
            some = values[channels == channel]
            if some.size:
                self.spread[channel] = max(1.4826 * np.median(np.abs(some)) * self.spread[channel], FLOORS[channel])

    def _run(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs of up to `count` rows of parameters, in units of scale."""
        count = self._batch.count
        padded = np.concatenate([rows, np.repeat(rows[:1], count - len(rows), axis=0)]) if len(rows) < count else rows
        self.evaluations += len(rows)
        return self._batch.run(padded * self.scale)[: len(rows)]

    def _residuals(self, rows: NDArray[np.float64]) -> list[Residuals]:
        out = self._run(rows)
        return [
            compare(out[:, index], self._batch.dt, part, self._times[index], self.spread)
            for index, part in enumerate(self.parts)
        ]

    def _cost(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Huber cost of each row."""
        cost = np.zeros(len(rows))
        for first in range(0, len(rows), self._batch.count):
            some = slice(first, first + self._batch.count)
            for residuals in self._residuals(rows[some]):
                size = np.abs(np.nan_to_num(residuals.values, nan=BLOWN))
                cost[some] += np.where(size < HUBER, 0.5 * size**2, HUBER * (size - 0.5 * HUBER)).sum(axis=1)
        return cost
