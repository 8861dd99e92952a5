"""One time axis for an incident: margin, speeds, who proposed, the mode and why the shield acted, below one another."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

from fleet.charts import legend, number, ticks
from fleet.incident.moment import Moment
from fleet.incident.walk import Walked
from fleet.report import MODES
from safety.reason import Reason
from safety.supervisor import Cause, Mode

WIDTH, LEFT, RIGHT = 1120, 92, 12
TALL, BAND, GAP = 120, 22, 16
"""Heights of a chart and of a band, and what is between two, pixels."""


def timeline(moment: Moment) -> str:
    """The axis as HTML; its element `cursor` is moved by the page's player."""
    steps = moment.steps
    begin, end = moment.seconds(steps[0]), moment.seconds(steps[-1])
    scale = (WIDTH - LEFT - RIGHT) / max(end - begin, 1e-9)
    xs = [LEFT + (moment.seconds(step) - begin) * scale for step in steps]
    parts: list[str] = []
    top = 8.0
    margins = [step.now.margin if step.now.margin >= 0.0 else 0.0 for step in steps]
    top = _chart(parts, xs, top, "margin, m", [("var(--d)", margins)])
    speeds = [
        ("var(--faint)", [_finite(step.now.proposed[0]) for step in steps]),
        ("var(--a)", [step.now.released[0] for step in steps]),
        ("var(--b)", [_finite(step.inputs.twist[0]) for step in steps]),
    ]
    top = _chart(parts, xs, top, "speed, m/s", speeds)
    top = _band(parts, steps, xs, top, "mode", _mode)
    top = _band(parts, steps, xs, top, "cause", _cause)
    top = _band(parts, steps, xs, top, "shield", _reason)
    top = _band(parts, steps, xs, top, "proposed by", _source)
    for tick in ticks(begin, end):
        x = LEFT + (tick - begin) * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="8" x2="{x:.1f}" y2="{top:.0f}"/>')
        parts.append(f'<text x="{x:.1f}" y="{top + 14:.0f}" text-anchor="middle">{number(tick)} s</text>')
    x = xs[moment.at]
    parts.append(
        f'<line x1="{x:.1f}" y1="2" x2="{x:.1f}" y2="{top:.0f}" stroke="var(--c)" stroke-width="1.5" '
        f'stroke-dasharray="5 4"><title>the moment</title></line>'
        f'<line id="cursor" x1="{x:.1f}" y1="2" x2="{x:.1f}" y2="{top:.0f}" stroke="var(--ink)" stroke-width="2" '
        f'data-left="{LEFT}" data-width="{WIDTH - LEFT - RIGHT}"/>'
    )
    keys = [
        ("margin of the released plan (0: the stored plan plays)", "var(--d)"),
        ("proposed", "var(--faint)"),
        ("released", "var(--a)"),
        ("measured", "var(--b)"),
        ("the moment", "var(--c)"),
    ]
    svg = f'<svg viewBox="0 0 {WIDTH} {top + 20:.0f}" style="cursor:pointer">{"".join(parts)}</svg>'
    return svg + legend(keys)


def _chart(
    parts: list[str], xs: Sequence[float], top: float, name: str, lines: Sequence[tuple[str, Sequence[float]]]
) -> float:
    """Curves over the axis; the top of what comes next."""
    low = min(0.0, *(min(values) for _, values in lines))
    high = max(0.1, *(max(values) for _, values in lines)) * 1.05
    for tick in ticks(low, high):
        y = top + TALL * (high - tick) / (high - low)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    parts.append(f'<text transform="translate(14 {top + TALL / 2:.0f}) rotate(-90)" text-anchor="middle">{name}</text>')
    for colour, values in lines:
        places = (
            f"{x:.1f} {top + TALL * (high - value) / (high - low):.1f}" for x, value in zip(xs, values, strict=True)
        )
        parts.append(f'<path d="M{"L".join(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return top + TALL + GAP


def _band(
    parts: list[str],
    steps: Sequence[Walked],
    xs: Sequence[float],
    top: float,
    name: str,
    say: Callable[[Walked], tuple[str, str]],
) -> float:
    """Stretches of one word each; the top of what comes next."""
    parts.append(f'<text x="{LEFT - 6}" y="{top + BAND / 2 + 4:.0f}" text-anchor="end">{name}</text>')
    begin = 0
    for index in range(1, len(steps) + 1):
        if index < len(steps) and say(steps[index]) == say(steps[begin]):
            continue
        text, colour = say(steps[begin])
        right = xs[index] if index < len(steps) else xs[-1]
        wide = max(right - xs[begin], 1.5)
        if text:
            parts.append(
                f'<rect x="{xs[begin]:.1f}" y="{top:.0f}" width="{wide:.1f}" height="{BAND}" rx="2" fill="{colour}" '
                f'opacity=".85"><title>{html.escape(text)}</title></rect>'
            )
        if text and wide > 7.0 * len(text) + 8:
            place = f'x="{xs[begin] + 5:.1f}" y="{top + BAND / 2 + 4:.0f}"'
            parts.append(f'<text {place} style="fill:#fff">{html.escape(text)}</text>')
        begin = index
    return top + BAND + 6


def _mode(step: Walked) -> tuple[str, str]:
    name = Mode(step.now.mode).name
    return name.lower(), MODES[name]


def _cause(step: Walked) -> tuple[str, str]:
    cause = Cause(step.now.cause)
    return ("" if cause is Cause.NONE else cause.name.lower().replace("_", " ")), "var(--soft)"


def _reason(step: Walked) -> tuple[str, str]:
    reason = step.now.reason
    return ("" if reason is Reason.NONE else reason.name.lower().replace("_", " ")), "var(--b)"


def _source(step: Walked) -> tuple[str, str]:
    source = step.now.source
    return ("" if source == "none" else source), "var(--d)" if source == "fallback" else "var(--soft)"


def _finite(value: float) -> float:
    return value if abs(value) < 1e6 else 0.0
