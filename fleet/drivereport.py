"""report.html of drives: on one page that loads nothing, for people who were not there.

`write_drive_report` renders what the run directory holds: the black boxes of its drives (fleet/drivelog.py), the video,
the learning curve where something was trained, and run.json. Every figure is reduced from the black boxes, so the page
can be made again from them.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fleet.charts import Line, Span, bar_chart, legend, line_chart, number, png, share_chart
from fleet.drivefigures import AT_FAULT, PERCENTILES, DriveFigures, figures
from fleet.drivelog import RecordedDrive, read_drives
from fleet.findings import read_curve
from fleet.report import how_it_was_run
from fleet.rundir import MOMENT, RunDirectory, read_record
from fleet.sheet import card, cards, sheet, table
from sim.driving.moment import Moment
from sim.driving.picture import FromAbove
from sim.driving.roadmap import drive_map
from sim.driving.witness import BEYOND, INVARIANTS, NEAR_MISS, SLACK
from sim.files import write_atomic

VIDEO = "drive.mp4"
"""Of all drives, in the run directory."""

EMBEDDED = 48 * 1024 * 1024
"""Bytes of a video that is put into the page; browsers take long for larger ones, which are linked."""

POINTS = 600
"""Points of a curve over time: as many as a chart has pixels."""

TONES = {
    "policy": "var(--d)",
    "shielded": "var(--b)",
    "fallback": "#9654be",
    "stopped": "var(--c)",
    "latched": "var(--ink)",
}
"""Who drives, in the colours of the video (sim/driving/instruments.py)."""

GOOD_COMPLETION = 0.95
"""Share of a route that counts as completed."""


def write_drive_report(directory: RunDirectory, *, trouble: str = "") -> Path:
    """Render the page of a run, whole or not at all; `trouble` says why there is no video.

    Raises `MusterError` for damaged records.
    """
    drives = read_drives(directory.blackbox)
    record = read_record(directory) if directory.record.exists() else {}
    folders = sorted(directory.root.glob("*/train.jsonl"), key=lambda path: path.stat().st_mtime)
    curves = {path.parent.name: read_curve(path) for path in folders}  # in the order of training
    video = directory.root / VIDEO
    page = render(directory.root.name, drives, record, curves, video if video.exists() else None, trouble)
    write_atomic(directory.report, page)
    return directory.report


def render(
    name: str,
    drives: Sequence[RecordedDrive],
    record: dict[str, Any],
    curves: Mapping[str, Sequence[dict[str, float]]] | None = None,
    video: Path | None = None,
    trouble: str = "",
) -> str:
    """The page."""
    found = [figures(drive.course, drive.moments) for drive in drives]
    shown = [
        _video(video, trouble, drives),
        _drives(found),
        *(_course(drive, figure) for drive, figure in zip(drives, found, strict=True)),
        _interventions(found),
        _contacts(found),
        _invariants(found),
        _comfort(found),
        *(_curve(name, curve) for name, curve in (curves or {}).items()),
        how_it_was_run(record, _hashes(drives)),
    ]
    return sheet(f"muster {name}", f"muster drives {name}", _subtitle(found, record), _tiles(found) + cards(shown))


def _subtitle(found: Sequence[DriveFigures], record: dict[str, Any]) -> str:
    many = len(found)
    words = [f"{many} drive{'s' if many != 1 else ''}"]
    words += sorted({figure.driver for figure in found if figure.driver})
    if found:
        words.append("with shield" if all(figure.shielded for figure in found) else "not all with shield")
    if record.get("seed") is not None:
        words.append(f"seed {record['seed']}")
    if record.get("started"):
        words.append(f"started {datetime.strptime(record['started'], MOMENT):%Y-%m-%d %H:%M:%S} UTC")
    return " · ".join(words)


def _tiles(found: Sequence[DriveFigures]) -> str:
    if not found:
        return ""
    completion = float(np.mean([figure.completion for figure in found]))
    at_fault = sum(figure.at_fault for figure in found)
    shares = [figure.speed_share for figure in found if math.isfinite(figure.speed_share)]
    seconds = sum(figure.seconds for figure in found)
    steps = sum(sum(figure.interventions.values()) for figure in found)
    ttc = min(figure.least_ttc for figure in found)
    tiles = [
        (f"{100 * completion:.1f} %", "of the routes completed", "good" if completion >= GOOD_COMPLETION else ""),
        (str(at_fault), "contacts at fault", "bad" if at_fault else "good"),
        (f"{sum(figure.driven for figure in found) / 1000:.2f} km", f"driven in {seconds / 60:.1f} minutes", ""),
    ]
    asked = [figure.solved for figure in found if figure.asks]
    if asked:
        kind = "good" if all(asked) else "bad"
        tiles.append((f"{sum(asked)} of {len(asked)}", "problems and scenarios solved", kind))
    if shares:
        tiles.append((f"{100 * float(np.mean(shares)):.0f} %", "of the speed limit, mean", ""))
    if seconds:
        share = 100 * steps / max(sum(figure.steps for figure in found), 1)
        tiles.append((f"{share:.1f} %", "of the control steps intervened", ""))
    if math.isfinite(ttc):
        tiles.append((f"{ttc:.1f} s", "least time to collision", ""))
    shown = (f'<div class="tile"><b class="{kind}">{value}</b><span>{text}</span></div>' for value, text, kind in tiles)
    return f'<div class="tiles">{"".join(shown)}</div>'


def _video(video: Path | None, trouble: str, drives: Sequence[RecordedDrive]) -> str:
    if video is None:
        return card("Video", f"<p>{html.escape(trouble)}</p>", wide=True) if trouble else ""
    source = html.escape(video.name)
    if video.stat().st_size <= EMBEDDED:
        source = "data:video/mp4;base64," + base64.b64encode(video.read_bytes()).decode()
    look = 'controls muted playsinline preload="metadata" style="width:100%;border-radius:6px"'
    content = f'<video {look} poster="{_poster(drives)}" src="{source}"></video>'
    names = [("stored stopping plan", "rgb(46,168,98)"), ("where others may be meanwhile", "rgb(246,178,58)")]
    names += [("shield intervenes", "rgb(240,150,36)"), ("the car", "rgb(28,116,232)")]
    if any(moment.mode == "fallback" for drive in drives for moment in drive.moments):
        names.append(("fallback drives", TONES["fallback"]))
    return card("Video", content + legend(names), trouble, wide=True)


def _poster(drives: Sequence[RecordedDrive]) -> str:
    """A moment of the first drive as a JPEG data address: what is seen before anybody starts the video."""
    from PIL import Image

    first = next((drive for drive in drives if drive.moments), None)
    if first is None:
        return ""
    frame = FromAbove(first.course).frame(first.moments[len(first.moments) // 3])
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _drives(found: Sequence[DriveFigures]) -> str:
    head = (
        "road", "shield", "ended", "route", "completed", "time", "mean speed", "of the limit", "interventions",
        "at fault", "other contacts", "near misses", "least TTC", "least clearance",
    )  # fmt: skip
    rows = []
    for figure in found:
        others = sum(figure.contacts.values()) - figure.at_fault
        kind = "bad" if figure.at_fault else "good"
        rows.append(
            (
                html.escape(figure.name),
                "on" if figure.shielded else "off",
                _ending(figure),
                _extent(figure),
                f"{100 * figure.completion:.1f} %",
                f"{figure.seconds:.0f}\u00a0s",
                f"{3.6 * figure.speed:.0f}\u00a0km/h",
                f"{100 * figure.speed_share:.0f} %" if math.isfinite(figure.speed_share) else "",
                f"{100 * sum(figure.interventions.values()) / max(figure.steps, 1):.1f} %",
                f'<span class="{kind}">{figure.at_fault}</span>',
                str(others),
                str(figure.near_misses),
                _finite(figure.least_ttc, "s"),
                _finite(figure.least_clearance, "m"),
            )
        )
    note = (
        "interventions: share of the control steps in which the released command is not the policy's; "
        "clearance and time to collision (TTC) from true places; near misses: stretches in motion with less than "
        f"{NEAR_MISS:g} m of room, without a contact"
    )
    return card("Drives", table(head, rows, numbers=len(head) - 3) if rows else "<p>none</p>", note, wide=True)


def _extent(figure: DriveFigures) -> str:
    """What a drive's completion is a share of."""
    return f"{figure.lasts:.0f}\u00a0s" if figure.lasts else f"{figure.length:,.0f}\u00a0m"


