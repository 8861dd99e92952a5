"""An operator drives one robot: through the shield, capped, only while somebody asks, and on record."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agents.policy import Policy
from coordination.messages import Jog, RobotStatus
from fleet.blackbox import BlackBox, Step
from fleet.byhand import JOG
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from fleet.records import Inputs, Outputs
from fleet.replay import Config, run
from safety.calibration import CREEP_TURN, Authority
from safety.manual import DEAD_MAN, JOG_SPEED
from safety.shield import Reason
from safety.supervisor import RESUME, Cause, Mode
from sim.robot import SECOND, RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()
CONFIG = ControlConfig(spec=SPEC, person_speed=0.0)
CYCLE = SPEC.period


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


@pytest.fixture(scope="module")
def stepper(policy: Policy) -> Stepper:
    return Stepper(CONFIG, SITE, policy)


def under_way(stepper: Stepper, *boxes: tuple[float, float, float]) -> Episode:
    """A robot two metres into its delivery to the other end."""
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, boxes)
    episode = Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(10)))
    episode.run(3.5)
    assert episode.robot.command.v > 0.3
    return episode


def ask(episode: Episode, v: float, w: float = 0.0, *, lease: int = 7, seconds: float = 60.0) -> None:
    """The operator's newest wish, in the next picture."""
    now = episode.steps[-1].stamp
    episode.coordinator.jog = Jog(lease, "operator_ann", now + round(seconds * SECOND), v, w, now)


def jog(episode: Episode, seconds: float, v: float, w: float = 0.0) -> list[Outputs]:
    """Drive by hand for a time, a new wish each cycle."""
    outputs = []
    for _ in range(round(seconds * 10)):
        ask(episode, v, w)
        outputs.append(episode.step())
    return outputs


def taken(stepper: Stepper, *boxes: tuple[float, float, float]) -> Episode:
    """The robot under way, taken and brought to rest by an operator."""
    episode = under_way(stepper, *boxes)
    last = jog(episode, 2.0, 0.0)[-1]
    assert (last.mode, last.released) == (Mode.MANUAL, (0.0, 0.0))
    return episode


def test_a_wish_is_a_proposal_of_its_own_and_moves_the_robot(stepper: Stepper) -> None:
    episode = taken(stepper)
    x = episode.robot.pose[0]
    outputs = jog(episode, 3.0, 0.2)
    assert {(output.mode, output.source, output.answer) for output in outputs} == {(Mode.MANUAL, JOG, None)}
    assert {output.proposed for output in outputs[1:]} == {(0.2, 0.0)}
    assert episode.robot.pose[0] - x == pytest.approx(0.2 * 3.0, abs=0.1)
    assert all(output.margin > 0.0 for output in outputs)
    back = jog(episode, 3.0, -0.2)
    assert episode.robot.pose[0] - x == pytest.approx(0.0, abs=0.1)
    assert {output.report.jog for output in outputs + back} == {7}
    assert {output.report.status for output in outputs + back} == {RobotStatus.OPERATOR}


def test_nothing_is_faster_than_the_cap_whatever_is_asked(stepper: Stepper) -> None:
    episode = taken(stepper)
    for v, w in ((9.0, 0.0), (-9.0, 0.0), (2.0, 2.0), (0.0, 9.0), (math.inf, 0.0), (math.nan, 0.0)):
        for output in jog(episode, 1.5, v, w):
            assert abs(output.released[0]) <= JOG_SPEED + 1e-6, (v, w, output)
            assert abs(output.proposed[0]) + abs(output.proposed[1]) * SPEC.radius <= JOG_SPEED + 1e-6


@pytest.mark.parametrize("authority", list(Authority))
def test_an_operator_moves_no_robot_more_than_its_calibration_lets_it(policy: Policy, authority: Authority) -> None:
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)
    robot, coordinator = FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(10))
    episode = Episode(Stepper(replace(CONFIG, authority=authority), SITE, policy), robot, coordinator)
    episode.run(1.0)
    jog(episode, 2.0, 0.0)
    outputs = [*jog(episode, 2.0, 0.2, 0.1), *jog(episode, 2.0, 0.0, 0.72)]
    assert {output.mode for output in outputs} == {Mode.MANUAL}
    asked = {output.proposed for output in outputs}
    if authority is Authority.SHADOW:
        assert asked == {(0.0, 0.0)}
        assert {output.released for output in outputs} == {(0.0, 0.0)}
    else:
        assert (0.2, 0.1) in asked
        assert max(output.released[0] for output in outputs) == pytest.approx(0.2, abs=0.01)
        assert ((0.0, CREEP_TURN) in asked) == (authority is Authority.CREEP)


