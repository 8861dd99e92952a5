from pathlib import Path

import msgspec
import numpy as np
import pytest

from coordination.coordinator import Coordinator
from coordination.database import StoreError
from coordination.estop import raise_stop, reset_stop
from coordination.messages import Picture, Report, RobotStatus
from coordination.mover import Mover
from coordination.rehearsal import Pace
from coordination.requests import FleetState, Query, StopRaise, StopReset
from coordination.rightofway import RightOfWay
from coordination.rules import Rules
from coordination.tasks import Store
from coordination.wire import FAR_OFF, HIGHEST_GRANT, LATEST
from sim.robot import SECOND
from sim.site import Site
from tests.coordination.floors import floor
from tests.coordination.rehearsed import AISLES, Rehearse

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def map_site(path: Path) -> Site:
    return floor(*path.read_text().splitlines()[4:])


SCENES: dict[str, tuple[tuple[str, ...], list[int], list[int]]] = {
    "head-on in an aisle of ten cells": (("............", ".@@@@@@@@@@.", "............"), [0, 11], [11, 0]),
    "a dead end whose owner wants out": (("....@@", "...@@@", "......"), [17, 15], [0, 17]),
    "a corridor with one niche": (("@@@@.@@@@@", ".........."), [10, 19], [19, 10]),
    "two that follow into a dead end": (("...@@@", "...@@@", "......"), [12, 14], [17, 16]),
    "a crossing of four": (("@.@", "...", "@.@"), [1, 3], [7, 5]),
    "a narrow door between two rooms": (
        ("...@...", "...@...", ".......", "...@...", "...@..."),
        [0, 1, 7, 6, 5, 13],
        [34, 33, 27, 28, 29, 21],
    ),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scene", SCENES)
def test_every_knot_is_undone(rehearse: Rehearse, tmp_path: Path, scene: str, seed: int) -> None:
    rows, starts, goals = SCENES[scene]
    rehearsal = rehearse(tmp_path, floor(*rows), starts, seed=seed, pace=Pace(pause=0.05))
    for index, goal in enumerate(goals):
        rehearsal.give(goal, capability=f"r{index}")
    assert rehearsal.run(180, until=len(goals)) == len(goals)
    rehearsal.end()


def test_a_ring_with_one_free_cell_turns(rehearse: Rehearse, tmp_path: Path) -> None:
    ring = [0, 1, 2, 3, 7, 11, 10, 9, 8, 4]
    rehearsal = rehearse(tmp_path, floor("....", ".@@.", "...."), ring[:-1])
    for index in range(18):
        rehearsal.give(ring[(3 * index) % 10])
    assert rehearsal.run(600, until=18) == 18
    rehearsal.end()


def test_nobody_waits_for_a_robot_that_he_does_not_meet(rehearse: Rehearse, tmp_path: Path) -> None:
    site = floor(*AISLES)
    cells = np.random.default_rng(1).permutation(site.free_cells).tolist()
    rehearsal = rehearse(tmp_path, site, cells[:7])
    for cell in np.random.default_rng(2).choice(site.free_cells, 400).tolist():
        rehearsal.give(cell)
    rehearsal.run(20)
    stands = rehearsal.floor.actors["r3"]
    stands.held = True
    others = [actor for actor in rehearsal.floor.actors.values() if actor is not stands]
    before = {actor.name: actor.travelled for actor in others}
    done = rehearsal.done
    rehearsal.run(60)
    assert all(actor.travelled - before[actor.name] > 15.0 for actor in others), "60 s at 1 m/s"
    assert rehearsal.done - done > 30
    stands.held = False
    done, moved = rehearsal.done, stands.travelled
    rehearsal.run(30)
    assert stands.travelled > moved + 5.0
    rehearsal.end()


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_work_goes_on_for_a_long_time(rehearse: Rehearse, tmp_path: Path, loss: float) -> None:
    site = floor(*AISLES)
    cells = np.random.default_rng(3).permutation(site.free_cells).tolist()
    rehearsal = rehearse(tmp_path, site, cells[:10], pace=Pace(loss=loss))
    for pair in np.random.default_rng(4).choice(site.free_cells, (600, 2)).tolist():
        rehearsal.give(*pair, dwell=0.5)
    rates = []
    for _ in range(4):
        done = rehearsal.done
        rehearsal.run(60)
        rates.append(rehearsal.done - done)
    assert max(rates) > 10, rates
    assert min(rates) > 0.4 * max(rates), rates
    rehearsal.end()


def test_a_law_that_frees_cells_too_early_is_caught(
    rehearse: Rehearse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hasty(law: RightOfWay, mover: Mover, report: Report) -> None:
        for cell in [*mover.path[: mover.at], *mover.returning]:
            law.ledger.release(mover, cell)
        del mover.path[: mover.at]
        mover.at, mover.returning = 0, {}

    monkeypatch.setattr(RightOfWay, "_leave_behind", hasty)
    site = floor(*AISLES)
    rehearsal = rehearse(tmp_path, site, site.free_cells[:8].tolist())
    for cell in site.free_cells.tolist():
        rehearsal.give(cell)
    with pytest.raises(AssertionError, match="early_release"):
        rehearsal.run(60)


def test_a_killed_coordinator_goes_on_where_the_disk_stands(rehearse: Rehearse, tmp_path: Path) -> None:
    site = floor(*AISLES)
    cells = np.random.default_rng(5).permutation(site.free_cells).tolist()
    rehearsal = rehearse(tmp_path, site, cells[:8], pace=Pace(loss=0.02))
    for pair in np.random.default_rng(6).choice(site.free_cells, (40, 2)).tolist():
        rehearsal.give(*pair, dwell=0.3)
    for _ in range(60):
        rehearsal.run(3.7)
        rehearsal.restart()
    assert rehearsal.run(300, until=40) == 40
    rehearsal.end()


def test_a_core_that_begins_anew_takes_robots_of_another_plant_where_they_are(
    rehearse: Rehearse, tmp_path: Path
) -> None:
    """Their time is older than all that it heard: it would grant the cells in which the former plant had them."""
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0, 83])
    task = rehearsal.give(11)
    rehearsal.run(3.0)
    core, store = rehearsal.core, rehearsal.store
    epoch = core.epoch
    with store.transaction():
        core.begin(anew=True)
    assert core.epoch == epoch + 1
    assert store.record(task) is not None
    held = {robot: {holding.cell for holding in cells} for robot, cells in store.holdings().items()}
    place = {"r0": max(held["r1"]), "r1": 40}  # r0 stands where the store says that r1 does
    assert 40 not in held["r0"] | held["r1"]

    def report(cell: int, now: int, grant: int) -> Report:
        x, y = core.site.centre(cell).tolist()
        return Report(0, now, (x, y, 0.0), (0.0, 0.0), (cell,), 0.9, RobotStatus.IDLE, grant, epoch=core.epoch)

    granted: dict[str, int] = {}
    for cycle in range(1, 6):
        now = cycle * SECOND // 10
        for robot, cell in place.items():
            core.handle(robot, report(cell, now, granted.get(robot, 0)), now)
        for robot, picture in core.tick(now):
            assert isinstance(picture, Picture)
            assert picture.stamp == now
            if picture.grant is not None:
                granted[robot] = picture.grant.id
                assert picture.grant.expires <= now + 2 * SECOND
                assert place[robot] in picture.grant.cells
    assert granted.keys() == {"r0", "r1"}, "r0's cell is free once r1 has said where it is"


