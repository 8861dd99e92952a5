"""report.html: a run on one page that loads nothing, for people who were not there.

`write_report` renders what `fleet.findings` reads: figures, learning curve, work over time, heat map of the paths on
the floor, interventions by reason, control-step latency, contacts by both counts with people's own apart, the
auditor's findings and what the run was started with. A part that the run did not have is left out.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from coordination.requests import TaskState
from fleet.charts import Line, bar_chart, legend, line_chart, range_chart, share_chart
from fleet.findings import Findings, read_findings
from fleet.heatmap import PIXEL, heat_maps
from fleet.rundir import MOMENT, RunDirectory
from fleet.sheet import card, cards, sheet, table
from sim.files import write_atomic
from sim.robot import SECOND
from sim.trace import Trace, read_trace

GOALS_MS = (1.0, 3.0)
"""Goals of the control step on one free core: p50 and p99, ms."""

MODES = {
    "POLICY": "var(--a)",
    "SHIELDED": "var(--b)",
    "FALLBACK": "var(--d)",
    "MANUAL": "var(--e)",
    "STOPPED": "var(--c)",
    "LATCHED": "var(--ink)",
}


def write_report(directory: RunDirectory) -> Path:
    """Render report.html of a run, whole or not at all; returns its path. Raises `MusterError` for damaged records."""
    findings = read_findings(directory)
    trace = read_trace(directory.trace) if directory.trace.exists() else None
    write_atomic(directory.report, render(findings, trace))
    return directory.report


def render(findings: Findings, trace: Trace | None) -> str:
    """The page."""
    found = [
        _curve(findings),
        _levels(findings),
        *(_level_curve(name, curve) for level in findings.levels for name, curve in level.curves.items()),
        _work(findings),
        _paths(findings, trace),
        _interventions(findings),
        _latency(findings),
        _contacts(findings),
        _audit(findings),
        how_it_was_run(findings.record, _hashes(findings)),
    ]
    content = _tiles(findings) + cards(found)
    return sheet(f"muster {findings.name}", f"muster run {findings.name}", _subtitle(findings), content)


def _subtitle(findings: Findings) -> str:
    plant, record = findings.plant, findings.record
    words = [str(plant["site"])] if plant else []
    if plant:
        words.append(f"{plant['robots']} robots, {plant['people']} people")
    if record.get("clock"):
        words.append(str(plant.get("clock", record["clock"])))
    if record.get("seed") is not None:
        words.append(f"seed {record['seed']}")
    if record.get("started"):
        words.append(f"started {datetime.strptime(record['started'], MOMENT):%Y-%m-%d %H:%M:%S} UTC")
    return " · ".join(words)


def _tiles(findings: Findings) -> str:
    plant = findings.plant
    tiles: list[tuple[str, str, str]] = []
    checks = [entry for entry in findings.curve if "held_out_success" in entry]
    if checks:
        success = checks[-1]["held_out_success"]
        tiles.append((f"{100 * success:.1f} %", "success on unseen layouts", "good" if success >= 0.95 else "bad"))
    if findings.tasks:
        done, all_tasks = len(findings.done), len(findings.tasks)
        tiles.append((f"{done} / {all_tasks}", "tasks done", "good" if done == all_tasks else "bad"))
        tiles.append((f"{findings.tasks_per_hour:,.0f}", "tasks per simulated hour", ""))
    if plant:
        for key, text in (("collisions", "collisions, engine"), ("oracle_collisions", "collisions, geometry")):
            tiles.append((str(plant[key]), text, "good" if plant[key] == 0 else "bad"))
        tiles.append((str(plant["person_contacts"]), "people against standing robots", ""))
        if plant.get("wall_seconds"):
            factor = plant["sim_seconds"] / plant["wall_seconds"]
            tiles.append((f"{factor:.1f} x", f"real time ({plant['sim_seconds']:.0f} s simulated)", ""))
        tiles.append((f"{plant['metres'] / 1000:.2f} km", "driven by the fleet", ""))
    steps = findings.step_milliseconds()
    if steps:
        tiles.append((f"{steps['p50']:.2f} ms", f"control step, p50 (p99 {steps['p99']:.2f} ms)", ""))
    shown = (f'<div class="tile"><b class="{kind}">{value}</b><span>{text}</span></div>' for value, text, kind in tiles)
    return f'<div class="tiles">{"".join(shown)}</div>'


def _curve(findings: Findings) -> str:
    curve = findings.curve
    if not curve:
        return ""
    checks = [entry for entry in curve if "held_out_success" in entry]
    lines = [
        Line("success while training", [e["steps"] for e in curve], [e["success"] for e in curve], "var(--faint)"),
        Line(
            "success on held-out layouts",
            [entry["steps"] for entry in checks],
            [entry["held_out_success"] for entry in checks],
            "var(--a)",
            dots=True,
        ),
        Line("goal 0.95", [curve[0]["steps"], curve[-1]["steps"]], [0.95, 0.95], "var(--d)"),
    ]
    last = curve[-1]
    note = f"{last['steps']:,.0f} steps in {last['seconds']:.0f} s of wall time"
    if last.get("diverged"):
        note += f"; {last['diverged']:,.0f} worlds blew up and ended as diverged (muster diverged {findings.name})"
    return card("Learning curve", line_chart(lines, "control steps", "share", (0.0, 1.0)), note)


def _levels(findings: Findings) -> str:
    if not findings.levels:
        return ""
    rows = []
    for level in findings.levels:
        found, manifest = level.comparison, level.manifest
        below = manifest.get("training", {}).get("below", {})
        sign = "at most" if found.better == "lower" else "at least"
        kind = "good" if found.reached else "bad"
        rows.append(
            (
                html.escape(found.level),
                html.escape(found.figure),
                html.escape(found.twin_name),
                f"<code>{html.escape(str(manifest.get('onnx_sha256', ''))[:12])}</code>",
                f"<code>{html.escape(str(manifest.get('contract_hash', ''))[:12])}</code>",
                "<br>".join(
                    f"{html.escape(name)} <code>{html.escape(lower[:12])}</code>" for name, lower in below.items()
                ),
                f"{found.learned:.4g} {html.escape(found.unit)}",
                f"{found.twin:.4g} {html.escape(found.unit)}",
                f'<span class="{kind}">{found.ratio:.3f}</span>',
                f"{sign} {found.goal:g}",
            )
        )
    head = ("level", "figure", "twin", "policy", "contract", "trained on", "learned", "twin", "ratio", "goal")
    note = "each level beside its hand-written twin, in the same episodes on draws and floors that no training uses"
    counts = {
        level.comparison.level: level.manifest.get("training", {}).get("diverged", 0) for level in findings.levels
    }
    if lost := [f"{count:,} ({html.escape(level)})" for level, count in counts.items() if count]:
        note += f"; worlds that blew up and ended as diverged: {', '.join(lost)} (muster diverged {findings.name})"
    return card("The hierarchy, bottom-up", table(head, rows, numbers=4), note, wide=True)


def _level_curve(name: str, curve: list[dict[str, float]]) -> str:
    """The curve of one folder of a hierarchy: success, or order lines per hour of the level that chooses tasks."""

    def line(text: str, key: str, colour: str, *, dots: bool = False) -> Line:
        found = [entry for entry in curve if entry.get(key) is not None]
        return Line(text, [entry["steps"] for entry in found], [entry[key] for entry in found], colour, dots=dots)

    if any("per_hour" in entry for entry in curve):
        lines = [
            line("as it draws", "per_hour", "var(--faint)"),
            line("greedy, on check floors", "check_per_hour", "var(--a)", dots=True),
        ]
        chart = line_chart(lines, "decisions", "lines per hour and robot")
    else:
        lines = [
            line("success while training", "success", "var(--faint)"),
            line("success, held out", "held_out_success", "var(--a)", dots=True),
        ]
        chart = line_chart(lines, "control steps", "share", (0.0, 1.0))
    last = curve[-1]
    return card(f"Learning curve: {name}", chart, f"{last['steps']:,.0f} steps in {last['seconds']:.0f} s of wall time")


def _work(findings: Findings) -> str:
    done = sorted(task.ended / SECOND for task in findings.done)
    if not done:
        return ""
    begin = findings.begin / SECOND
    minutes = [0.0, *((stamp - begin) / 60 for stamp in done)]
    chart = line_chart(
        [Line("tasks done", minutes, list(range(len(minutes))), "var(--a)", step=True)], "simulated minutes", "tasks"
    )
    lives = sorted((task.ended - task.started) / SECOND for task in findings.done if task.started >= 0)
    note = f"{findings.tasks_per_hour:,.0f} tasks per simulated hour"
    if lives:
        note += (
            f"; from assignment to done: median {lives[len(lives) // 2]:.0f} s, "
            f"longest {lives[-1]:.0f} s; "
            f"{sum(task.attempts > 1 for task in findings.tasks)} tasks needed a second attempt"
        )
    return card("Work over time", chart, note)


def _paths(findings: Findings, trace: Trace | None) -> str:
    if trace is None:
        return ""
    note = f"robots entering each {PIXEL:g} m square, from their true poses"
    return card("Paths on the floor", heat_maps(trace, findings.plant.get("contacts", [])), note, wide=True)


def _interventions(findings: Findings) -> str:
    if not findings.robots:
        return ""
    reasons = findings.total("interventions").most_common()
    steps = sum(line.get("steps", 0) for line in findings.robots.values())
    modes = findings.total("modes")
    share = share_chart([(name.lower(), modes[name], colour) for name, colour in MODES.items() if modes[name]])
    content = bar_chart([(name.lower().replace("_", " "), count) for name, count in reasons], "var(--b)")
    stops = findings.total("stops").most_common()
    if stops:
        content += '<p class="note">Protective stops by cause:</p>'
        content += bar_chart([(name.lower().replace("_", " "), count) for name, count in stops], "var(--c)")
    note = f"control steps whose command the shield replaced, of {steps:,} in all"
    return card("Interventions by reason", (content or "<p>none</p>") + '<p class="note">Modes:</p>' + share, note)


def _latency(findings: Findings) -> str:
    rows = [
        (name, *(1e3 * line["step_seconds"][key] for key in ("p50", "p99", "max")))
        for name, line in sorted(findings.robots.items(), key=lambda item: (len(item[0]), item[0]))
        if line.get("steps")
    ]
    if not rows:
        return ""
    missed = sum(line.get("missed_deadlines", 0) for line in findings.robots.values())
    content = range_chart(rows, "ms", GOALS_MS)
    goals = "goals: {:g} ms for p50, {:g} ms for p99".format(*GOALS_MS)
    content += legend([("p50", "var(--a)"), ("p99", "var(--b)"), ("longest", "var(--faint)"), (goals, "var(--c)")])
    note = (
        f"readings to released command, record included, while all processes shared this machine's cores; "
        f"{missed} deadlines missed"
    )
    return card("Control-step latency", content, note)


def _contacts(findings: Findings) -> str:
    plant = findings.plant
    if not plant:
        return ""
    rows = [
        ("a robot drove or turned into something", plant["collisions"], plant["oracle_collisions"]),
        ("a person walked into a standing robot", plant["person_contacts"], plant["oracle_person_contacts"]),
        ("a standing robot was driven into", plant["struck"], plant["oracle_struck"]),
    ]
    content = table(
        ("", "engine", "geometry"), [(html.escape(text), str(one), str(two)) for text, one, two in rows], numbers=2
    )
    same = all(one == two for _, one, two in rows)
    content += f'<p class="{"good" if same else "bad"}">{"The counts agree." if same else "The counts differ."}</p>'
    if plant["contacts"]:
        content += table(
            ("time", "robot", "with", "speed", "turn"),
            [
                (
                    f"{contact['stamp'] / SECOND:.2f} s",
                    contact["robot"],
                    contact["with"] + ("" if contact["collision"] else " (standing)"),
                    f"{contact['speed']:.2f} m/s",
                    f"{contact['turn']:.2f} rad/s",
                )
                for contact in plant["contacts"][:20]
            ],
        )
    note = "every physics step, by MuJoCo's contacts and by plane geometry that shares no code with shield or lidar"
    return card("Contacts", content, note)


def _audit(findings: Findings) -> str:
    audit = findings.audit
    if not audit:
        return ""
    count = audit["findings"]
    content = f'<p class="{"bad" if count else "good"}">{count} finding{"" if count == 1 else "s"}</p>'
    if count:
        content += table(
            ("kind", "detail"), [(entry["kind"], html.escape(entry["detail"])) for entry in audit["first"][:20]]
        )
    if findings.open:
        content += f"<p>{len(findings.open)} tasks are open:</p>"
        content += table(
            ("task", "state", "robot", "reason"),
            [
                (
                    f"<code>{html.escape(t.id)}</code>",
                    TaskState(t.state).name.lower(),
                    html.escape(t.robot),
                    html.escape(t.reason),
                )
                for t in findings.open[:20]
            ],
        )
    gone = findings.plant.get("gone", [])
    if gone:
        words = ", ".join(f"{entry['member']} in round {entry['round']}" for entry in gone[:20])
        content += f'<p class="note">Members that fell silent: {html.escape(words)}</p>'
    note = "double grants, lost and doubled tasks, from the committed log; robots on ground that was not theirs"
    return card("The auditor", content, note)


def _hashes(findings: Findings) -> list[tuple[str, str]]:
    return [("floor's hash", f"<code>{findings.plant['site_hash'][:24]}</code>")] if findings.plant else []


def how_it_was_run(record: dict[str, Any], known: Sequence[tuple[str, str]] = ()) -> str:
    """The card of a run.json: command, values, machine and versions, with `known` (what, HTML) between them."""
    if not record:
        return ""
    rows: list[tuple[str, str]] = []
    if record.get("arguments"):
        rows.append(("command", f"<code>{html.escape(' '.join(map(str, record['arguments'])))}</code>"))
    if record.get("config"):
        given = (f"{name}={value}" for name, value in record["config"].items() if value not in ("", None))
        rows.append(("values", html.escape(", ".join(given))))
    rows += known
    cpu: dict[str, Any] = record.get("cpu", {})
    if cpu:
        rows.append(("processor", html.escape(f"{cpu.get('model', '')} ({cpu.get('cores', '?')} cores)")))
    versions = record.get("versions", {})
    rows.append(("versions", html.escape(", ".join(f"{name} {version}" for name, version in versions.items()))))
    return card("How it was run", table(("", ""), rows), wide=True)
