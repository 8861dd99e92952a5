"""What a wrong observation may look like: corruptions of an observation's fields that know no sensor and no robot.

A guard that only knows good observations takes a small skew for a rare good one. It is therefore shown the same
observations corrupted (outlier exposure: Hendrycks, Mazeika and Dietterich, 2019), by operations that need nothing but
a contract's fields: order, scale, offset, sign, curve, noise, loss, confusion with another place, and three of time
(frozen, late, from elsewhere). They are made on fields, not on readings: what a real fault of a sensor does to an
observation is another mixture of these, and is not listed here on purpose.

A window is WINDOW observations of one robot, the newest last, (rows, WINDOW, n); what comes out is the newest two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

WINDOW = 8
"""Observations that a corruption may choose from: late by up to six steps, 0.6 s."""

GROUPS = 24
"""Corruptions in one batch: each is drawn once for its share of the rows, which keeps the drawing cheap."""

ALL_FIELDS = 0.15
"""Share of the corruptions that touch every field: a robot that is another one."""

ONSET = 0.4
"""Share of the corruptions that have just begun: the observation before is still sound."""

Fields = Mapping[str, slice]
Rows = NDArray[np.float32]
Operation = Callable[[Rows, np.random.Generator], Rows]
"""A field (rows, steps, size) -> the same, corrupted alike in every step."""


def corrupt(window: Rows, fields: Fields, spread: Rows, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """The newest observation and the one before, each (rows, n), wrong in one of many ways.

    Args:
        window: (rows, WINDOW, n), in random order of rows. fields: where each field lies. spread: standard deviation
        of each number, (n,), the size of offsets and noise.
    """
    newest, before = window[:, -1].copy(), window[:, -2].copy()
    for rows in np.array_split(np.arange(len(window)), GROUPS):
        if len(rows):
            newest[rows], before[rows] = _one(window[rows], fields, spread, generator)
    return newest, before


def _one(window: Rows, fields: Fields, spread: Rows, generator: np.random.Generator) -> tuple[Rows, Rows]:
    names = list(fields)
    some = names if generator.random() < ALL_FIELDS else _subset(names, generator)
    onset = generator.random() < ONSET
    kind = generator.random()
    pair = window[:, -2:].copy()
    if kind < 0.3:
        pair = _timed(window, [fields[name] for name in some], generator)
    elif kind < 0.36:  # numbers one place further, all of them or from a field on: another order of the fields
        begin = fields[some[0]].start if generator.random() < 0.5 else 0
        pair[..., begin:] = np.roll(pair[..., begin:], int(generator.integers(1, 6)), -1)
    else:
        for name in some:
            at = fields[name]
            operation = OPERATIONS[int(generator.integers(len(OPERATIONS)))]
            pair[..., at] = _noisy(pair[..., at], spread[at], generator) if operation is None else (
                operation(pair[..., at], generator)
            )  # fmt: skip
            if generator.random() < 0.25:
                pair[..., at] += (generator.normal(0.0, 1.5, pair[:, :1, at].shape[-1]) * spread[at]).astype(np.float32)
    if onset:
        pair[:, 0] = window[:, -2]
    return pair[:, 1], pair[:, 0]


def _subset(names: list[str], generator: np.random.Generator) -> list[str]:
    many = 1 if generator.random() < 0.6 else int(generator.integers(2, len(names) + 1))
    return [names[index] for index in generator.choice(len(names), min(many, len(names)), replace=False)]


def _timed(window: Rows, places: Sequence[slice], generator: np.random.Generator) -> Rows:
    """Fields of another time, or of another robot at another time, beside the others of now."""
    pair, late = window[:, -2:].copy(), int(generator.integers(1, window.shape[1] - 1))
    kind = generator.integers(3)
    other = window[generator.permutation(len(window))] if kind == 2 else window
    for at in places:
        if kind == 0:  # frozen
            pair[..., at] = window[:, -2 - late % 3, at][:, None]
        elif kind == 1:  # late
            pair[..., at] = window[:, -2 - late : window.shape[1] - late, at]
        else:
            pair[..., at] = other[:, -2:, at]
    return pair


def _permuted(values: Rows, generator: np.random.Generator) -> Rows:
    size = values.shape[-1]
    kind = generator.integers(3)
    if kind == 0:
        return values[..., ::-1]
    if kind == 1:
        return np.roll(values, int(generator.integers(1, max(size, 2))), -1)
    return values[..., generator.permutation(size)]


def _scaled(values: Rows, generator: np.random.Generator) -> Rows:
    factor = np.exp(generator.choice([-1.0, 1.0]) * generator.uniform(0.1, 1.5))
    return (values * factor).astype(np.float32)


def _turned(values: Rows, generator: np.random.Generator) -> Rows:
    which = generator.random(values.shape[-1]) < generator.choice([0.3, 1.0])
    return np.where(which, -values, values)


def _bent(values: Rows, generator: np.random.Generator) -> Rows:
    """Another curve between 0 and 1: of a share s, s / (s + (1 - s) c)."""
    factor = np.exp(generator.choice([-1.0, 1.0]) * generator.uniform(0.1, 1.5))
    share = np.clip(values, 0.0, 1.0)
    return np.where(
        (values >= 0.0) & (values <= 1.0), share / np.maximum(share + (1.0 - share) * factor, 1e-6), values * factor
    ).astype(np.float32)


def _lost(values: Rows, generator: np.random.Generator) -> Rows:
    """A share of the numbers, scattered or side by side, reads one value."""
    size, share = values.shape[-1], generator.uniform(0.1, 1.0)
    which = generator.random((len(values), 1, size)) < share
    if generator.random() < 0.5:
        begin = generator.integers(size)
        which = np.zeros((1, 1, size), bool)
        which[..., np.arange(begin, begin + max(1, round(share * size))) % size] = True
    value = generator.choice([0.0, 1.0, float(np.median(values)), float(values.min()), float(values.max())])
    return np.where(which, np.float32(value), values)


def _noisy(values: Rows, spread: Rows, generator: np.random.Generator) -> Rows:
    size = np.exp(generator.uniform(np.log(0.1), np.log(2.0)))
    return (values + generator.normal(0.0, size, values.shape) * spread).astype(np.float32)


OPERATIONS: tuple[Operation | None, ...] = (_permuted, _scaled, _turned, _bent, _lost, None)
"""None stands for noise, which needs the spread."""
