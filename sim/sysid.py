"""System identification: which parameters of the wheeled body and its firmware explain what was recorded.

Nonlinear least squares over whole stretches (Levenberg and Marquardt, Huber loss) on the residuals of
sim/residuals.py: every Jacobian is one batch of worlds, and so is every line search. Before, each parameter with a
threshold (a slipping wheel, a limit that is never reached) is scanned over its range, because its gradient is zero on
the wrong side of it; between fits all are swept, because a slipping wheel makes valleys beside the best one.

A parameter is identifiable when its standard error is within 10 % of its value (2 ms for delays). The error is the
larger of the model's, from J'J, and the sandwich over blocks of 5 s (Liang and Zeger, Biometrika 73, 1986), which holds
for residuals that are correlated in time. The worst one that is not is put back to what the specification says and the
rest is fitted again, with the reason kept.

Spread between recordings: one Gauss-Newton step for each recording alone from the common optimum, and from these the
variance between recordings by the moments of DerSimonian and Laird (Controlled Clinical Trials 7, 1986). A range is the
value plus and minus twice the root of that variance plus the squared standard error, and 2 % at least.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.candidates import CHANNELS, NAMES, Candidates, nominal
from sim.errors import MusterError
from sim.openloop import RUN_IN, Drive
from sim.residuals import Residuals, compare, judged_seconds
from sim.robot import RobotSpec

UNITS: dict[str, str] = dict(zip(NAMES, ("m", "m", "kg", "1", "m/s^2", "m/s^2", "rad/s^2", "s", "s"), strict=True))
"""Of each parameter."""

LOW = np.array([0.7, 0.7, 0.3, 0.05, 0.05, 0.05, 0.05, 0.0, 0.0])
HIGH = np.array([1.4, 1.4, 4.0, 1.5, 6.0, 6.0, 6.0, 15.0, 25.0])
"""Bounds in multiples of SCALE: far beyond wear and load, within what the wheeled body bears."""

DELAY_SCALE = 0.02
"""Unit of lag and latency, s: a motor period; they may be zero."""

DELAY_FLOOR = 0.002
"""Standard error of a delay that counts as known, s: a tenth of a motor period."""

SHARE = 0.10
"""Largest standard error of an identifiable parameter, as a share of its value."""

MISSED = 0.02
"""Least half range, as a share of the value: what planted parameters were missed by after 20 s of driving, beyond
their standard errors (tests/benchmarks/validate_sim.py --quick, 2026-11-21: worst 0.021, the mass)."""

PIECE = 20.0
"""Stretches are cut into pieces of this length, s: they run in parallel, and odometry may drift from piece to piece."""

TRAINING_MAX = 120.0
"""Driving that a fit uses at most unless told otherwise, s: two minutes of work on two cores, and enough for all nine
parameters where the commands show them (tests/benchmarks/validate_sim.py)."""

BLOCK = 5.0
"""Length of the blocks of the sandwich, s."""

FLOORS = np.array([1e-3, 1e-3, 5e-4, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2, 1e-2])
"""Least spread of each channel: nothing is measured better, and a perfect channel must not silence the others."""

SCANNED = ("latency", "accel", "brake", "turn_accel", "traction")
"""Parameters that are scanned before the fit, in this order."""


@dataclass(frozen=True)
class _Effort:
    """When a fit has done enough."""

    tolerance: float
    """Relative fall of the cost that is worth another step."""
    iterations: int
    """At most."""


ROUGH, FINE = _Effort(1e-2, 6), _Effort(1e-3, 12)

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

MOVES = 0.01
"""A piece whose commands stay below this, m/s and rad/s, tells nothing."""

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


class IdentificationError(MusterError):
    """Recordings that say too little."""


@dataclass(frozen=True)
class Estimate:
    """What was found about one parameter."""

    name: str
    value: float
    before: float
    """What the specification said."""
    error: float
    """Standard error; inf where the data say nothing."""
    identifiable: bool
    reason: str
    """Why not; empty when it is."""
    low: float
    high: float
    """Range over the recordings."""


@dataclass(frozen=True)
class Fit:
    """The result of an identification."""

    parameters: NDArray[np.float64]
    """(parameters,), in the order of NAMES."""
    estimates: tuple[Estimate, ...]
    recordings: tuple[str, ...]
    """What was learned from."""
    seconds: float
    """Of driving."""
    odometry_scale: tuple[float, float]
    """Least and largest scale of the odometry over the pieces."""
    spreads: NDArray[np.float64]
    """Robust spread of each channel's residuals, (channels,)."""
    evaluations: int
    """Candidates that were simulated."""

    def estimate(self, name: str) -> Estimate:
        """The estimate of one parameter."""
        return self.estimates[NAMES.index(name)]


