"""Who does which task: all free robots and the most pressing tasks at once, at the least total cost.

    cost(task, robot) = cells to travel to the task's first leg - URGENCY * level(task)

where the travel distance is the true one (the floor's distance field, one-way aisles included) and the level is
`lifecycle.level`, by which the store ranks its queue: priority + waiting time / AGEING + 1 if the deadline is near. A
level is worth as many cells as a robot drives in the time in which one is gained by waiting. So a task that waits
outbids every nearer one in the end, and none starves.

A pair is possible when the robot has the capability, carries the payload, can reach all legs, and its battery lasts for
them with the reserve. Each robot keeps its NEAREST cheapest tasks and a stand-in for "none", and the sparse bipartite
matching of least weight is exact on what is left (Jonker-Volgenant as in scipy). Where the matching would be too large
for a tick, the cheapest pairs are taken greedily.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from coordination.lifecycle import TaskRecord, level
from coordination.roadmap import FAR, Fields

URGENCY = 60
"""Cells that one level of priority is worth: what a robot drives in AGEING, at a cell a second."""

NEAREST = 16
"""Tasks that each robot keeps."""

LARGE = 20_000
"""Pairs above which the matching is greedy: the exact one takes some 20 ms there."""

NO_TASK = 1e6
"""Cost of staying without a task: more than any possible pair's, so that no robot idles while it could work."""


@dataclass(frozen=True)
class Candidate:
    """A robot that is free."""

    robot: str
    cell: int
    """From here it would start"""
    battery: float = 1.0
    payload_max: float = 0.0
    """kg"""
    capabilities: frozenset[str] = frozenset()
    given_up: frozenset[str] = frozenset()
    """Tasks that it gave up lately: others shall try those first"""


@dataclass(frozen=True)
class Energy:
    """What travelling costs the battery, as shares of a full one."""

    per_cell: float = 1.2e-4
    """Four times what 1.2 m at 0.8 m/s take (110 J of 3.8 MJ, sim/battery.py), for loads and what goes wrong."""
    reserve: float = 0.15
    """What must be left at the end of a task, to reach a charger and wait for it."""


@dataclass(frozen=True)
class Match:
    """A task for a robot."""

    task: str
    robot: str


def assign(
    records: Sequence[TaskRecord], candidates: Sequence[Candidate], fields: Fields, now: int, energy: Energy
) -> list[Match]:
    """Pairs of least total cost, each robot and each task at most once, in the order of the candidates."""
    if not records or not candidates:
        return []
    cost = costs(records, candidates, fields, now, energy)
    kept = _cheapest(cost)
    chosen = _greedy(cost, kept) if kept.sum() > LARGE else _exact(cost, kept)
    return [Match(records[task].task.id, candidates[row].robot) for row, task in chosen]


def costs(
    records: Sequence[TaskRecord], candidates: Sequence[Candidate], fields: Fields, now: int, energy: Energy
) -> NDArray[np.float64]:
    """Cost of each pair in cells, (candidates, records); infinite where it is not possible."""
    cells = np.array([candidate.cell for candidate in candidates], np.int64)
    battery = np.array([candidate.battery for candidate in candidates])
    payload = np.array([candidate.payload_max for candidate in candidates])
    cost = np.full((len(candidates), len(records)), np.inf)
    for column, record in enumerate(records):
        legs = record.task.legs
        if not legs:
            cost[:, column] = 0.0
            continue
        way = fields.matrix[fields.slot(legs[0].cell)][cells].astype(np.float64)
        possible = (way < FAR) & (payload >= record.task.payload)
        between = 0.0
        for start, end in pairwise(legs):
            part = int(fields.matrix[fields.slot(end.cell), start.cell])
            between += part if part < FAR else np.inf
        possible &= battery >= (way + between) * energy.per_cell + energy.reserve
        possible &= np.array([record.task.id not in candidate.given_up for candidate in candidates])
        if record.task.capability:
            possible &= np.array([record.task.capability in candidate.capabilities for candidate in candidates])
        cost[:, column] = np.where(possible, way - URGENCY * level(record, now), np.inf)
    return cost


def _cheapest(cost: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The pairs that are kept: each robot's NEAREST cheapest possible ones."""
    kept = np.isfinite(cost)
    if cost.shape[1] > NEAREST:
        ranks = np.argsort(np.argsort(cost, axis=1, kind="stable"), axis=1, kind="stable")
        kept &= ranks < NEAREST
    return kept


def _exact(cost: NDArray[np.float64], kept: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Least-weight matching; every robot has a stand-in column for "none", so that a full matching exists."""
    robots, tasks = cost.shape
    rows, columns = np.nonzero(kept)
    # An absent entry is no edge, so weights must not be 0: all are shifted above it, which changes no comparison.
    shift = 1.0 - (cost[rows, columns].min() if len(rows) else 0.0)
    weight = np.concatenate([cost[rows, columns] + shift, np.full(robots, NO_TASK + shift)])
    pairs = (np.concatenate([rows, np.arange(robots)]), np.concatenate([columns, tasks + np.arange(robots)]))
    graph = csr_array((weight, pairs), shape=(robots, tasks + robots))
    matched_rows, matched = min_weight_full_bipartite_matching(graph)
    return [(int(row), int(task)) for row, task in zip(matched_rows, matched, strict=True) if task < tasks]


def _greedy(cost: NDArray[np.float64], kept: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The cheapest pair, then the cheapest of what is left, and so on."""
    rows, columns = np.nonzero(kept)
    order = np.argsort(cost[rows, columns], kind="stable")
    row_taken = np.zeros(cost.shape[0], bool)
    column_taken = np.zeros(cost.shape[1], bool)
    chosen = []
    for index in order:
        row, column = rows[index], columns[index]
        if not row_taken[row] and not column_taken[column]:
            row_taken[row] = column_taken[column] = True
            chosen.append((int(row), int(column)))
    return sorted(chosen)
