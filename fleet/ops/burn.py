"""Alerts on how fast an error budget burns, over several windows (Google's SRE workbook, chapter 5).

A service level objective allows a share of errors over a period: its budget. An alert fires when a share of the budget
would be gone within a long window, and still is being burnt in a short one (so that it ends soon after its cause):

    rate of errors over short > factor * budget  and  rate of errors over long > factor * budget
    factor = share of the budget * period / long window

Two such pairs make the page, two the ticket. The windows are Google's for 30 days, or a file in sloth's format
(`AlertWindows`, sloth.slok.dev/v1); rules have sloth's shape, so that its dashboards read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sim.errors import MusterError
from sim.files import read_file

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
FILE_MAX = 1 << 16
"""Bytes of a file of windows."""


class WindowsError(MusterError):
    """Windows that cannot be."""


@dataclass(frozen=True)
class Pair:
    """One pair of windows."""

    share: float
    """Of the budget, %, that would be gone within the long window"""
    short: str
    long: str


@dataclass(frozen=True)
class Windows:
    """Four pairs, and the period of the budget."""

    period: str
    page: tuple[Pair, Pair]
    """Quick and slow"""
    ticket: tuple[Pair, Pair]

    def factor(self, pair: Pair) -> float:
        """How many times faster than allowed the budget must burn."""
        return round(pair.share / 100.0 * seconds(self.period) / seconds(pair.long), 10)

    def all(self) -> tuple[str, ...]:
        """Every window, the shortest first."""
        found = {window for pair in (*self.page, *self.ticket) for window in (pair.short, pair.long)}
        return tuple(sorted(found, key=seconds))


GOOGLE = Windows(
    "30d",
    (Pair(2.0, "5m", "1h"), Pair(5.0, "30m", "6h")),
    (Pair(10.0, "2h", "1d"), Pair(10.0, "6h", "3d")),
)
"""https://sre.google/workbook/alerting-on-slos/: 14.4, 6, 3 and 1 times too fast."""


@dataclass(frozen=True)
class Objective:
    """What is promised."""

    service: str
    name: str
    target: float
    """% of events that are good"""
    errors: str
    """PromQL of the rate of bad events; `WINDOW` stands for the window"""
    events: str
    """Of all events"""
    text: str

    @property
    def budget(self) -> float:
        """Share of events that may be bad."""
        return (100.0 - self.target) / 100.0

    @property
    def labels(self) -> dict[str, str]:
        """What tells its series from others'."""
        return {"sloth_id": f"{self.service}-{self.name}", "sloth_service": self.service, "sloth_slo": self.name}


Rule = dict[str, Any]  # YAML


def recordings(objective: Objective, windows: Windows) -> list[Rule]:
    """The rate of errors over every window, and over the period."""
    rules: list[Rule] = []
    for window in windows.all():
        errors, events = (text.replace("WINDOW", window) for text in (objective.errors, objective.events))
        labels = {**objective.labels, "sloth_window": window}
        rules.append(
            {"record": f"slo:sli_error:ratio_rate{window}", "expr": f"({errors})\n/\n({events})\n", "labels": labels}
        )
    short, these = windows.all()[0], _selector(objective)
    series = f"slo:sli_error:ratio_rate{short}{these}[{windows.period}]"
    rules.append({
        "record": f"slo:sli_error:ratio_rate{windows.period}",
        "expr": f"sum_over_time({series})\n/ ignoring (sloth_window)\ncount_over_time({series})\n",
        "labels": {**objective.labels, "sloth_window": windows.period},
    })  # fmt: skip
    return rules


def alerts(objective: Objective, windows: Windows) -> list[Rule]:
    """The page and the ticket."""
    rules: list[Rule] = []
    for severity, pairs in (("page", windows.page), ("ticket", windows.ticket)):
        expression = "or\n".join(_burns(objective, pair, windows.factor(pair)) for pair in pairs)
        title = f"({severity}) {objective.service} {objective.name}: its error budget burns too fast"
        name = "".join(part.capitalize() for part in objective.name.split("-"))
        rules.append({
            "alert": f"Muster{name}BurnsTooFast",
            "expr": expression,
            "labels": {"severity": severity, "sloth_severity": severity},
            "annotations": {"summary": objective.text, "title": title},
        })  # fmt: skip
    return rules


def read_windows(path: Path) -> Windows:
    """Windows of a file in sloth's format. Raises WindowsError or FileError."""
    try:
        found = yaml.safe_load(read_file(path, FILE_MAX))
        spec = found["spec"]
        if found.get("kind") != "AlertWindows":
            raise WindowsError(f"{path}: expected kind AlertWindows, got {found.get('kind')!r}; give a file of windows")
        page, ticket = ((_pair(spec[kind]["quick"]), _pair(spec[kind]["slow"])) for kind in ("page", "ticket"))
        windows = Windows(str(spec["sloPeriod"]), page, ticket)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise WindowsError(f"{path}: expected alert windows in sloth's format, it cannot be read ({why})") from None
    for pair in (*page, *ticket):
        if not (0.0 < pair.share <= 100.0 and 0 < seconds(pair.short) < seconds(pair.long) <= seconds(windows.period)):
            raise WindowsError(
                f"{path}: expected a share up to 100 % and short < long <= period, got {pair}; correct it"
            )
    return windows


def seconds(window: str) -> int:
    """A duration such as 5m or 3d. Raises WindowsError."""
    match = re.fullmatch(r"(\d{1,6})([smhdw])", window)
    if not match or not int(match.group(1)):
        raise WindowsError(f"expected a duration such as 5m, 6h or 30d, got {window!r}; correct it")
    return int(match.group(1)) * UNITS[match.group(2)]


def _pair(told: Any) -> Pair:  # YAML
    return Pair(float(told["errorBudgetPercent"]), str(told["shortWindow"]), str(told["longWindow"]))


def _burns(objective: Objective, pair: Pair, factor: float) -> str:
    these, limit = _selector(objective), f"({factor:g} * {objective.budget!r})"
    short, long = (
        f"    max(slo:sli_error:ratio_rate{window}{these} > {limit}) without (sloth_window)\n"
        for window in (pair.short, pair.long)
    )
    return f"(\n{short}    and\n{long})\n"


def _selector(objective: Objective) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in objective.labels.items()) + "}"
