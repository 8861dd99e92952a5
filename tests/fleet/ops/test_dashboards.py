"""Generated rules and dashboard: sloth's golden windows and rules, declared metrics alone, and naming conventions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.ops.burn import GOOGLE, Objective, alerts, read_windows, recordings
from fleet.ops.declared import UndeclaredError, checked, declared
from fleet.ops.grafana import dashboard
from fleet.ops.rules import DIRECT, OBJECTIVES, rules

BURNS = re.compile(r"ratio_rate(\w+?)\{[^}]*\} > \(([\d.]+) \* ([\d.e-]+)\)\) without \(sloth_window\)")
"""A term of an alert: window, factor and budget."""


@pytest.fixture(scope="module")
def sloth(root: Path) -> Path:
    folder = root.parent / "shared" / "data" / "fleet" / "sloth"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/fleet/sloth")
    return folder


def of(objective: dict[str, Any], service: str) -> Objective:
    """One of sloth's objectives as ours."""
    events = objective["sli"]["events"]
    window = "{{.window}}"
    return Objective(
        service,
        objective["name"],
        objective["objective"],
        events["error_query"].replace(window, "WINDOW"),
        events["total_query"].replace(window, "WINDOW"),
        objective["description"],
    )


def plain(expression: str) -> str:
    return " ".join(expression.split())


@pytest.mark.parametrize("name", ["getting-started", "multifile"])
def test_our_rules_for_sloths_objectives_are_sloths(sloth: Path, name: str) -> None:
    """Expressions of recordings and alerts, window by window, to the last digit of the threshold."""
    specs = [spec for spec in yaml.safe_load_all((sloth / f"{name}.yml").read_text()) if spec]
    golden = [
        rule
        for part in yaml.safe_load_all((sloth / f"{name}.generated.yml").read_text())
        if part
        for group in part["groups"]
        for rule in group["rules"]
    ]
    compared = 0
    for spec in specs:
        for told in spec["slos"]:
            objective = of(told, spec["service"])
            mine = [rule for rule in golden if objective.labels["sloth_id"] in json.dumps(rule)]
            recorded = {rule["record"]: plain(rule["expr"]) for rule in mine if "ratio_rate" in rule.get("record", "")}
            assert {rule["record"]: plain(rule["expr"]) for rule in recordings(objective, GOOGLE)} == recorded
            fired = [plain(rule["expr"]) for rule in mine if "alert" in rule]
            assert [plain(rule["expr"]) for rule in alerts(objective, GOOGLE)] == fired
            severities = [rule["labels"]["sloth_severity"] for rule in mine if "alert" in rule]
            assert [rule["labels"]["sloth_severity"] for rule in alerts(objective, GOOGLE)] == severities
            compared += len(recorded) + len(fired)
    assert compared == 10 * len(specs)


def test_our_windows_are_googles(sloth: Path) -> None:
    assert read_windows(sloth / "google-30d.yaml") == GOOGLE


def test_factors_are_those_of_the_workbook() -> None:
    assert [GOOGLE.factor(pair) for pair in (*GOOGLE.page, *GOOGLE.ticket)] == [14.4, 6.0, 3.0, 1.0]


def test_each_objective_of_the_fleet_is_watched_over_all_windows() -> None:
    found = {rule["record"]: rule for group in rules()["groups"] for rule in group["rules"] if "record" in rule}
    for objective in OBJECTIVES:
        page, ticket = alerts(objective, GOOGLE)
        assert [term[:2] for term in BURNS.findall(page["expr"])] == [
            ("5m", "14.4"), ("1h", "14.4"), ("30m", "6"), ("6h", "6"),
        ]  # fmt: skip
        assert [term[:2] for term in BURNS.findall(ticket["expr"])] == [
            ("2h", "3"), ("1d", "3"), ("6h", "1"), ("3d", "1"),
        ]  # fmt: skip
        for window, _, budget in BURNS.findall(page["expr"] + ticket["expr"]):
            assert f"slo:sli_error:ratio_rate{window}" in found, "what an alert reads is recorded"
            assert float(budget) == pytest.approx(1.0 - objective.target / 100.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: AlertWindows", "it cannot be read"),
        ("[", "it cannot be read"),
        ("kind: Other\nspec: {}", "expected kind AlertWindows"),
        ("1h|shortWindow: 2h", "short < long"),
        ("30d|sloPeriod: 30x", "expected a duration such as 5m"),
    ],
)
def test_windows_that_cannot_be_are_one_line(refused: Callable[..., str], tmp_path: Path, text: str, why: str) -> None:
    pair = "{errorBudgetPercent: 2, shortWindow: 5m, longWindow: 1h}"
    kind = f"{{quick: {pair}, slow: {pair}}}"
    whole = f"kind: AlertWindows\nspec:\n  sloPeriod: 30d\n  page: {kind}\n  ticket: {kind}\n"
    if "|" in text:
        text = whole.replace("shortWindow: 5m", "shortWindow: 2h") if "2h" in text else whole.replace("30d", "30x")
    (tmp_path / "own.yaml").write_text(text)
    assert why in refused("dashboards", "--windows", "own.yaml")


