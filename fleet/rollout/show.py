"""report.html of a rollout demo: what each candidate went through, and by which numbers it was judged."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.charts import Line, line_chart
from fleet.judge.summary import Summary
from fleet.judge.verdict import Finding, Verdict
from fleet.rollout.assign import BASELINE, CANDIDATE, HOLDOUT
from fleet.sheet import card, cards, sheet, table
from sim.files import write_atomic

WORDS = {
    "interventions.rate": "interventions per mission",
    "contacts.rate": "contacts per mission",
    "near_misses.rate": "near misses per mission",
    "undone.rate": "share of missions not done",
    "time.mean": "time of a mission, s",
    "energy.mean": "energy of a mission, J",
    "latency.mean": "control step, ms",
}
"""Of the demo's guardrails, for people; ms where the metric is in s and small."""

COLOURS = {CANDIDATE: "var(--d)", BASELINE: "var(--faint)", HOLDOUT: "var(--b)"}
RENEWED = 2
"""s after which a page of a demo that runs loads itself again."""


@dataclass
class Chapter:
    """One candidate's way."""

    name: str
    candidate: str
    baseline: str
    began: int = 0
    """ns of the site clock"""
    lines: list[tuple[str, int, float, str, str]] = field(default_factory=list)
    """Stage, robots with the candidate, s of site time, reason, what came next"""
    looks: list[float] = field(default_factory=list)
    """Evidence (nats) against the candidate at each look of the judge"""
    shares: list[tuple[float, int]] = field(default_factory=list)
    """s of site time since the begin, and robots with the candidate from then on"""
    verdict: Verdict | None = None
    arms: Mapping[str, str] = field(default_factory=dict)
    """Of the robots, as they are now"""
    zones: Mapping[str, str] = field(default_factory=dict)
    """By robot"""
    end: str = ""


def introduction(zones: int, lanes: int, given: Mapping[str, str]) -> str:
    """What a reader looks at; `given` are directories of policies in place of the planted ones, by candidate."""
    planted = "; ".join(f"{name} is {place}" for name, place in given.items()) or (
        "The first is planted to be 3 % slower and 0.10 m nearer to people than the release that drives, the second "
        "5 % faster and 0.05 m farther from them; nothing that decides is told so"
    )
    return (
        f"A fleet of {zones * lanes} simulated robots in {zones} zones was to get two releases, one after the other. "
        f"{planted}. Every mission was driven by the control step that robots run, under its shield, past a person who "
        "stands beside the lane. Each candidate went through estimates from logs, simulated missions, shadow and a "
        "closed course (the demo signs it itself), and then to growing shares of the fleet. The judge compares its "
        "missions with those of the robots beside it, and takes it back or lets it go on; an operator confirms."
    )


def write_report(
    root: Path, intro: str, chapters: Sequence[Chapter], missions: int, seconds: float, *, running: bool = False
) -> Path:
    """Render report.html, whole or not at all; its path. `intro` says what the reader looks at.

    While the demo is `running` the page renews itself: it is what one watches, and at the end what one keeps.
    """
    found = [card("What was done", f"<p>{html.escape(intro)}</p>", wide=True)]
    found += [part for chapter in chapters for part in _chapter(chapter)]
    told = f"{missions} missions, {seconds:.0f} s of wall time"
    text = sheet("rollout", "Two candidates for one fleet", told + (", running" if running else ""), cards(found))
    if running:
        text = text.replace("<head>", f'<head><meta http-equiv="refresh" content="{RENEWED}">', 1)
    write_atomic(root / "report.html", text)
    return root / "report.html"


def _chapter(chapter: Chapter) -> list[str]:
    rows = [
        (stage, html.escape(after), html.escape(reason), str(robots), f"{length:.0f}")
        for stage, robots, length, reason, after in chapter.lines
    ]
    way = table(("stage", "then", "why", "robots", "s"), rows, numbers=2)
    title = f"{chapter.name}: {chapter.end or 'under way'}"
    told = f"release {chapter.candidate[:12]} in place of {chapter.baseline[:12]}; robots that drive it, s of site time"
    found = [card(title, way, told, wide=True)]
    if chapter.arms:
        found.append(card(f"{chapter.name}: robots", _map(chapter)))
    charts, verdict = "", chapter.verdict
    if chapter.shares:
        times, robots = zip(*chapter.shares, strict=True)
        charts += line_chart([Line("robots with the candidate", times, robots, "var(--d)", step=True)], "s", "robots")
    if verdict is not None and len(chapter.looks) > 1:
        x = list(range(1, len(chapter.looks) + 1))
        lines = [
            Line("evidence against it", x, chapter.looks, dots=True),
            Line("enough for a rollback", x, [verdict.log_e_needed] * len(x), "var(--b)"),
        ]
        charts += line_chart(lines, "look of the judge", "nats")
    if charts:
        found.append(card(f"{chapter.name}: who drives it, and what speaks against it", charts))
    if verdict is None:
        return found
    head = ("", "candidate", "baseline", "candidate / baseline", "tolerated", "evidence against")
    note = (
        f"{verdict.candidate} missions of the candidate, {verdict.baseline} beside it; {verdict.decision}: "
        f"{verdict.reason}. The ratio is what the missions leave possible at 95 %; verdicts/ has all of it, "
        "and `muster judge replay` judges it again."
    )
    rows = [_finding(finding) for finding in verdict.findings]
    found.append(card(f"{chapter.name}: what the judge saw", table(head, rows, numbers=5), note, wide=True))
    return found


def _map(chapter: Chapter) -> str:
    """A square for each robot, a row for each zone, coloured by what it drives."""
    rows: dict[str, list[str]] = {}
    for robot, zone in sorted(chapter.zones.items()):
        rows.setdefault(zone, []).append(robot)
    size, marks = 26, []
    for y, (zone, robots) in enumerate(sorted(rows.items())):
        marks.append(f'<text x="0" y="{y * size + 17}">{html.escape(zone)}</text>')
        for x, robot in enumerate(robots):
            arm = chapter.arms.get(robot, "baseline")
            marks.append(
                f'<rect x="{x * size + 34}" y="{y * size + 1}" width="{size - 4}" height="{size - 4}" rx="4" '
                f'fill="{COLOURS[arm]}"><title>{html.escape(robot)}: {arm}</title></rect>'
            )
    width = 34 + size * max(len(robots) for robots in rows.values())
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{arm} {sum(each == arm for each in chapter.arms.values())}</span>'
        for arm, colour in COLOURS.items()
    )
    return f'<svg viewBox="0 0 {width} {size * len(rows)}">{"".join(marks)}</svg><div class="legend">{legend}</div>'


def _finding(finding: Finding) -> tuple[str, ...]:
    low, high = finding.ratio_low, finding.ratio_high
    ratio = (
        "not known"
        if high is None and not low
        else f"{low:.2f} and more"
        if high is None
        else f"{low:.2f} to {high:.2f}"
    )
    scale = 1e3 if finding.name == "latency.mean" else 1.0
    return (
        html.escape(WORDS.get(finding.name, finding.name)),
        _number(finding.name, finding.candidate, scale),
        _number(finding.name, finding.baseline, scale),
        ratio,
        f"below {finding.tolerance:g}",
        f"{finding.log_e:.1f}" if finding.log_e > 0.05 else "none",
    )


def _number(name: str, summary: Summary, scale: float) -> str:
    value = summary.of(name.partition(".")[2])
    if value is None:
        return "none"
    value *= scale
    return f"{value:.0f}" if value >= 100.0 else f"{value:.3g}"
