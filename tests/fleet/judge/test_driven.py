"""Missions follow from control steps: what counts in them, what ends them, and what nobody measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
from msgspec import Struct
from msgspec.structs import replace

from agents.policy import Policy
from coordination.messages import Assignment, Leg, LegKind, Picture, Report, RobotStatus
from fleet.blackbox import Step
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.judge.driven import LOST, Driven, shift_of, step
from fleet.judge.missions import Mission
from fleet.judge.near import CLEAR, NEAR, Sight, hull_gap, met
from fleet.records import Inputs, Outputs
from hierarchy.options import OptionName
from safety.shield import Reason
from safety.supervisor import Cause, Mode
from sim.robot import SECOND, RobotSpec
from sim.site import make_site
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

T = TypeVar("T", bound=Struct)

SPEC, SITE = RobotSpec(), aisle()
FAR = np.full(SPEC.lidar.rays, SPEC.lidar.range_max, np.float32).tobytes()
HOUR = 3600 * SECOND
BEGIN = 7 * HOUR


def moment(tick: int, task: str = "t", /, **changes: Any) -> tuple[Inputs, Outputs]:  # a field's
    """One control step, `tick` tenths of a second after BEGIN; `changes` to its inputs, outputs or report."""
    stamp, attempt = BEGIN + tick * SPEC.period, changes.get("attempt", 1)
    assignment = Assignment(task, attempt, (Leg(0, LegKind.VISIT),) * 2) if task else None
    picture = Picture(tick, stamp, SITE.hash, None, assignment=assignment)
    seen = Inputs(
        tick, stamp, FAR, stamp, (1.8, 1.8, 0.0), stamp, (0.5, 0.0), stamp, battery_stamp=stamp, picture=picture
    )
    report = Report(tick, stamp, seen.pose, seen.twist, (), 1.0, RobotStatus.MOVING, task=task, attempt=attempt)
    told = Outputs(
        tick, stamp, (0.5, 0.0), (0.5, 0.0), "none", b"", None, Reason.NONE, 1.0, Mode.POLICY, Cause.NONE, (), report,
        OptionName.NAVIGATE, mission=f"{task}/{attempt}" if task else "",
    )  # fmt: skip
    told = changed(told, report=changed(report, **changes), **changes)
    return changed(seen, **changes), told


def changed(record: T, **changes: Any) -> T:  # a field's
    """The record with those of the changes that it has fields for."""
    return replace(record, **{name: value for name, value in changes.items() if name in record.__struct_fields__})


def driven(
    steps: Sequence[tuple[Inputs, Outputs]],
    seconds: float | None = 0.01,
    gaps: Sequence[float | None] = (),
    state: Driven | None = None,
) -> list[Mission]:
    """What ends, after a step without a mission."""
    state = state or Driven(robot="r0", capacity=1000.0)
    found: list[Mission] = []
    state, _ = step(state, *moment(-1, ""), seconds, 9.0)
    for one, gap in zip(steps, gaps or [9.0] * len(steps), strict=True):
        state, ended = step(state, *one, seconds, gap)
        found += ended
    return found


def test_a_mission_begins_with_its_first_step_and_ends_where_its_last_leg_is_done() -> None:
    steps = [moment(0), moment(1, legs_done=1), moment(2, legs_done=2), moment(3, legs_done=2), moment(4, "")]
    (mission,) = driven(steps)
    assert (mission.id, mission.robot, mission.arm, mission.release) == ("t/1", "r0", "baseline", "")
    assert (mission.begin, mission.end) == (BEGIN, BEGIN + 2 * SPEC.period)
    assert (mission.steps, mission.interventions, mission.contacts, mission.near_misses) == (3, 0, 0, 0)
    assert mission.done is True
    assert mission.shift == "1970-01-01T07"
    assert mission.latency_p99 == pytest.approx(0.01)


def test_a_mission_that_fails_needs_a_person_once_and_is_not_done() -> None:
    broken = {"failed": "blocked", "status": RobotStatus.OPERATOR}
    (mission,) = driven([moment(0), moment(1, **broken), moment(2, **broken), moment(3, "")])
    assert (mission.done, mission.interventions, mission.steps) == (False, 1, 2)


def test_a_mission_that_the_fleet_takes_away_is_not_done() -> None:
    first, second = driven([moment(0), moment(1), moment(2, attempt=2), moment(3, legs_done=2, attempt=2)])
    assert (first.id, first.done, first.end) == ("t/1", False, BEGIN + SPEC.period)
    assert (second.id, second.done, second.begin) == ("t/2", True, BEGIN + 2 * SPEC.period)


def test_a_mission_under_way_at_the_end_is_not_told() -> None:
    assert driven([moment(0), moment(1)]) == []


def test_a_step_without_a_picture_ends_no_mission() -> None:
    blind = moment(1, "", picture=None)
    (mission,) = driven([moment(0), blind, moment(2, legs_done=2)])
    assert (mission.done, mission.begin) == (True, BEGIN)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"mode": Mode.MANUAL, "status": RobotStatus.OPERATOR}, 1),
        ({"status": RobotStatus.OPERATOR}, 1),
        ({"mode": Mode.LATCHED, "cause": Cause.BUMPER}, 1),
        ({"mode": Mode.LATCHED, "cause": Cause.EMERGENCY_STOP}, 0),
        ({"mode": Mode.STOPPED, "cause": Cause.SCAN_STALE, "status": RobotStatus.STOPPED}, 0),
    ],
)
def test_a_person_who_has_to_help_counts_once_for_each_time(held: dict[str, object], expected: int) -> None:
    steps = [moment(0), moment(1, **held), moment(2, **held), moment(3), moment(4, **held), moment(5, legs_done=2)]
    (mission,) = driven(steps)
    assert mission.interventions == 2 * expected


def test_an_emergency_stop_while_a_person_helps_is_still_the_same_help() -> None:
    bumper, all_ = ({"mode": Mode.LATCHED, "cause": cause} for cause in (Cause.BUMPER, Cause.EMERGENCY_STOP))
    (mission,) = driven(
        [moment(0), moment(1, **bumper), moment(2, **all_), moment(3, **bumper), moment(4, legs_done=2)]
    )
    assert mission.interventions == 1


def test_a_bumper_that_stays_touched_is_one_contact() -> None:
    felt = [moment(1, bumper=True), moment(2, bumper=True), moment(3), moment(4, bumper=True)]
    (mission,) = driven([moment(0), *felt, moment(5, legs_done=2)])
    assert mission.contacts == 2


def test_an_encounter_counts_once_until_it_is_clear_and_only_while_the_robot_moves() -> None:
    gaps = [9.0, 0.3, 0.4, 0.3, 9.0, 0.3, 9.0]
    steps = [*(moment(tick) for tick in range(6)), moment(6, legs_done=2)]
    (mission,) = driven(steps, gaps=gaps)
    assert mission.near_misses == 2
    still = [replace(seen, twist=(0.0, 0.0)) for seen, _ in steps]
    (mission,) = driven([(seen, told) for seen, (_, told) in zip(still, steps, strict=True)], gaps=gaps)
    assert mission.near_misses == 0
    assert met(False, NEAR + 0.01, 1.0) == (False, False)
    assert met(True, CLEAR, 1.0) == (False, False)


def test_what_was_not_measured_is_none_and_never_zero() -> None:
    steps = [moment(0), moment(1), moment(2, legs_done=2)]
    (mission,) = driven(steps, seconds=None, gaps=[9.0, None, 9.0], state=Driven(robot="r0"))
    assert (mission.latency_p99, mission.near_misses, mission.energy) == (None, None, None)
    assert (mission.steps, mission.contacts) == (3, 0)


def test_energy_is_what_the_charge_fell_by_and_unknown_where_it_was_charged() -> None:
    (mission,) = driven([moment(0, battery=0.5), moment(1, battery=0.45), moment(2, legs_done=2, battery=0.4)])
    assert mission.energy == pytest.approx(100.0)
    (mission,) = driven([moment(0, battery=0.5), moment(1, battery=0.8), moment(2, legs_done=2, battery=0.4)])
    assert mission.energy is None
    (mission,) = driven([moment(0, battery_stamp=-1), moment(1, legs_done=2, battery=0.4)])
    assert mission.energy is None


def test_a_mission_whose_steps_were_lost_or_whose_begin_nobody_saw_has_no_counts() -> None:
    late = LOST // SPEC.period + 1
    (mission,) = driven([moment(0), moment(late, legs_done=2)])
    assert (mission.steps, mission.interventions, mission.contacts, mission.near_misses) == (None,) * 4
    assert (mission.done, mission.begin) == (True, BEGIN)
    state, _ = step(Driven(robot="r0"), *moment(0))
    _, (mission,) = step(state, *moment(1, legs_done=2))
    assert (mission.steps, mission.contacts, mission.done) == (None, None, True)
    (mission, *_) = driven([moment(0), moment(late, "other")])
    assert mission.done is None


def test_a_candidate_that_falls_back_keeps_its_mission() -> None:
    lease, home = {"release": "c" * 12}, {"release": ""}
    felt = moment(2, bumper=True, **home)
    (mission,) = driven([moment(0, **lease), moment(1, **home), felt, moment(3, legs_done=2)])
    assert (mission.arm, mission.release, mission.contacts, mission.done) == ("candidate", "c" * 12, 1, True)


def test_a_mission_that_a_candidate_took_over_says_nothing_of_the_baseline() -> None:
    lease = {"release": "c" * 12}
    (mission,) = driven([moment(0), moment(1, **lease), moment(2, legs_done=2)])
    assert (mission.arm, mission.steps, mission.contacts, mission.done) == ("baseline", None, None, None)


def test_the_gap_is_from_the_hull_and_not_from_the_middle() -> None:
    x, y = np.array([SPEC.length / 2 + 0.3, 0.0, 0.1]), np.array([0.0, -SPEC.width / 2 - 0.2, 0.0])
    assert hull_gap(SPEC, x, y) == pytest.approx([0.3, 0.2, 0.0])


def test_walls_and_other_robots_are_no_near_miss_and_a_person_is() -> None:
    sight = Sight(SITE, SPEC)
    seen, _ = moment(0)
    scans = {
        name: walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max, discs)(seen.pose).tobytes()
        for name, discs in (("alone", ()), ("person", ((2.6, 1.8, 0.25),)))
    }
    assert (sight.gap(replace(seen, scan=scans["alone"])) or 0.0) >= CLEAR
    met_ = replace(seen, scan=scans["person"])
    assert sight.gap(met_) == pytest.approx(0.8 - 0.25 - SPEC.length / 2, abs=0.01)
    assert met_.picture is not None
    other = replace(met_.picture, robots=((2.6, 1.8, 0.25),))
    assert (sight.gap(replace(met_, picture=other)) or 0.0) >= CLEAR
    assert sight.gap(replace(met_, picture=None)) is None
    ranges = np.frombuffer(FAR, np.float32).copy()
    ranges[180] = 0.5
    assert sight.gap(replace(seen, scan=ranges.tobytes())) == math.inf
    assert sight.gap(replace(met_, scan=b"123")) is None


def test_the_corner_of_a_rack_is_no_near_miss() -> None:
    """Where the aisle opens, a hit at the corner itself lies a hand's breadth from the rack in no single direction."""
    blocked = np.ones((3, 5), bool)
    blocked[1] = blocked[:, 2] = False
    site = make_site("crossing", blocked)
    seen, _ = moment(0)
    ranges = np.frombuffer(FAR, np.float32).copy()
    corner = np.array((2.0, 2.0)) * site.cell + 0.01  # of the rack above and to the left, as noise has it
    pose = (2.1 * site.cell + 0.4, 1.5 * site.cell, 0.0)
    ray = round((math.atan2(corner[1] - pose[1], corner[0] - pose[0]) + math.pi) / (2.0 * math.pi) * SPEC.lidar.rays)
    ranges[ray : ray + 2] = math.dist(corner, pose[:2])
    assert Sight(site, SPEC).gap(replace(seen, pose=pose, scan=ranges.tobytes())) == math.inf


