"""A step's evidence: the shield's candidates and the monitors' values, as they were when it was decided."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from fleet.control import ControlConfig, Stepper
from fleet.evidence import PROPOSAL, STORED, Tried, command, outcome, passed_over, refused
from fleet.hardware import FakeRobot
from fleet.records import Inputs, Outputs, as_recorded
from hierarchy.skills import Answer
from safety.reason import Reason
from safety.supervisor import Mode
from sim.robot import SECOND, RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls

SPEC = RobotSpec()
SITE = aisle()
CONFIG = ControlConfig(robot="r0", spec=SPEC, person_speed=1.6)


@pytest.fixture(scope="module")
def episode() -> Episode:
    """A drive at full throttle to and fro towards somebody who stands there; then no scan comes for a second."""
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, ((8.0, 1.8, 0.25),))
    robot = FakeRobot(SPEC, (0.6, 1.8, 0.0), scan)
    made = Episode(Stepper(CONFIG, SITE, None), robot, FakeCoordinator(SITE, delivery(5)))
    made.act = lambda _: Answer((1.0, 0.5 if len(made.steps) % 20 < 10 else -0.5))
    made.run(8.0)
    robot.stale.add("scan")
    made.run(1.0)
    return made


def tried(outputs: Outputs) -> Tried:
    assert outputs.evidence is not None
    return outputs.evidence.tried


def test_a_refused_proposal_names_the_candidate_that_was_released_and_why_others_were_not(episode: Episode) -> None:
    steps = [step for step in episode.steps if tried(step.outputs).verdicts]
    assert len(steps) > 5
    for step in steps:
        outputs, found = step.outputs, tried(step.outputs)
        assert outputs.reason is not Reason.NONE
        verdicts = np.frombuffer(found.verdicts, np.int8)
        if found.chosen >= 0:
            assert verdicts[found.chosen] == 0
            assert command(found, found.chosen) == outputs.released
        assert all(why not in (Reason.NONE, Reason.LIMITS) for _, why in refused(found))
        assert sum(passed_over(found)) + len(list(refused(found))) + int((verdicts == 0).sum()) == 64
    assert any(tried(step.outputs).chosen >= 0 and any(refused(tried(step.outputs))) for step in steps)


def test_a_candidate_that_was_refused_is_refused_as_a_proposal_for_the_same_reason(episode: Episode) -> None:
    number = next(i for i, step in enumerate(episode.steps) if len(list(refused(tried(step.outputs)))) > 3)
    step, stepper = episode.steps[number], Stepper(CONFIG, SITE, None)
    stepper.controller.navigate.version = step.outputs.source
    guard, judged = stepper._guard, []
    judge = guard.judge

    def again(proposal: tuple[float, float], limit: float, laden: bool):  # noqa: ANN202 - a Verdict
        verdict = judge(proposal, limit, laden)
        for candidate, why in refused(tried(step.outputs)):
            stepper._guard._view.plan[0] = step.memory.shield.plan
            other = judge(command(tried(step.outputs), candidate), limit, laden)
            judged.append((other.reason, why))
        return verdict

    guard.judge = again  # type: ignore[method-assign]
    stepper.step(step.inputs, step.memory, lambda _: step.outputs.answer or Answer((0.0, 0.0)))
    assert len(judged) > 3
    assert all(now is why for now, why in judged)


def test_a_released_proposal_tried_nothing_and_a_stopped_robot_plays_its_plan(episode: Episode) -> None:
    free = next(step for step in episode.steps if step.outputs.mode is Mode.POLICY)
    assert tried(free.outputs) == Tried(PROPOSAL)
    stopped = episode.steps[-1]
    assert stopped.outputs.mode is Mode.STOPPED
    assert tried(stopped.outputs) == Tried(STORED)
    assert [outcome(Tried(which)) for which in (PROPOSAL, STORED, 7)] == [
        "the proposal", "the stored plan", "candidate 7"]  # fmt: skip


def test_the_monitors_values_are_those_of_the_step(episode: Episode) -> None:
    step = episode.steps[-1]
    found, inputs = step.outputs.evidence, step.inputs
    assert found is not None
    assert inputs.picture is not None
    assert inputs.picture.grant is not None
    assert found.ages[0] == inputs.stamp - inputs.scan_stamp
    assert found.ages[0] > 0.8 * SECOND
    assert found.ages[3] == inputs.stamp - inputs.picture.stamp
    assert 0 < found.ages[4] <= inputs.picture.grant.expires - inputs.stamp
    assert found.tracking < 0.0
    assert (found.strayed, found.authority) == (0, 0)
    assert found.played > 5
    nan = msgspec.structs.replace(inputs, pose=(math.nan, 0.0, 0.0))
    outputs, _ = Stepper(CONFIG, SITE, None).step(nan, step.memory)
    assert outputs.evidence is not None
    assert math.isnan(outputs.evidence.tracking)


def test_a_log_of_before_evidence_is_compared_without_it(episode: Episode) -> None:
    now = episode.steps[3].outputs
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(now))
    del plain["evidence"]
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(plain), type=Outputs)
    assert old.evidence is None
    assert as_recorded(old, now) == old
    assert as_recorded(now, now) is now
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(episode.steps[3].inputs))
    del told["release"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=Inputs).release == ""


def test_evidence_is_small(episode: Episode) -> None:
    sizes = {
        bool(tried(step.outputs).verdicts): len(msgspec.msgpack.encode(step.outputs.evidence)) for step in episode.steps
    }
    assert sizes[False] < 100
    assert sizes[True] < 700
