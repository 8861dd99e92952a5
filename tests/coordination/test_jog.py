"""Driving by hand, the coordinator's side: who may take a robot, what is heard of him, and whose the ground is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from coordination.byhand import towards
from coordination.coordinator import Coordinator
from coordination.estop import raise_stop, reset_stop
from coordination.keys import new_keys
from coordination.leases import Leases
from coordination.messages import Jog, Report, RobotStatus
from coordination.requests import (
    JOGS,
    REQUESTS,
    JogMove,
    JogRelease,
    JogState,
    JogTake,
    Query,
    StopRaise,
    StopReset,
    refusal,
)
from coordination.roadmap import NONE, Roadmap
from coordination.rules import LEASE
from coordination.tasks import Store
from coordination.transport import Network
from coordination.wire import Wire
from safety.manual import DEAD_MAN
from sim.robot import MILLISECOND, SECOND
from tests.coordination.floors import floor
from tests.coordination.rehearsed import AISLES, Rehearsal, Rehearse

ANN, BOB = "operator_ann", "operator_bob"


class Operator:
    """A person at a terminal: knows the newest answer, and sends wishes under its lease."""

    def __init__(self, rehearsal: Rehearsal, name: str = ANN, by: str = "ann@desk") -> None:
        self.rehearsal, self.name, self.by = rehearsal, name, by
        self.heard = JogState("", "")
        self.number = 0

    def ask(self, message: JogTake | JogMove | JogRelease) -> JogState:
        (answer,) = self.rehearsal.core.handle(self.name, message, self.rehearsal.floor.now)
        assert answer[0] == self.name
        state = answer[1]
        assert isinstance(state, JogState)
        assert (state.request, state.robot) == (message.request, message.robot)
        if state.lease:
            self.heard = state
        return state

    def take(self, robot: str = "r0") -> JogState:
        return self.ask(JogTake("take", robot, self.by))

    def release(self, robot: str = "r0") -> JogState:
        return self.ask(JogRelease("release", robot, self.by))

    def wish(self, v: float = 0.3, w: float = 0.0, robot: str = "r0", **fields: int) -> JogMove:
        self.number += 1
        message = JogMove("move", robot, self.heard.lease, self.number, self.heard.stamp, v, w)
        return msgspec.structs.replace(message, **fields)

    def move(self, v: float = 0.3, w: float = 0.0, robot: str = "r0", **fields: int) -> JogState:
        return self.ask(self.wish(v, w, robot, **fields))

    def drive(self, seconds: float, v: float, w: float = 0.0, robot: str = "r0") -> None:
        """A wish in each cycle."""
        for _ in range(round(seconds * 10)):
            if self.heard.expires - self.heard.stamp < LEASE // 2:
                self.take(robot)
            assert self.move(v, w, robot).error == ""
            self.rehearsal.run(0.1)


def begun(rehearse: Rehearse, folder: Path, *rows: str, starts: tuple[int, ...] = (0, 83)) -> Rehearsal:
    """A rehearsal in which r0 has asked for an operator."""
    rehearsal = rehearse(folder, floor(*(rows or AISLES)), list(starts))
    rehearsal.floor.actors["r0"].asks = True
    rehearsal.run(0.5)
    return rehearsal


def jog_of(rehearsal: Rehearsal, robot: str = "r0") -> Jog | None:
    picture = rehearsal.floor.actors[robot].picture
    assert picture is not None
    return picture.jog


def held(rehearsal: Rehearsal, robot: str = "r0") -> set[int]:
    ledger = rehearsal.core.right_of_way.ledger
    return {cell for cell in range(ledger.roadmap.cells) if ledger.holder(cell) == robot}


# who may --------------------------------------------------------------------------------------------------------


def test_a_robot_that_asked_is_taken_and_told_who_has_it(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    now = rehearsal.floor.now
    assert rehearsal.core.state("", now).asking == ("r0",)
    state = Operator(rehearsal).take()
    assert (state.error, state.lease, state.operator, state.expires) == ("", 1, ANN, now + LEASE)
    assert not state.obeyed, "it has not heard of it"
    rehearsal.run(0.2)
    assert jog_of(rehearsal) == Jog(1, ANN, now + LEASE)
    assert Operator(rehearsal).take().obeyed
    fleet = rehearsal.core.state("", rehearsal.floor.now)
    assert [(line.robot, line.operator, line.by) for line in fleet.jogs] == [("r0", ANN, "ann@desk")]
    assert fleet.asking == ()
    assert fleet.robots[0].status is RobotStatus.OPERATOR


@pytest.mark.parametrize("sender", ["r1", "client", "plant", "operators", "r0"])
def test_nobody_but_an_operator_takes_moves_or_hands_back(rehearse: Rehearse, tmp_path: Path, sender: str) -> None:
    rehearsal = begun(rehearse, tmp_path)
    intruder = Operator(rehearsal, sender)
    assert "only an operator" in intruder.take().error
    assert Operator(rehearsal).take().error == ""
    for message in (intruder.wish(lease=1), JogRelease("q", "r0", "")):
        assert "only an operator" in intruder.ask(message).error
    assert rehearsal.core.counts == {"no_operator": 3}
    assert rehearsal.core.jogs.drives(rehearsal.floor.now) == {"r0": 0}


def test_two_operators_at_once_get_a_clear_answer(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann, bob = Operator(rehearsal), Operator(rehearsal, BOB, "bob@gate")
    first = ann.take()
    rehearsal.run(5)
    for other in (bob, Operator(rehearsal, ANN, "ann@gate")):
        state = other.take()
        assert state.error == f"{ANN} (ann@desk) has r0 for 15 s more"
        assert (state.lease, state.operator) == (first.lease, ANN), "and who it is"
        assert other.ask(other.wish()).error == ("" if other.name == ANN else f"{BOB} has no lease 1 on r0")
    assert bob.release().error == f"{ANN} (ann@desk) has r0 for 15 s more"
    assert ann.take().lease == first.lease, "the same person goes on"


def test_an_operator_has_one_robot_at_a_time(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    rehearsal.floor.actors["r1"].asks = True
    rehearsal.run(0.2)
    ann, bob = Operator(rehearsal), Operator(rehearsal, BOB)
    assert ann.take("r0").error == ""
    assert ann.take("r1").error == f"{ANN} (ann@desk) drives r0; hand that back first"
    assert bob.take("r1").error == "", "another operator's is another robot"
    assert ann.release("r0").error == ""
    assert ann.release("r0").error == "", "said again, it changes nothing"
    assert bob.release("r1").error == ""
    rehearsal.run(0.2)
    assert ann.take("r1").error == ""


def test_a_robot_that_neither_asks_nor_stands_stopped_is_not_taken(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0, 83])
    rehearsal.give(60, capability="r0")
    rehearsal.run(2)
    ann = Operator(rehearsal)
    assert "r0 is MOVING: it neither asks" in ann.take().error
    assert ann.take("r9").error == "no robot r9 has been heard"
    assert ann.release("r9").error == "no robot r9 has been heard"
    rehearsal.core.handle("client", StopRaise("x", "", "q"), rehearsal.floor.now)
    rehearsal.floor.actors["r0"].silent = True
    rehearsal.run(5)
    assert "r0 has been silent for 5 s" in ann.take().error
    assert rehearsal.core.leases.held == {}


def test_a_robot_of_a_version_without_leases_is_not_taken(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    report = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    rehearsal.floor.actors["r0"].silent = True
    old = msgspec.structs.replace(report, jog=-1, stamp=rehearsal.floor.now + 1)
    rehearsal.core.handle("r0", old, rehearsal.floor.now)
    assert "cannot be driven by hand" in Operator(rehearsal).take().error


def test_a_robot_that_gave_its_task_up_asks_until_it_gets_another(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0])
    task = rehearsal.give(60)
    rehearsal.run(1)
    actor = rehearsal.floor.actors["r0"]
    report = msgspec.structs.replace(rehearsal.floor.report(actor), failed="blocked", stamp=rehearsal.floor.now + 1)
    assert report.task == task
    rehearsal.core.handle("r0", report, rehearsal.floor.now)
    actor.pausing = 1e9
    rehearsal.run(2)
    assert rehearsal.core.state("", rehearsal.floor.now).asking == ("r0",), "though it reports IDLE by now"
    ann = Operator(rehearsal)
    assert ann.take().error == ""
    rehearsal.core.tick(rehearsal.floor.now)
    mover = rehearsal.core.right_of_way.ledger.movers["r0"]
    assert mover.report is not None
    assert mover.report.status is RobotStatus.IDLE, "it does not know yet"
    assert mover.fixed(rehearsal.floor.now, rehearsal.core.rules.silent), "and no plan moves it any more"
    rehearsal.run(1)
    assert ann.release().error == ""
    rehearsal.give(64)
    actor.pausing = 0.0
    assert rehearsal.run(60, until=2) == 2, "and the task that it gave up with them: somebody has seen to it"


# what is heard --------------------------------------------------------------------------------------------------


def test_a_wish_is_in_the_next_picture_with_the_stamp_that_bounds_its_age(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann = Operator(rehearsal)
    ann.take()
    heard = ann.heard.stamp
    rehearsal.run(0.2)
    assert ann.move(0.25, -0.5).error == ""
    rehearsal.run(0.1)
    jog = jog_of(rehearsal)
    assert jog is not None
    assert (jog.v, jog.w, jog.stamp) == (0.25, -0.5, heard), "not when it came: when it cannot have been older"


def test_a_wish_leaves_the_picture_when_it_is_too_old_whatever_the_robots_clock_says(
    rehearse: Rehearse, tmp_path: Path
) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann = Operator(rehearsal)
    ann.take()
    ann.move(0.25, -0.5)
    seen = []
    for _ in range(8):
        rehearsal.run(0.1)
        jog = jog_of(rehearsal)
        assert jog is not None
        assert jog.lease == 1
        seen.append((jog.v, jog.w))
    asked = DEAD_MAN // (100 * MILLISECOND)
    assert seen == [(0.25, -0.5)] * asked + [(0.0, 0.0)] * (8 - asked)


Spoil = Callable[[Operator, int], JogMove]

BAD: dict[str, tuple[Spoil, str]] = {
    "another robot's": (lambda ann, now: ann.wish(robot="r1"), "wrong_lease"),
    "a robot nobody knows": (lambda ann, now: ann.wish(robot="r7"), "wrong_lease"),
    "a lease that was": (lambda ann, now: ann.wish(lease=0), "wrong_lease"),
    "a lease to come": (lambda ann, now: ann.wish(lease=2), "wrong_lease"),
    "out of order": (lambda ann, now: ann.wish(number=1), "reordered"),
    "late": (lambda ann, now: ann.wish(heard=now - DEAD_MAN - 1), "late"),
    "very late": (lambda ann, now: ann.wish(heard=0), "late"),
    "from the future": (lambda ann, now: ann.wish(heard=now + 1), "late"),
}


@pytest.mark.parametrize("which", BAD)
def test_a_wish_that_is_not_to_be_heard_is_counted_and_moves_nothing(
    rehearse: Rehearse, tmp_path: Path, which: str
) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann = Operator(rehearsal)
    ann.take()
    rehearsal.run(1)
    ann.take()
    assert ann.move(0.1).error == ""
    spoil, kind = BAD[which]
    state = ann.ask(spoil(ann, rehearsal.floor.now))
    assert state.error
    assert rehearsal.core.counts == {kind: 1}
    rehearsal.run(0.1)
    jog = jog_of(rehearsal)
    assert jog is not None
    assert jog.v == 0.1, "the good one before it"
    assert jog_of(rehearsal, "r1") is None
    assert ann.move(0.2).error == "", "the answer has brought a new stamp"


def test_forged_replayed_unsigned_and_broken_wishes_do_not_even_come(tmp_path: Path) -> None:
    keys = new_keys()
    server = Wire("coordinator", keys, server=True)
    ann, thief, nobody = (
        Wire(ANN, keys, server=False),
        Wire(ANN, new_keys(), server=False),
        Wire(ANN, None, server=False),
    )
    good = ann.encode("coordinator", JogMove("q", "r0", 1, 1, 5, 0.3, 0.0), 5)
    assert server.decode(good) is not None
    assert server.decode(good) is None
    assert server.decode(thief.encode("coordinator", JogMove("q", "r0", 1, 2, 5, 0.3, 0.0), 5)) is None
    assert server.decode(nobody.encode("coordinator", JogTake("q", "r0", "x"), 5)) is None
    for bad in (
        JogMove("q", "r0", 1, 3, 5, float("nan"), 0.0),
        JogMove("q", "r0", 1, 3, 5, 0.0, float("inf")),
        JogMove("q", "r0", 1, 3, -5, 0.0, 0.0),
        JogMove("q", "R0" * 9000, 1, 3, 5, 0.0, 0.0),
        JogTake("q", "", "x"),
        JogTake("q", "r0", "x" * 300),
    ):
        assert server.decode(ann.encode("coordinator", bad, 5)) is None
    assert dict(server.counts) == {"received": 1, "replayed": 1, "forged": 1, "unsigned": 1, "malformed": 6}
    draw = random.Random(1)
    for _ in range(2000):
        broken = bytearray(ann.encode("coordinator", JogMove("q", "r0", 1, 9, 5, 0.3, 0.0), 5))
        broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        assert server.decode(bytes(broken)) is None


def test_wishes_held_back_by_the_network_die_with_their_age(rehearse: Rehearse, tmp_path: Path) -> None:
    """A network that delivers after 0.6 s: every wish is whole, signed and new, and none is young enough."""
    rehearsal = begun(rehearse, tmp_path)
    keys = new_keys()
    network = Network(delay=0.6)
    server, terminal = network.server("coordinator", keys), network.client(ANN, "coordinator", keys)
    ann = Operator(rehearsal)
    ann.take()
    x = rehearsal.floor.footprints()["r0"]
    for _ in range(40):
        terminal.send("coordinator", ann.wish(), 0)
        network.now += 100 * MILLISECOND
        for message in server.receive(0.0):
            ann.ask(message.body)  # the answer, too, comes with it: the newest stamp that there is
        rehearsal.run(0.1)
    assert rehearsal.core.counts["late"] > 20
    assert rehearsal.floor.footprints()["r0"] == x


# the lease ------------------------------------------------------------------------------------------------------


def test_a_lease_that_nobody_renews_ends_and_its_robot_stands_until_it_is_handed_back(
    rehearse: Rehearse, tmp_path: Path
) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann, bob = Operator(rehearsal), Operator(rehearsal, BOB)
    ann.take()
    ann.drive(6, 0.3)
    actor = rehearsal.floor.actors["r0"]
    assert actor.travelled == pytest.approx(6 * 0.3, abs=0.3)
    rehearsal.run(LEASE / SECOND)
    far, cells = actor.travelled, held(rehearsal)
    actor.asks = False
    rehearsal.give(60, capability="r0")
    assert ann.move().error == "lease 1 on r0 has ended; take the robot anew"
    rehearsal.run(30)
    assert actor.travelled == far, "manual commands were given: it does not restart by itself"
    assert held(rehearsal) == cells
    assert rehearsal.core.counts == {"expired": 1}
    events = rehearsal.store.connection.execute("SELECT event FROM events WHERE event LIKE 'jog%'").fetchall()
    assert events == [("jog_take",), ("jog_end",)], "the end is told once"
    assert bob.release().error == "", "anyone who may"
    assert rehearsal.run(60, until=1) == 1
    rehearsal.end()


def test_an_ended_lease_is_anyones_to_take(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann, bob = Operator(rehearsal), Operator(rehearsal, BOB)
    ann.take()
    rehearsal.run(LEASE / SECOND)
    assert bob.take().lease == 2
    rehearsal.run(0.2)
    bob.drive(3, 0.3)
    assert ann.ask(ann.wish(lease=1)).error == f"{ANN} has no lease 1 on r0"
    assert ann.take().error.startswith(f"{BOB} (ann@desk) has r0")


def test_a_lease_goes_on_while_it_is_asked_for(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann = Operator(rehearsal)
    ann.take()
    for _ in range(6):
        rehearsal.run(LEASE / SECOND / 2)
        assert ann.take().lease == 1
        ann.drive(1, 0.0)


def test_a_lease_that_ended_or_is_anothers_is_not_kept_by_its_number(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann, bob = Operator(rehearsal), Operator(rehearsal, BOB)
    number = ann.take().lease
    keep = JogTake("keep", "r0", ann.by, number)
    rehearsal.run(1.0)
    assert ann.ask(keep).expires == rehearsal.floor.now + LEASE
    ann.release()
    assert ann.ask(keep).error == "lease 1 on r0 has ended; take the robot anew", "one that the network held up"
    assert jog_of(rehearsal) is None or rehearsal.core.leases.held == {}
    bob.take()
    rehearsal.run(LEASE / SECOND)
    assert ann.ask(keep).error.startswith("lease 1 on r0 has ended")
    assert ann.take().lease == 3
    assert ann.ask(keep).error == f"{ANN} has no lease 1 on r0"
    assert rehearsal.core.counts["expired"] == 2
    rehearsal.end()


def test_what_is_acknowledged_is_on_disk_and_what_is_not_moves_nothing(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann = Operator(rehearsal)
    expires = ann.take().expires
    ann.drive(3, 0.3)
    cells = held(rehearsal)
    rehearsal.restart()
    assert rehearsal.core.leases.held["r0"].operator == ANN
    assert held(rehearsal) == cells
    rehearsal.run(0.2)
    assert jog_of(rehearsal) == Jog(1, ANN, expires), "the wish is gone, the lease is not"
    far = rehearsal.floor.actors["r0"].travelled
    rehearsal.run(2)
    assert rehearsal.floor.actors["r0"].travelled == pytest.approx(far, abs=0.05)
    ann.take()
    ann.drive(3, 0.3)
    assert rehearsal.floor.actors["r0"].travelled > far + 0.5, "and goes on under the same lease"
    assert ann.release().error == ""
    rehearsal.restart()
    assert rehearsal.core.leases.held == {}
    rehearsal.end()


def test_nothing_of_a_refused_transaction_stays_in_memory(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    leases = Leases(store)
    leases.take("r0", ANN, "ann", 9, 1)
    before = leases.held

    def fail() -> None:
        with store.transaction():
            leases.hand_back("r0", "ann", 2)
            leases.take("r1", BOB, "bob", 9, 2)
            raise RuntimeError("the disk")

    with pytest.raises(RuntimeError, match="the disk"):
        fail()
    assert leases.held == before
    store.close()
    store = Store(tmp_path / "tasks.sqlite")
    assert Leases(store).held == before
    assert Leases(store).take("r2", BOB, "bob", 9, 3).number == 2
    store.close()


def test_another_plants_robots_are_nobodys(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    Operator(rehearsal).take()
    with rehearsal.store.transaction():
        rehearsal.core.begin(anew=True)
    assert rehearsal.core.leases.held == {}


# the ground -----------------------------------------------------------------------------------------------------


def test_a_robot_is_driven_on_back_and_around_and_holds_what_it_needs_alone(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann = Operator(rehearsal)
    ann.take()
    rehearsal.run(0.2)
    actor = rehearsal.floor.actors["r0"]
    ann.drive(9, 0.3)
    assert actor.cell == 2
    assert held(rehearsal) <= {1, 2, 3}
    ann.drive(14, -0.3)
    assert actor.cell == 0, "the wall is behind it"
    ann.take()
    ann.drive(0.3, 0.0, -1.0)  # the rehearsed robot makes a quarter turn in a cycle: three lefts are one right
    ann.drive(9, 0.3)
    assert (actor.heading, actor.cell) == (12, 24)
    assert held(rehearsal) <= {12, 24, 36}
    rehearsal.end()


def test_a_robot_is_not_driven_into_what_another_holds(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path, "......", starts=(0, 3))
    rehearsal.floor.actors["r1"].held = True
    rehearsal.run(0.5)
    theirs = held(rehearsal, "r1")
    ann = Operator(rehearsal)
    ann.take()
    ann.drive(15, 0.3)
    ann.take()
    ann.drive(10, 0.3)
    assert held(rehearsal, "r1") == theirs
    assert max(held(rehearsal)) < min(theirs)
    rehearsal.end()


def test_others_drive_around_a_robot_that_a_person_has(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path, starts=(5, 0))
    ann = Operator(rehearsal)
    ann.take()
    rehearsal.run(6)
    rehearsal.give(11, capability="r1")  # straight through r0
    for _ in range(8):
        ann.take()
        rehearsal.run(10)
    assert rehearsal.done == 1
    assert 5 in held(rehearsal)
    rehearsal.end()


def test_no_cell_is_given_while_the_fleet_is_stopped(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path)
    ann = Operator(rehearsal)
    ann.take()
    rehearsal.run(0.2)
    before = held(rehearsal)
    raise_stop(rehearsal.store, StopRaise("ann"), ANN, rehearsal.floor.now)
    ann.drive(5, 0.3)
    assert held(rehearsal) == before
    assert ann.release().error == ""
    assert ann.take().error == "", "a stopped robot may be taken"
    reset_stop(rehearsal.store, StopReset("ann", 1), ANN, True, rehearsal.floor.now)
    rehearsal.run(0.2)
    ann.drive(5, 0.3)
    assert held(rehearsal) != before
    rehearsal.end()


def test_handed_back_a_robot_gets_a_fresh_plan_from_where_it_stands(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0])
    rehearsal.give(8, capability="r0")
    rehearsal.run(2)
    actor = rehearsal.floor.actors["r0"]
    actor.asks = True  # on its way along the first row
    rehearsal.run(1)
    mover = rehearsal.core.right_of_way.ledger.movers["r0"]
    ahead = [cell for cell in mover.path[mover.at + 1 :]]
    assert len(ahead) >= 2, "an old plan there is"
    ann = Operator(rehearsal)
    ann.take()
    rehearsal.run(0.3)
    for _ in range(2):
        ann.take()
        ann.drive(12, -0.3)
    assert actor.cell == 0
    assert not held(rehearsal) & set(ahead[1:]), "what it was to drive is others' to have"
    actor.asks = False
    assert ann.release().error == ""
    rehearsal.run(0.1)
    path = rehearsal.core.right_of_way.ledger.movers["r0"].path
    assert path[0] == actor.cell
    assert all(rehearsal.core.roadmap.adjacent(a, b) for a, b in pairwise(path))
    assert rehearsal.run(60, until=1) == 1, "and its task goes on: it was never anyone else's"
    rehearsal.end()


def test_ground_that_was_for_the_operator_leaves_the_grant_with_him(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path, starts=(0,))
    ann = Operator(rehearsal)
    ann.take()
    rehearsal.run(0.2)
    ann.drive(0.3, 0.1)
    rehearsal.run(1)
    assert held(rehearsal) == {0, 1}
    assert ann.release().error == ""
    rehearsal.run(0.3)
    assert held(rehearsal) == {0}, "it stands in it alone, and has nowhere to go"


def test_ground_that_a_robot_may_still_come_into_is_not_exchanged_for_other(tmp_path: Path) -> None:
    site = floor("...", "...")
    store = Store(tmp_path / "tasks.sqlite")
    core = Coordinator(site, store)
    now = 0

    def cycle(x: float, yaw: float) -> tuple[int, ...]:
        """A report from the first cell, the operator wanting to go on where the robot looks; then the grant."""
        nonlocal now
        now += 100 * MILLISECOND
        mover = core.right_of_way.ledger.movers.get("r0")
        cells = (0, 1) if x > 0.76 else (0,)  # radius 0.4 m, localisation 0.03 m
        seen = mover.grant_id if mover is not None else 0
        status = RobotStatus.OPERATOR
        core.handle("r0", Report(0, now, (x, 1.8, yaw), (0.0, 0.0), cells, 1.0, status, grant=seen, jog=0), now)
        state = core.handle(ANN, JogTake("q", "r0", ""), now)[0][1]
        assert isinstance(state, JogState)
        core.handle(ANN, JogMove("q", "r0", state.lease, now, now, 0.1, 0.0), now)
        core.tick(now)
        grant = core.right_of_way.grant("r0", now)
        assert grant is not None
        return grant.cells

    cycle(0.6, 0.0)
    assert cycle(0.6, 0.0) == (0, 1), "eastwards"
    for _ in range(5):
        assert cycle(1.0, -1.57) == (0, 1), "it reaches into that cell, wherever it looks"
    assert cycle(0.6, -1.57) == (0, 3), "back in the middle it is given the southern one for it"
    cycle(0.6, -1.57)
    assert core.right_of_way.ledger.holder(1) == ""
    store.close()


def test_a_robot_that_a_person_has_gets_no_work(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = begun(rehearse, tmp_path, starts=(0,))
    rehearsal.floor.actors["r0"].asks = False
    ann = Operator(rehearsal)
    ann.take()
    rehearsal.give(5)
    rehearsal.run(10)
    assert rehearsal.core.state("", rehearsal.floor.now).robots[0].task == ""
    ann.release()
    assert rehearsal.run(30, until=1) == 1


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_random_driving_among_working_robots_breaks_no_law(rehearse: Rehearse, tmp_path: Path, seed: int) -> None:
    """Audited in every cycle; the coordinator is killed and begun again now and then, also during a lease."""
    draw = random.Random(seed)
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0, 5, 40, 47, 83], seed=seed)
    for cell in draw.choices(rehearsal.site.free_cells.tolist(), k=30):
        rehearsal.give(cell)
    rehearsal.run(1)
    ann = Operator(rehearsal)
    drives = 0
    for _ in range(8):
        robot = draw.choice(sorted(rehearsal.floor.actors))
        actor = rehearsal.floor.actors[robot]
        actor.asks = True
        rehearsal.run(1)
        assert ann.take(robot).error == ""
        actor.asks = False
        before = actor.travelled
        for _ in range(draw.randrange(4, 9)):
            ann.take(robot)
            v, w = draw.choice([(0.3, 0.0), (-0.3, 0.0), (0.3, 0.0), (0.0, 1.0)])
            for _ in range(draw.randrange(5, 60)):
                ann.move(v, w, robot)
                rehearsal.run(0.1)
            if draw.random() < 0.15:
                rehearsal.restart()
                rehearsal.run(0.1)
        drives += actor.travelled > before + 1.0
        if draw.random() < 0.3:
            rehearsal.run(LEASE / SECOND)
        assert ann.release(robot).error == ""
        rehearsal.run(2)
    assert drives >= 2
    rehearsal.run(300, until=30)
    assert rehearsal.done == 30, "and everything is done in the end"
    rehearsal.end()


@pytest.mark.parametrize("row", range(3))
def test_the_cell_that_is_driven_towards_is_the_neighbour_in_that_direction(row: int) -> None:
    roadmap = Roadmap(floor(".....", ".....", "....."))
    cell = 5 * row + 2
    north = cell - 5 if row > 0 else NONE
    south = cell + 5 if row < 2 else NONE
    for yaw, ahead, behind in (
        (0.0, cell + 1, cell - 1),
        (0.7, cell + 1, cell - 1),
        (1.57, north, south),
        (3.14, cell - 1, cell + 1),
        (-1.57, south, north),
    ):
        assert towards(cell, yaw, 1, roadmap) == ahead
        assert towards(cell, yaw, -1, roadmap) == behind


def test_a_one_way_aisle_is_no_wall_to_an_operator() -> None:
    site = floor(".....")
    exits = site.exits.copy()
    exits[0, :, :] = False
    exits[0, :4, 0] = True
    roadmap = Roadmap(replace(site, exits=exits))
    assert roadmap.adjacent(1, 2) != roadmap.adjacent(2, 1)
    assert {towards(2, 0.0, 1, roadmap), towards(2, 0.0, -1, roadmap)} == {1, 3}


def test_an_operators_words_are_requests_like_others() -> None:
    assert set(JOGS) <= set(REQUESTS)
    for message in (JogTake("q", "r0", "x"), JogMove("q", "r0", 1, 1, 0, 0.0, 0.0), JogRelease("q", "r0", "x")):
        answer = refusal(message, "the disk is full")
        assert isinstance(answer, JogState)
        assert (answer.request, answer.robot, answer.error) == ("q", "r0", "not stored: the disk is full")
    assert isinstance(Query("q"), REQUESTS)
    assert Report(0, 0, (0, 0, 0), (0, 0), (), 1.0, RobotStatus.IDLE).jog == -1, "a peer that says nothing knows none"
