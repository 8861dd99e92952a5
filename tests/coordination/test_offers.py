"""Robots that choose among offers: the store decides, nothing is lost or done twice, nobody has to answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from coordination.estop import raise_stop
from coordination.messages import Choice, Chosen, Leg, LegKind, Offer, Report
from coordination.offers import LAPSE, MOST, OVERDUE, PATIENCE, SLICE
from coordination.rehearsal import Actor, Choose, Pace
from coordination.requests import StopRaise
from sim.robot import SECOND
from tests.coordination.floors import floor
from tests.coordination.killing import drill
from tests.coordination.nursery import Kill
from tests.coordination.rehearsed import AISLES, Rehearsal


def cheapest(actor: Actor, offer: Offer) -> Chosen:
    return Chosen(offer.id, offer.tasks[0].task, deterministic=False, log_probability=-0.25, exploration=True)


def last(actor: Actor, offer: Offer) -> Chosen:
    return Chosen(offer.id, offer.tasks[-1].task)


def charge(actor: Actor, offer: Offer) -> Chosen:
    return Chosen(offer.id, "")


def silent(actor: Actor, offer: Offer) -> None:
    return None


@pytest.fixture
def rehearsals() -> Iterator[list[Rehearsal]]:
    made: list[Rehearsal] = []
    yield made
    for rehearsal in made:
        rehearsal.store.close()
        rehearsal.auditor.stop()


def choosing(made: list[Rehearsal], rehearsal: Rehearsal, choose: Choose | None) -> Rehearsal:
    made.append(rehearsal)
    rehearsal.floor.choose = choose
    return rehearsal


def events(rehearsal: Rehearsal, kind: str) -> list[tuple[str, str, str]]:
    """(task, robot, detail) of the log's events of one kind."""
    query = "SELECT task, robot, detail FROM events WHERE event = ? ORDER BY seq"
    return rehearsal.store.connection.execute(query, (kind,)).fetchall()


def test_a_chosen_task_is_assigned_and_its_log_probability_is_on_record(
    rehearsals: list[Rehearsal], tmp_path: Path
) -> None:
    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, floor("......"), [0]), last)
    near, far = rehearsal.give(1), rehearsal.give(5)
    rehearsal.run(1)
    record = rehearsal.store.record(far)
    assert record is not None
    assert record.robot == "r0", "the rule would have sent it to the near one"
    assert rehearsal.run(60, until=2) == 2
    rehearsal.floor.choose = cheapest
    drawn = rehearsal.give(3)
    rehearsal.run(1)
    choices = [msgspec.json.decode(detail, type=Choice) for _, _, detail in events(rehearsal, "assign")]
    assert choices == [Choice(f"{far}/1"), Choice(f"{near}/1"), Choice(f"{drawn}/1", False, -0.25, True)]
    rehearsal.end()


def test_of_two_robots_that_choose_one_task_the_nearer_gets_it_and_the_other_is_offered_again(
    rehearsals: list[Rehearsal], tmp_path: Path
) -> None:
    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, floor("..........", ".........."), [0, 9]), cheapest)
    urgent, other = rehearsal.give(6, priority=5), rehearsal.give(5)
    rehearsal.floor.cycle()
    first = [actor.picture.offer for actor in rehearsal.floor.actors.values() if actor.picture is not None]
    assert [offer.tasks[0].task for offer in first if offer is not None] == [urgent, urgent]
    rehearsal.run(1)
    robots = {task: robot for task, robot, _ in events(rehearsal, "assign")}
    assert robots == {urgent: "r1", other: "r0"}
    assert rehearsal.run(60, until=2) == 2
    rehearsal.end()


def test_a_robot_that_does_not_answer_is_assigned_by_rule(rehearsals: list[Rehearsal], tmp_path: Path) -> None:
    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, floor("......"), [0]), silent)
    near, far = rehearsal.give(1), rehearsal.give(5)
    rehearsal.run(PATIENCE / SECOND)
    assert events(rehearsal, "assign") == []
    rehearsal.run(0.3)
    assert [task for task, _, _ in events(rehearsal, "assign")] == [near]
    rehearsal.run(60, until=2)
    asked = (rehearsal.store.record(far), rehearsal.core.dispatch.offers.lapsed_until["r0"])
    assert asked[1] >= LAPSE, "it is not asked again for a while, so the second came at once"
    assert rehearsal.done == 2
    rehearsal.end()


