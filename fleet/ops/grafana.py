"""A Grafana dashboard of every declared metric: one row for each group, one panel for each metric.

Counters are shown as rates, histograms as their median and 99th percentile, gauges as they are; units follow from the
names' suffixes. The data source is a variable of the dashboard, so it can be imported as it is.
"""

from __future__ import annotations

from typing import Any

from fleet.ops.declared import Metric, checked, declared

SCHEMA = 39
"""Grafana 10 and newer read it."""
WIDTH, HEIGHT = 8, 7
"""Of a panel; a row of the dashboard is 24 wide."""

UNITS = {"_seconds": "s", "_bytes": "bytes", "_ratio": "percentunit"}
SOURCE = {"type": "prometheus", "uid": "${source}"}

HEAD = (
    ("Emergency stop", "max(muster_coordinator_stopped)", "none"),
    ("Robots", "sum(muster_coordinator_robots)", "none"),
    ("Tasks running", 'sum(muster_coordinator_tasks{state="running"})', "none"),
    ("Control step, 99 %", "histogram_quantile(0.99, sum by (le) (rate(muster_control_step_seconds_bucket[5m])))", "s"),
)
"""What is seen first: title, expression, unit."""


def dashboard() -> dict[str, Any]:  # JSON
    """The dashboard's JSON. Raises UndeclaredError where a panel names a metric that is not served."""
    panels: list[dict[str, Any]] = []
    for number, (title, expression, unit) in enumerate(HEAD):
        place = {"x": 6 * number, "y": 0, "w": 6, "h": 4}
        panels.append(_panel(len(panels) + 1, "stat", title, [(expression, "")], unit, place))
    y = 4
    metrics = declared()
    for group in dict.fromkeys(metric.group for metric in metrics.values()):
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": group.capitalize(), "collapsed": False, "panels": [],
             "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        )  # fmt: skip
        y += 1
        own = [metric for metric in metrics.values() if metric.group == group]
        for number, metric in enumerate(own):
            place = {"x": WIDTH * (number % 3), "y": y + HEIGHT * (number // 3), "w": WIDTH, "h": HEIGHT}
            unit = next((unit for suffix, unit in UNITS.items() if metric.name.endswith(suffix)), "short")
            if metric.kind == "counter":
                unit = "Bps" if unit == "bytes" else "cps"
            panels.append(_panel(len(panels) + 1, "timeseries", metric.text, queries(metric), unit, place, metric.name))
        y += HEIGHT * -(-len(own) // 3)
    return {
        "uid": "muster-fleet",
        "title": "muster: the fleet",
        "tags": ["muster"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


def queries(metric: Metric) -> list[tuple[str, str]]:
    """Expressions and legends that show a metric."""
    if metric.kind == "counter":
        return [(f"rate({metric.name}_total[$__rate_interval])", "__auto")]
    if metric.kind == "histogram":
        rate = f"sum by (le) (rate({metric.name}_bucket[$__rate_interval]))"
        return [(f"histogram_quantile({share}, {rate})", words) for share, words in ((0.5, "median"), (0.99, "99 %"))]
    return [(metric.name, "__auto")]


def _panel(
    number: int, kind: str, title: str, shown: list[tuple[str, str]], unit: str, place: dict[str, int], text: str = ""
) -> dict[str, Any]:
    return {
        "id": number,
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": checked(expression), "legendFormat": legend}
            for index, (expression, legend) in enumerate(shown)
        ],
    }
