"""The tables of `muster validate-sim`, for the console and as a page that loads nothing."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fleet.charts import Line, line_chart
from fleet.sheet import card, cards, sheet, table
from fleet.validate import SHOWN, UNITS, conclusions
from sim.sysid import UNITS as PARAMETER_UNITS

if TYPE_CHECKING:
    from fleet.validate import Validation

COLOURS = ("var(--b)", "var(--a)")
"""Of the specification and the refit."""


def tables(found: Validation) -> list[Table]:
    """Errors by horizon and channel, then the parameters."""
    both = found.fit is not None
    errors = Table(title=f"open-loop error of {found.spec.name} by horizon, RMS", caption=found.split, box=SIMPLE_HEAD)
    for name in error_head(found):
        errors.add_column(name, justify="left" if name in ("channel", "") else "right", no_wrap=True)
    for row in error_rows(found):
        errors.add_row(*row)
    if not both:
        return [errors]
    parameters = Table(title="parameters", box=SIMPLE_HEAD)
    for name in PARAMETER_HEAD:
        parameters.add_column(name, justify="left" if name == "parameter" else "right", no_wrap=True)
    for row in parameter_rows(found):
        parameters.add_row(*row)
    return [errors, parameters]


def page(found: Validation, title: str) -> str:
    """The page of one validation."""
    answer = "".join(f"<p>{html.escape(line)}</p>" for line in conclusions(found))
    errors = table(error_head(found), error_rows(found))
    shown = [card("Answer", answer, wide=True), card("Open-loop error, RMS", errors, wide=True)]
    if found.fit is not None:
        shown.append(card("Parameters", table(PARAMETER_HEAD, parameter_rows(found)), wide=True))
    shown += [card(f"{name}, {unit}", chart) for name, unit, chart in _charts(found) if chart]
    return sheet(f"muster validate-sim {title}", f"Is this my robot? {found.spec.name}", title, cards(shown))


def _measured(found: Validation) -> list[int]:
    """Channels that were recorded."""
    return [k for k in range(len(SHOWN)) if any(not math.isnan(one.rms[0, k]) for one in found.errors)]


def error_head(found: Validation) -> list[str]:
    """Names of the columns: a horizon each."""
    return ["channel", "", *(f"{one.horizon:g} s" for one in found.errors)]


def error_rows(found: Validation) -> list[list[str]]:
    """Rows of each channel: the specification, and the refit where there is one."""
    rows = []
    for k in _measured(found):
        for row, name in enumerate(SETS[: len(found.errors[0].rms)]):
            cells = [_number(float(one.rms[row, k])) for one in found.errors]
            rows.append([f"{SHOWN[k]}, {UNITS[k]}" if row == 0 else "", name, *cells])
    return [*rows, ["starts", "", *(str(one.starts) for one in found.errors)]]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


SETS = ("specified", "refitted")
PARAMETER_HEAD = ("parameter", "specified", "refitted", "error", "low", "high")


def parameter_rows(found: Validation) -> list[list[str]]:
    """One row for each parameter."""
    rows = []
    for one in found.fit.estimates if found.fit is not None else ():
        unit = PARAMETER_UNITS[one.name]
        row = [one.name if unit == "1" else f"{one.name}, {unit}", f"{one.before:.4g}"]
        known = [f"{one.value:.4g}", f"{one.error:.1g}", f"{one.low:.4g}", f"{one.high:.4g}"]
        rows.append(row + (known if one.identifiable else ["-", "-", "-", "-"]))
    return rows


def _charts(found: Validation) -> list[tuple[str, str, str]]:
    """RMS over the horizon of each channel: name, unit, SVG."""
    charts = []
    for k in _measured(found):
        driven = [one for one in found.errors if one.starts and all(math.isfinite(v) for v in one.rms[:, k].tolist())]
        lines = [
            Line(name, [one.horizon for one in driven], [float(one.rms[row, k]) for one in driven], colour, dots=True)
            for row, (name, colour) in enumerate(zip(SETS, COLOURS, strict=True))
            if row < (2 if found.fit is not None else 1)
        ]
        chart = line_chart(lines, "horizon, s", f"{SHOWN[k]}, {UNITS[k]}")
        charts.append((SHOWN[k], UNITS[k], chart))
    return charts