def test_a_fast_robot_that_is_taken_brakes_below_the_cap_and_then_creeps(stepper: Stepper) -> None:
    episode = under_way(stepper)
    outputs = jog(episode, 3.0, 0.3)
    speeds = [step.inputs.twist[0] for step in episode.steps[-len(outputs) :]]
    assert speeds[1] > JOG_SPEED, "it cannot do so at once"
    slow = next(index for index, speed in enumerate(speeds) if speed <= JOG_SPEED + 1e-6)
    assert slow <= 12
    assert all(speed <= JOG_SPEED + 1e-6 for speed in speeds[slow:])
    assert speeds[-1] == pytest.approx(JOG_SPEED, abs=1e-5)


def test_silence_stops_the_robot_within_the_dead_man_by_its_own_clock(stepper: Stepper) -> None:
    episode = taken(stepper)
    jog(episode, 1.0, 0.3)
    asked = episode.steps[-1].stamp - CYCLE  # the stamp of the newest wish that it knows
    outputs = episode.run(2.0)  # pictures go on, the wish stays what it was
    moving = [output for output in outputs if output.proposed != (0.0, 0.0)]
    assert moving[-1].stamp - asked <= DEAD_MAN + CYCLE
    standing = next(output for output in outputs if output.released == (0.0, 0.0))
    assert standing.stamp - asked <= DEAD_MAN + 4 * CYCLE
    assert outputs[-1].mode is Mode.MANUAL, "it is still the operator's"
    assert jog(episode, 1.0, 0.3)[-1].released[0] > 0.1, "and moves when asked again"


def test_a_wish_from_the_future_moves_nothing(stepper: Stepper) -> None:
    episode = taken(stepper)
    now = episode.steps[-1].stamp
    episode.coordinator.jog = Jog(7, "operator_ann", now + 60 * SECOND, 0.3, 0.0, now + 5 * SECOND)
    assert {output.released for output in episode.run(2.0)} == {(0.0, 0.0)}


def test_a_lease_that_has_ended_moves_nothing_and_gives_nothing_back(stepper: Stepper) -> None:
    episode = taken(stepper)
    for _ in range(20):
        ask(episode, 0.3, seconds=0.0)
        output = episode.step()
        assert (output.mode, output.proposed) == (Mode.MANUAL, (0.0, 0.0))
    assert output.report.status is RobotStatus.OPERATOR


def test_the_shield_judges_an_operator_like_anyone(stepper: Stepper) -> None:
    episode = taken(stepper, (4.2, 1.8, 0.3))  # a box two metres ahead
    outputs = jog(episode, 20.0, 0.3)
    assert 3.0 < episode.robot.pose[0] < 4.2 - 0.3 - SPEC.radius, "near it, and no nearer"
    assert {output.reason for output in outputs} >= {Reason.NONE, Reason.OBSTACLE}
    assert {output.cause for output in outputs} == {Cause.NONE, Cause.SHIELD}
    assert outputs[-1].released == pytest.approx((0.0, 0.0), abs=1e-6)
    assert outputs[-1].mode is Mode.MANUAL, "no fallback takes the wheel"
    assert jog(episode, 1.0, -0.2)[-1].released[0] < -0.1, "the way back is free"


def test_an_operator_does_not_leave_what_is_granted(stepper: Stepper) -> None:
    episode = taken(stepper)
    episode.coordinator.last_cell = 4
    jog(episode, 25.0, 0.3)
    assert 5 * 1.2 - 2 * SPEC.radius < episode.robot.pose[0] < 5 * 1.2 - SPEC.radius
    jog(episode, 4.0, 0.0, 0.7)
    jog(episode, 10.0, 0.2)  # now towards a rack
    assert 1.2 + SPEC.radius < episode.robot.pose[1] < 2.4 - SPEC.radius


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        ({"bumper": True}, Cause.BUMPER),
        ({"scan": b""}, Cause.NOT_FINITE),
        ({"missed": 9}, Cause.DEADLINE),
        ({"pose": (math.nan, 0.0, 0.0)}, Cause.NOT_FINITE),
    ],
)
def test_every_stop_stands_above_the_operator(stepper: Stepper, spoil: dict[str, object], cause: Cause) -> None:
    episode = taken(stepper)
    jog(episode, 1.0, 0.3)
    episode.spoil = spoil
    outputs = jog(episode, 2.0, 0.3)
    assert {output.mode for output in outputs} <= {Mode.STOPPED, Mode.LATCHED}
    assert {output.cause for output in outputs} == {cause}
    assert outputs[-1].released == (0.0, 0.0)


def test_the_emergency_stop_holds_a_jogged_robot_until_its_reset(stepper: Stepper) -> None:
    episode = taken(stepper)
    jog(episode, 1.0, 0.3)
    episode.coordinator.stopped, episode.coordinator.stop_epoch = True, 1
    outputs = jog(episode, 2.0, 0.3)
    assert (outputs[-1].mode, outputs[-1].released) == (Mode.LATCHED, (0.0, 0.0))
    episode.coordinator.stopped = False
    outputs = jog(episode, 2.0, 0.3)
    assert outputs[0].mode is not Mode.MANUAL, "the reset itself moves nothing"
    assert outputs[-1].mode is Mode.MANUAL
    assert outputs[-1].released[0] > 0.1