def _ending(figure: DriveFigures) -> str:
    """How a drive ended; coloured where something was asked of it."""
    said = html.escape(figure.ending) or "cut off"
    return f'<span class="{"good" if figure.solved else "bad"}">{said}</span>' if figure.asks else said


def _course(drive: RecordedDrive, figure: DriveFigures) -> str:
    """One drive: its way on the road's plan, speed and margin over time."""
    moments = drive.moments
    if not moments:
        return ""
    rows = np.unique(np.linspace(0, len(moments) - 1, POINTS).round().astype(int)).tolist()
    time = [moments[row].time for row in rows]
    spans = _spans(moments, drive.course.period)
    known = [row for row in rows if math.isfinite(moments[row].limit)]
    lines = [
        Line(
            "limit",
            [moments[row].time for row in known],
            [3.6 * moments[row].limit for row in known],
            "var(--faint)",
            step=True,
        ),
        Line("speed", time, [3.6 * moments[row].speed for row in rows], "var(--a)"),
    ]
    speed = line_chart(lines, "s", "km/h", spans=spans)
    margins = [row for row in rows if math.isfinite(moments[row].margin)]
    margin = ""
    if margins:
        values = [moments[row].margin for row in margins]
        low, high = min(0.0, *values), float(np.percentile(values, 98))
        line = Line("the shield's margin", [moments[row].time for row in margins], values, "var(--d)")
        margin = line_chart([line], "s", "m", (low, max(high * 1.1, low + 1.0)), spans)
    said = sorted({span.name for span in spans})
    note = f"marked: {', '.join(said)}" if said else "the policy's commands were all released as they were"
    if figure.asks:
        note = f"asked: {figure.asks}; {'solved' if figure.solved else 'not solved'}: {figure.ending}; {note}"
    if drive.settings.get("fault"):
        note = f"fault: {drive.settings['fault']} s; {note}"
    if drive.damage:
        note += f"; {drive.damage}"
    picture = (
        f'<img class="map" style="image-rendering:auto" alt="the way" src="{png(drive_map(drive.course, moments))}">'
    )
    inner = f'<div class="cards" style="margin-top:14px"><div>{speed}</div><div>{margin}</div></div>'
    title = f"{figure.name}: {100 * figure.completion:.0f} % of {_extent(figure)}"
    return card(title, picture + inner, note, wide=True)


