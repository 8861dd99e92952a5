"""report.html: a run on one page that loads nothing, for people who were not there.

`write_report` renders what `fleet.findings` reads: figures, learning curve, work over time, heat map of the paths on
the floor, interventions by reason, control-step latency, contacts by both counts with people's own apart, the
auditor's findings and what the run was started with. A part that the run did not have is left out.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordination.messages import TaskState
from fleet.charts import Line, bar_chart, heat_colours, legend, line_chart, png, range_chart, share_chart
from fleet.findings import Findings, read_findings
from fleet.plan import draw_fixtures, fixture_names
from fleet.rundir import RunDirectory
from sim.files import write_atomic
from sim.robot import SECOND
from sim.trace import Trace, read_trace

PIXEL = 0.3
"""Side of a heat map's pixel, m: half a robot."""

LEAST_SCALE = 8
"""Passes at the dark end of the heat map's scale, at least: a short run should not look like rush hour."""

GOALS_MS = (1.0, 3.0)
"""Goals of the control step on one free core: p50 and p99, ms."""

MODES = {
    "POLICY": "var(--a)",
    "SHIELDED": "var(--b)",
    "FALLBACK": "var(--d)",
    "STOPPED": "var(--c)",
    "LATCHED": "var(--ink)",
}

STYLE = """
:root{--ink:#1d2733;--soft:#5b6878;--faint:#c3ccd6;--line:#e4e9ee;--paper:#f5f7f9;--card:#fff;
--a:#2369b8;--b:#e08a1e;--c:#c0392b;--d:#2e9e6b;--good:#1f8a55}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--soft:#9aa8b7;--faint:#4c5866;--line:#2c3540;--paper:#12171d;
--card:#1a2129;--a:#5aa2ee;--b:#f0a84a;--c:#ef6b5c;--d:#4cc48c;--good:#4cc48c}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0}h2{font-size:17px;margin:0 0 10px}
.sub{color:var(--soft);margin:2px 0 20px}.good{color:var(--good)}.bad{color:var(--c)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-bottom:16px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 16px}.tile b{display:block;font-size:25px;font-weight:650;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:16px}
.card{padding:16px 18px;overflow:hidden}.wide{grid-column:1/-1}.note{color:var(--soft);font-size:13px;margin:8px 0 0}
svg{width:100%;height:auto;display:block}svg text{font-size:12px;fill:var(--soft)}svg .value{fill:var(--ink)}
svg .grid{stroke:var(--line)}.map{width:100%;image-rendering:pixelated;border-radius:6px;display:block}
.maps{display:grid;grid-template-columns:minmax(0,7fr) minmax(0,3fr);gap:18px}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--soft);margin-top:8px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
td,th{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500}td.n,th.n{text-align:right}code{font-size:12.5px;overflow-wrap:anywhere}
.scale{height:12px;border-radius:6px;background:linear-gradient(90deg,#fdf6de,#fcd378,#f0823c,#b02a5a,#420a68)}
.ends{display:flex;justify-content:space-between;font-size:12px;color:var(--soft)}
"""


def write_report(directory: RunDirectory) -> Path:
    """Render report.html of a run, whole or not at all; returns its path. Raises `MusterError` for damaged records."""
    findings = read_findings(directory)
    trace = read_trace(directory.trace) if directory.trace.exists() else None
    write_atomic(directory.report, render(findings, trace))
    return directory.report


