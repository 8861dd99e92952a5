import tempfile
from collections.abc import Set
from pathlib import Path

import msgspec
import pytest

from coordination.database import StoreFull
from coordination.keys import Keys, new_keys
from coordination.messages import LeaseAsk
from fleet.judge.missions import FILE as MISSIONS
from fleet.judge.missions import Mission, read_missions
from fleet.judge.settings import Guardrail, Settings
from fleet.judge.verdict import replay
from fleet.rollout.authority import Signed, sign
from fleet.rollout.conduct import Conductor
from fleet.rollout.events import FILE, Store
from fleet.rollout.lease import Lessor
from fleet.rollout.plan import RolloutError, Stage
from fleet.rollout.record import Gate
from tests.fleet.rollout.rollouts import NEW, SECOND, started

FLEET = new_keys()
SETTINGS = Settings(
    guardrails=(
        Guardrail("interventions", "rate", 0.5, 2.0, 0.5),
        Guardrail("time", "mean", 0.5, 1.2),
    )
)


class Site:
    """A rollout with its fleet: waves of missions by what the leases say."""

    def __init__(self, run: Path) -> None:
        self.run, self.now, self.number = run, 1000 * SECOND, 0
        self.named: list[str] = []
        self.store = Store(run / FILE, FLEET, lambda: self.now)
        self.conductor = self.conduct()
        self.conductor.take(started())

    def conduct(self) -> Conductor:
        """A service begins."""
        self.lessor = Lessor()
        return Conductor(
            self.run, self.store, SETTINGS, self.lessor, lambda release, reason: self.named.append(release)
        )

    def order(self, verb: str, by: str = "operator_anna", item: str = "", keys: Keys | None = None) -> None:
        """An operator's order."""
        key = FLEET.node(by)
        assert key is not None
        state = self.conductor.state
        signed = Signed(rollout="spring", verb=verb, by=by, seen=state.number, stamp=self.now, item=item)
        self.conductor.order(sign(signed, keys or Keys(nodes={by: key})))

    def to_fleet(self) -> None:
        """On to the first share of the fleet."""
        for stage in (Stage.OFFLINE, Stage.SUITE, Stage.SHADOW):
            self.conductor.gate(stage, "promote", "good")
        for item, by in (("stops", "operator_anna"), ("falls back", "operator_bert")):
            self.order("sign", by, item)
        self.order("promote")
        assert self.conductor.state.stage is Stage.PART_1

    def leased(self) -> set[str]:
        """Who gets the candidate now."""
        ask = LeaseAsk(1)
        return {robot for robot in self.conductor.state.robots if self.lessor.answer(robot, ask).release}

    def wave(self, slower: float = 1.0, helped: bool = False, hung: Set[str] = frozenset(), **missing: None) -> None:
        """One mission of every robot but the hung; `slower` and `helped` are the candidate's."""
        leased = self.leased()
        missions = []
        for index, (robot, arm) in enumerate(sorted(self.conductor.state.arms.items())):
            mine = robot in leased
            seconds = (20.0 + (index * 7 + self.number * 3) % 5) * (slower if mine else 1.0)
            values = {"interventions": int(helped and mine), "steps": int(10 * seconds), "done": True}
            mission = Mission(
                id=f"{self.number}-{robot}",
                robot=robot,
                shift=str(self.number // 5),
                release=NEW.release if mine else "old",
                arm="candidate" if mine else "baseline" if arm == "candidate" else arm,
                begin=self.now,
                end=self.now + int(seconds * SECOND),
                **{**values, **(missing if mine else {})},
            )
            if robot not in hung:
                missions.append(mission)
        self.number += 1
        self.now = max(mission.end for mission in missions)
        self.conductor.heard(missions)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_good_candidate_reaches_all_robots_and_becomes_production_by_a_confirmation(site: Site) -> None:
    site.to_fleet()
    shares = []
    for _ in range(60):
        site.wave()
        state = site.conductor.look()
        shares.append(len(site.leased()))
        if state.stage is Stage.PART_100 and state.passed:
            break
    assert sorted(set(shares)) == [1, 3, 15, 30, 57]
    assert not site.named
    site.order("confirm")
    assert site.named == [NEW.release]
    assert len(site.leased()) == 60


def test_a_bad_candidate_is_taken_back_by_the_judge_alone_and_its_verdict_replays(site: Site) -> None:
    site.to_fleet()
    for _ in range(60):
        site.wave(slower=1.5, helped=True)
        if site.conductor.look().final:
            break
    state = site.conductor.state
    assert state.status == "rolled_back"
    assert state.stage < Stage.PART_100
    assert not site.leased()
    last = site.store.rows()[-1].event
    verdict = site.run / msgspec.to_builtins(last)["evidence"]
    assert replay(verdict).same


def test_a_metric_that_stops_arriving_keeps_a_good_candidate_where_it_is(site: Site) -> None:
    site.to_fleet()
    for _ in range(8):
        site.wave()
        site.conductor.look()
    stage = site.conductor.state.stage
    for _ in range(8):
        site.wave(interventions=None)
        state = site.conductor.look()
    assert state.stage is stage
    assert state.look is not None
    assert any("interventions" in each for each in state.look.lacking)


def test_missions_that_stop_arriving_hold_the_rollout(site: Site) -> None:
    site.to_fleet()
    site.wave()
    site.conductor.look()
    site.now += 700 * SECOND
    assert site.conductor.look().status == "held"


def test_a_service_that_died_goes_on_where_events_and_missions_end(site: Site) -> None:
    site.to_fleet()
    for _ in range(5):
        site.wave()
        site.conductor.look()
    before, leased = site.conductor, site.leased()
    site.conductor = site.conduct()
    assert site.conductor.state == before.state
    assert site.leased() == leased
    assert site.conductor.judge.look(site.now).inputs == before.judge.look(site.now).inputs
    site.order("kill")
    site.conductor = site.conduct()
    assert site.conductor.state.status == "killed"
    assert not site.leased()


def test_an_operator_beside_the_service_is_heard_at_its_next_look(site: Site) -> None:
    site.to_fleet()
    key = FLEET.node("operator_bert")
    assert key is not None
    state = site.store.state()
    signed = Signed(rollout="spring", verb="kill", by="operator_bert", seen=state.number, stamp=site.now)
    site.store.order(sign(signed, Keys(nodes={"operator_bert": key})))
    assert site.leased()
    site.conductor.look()
    assert site.conductor.state.status == "killed"
    assert not site.leased()


def test_on_a_full_disk_the_candidate_is_taken_back_and_a_kill_still_kills(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.to_fleet()
    assert site.leased()

    def full(*_: object, **__: object) -> None:
        raise StoreFull("cannot write: the disk takes no more; free some space")

    monkeypatch.setattr(site.store, "_add", full)
    site.wave()
    site.conductor.look()
    assert "disk" in site.conductor.trouble
    assert not site.leased()
    epoch = site.lessor.epoch
    site.order("kill")
    assert site.lessor.epoch > epoch
    assert not site.leased()
    site.now += 3600 * SECOND  # longer than an order may be on its way
    monkeypatch.undo()
    site.conductor.look()
    assert not site.conductor.trouble
    assert site.conductor.state.status == "killed"
    assert not site.leased()
    assert site.store.state().status == "killed"


def test_a_kill_that_nobody_proved_is_not_remembered_on_a_full_disk(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.to_fleet()

    def full(*_: object, **__: object) -> None:
        raise StoreFull("cannot write: the disk takes no more; free some space")

    monkeypatch.setattr(site.store, "_add", full)
    site.wave()
    site.conductor.look()
    with pytest.raises(RolloutError, match="not signed"):
        site.order("kill", keys=Keys(nodes={"operator_anna": b"x" * 32}))
    monkeypatch.undo()
    site.conductor.look()
    assert site.leased()  # what could not be written was not decided: the events still say 1 %


def test_an_order_that_can_be_written_gives_nobody_a_lease_while_verdicts_cannot(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.to_fleet()
    site.wave()

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    site.conductor.look()
    assert "a verdict cannot be written" in site.conductor.trouble
    assert not site.leased()
    key = FLEET.node("operator_bert")
    assert key is not None
    signed = Signed(rollout="spring", verb="hold", by="operator_bert", seen=site.store.state().number, stamp=site.now)
    site.store.order(sign(signed, Keys(nodes={"operator_bert": key})))
    for _ in range(3):
        site.conductor.look()
        assert not site.leased()


def test_a_stranger_neither_kills_nor_promotes(site: Site) -> None:
    site.to_fleet()
    leased = site.leased()
    for verb in ("kill", "confirm", "resume"):
        with pytest.raises(RolloutError, match="not signed"):
            site.order(verb, keys=Keys(nodes={"operator_anna": b"x" * 32}))
    assert site.leased() == leased


def test_a_mission_told_under_another_arm_is_not_believed(site: Site) -> None:
    def lacks(mission: Mission, words: str) -> bool:
        site.conductor.heard([mission])
        look = site.conductor.look().look
        return look is not None and any(words in line for line in look.lacking)

    site.to_fleet()
    site.wave()
    driver = min(site.leased())
    held = min(robot for robot, arm in site.conductor.state.arms.items() if arm == "holdout")
    release, begin = NEW.release[:12], site.now - SECOND
    one = Mission(id="x", robot=driver, arm="baseline", release=release, begin=begin, end=site.now)
    assert lacks(one, f"{driver}: they are not believed")
    assert lacks(msgspec.structs.replace(one, id="y", robot=held, arm="candidate"), f"{held}, which is held out")
    assert replay(site.store.path.parent / "verdicts" / "0002.json").same


def test_a_mission_from_the_future_hides_no_silence(site: Site) -> None:
    site.to_fleet()
    site.wave()
    (mission, *_) = [one for one in read_missions(site.run / MISSIONS) if one.arm == "candidate"]
    site.conductor.heard([msgspec.structs.replace(mission, id="late", end=site.now + 10**9 * SECOND)])
    for _ in range(7):
        site.now += 100 * SECOND
        state = site.conductor.look()
    assert state.status == "held"
    assert "no mission of the candidate for" in state.reason


def test_a_mission_that_is_told_again_and_again_ends_no_stage(site: Site) -> None:
    site.to_fleet()
    site.wave()
    told = list(read_missions(site.run / MISSIONS))
    for _ in range(30):
        site.conductor.heard(told)
    state = site.conductor.look()
    assert state.stage is Stage.PART_1
    assert state.look is not None
    assert state.look.missions == 1


def test_a_stage_does_not_end_while_half_of_the_candidates_robots_tell_of_nothing(site: Site) -> None:
    site.to_fleet()
    while site.conductor.state.stage < Stage.PART_25:
        site.wave()
        site.conductor.look()
    hung = set(sorted(site.leased())[::2])
    for _ in range(40):
        site.wave(hung=hung)
        state = site.conductor.look()
    assert state.stage is Stage.PART_25
    assert state.look is not None
    assert any(f"of {len(hung)} of the candidate's robots" in each for each in state.look.lacking)
    assert state.look.decision == "promote"


def test_missions_of_stages_without_a_fleet_are_not_judged(site: Site) -> None:
    site.wave()
    assert not (site.run / MISSIONS).exists()
    site.conductor.take(Gate(stamp=0, stage=Stage.OFFLINE, decision="hold", reason="few"))
    assert site.conductor.look().status == "held"
