"""What the judge says: it rolls back what is worse, promotes what is not, and holds, saying why, on everything else."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from fleet.judge.judge import Judge, judge
from fleet.judge.missions import Mission, MissionError
from fleet.judge.settings import Guardrail, Known, Settings, SettingsError
from tests.fleet.judge.worlds import BEGIN, HOUR, SECOND, missions

KNOWN = Settings(history={"interventions": Known(0.02)})
END = BEGIN + 24 * HOUR


def without(all_missions: list[Mission], arm: str, field: str, after: int) -> list[Mission]:
    """The same missions, but from some time on one arm no longer reports a field."""
    return [
        msgspec.structs.replace(one, **{field: None}) if one.arm == arm and one.end > after else one
        for one in all_missions
    ]


def test_candidate_that_is_no_worse_is_promoted_after_a_day() -> None:
    verdict = judge(KNOWN, missions(3), END)
    assert verdict.decision == "promote", verdict.reason
    assert all(finding.passed for finding in verdict.findings)


def test_doubled_interventions_are_rolled_back_and_named() -> None:
    verdict = judge(KNOWN, missions(1, candidate=0.05), END)
    assert (verdict.decision, verdict.guardrail) == ("rollback", "interventions.rate")
    assert verdict.log_e >= 0.0


def test_longer_missions_are_rolled_back_and_named() -> None:
    verdict = judge(Settings(), missions(1, hours=12, slower=1.2), END)
    assert verdict.decision == "rollback"
    assert verdict.guardrail.startswith("time.")


PER = Settings(
    guardrails=(
        Guardrail("interventions", "per_robot_hour", 1.0, 2.0, 0.5),
        Guardrail("contacts", "per_1000_actions", 1.0, 2.0, 0.05),
    )
)


def shortened(seed: int, factor: int) -> list[Mission]:
    """As many events in each mission, but the candidate's missions are that much shorter, in steps and in time."""
    return [
        msgspec.structs.replace(one, steps=one.steps // factor, begin=one.end - (one.end - one.begin) // factor)
        if one.arm == "candidate" and one.steps is not None
        else one
        for one in missions(seed)
    ]


def test_events_per_hour_and_per_action_are_guardrails_too() -> None:
    assert judge(PER, missions(1), END).decision == "promote"
    verdict = judge(PER, shortened(1, 3), END)
    assert (verdict.decision, verdict.guardrail) == ("rollback", "interventions.per_robot_hour")
    (finding, _) = verdict.findings
    assert finding.candidate.of("per_robot_hour") == pytest.approx(
        3.0 * finding.candidate.of("per_mission") * 12.0 / 1.046, rel=0.1  # e^(0.3^2 / 2) x 5 min a mission
    )  # fmt: skip
    per_mission = Settings(guardrails=(Guardrail("interventions", "rate", 1.0, 2.0, 0.05),))
    assert judge(per_mission, shortened(1, 3), END).decision != "rollback"


@pytest.mark.parametrize("arm", ["candidate", "baseline"])
def test_steps_that_stop_arriving_hold_where_actions_are_what_counts(arm: str) -> None:
    verdict = judge(PER, without(missions(1), arm, "steps", END - HOUR), END)
    assert verdict.decision == "hold"
    assert any(f"steps of the {arm} has not arrived" in hold for hold in verdict.holds)
    assert judge(KNOWN, without(missions(3), arm, "steps", END - HOUR), END).decision == "promote"


def test_missions_that_all_take_a_little_less_hang_together_no_more_than_others() -> None:
    found = []
    for factor in (1.0, 0.95):
        rng, told = np.random.default_rng(0), []
        for one in missions(3, hours=6):
            steps = round(3000 * (factor if one.arm == "candidate" else 1.0) * (1.0 + 0.01 * rng.standard_normal()))
            told.append(msgspec.structs.replace(one, steps=steps, begin=one.end - steps * SECOND // 10))
        verdict = judge(KNOWN, told, END)
        found.append({finding.name: finding.dispersion for finding in verdict.findings})
    assert found[0]["interventions.rate"] < 1.2
    assert found[1]["interventions.rate"] == pytest.approx(found[0]["interventions.rate"], rel=0.02)
    assert found[1]["time.p99"] == pytest.approx(found[0]["time.p99"], rel=0.05)


def test_rollback_stands_whatever_comes_later() -> None:
    bad, good = missions(1, hours=12, candidate=0.1), missions(2, hours=96)
    one = Judge(KNOWN)
    for mission in [*bad, *good]:
        one.add(mission)
    assert one.look(END).decision == "rollback"


def test_no_mission_at_all_is_a_hold_that_says_so() -> None:
    verdict = Judge(Settings()).look(END)
    assert verdict.decision == "hold"
    assert "no mission of the candidate yet" in verdict.reason


@pytest.mark.parametrize("arm", ["candidate", "baseline"])
def test_an_arm_without_missions_is_a_hold(arm: str) -> None:
    verdict = judge(KNOWN, [mission for mission in missions(3) if mission.arm != arm], END)
    assert verdict.decision == "hold"
    assert f"no mission of the {arm} yet" in verdict.holds


@pytest.mark.parametrize(
    ("field", "metric"),
    [
        ("interventions", "interventions"),
        ("contacts", "contacts"),
        ("near_misses", "near_misses"),
        ("done", "undone"),
        ("energy", "energy"),
        ("latency_p99", "latency"),
    ],
)
@pytest.mark.parametrize("arm", ["candidate", "baseline"])
def test_a_metric_that_stops_arriving_is_a_hold_that_names_it(field: str, metric: str, arm: str) -> None:
    verdict = judge(KNOWN, without(missions(3), arm, field, END - HOUR), END)
    assert verdict.decision == "hold"
    assert any(f"{metric} of the {arm} has not arrived" in hold for hold in verdict.holds)


def test_a_metric_that_arrives_for_every_second_mission_is_a_hold() -> None:
    half = [msgspec.structs.replace(one, energy=None) if index % 2 else one for index, one in enumerate(missions(3))]
    verdict = judge(KNOWN, half, END)
    assert verdict.decision == "hold"
    assert any("energy of the candidate is missing in" in hold for hold in verdict.holds)


def hushed(changes: dict[str, object], seed: int = 3) -> list[Mission]:
    """Missions of a candidate that needs help three times as often and does not tell all of a mission that it did."""
    return [
        msgspec.structs.replace(one, **changes) if one.arm == "candidate" and one.interventions else one
        for one in missions(seed, candidate=0.06)
    ]


def test_a_candidate_gains_nothing_by_missions_of_which_it_does_not_tell_the_count() -> None:
    told = hushed({"interventions": None})
    silent = sum(one.interventions is None for one in told)
    assert silent < KNOWN.missing_share * len(told) / 2  # the share alone lets that pass
    verdict = judge(KNOWN, told, END)
    assert (verdict.decision, verdict.guardrail) == ("hold", "interventions.rate")


def test_a_candidate_gains_nothing_by_the_values_that_it_does_not_tell() -> None:
    told = missions(3)
    slowest = sorted(one.latency_p99 or 0.0 for one in told if one.arm == "candidate")[-len(told) // 30]
    held = [
        msgspec.structs.replace(one, latency_p99=None)
        if one.arm == "candidate" and one.latency_p99 is not None and one.latency_p99 > slowest
        else one
        for one in told
    ]
    assert any(one.latency_p99 is None for one in held)
    assert judge(KNOWN, told, END).decision == "promote"
    assert judge(KNOWN, held, END).guardrail.startswith("latency.")


@pytest.mark.parametrize(
    ("kind", "slack", "changes"), [("per_1000_actions", 0.02, {"steps": None}), ("per_robot_hour", 0.5, {"begin": -1})]
)
def test_a_mission_that_loses_its_steps_or_its_time_does_not_lose_its_events(
    kind: str, slack: float, changes: dict[str, object]
) -> None:
    settings = Settings(guardrails=(Guardrail("interventions", kind, 1.0, 2.0, slack),))
    assert judge(settings, hushed(changes), END).decision == "rollback"
    assert judge(settings, hushed({}), END).decision == "rollback"


def test_now_is_of_a_clock() -> None:
    with pytest.raises(MissionError, match="site clock"):
        Judge(KNOWN).look(10**400)


def test_silence_is_a_hold() -> None:
    verdict = judge(KNOWN, missions(3), END + HOUR)
    assert verdict.decision == "hold"
    assert "no mission of the candidate for" in verdict.reason


def test_a_clock_that_is_set_back_holds_and_does_not_promote() -> None:
    verdict = judge(KNOWN, missions(3), END - 6 * HOUR)
    assert verdict.decision == "hold"
    assert "a clock has jumped" in verdict.reason


def test_a_clock_that_jumps_ahead_is_no_evidence() -> None:
    few = missions(3, hours=1)
    jumped = [
        msgspec.structs.replace(one, begin=one.begin + 48 * HOUR, end=one.end + 48 * HOUR, shift="2026-11-24T00")
        for one in missions(4, hours=0.5)
    ]
    verdict = judge(KNOWN, [*few, *jumped], BEGIN + 49 * HOUR)
    assert verdict.decision == "hold"
    assert "missions of the candidate, 200 are needed" in " ".join(verdict.holds)


def test_missions_that_last_through_a_jump_lose_their_time_and_roll_nobody_back() -> None:
    calm = missions(3)
    jumped = [
        msgspec.structs.replace(one, begin=one.begin - 5 * HOUR)
        if one.arm == "candidate" and index > 99 and index % 9 == 0
        else one
        for index, one in enumerate(calm)
    ]
    verdict = judge(KNOWN, jumped, END)
    assert verdict.decision != "rollback"
    times = next(finding for finding in verdict.findings if finding.name == "time.mean")
    assert times.candidate.missing > 200
    assert times.candidate.mean == pytest.approx(314.0, rel=0.05)


def test_a_whole_arm_with_impossible_stamps_is_a_hold() -> None:
    wrong = [
        msgspec.structs.replace(one, begin=one.end + SECOND) if one.arm == "candidate" else one for one in missions(3)
    ]
    verdict = judge(KNOWN, wrong, END)
    assert verdict.decision == "hold"
    assert any("its clock is not to be believed" in hold for hold in verdict.holds)


def test_one_robot_is_not_enough_to_promote() -> None:
    verdict = judge(KNOWN, missions(3, robots=1), END)
    assert verdict.decision == "hold"
    assert any("robots of the candidate, 2 are needed" in hold for hold in verdict.holds)


def test_asking_at_every_mission_changes_nothing() -> None:
    asked, quiet = Judge(KNOWN), Judge(KNOWN)
    for mission in missions(5, hours=3, each=30, candidate=0.3):
        asked.add(mission)
        quiet.add(mission)
        asked.look(mission.end)
    assert asked.look(END) == quiet.look(END)


def test_day_on_which_both_arms_drive_worse_than_the_history_is_no_rollback() -> None:
    verdicts = [
        judge(KNOWN, missions(seed, hours=12, candidate=0.03, baseline=0.03), END).decision for seed in range(6)
    ]
    assert verdicts.count("rollback") <= 1


def test_missions_that_are_reported_twice_count_once() -> None:
    once = missions(5, hours=3, candidate=0.04)
    told = judge(KNOWN, once, END)
    again = judge(KNOWN, [one for mission in once for one in (mission, mission)], END)
    assert again.missions == 2 * told.missions
    assert (again.candidate, again.log_e, again.findings) == (told.candidate, told.log_e, told.findings)


def test_small_candidate_beside_a_large_baseline_is_judged() -> None:
    share = [
        mission
        for index, mission in enumerate(missions(6, hours=48, candidate=0.2))
        if mission.arm == "baseline" or index % 20 == 0
    ]
    verdict = judge(KNOWN, share, BEGIN + 48 * HOUR)
    assert (verdict.decision, verdict.guardrail) == ("rollback", "interventions.rate")


def test_order_of_shifts_names_does_not_matter() -> None:
    named = [msgspec.structs.replace(one, shift=f"{hash_of(one.shift)}") for one in missions(3, hours=6)]
    assert judge(KNOWN, named, END).log_e == judge(KNOWN, missions(3, hours=6), END).log_e


def hash_of(name: str) -> int:
    """Some other name for a shift, in no order."""
    return sum(ord(letter) * 31**place for place, letter in enumerate(name)) % 10007


def test_holdout_counts_as_baseline() -> None:
    held = [msgspec.structs.replace(one, arm="holdout") if one.arm == "baseline" else one for one in missions(3)]
    assert judge(KNOWN, held, END).decision == judge(KNOWN, missions(3), END).decision


def test_numbers_stand_as_counts_rates_per_action_and_per_hour() -> None:
    verdict = judge(KNOWN, missions(3, hours=5), END)
    rate = verdict.findings[0].candidate
    assert rate.total is not None
    assert rate.per_mission == pytest.approx(rate.total / 500)
    assert rate.per_1000_actions == pytest.approx(rate.total / 500 / 3.14, rel=0.1)
    assert rate.per_robot_hour == pytest.approx(rate.total / 500 / 314 * 3600, rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Settings(alpha=0.0), "levels between 0 and 1"),
        (Settings(guardrails=()), "at least one guardrail"),
        (Settings(guardrails=(Guardrail("intervention", "rate", 1.0, 2.0),)), "interventions"),
        (Settings(guardrails=(Guardrail("time", "rate", 1.0, 2.0),)), "expected a kind of mean"),
        (Settings(guardrails=(Guardrail("time", "p99", -1.0, 2.0),)), "weight above 0"),
        (Settings(guardrails=(Guardrail("time", "p99", 1.0, 1.0),)), "tolerance above 1"),
        (Settings(guardrails=(Guardrail("time", "p99", 1.0, 1.2),) * 2), "each guardrail once"),
        (Settings(stale=1e300), "stale above 0"),
        (Settings(stale=-1.0), "stale above 0"),
        (Settings(period=-1.0), "period of 0 s or more"),
        (Settings(missing_share=9.0), "missing_share of 0 or more"),
        (Settings(history={"interventions": Known(0.1, -5)}), "0 missions or more"),
        (Settings(history={"interventions": Known(0.0)}), "rate above 0"),
        (Settings(history={"interventions": Known(0.1, 0, 0.5)}), "dispersion of 1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: Settings, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Judge(wrong)


def test_a_mission_that_cannot_be_is_refused() -> None:
    mission = missions(3, hours=0.1)[0]
    wrong = ({"arm": "control"}, {"interventions": -1}, {"energy": float("inf")}, {"energy": -1.0})
    for change in (*wrong, {"contacts": 10**400}, {"steps": 2**63}, {"end": 10**400}, {"begin": -(10**40)}):
        with pytest.raises(MissionError, match="expected"):
            Judge(KNOWN).add(msgspec.structs.replace(mission, **change))


def test_a_mission_whose_arm_is_not_its_releases_is_not_believed_and_holds() -> None:
    """The candidate's help told as the baseline's would hide it twice: here it is neither's, and a hold."""
    candidate = "c" * 64
    told = [
        msgspec.structs.replace(one, release=candidate[:12] if one.arm == "candidate" else "") for one in missions(3)
    ]
    settings = msgspec.structs.replace(KNOWN, candidate=candidate)
    assert judge(settings, told, END).decision == "promote"
    last = msgspec.structs.replace(told[-1], id="x", robot="r7", interventions=1)
    for arm, release in (("baseline", candidate), ("holdout", candidate[:12]), ("candidate", "d" * 64)):
        one = Judge(settings)
        for mission in told:
            one.add(mission)
        before = one.look(END)
        assert not one.add(msgspec.structs.replace(last, arm=arm, release=release))
        verdict = one.look(END)
        assert verdict.decision == "hold"
        assert "r7: they are not believed" in verdict.reason
        assert (verdict.candidate, verdict.baseline) == (before.candidate, before.baseline)
        for mission in told[:100]:
            one.add(msgspec.structs.replace(mission, id=f"{mission.id} again"))
        assert not any("not believed" in line for line in one.look(END).holds)