def test_every_rule_has_a_name_an_expression_a_severity_and_words() -> None:
    seen = set()
    for group in rules()["groups"]:
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert rule["expr"].count("(") == rule["expr"].count(")")
            assert rule["expr"].count("{") == rule["expr"].count("}")
            if "alert" in rule:
                assert re.fullmatch(r"Muster[A-Za-z]+", rule["alert"])
                assert rule["labels"]["severity"] in ("page", "ticket")
                assert rule["annotations"]["summary"]
                assert (rule["alert"], rule["labels"]["severity"]) not in seen
                seen.add((rule["alert"], rule["labels"]["severity"]))
    assert len(seen) == 2 * len(OBJECTIVES) + len(DIRECT)


def test_every_metric_is_on_the_dashboard_and_every_panel_lies_beside_the_others() -> None:
    board = dashboard()
    shown = " ".join(target["expr"] for panel in board["panels"] for target in panel.get("targets", []))
    assert [name for name in declared() if name not in shown] == []
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert json.loads(json.dumps(board)) == board


def test_every_expression_is_promql_whose_types_fit() -> None:
    """Parsed by Prometheus's grammar; promtool itself is no Python package."""
    promql = pytest.importorskip("promql_parser", reason="promql-parser is missing: pip install 'muster[dev]'")
    asked = [rule["expr"] for group in rules()["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    for expression in asked:
        promql.parse(expression.replace("$__rate_interval", "1m"))
    assert len(asked) > 90
    for wrong in ("rate(muster_control_steps_total)", "sum by (le (x)", "muster_guard_open = 1"):
        with pytest.raises(ValueError, match=r"\S"):
            promql.parse(wrong)


def test_every_rule_is_as_prometheus_reads_it() -> None:
    """https://prometheus.io/docs/prometheus/latest/configuration: fields, names of labels, durations, templates."""
    duration = re.compile(r"(\d+(ms|s|m|h|d|w|y))+")
    names = [group["name"] for group in rules()["groups"]]
    assert len(set(names)) == len(names)
    for group in rules()["groups"]:
        for rule in group["rules"]:
            assert set(rule) <= {"alert", "record", "expr", "for", "labels", "annotations"}
            assert ("alert" in rule) != ("record" in rule)
            assert all(re.fullmatch(r"[a-zA-Z_]\w*", label) for label in rule.get("labels", {}))
            assert all(isinstance(value, str) for value in rule.get("labels", {}).values())
            if "record" in rule:
                assert re.fullmatch(r"[a-zA-Z_:][\w:]*", rule["record"])
                continue
            assert duration.fullmatch(rule.get("for", "0s"))
            for text in rule["annotations"].values():
                left = re.sub(r"\{\{\s*\$(labels\.\w+|value)\s*\}\}", "", text)
                assert "{{" not in left
                assert "}}" not in left


def test_every_panel_is_as_grafana_reads_it() -> None:
    """Of its dashboard schema: types it has, a data source that the dashboard defines, references apart."""
    board = dashboard()
    (source,) = board["templating"]["list"]
    for panel in board["panels"]:
        assert panel["type"] in ("row", "stat", "timeseries")
        assert panel["title"]
        if panel["type"] == "row":
            assert panel["panels"] == []
            continue
        assert panel["datasource"]["uid"] == "${" + source["name"] + "}"
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        assert panel["fieldConfig"]["defaults"]["unit"] in ("none", "short", "s", "bytes", "Bps", "cps", "percentunit")


def test_a_metric_that_is_not_served_cannot_be_named() -> None:
    assert checked("rate(muster_control_steps_total[5m])")
    for wrong in ("muster_control_steps", "muster_controll_steps_total", "muster_coordinator_robots_total"):
        with pytest.raises(UndeclaredError, match=f"got {wrong};"):
            checked(f"rate({wrong}[5m])")


def test_metrics_follow_prometheus_conventions() -> None:
    """https://prometheus.io/docs/practices/naming/: prefix, base units, no type in a name, words about each."""
    for metric in declared().values():
        assert re.fullmatch(r"muster_[a-z]+(_[a-z0-9]+)*", metric.name), metric.name
        words = metric.name.split("_")
        wrong = {
            "total",
            "count",
            "sum",
            "bucket",
            "counter",
            "gauge",
            "histogram",
            "ms",
            "milliseconds",
            "minutes",
            "hours",
            "percent",
            "kb",
            "mb",
        }
        assert not wrong & set(words), metric.name
        assert metric.kind in ("counter", "gauge", "histogram"), metric.name
        assert metric.kind != "histogram" or words[-1] in ("seconds", "bytes"), metric.name
        assert metric.text, metric.name
        assert not metric.text.endswith("."), metric.name


@pytest.mark.parametrize("name", ["rounds", "collisions", "oracle_collisions", "person_contacts"])
def test_what_only_rises_is_a_counter(name: str) -> None:
    assert declared()[f"muster_plant_{name}"].kind == "counter"


def test_the_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fleet.cli import main

    assert main(["dashboards", "--out", str(tmp_path / "monitoring")]) == 0
    assert yaml.safe_load((tmp_path / "monitoring" / "muster.rules.yml").read_text()) == rules()
    assert json.loads((tmp_path / "monitoring" / "muster.json").read_text()) == dashboard()
    (tmp_path / "file").write_text("")
    assert main(["dashboards", "--out", str(tmp_path / "file")]) == 2
    assert "cannot make" in capsys.readouterr().err
