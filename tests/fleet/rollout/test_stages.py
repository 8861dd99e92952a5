from collections import Counter
from itertools import pairwise

import msgspec
import pytest

from fleet.rollout.plan import DRIVEN, GATED, RolloutError, Share, Stage, checked
from fleet.rollout.record import Changed, Deploy, Gate, Joined, Looked, Name, Revoke, State, Target, Tripped
from fleet.rollout.stages import fold, handle
from tests.fleet.rollout.rollouts import NEW, OLD, PLAN, ROBOTS, SECOND, Rollout, started


def drivers(state: State) -> set[str]:
    return {robot for robot, arm in state.arms.items() if arm == "candidate"}


def test_a_good_candidate_goes_through_every_stage_in_order_and_holds_out_to_the_last() -> None:
    rollout = Rollout()
    counts = []
    for stage in list(Stage)[2:]:
        assert rollout.to(stage).stage is stage
        counts.append(Counter(rollout.state.arms.values())["candidate"])
        if stage is not Stage.CONFIRMED:
            assert sum(arm == "holdout" for arm in rollout.state.arms.values()) == 3
    assert counts == [0, 0, 1, 1, 3, 15, 30, 57, 60]
    assert rollout.state.status == "confirmed"
    assert rollout.done[-1] == Name(NEW.release, "confirm (operator_anna)")
    assert rollout.state.drives == NEW.release


def test_whoever_drives_the_candidate_keeps_it_and_small_stages_keep_to_their_zones() -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_1)
    groups = [drivers(rollout.to(stage)) for stage in DRIVEN]
    assert all(fewer < more for fewer, more in pairwise(groups))
    zones = [len({ROBOTS[robot] for robot in group}) for group in groups]
    assert zones == [1, 2, 6, 6, 6]


@pytest.mark.parametrize("stage", [Stage.OFFLINE, Stage.SHADOW, *DRIVEN])
@pytest.mark.parametrize("verb", ["kill", "rollback"])
def test_a_kill_and_a_rollback_take_every_robot_back_in_any_stage_on_any_picture_and_at_any_clock(
    verb: str, stage: Stage
) -> None:
    rollout = Rollout()
    rollout.to(stage)
    epoch = rollout.state.epoch
    state = rollout.order(verb, seen=0, after=-1e6)
    assert state.status == {"kill": "killed", "rollback": "rolled_back"}[verb]
    assert not drivers(state)
    assert isinstance(rollout.done[-1], Revoke)
    assert state.epoch > epoch
    for later in ("promote", "resume", "hold", "kill"):
        with pytest.raises(RolloutError, match="start another"):
            rollout.order(later)


@pytest.mark.parametrize("stage", GATED)
def test_a_gate_rolls_back_holds_or_lets_on_and_the_gate_of_another_stage_says_nothing(stage: Stage) -> None:
    rollout = Rollout()
    rollout.to(stage)
    for other in GATED:
        if other is not stage:
            assert rollout.gate(other).stage is stage
            assert rollout.gate(other, "rollback").status == "running"
    held = rollout.gate(stage, "hold")
    assert (held.stage, held.status) == (stage, "held")
    assert rollout.gate(stage).stage is stage  # held: only an operator goes on
    rollout.order("resume")
    assert rollout.gate(stage, "rollback").status == "rolled_back"


@pytest.mark.parametrize("stage", DRIVEN)
def test_nothing_is_promoted_while_data_are_missing(stage: Stage) -> None:
    rollout = Rollout()
    rollout.to(stage)
    for number in range(20):
        state = rollout.look("promote", lacking=("energy of the candidate has not arrived for 12 missions",))
        assert (state.stage, state.passed) == (stage, False), number
    state = rollout.look("promote", missions=0)
    assert state.stage is stage
    if PLAN.share(stage).proof:
        assert rollout.look("hold").stage is stage
    with pytest.raises(RolloutError, match="cannot"):
        rollout.order("confirm")


def test_a_metric_that_stops_arriving_between_passing_and_the_order_takes_the_pass_back() -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_100)
    assert rollout.look().passed
    assert not rollout.look(lacking=("latency has not arrived",)).passed
    with pytest.raises(RolloutError, match="latency has not arrived"):
        rollout.order("confirm")


def test_a_candidate_of_which_nothing_is_heard_is_held() -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_5)
    heard = rollout.state.stamp
    rollout.look("hold", missions=1, heard=heard)
    state = rollout.take(
        Looked(stamp=0, stage=Stage.PART_5, decision="promote", reason="", heard=heard, missions=99), 601.0
    )
    assert (state.stage, state.status) == (Stage.PART_5, "held")
    assert "no mission" in state.reason


@pytest.mark.parametrize("jump", [-6.0, 3601.0, 1e9])
def test_a_clock_that_jumps_holds_and_an_operator_resumes(jump: float) -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_25)
    group = drivers(rollout.state)
    state = rollout.take(Looked(stamp=0, stage=Stage.PART_25, decision="promote", reason="", missions=999), jump)
    assert (state.stage, state.status) == (Stage.PART_25, "held")
    assert "clock" in state.reason
    assert drivers(state) == group
    rollout.order("resume")
    assert rollout.look().stage is Stage.PART_50


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"jump": 1e300}, "a year at most"), ({"silence": 1e300}, "a year at most"), ({"trips": 0}, "trips of 1 or more")],
)
def test_a_plan_with_times_beyond_every_clock_is_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(RolloutError, match=said):
        checked(msgspec.structs.replace(PLAN, **changes))


def test_a_course_that_asks_for_more_signers_than_it_has_items_is_refused() -> None:
    course = msgspec.structs.replace(PLAN.course, signers=len(PLAN.course.checklist) + 1)
    with pytest.raises(RolloutError, match="each of 3 signers"):
        checked(msgspec.structs.replace(PLAN, course=course))


