"""The control step: a task in an aisle from end to end, and an explicit verdict for every doubt."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from agents.errors import ContractMismatch
from agents.policy import Policy
from coordination.messages import Chosen, Offer, Offered, Picture, RobotStatus
from fleet.blackbox import Step
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.records import Inputs, Memory, Outputs
from hierarchy.chooser import TASKS, Rule
from hierarchy.skills import Answer
from safety.calibration import CREEP_SPEED, CREEP_TURN, Authority, Calibrated, CalibrationMemory, Exceeded
from safety.supervisor import Cause, Mode
from sim.fixtures import Fixtures, SpeedZone
from sim.robot import SECOND, RobotSpec
from sim.site import with_fixtures
from sim.tasks.navigate_contract import navigate_contract
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, cell, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


@pytest.fixture(scope="module")
def stepper(policy: Policy) -> Stepper:
    return Stepper(ControlConfig(spec=SPEC, person_speed=0.0), SITE, policy)


def begin(stepper: Stepper, *, goal: int = 10, obstacles: tuple[tuple[float, float, float], ...] = ()) -> Episode:
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, obstacles)
    return Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(goal)))


def under_way(stepper: Stepper) -> Episode:
    episode = begin(stepper)
    episode.run(4.0)
    assert episode.robot.command.v > 0.3
    return episode


def test_a_robot_drives_its_task_and_reports_each_leg(stepper: Stepper) -> None:
    episode = begin(stepper)
    episode.coordinator.assignment = delivery(6, 2)
    outputs = episode.run(60.0)
    assert outputs[-1].report.legs_done == 2
    assert outputs[-1].report.goal == -1
    reached = [output.report for output in outputs if output.report.status is RobotStatus.WORKING]
    assert {report.cells for report in reached} == {(cell(6),), (cell(2),)}
    assert {output.mission for output in outputs[10:]} == {"0190-task/1"}
    choices = [output.choice for output in outputs[10:] if output.choice is not None]
    assert len(choices) >= 59, "about one a second"
    assert {(c.mission, c.deterministic, c.log_probability, c.exploration) for c in choices} == {
        ("0190-task/1", True, 0.0, False)
    }
    assert all(output.margin > 0.0 for output in outputs if output.mode is Mode.POLICY)


def test_the_robot_never_leaves_what_is_granted(stepper: Stepper) -> None:
    episode = begin(stepper, goal=13)
    episode.coordinator.last_cell = 5
    episode.act = lambda observation: Answer((1.0, 0.0))  # a policy that knows no end
    episode.run(20.0)
    assert 5 * 1.2 < episode.robot.pose[0] < 6 * 1.2 - SPEC.radius
    assert episode.steps[-1].outputs.report.status is RobotStatus.WAITING


@pytest.mark.parametrize("limit", [0.4, None])
def test_a_speed_zone_bounds_what_is_proposed_and_driven_in_it(policy: Policy, limit: float | None) -> None:
    zone = (SpeedZone((cell(5), cell(6)), limit),) if limit else ()
    site = with_fixtures(SITE, Fixtures(zones=zone))
    episode = begin(Stepper(ControlConfig(spec=SPEC, person_speed=0.0), site, policy), goal=12)
    episode.coordinator.site = site
    inside, outside = [], []
    for _ in range(300):
        outputs = episode.step()
        x = episode.robot.pose[0]
        in_zone = x + SPEC.radius > 5 * 1.2 and x - SPEC.radius < 7 * 1.2
        (inside if in_zone else outside).append(max(abs(outputs.proposed[0]), abs(outputs.released[0])))
    assert episode.robot.pose[0] > 9 * 1.2
    assert max(outside) > 0.8
    if limit:
        assert max(inside) == pytest.approx(limit)
    else:
        assert max(inside) > 0.8


@pytest.mark.parametrize(
    ("what", "cause"),
    [("scan", Cause.SCAN_STALE), ("pose", Cause.ODOMETRY_STALE), ("twist", Cause.ODOMETRY_STALE)],
)
def test_a_withheld_sensor_stops_the_robot_and_work_goes_on_when_it_returns(
    stepper: Stepper, what: str, cause: Cause
) -> None:
    episode = under_way(stepper)
    episode.robot.stale.add(what)
    outputs = episode.run(2.0)
    stops = [output for output in outputs if output.mode is Mode.STOPPED]
    assert {output.cause for output in stops} == {cause}
    assert len(stops) >= 18  # within 0.2 s
    assert outputs[-1].released == (0.0, 0.0)
    assert outputs[-1].report.status is RobotStatus.STOPPED
    episode.robot.stale.clear()
    assert episode.run(1.0)[-1].released[0] > 0.0
    assert episode.run(40.0)[-1].report.legs_done == 1


def test_a_withheld_picture_stops_the_robot_before_its_lease_ends(stepper: Stepper) -> None:
    episode = under_way(stepper)
    episode.coordinator.withheld = True
    picture = episode.coordinator.picture
    assert picture is not None
    assert picture.grant is not None
    outputs = episode.run(2.5)
    at_rest = next(output.stamp for output in outputs if output.released == (0.0, 0.0))
    assert at_rest <= picture.grant.expires
    assert outputs[-1].cause in (Cause.GRANT_STALE, Cause.PICTURE_STALE)
    episode.coordinator.withheld = False
    assert episode.run(40.0)[-1].report.legs_done == 1


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        ({"scan": b""}, Cause.NOT_FINITE),
        ({"scan": b"abc"}, Cause.NOT_FINITE),
        ({"scan": np.full(SPEC.lidar.rays, np.nan, np.float32).tobytes()}, Cause.NOT_FINITE),
        ({"scan": np.full(SPEC.lidar.rays - 1, 5.0, np.float32).tobytes()}, Cause.NOT_FINITE),
        ({"pose": (math.nan, 1.8, 0.0)}, Cause.NOT_FINITE),
        ({"pose": (math.inf, 1.8, 0.0)}, Cause.NOT_FINITE),
        ({"twist": (0.0, math.nan)}, Cause.NOT_FINITE),
        ({"twist": (99.0, 0.0)}, Cause.NOT_FINITE),
        ({"battery": math.nan}, Cause.NOT_FINITE),
        ({"bumper": True}, Cause.BUMPER),
        ({"missed": 99}, Cause.DEADLINE),
        ({"picture": None}, Cause.GRANT_STALE),
        ({"picture": Picture(0, 10**15, "another floor", None)}, Cause.GRANT_STALE),
    ],
)
def test_every_doubt_is_a_verdict_and_no_exception(stepper: Stepper, spoil: dict[str, object], cause: Cause) -> None:
    episode = under_way(stepper)
    episode.spoil = spoil
    outputs = episode.run(1.5)
    assert {output.cause for output in outputs} == {cause}
    assert {output.mode for output in outputs} <= {Mode.STOPPED, Mode.LATCHED}
    assert outputs[-1].released == (0.0, 0.0)
    assert all(math.isfinite(value) for output in outputs for value in (*output.released, *output.report.pose))


def test_robot_that_cannot_tell_its_speed_does_not_report_that_it_stands(stepper: Stepper) -> None:
    episode = under_way(stepper)
    episode.spoil = {"twist": (0.0, math.nan)}
    assert all(output.report.twist[0] == SPEC.drive.speed_max for output in episode.run(0.5))


def test_a_grant_for_another_floor_is_no_permission(stepper: Stepper) -> None:
    episode = under_way(stepper)
    picture = episode.coordinator.picture
    assert picture is not None
    episode.spoil = {"picture": msgspec.structs.replace(picture, site="0" * 64)}
    outputs = episode.run(1.5)
    assert {output.cause for output in outputs} == {Cause.GRANT_STALE}
    assert outputs[-1].released == (0.0, 0.0)


def test_the_next_step_is_told_what_was_released_and_not_what_was_proposed(stepper: Stepper) -> None:
    episode = begin(stepper)
    episode.act = lambda observation: Answer((1.0, 1.0))
    changed = 0
    for _ in range(30):
        outputs = episode.step()
        changed += outputs.released != outputs.proposed
        assert episode.memory.last_command == outputs.released
    assert changed > 5


@pytest.mark.parametrize("action", [(math.nan, 0.0), (math.inf, 0.0), (0.5, -math.inf)])
def test_a_policy_without_a_usable_answer_is_replaced_by_the_fallback(
    stepper: Stepper, action: tuple[float, float]
) -> None:
    episode = begin(stepper)
    episode.act = lambda observation: Answer(action)
    outputs = episode.run(10.0)
    assert {output.mode for output in outputs[10:]} == {Mode.FALLBACK}
    assert {output.cause for output in outputs[10:]} == {Cause.POLICY}
    assert all(np.isfinite(output.released).all() for output in outputs)
    assert episode.robot.pose[0] > 1.2  # it creeps on


def test_a_late_policy_is_not_used(stepper: Stepper) -> None:
    episode = begin(stepper)
    episode.act = lambda observation: Answer((1.0, 0.0), late=True)
    outputs = episode.run(3.0)
    assert outputs[-1].source == "fallback"
    assert max(output.released[0] for output in outputs) < 0.3


def test_a_policy_that_raises_is_no_exception_in_the_loop(policy: Policy) -> None:
    class Broken:
        hash, contract_hash = policy.hash, policy.contract_hash
        check = policy.check

        def act(self, observation: np.ndarray) -> np.ndarray:
            raise RuntimeError("session lost")

    broken = Stepper(ControlConfig(spec=SPEC, person_speed=0.0), SITE, Broken())  # type: ignore[arg-type]
    assert begin(broken).run(2.0)[-1].cause is Cause.POLICY


def test_an_emergency_stop_holds_until_an_operator_resets_it(stepper: Stepper) -> None:
    episode = under_way(stepper)
    episode.coordinator.stopped, episode.coordinator.stop_epoch = True, 3
    outputs = episode.run(3.0)
    assert (outputs[-1].mode, outputs[-1].cause) == (Mode.LATCHED, Cause.EMERGENCY_STOP)
    assert outputs[-1].released == (0.0, 0.0)
    assert outputs[-1].report.stop_epoch == 3
    episode.coordinator.withheld = True  # silence is no reset
    assert episode.run(5.0)[-1].mode is Mode.LATCHED
    episode.coordinator.withheld, episode.coordinator.stopped = False, False
    assert episode.run(40.0)[-1].report.legs_done == 1


def test_a_bumper_latches_until_a_stop_is_raised_and_reset(stepper: Stepper) -> None:
    episode = under_way(stepper)
    episode.robot.bumper = True
    episode.run(0.3)
    episode.robot.bumper = False
    assert episode.run(5.0)[-1].mode is Mode.LATCHED
    episode.coordinator.stopped, episode.coordinator.stop_epoch = True, 1
    episode.run(1.0)
    episode.coordinator.stopped = False
    assert episode.run(40.0)[-1].report.legs_done == 1


def test_a_box_in_the_aisle_is_reported_as_blocked_and_never_touched(stepper: Stepper) -> None:
    episode = begin(stepper, obstacles=((7.8, 1.8, 0.3),))  # in the middle of cell 6
    outputs = episode.run(30.0)
    blocked = [output.report for output in outputs if output.report.status is RobotStatus.BLOCKED]
    assert blocked
    assert cell(6) in blocked[-1].blocked
    assert episode.robot.pose[0] + SPEC.radius < 7.5
    assert outputs[-1].report.failed == ""


def test_a_robot_at_rest_with_a_stored_plan_repeats_it_by_the_published_plan(stepper: Stepper) -> None:
    """The plan that the watchdog would play is what the control step itself plays when its inputs fail."""
    episode = under_way(stepper)
    plan = episode.step().plan
    episode.spoil = {"scan": b""}
    played = [output.released for output in episode.run(1.5)]
    assert len(plan) > 3
    wanted = [*plan[1:], *[(0.0, 0.0)] * len(played)][: len(played)]
    np.testing.assert_allclose(played, wanted, atol=1e-6)


def test_the_step_is_pure(stepper: Stepper, policy: Policy) -> None:
    episode = begin(stepper)
    episode.run(12.0)
    fresh = Stepper(stepper.config, SITE, policy)
    shuffled = np.random.default_rng(2).permutation(len(episode.steps))
    for index in shuffled:
        step = episode.steps[index]
        outputs, after = fresh.step(step.inputs, step.memory)
        assert msgspec.msgpack.encode(outputs) == msgspec.msgpack.encode(step.outputs)
        wanted = episode.steps[index + 1].memory if index + 1 < len(episode.steps) else episode.memory
        assert msgspec.msgpack.encode(after) == msgspec.msgpack.encode(wanted)


def test_records_survive_their_encoding(stepper: Stepper) -> None:
    episode = under_way(stepper)
    step: Step = episode.steps[-1]
    for record, kind in ((step.inputs, Inputs), (step.memory, Memory), (step.outputs, Outputs)):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=kind) == record


def test_a_policy_for_another_body_is_refused_with_both_embodiments_shown(tmp_path: Path, policy: Policy) -> None:
    other = RobotSpec(name="other", length=0.5)
    foreign = write_hand_policy(tmp_path, other)
    with pytest.raises(ContractMismatch) as caught:
        Stepper(ControlConfig(spec=SPEC), SITE, foreign)
    for spec in (SPEC, other):
        assert navigate_contract(spec).embodiment[:40] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_time_that_stands_or_runs_backwards_stops_the_robot(stepper: Stepper) -> None:
    episode = under_way(stepper)
    episode.spoil = {"scan_stamp": episode.robot.stamp + 10 * SECOND}
    assert episode.run(0.5)[-1].mode is Mode.STOPPED


OFFER = Offer(5, (Offered("far", 30, 10, level=0.0), Offered("near", 4, 10, level=0.0)), charger=3, robots=2)


def test_a_robot_that_chooses_answers_an_offer_once_and_says_so_until_it_ends(policy: Policy) -> None:
    asked: list[float] = []

    def choose(observation: NDArray[np.float32]) -> NDArray[np.intp]:
        asked.append(float(observation[0, -6]))
        return Rule(urgency=1.0, low=0.3, full=0.9)(observation)

    episode = begin(Stepper(ControlConfig(spec=SPEC, person_speed=0.0, meta="rule"), SITE, policy, choose))
    episode.coordinator.assignment = None
    assert [output.report.chosen for output in episode.run(0.5)] == [None] * 5
    episode.coordinator.offer = OFFER
    reports = [output.report for output in episode.run(1.0)][1:]
    assert {report.chosen for report in reports} == {Chosen(5, "near")}
    assert {report.chooses for report in reports} == {TASKS}
    episode.spoil = {"battery": 0.2}
    assert episode.step().report.chosen == Chosen(5, "near"), "an answer stands as long as its offer"
    episode.coordinator.offer = msgspec.structs.replace(OFFER, id=6)
    episode.run(0.2)
    assert episode.step().report.chosen == Chosen(6, "")
    assert asked == pytest.approx([1.0, 0.2])
    episode.coordinator.offer = None
    episode.run(0.2)
    assert episode.step().report.chosen is None


def test_work_is_chosen_by_a_charge_that_is_told_now_and_then(policy: Policy) -> None:
    rule = Rule(urgency=1.0, low=0.3, full=0.9)
    episode = begin(Stepper(ControlConfig(spec=SPEC, person_speed=0.0, meta="rule"), SITE, policy, rule))
    episode.coordinator.assignment, episode.coordinator.offer = None, OFFER
    stamp = episode.robot.stamp
    episode.spoil = {"battery_stamp": stamp}
    told = [(output.stamp - stamp, output.report.chosen) for output in episode.run(12.0)][2:]
    assert {chosen for age, chosen in told if age <= 10 * SECOND} == {Chosen(5, "near")}
    assert {chosen for age, chosen in told if age > 10 * SECOND} == {None}


def test_a_robot_without_a_meta_policy_passes_offers_over(stepper: Stepper) -> None:
    episode = begin(stepper)
    episode.coordinator.offer = OFFER
    assert {(output.report.chooses, output.report.chosen) for output in episode.run(1.0)} == {(0, None)}


@pytest.mark.parametrize("fault", ["raises", "no number"])
def test_a_meta_policy_that_fails_is_no_answer_and_stops_nobody(policy: Policy, fault: str) -> None:
    def broken(observation: NDArray[np.float32]) -> NDArray[np.intp]:
        raise RuntimeError("no session")

    episode = begin(Stepper(ControlConfig(spec=SPEC, person_speed=0.0, meta="rule"), SITE, policy, broken))
    episode.coordinator.offer = OFFER
    if fault == "no number":
        episode.spoil = {"battery": math.nan}
    outputs = episode.run(1.0)
    assert {output.report.chosen for output in outputs} == {None}
    if fault == "raises":
        assert episode.robot.command.v > 0.0


@pytest.mark.parametrize("how", ["configuration", "calendar"])
def test_without_a_calibration_a_robot_creeps_to_its_goal(policy: Policy, how: str) -> None:
    authority = Authority.CREEP if how == "configuration" else Authority.FULL
    episode = begin(Stepper(ControlConfig(spec=SPEC, person_speed=0.0, authority=authority), SITE, policy), goal=3)
    episode.spoil = {"authority": int(Authority.CREEP)} if how == "calendar" else {}
    outputs = episode.run(40.0)
    assert max(abs(output.proposed[0]) for output in outputs) <= CREEP_SPEED
    assert max(abs(output.proposed[1]) for output in outputs) <= CREEP_TURN
    assert outputs[-1].report.legs_done == 1
    if how == "configuration":  # its shield knows the limit too, as that of a zone
        assert max(abs(output.released[0]) for output in outputs) <= CREEP_SPEED + 1e-6


def test_in_shadow_a_robot_answers_everything_and_stands(policy: Policy) -> None:
    episode = begin(Stepper(ControlConfig(spec=SPEC, person_speed=0.0, authority=Authority.SHADOW), SITE, policy))
    outputs = episode.run(10.0)
    assert {output.released for output in outputs} == {(0.0, 0.0)}
    asked = [output for output in outputs if output.answer is not None]
    assert len(asked) > 80
    assert any(output.answer.action[0] > 0.3 for output in asked if output.answer is not None)


@pytest.mark.parametrize("weak", [False, True])
def test_a_robot_whose_brakes_have_grown_weaker_than_calibrated_creeps(policy: Policy, weak: bool) -> None:
    config = ControlConfig(spec=SPEC, person_speed=0.0, calibrated=Calibrated(0.999, 1.2 * SPEC.diff.brake_min, 0.12))
    episode = begin(Stepper(config, SITE, policy), goal=12)
    if weak:
        episode.robot.spec = replace(SPEC, drive=replace(SPEC.diff, brake_min=0.4))
    for number in range(8):  # the picture is withheld and comes back: eight stops
        episode.coordinator.withheld = False
        episode.run(4.0)
        episode.coordinator.withheld = True
        episode.run(3.0)
        assert episode.memory.calibration.drives >= number or weak
    assert (episode.memory.calibration.expired is not Exceeded.NONE) == weak
    assert max(abs(step.outputs.proposed[0]) for step in episode.steps) > 2.0 * CREEP_SPEED
    if weak:
        episode.coordinator.withheld = False
        assert max(abs(output.proposed[0]) for output in episode.run(4.0)) <= CREEP_SPEED


def test_a_robot_without_a_calibration_remembers_nothing_of_one(stepper: Stepper) -> None:
    episode = under_way(stepper)
    assert episode.memory.calibration == CalibrationMemory()
