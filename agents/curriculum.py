"""Curricula: ranges that grow by measured success, from the undisturbed robot to the whole table.

A curriculum moves the ends of ranges between a row's nominal value n and its [low, high]:

    low' = n + reach_low (low - n),    high' = n + reach_high (high - n),    reach in [0, 1]

`Success` has one reach for all rows and moves it by the share of episodes that succeed. `Adr` is automatic domain
randomization (Akkaya et al., Solving Rubik's Cube with a Robot Hand, arXiv 1910.07113, algorithm 1): each boundary has
a reach and a buffer of its own; half of the episodes are pinned to a boundary, chosen with equal chances, and their
success fills its buffer; a full buffer is emptied, and the boundary moves out where the share reached `widen`, back
where it fell to `narrow`.

The new ranges are written into the array that kernels read when episodes begin: nothing is recorded again, and episodes
under way stay as they are. Those that end after their boundary moved still count for it, which with some steps an
episode is a small lag. Rows without a nominal value stay whole. The state is part of a checkpoint (`state`, `load`).
Held-out checks have environments of their own, with the whole table from the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.errors import CheckpointError, TrainingError
from sim.vary import Row, Table

CurriculumName = Literal["none", "success", "adr"]


class Ranged(Protocol):
    """An environment whose ranges may be written: `sim.env.BatchEnv` with `curriculum`, or a small fake."""

    @property
    def table(self) -> Table:
        """What varies, whole."""
        ...

    def set_ranges(self, ranges: NDArray[np.float32], boundaries: Sequence[int]) -> None:
        """Ranges (rows of the table, 2) of later episodes, and the boundaries that some are pinned to."""
        ...

    def take_counts(self) -> NDArray[np.int64]:
        """Episodes and successes since the last call, (2 rows + 1, 2), by boundary; the last row: not pinned."""
        ...


@dataclass(frozen=True)
class CurriculumConfig:
    """When a curriculum moves."""

    name: CurriculumName = "adr"
    buffer: int = 100
    """Episodes that a decision rests on: the standard error of a share is then at most 0.05. (240 in the paper, which
    had 8 times the episodes to spend on each boundary.)"""
    widen: float = 0.8
    """Share of successes from which a boundary moves out (own choice: below the target of 0.95, which the mean action
    reaches when the drawn one is near 0.8)."""
    narrow: float = 0.5
    """Share down to which it moves back (own choice)."""
    step: float = 0.1
    """How much of the way from nominal to the whole range (own choice: ten moves)."""


class Curriculum:
    """Owns how far each boundary has come and what was seen there, and writes the environments' ranges."""

    def __init__(self, config: CurriculumConfig, table: Table) -> None:
        """Raises TrainingError for thresholds in the wrong order, a buffer of nothing, or a table without a row."""
        if not 0.0 <= config.narrow < config.widen <= 1.0 or not 0.0 < config.step <= 1.0 or config.buffer < 1:
            raise TrainingError(
                "curriculum: expected 0 <= narrow < widen <= 1, a step in (0, 1] and a buffer of 1 or more, got "
                f"narrow {config.narrow:g}, widen {config.widen:g}, step {config.step:g}, buffer {config.buffer}"
            )
        self.config, self.table = config, table
        self.boundaries = [boundary for k, row in enumerate(table) for boundary in _in_play(k, row)]
        """Those that move: 2 k for the low end of row k, 2 k + 1 for the high."""
        if not self.boundaries:
            raise TrainingError("curriculum: expected a row that varies around a nominal value, the table has none")
        self.reach = np.zeros(2 * len(table))
        """How far each boundary has come, in [0, 1]."""
        self.seen = np.zeros((2 * len(table) + 1, 2), np.int64)
        """Episodes and successes in each buffer; the last row: of episodes that were not pinned."""

    def ranges(self) -> NDArray[np.float32]:
        """As they are now, (rows, 2)."""
        return np.array(
            [_between(row, self.reach[2 * k], self.reach[2 * k + 1]) for k, row in enumerate(self.table)], np.float32
        )

    def begin_as(self, other: Curriculum) -> None:
        """Begin where another one ended, with the rows that both have; the others stay where they are."""
        ends = {row.name: other.reach[2 * k : 2 * k + 2] for k, row in enumerate(other.table)}
        for k, row in enumerate(self.table):
            self.reach[2 * k : 2 * k + 2] = ends.get(row.name, self.reach[2 * k : 2 * k + 2])

    def write(self, environments: Sequence[Ranged]) -> None:
        """The ranges as they are now, for later episodes."""
        for environment in environments:
            environment.set_ranges(self.ranges(), self.boundaries if self.config.name == "adr" else ())

    def learn(self, environments: Sequence[Ranged]) -> None:
        """Take in what ended in the last rollout, move what is due, write the ranges where something moved."""
        for environment in environments:
            self.seen += environment.take_counts()
        if self._move_all() if self.config.name == "success" else self._move_each():
            self.write(environments)

    @property
    def progress(self) -> float:
        """Mean reach of the boundaries that move: 1 when the table is whole."""
        return float(self.reach[self.boundaries].mean())

    def figures(self) -> dict[str, float]:
        """Where each range stands, for the journal."""
        ranges = self.ranges()
        moving = sorted({boundary // 2 for boundary in self.boundaries})
        ends = {
            f"range_{self.table.rows[k].name}_{end}": float(ranges[k, side])
            for k in moving
            for side, end in enumerate(("low", "high"))
        }
        return {"curriculum": self.progress, **ends}

    def settings(self) -> dict[str, Any]:  # JSON values
        """What a checkpoint must share with the run that goes on from it."""
        return asdict(self.config)

    def state(self) -> dict[str, NDArray[Any]]:  # arrays of two dtypes
        """Everything that `load` needs to go on exactly."""
        return {"reach": self.reach.copy(), "seen": self.seen.copy()}

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:  # arrays of two dtypes
        """Go on from `state`; `write` then tells the environments. Raises CheckpointError for another table's."""
        if state["reach"].shape != self.reach.shape or state["seen"].shape != self.seen.shape:
            raise CheckpointError(
                f"expected the curriculum of {len(self.table)} rows, the checkpoint has {len(state['reach']) // 2}; "
                "resume with the version of its run"
            )
        self.reach, self.seen = np.array(state["reach"]), np.array(state["seen"])

    def _verdict(self, episodes: int, successes: int) -> float:
        """Which way a full buffer sends its boundary."""
        share = successes / episodes
        return self.config.step * (float(share >= self.config.widen) - float(share <= self.config.narrow))

    def _move_all(self) -> bool:
        episodes, successes = self.seen.sum(axis=0).tolist()
        if episodes < self.config.buffer:
            return False
        self.seen[:] = 0
        before = self.reach.copy()
        self.reach[self.boundaries] = _clipped(self.reach[self.boundaries] + self._verdict(episodes, successes))
        return bool((self.reach != before).any())

    def _move_each(self) -> bool:
        before = self.reach.copy()
        for boundary in self.boundaries:
            episodes, successes = self.seen[boundary].tolist()
            if episodes >= self.config.buffer:
                self.seen[boundary] = 0
                self.reach[boundary] = _clipped(self.reach[boundary] + self._verdict(episodes, successes))
        self.seen[-1] = 0
        return bool((self.reach != before).any())


def _clipped(reach: Any) -> Any:  # a number or an array
    """Within [0, 1], on a grid of 1e-9 so that ten steps of 0.1 are 1."""
    return np.clip(np.round(reach, 9), 0.0, 1.0)


def _in_play(k: int, row: Row) -> list[int]:
    """The boundaries of a row that a curriculum moves."""
    if row.nominal is None:
        return []
    return [2 * k] * (row.low < row.nominal) + [2 * k + 1] * (row.high > row.nominal)


def _between(row: Row, reach_low: float, reach_high: float) -> tuple[float, float]:
    """The range of a row at some reach. Where [low, high] lies to one side of nominal, both ends move together."""
    if row.nominal is None:
        return row.low, row.high
    middle = row.nominal
    low = middle + (reach_low if row.low < middle else reach_high) * (row.low - middle)
    high = middle + (reach_high if row.high > middle else reach_low) * (row.high - middle)
    if row.distribution == "choice":  # whole numbers, no wider than said
        return float(np.ceil(low - 1e-9)), float(np.floor(high + 1e-9))
    return low, high