def test_a_rollback_is_heard_although_the_clock_jumped() -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_25)
    state = rollout.take(Looked(stamp=0, stage=Stage.PART_25, decision="rollback", reason="slow"), 1e7)
    assert state.status == "rolled_back"


def test_of_two_operators_at_once_the_second_must_look_again() -> None:
    rollout = Rollout()
    rollout.to(Stage.COURSE)
    seen = rollout.state.number
    rollout.order("sign", "operator_anna", "stops", seen=seen)
    with pytest.raises(RolloutError, match="look at"):
        rollout.order("promote", "operator_bert", seen=seen)
    rollout.order("hold", "operator_bert", seen=seen)  # what takes authority away is never too late
    with pytest.raises(RolloutError, match="resume"):
        rollout.order("promote", "operator_anna")


def test_the_closed_course_ends_by_every_item_signed_by_two_and_a_promotion() -> None:
    rollout = Rollout()
    rollout.to(Stage.COURSE)
    assert drivers(rollout.state) == {"r0"}
    with pytest.raises(RolloutError, match="is not"):
        rollout.order("promote")
    with pytest.raises(RolloutError, match="expected an item"):
        rollout.order("sign", item="dances")
    rollout.order("sign", "operator_anna", "stops")
    rollout.order("sign", "operator_anna", "falls back")
    with pytest.raises(RolloutError, match="2 operators"):
        rollout.order("promote")
    rollout.order("sign", "operator_bert", "falls back")
    assert rollout.order("promote").stage is Stage.PART_1


@pytest.mark.parametrize("changed", [("f" * 64, "5" * 64), ("e" * 64, "6" * 64)])
def test_another_robot_spec_or_shield_returns_to_the_closed_course_unsigned(changed: tuple[str, str]) -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_50)
    epoch = rollout.state.epoch
    state = rollout.take(Changed(stamp=0, embodiment=changed[0], shield=changed[1]))
    assert (state.stage, state.signed, drivers(state)) == (Stage.COURSE, {}, {"r0"})
    assert state.epoch > epoch
    deploy = next(each for each in reversed(rollout.done) if isinstance(each, Deploy))
    assert deploy.epoch == state.epoch


def test_the_same_robot_and_shield_change_nothing() -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_50)
    assert rollout.take(Changed(stamp=0, embodiment="e" * 64, shield="5" * 64)).stage is Stage.PART_50


def test_guards_that_trip_on_two_robots_take_the_candidate_back_and_lost_leases_do_not() -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_25)
    one, two, three = sorted(drivers(rollout.state))[:3]
    for robot in (one, two, three):
        assert rollout.take(Tripped(stamp=0, robot=robot, reason="lease", lease=True)).status == "running"
    rollout.take(Tripped(stamp=0, robot=one, reason="novelty"))
    assert rollout.take(Tripped(stamp=0, robot=one, reason="novelty")).status == "running"  # the same robot again
    assert rollout.take(Tripped(stamp=0, robot=two, reason="novelty")).status == "rolled_back"


def test_a_robot_of_another_embodiment_stays_out_and_a_new_one_drives_the_old_release() -> None:
    rollout = Rollout()
    rollout.to(Stage.PART_25)
    with pytest.raises(RolloutError, match="stays out"):
        rollout.take(Joined(stamp=0, robot="r99", zone="z0", embodiment="f" * 64))
    before = drivers(rollout.state)
    state = rollout.take(Joined(stamp=0, robot="r99", zone="z0", embodiment="e" * 64))
    assert state.arms["r99"] == "baseline"
    assert drivers(state) == before
    assert before < drivers(rollout.to(Stage.PART_50))


def test_a_candidate_for_another_embodiment_is_refused() -> None:
    with pytest.raises(RolloutError, match="another embodiment"):
        handle(State(), started(candidate=Target("b" * 64, "f" * 64, "5" * 64)))
    with pytest.raises(RolloutError, match="other than the baseline"):
        handle(State(), started(candidate=OLD))


def test_a_confirmed_release_can_still_be_taken_back() -> None:
    rollout = Rollout()
    rollout.to(Stage.CONFIRMED)
    state = rollout.order("rollback")
    assert state.drives == OLD.release
    assert Name(OLD.release, "rollback (operator_anna)") in rollout.done


def test_a_plan_may_leave_every_promotion_to_an_operator() -> None:
    rollout = Rollout(handle(State(), started(plan=msgspec.structs.replace(PLAN, auto=False)))[0])
    with pytest.raises(RolloutError, match="lacks its evidence"):
        rollout.order("promote")
    assert rollout.gate(Stage.OFFLINE).stage is Stage.OFFLINE
    assert rollout.order("promote").stage is Stage.SUITE


def test_the_state_is_what_the_events_say() -> None:
    rollout = Rollout()
    events = [started()]
    for stage in GATED:
        events.append(Gate(stamp=rollout.state.stamp + SECOND, stage=stage, decision="promote", reason="x"))  # type: ignore[arg-type]
        rollout.take(events[-1])
    assert fold(list(events)) == rollout.state


@pytest.mark.parametrize(
    "shares",
    [
        PLAN.shares[:4],
        (*PLAN.shares[:4], Share(0.9, 0, 1, 0.0, True)),
        (*PLAN.shares[:4], Share(1.0, 0, 1, 0.0, False)),
        (Share(0.3, 0, 1, 0.0, False), *PLAN.shares[1:]),
    ],
)
def test_a_plan_whose_shares_do_not_grow_to_all_by_proof_is_refused(shares: tuple[Share, ...]) -> None:
    with pytest.raises(RolloutError, match="share"):
        checked(msgspec.structs.replace(PLAN, shares=shares))
