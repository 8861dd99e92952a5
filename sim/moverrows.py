"""The rows of the table of what varies (sim/vary.py) that people of a crowd and forklifts bring.

They stand in a table only where a crowd moves by social forces or forklifts drive, and are as the configuration says
until somebody changes them: `vary(crowd_crossing=(0.0, 0.5), forklift_count=(0, 2))`. They belong to a world: its first
robot's episode draws them. How many people are there is drawn for each of them, by the task's row `person_share`.
"""

from __future__ import annotations

from sim.fields import Recompute
from sim.manners import SHARES, Manners
from sim.randomization import Term
from sim.vary import Row

SOURCES = {
    "crossing": "own choice: legs that begin by crossing the way of a robot that comes",
    "heeding": "own choice: people who take robots for obstacles; the others look at their telephones",
    "stopping": "own choice: on entering a cell",
    "running": "own choice: off; above 0 the crowd breaks every profile, for tests of what happens then",
}

NOMINAL = {"crossing": 0.0, "heeding": 1.0, "stopping": 0.0, "running": 0.0}
"""People as robots like them, from whom curricula begin."""


def mover_rows(people: int, crowd: str, manners: Manners, forklifts: int) -> tuple[Row, ...]:
    """The rows of those that there are."""
    rows: list[Row] = []
    if people and crowd == "social_force":
        for number, name in enumerate(SHARES):
            value = getattr(manners, name)
            rows.append(
                Row(
                    Term.MANNERS, f"crowd_{name}", "uniform", value, value, "1", "", Recompute.NONE, SOURCES[name],
                    bounds=(0.0, 1.0), counter=number, nominal=NOMINAL[name],
                )
            )  # fmt: skip
    if forklifts:
        rows.append(
            Row(
                Term.FORKLIFT, "forklift_count", "choice", forklifts, forklifts, "of the forklifts", "", Recompute.NONE,
                "own choice: how many of them are on the floor", bounds=(0.0, forklifts), nominal=0.0,
            )
        )  # fmt: skip
    return tuple(rows)