def test_no_cell_is_given_while_the_emergency_stop_is_latched(rehearse: Rehearse, tmp_path: Path) -> None:
    site = floor(*AISLES)
    rehearsal = rehearse(tmp_path, site, [0, 40, 60])
    for cell in site.free_cells[:40].tolist():
        rehearsal.give(cell)
    rehearsal.run(5)
    raise_stop(rehearsal.store, StopRaise("button"), "anyone", rehearsal.floor.now)
    rehearsal.run(1)
    places = rehearsal.floor.footprints()
    grants = rehearsal.auditor.grants
    rehearsal.run(20)
    rehearsal.restart()
    rehearsal.run(20)
    assert rehearsal.floor.footprints() == places
    assert rehearsal.auditor.grants == grants
    pictures = [body for _, body in rehearsal.core.tick(rehearsal.floor.now)]
    assert all(isinstance(picture, Picture) and picture.stopped and picture.stop_epoch == 1 for picture in pictures)
    reset_stop(rehearsal.store, StopReset("me", 1), "operator", True, rehearsal.floor.now)
    done = rehearsal.done
    rehearsal.run(60)
    assert rehearsal.done > done
    rehearsal.end()


def test_the_state_names_every_robot_and_counts_tasks(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("........."), [0, 8])
    rehearsal.give(4)
    rehearsal.run(1)
    ((peer, state),) = rehearsal.core.handle("client", Query("r"), rehearsal.floor.now)
    assert peer == "client"
    assert isinstance(state, FleetState)
    assert [line.robot for line in state.robots] == ["r0", "r1"]
    assert sum(state.counts.values()) == 1
    rehearsal.end()