def test_a_silent_coordinator_stops_a_jogged_robot(stepper: Stepper) -> None:
    episode = taken(stepper)
    jog(episode, 1.0, 0.3)
    episode.coordinator.withheld = True
    outputs = episode.run(3.0)
    assert outputs[-1].mode is Mode.STOPPED
    assert outputs[-1].released == (0.0, 0.0)


def test_no_work_is_done_and_no_time_counts_while_an_operator_drives(stepper: Stepper) -> None:
    episode = taken(stepper)
    episode.coordinator.assignment = delivery(int(episode.robot.pose[0] / 1.2), dwell=0.1)  # it stands at its goal
    outputs = jog(episode, 30.0, 0.0)
    reports = [output.report for output in outputs]
    assert {report.legs_done for report in reports} == {0}
    assert {report.failed for report in reports} == {""}
    assert {report.blocked for report in reports} == {()}
    assert {output.choice for output in outputs} == {None}
    episode.coordinator.jog = None
    assert episode.run(20.0)[-1].report.legs_done == 1, "handed back, it is done"


def test_a_robot_that_is_handed_back_plans_from_where_it_stands(stepper: Stepper) -> None:
    episode = taken(stepper)
    x = episode.robot.pose[0]
    jog(episode, 12.0, -0.15)
    assert episode.robot.pose[0] < x - 1.2, "another cell"
    episode.coordinator.jog = None
    outputs = episode.run(0.1)  # this step still has the picture of the one before
    outputs = episode.run(RESUME / SECOND)
    assert {output.mode for output in outputs} == {Mode.STOPPED}
    assert outputs[0].cause is Cause.NONE
    outputs = episode.run(1.0)
    assert outputs[-1].mode is Mode.POLICY
    assert episode.run(60.0)[-1].report.legs_done == 1, "the delivery goes on"
    assert {step.outputs.source for step in episode.steps[-300:]} & {JOG} == set()


def test_a_robot_without_a_picture_of_its_own_floor_obeys_no_lease(stepper: Stepper) -> None:
    episode = taken(stepper)
    ask(episode, 0.3)
    last = episode.steps[-1]
    picture = episode.coordinator.picture
    assert picture is not None
    for other in (msgspec.structs.replace(picture, site="another"), msgspec.structs.replace(picture, error="not you")):
        inputs = msgspec.structs.replace(last.inputs, picture=other)
        outputs, _ = stepper.step(inputs, last.memory)
        assert outputs.source != JOG
        assert outputs.mode is Mode.STOPPED


def test_the_step_is_pure_and_a_jogged_drive_replays_bit_for_bit(
    stepper: Stepper, policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_hand_policy(tmp_path, SPEC)
    episode = taken(stepper, (4.2, 1.8, 0.3))
    wishes = itertools.cycle([(0.3, 0.0), (0.2, 0.5), (-0.2, -0.5), (0.0, 0.7), (5.0, 0.1)])
    for v, w in itertools.islice(wishes, 15):
        jog(episode, 0.8, v, w)
    episode.run(1.0)
    episode.coordinator.jog = None
    episode.run(5.0)
    fresh = Stepper(CONFIG, SITE, policy)
    for step in reversed(episode.steps):  # in any order, on another stepper
        again, _ = fresh.step(step.inputs, step.memory)
        assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(step.outputs)
    path = write_box(tmp_path, policy, episode.steps)
    assert run(Config(path, tmp_path)) == 0
    assert f"identical, {len(episode.steps)} steps" in capsys.readouterr().out
    assert {step.outputs.mode for step in episode.steps} >= {Mode.POLICY, Mode.MANUAL, Mode.STOPPED}


def test_a_replayed_drive_differs_where_a_wish_was_changed(
    stepper: Stepper, policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_hand_policy(tmp_path, SPEC)
    episode = taken(stepper)
    jog(episode, 2.0, 0.2)
    steps = list(episode.steps)
    picture = steps[-5].inputs.picture
    assert picture is not None
    assert picture.jog is not None
    other = msgspec.structs.replace(picture, jog=msgspec.structs.replace(picture.jog, v=0.1))
    inputs: Inputs = msgspec.structs.replace(steps[-5].inputs, picture=other)
    steps[-5] = msgspec.structs.replace(steps[-5], inputs=inputs)
    assert run(Config(write_box(tmp_path, policy, steps), tmp_path)) == 1
    assert f"differs at cycle {inputs.cycle} in outputs.released" in capsys.readouterr().out


def write_box(root: Path, policy: Policy, steps: list[Step]) -> Path:
    metadata, attachments = write_header(CONFIG, SITE, policy)
    box = BlackBox(root / "blackbox", "r0", metadata, attachments)
    for number, step in enumerate(steps, 1):
        box.append(step)
        if number % 7 == 0:
            box.flush()
    box.close()
    return root / "blackbox" / "r0-0.mcap"
