"""Which tasks the coordinator takes in, and which of them no robot that it knows can do.

A task is refused that could never be done on this floor, by one line that says why. One that only waits for a fitting
robot is taken: such a robot may still come; meanwhile clients are told of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from coordination.lifecycle import PRIORITIES, TaskRecord
from coordination.requests import Task, TaskState, Waiting
from coordination.roadmap import FAR, Fields, Roadmap

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""RFC 9562: version 7, variant 10; sorted by the time of making."""

UNSERVED = 20
"""Tasks listed that no robot heard of can do."""


def impossible(task: Task, roadmap: Roadmap, fields: Fields) -> str:
    """Why a task can never be done on this floor; nothing where it can."""
    if not UUID7.fullmatch(task.id):
        return f"task id {task.id[:70]!r} is no UUIDv7 in small letters; make one with coordination.client.new_task_id"
    if not -PRIORITIES <= task.priority <= PRIORITIES:
        return f"task {task.id} has priority {task.priority}; give one from -{PRIORITIES} to {PRIORITIES}"
    if not 0.0 <= task.payload < math.inf:
        return f"task {task.id} has a payload of {task.payload} kg; give 0 kg or more"
    if not task.legs:
        return f"task {task.id} has no legs; give at least one cell to go to"
    for leg in task.legs:
        if not 0 <= leg.cell < roadmap.cells or not roadmap.free[leg.cell]:
            return f"task {task.id} goes to cell {leg.cell}, which is no free cell of site {roadmap.site.name}"
        if not 0.0 <= leg.dwell < math.inf:
            return f"task {task.id} stays {leg.dwell} s at cell {leg.cell}; give a time of 0 s or more"
    for start, end in pairwise(task.legs):
        if fields.matrix[fields.slot(end.cell), start.cell] == FAR:
            return f"task {task.id}: no way leads from cell {start.cell} to cell {end.cell}"
    return ""


def unserved(records: Iterable[TaskRecord], able: Sequence[tuple[float, Sequence[str]]]) -> list[Waiting]:
    """The first of the queued tasks that no robot can take, each with why.

    `able` says of each robot what it carries (kg) and its capabilities.
    """
    known_needs: dict[tuple[float, str], str] = {}
    lines: list[Waiting] = []
    for record in records:
        task = record.task
        if record.state is not TaskState.QUEUED or len(lines) >= UNSERVED:
            continue
        need = (task.payload, task.capability)
        if need not in known_needs:
            known_needs[need] = _lacking(*need, able)
        if known_needs[need]:
            lines.append(Waiting(task.id, "", f"{known_needs[need]}; bring one or cancel the task"))
    return lines


def _lacking(payload: float, capability: str, able: Sequence[tuple[float, Sequence[str]]]) -> str:
    """What no robot has that a task needs: the capability, else the payload; empty where one has both."""
    named = f'the capability "{capability[:64]}"'
    fit = [most for most, has in able if not capability or capability in has]
    if capability and not fit:
        return f"none of {len(able)} robots has {named}"
    if max(fit, default=-math.inf) >= payload:
        return ""
    heaviest = f", at most {max(fit):g} kg" if fit else ""
    return f"none of {len(fit)} robots{f' with {named}' if capability else ''} carries {payload:g} kg{heaviest}"