def scales(spec: RobotSpec) -> NDArray[np.float64]:
    """Unit of each parameter in the optimiser, (parameters,)."""
    scale = nominal(spec)
    scale[-2:] = DELAY_SCALE
    return scale


def pieces(drives: Sequence[Drive], seconds: float = TRAINING_MAX) -> list[Drive]:
    """Pieces of at most PIECE seconds, `seconds` in all: of each recording in turn the one with most change of command.

    Those shorter than RUN_IN + 2 s or at rest are left out. Raises `IdentificationError` when none is left.
    """
    found: dict[str, list[Drive]] = {}
    for drive in drives:
        count = max(int(np.ceil(drive.duration / PIECE - 1e-6)), 1)
        edges = np.linspace(0.0, drive.duration, count + 1).tolist()
        for begin, end in itertools.pairwise(edges):
            piece = drive.cut(begin, end)
            if piece.duration >= RUN_IN + 2.0 and np.abs(piece.stretch.commands).max() > MOVES:
                found.setdefault(drive.recording, []).append(piece)
    if not found:
        raise IdentificationError(
            f"expected at least one stretch of {RUN_IN + 2.0:g} s of driving to fit on, got none; record longer runs"
        )
    for mine in found.values():
        mine.sort(key=lambda piece: -float(np.abs(np.diff(piece.stretch.commands, axis=0)).sum()))
    chosen: list[Drive] = []
    for piece in (piece for turn in itertools.zip_longest(*found.values()) for piece in turn if piece is not None):
        if chosen and sum(one.duration for one in chosen) + piece.duration > seconds + 1e-6:
            break
        chosen.append(piece)
    return chosen


def identify(
    spec: RobotSpec,
    drives: Sequence[Drive],
    threads: int = 2,
    news: Callable[[str], None] = lambda line: None,
    seconds: float = TRAINING_MAX,
) -> Fit:
    """Fit the parameters of `spec` to `seconds` of recorded drives.

    Raises `IdentificationError` when there is nothing to fit on.
    """
    return _Identification(spec, pieces(drives, seconds), threads, news).result()


