"""Where the pods of a floor stand, and what follows from it for robots and tasks.

A pod is known by its home, the cell of the site in which it stands at first. The books are in the store, so a restart
knows what the life before knew; they change by what robots say:

    a lift leg is confirmed               the pod of that cell is the robot's
    a set-down leg is confirmed           the robot's pod stands in that cell
    carries one, the books know of none   it is the pod of the robot's cell: nobody carries one in beneath another
    carries none, and has no task         the pod that the books give it stands in the robot's cell

The last two are what is left of a task that ended (cancelled, given up) between the deed and its confirmation.

A robot that carries a pod meets the deck and legs of one that stands; without one it passes between the legs if its
kind lifts pods here (`sim.lifting.why_not`, the capability `lift`). `rightofway` keeps all others out of the cells of
standing pods. A task that sets a pod down where one stands is refused, unless an open task still takes that one away;
where that came to nothing, whoever stands before the cell with its pod waits for an operator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from coordination.lifecycle import TaskRecord
from coordination.messages import Leg, LegKind, Report
from coordination.requests import Task, TaskState, Waiting
from coordination.roadmap import NONE
from coordination.schema import Pod
from coordination.tasks import Store


class PodBook:
    """Says what changes in the store's knowledge of pods, and what that comes to."""

    def __init__(self, store: Store, homes: Sequence[int], *, anew: bool = False) -> None:
        """Pods that the store does not know yet stand at home; with `anew` all of them do."""
        self.store = store
        store.keep_pods(homes, anew=anew)
        self._read: Mapping[int, Pod] | None = None
        self._standing: dict[int, int] = {}
        self._carried: dict[str, int] = {}

    @property
    def standing(self) -> Mapping[int, int]:
        """Cells in which a pod stands, with its home."""
        self._look()
        return self._standing

    @property
    def carried(self) -> Mapping[str, int]:
        """Robots that carry a pod, with its home."""
        self._look()
        return self._carried

    def confirm(self, robot: str, legs: Iterable[Leg], now: int) -> None:
        """A robot has done these legs of its task, in this order."""
        for leg in legs:
            if leg.kind is LegKind.LIFT:
                self._take(robot, leg.cell, now)
            elif leg.kind is LegKind.SET_DOWN:
                self._put(robot, leg.cell, now)

    def hear(self, robot: str, report: Report, cell: int, busy: bool, now: int) -> None:
        """A robot is in a cell and says if it carries a pod; `busy` with a task, whose legs say where that goes."""
        if cell == NONE:
            return
        if report.loaded:
            self._take(robot, cell, now)
        elif not busy:
            self._put(robot, cell, now)

    def _take(self, robot: str, cell: int, now: int) -> None:
        if cell in self.standing and robot not in self.carried:
            self.store.place_pod(self.standing[cell], NONE, robot, now)

    def _put(self, robot: str, cell: int, now: int) -> None:
        if robot in self.carried:
            self.store.place_pod(self.carried[robot], cell, "", now)

    def _look(self) -> None:
        """What the store knows by cell and by robot; it shows another mapping after every change."""
        pods = self.store.pods()
        if pods is not self._read:
            self._read = pods
            self._standing = {pod.cell: home for home, pod in pods.items() if not pod.robot}
            self._carried = {pod.robot: home for home, pod in pods.items() if pod.robot}


def lifted(records: Iterable[TaskRecord]) -> set[int]:
    """Cells from which these tasks are still to lift a pod that they did not set down there themselves."""
    cells = set[int]()
    for record in records:
        own = set[int]()
        for leg in record.task.legs[record.legs_done :]:
            if leg.kind is LegKind.SET_DOWN:
                own.add(leg.cell)
            elif leg.kind is LegKind.LIFT and leg.cell not in own:
                cells.add(leg.cell)
    return cells


def first_lift(record: TaskRecord) -> int:
    """The cell from which a task lifts a pod before it sets one down; NONE if it does not."""
    legs = (leg for leg in record.task.legs if leg.kind in (LegKind.LIFT, LegKind.SET_DOWN))
    first = next(legs, None)
    return first.cell if first is not None and first.kind is LegKind.LIFT else NONE


def one_each(records: Iterable[TaskRecord]) -> list[TaskRecord]:
    """Of the tasks that lift the same pod the first alone: the pod is gone for the others."""
    cells, kept = set[int](), []
    for record in records:
        cell = first_lift(record)
        if cell == NONE or cell not in cells:
            kept.append(record)
        cells.add(cell)
    return kept


def absent(records: Iterable[TaskRecord], standing: Collection[int]) -> list[Waiting]:
    """Queued tasks that are to lift a pod where none stands and no open task brings one, each with why."""
    records = list(records)
    brought = {
        leg.cell
        for record in records
        for leg in record.task.legs[record.legs_done :]
        if leg.kind is LegKind.SET_DOWN and first_lift(record) != leg.cell
    }
    return [
        Waiting(record.task.id, "", f"no pod stands in cell {cell}, from which it lifts one; bring one or cancel")
        for record in records
        if record.state is TaskState.QUEUED and (cell := first_lift(record)) not in (NONE, *standing, *brought)
    ]


def unplaceable(task: Task, standing: Collection[int], leaving: Collection[int]) -> str:
    """Why a task cannot set its pods down; nothing where it can. From `leaving` other tasks still lift one."""
    others, own = set(standing) - set(leaving), set[int]()
    for leg in task.legs:
        if leg.kind is LegKind.LIFT:
            others.discard(leg.cell)
            own.discard(leg.cell)
        elif leg.kind is LegKind.SET_DOWN:
            if leg.cell in others or leg.cell in own:
                return (
                    f"task {task.id} sets a pod down in cell {leg.cell}, where one stands; have that one lifted first"
                )
            own.add(leg.cell)
    return ""


def stranded(live: Iterable[TaskRecord], standing: Collection[int]) -> list[Waiting]:
    """Attempts whose pod is to go where another stands that no other robot is about to take away, each with why."""
    live, lines = list(live), []
    for record in live:
        leg = record.task.legs[record.legs_done]
        if leg.kind is not LegKind.SET_DOWN or leg.cell not in standing:
            continue
        if leg.cell not in lifted(other for other in live if other is not record):
            reason = f"{record.robot} brings a pod to cell {leg.cell}, where one stands; have that one lifted or cancel"
            lines.append(Waiting(record.task.id, record.robot, reason))
    return lines
