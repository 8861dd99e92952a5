"""Ranges in a file, read strictly: what a run says of the table of what varies.

    muster: 1
    rows:
      friction: {low: 0.3, high: 0.8}
      payload: {high: 20}
      latency: {low: 1, high: 2}
      motor_strength: {low: 0.9, high: 1.1, distribution: normal}

What a row leaves out stays as it is. One file may speak of several tables (the levels of a hierarchy): each takes the
rows that it has. A name that none of them has, a range out of the row's bounds or turned round is one line with
file and line number.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import cast

import yaml

from sim.strictyaml import Reader
from sim.vary import DISTRIBUTIONS, Change, Distribution, Table, VaryError

EXAMPLE = "{friction: {low: 0.3, high: 0.8}, payload: {high: 20}}"
"""Of what stands under `rows`, for messages."""


def read_changes(path: Path, table: Table, elsewhere: Collection[str] = ()) -> tuple[Change, ...]:
    """What a file says of the rows of a table; raises VaryError, or FileError when it cannot be read.

    It may also name rows of other tables, `elsewhere`, which are passed over.
    """
    reader = Reader(path, VaryError)
    root = reader.root(required=("rows",), optional=())
    own = {row.name for row in table}
    names = (*(row.name for row in table), *(name for name in elsewhere if name not in own))
    changes = []
    if not isinstance(root["rows"], yaml.MappingNode):
        came = "a list" if isinstance(root["rows"], yaml.SequenceNode) else "something else"
        raise reader.fault(
            root["rows"], f"rows: expected a mapping of names to ranges, got {came}; write rows: {EXAMPLE}"
        )
    for name, node in reader.keys(root["rows"], "rows", optional=names).items():
        if name not in own:
            continue
        parts = reader.keys(node, name, optional=("low", "high", "distribution"))
        if not parts:
            raise reader.fault(node, f"{name}: expected low, high or distribution, got nothing; write one or leave it")
        low, high = (reader.number(parts[end], f"{name}: {end}") if end in parts else None for end in ("low", "high"))
        kind = None
        if "distribution" in parts:
            kind = cast(Distribution, reader.choice(parts["distribution"], f"{name}: distribution", DISTRIBUTIONS))
        change = Change(name, low, high, kind)
        try:
            table.changed([change])
        except VaryError as error:
            raise reader.fault(node, str(error).removeprefix("randomization: ")) from error
        changes.append(change)
    return tuple(changes)


def show(table: Table) -> str:
    """The table as text, one line a row; `*`: drawn elsewhere than once an episode (for each person, each axis)."""
    head = ("term", "name", "distribution", "low", "high", "unit", "field", "recompute", "bounds", "source")
    lines: list[tuple[str, ...]] = [head]
    for row in table:
        name = row.name if row.drawn else f"{row.name} *"
        numbers = (f"{row.low:.6g}", f"{row.high:.6g}")
        field = f"{row.field}[{row.component}]" if row.component >= 0 else row.field or "-"
        recompute = row.recompute.name or "-"
        least, most = row.bounds
        bounds = "-" if math.isinf(least) and math.isinf(most) else f"{least:.6g}..{most:.6g}"
        lines.append((row.term.name, name, row.distribution, *numbers, row.unit, field, recompute, bounds, row.source))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(word.ljust(width) for word, width in zip(line, widths, strict=False)), line[-1]]) for line in lines
    )