def _spans(moments: Sequence[Moment], period: float) -> list[Span]:
    """Stretches in which somebody else than the policy decided."""
    spans: list[Span] = []
    for moment in moments:
        if not moment.intervened:
            continue
        name = f"{moment.mode}: {moment.reason}" if moment.reason else moment.mode
        end = moment.time + period
        if spans and spans[-1].name == name and moment.time - spans[-1].end < 1.5 * period:
            spans[-1] = Span(name, spans[-1].begin, end, spans[-1].colour)
        else:
            spans.append(Span(name, moment.time, end, TONES.get(moment.mode, "var(--b)")))
    return spans


def _interventions(found: Sequence[DriveFigures]) -> str:
    if not found:
        return ""
    reasons: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    for figure in found:
        reasons.update(figure.interventions)
        modes.update(figure.modes)
    bars = bar_chart(reasons.most_common(), "var(--b)")
    share = share_chart([(name, modes[name], colour) for name, colour in TONES.items() if modes[name]])
    note = f"control steps whose command is not the policy's, of {sum(modes.values()):,} in all"
    return card("Interventions by reason", (bars or "<p>none</p>") + '<p class="note">Who drove:</p>' + share, note)


def _contacts(found: Sequence[DriveFigures]) -> str:
    if not found:
        return ""
    total: Counter[str] = Counter()
    for figure in found:
        total.update(figure.contacts)
    rows = [
        (html.escape(blame), html.escape(what), str(count))
        for (blame, _, what), count in sorted((name.partition(": "), count) for name, count in total.items())
    ]
    content = table(("class", "with", "contacts"), rows, numbers=1) if rows else '<p class="good">none</p>'
    note = f"{AT_FAULT}: the car moved, and no exemption applies; every exempted contact is listed by its class"
    return card("Contacts", content, note)


