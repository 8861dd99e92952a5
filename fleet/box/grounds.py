"""On what one step's decision rests, in lines: what the shield tried and refused, every monitor's value, by whose word.

refused   the proposal: too near to something that moves
          person: 0 (+0.90, +0.00), 3 (+0.90, -0.25)
          41 candidates not judged: candidate 7 is nearer to the proposal
monitors  ages: scan 0.000 s, pose 0.000 s, twist 0.000 s, picture 0.100 s; grant's lease 1.900 s
          ...
release   3f2a19c07d11; policy 06866bd7f614 answered
versions  every hash that the file's header states
"""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping

from fleet.evidence import PROPOSAL, STORED, Evidence, Tried, command, outcome, passed_over, refused
from fleet.records import Inputs, Outputs
from fleet.words import REASONS
from safety.calibration import Authority
from safety.reason import Reason
from sim.robot import SECOND

WIDE = 118
"""Characters of a line."""
INDENT = " " * 12
NAMES = ("policy", "meta", "motor", "contract", "embodiment", "shield", "pinned", "site", "road", "code")
"""Hashes of a header, in the order in which they are told."""
LEVEL = "policy_"
"""How the names of a car's policies begin there."""
NEVER = 3600 * SECOND
"""ns: an age beyond it is of something that never came."""


def of_shield(tried: Tried, reason: Reason) -> Iterator[str]:
    """What the shield tried and why it refused; nothing where it released what was proposed."""
    if reason is Reason.NONE:
        return
    yield f"  refused   the proposal: {REASONS[reason]}; released is {outcome(tried)}"
    by_reason = defaultdict[Reason, list[str]](list)
    for number, why in refused(tried):
        first, second = command(tried, number)
        by_reason[why].append(f"{number}\xa0({first:+.2f},\xa0{second:+.2f})")  # no line breaks in it
    for why, named in by_reason.items():
        words = f"{why.name.lower().replace('_', ' ')}: {', '.join(named)}"
        for line in textwrap.wrap(words, WIDE, initial_indent=INDENT, subsequent_indent=INDENT + "  "):
            yield line.replace("\xa0", " ")
    beyond, unfit = passed_over(tried)
    if beyond:
        yield f"{INDENT}{beyond} candidates not judged: one nearer to the proposal was verified before them"
    if unfit:
        yield f"{INDENT}{unfit} candidates not judged: faster than the floor allows"
    if not tried.verdicts and tried.chosen == STORED:
        yield f"{INDENT}no candidate could be judged"


def of_monitors(evidence: Evidence, outputs: Outputs) -> Iterator[str]:
    """Every monitor's value."""
    *ages, left = evidence.ages
    told = ", ".join(
        f"{name} {_age(age)}" for name, age in zip(("scan", "pose", "twist", "picture"), ages, strict=True)
    )
    lease = f"{left / SECOND:.3f} s" if abs(left) < NEVER else "none"
    yield f"  monitors  ages: {told}; grant's lease {lease}"
    error = evidence.tracking
    tracking = "not to be told" if math.isnan(error) else f"{error:+.3f} m of its bound"
    yield f"{INDENT}tracking {tracking}, {evidence.strayed} cycles in a row outside"
    novelty = outputs.answer.novelty if outputs.answer is not None else ()
    scores = " ".join(f"{value:.2f}" for value in novelty) or "none told"
    yield f"{INDENT}novelty (limit 1): {scores}; the policy's guard: {outputs.guard.name.lower().replace('_', ' ')}"
    calibration = ", ".join(
        f"{name} {value:.2f}"
        for name, value in zip(("braking", "latency", "tracking"), evidence.calibration, strict=True)
    )
    authority = Authority(evidence.authority).name.lower() if evidence.authority in set(Authority) else "unknown"
    yield f"{INDENT}calibration: {calibration}; authority {authority}"
    yield f"{INDENT}{evidence.stuck:.1f} s without progress, {evidence.played} steps without a verified command"


def of_release(
    stated: Mapping[str, str], inputs: Inputs | None = None, outputs: Outputs | None = None
) -> Iterator[str]:
    """By whose word: the release and every hash that the header states."""
    answered = outputs.answer.policy if outputs is not None and outputs.answer is not None else ""
    release = (inputs.release if inputs is not None else "") or stated.get("release", "")[:12]
    words = [f"release {release}" if release else "no release by a rollout: as it was started"]
    words += [f"policy {answered} answered"] if answered else []
    yield "  release   " + "; ".join(words)
    levels = sorted(name for name in stated if name.startswith(LEVEL))  # of a car
    shown = [(name, stated.get(name, "")) for name in (*levels, *NAMES)]
    named = ", ".join(f"{name.removeprefix(LEVEL)} {digest[:12]}" for name, digest in shown if digest)
    yield from textwrap.wrap(named, WIDE, initial_indent="  versions  ", subsequent_indent=INDENT)


def in_short(tried: Tried | None) -> str:
    """What was released instead of a proposal, in a few words; empty where it was the proposal."""
    return "" if tried is None or tried.chosen == PROPOSAL else outcome(tried)


def counted(tried: Tried) -> str:
    """Refused candidates by reason, for a table: `person 12, corridor 3`."""
    counts = defaultdict[Reason, int](int)
    for _, why in refused(tried):
        counts[why] += 1
    return ", ".join(f"{why.name.lower().replace('_', ' ')} {count}" for why, count in counts.items())


def _age(age: int) -> str:
    return f"{age / SECOND:.3f} s" if abs(age) < NEVER else "never"
