"""Offers: the coordinator lets a robot choose its next task among a few, or to charge.

    report says `chooses` n  ->  picture carries an `Offer` of the n cheapest tasks  ->  report carries `Chosen`
                             ->  assigned in the same commit as everything else of that round, or offered again

An offer commits nobody. It lives in memory alone, so that a coordinator that is killed offers anew, and an answer
counts only while its own offer stands; the store decides: of two robots that choose one task the nearer gets it, the
other is offered again. An offer ends with its answer, when one of its tasks is no longer queued, when its robot is no
longer free, or after PATIENCE: then the robot is assigned by rule for LAPSE, as is every robot that does not choose.

Which tasks are offered stays the law of the fleet: only possible ones (capability, payload, energy with its reserve,
`assignment.costs`), and of these the first class that has any: overdue ones (they waited OVERDUE, or their deadline is
near), else those of the highest priority. So a robot that never cares for a task starves none. Of that class half of an
offer are the most pressing by assignment's cost, the other half the nearest: something to choose between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coordination.lifecycle import URGENT, TaskRecord, level, priority_of
from coordination.messages import Chosen, Offer, Offered
from coordination.roadmap import FAR, Fields
from sim.robot import SECOND

MOST = 8
"""Tasks in an offer at most, whatever a robot asks for: some 1 KB of a picture."""

PATIENCE = SECOND
"""An answer takes one round, and five more where messages are lost or a process is slow."""

LAPSE = 60 * SECOND
"""A robot whose offer lapsed is assigned by rule for so long: what kept it from answering may keep it still."""

OVERDUE = 600 * SECOND
"""A task that waited so long is offered before all others: ten levels of urgency (`lifecycle.AGEING`)."""

SLICE = 300.0
"""A robot that chooses charges for so long at a time, s, then it may choose again: a twelfth of a full charge."""


@dataclass
class Offers:
    """Owns the offers that stand, by robot, and which robots are assigned by rule for a while."""

    standing: dict[str, Offer] = field(default_factory=dict)
    lapsed_until: dict[str, int] = field(default_factory=dict)

    def end(self, free: Callable[[str], bool], queued: Callable[[str], bool], now: int) -> None:
        """End the offers that no longer hold. `free` and `queued` say it of a robot and of a task."""
        for robot, offer in list(self.standing.items()):
            if not free(robot) or not all(queued(line.task) for line in offer.tasks):
                del self.standing[robot]
            elif now - offer.id > PATIENCE:
                self.lapse(robot, now)

    def lapse(self, robot: str, now: int) -> None:
        """The robot gave no answer, or none that its offer knows."""
        del self.standing[robot]
        self.lapsed_until[robot] = now + LAPSE

    def chooses(self, robot: str, asks: int, now: int) -> bool:
        """Whether a robot is to be offered work instead of being assigned."""
        return asks > 0 and now >= self.lapsed_until.get(robot, now)

    def answer(self, robot: str, chosen: Chosen | None) -> Offer | None:
        """The standing offer that `chosen` answers, whatever it says; None for no answer."""
        offer = self.standing.get(robot)
        return offer if chosen is not None and offer is not None and chosen.offer == offer.id else None


def line_of(offer: Offer, chosen: Chosen) -> Offered | None:
    """The offered task that was chosen; None to charge. Raises ValueError when it was not offered."""
    if not chosen.task:
        if offer.charger < 0:
            raise ValueError("no charger was offered")
        return None
    for line in offer.tasks:
        if line.task == chosen.task:
            return line
    raise ValueError(f"task {chosen.task[:64]!r} was not offered")


def overdue(record: TaskRecord, now: int) -> bool:
    """Whether a task goes before all that are not."""
    deadline = record.task.deadline
    return now - record.submitted >= OVERDUE or bool(deadline and deadline - now < URGENT)


def offered(
    records: Sequence[TaskRecord],
    costs: NDArray[np.float64],
    cell: int,
    most: int,
    fields: Fields,
    chargers: Sequence[int],
    goals: Counter[int],
    now: int,
) -> tuple[Offered, ...]:
    """The tasks that a robot at `cell` is offered, the cheapest first.

    `costs` (records,) are its own, infinite where impossible; `goals` counts the other robots by the cells that they
    are on their way to or at work at.
    """
    possible = [int(column) for column in np.argsort(costs, kind="stable") if np.isfinite(costs[column])]
    chosen = choice_of(
        [priority_of(records[column].task) for column in possible],
        [overdue(records[column], now) for column in possible],
        [_steps(fields, cell, records[column].task.legs[0].cell) for column in possible],
        min(most, MOST),
    )
    firsts = np.array([record.task.legs[0].cell for record in records])
    lines = []
    for column in (possible[index] for index in chosen):
        legs = records[column].task.legs
        first, last = legs[0].cell, legs[-1].cell
        steps = [_steps(fields, start.cell, end.cell) for start, end in pairwise(legs)]
        others = {int(goal) for goal in np.delete(firsts, column)}
        lines.append(
            Offered(
                records[column].task.id,
                _steps(fields, cell, first),
                sum(steps),
                level(records[column], now),
                home=nearest(fields, last, chargers),
                onward=nearest(fields, last, sorted(others)),
                crowd=goals[first] + (goals[last] if last != first else 0),
                dwell=sum(leg.dwell for leg in legs),
            )
        )
    return tuple(lines)


def choice_of(priority: Sequence[int], due: Sequence[bool], way: Sequence[int], most: int) -> list[int]:
    """Which of the possible tasks, cheapest first, are offered: their indices in order.

    `way` are cells to their first legs. The first class alone; half of it the cheapest, the others the nearest.
    """
    if not priority:
        return []
    top = max(priority)
    due_ones = [index for index, is_due in enumerate(due) if is_due]
    pool = due_ones or [index for index, level in enumerate(priority) if level == top]
    pressing = pool[: (most + 1) // 2]
    rest = sorted(pool[len(pressing) :], key=lambda index: way[index])
    return sorted(pressing + rest[: most - len(pressing)])


def nearest(fields: Fields, start: int, goals: Sequence[int]) -> int:
    """Cells from `start` to the nearest of the goals; -1 when none can be reached."""
    if not goals:
        return -1
    least = int(fields.matrix[fields.slots(np.array(goals, np.int32)), start].min())
    return least if least < FAR else -1


def _steps(fields: Fields, start: int, goal: int) -> int:
    return int(fields.matrix[fields.slot(goal), start])
