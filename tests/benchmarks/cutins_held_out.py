"""cutins_held_out: R157 cut-ins on which no rule of ours was chosen, under the shield and under reference drivers.

The rule for where no plan is safe (`safety/roadmitigation.py`) was chosen among variants on the rows that `cutins`
measures. Two other sets, by the same simulation:

    rest     the 522 rows of the same grid that the file leaves out: 13 pairs of speeds, 15 gaps up to 57 m for egos up
             to 60 km/h and 12 up to 111 m above, six lateral speeds
    drawn    2,000 cut-ins drawn from the whole family (seed 1): egos of 20 to 130 km/h, others 10 km/h and at least
             5 km/h slower, gaps of 1 to 57 or 111 m, lateral speeds of 0.3 to 1.8 m/s, all continuous

The file has no verdicts for them, so the reference drivers are computed here, from what is published of them, and are
first asked about the file's own rows: `*_differs` counts those on which they and the file disagree.

    FSM      the fuzzy model, R157's second performance model (01 series; Mattas et al. 2022): brakes comfortably to
             hard by how much its distances for a lead that brakes and for one that goes on are undercut
    Reg157   R157 5.2.5.2: who is 0.3 m in the lane must be avoided while the time to collision is at least
             v_rel / (2 6 m/s^2) + 0.35 s; the others count as crashes where going on would hit
    RSS      brakes while distances along and across are both undercut (`safety/rss.py`). The file does not say which
             lateral bounds it was computed with; ours (1 m/s^2, 1.5 m/s^2, 0.3 m) come nearest to it among 144 sets

`*_extra` counts contacts where RSS or FSM has none, `*_share` contacts of all rows, beside FSM's and RSS's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import product

import numpy as np
from cutins import BRAKE, LANE, LENGTH, STEP, VERDICTS, WIDTH, CutIns, Floats, rows_of
from figure import Figure, NotHere
from numpy.typing import NDArray

from safety.rss import Rules, beside, following

SPEEDS = (
    (20, 10), (40, 10), (40, 30), (60, 10), (60, 30), (60, 50),
    (70, 10), (90, 10), (90, 70), (110, 10), (110, 70), (130, 10), (130, 70),
)  # fmt: skip
"""Of ego and intruder in the file, km/h."""

SLOW = 60.0
"""Up to this speed (km/h) gaps are those of R157's first series."""

GAPS = {True: range(1, 58, 4), False: range(1, 112, 10)}
"""m, for slow egos and others."""

LATERALS = (0.3, 0.6, 0.9, 1.2, 1.5, 1.8)
"""m/s"""

DRAWN, QUICK, SEED = 2000, 400, 1

COMFORT, HARD, LEAD, STANDSTILL, TIME = 4.0, 6.0, 7.0, 2.0, 0.75
"""The fuzzy model's numbers: its own braking and the lead's, m/s^2; distance at rest, m; reaction time, s."""

SLACK = 0.1
"""What the fuzzy model adds to the time in which it has passed, s."""

INTRUDED, AVOIDED, AT_ONCE = 0.3, 6.0, 0.35
"""R157 5.2.5.2: m, m/s^2, s."""

RULES = Rules(
    reaction=TIME, accel=0.0, brake=BRAKE, brake_hardest=BRAKE, lateral_accel=1.0, lateral_brake=1.5, fluctuation=0.3
)

Verdict = NDArray[np.bool_]
Row = dict[str, float]


def grid() -> list[Row]:
    """All rows of the file's grid."""
    return [
        _row(ego, other, gap, lateral)
        for ego, other in SPEEDS
        for gap, lateral in product(GAPS[ego <= SLOW], LATERALS)
    ]  # fmt: skip


def drawn(many: int, rng: np.random.Generator) -> list[Row]:
    """Random rows of the family."""
    rows = []
    for _ in range(many):
        ego = rng.uniform(20.0, 130.0)
        other = rng.uniform(10.0, ego - 5.0)
        gap = rng.uniform(1.0, float(GAPS[bool(ego <= SLOW)][-1]))
        rows.append(_row(ego, other, gap, rng.uniform(LATERALS[0], LATERALS[-1])))
    return rows


def _row(ego: float, other: float, gap: float, lateral: float) -> Row:
    return {"ego_kmh": float(ego), "cutin_kmh": float(other), "gap_m": float(gap), "lat_vel_mps": float(lateral)}


def apart(cut: CutIns) -> tuple[Floats, Floats, Floats]:
    """Along, across, and how fast the first shrinks."""
    return cut.other_x - cut.x - LENGTH, np.abs(cut.y) - WIDTH, cut.ego_v - cut.other_v


