"""A person drives one robot of a simulated fleet by hand while the others work: audited, witnessed, replayed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agents.policy import Policy
from coordination.client import RefusedError, new_task_id
from coordination.messages import Leg, LegKind
from coordination.requests import Submit, Submitted, Task
from coordination.rules import LEASE
from fleet.byhand import JOG
from fleet.control import Stepper
from safety.manual import DEAD_MAN, JOG_SPEED
from safety.supervisor import RESUME, Mode
from sim.robot import SECOND
from sim.site import declare_person_free, make_site
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.jogfleet import SPEC, JogFleet, config_of

ROWS = (
    "..........",
    ".@@@@@@@@.",
    "..........",
)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


@pytest.fixture
def fleet(tmp_path: Path, policy: Policy) -> Iterator[JogFleet]:
    """Two robots on a ring of two aisles; r0 is on its way along the first."""
    blocked = np.array([[character == "@" for character in row] for row in ROWS])
    made = JogFleet(declare_person_free(make_site("ring", blocked)), tmp_path, policy, (0, 29))
    yield made
    made.close()
    assert made.found == []
    assert (made.world.physics.collisions, made.world.oracle.collisions) == (0, 0)
    for name in made.names:
        replays(made, name)


def replays(fleet: JogFleet, robot: str) -> None:
    """Every step again on another stepper, from its own inputs and memory: the same bits."""
    fresh = Stepper(config_of(robot), fleet.site, fleet.policy)
    jogged = 0
    for step in fleet.steps[robot]:
        again, _ = fresh.step(step.inputs, step.memory)
        assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(step.outputs)
        outputs = step.outputs
        jogged += outputs.source == JOG
        if outputs.source == JOG:
            assert abs(outputs.proposed[0]) + abs(outputs.proposed[1]) * SPEC.radius <= JOG_SPEED + 1e-6
    if robot == "r0":
        assert jogged > 10, "or there is nothing to see"


def give(fleet: JogFleet, cell: int, robot: str = "r0") -> str:
    task = Task(new_task_id(), (Leg(cell, LegKind.DELIVER, 0.2),), capability=robot)
    (answer,) = fleet.core.handle("client", Submit("q", (task,)), fleet.world.stamp)
    assert isinstance(answer[1], Submitted)
    assert not answer[1].error
    return task.id


def state(fleet: JogFleet, task: str) -> str:
    record = fleet.store.record(task)
    assert record is not None
    return record.state.name


def stopped_on_its_way(fleet: JogFleet) -> str:
    """r0 stands stopped, a few cells into its delivery; returns the task."""
    task = give(fleet, 8)
    fleet.run(6)
    assert 1.5 < fleet.place("r0")[0] < 8.0
    fleet.stop()
    fleet.run(2)
    return task


def test_a_stopped_robot_is_driven_back_handed_back_and_ends_its_delivery(fleet: JogFleet) -> None:
    task = stopped_on_its_way(fleet)
    other = give(fleet, 22, "r1")
    ann = fleet.operator()
    ann.take("r0")
    fleet.drive(ann, 1.0, 0.3)
    assert fleet.modes("r0", 5) == {"LATCHED"}, "the stop stands above the operator"
    fleet.reset()
    fleet.drive(ann, 1.5, 0.0)
    assert ann.state.obeyed
    x = fleet.place("r0")[0]
    fleet.drive(ann, 8.0, -0.3)
    assert fleet.place("r0")[0] < x - 1.2
    assert fleet.modes("r0", 60) == {"MANUAL"}
    moved = fleet.place("r0")[0]
    ann.take("r0")
    fleet.drive(ann, 4.0, 0.2)
    assert fleet.place("r0")[0] > moved + 0.5
    here = fleet.place("r0")[:2]
    assert state(fleet, task) == "RUNNING", "nobody took it away"
    assert ann.release("r0").lease == 0
    fleet.run(0.2)
    mover = fleet.core.right_of_way.ledger.movers["r0"]
    assert mover.report is not None
    assert math.dist(mover.report.pose[:2], here) < 0.2
    assert mover.path[mover.at] == fleet.core.roadmap.cell_at(*mover.report.pose[:2]), "from where it stands"
    assert all(fleet.core.roadmap.adjacent(a, b) for a, b in pairwise(mover.path))
    fleet.run(RESUME / SECOND + 25)
    assert state(fleet, task) == "DONE"
    assert state(fleet, other) == "DONE"


def test_others_work_on_and_get_none_of_its_ground(fleet: JogFleet) -> None:
    stopped_on_its_way(fleet)
    ann = fleet.operator()
    ann.take("r0")
    fleet.reset()
    fleet.drive(ann, 2.0, 0.0)
    ledger = fleet.core.right_of_way.ledger
    held = {cell for cell in range(30) if ledger.holder(cell) == "r0"}
    around = give(fleet, 2, "r1")  # r1's way there is open from the other side alone
    for _ in range(25):
        fleet.drive(ann, 1.0, 0.0)
        assert {cell for cell in range(30) if ledger.holder(cell) == "r0"} == held
    assert fleet.modes("r1", 200) >= {"POLICY"}
    ann.release("r0")
    fleet.run(40)
    assert state(fleet, around) == "DONE"


def test_a_terminal_that_dies_stops_its_robot_and_two_operators_get_an_answer(fleet: JogFleet) -> None:
    stopped_on_its_way(fleet)
    ann, bob = fleet.operator(), fleet.operator("operator_bob", "bob@gate")
    ann.take("r0")
    fleet.reset()
    fleet.drive(ann, 3.0, 0.3)
    assert fleet.steps["r0"][-1].outputs.released[0] > 0.2
    last = fleet.world.stamp
    with pytest.raises(RefusedError, match=r"operator_ann \(ann@desk\) has r0 for \d+ s more"):
        bob.take("r0")
    fleet.run(2.0)  # nothing comes from ann any more
    moving = [step.stamp for step in fleet.steps["r0"] if step.outputs.proposed != (0.0, 0.0)]
    assert moving[-1] - last <= DEAD_MAN
    at = fleet.place("r0")
    fleet.run(LEASE / SECOND + 5.0)
    assert math.dist(fleet.place("r0")[:2], at[:2]) < 0.02, "the lease has ended, and it stands"
    assert fleet.steps["r0"][-1].outputs.mode is Mode.MANUAL
    assert bob.take("r0").lease == 2
    bob.release("r0")
    fleet.run(2.0)
    assert fleet.modes("r0", 5) <= {"POLICY", "SHIELDED"}


def test_a_coordinator_that_is_killed_in_a_lease_stops_the_robot_and_keeps_the_lease(fleet: JogFleet) -> None:
    stopped_on_its_way(fleet)
    ann = fleet.operator()
    ann.take("r0")
    fleet.reset()
    fleet.drive(ann, 3.0, 0.3)
    lease = ann.state.lease
    fleet.kill()
    fleet.drive(ann, 1.0, 0.3)
    assert fleet.steps["r0"][-1].outputs.released == (0.0, 0.0), "no wish comes through"
    fleet.drive(ann, 2.0, 0.3)
    assert fleet.modes("r0", 5) == {"STOPPED"}, "and nobody speaks at all"
    at = fleet.place("r0")
    fleet.restart()
    for _ in range(10):
        fleet.cycle()
    assert math.dist(fleet.place("r0")[:2], at[:2]) < 0.02, "a new coordinator has no wish to pass on"
    assert fleet.modes("r0", 1) == {"MANUAL"}, "but the lease"
    with pytest.raises(RefusedError, match="operator_ann"):
        fleet.operator("operator_bob").take("r0")
    assert ann.take("r0").lease == lease
    fleet.drive(ann, 3.0, -0.3)
    assert fleet.place("r0")[0] < at[0] - 0.3
    ann.release("r0")
    fleet.run(1.0)


def test_a_robot_that_gave_up_asks_is_driven_out_and_works_again(fleet: JogFleet) -> None:
    task = give(fleet, 8)
    fleet.run(4)
    before = fleet.memory["r0"]  # a robot that has replanned five times for nothing
    meta = msgspec.structs.replace(before.controller.meta, failed="blocked: no way on after 5 replans")
    controller = msgspec.structs.replace(before.controller, meta=meta)
    fleet.memory["r0"] = msgspec.structs.replace(before, controller=controller)
    fleet.run(1)
    assert "r0" in fleet.core.state("", fleet.world.stamp).asking
    ann = fleet.operator()
    ann.take("r0")
    fleet.drive(ann, 3.0, -0.2)
    assert fleet.modes("r0", 20) == {"MANUAL"}
    ann.release("r0")
    again = give(fleet, 2)
    fleet.run(45)
    assert {state(fleet, task), state(fleet, again)} == {"DONE"}


def test_the_cap_holds_for_the_body_itself(fleet: JogFleet) -> None:
    stopped_on_its_way(fleet)
    ann = fleet.operator()
    ann.take("r0")
    fleet.reset()
    fleet.drive(ann, 1.0, 0.0)
    fastest = 0.0
    for v, w in ((9.0, 0.0), (-9.0, 0.0), (0.0, 9.0), (3.0, 3.0)):
        for _ in range(25):
            fleet.drive(ann, 0.1, v, w)
            forward, turning = (float(value) for value in fleet.world.twists[0, :2])
            fastest = max(fastest, abs(forward) + abs(turning) * SPEC.radius)
    assert 0.2 < fastest <= JOG_SPEED * 1.1
    ann.release("r0")
