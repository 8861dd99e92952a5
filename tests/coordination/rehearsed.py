"""A coordinator and its robots in one process, audited in every cycle (coordination/rehearsal.py)."""

from collections.abc import Callable
from pathlib import Path

from coordination.auditor import Auditor
from coordination.coordinator import Coordinator
from coordination.messages import Leg, LegKind
from coordination.rehearsal import Floor, Pace
from coordination.requests import Submit, Submitted, Task
from coordination.tasks import Store
from sim.site import Site
from tests.coordination.floors import task_id

AISLES = (
    "............",
    ".@@@.@@@@.@.",
    ".@@@.@@@@.@.",
    "............",
    ".@@@.@@@@.@.",
    ".@@@.@@@@.@.",
    "............",
)


class Rehearsal:
    """A floor with its store, robots that are audited in every cycle, and work by cell numbers."""

    def __init__(
        self, folder: Path, site: Site, starts: list[int], *, seed: int = 0, pace: Pace | None = None, **numbers: object
    ) -> None:
        assert set(starts) <= set(site.free_cells.tolist())
        self.path = folder / "tasks.sqlite"
        self.store = Store(self.path)
        self.site = site
        self.numbers = numbers
        core = Coordinator(site, self.store, **numbers)  # type: ignore[arg-type]
        self.floor = Floor(site, core, starts, seed=seed, pace=pace or Pace())
        self.auditor = Auditor(self.path)
        self.tasks = 0

    @property
    def core(self) -> Coordinator:
        return self.floor.coordinator

    def give(self, *cells: int, kind: LegKind = LegKind.VISIT, dwell: float = 0.0, **fields: object) -> str:
        """Submit one task with a leg to each cell."""
        task = Task(task_id(self.tasks), tuple(Leg(cell, kind, dwell) for cell in cells), **fields)  # type: ignore[arg-type]
        self.tasks += 1
        answer = self.core.handle("client", Submit("request", (task,)), self.floor.now)
        assert answer == [("client", Submitted("request", (task.id,)))]
        return task.id

    def run(self, seconds: float, *, until: int | None = None) -> int:
        """Cycle, and audit each cycle; stops early when `until` tasks are done. Returns tasks done."""
        for _ in range(round(seconds * 10)):
            self.floor.cycle()
            found = self.auditor.follow(self.floor.now, self.floor.footprints())
            assert not found, found
            if until is not None and self.done >= until:
                break
        return self.done

    @property
    def done(self) -> int:
        return self.store.counts()["DONE"]

    def restart(self) -> None:
        """Another coordinator goes on from what is on disk."""
        self.store.close()
        self.store = Store(self.path)
        self.floor.coordinator = Coordinator(self.site, self.store, **self.numbers)  # type: ignore[arg-type]

    def end(self) -> None:
        assert self.auditor.close() == []
        self.store.close()


Rehearse = Callable[..., Rehearsal]