def render(findings: Findings, trace: Trace | None) -> str:
    """The page."""
    cards = [
        _curve(findings),
        _levels(findings),
        *(_level_curve(name, curve) for level in findings.levels for name, curve in level.curves.items()),
        _work(findings),
        _heat(findings, trace),
        _interventions(findings),
        _latency(findings),
        _contacts(findings),
        _audit(findings),
        _facts(findings),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>muster {html.escape(findings.name)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>muster run {html.escape(findings.name)}</h1>{_subtitle(findings)}{_tiles(findings)}"
        f'<div class="cards">{"".join(card for card in cards if card)}</div></main></body></html>\n'
    )


def passes(trace: Trace, points: NDArray[np.floating], pixel: float = PIXEL) -> NDArray[np.int64]:
    """How often each pixel of the floor was entered, (rows, columns), top row first; points (periods, movers, 2)."""
    rows = round(trace.site.height * trace.site.cell / pixel)
    columns = round(trace.site.width * trace.site.cell / pixel)
    column = np.clip(np.floor(points[..., 0] / pixel).astype(int), 0, columns - 1)
    row = np.clip(rows - 1 - np.floor(points[..., 1] / pixel).astype(int), 0, rows - 1)
    inside = (points >= 0.0).all(axis=-1)  # people who are not on the floor are parked outside
    cell = np.where(inside, row * columns + column, -1)
    entered = np.ones_like(cell, bool)
    entered[1:] = cell[1:] != cell[:-1]
    counts = np.bincount(cell[entered & (cell >= 0)], minlength=rows * columns)
    return counts.reshape(rows, columns)


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
        words.append(f"started {record['started']}")
    return f'<p class="sub">{html.escape(" · ".join(words))}</p>'


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
    return _card("Learning curve", line_chart(lines, "control steps", "share", (0.0, 1.0)), note)


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
    return _card("The hierarchy, bottom-up", _table(head, rows, numbers=4), note, wide=True)


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
    return _card(
        f"Learning curve: {name}", chart, f"{last['steps']:,.0f} steps in {last['seconds']:.0f} s of wall time"
    )


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
    return _card("Work over time", chart, note)


def _heat(findings: Findings, trace: Trace | None) -> str:
    if trace is None:
        return ""
    site = trace.site
    shape = (round(site.height * site.cell / PIXEL), round(site.width * site.cell / PIXEL))
    rows = np.minimum((np.arange(shape[0]) + 0.5) * PIXEL / site.cell, site.height - 1).astype(int)
    columns = np.minimum((np.arange(shape[1]) + 0.5) * PIXEL / site.cell, site.width - 1).astype(int)
    blocked = site.blocked[rows][:, columns]

    def picture(points: NDArray[np.floating]) -> tuple[str, int]:
        counts = passes(trace, points)
        most = max(int(np.percentile(counts[counts > 0], 99.5)) if (counts > 0).any() else 1, LEAST_SCALE)
        pixels = heat_colours(np.sqrt(np.clip(counts / max(most, 1), 0.0, 1.0)))
        pixels[(counts == 0) & ~blocked] = (250, 250, 248)
        pixels[blocked] = (96, 106, 120)
        return png(pixels), most

    image, most = picture(trace.poses[..., :2])
    overlay = _marks(findings, trace)
    size = f"{site.width * site.cell:g} {site.height * site.cell:g}"
    names = (("station", "#2d8fe3"), ("charger", "#2e9e6b"), ("collision", "#c0392b"), ("rack or wall", "#606a78"))
    names += fixture_names(site)
    robots = (
        f'<svg viewBox="0 0 {size}"><image href="{image}" width="100%" height="100%" '
        f'style="image-rendering:pixelated" preserveAspectRatio="none"/>{overlay}</svg>'
        '<div style="max-width:320px;margin-top:10px"><div class="scale"></div>'
        f'<div class="ends"><span>1 pass</span><span>{most} passes</span></div></div>{legend(names)}'
    )
    people = ""
    if trace.people.shape[1]:
        people = f'<p class="note" style="margin-top:0">Where people walked</p>{_image(picture(trace.people)[0])}'
    content = f'<div class="maps"><div>{robots}</div><div>{people}</div></div>' if people else robots
    return _card(
        "Paths on the floor", content, f"robots entering each {PIXEL:g} m square, from their true poses", wide=True
    )


def _image(address: str) -> str:
    return f'<img class="map" alt="heat map" src="{address}">'


def _marks(findings: Findings, trace: Trace) -> str:
    """Fixtures, stations, chargers and collisions over the heat map, in metres, y down."""
    site = trace.site
    top = site.height * site.cell
    parts = [draw_fixtures(site)]
    for cells, colour, name in ((site.stations, "#2d8fe3", "station"), (site.chargers, "#2e9e6b", "charger")):
        for cell, (x, y) in zip(cells.tolist(), site.centre(cells), strict=True):
            place = f'x="{x - 0.42:.2f}" y="{top - y - 0.42:.2f}" width=".84" height=".84"'
            parts.append(
                f'<rect {place} fill="none" stroke="{colour}" stroke-width=".14">'
                f"<title>{name}, cell {cell}</title></rect>"
            )
    for contact in findings.plant.get("contacts", []):
        if contact["collision"] and contact["robot"] in trace.names:
            period = min(int(np.searchsorted(trace.stamps, contact["stamp"])), len(trace.stamps) - 1)
            x, y = trace.poses[period, trace.names.index(contact["robot"]), :2]
            parts.append(
                f'<circle cx="{x:.2f}" cy="{top - y:.2f}" r=".45" fill="none" stroke="#c0392b" stroke-width=".2">'
                f"<title>{contact['robot']} at {contact['stamp'] / SECOND:.1f} s</title></circle>"
            )
    return "".join(parts)


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
    return _card("Interventions by reason", (content or "<p>none</p>") + '<p class="note">Modes:</p>' + share, note)


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
    content += legend([("p50", "var(--a)"), ("p99", "var(--b)"), ("longest", "var(--faint)"), ("goals", "var(--c)")])
    note = (
        f"readings to released command, record included, while all processes shared this machine's cores; "
        f"{missed} deadlines missed"
    )
    return _card("Control-step latency", content, note)


def _contacts(findings: Findings) -> str:
    plant = findings.plant
    if not plant:
        return ""
    rows = [
        ("a robot drove or turned into something", plant["collisions"], plant["oracle_collisions"]),
        ("a person walked into a standing robot", plant["person_contacts"], plant["oracle_person_contacts"]),
        ("a standing robot was driven into", plant["struck"], plant["oracle_struck"]),
    ]
    content = _table(
        ("", "engine", "geometry"), [(html.escape(text), str(one), str(two)) for text, one, two in rows], numbers=2
    )
    same = all(one == two for _, one, two in rows)
    content += f'<p class="{"good" if same else "bad"}">{"The counts agree." if same else "The counts differ."}</p>'
    if plant["contacts"]:
        content += _table(
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
    return _card("Contacts", content, note)


def _audit(findings: Findings) -> str:
    audit = findings.audit
    if not audit:
        return ""
    content = f'<p class="{"bad" if audit["findings"] else "good"}">{audit["findings"]} findings</p>'
    if audit["findings"]:
        content += _table(
            ("kind", "detail"), [(entry["kind"], html.escape(entry["detail"])) for entry in audit["first"][:20]]
        )
    if findings.open:
        content += f"<p>{len(findings.open)} tasks are open:</p>"
        content += _table(
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
    return _card("The auditor", content, note)


def _facts(findings: Findings) -> str:
    record = findings.record
    if not record:
        return ""
    rows: list[tuple[str, str]] = []
    if record.get("arguments"):
        rows.append(("command", f"<code>{html.escape(' '.join(map(str, record['arguments'])))}</code>"))
    if findings.plant:
        rows.append(("floor's hash", f"<code>{findings.plant['site_hash'][:24]}</code>"))
    cpu: dict[str, Any] = record.get("cpu", {})
    if cpu:
        rows.append(("processor", html.escape(f"{cpu.get('model', '')} ({cpu.get('cores', '?')} cores)")))
    versions = record.get("versions", {})
    rows.append(("versions", html.escape(", ".join(f"{name} {version}" for name, version in versions.items()))))
    return _card("How it was run", _table(("", ""), rows), "")


def _card(title: str, content: str, note: str, *, wide: bool = False) -> str:
    text = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f'<section class="card{" wide" if wide else ""}"><h2>{html.escape(title)}</h2>{content}{text}</section>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """A table whose cells are HTML; the last `numbers` columns are set right."""
    kinds = [""] * (len(head) - numbers) + [' class="n"'] * numbers
    top = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(kinds, head, strict=True)) if any(head) else ""
    lines = (
        "<tr>" + "".join(f"<td{kind}>{value}</td>" for kind, value in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{''.join(lines)}</table>"