class _Identification:
    """One identification: its worlds, its channels' spreads and the best parameters so far (in units of `scales`)."""

    def __init__(self, spec: RobotSpec, parts: list[Drive], threads: int, news: Callable[[str], None]) -> None:
        self.spec, self.parts, self.news = spec, parts, news
        self.scale = scales(spec)
        self.start = nominal(spec) / self.scale
        self.batch = Candidates(spec, [part.stretch for part in parts], len(NAMES) + 1, threads)
        self.spread = np.array([0.02, 0.02, 0.01, 0.02, 0.04, 0.3, 0.3, 0.5, 0.5])
        self.evaluations = 0
        self.times = [judged_seconds(part) for part in parts]
        self.torque = any(part.torques is not None for part in parts)

    def result(self) -> Fit:
        z = self._scan(self.start.copy(), SCANNED)
        free = [name for name in NAMES if name != "mass" or self.torque]
        reasons = {} if self.torque else {"mass": "no torques were recorded: motion alone shows only force over mass"}
        z = self._fit(z, free, ROUGH)
        self._respread(z)
        z = self._fit(self._split_delay(z), free, ROUGH)
        z = self._scan(z, ("traction",))  # a slip shows once the rest is about right
        while True:
            self._respread(z)
            z = self._descend(z, free)
            errors, correlation = self._errors(z, free)
            worst, excess = self._worst(z, free, errors)
            if excess <= 1.0 or len(free) == 1:
                break
            reasons[worst] = _reason(worst, free, errors[free.index(worst)], correlation)
            self.news(f"{worst} cannot be told from these recordings: {reasons[worst]}")
            free.remove(worst)
            z[NAMES.index(worst)] = self.start[NAMES.index(worst)]
        return self._conclude(z, free, errors, reasons)

    # simulation and residuals

    def _run(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs of up to `count` rows of parameters, in units of scale."""
        count = self.batch.count
        padded = np.concatenate([rows, np.repeat(rows[:1], count - len(rows), axis=0)]) if len(rows) < count else rows
        self.evaluations += len(rows)
        return self.batch.run(padded * self.scale)[: len(rows)]

    def _residuals(self, rows: NDArray[np.float64]) -> list[Residuals]:
        out = self._run(rows)
        return [
            compare(out[:, index], self.batch.dt, part, self.times[index], self.spread)
            for index, part in enumerate(self.parts)
        ]

    def _cost(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Huber cost of each row."""
        cost = np.zeros(len(rows))
        for first in range(0, len(rows), self.batch.count):
            some = slice(first, first + self.batch.count)
            for residuals in self._residuals(rows[some]):
                size = np.abs(np.nan_to_num(residuals.values, nan=BLOWN))
                cost[some] += np.where(size < HUBER, 0.5 * size**2, HUBER * (size - 0.5 * HUBER)).sum(axis=1)
        return cost

    def _scan(self, z: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
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

    def _descend(self, z: NDArray[np.float64], free: Sequence[str]) -> NDArray[np.float64]:
        """Fits and sweeps in turn, until no sweep finds a better valley."""
        for _ in range(ROUNDS):
            z = self._fit(self._split_delay(z), free, FINE)
            before = float(self._cost(z[None])[0])
            swept = self._sweep(z, free)
            if not float(self._cost(swept[None])[0]) < before * (1.0 - ROUGH.tolerance):
                return z
            z = swept
        return self._fit(z, free, FINE)

    def _sweep(self, z: NDArray[np.float64], free: Sequence[str]) -> NDArray[np.float64]:
        """Each parameter in turn to the best of several values around its own."""
        for name in free:
            k = NAMES.index(name)
            around = SWEEP if self.start[k] > 0.0 else 5.0 * SWEEP / max(z[k], 0.05)
            rows = np.repeat(z[None], len(SWEEP) + 1, axis=0)
            rows[1:, k] = np.clip(z[k] * (1.0 + around), LOW[k], HIGH[k])
            z = rows[int(np.argmin(self._cost(rows)))]
        return z

    def _split_delay(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """The best split of the whole delay into latency and lag: motor periods make a minimum of each of several."""
        lag, latency = NAMES.index("lag"), NAMES.index("latency")
        pairs = [(z[latency], z[lag])]
        for share in np.arange(0.0, min(z[lag] + z[latency] + 0.5, HIGH[latency]) + 1e-9, 0.5):
            pairs += [(share, z[lag] + z[latency] - share + more) for more in (-0.2, 0.0, 0.2)]
        rows = np.repeat(z[None], len(pairs), axis=0)
        rows[:, [latency, lag]] = np.clip(pairs, LOW[[latency, lag]], HIGH[[latency, lag]])
        return rows[int(np.argmin(self._cost(rows)))]

    def _linear(
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

    def _fit(self, z: NDArray[np.float64], free: Sequence[str], effort: _Effort) -> NDArray[np.float64]:
        """Levenberg and Marquardt with the whole line search in one batch.

        A slipping wheel makes the cost rough on a small scale, so that the differences are taken over what the last
        step moved, forward and backward in turn, and a step is what measured best of several.
        """
        columns = np.array([NAMES.index(name) for name in free])
        begin, best = z[columns].copy(), float(self._cost(z[None])[0])
        reach, failed = WIDE, 0
        for iteration in range(effort.iterations):
            residuals, jacobians = self._linear(z, free, (1.0 if iteration % 2 == 0 else -1.0) * reach)
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
        self.news(f"{len(free)} parameters, cost {best:.0f}, {self.evaluations} candidates simulated")
        return z

    def _respread(self, z: NDArray[np.float64]) -> None:
        """The robust spread of each channel's residuals at z becomes their unit."""
        parts = self._residuals(z[None])
        values = np.concatenate([part.values[0] for part in parts])
        channels = np.concatenate([part.channels for part in parts])
        for channel in range(len(CHANNELS)):
            some = values[channels == channel]
            if some.size:
                self.spread[channel] = max(1.4826 * np.median(np.abs(some)) * self.spread[channel], FLOORS[channel])

    # what the data say about each parameter

    def _errors(self, z: NDArray[np.float64], free: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Standard errors in units of scale and correlations of the free parameters."""
        residuals, jacobians = self._linear(z, free)
        full = np.concatenate(jacobians)
        model = _invert(full.T @ full)
        scores = []
        for part, jacobian in zip(residuals, jacobians, strict=True):
            size = np.abs(part.values[0])
            weighted = part.values[0] * np.where(size > HUBER, HUBER / np.maximum(size, 1e-9), 1.0)
            block = (part.times // BLOCK).astype(int)
            scores += [jacobian[block == b].T @ weighted[block == b] for b in np.unique(block)]
        meat = np.stack(scores).T @ np.stack(scores)
        sandwich = model @ meat @ model
        variance = np.maximum(np.diag(model), np.diag(sandwich))
        errors = np.sqrt(variance)
        unit = np.sqrt(np.diag(model))
        return errors, model / np.outer(unit, unit)

    def _worst(self, z: NDArray[np.float64], free: Sequence[str], errors: NDArray[np.float64]) -> tuple[str, float]:
        """The parameter whose error is largest beside what it may be, and how often that goes into it."""
        columns = [NAMES.index(name) for name in free]
        allowed = SHARE * np.abs(z[columns])
        delay = np.array([name in ("lag", "latency") for name in free])
        allowed[delay] = np.maximum(allowed[delay], DELAY_FLOOR / DELAY_SCALE)
        excess = errors / np.maximum(allowed, 1e-9)
        worst = int(np.argmax(excess))
        return free[worst], float(excess[worst])

    def _conclude(
        self, z: NDArray[np.float64], free: list[str], errors: NDArray[np.float64], reasons: dict[str, str]
    ) -> Fit:
        residuals, jacobians = self._linear(z, free)
        logs = sorted({part.recording for part in self.parts})
        steps, step_errors = [], []
        for log in logs:
            mine = [index for index, part in enumerate(self.parts) if part.recording == log]
            jacobian = np.concatenate([jacobians[index] for index in mine])
            values = np.concatenate([residuals[index].values[0] for index in mine]).clip(-HUBER, HUBER)
            inverse = _invert(jacobian.T @ jacobian)
            steps.append(-inverse @ jacobian.T @ values)
            step_errors.append(np.sqrt(np.diag(inverse)))
        estimates = []
        for k, name in enumerate(NAMES):
            value, before = z[k] * self.scale[k], self.start[k] * self.scale[k]
            if name not in free:
                estimates.append(Estimate(name, before, before, np.inf, False, reasons[name], before, before))
                continue
            at = free.index(name)
            between = between_variance(np.array([s[at] for s in steps]), np.array([e[at] for e in step_errors]))
            half = 2.0 * float(np.sqrt(between + errors[at] ** 2)) * self.scale[k]
            half = max(half, MISSED * value)
            low = max(value - half, LOW[k] * self.scale[k])
            estimates.append(
                Estimate(name, float(value), float(before), float(errors[at] * self.scale[k]), True, "",
                         float(low), float(value + half))
            )  # fmt: skip
        odometry = np.concatenate([part.scales[0] for part in residuals])
        return Fit(
            parameters=np.array([estimate.value for estimate in estimates]),
            estimates=tuple(estimates),
            recordings=tuple(logs),
            seconds=float(sum(part.duration for part in self.parts)),
            odometry_scale=(float(odometry.min(initial=1.0)), float(odometry.max(initial=1.0))),
            spreads=self.spread.copy(),
            evaluations=self.evaluations,
        )


def _invert(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of an information matrix; a direction without information gets a variance of 1e12."""
    values, vectors = np.linalg.eigh(information)
    return (vectors / np.maximum(values, 1e-12)) @ vectors.T


def _reason(name: str, free: Sequence[str], error: float, correlation: NDArray[np.float64]) -> str:
    """Why a parameter cannot be identified."""
    if error > 1e3:
        return "nothing in the recordings depends on it (no wheel slips, or the limit is never reached)"
    row = np.abs(correlation[free.index(name)]).copy()
    row[free.index(name)] = 0.0
    other = int(np.argmax(row))
    if row[other] > 0.9:
        return f"it cannot be told from {free[other]} (correlation {row[other]:.2f})"
    return "its effect drowns in the noise of these recordings"


def between_variance(values: NDArray[np.float64], errors: NDArray[np.float64]) -> float:
    """Variance between recordings of a quantity that each knows with its own standard error (DerSimonian and Laird).

    values, errors: (recordings,). Zero when the recordings differ no more than their errors explain, or are one.
    """
    weight = 1.0 / np.maximum(errors, 1e-12) ** 2
    mean = (weight * values).sum() / weight.sum()
    excess = (weight * (values - mean) ** 2).sum() - (len(values) - 1)
    room = weight.sum() - (weight**2).sum() / weight.sum()
    return float(max(excess / room, 0.0)) if len(values) > 1 and room > 0.0 else 0.0
