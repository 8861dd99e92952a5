"""System identification: which parameters of the wheeled body and its firmware explain what was recorded.

The search is sim/descent.py's: parameters with a threshold are scanned, all are fitted by robust least squares, and the
channels' spreads follow the residuals. Here is what is asked of it, and what its result says.

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

from sim.candidates import NAMES
from sim.descent import DELAY_SCALE, HUBER, LOW, ROUGH, Descent
from sim.errors import MusterError
from sim.openloop import RUN_IN, Drive
from sim.robot import RobotSpec

UNITS: dict[str, str] = dict(zip(NAMES, ("m", "m", "kg", "1", "m/s^2", "m/s^2", "rad/s^2", "s", "s"), strict=True))
"""Of each parameter."""

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

SCANNED = ("latency", "accel", "brake", "turn_accel", "traction")
"""Parameters that are scanned before the fit, in this order."""

MOVES = 0.01
"""A piece whose commands stay below this, m/s and rad/s, tells nothing."""


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
    parts = pieces(drives, seconds)
    search = Descent(spec, parts, threads, news)
    torque = any(part.torques is not None for part in parts)
    z = search.scan(search.start.copy(), SCANNED)
    free = [name for name in NAMES if name != "mass" or torque]
    reasons = {} if torque else {"mass": "no torques were recorded: motion alone shows only force over mass"}
    z = search.fit(z, free, ROUGH)
    search.respread(z)
    z = search.fit(search.split_delay(z), free, ROUGH)
    z = search.scan(z, ("traction",))  # a slip shows once the rest is about right
    while True:
        search.respread(z)
        z = search.descend(z, free)
        errors, correlation = _errors(search, z, free)
        worst, excess = _worst(z, free, errors)
        if excess <= 1.0 or len(free) == 1:
            break
        reasons[worst] = _reason(worst, free, errors[free.index(worst)], correlation)
        news(f"{worst} cannot be told from these recordings: {reasons[worst]}")
        free.remove(worst)
        z[NAMES.index(worst)] = search.start[NAMES.index(worst)]
    return _conclude(search, z, free, errors, reasons)


def _errors(
    search: Descent, z: NDArray[np.float64], free: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors in units of scale and correlations of the free parameters."""
    residuals, jacobians = search.linear(z, free)
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


def _worst(z: NDArray[np.float64], free: Sequence[str], errors: NDArray[np.float64]) -> tuple[str, float]:
    """The parameter whose error is largest beside what it may be, and how often that goes into it."""
    columns = [NAMES.index(name) for name in free]
    allowed = SHARE * np.abs(z[columns])
    delay = np.array([name in ("lag", "latency") for name in free])
    allowed[delay] = np.maximum(allowed[delay], DELAY_FLOOR / DELAY_SCALE)
    excess = errors / np.maximum(allowed, 1e-9)
    worst = int(np.argmax(excess))
    return free[worst], float(excess[worst])


def _conclude(
    search: Descent, z: NDArray[np.float64], free: list[str], errors: NDArray[np.float64], reasons: dict[str, str]
) -> Fit:
    residuals, jacobians = search.linear(z, free)
    logs = sorted({part.recording for part in search.parts})
    steps, step_errors = [], []
    for log in logs:
        mine = [index for index, part in enumerate(search.parts) if part.recording == log]
        jacobian = np.concatenate([jacobians[index] for index in mine])
        values = np.concatenate([residuals[index].values[0] for index in mine]).clip(-HUBER, HUBER)
        inverse = _invert(jacobian.T @ jacobian)
        steps.append(-inverse @ jacobian.T @ values)
        step_errors.append(np.sqrt(np.diag(inverse)))
    estimates = []
    for k, name in enumerate(NAMES):
        value, before = z[k] * search.scale[k], search.start[k] * search.scale[k]
        if name not in free:
            estimates.append(Estimate(name, before, before, np.inf, False, reasons[name], before, before))
            continue
        at = free.index(name)
        between = between_variance(np.array([s[at] for s in steps]), np.array([e[at] for e in step_errors]))
        half = 2.0 * float(np.sqrt(between + errors[at] ** 2)) * search.scale[k]
        half = max(half, MISSED * value)
        low = max(value - half, LOW[k] * search.scale[k])
        estimates.append(
            Estimate(name, float(value), float(before), float(errors[at] * search.scale[k]), True, "",
                     float(low), float(value + half))
        )  # fmt: skip
    odometry = np.concatenate([part.scales[0] for part in residuals])
    return Fit(
        parameters=np.array([estimate.value for estimate in estimates]),
        estimates=tuple(estimates),
        recordings=tuple(logs),
        seconds=float(sum(part.duration for part in search.parts)),
        odometry_scale=(float(odometry.min(initial=1.0)), float(odometry.max(initial=1.0))),
        spreads=search.spread.copy(),
        evaluations=search.evaluations,
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