def test_a_robot_on_another_floor_is_told_so_and_holds_nothing(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("...."), [0])
    report = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    other = Report(**{name: getattr(report, name) for name in report.__struct_fields__} | {"site": "0" * 64})
    rehearsal.core.handle("r0", other, 1)
    ((_, picture),) = rehearsal.core.tick(1)
    assert isinstance(picture, Picture)
    assert picture.grant is None
    assert "load the same floor" in picture.error
    assert rehearsal.core.right_of_way.ledger.holder(0) == ""


def test_the_farthest_numbers_that_the_wire_lets_in_do_not_end_the_service(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("....", "...."), [0, 3])
    rehearsal.give(2, priority=1000)
    rehearsal.run(1)
    report = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    wild = msgspec.structs.replace(
        report, pose=(FAR_OFF,) * 3, twist=(FAR_OFF,) * 2, grant=HIGHEST_GRANT, stamp=rehearsal.floor.now + 1
    )
    wilder = msgspec.structs.replace(report, grant=HIGHEST_GRANT, legs_done=2**63, round=2**63)
    for message, now in ((wild, LATEST - 2), (wilder, LATEST - 1), (report, LATEST)):
        with rehearsal.store.transaction():
            rehearsal.core.handle("r0", msgspec.structs.replace(message, stamp=now), now)
            rehearsal.core.tick(now)
    assert rehearsal.core.state("", LATEST).robots[0].pose == report.pose
    rehearsal.end()


def test_every_life_on_a_store_has_its_epoch_and_knows_a_later_one(tmp_path: Path) -> None:
    site = floor("......")
    for life in (1, 2, 3):
        store = Store(tmp_path / "tasks.sqlite")
        core = Coordinator(site, store)
        x, y = map(float, site.centre(2))
        report = Report(1, life * SECOND, (x, y, 0.0), (0.0, 0.0), (2,), 0.9, RobotStatus.IDLE, site=site.hash)
        core.handle("r0", msgspec.structs.replace(report, epoch=life - 1), life * SECOND)
        core.handle("r1", msgspec.structs.replace(report, epoch=life + 1), life * SECOND)
        pictures = dict(core.tick(life * SECOND))
        good, other = pictures["r0"], pictures["r1"]
        assert isinstance(good, Picture)
        assert isinstance(other, Picture)
        assert (good.epoch, good.site, good.error) == (life, site.hash, "")
        assert good.grant is not None
        assert other.grant is None
        assert f"r1 has heard a coordinator of epoch {life + 1}, this is epoch {life}" in other.error
        store.close()


def test_a_store_of_another_floor_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    Coordinator(floor("...."), store)
    Coordinator(floor("...."), store)
    with pytest.raises(StoreError, match=r"belongs to floor [0-9a-f]{12}, this is floor .* give the same --site"):
        Coordinator(floor("..."), store)
    store.close()


def test_a_pose_that_is_no_number_is_not_taken_in(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("...."), [0])
    rehearsal.run(1)
    report = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    content = {name: getattr(report, name) for name in report.__struct_fields__}
    broken = Report(**content | {"pose": (float("nan"), 0.6, 0.0), "stamp": rehearsal.floor.now + 1})
    rehearsal.core.handle("r0", broken, rehearsal.floor.now + 1)
    ((_, picture),) = rehearsal.core.tick(rehearsal.floor.now + 1)
    assert isinstance(picture, Picture)
    assert rehearsal.core.state("", 0).robots[0].pose == report.pose
    rehearsal.end()