def test_an_hour_names_the_shift() -> None:
    assert shift_of(1795327200 * SECOND) == "2026-11-22T06"
    assert shift_of(-1) == "1969-12-31T23"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


def test_a_delivery_that_a_robot_drives_is_one_mission(policy: Policy) -> None:
    stepper = Stepper(ControlConfig(spec=SPEC, person_speed=0.0), SITE, policy)
    scan = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)
    episode = Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(SITE, delivery(4)))
    episode.run(15.0)
    (mission,) = of_steps(episode.steps)
    assert (mission.id, mission.done, mission.interventions, mission.near_misses) == ("0190-task/1", True, 0, 0)
    assert mission.steps == (mission.end - mission.begin) // SPEC.period + 1


def of_steps(steps: Sequence[Step]) -> list[Mission]:
    """Missions of recorded steps."""
    state, found, sight = Driven(robot="r0"), [], Sight(SITE, SPEC)
    for one in steps:
        state, ended = step(state, one.inputs, one.outputs, None, sight.gap(one.inputs))
        found += ended
    return found


def test_what_is_driven_on_a_closed_course_is_not_told() -> None:
    lease = {"release": "c" * 12, "speed": 0.25}
    assert driven([moment(0, **lease), moment(1), moment(2, legs_done=2)]) == []
    assert driven([moment(0, **lease), moment(1), moment(2, "")]) == []
