"""The report of a shadow on one page that loads nothing: verdict, evidence, disagreement, what the shield did."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from fleet.charts import Line, line_chart
from fleet.shadow.pairs import DIFFERS, FLOOR, ROAD, Pair
from fleet.shadow.summary import ShadowSummary
from fleet.sheet import card, cards, sheet, table
from safety.shield import Reason
from sim.robot import SECOND

POINTS = 240
"""Points of a line over time: as many as a page shows apart."""
KINDS = {"pass": "good", "reject": "bad"}
PROGRESS = {FLOOR: "m/s", ROAD: "m/s^2 (acceleration)"}
COMMANDS = {FLOOR: "v in m/s, w in rad/s", ROAD: "acceleration in m/s^2, curvature in 1/m"}
WORST = 12
"""Steps that are listed"""


def render(name: str, found: ShadowSummary, pairs: Sequence[Pair]) -> str:
    """The page; `pairs` in the order of their stamps."""
    verdict = found.verdict
    production = ", ".join(found.production) or "a recording of others"
    subtitle = f"candidate {found.candidate} beside {production} · {len(found.robots)} robots · {found.pairs:,} steps"
    content = _tiles(found) + cards(
        [_evidence(found), _over_time(pairs), _spread(pairs), _shield(found), _worst(pairs)]
    )
    return sheet(f"shadow {found.candidate}", f"Shadow on {name}: {verdict.decision}", subtitle, content)


def _tiles(found: ShadowSummary) -> str:
    verdict, n = found.verdict, max(found.pairs, 1)
    tiles = [
        (verdict.decision, html.escape(verdict.reason), KINDS.get(verdict.decision, "")),
        (f"{found.pairs:,}", "steps paired", ""),
        (f"{100 * found.differing:.1f} %", f"differ by more than {100 * DIFFERS:g} % of the range", ""),
        (f"{100 * found.interventions_candidate / n:.2f} %", "candidate's commands that the shield would change", ""),
        (f"{100 * found.interventions_production / n:.2f} %", "production's commands that it changed", ""),
        (f"{1e3 * found.seconds_p50:.2f} ms", f"a candidate's step (p99 {1e3 * found.seconds_p99:.2f} ms)", ""),
    ]
    if found.skipped:
        said = ", ".join(f"{html.escape(why)} {count:,}" for why, count in found.skipped.items())
        tiles.append((f"{sum(found.skipped.values()):,}", f"steps left out: {said}", ""))
    shown = (f'<div class="tile"><b class="{kind}">{value}</b><span>{text}</span></div>' for value, text, kind in tiles)
    return f'<div class="tiles">{"".join(shown)}</div>'


def _evidence(found: ShadowSummary) -> str:
    rows = [
        (
            one.name,
            f"{one.production:.4g}",
            f"{one.candidate:.4g}",
            f"{np.exp(min(one.log_e_worse, 30.0)):.3g}",
            f"{np.exp(min(one.log_e_fine, 30.0)):.3g}",
        )
        for one in found.verdict.findings
    ]
    if not rows:
        return ""
    verdict = found.verdict
    note = (
        f"e-values that hold at any look, {verdict.blocks} blocks; harm rejects at {np.exp(verdict.log_e_needed):.3g} "
        f"together, now {np.exp(min(verdict.log_e, 30.0)):.3g}. Interventions and failures per step as they begin, "
        f"margin in m, progress in {PROGRESS[found.world]}, disagreement as the share of steps beside what is allowed"
    )
    head = ("evidence", "production", "candidate", "e: worse", "e: within tolerance")
    return card("Evidence", table(head, rows, numbers=4), note, wide=True)


def _over_time(pairs: Sequence[Pair]) -> str:
    if len(pairs) < 2:
        return ""
    begin = pairs[0].stamp
    groups = [group for group in np.array_split(np.arange(len(pairs)), min(POINTS, len(pairs))) if len(group)]
    minutes = [(pairs[group[0]].stamp - begin) / SECOND / 60.0 for group in groups]
    mean = [float(np.mean([pairs[i].disagreement for i in group])) for group in groups]
    most = [float(np.max([pairs[i].disagreement for i in group])) for group in groups]
    lines = [Line("largest", minutes, most, "var(--faint)"), Line("mean", minutes, mean, "var(--a)")]
    chart = line_chart(lines, "minutes of the site clock", "share of the range", (0.0, max(1.0, *most)))
    return card("Disagreement over time", chart, "distance of the proposals in shares of what the robot can do")


def _spread(pairs: Sequence[Pair]) -> str:
    apart = np.sort([one.disagreement for one in pairs])
    if len(apart) < 2:
        return ""
    shares = np.linspace(0.0, 1.0, POINTS)
    line = Line("steps", [float(x) for x in np.quantile(apart, shares)], [float(y) for y in shares], "var(--a)")
    chart = line_chart([line], "disagreement", "share of steps at most so far apart", (0.0, 1.0))
    return card(
        "How far they are apart", chart, f"a quarter of the range ({DIFFERS:g}) and more counts as another command"
    )


def _shield(found: ShadowSummary) -> str:
    codes = sorted({*found.reasons_production, *found.reasons_candidate})
    if not codes:
        return card("What the shield did", "<p>It changed nothing that either of the two proposed.</p>")
    rows = [
        (
            Reason(code).name.lower().replace("_", " "),
            f"{found.reasons_production.get(code, 0):,}",
            f"{found.reasons_candidate.get(code, 0):,}",
        )
        for code in codes
    ]
    note = "steps in which the shield put another command in place of what was proposed, by its reason"
    return card("What the shield did", table(("reason", "production", "candidate"), rows, numbers=2), note)


def _worst(pairs: Sequence[Pair]) -> str:
    rows = []
    for one in sorted(pairs, key=lambda each: -each.disagreement)[:WORST]:
        p, c = one.production, one.candidate
        rows.append(
            (
                html.escape(one.robot),
                f"{one.cycle}",
                *(_command(each, one.world) for each in (p.proposed, c.proposed, p.released, c.released)),
                f"{p.margin:.2f}",
                f"{c.margin:.2f}",
                f"{one.disagreement:.2f}",
            )
        )
    if not rows:
        return ""
    head = (
        "robot", "cycle", "production proposed", "candidate proposed", "released", "would be released",
        "margin, m", "candidate's", "disagreement",
    )  # fmt: skip
    return card("Where they differ most", table(head, rows, numbers=3), COMMANDS[pairs[0].world], wide=True)


def _command(command: tuple[float, float], world: str) -> str:
    return f"{command[0]:+.2f} {command[1]:+.{2 if world == FLOOR else 4}f}"