def test_the_same_messages_give_the_same_replies(rehearse: Rehearse, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    site = floor(*AISLES)
    one, two = (rehearse(tmp_path / name, site, [0, 11, 40, 83], seed=7) for name in ("one", "two"))
    for cell in site.free_cells[::3].tolist():
        one.give(cell)
        two.give(cell)
    for _ in range(300):
        one.floor.cycle()
        two.floor.cycle()
        assert [a.picture for a in one.floor.actors.values()] == [a.picture for a in two.floor.actors.values()]
    one.end()
    two.end()


def test_a_lone_robot_on_a_free_floor_never_brakes_for_want_of_grants(rehearse: Rehearse, tmp_path: Path) -> None:
    pace = Pace(slow=1.5, fast=1.5, pause=0.0)
    rehearsal = rehearse(tmp_path, floor("." * 60), [0], pace=pace)
    rehearsal.give(59)
    rehearsal.run(5)
    actor = rehearsal.floor.actors["r0"]
    for _ in range(450):
        rehearsal.run(0.1)
        if actor.cell > 50:
            break
        assert actor.speed == pytest.approx(1.5)
        assert actor.picture is not None
        assert actor.picture.grant is not None
        cells = actor.picture.grant.cells
        ahead = len(cells) - 1 - cells.index(actor.towards)
        assert 1.2 * (ahead + 0.5) > 1.5**2 / (2 * 1.5) + 0.43, "room to stop inside the grant"
    assert actor.cell > 50
    rehearsal.end()


def test_the_first_errands_of_the_random_instance_are_done_by_forty_robots(rehearse: Rehearse, tmp_path: Path) -> None:
    domain = DATA / "lorr2023" / "test" / "random.domain"
    if not domain.exists():
        pytest.skip(f"the League of Robot Runners instance is not at {domain}")
    site = map_site(domain / "maps" / "random-32-32-20.map")
    starts, errands = (
        [int(line) for line in path.read_text().split()[1:]]
        for path in (
            domain / "agents" / "random-32-32-20_1.agents",
            domain / "tasks" / "random-32-32-20_1.tasks",
        )
    )
    rehearsal = rehearse(tmp_path, site, list(dict.fromkeys(starts))[:40], pace=Pace(loss=0.01))
    for cell in errands[:200]:
        rehearsal.give(cell)
    assert rehearsal.run(400, until=200) == 200
    rehearsal.end()


def test_thirty_two_robots_work_on_a_warehouse_of_one_cell_aisles(rehearse: Rehearse, tmp_path: Path) -> None:
    path = DATA / "maps" / "warehouse-10-20-10-2-1.map"
    if not path.exists():
        pytest.skip(f"the MovingAI map is not at {path}")
    site = map_site(path)
    dice = np.random.default_rng(8)
    starts = dice.choice(site.free_cells, 32, replace=False).tolist()
    rehearsal = rehearse(tmp_path, site, starts, pace=Pace(loss=0.01))
    for cell in dice.choice(site.free_cells, 60).tolist():
        rehearsal.give(cell)
    assert rehearsal.run(400, until=60) == 60
    rehearsal.end()


@pytest.mark.slow
def test_a_thousand_robots_work_on_the_large_warehouse(rehearse: Rehearse, tmp_path: Path) -> None:
    domain = DATA / "lorr2023" / "test" / "warehouse.domain"
    if not domain.exists():
        pytest.skip(f"the League of Robot Runners instance is not at {domain}")
    site = map_site(domain / "maps" / "warehouse_large.map")
    starts = [int(line) for line in (domain / "agents" / "warehouse_large_1000.agents").read_text().split()[1:1001]]
    errands = [int(line) for line in (domain / "tasks" / "warehouse_large.tasks").read_text().split()[1:3001]]
    rehearsal = rehearse(tmp_path, site, starts, rules=Rules())
    for cell in errands:
        rehearsal.give(cell)
    rates = []
    for _ in range(3):
        done = rehearsal.done
        rehearsal.run(40)
        rates.append(rehearsal.done - done)
    assert min(rates) > 30, rates
    assert rehearsal.floor.now == 120 * SECOND
    rehearsal.end()
