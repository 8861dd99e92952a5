"""report.html of a rollout demo: what each candidate went through, and by which numbers it was judged."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.charts import Line, line_chart
from fleet.judge.summary import Summary
from fleet.judge.verdict import Verdict
from fleet.sheet import card, cards, sheet, table
from sim.files import write_atomic


@dataclass
class Chapter:
    """One candidate's way."""

    name: str
    candidate: str
    baseline: str
    lines: list[tuple[str, int, float, str, str]] = field(default_factory=list)
    """Stage, robots with the candidate, s of site time, reason, what came next"""
    looks: list[tuple[str, float]] = field(default_factory=list)
    """Stage and evidence (nats) at each look"""
    verdict: Verdict | None = None
    end: str = ""


def write_report(root: Path, chapters: Sequence[Chapter], missions: int, seconds: float) -> Path:
    """Render report.html, whole or not at all; its path."""
    found = [part for chapter in chapters for part in _chapter(chapter)]
    text = sheet(
        "rollout", "Two candidates for one fleet", f"{missions} missions, {seconds:.0f} s of wall time", cards(found)
    )
    write_atomic(root / "report.html", text)
    return root / "report.html"


def _chapter(chapter: Chapter) -> list[str]:
    rows = [
        (stage, html.escape(after), html.escape(reason), str(robots), f"{length:.0f}")
        for stage, robots, length, reason, after in chapter.lines
    ]
    way = table(("stage", "then", "why", "robots", "s"), rows, numbers=2)
    title = f"{chapter.name}: {chapter.end}"
    found = [card(title, way, f"candidate {chapter.candidate[:12]}, baseline {chapter.baseline[:12]}", wide=True)]
    if chapter.verdict is None:
        return found
    findings = [
        (
            html.escape(finding.name),
            _number(finding.name, finding.candidate),
            _number(finding.name, finding.baseline),
            f"{finding.ratio_low:.2f} to {'any' if finding.ratio_high is None else f'{finding.ratio_high:.2f}'}",
            f"{finding.tolerance:g}",
            f"{finding.log_e:.1f}",
        )
        for finding in chapter.verdict.findings
    ]
    head = ("guardrail", "candidate", "baseline", "ratio", "tolerated", "evidence against")
    needed = chapter.verdict.log_e_needed
    found.append(
        card(
            f"{chapter.name}: what the judge saw",
            table(head, findings, numbers=5),
            f"{chapter.verdict.candidate} missions of the candidate, {chapter.verdict.baseline} beside it; "
            f"{chapter.verdict.decision}: {chapter.verdict.reason}",
        )
    )
    if len(chapter.looks) > 1:
        x = list(range(len(chapter.looks)))
        lines = [
            Line("evidence against it", x, [look[1] for look in chapter.looks], dots=True),
            Line("rolls back", x, [needed] * len(x), "var(--b)"),
        ]
        found.append(card(f"{chapter.name}: evidence, look by look", line_chart(lines, "look", "nats")))
    return found


def _number(name: str, summary: Summary) -> str:
    value = summary.of(name.partition(".")[2])
    return "none" if value is None else f"{value:.3g}"