def fuzzy(cut: CutIns, step: int) -> Floats:
    """The fuzzy model: PFS for a lead that may brake, CFS for one that goes on."""
    along, across, closing = apart(cut)
    v, lead, sideways = cut.ego_v, cut.other_v, cut.across[:, step]
    with np.errstate(divide="ignore", invalid="ignore"):
        passed = (along + 2.0 * LENGTH) / closing + SLACK
        conflict = (across <= 0.0) | ((sideways > 0.0) & (closing > 0.0) & (across / sideways < passed))
    base = v * TIME - lead**2 / (2.0 * LEAD)
    proactive = _degree(along, base + v**2 / (2.0 * HARD) + STANDSTILL, base + v**2 / (2.0 * COMFORT) + STANDSTILL)
    later = np.maximum(v + cut.accel * TIME, 0.0)
    rest, way = np.maximum(later - lead, 0.0), (0.5 * (v + later) - lead) * TIME
    critical = _degree(along, way + rest**2 / (2.0 * HARD), way + rest**2 / (2.0 * COMFORT) + STANDSTILL)
    critical = np.where(closing > 0.0, critical, 0.0)
    wanted = np.where(critical > 0.0, COMFORT + critical * (HARD - COMFORT), proactive * COMFORT)
    return np.where(conflict & (along > -2.0 * LENGTH), -wanted, 0.0)


def _degree(gap: Floats, unsafe: Floats, safe: Floats) -> Floats:
    """1 up to the unsafe distance, 0 from the safe one on, linear between."""
    return np.clip((safe - gap) / np.maximum(safe - unsafe, 1e-9), 0.0, 1.0)


def responsible(cut: CutIns, step: int) -> Floats:
    """RSS: as hard as it can while it is unsafe both along and across."""
    along, across, _ = apart(cut)
    near = [following(float(v), float(lead), RULES, RULES) for v, lead in zip(cut.ego_v, cut.other_v, strict=True)]
    aside = [beside(0.0, -float(sideways), RULES, RULES) for sideways in cut.across[:, step]]
    unsafe = (along < near) & (across < aside) & (along > -2.0 * LENGTH)
    return np.where(unsafe, -BRAKE, 0.0)


def going_on(cut: CutIns, step: int) -> Floats:
    """Who does nothing."""
    return np.zeros(cut.many)


def unavoidable(rows: list[Row]) -> Verdict:
    """R157's formula."""
    cut, entered, early = CutIns(rows), np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for step in range(cut.steps):
        inside = 0.5 * LANE - (cut.y - 0.5 * WIDTH) >= INTRUDED
        along, _, closing = apart(cut)
        early |= inside & ~entered & (along < closing * (closing / (2.0 * AVOIDED) + AT_ONCE))
        entered |= inside
        cut.x, cut.other_x = cut.x + cut.ego_v * STEP, cut.other_x + cut.other_v * STEP
        cut.y = cut.y - cut.across[:, step] * STEP
    return early & CutIns(rows).run(going_on)


DRIVERS: Mapping[str, Callable[[list[Row]], Verdict]] = {
    "RSS": lambda rows: CutIns(rows).run(responsible),
    "FSM": lambda rows: CutIns(rows).run(fuzzy),
    "Reg157": unavoidable,
}
"""Which rows end in a contact."""


def measure(quick: bool) -> Iterable[Figure]:
    """How well the reference drivers are met, then both sets."""
    if not VERDICTS.exists():
        raise NotHere("needs ../shared/data/driving/cutin_verdicts.csv")
    known = rows_of(VERDICTS)
    theirs = {name: np.array([row[f"crash_{name}"] > 0 for row in known]) for name in DRIVERS}
    ours = {name: driver(known) for name, driver in DRIVERS.items()}
    for name in DRIVERS:
        yield Figure(f"{name}_differs", int((ours[name] != theirs[name]).sum()), "1", "rows", len(known))
    both = int(((ours["RSS"] & ours["FSM"]) != (theirs["RSS"] & theirs["FSM"])).sum())
    yield Figure("both_differs", both, "1", "rows", len(known))
    taken = {tuple(row[name] for name in _row(0, 0, 0, 0)) for row in known}
    rest = [row for row in grid() if tuple(row.values()) not in taken]
    sets = {"rest": rest, "drawn": drawn(QUICK if quick else DRAWN, np.random.default_rng(SEED))}
    for name, rows in sets.items():
        hit, crash = CutIns(rows).run(), {rival: driver(rows) for rival, driver in DRIVERS.items()}
        extra = hit & ~(crash["RSS"] & crash["FSM"])
        for index in np.flatnonzero(extra):
            said = ", ".join(rival for rival in DRIVERS if not crash[rival][index])
            print(f"{name}: contact where {said} has none: {rows[index]}", file=sys.stderr)
        missed = int((crash["RSS"] & crash["FSM"] & ~hit).sum())
        print(f"{name}: {int(hit.sum())} contacts, {missed} avoided that RSS and FSM do not avoid", file=sys.stderr)
        yield Figure(f"{name}_extra", int(extra.sum()), "1", "rows", len(rows))
        for rival in DRIVERS:
            yield Figure(f"{name}_share", float(hit.mean()), "1", rival, float(crash[rival].mean()))
