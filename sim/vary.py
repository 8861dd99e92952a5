"""What varies: a typed table whose rows say what is drawn, from which range, and what the model must recompute.

A `Row` names a quantity, the distribution of its draws, its range [low, high], the bounds that the range may never
leave, its unit, the model field that it is written to with what must be computed anew afterwards, and a source. A
`Table` is a list of rows that was checked. On a device it is one array `ranges` (rows of the table, 2), which kernels
read at every beginning of an episode: who writes it (sim/ranges.py), as curricula do, changes what later episodes are
like, and nothing is recorded again. Draws are keyed,

    value = between(low, high, draw(seed, term, row, episode, counter))

so that a value depends neither on the number of worlds nor on the order of calls nor on the device (but for the last
bit of a logarithm). Nothing is ever drawn from what was drawn before: values are written over stored defaults
(sim/variedfields.py), so nothing compounds.

    uniform       low + (high - low) u; a range about zero is drawn from its middle, exactly symmetric
    log_uniform   low (high / low)^u
    normal        mean in the middle, three standard deviations to each end, never beyond (the bell of `randomization`)
    choice        the whole numbers from low to high
    bernoulli     1 with the chance (low + high) / 2, else 0

The rows of a plant stand in sim/varied.py, those of a task beside the task.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.errors import MusterError, nearest
from sim.fields import FIELDS, Recompute
from sim.randomization import Term, bell, below, draw_from, stream, unit

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

Distribution = Literal["uniform", "log_uniform", "normal", "choice", "bernoulli"]
Operation = Literal["", "scale", "add", "load"]

DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)
"""Their numbers in kernels are their places here."""

PIN_SHARE = 0.5
"""Share of the episodes of a curriculum that are pinned to a boundary (Akkaya et al. 2019, boundary sampling)."""

LOG_UNIFORM_C = wp.constant(DISTRIBUTIONS.index("log_uniform"))
NORMAL_C = wp.constant(DISTRIBUTIONS.index("normal"))
CHOICE_C = wp.constant(DISTRIBUTIONS.index("choice"))
BERNOULLI_C = wp.constant(DISTRIBUTIONS.index("bernoulli"))
PIN_C = wp.constant(PIN_SHARE)
PIN_TERM = wp.constant(int(Term.CURRICULUM))
NOT_PINNED = wp.constant(-1)


class VaryError(MusterError):
    """A row of the randomization is not as it must be."""


@dataclass(frozen=True)
class Row:
    """One quantity that varies."""

    term: Term
    """Key of its draws."""
    name: str
    distribution: Distribution
    low: float
    high: float
    unit: str
    field: str
    """Model field that follows from it (`sim.fields.FIELDS`); empty where only kernels of ours read the value."""
    recompute: Recompute
    """What must be computed anew after the field was written."""
    source: str
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """Where low and high must lie, whoever sets them."""
    counter: int = 0
    """Number of the draw in the term's stream."""
    nominal: float | None = None
    """The value of an undisturbed robot, from which curricula widen; None: the middle of the range."""
    drawn: bool = True
    """Once for each robot and episode, into `VaryArrays.values`; else where it is used (for each person, each axis)."""
    operation: Operation = ""
    """What the value does to the field's stored default; empty: a kernel of ours computes the field. `load` adds that
    share of the payload to a robot's mass, beside whatever else writes it."""
    component: int = -1
    """Of a vector field; -1 for all of them."""

    @property
    def start(self) -> float:
        """Where a curriculum begins."""
        if self.nominal is not None:
            return min(max(self.nominal, self.low), self.high)
        middle = 0.5 * (self.low + self.high)
        return float(round(middle)) if self.distribution == "choice" else middle

    @property
    def varies(self) -> bool:
        """Whether the range is more than a point."""
        return self.high > self.low

    @property
    def neutral(self) -> bool:
        """Whether an operation changes nothing."""
        rest = 1.0 if self.operation == "scale" else 0.0
        return self.operation != "" and self.low == self.high == rest


@dataclass(frozen=True)
class Change:
    """What a configuration or a file says of a row; None: as it was."""

    name: str
    low: float | None = None
    high: float | None = None
    distribution: Distribution | None = None


@dataclass(frozen=True)
class Variation:
    """What a task's configuration says about its table; `vary` makes one."""

    level: float = 1.0
    """0 switches sensor errors, payload, latency and motor lag off; between 0 and 1 their ranges shrink."""
    changes: tuple[Change, ...] = ()
    """Later ones win."""

    def also(self, changes: Sequence[Change]) -> Variation:
        """With more changes."""
        return replace(self, changes=(*self.changes, *changes))