def _invariants(found: Sequence[DriveFigures]) -> str:
    if not found:
        return ""
    steps = sum(figure.steps for figure in found)
    total: Counter[str] = Counter()
    for figure in found:
        total.update(figure.broken)
    names = [*INVARIANTS, *sorted(set(total) - set(INVARIANTS))]
    rows = [
        (name, f'<span class="{"bad" if total[name] else "good"}">{total[name]:,}</span>', f"{steps:,}")
        for name in names
    ]
    note = (
        "looked at in every control step, each with its own reason in the black box; clearance breaks with a contact "
        f"in motion, the speed limit {SLACK:g} m/s above it, the lane boundary {BEYOND:g} m across it"
    )
    return card("Invariants", table(("", "steps broken", "of"), rows, numbers=2), note)


def _comfort(found: Sequence[DriveFigures]) -> str:
    rows = []
    for figure in found:
        for name, values, unit in (
            ("acceleration", figure.accel, "m/s²"),
            ("jerk", figure.jerk, "m/s³"),
            ("lateral acceleration", figure.lateral, "m/s²"),
        ):
            if values:
                rows.append((html.escape(figure.name), name, *(f"{number(round(v, 2))} {unit}" for v in values)))
    head = ("road", "", *(f"{percent:g} %" for percent in PERCENTILES))
    content = table(head, rows, numbers=len(PERCENTILES))
    return card("Comfort", content, "percentiles of the sizes while the car moved") if rows else ""


def _curve(level: str, curve: Sequence[dict[str, float]]) -> str:
    """The learning curve of a level: shares over decisions."""
    if not curve:
        return ""
    names = (
        ("success", "success while training", "var(--faint)", False),
        ("held_out_success", "success on unseen roads", "var(--a)", True),
        ("held_out_completion", "route completion on unseen roads", "var(--d)", True),
        ("held_out_at_fault", "with a contact at fault on unseen roads", "var(--c)", True),
    )
    lines = []
    for key, name, colour, dots in names:
        rows = [entry for entry in curve if entry.get(key) is not None]
        lines.append(Line(name, [entry["steps"] for entry in rows], [entry[key] for entry in rows], colour, dots=dots))
    last = curve[-1]
    note = f"{last['steps']:,.0f} steps in {last['seconds']:.0f} s of wall time"
    if len(curve) < 2:  # no curve yet
        said = ", ".join(f"{line.name} {100 * line.y[-1]:.0f} %" for line in lines if len(line.y))
        return card(f"Learning curve: {level}", f"<p>{html.escape(said)}</p>", note)
    return card(f"Learning curve: {level}", line_chart(lines, "decisions", "share", (0.0, 1.0)), note)


def _hashes(drives: Sequence[RecordedDrive]) -> list[tuple[str, str]]:
    roads = {drive.course.name: drive.course.road.hash[:16] for drive in drives}
    words = ", ".join(f"{html.escape(name)} <code>{value}</code>" for name, value in roads.items())
    left = {drive.course.name: drive.course.road.ignored for drive in drives if drive.course.road.ignored}
    unread = [(f"not read of {html.escape(name)}", html.escape("; ".join(each))) for name, each in left.items()]
    return [("roads' hashes", words), *unread] if roads else []


def _finite(value: float, unit: str) -> str:
    return f"{value:.1f}\u00a0{unit}" if math.isfinite(value) else ""