def test_a_robot_of_the_older_protocol_is_offered_nothing_and_works_as_ever(
    rehearsals: list[Rehearsal], tmp_path: Path
) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    site = floor(*AISLES)
    cells = site.free_cells[::7].tolist()
    old, mixed = (choosing(rehearsals, Rehearsal(tmp_path / n, site, [0, 83], seed=3), None) for n in ("old", "new"))
    for rehearsal in (old, mixed):
        for cell in cells:
            rehearsal.give(cell)
    report = mixed.floor.report
    mixed.floor.report = lambda actor: _forget_offers(report(actor))  # type: ignore[method-assign]
    for _ in range(600):
        old.floor.cycle()
        mixed.floor.cycle()
        assert [a.picture for a in old.floor.actors.values()] == [a.picture for a in mixed.floor.actors.values()]
    assert all(a.picture is not None and a.picture.offer is None for a in mixed.floor.actors.values())
    assert mixed.done == old.done > 0


def _forget_offers(report: Report) -> Report:
    """The report as a peer without offers packs it, read by this version."""
    entries = msgspec.msgpack.decode(msgspec.msgpack.encode(report))
    del entries["chooses"], entries["chosen"]
    return msgspec.msgpack.decode(msgspec.msgpack.encode(entries), type=Report)


@pytest.mark.parametrize("answer", ["another offer's", "a task that was not offered", "a charger where there is none"])
def test_an_answer_that_fits_no_standing_offer_changes_nothing(
    rehearsals: list[Rehearsal], tmp_path: Path, answer: str
) -> None:
    def wrong(actor: Actor, offer: Offer) -> Chosen:
        return {
            "another offer's": Chosen(offer.id - 1, offer.tasks[0].task),
            "a task that was not offered": Chosen(offer.id, "not-offered"),
            "a charger where there is none": Chosen(offer.id, ""),
        }[answer]

    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, floor("......"), [0]), wrong)
    task = rehearsal.give(5)
    rehearsal.run(0.9)
    by_rule = [name for name, _, _ in events(rehearsal, "assign")]
    assert by_rule == ([] if answer == "another offer's" else [task])
    assert len(events(rehearsal, "refused")) == (0 if answer == "another offer's" else 1)
    assert rehearsal.run(60, until=1) == 1
    rehearsal.end()


def test_a_chosen_charge_lasts_a_slice_at_a_charger_where_nobody_stands(
    rehearsals: list[Rehearsal], tmp_path: Path
) -> None:
    site = floor("..........", "..........", chargers=(0, 9))
    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, site, [1, 0], pace=Pace(pause=0.0)), charge)
    for actor in rehearsal.floor.actors.values():
        actor.battery = 0.5
    rehearsal.give(5, capability="r0")
    rehearsal.run(1)
    picture = rehearsal.floor.actors["r0"].picture
    assert picture is not None
    assert picture.assignment is not None
    assert picture.assignment.legs == (Leg(9, LegKind.CHARGE, SLICE),), "r1 stands at the nearer one"
    ((_, robot, detail),) = events(rehearsal, "charge")
    assert robot == "r0"
    assert msgspec.json.decode(detail, type=Choice).mission == f"charge-r0/{picture.assignment.attempt}"
    rehearsal.floor.actors["r0"].battery = 0.96
    rehearsal.run(SLICE + 20.0)
    assert len(events(rehearsal, "charge")) == 1, "a full robot is offered no charging"
    assert len(events(rehearsal, "refused")) == 1, "its second answer lapsed"
    assert [name for _, name, _ in events(rehearsal, "assign")] == ["r0"], "and the rule spoke"