def vary(level: float = 1.0, **ranges: float | tuple[float, float]) -> Variation:
    """Ranges (low, high) of rows by name, or one number where nothing varies.

    For example `vary(stall_share=0.0, friction=(0.5, 0.6))`.
    """
    changes = []
    for name, given in ranges.items():
        low, high = given if isinstance(given, tuple) else (given, given)
        changes.append(Change(name, float(low), float(high)))
    return Variation(level, tuple(changes))


def nominal(rows: Iterable[Row]) -> tuple[Change, ...]:
    """Changes after which nothing varies: rows at nominal values, or in mid-range without one; a chance stays one."""
    values = [(row.name, row.start if row.nominal is None else row.nominal) for row in rows]
    return tuple(Change(name, value, value) for name, value in values)


@dataclass(frozen=True)
class Table:
    """Rows that were checked. Raises VaryError for the first thing that is wrong with them."""

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            for text in faults(row):
                raise VaryError(f"randomization: {row.name}: {text}")
        _check_twice(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def index(self, name: str) -> int:
        """The row's number in `ranges`. Raises VaryError for a name that no row has."""
        for number, row in enumerate(self.rows):
            if row.name == name:
                return number
        raise VaryError(
            f'randomization: expected the name of a row, got "{name}"{nearest(name, [row.name for row in self.rows])}'
        )

    def row(self, name: str) -> Row:
        """The row of that name. Raises VaryError where there is none."""
        return self.rows[self.index(name)]

    def changed(self, changes: Sequence[Change]) -> Table:
        """The table after some changes, one after the other. Raises VaryError as the constructor does."""
        rows = list(self.rows)
        for change in changes:
            number = self.index(change.name)
            given = {name: getattr(change, name) for name in ("low", "high", "distribution")}
            rows[number] = replace(rows[number], **{name: value for name, value in given.items() if value is not None})
        return Table(tuple(rows))

    def ranges(self) -> NDArray[np.float32]:
        """[low, high] of each row, (rows, 2)."""
        return np.array([(row.low, row.high) for row in self.rows], np.float32).reshape(-1, 2)


def faults(row: Row) -> list[str]:
    """Everything that is wrong with a row: what was expected, what came, what to do."""
    low, high, (least, most) = row.low, row.high, row.bounds
    shown = f" {row.unit}" if row.unit not in ("", "1") else ""
    found = []
    if not re.fullmatch(r"[a-z][a-z0-9_]*", row.name):
        found.append(f'expected a name of small letters, got "{row.name}"; rename it')
    if row.distribution not in DISTRIBUTIONS:
        text = nearest(row.distribution, DISTRIBUTIONS)
        return [*found, f'distribution: expected {", ".join(DISTRIBUTIONS)}, got "{row.distribution}"{text}']
    for end, value in (("low", low), ("high", high)):
        if not (math.isfinite(value) and least <= value <= most):
            found.append(f"{end}: expected a number from {least:g} to {most:g}{shown}, got {value:g}; correct it")
    if found:
        return found  # the rules below compute with these numbers
    if low > high:
        found.append(f"expected low <= high, got {low:g} > {high:g}; exchange them")
    if row.distribution == "log_uniform" and low <= 0.0:
        found.append(f"low: expected a number above 0 for log_uniform, got {low:g}; take uniform or raise it")
    if row.distribution == "choice" and (low != round(low) or high != round(high)):
        found.append(f"expected whole numbers for choice, got {low:g} to {high:g}; round them")
    if row.distribution == "bernoulli" and not (low >= 0.0 and high <= 1.0):
        found.append(f"expected a chance from 0 to 1, got {low:g} to {high:g}; correct it")
    if row.nominal is not None and not least <= row.nominal <= most:
        found.append(f"nominal: expected a number from {least:g} to {most:g}{shown}, got {row.nominal:g}; correct it")
    if not row.source:
        found.append("source: expected where the numbers come from, got nothing; state it")
    if row.field and row.field not in FIELDS:
        found.append(
            f'field: expected a model field that may differ between worlds, got "{row.field}"'
            f"{nearest(row.field, FIELDS)}"
        )
    elif row.field and FIELDS[row.field].recompute & ~row.recompute:
        needed = FIELDS[row.field].recompute
        found.append(
            f"recompute: {row.field} needs {needed.name}, got {row.recompute.name}: physics would go on with stale "
            f"constants; write {needed.name}"
        )
    elif row.operation and not row.field:
        found.append(f'field: expected the model field to {row.operation}, got ""; name it')
    return found


def _check_twice(rows: Sequence[Row]) -> None:
    names: set[str] = set()
    keys: dict[tuple[Term, int], str] = {}
    written: dict[tuple[str, int], str] = {}
    for row in rows:
        if row.name in names:
            raise VaryError(f"randomization: {row.name}: the row stands twice; keep one")
        names.add(row.name)
        key = (row.term, row.counter)
        if row.drawn and key in keys:
            raise VaryError(
                f"randomization: {row.name}: its draws are those of {keys[key]} ({row.term.name}, counter "
                f"{row.counter}), so that both would be equal; give it another counter"
            )
        keys[key] = row.name
        if row.operation and row.operation != "load":
            for component in (row.component, -1) if row.component >= 0 else range(-1, 9):
                if (row.field, component) in written:
                    other = written[row.field, component]
                    raise VaryError(f"randomization: {row.name}: {other} writes {row.field} too; keep one of them")
            written[row.field, row.component] = row.name


# on the device ------------------------------------------------------------------------------------------------------


@wp.struct
class VaryArrays:
    """A table as kernels read it, and what was drawn from it."""

    ranges: wp.array2d(dtype=wp.float32)
    """[low, high], (rows of the table, 2); written by curricula."""
    kinds: wp.array(dtype=wp.int32)
    """Distribution of each row of the table."""
    keys: wp.array2d(dtype=wp.int32)
    """Term and counter, (rows of the table, 2); term -1: drawn elsewhere."""
    edges: wp.array(dtype=wp.int32)
    """How many boundaries episodes may be pinned to, then those: 2 k for the low end of row k, 2 k + 1 for the high."""
    values: wp.array2d(dtype=wp.float32)
    """Drawn for the episode of each robot, (rows of robots, rows of the table)."""
    pinned: wp.array(dtype=wp.int32)
    """The boundary that each robot's episode is pinned to; -1 for none."""


def make_arrays(table: Table, rows: int, device: str) -> VaryArrays:
    """The table on a device for `rows` rows of robots; values are those that curricula start from."""
    arrays = VaryArrays()
    keys = [(int(row.term) if row.drawn else -1, row.counter) for row in table]
    start = np.array([row.start for row in table], np.float32)
    arrays.ranges = wp.array(table.ranges(), dtype=wp.float32, device=device)
    arrays.kinds = wp.array(
        np.array([DISTRIBUTIONS.index(row.distribution) for row in table], np.int32), dtype=wp.int32, device=device
    )
    arrays.keys = wp.array(np.array(keys, np.int32).reshape(-1, 2), dtype=wp.int32, device=device)
    arrays.edges = wp.zeros(2 * len(table) + 1, dtype=wp.int32, device=device)
    arrays.values = wp.array(np.tile(start, (rows, 1)), dtype=wp.float32, device=device)
    arrays.pinned = wp.full(rows, -1, dtype=wp.int32, device=device)
    return arrays


@wp.func
def between(kind: int, low: float, high: float, bits: wp.uint32) -> float:
    """A value of a range; `kind` is the distribution's number."""
    if kind == CHOICE_C:
        return low + float(below(bits, int(high - low) + 1))
    if kind == BERNOULLI_C:
        return wp.where(unit(bits) < 0.5 * (low + high), 1.0, 0.0)
    if low == high:
        return low
    if kind == NORMAL_C:
        return wp.clamp(0.5 * (low + high) + (high - low) / 6.0 * bell(bits), low, high)
    if kind == LOG_UNIFORM_C:
        return wp.clamp(low * wp.exp(unit(bits) * wp.log(high / low)), low, high)
    if low + high == 0.0:
        return high * (2.0 * unit(bits) - 1.0)
    return low + (high - low) * unit(bits)


@wp.func
def drawn(vary: VaryArrays, k: int, row: int, bits: wp.uint32) -> float:
    """A value of row k of the table in the episode of a robot's row: from the range, or its end that is pinned."""
    low = vary.ranges[k, 0]
    high = vary.ranges[k, 1]
    pin = vary.pinned[row]
    if pin == 2 * k:
        high = low
    if pin == 2 * k + 1:
        low = high
    return between(vary.kinds[k], low, high, bits)


@wp.func
def draw_episode(seed: int, row: int, episode: int, vary: VaryArrays) -> None:
    """What the episode of a robot's row is like: whether it is pinned, and a value for each row of the table."""
    count = vary.edges[0]
    vary.pinned[row] = NOT_PINNED
    if count > 0:
        key = stream(seed, PIN_TERM, row, episode)
        if unit(draw_from(key, 0)) < PIN_C:
            vary.pinned[row] = vary.edges[1 + below(draw_from(key, 1), count)]
    for k in range(vary.keys.shape[0]):
        if vary.keys[k, 0] >= 0:
            bits = draw_from(stream(seed, vary.keys[k, 0], row, episode), vary.keys[k, 1])
            vary.values[row, k] = drawn(vary, k, row, bits)


@wp.kernel
def draw_episodes(
    seed: int, episode: wp.array(dtype=wp.int32), mask: wp.array(dtype=wp.uint8), vary: VaryArrays
) -> None:
    """`draw_episode` for the masked rows."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        draw_episode(seed, row, episode[row], vary)
