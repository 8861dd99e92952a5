"""Right of way keeps several books of the same thing; they must agree whatever happens on the floor."""

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from coordination.auditor import Auditor
from coordination.coordinator import Coordinator
from coordination.messages import Leg, LegKind
from coordination.rehearsal import Floor, Pace
from coordination.requests import Submit, Task
from coordination.rightofway import RightOfWay
from coordination.roadmap import NONE
from coordination.tasks import Store
from sim.site import make_site
from tests.coordination.floors import task_id


def check_books(law: RightOfWay) -> None:
    owned: dict[int, str] = {}
    for mover in law.ledger.movers.values():
        cells = [*mover.path, *mover.returning]
        assert len(cells) == len(set(cells)), f"{mover.name} has a cell twice: {mover.path}, {mover.returning}"
        for cell in cells:
            assert cell not in owned
            owned[cell] = mover.name
        if mover.report is None or not mover.path:
            continue
        for one, next_one in pairwise(mover.path):
            assert law.roadmap.adjacent(one, next_one), f"{mover.name}'s path {mover.path} jumps"
        assert 0 <= mover.at < len(mover.path)
        end = mover.pending if mover.pending != NONE else mover.path[-1]
        assert law.ledger.plans.end[mover.index] == end
        assert law.ledger.plans.at[end] == mover.index
        assert law.ledger.plans.tail[mover.index] == mover.path[-1]
    assert owned == {cell: law.ledger.holder(cell) for cell in range(law.roadmap.cells) if law.ledger.holder(cell)}
    ends = law.ledger.plans.end[law.ledger.plans.end != NONE]
    assert len(ends) == len(set(ends.tolist()))
    assert (law.ledger.plans.at != NONE).sum() == len(ends)
    assert (law.ledger.plans.claim == NONE).all()


def check_no_ring(law: RightOfWay) -> None:
    """Who waits for a robot that itself stands at its tail with a pending step waits for its step, and so on."""
    for start in law.ledger.movers.values():
        mover = start
        for _ in range(len(law.ledger.movers) + 1):
            if mover.pending == NONE or law.ledger.owner[mover.pending] == NONE:
                break
            holder = law.ledger.movers[law.ledger.holder(mover.pending)]
            if mover.pending != holder.path[-1]:
                break  # its granted cells lead on from there
            mover = holder
        else:
            pytest.fail(f"{start.name} waits in a ring: {law.waits_for()}")


@pytest.mark.parametrize("seed", range(4))
def test_the_books_agree_and_nobody_waits_in_a_ring_whatever_happens(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    blocked = np.random.default_rng(seed).random((14, 18)) < 0.18
    site = make_site("random", blocked)
    field = Coordinator(site, Store(tmp_path / "scratch.sqlite"))
    field.store.close()
    reach = np.flatnonzero(field.roadmap.field(int(site.free_cells[len(site.free_cells) // 2])) < 65535).tolist()
    store = Store(tmp_path / "tasks.sqlite")
    floor = Floor(site, Coordinator(site, store), dice.sample(reach, 24), seed=seed, pace=Pace(loss=0.03))
    auditor = Auditor(tmp_path / "tasks.sqlite")
    tasks = tuple(Task(task_id(i), (Leg(dice.choice(reach), LegKind.VISIT, 0.4),)) for i in range(2000))
    floor.coordinator.handle("client", Submit("request", tasks), 0)
    for cycle in range(700):
        for actor in floor.actors.values():
            chance = dice.random()
            if chance < 0.003:
                actor.held = not actor.held
            elif chance < 0.005:
                actor.silent = not actor.silent
            elif chance < 0.010:
                ahead = floor._ahead(actor)
                actor.blocked = tuple(ahead[:1]) if not actor.blocked else ()
        if dice.random() < 0.004:
            floor.coordinator = Coordinator(site, store)
        floor.cycle()
        law = floor.coordinator.right_of_way
        check_books(law)
        check_no_ring(law)
        found = auditor.follow(floor.now, floor.footprints())
        assert not found, (cycle, found)
    for actor in floor.actors.values():
        actor.held = actor.silent = False
        actor.blocked = ()
    done = store.counts()["DONE"]
    assert done > 50
    for _ in range(400):
        floor.cycle()
        auditor.follow(floor.now, floor.footprints())
    assert store.counts()["DONE"] > done + 50
    assert auditor.close() == []
    store.close()