def test_only_possible_tasks_are_offered_and_never_more_than_asked_for(
    rehearsals: list[Rehearsal], tmp_path: Path
) -> None:
    seen: list[Offer] = []

    def watch(actor: Actor, offer: Offer) -> None:
        seen.append(offer)

    site = floor("." * 40, chargers=(39,))
    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, site, [0]), watch)
    rehearsal.floor.chooses = 100
    heavy, theirs = rehearsal.give(1, payload=400.0), rehearsal.give(1, capability="r9")
    near = [rehearsal.give(cell) for cell in range(2, 12)]
    rehearsal.run(0.3)
    assert [line.task for line in seen[0].tasks] == near[:MOST]
    assert not {heavy, theirs} & {line.task for line in seen[0].tasks}
    assert [line.way for line in seen[0].tasks] == list(range(2, 2 + MOST))
    assert {line.home for line in seen[0].tasks} == set(range(28, 38)) - {28, 29}
    assert {line.onward for line in seen[0].tasks} == {1}
    rehearsal.floor.actors["r0"].battery = 0.1504  # 3 cells above the reserve, at 1.2e-4 a cell
    rehearsal.floor.actors["r0"].chosen = None
    rehearsal.core.dispatch.offers.standing.clear()
    rehearsal.run(0.2)
    assert [line.way for line in seen[-1].tasks] == [2, 3]


def test_an_overdue_task_pushes_all_others_out_of_the_offer(rehearsals: list[Rehearsal], tmp_path: Path) -> None:
    def nearest(actor: Actor, offer: Offer) -> Chosen:
        return Chosen(offer.id, min(offer.tasks, key=lambda line: line.way).task)

    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, floor("." * 30), [0]), nearest)
    shunned = rehearsal.give(29)
    submitted = rehearsal.floor.now
    while (record := rehearsal.store.record(shunned)) is not None and not record.attempt:
        if rehearsal.store.counts()["QUEUED"] < 3:
            rehearsal.give(1)
            rehearsal.give(2)
        rehearsal.floor.cycle()
    waited = rehearsal.floor.now - submitted
    assert OVERDUE <= waited < OVERDUE + 15 * SECOND
    rehearsal.end()


def test_no_offer_stands_while_the_fleet_is_stopped(rehearsals: list[Rehearsal], tmp_path: Path) -> None:
    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, floor("......"), [0]), cheapest)
    rehearsal.floor.cycle()
    raise_stop(rehearsal.store, StopRaise("button"), "anyone", rehearsal.floor.now)
    rehearsal.give(5)
    rehearsal.run(3)
    picture = rehearsal.floor.actors["r0"].picture
    assert picture is not None
    assert picture.offer is None
    assert events(rehearsal, "assign") == []


def test_choosing_robots_lose_and_double_nothing_when_messages_and_lives_are_lost(
    rehearsals: list[Rehearsal], tmp_path: Path
) -> None:
    site = floor(*AISLES)
    cells = np.random.default_rng(5).permutation(site.free_cells).tolist()
    rehearsal = choosing(rehearsals, Rehearsal(tmp_path, site, cells[:6], pace=Pace(loss=0.1)), last)
    for pair in np.random.default_rng(6).choice(site.free_cells, (30, 2)).tolist():
        rehearsal.give(*pair, dwell=0.3)
    for _ in range(9):
        rehearsal.run(5.3)
        rehearsal.restart()
    assert rehearsal.run(300, until=30) == 30
    rehearsal.end()


def test_the_same_answers_give_the_same_replies(rehearsals: list[Rehearsal], tmp_path: Path) -> None:
    site = floor(*AISLES, chargers=(3,))
    pair = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pair.append(choosing(rehearsals, Rehearsal(tmp_path / name, site, [0, 11, 40, 83], seed=7), last))
        for cell in site.free_cells[::3].tolist():
            pair[-1].give(cell)
    one, two = pair
    for _ in range(300):
        one.floor.cycle()
        two.floor.cycle()
        assert [a.picture for a in one.floor.actors.values()] == [a.picture for a in two.floor.actors.values()]
    assert len(events(one, "assign")) > 4


def test_kill_9_of_a_coordinator_whose_robots_choose_loses_nothing(tmp_path: Path) -> None:
    kills = [Kill("round:commit", 6), Kill("round:sending", 7), Kill("", 6, blackout=2)]
    outcome = drill(tmp_path, clock="lockstep", kills=kills, seed=5, chooses=3)
    assert (outcome.lost, outcome.doubled, outcome.moved_after_lease, outcome.stuck) == (0, 0, 0, 0), outcome.notes
    assert outcome.kills.total() == len(kills)
    assert outcome.chosen >= len(kills), "robots chose for themselves"
