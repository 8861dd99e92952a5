"""Evidence of what precedes the fleet: by the command line, from files, and of the candidate alone."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from coordination.keys import Keys, ensure_keys, write_keys
from fleet.cli import main
from fleet.judge.missions import append_missions
from fleet.registry.store import Registry
from fleet.rollout.events import FILE, Store
from fleet.rollout.plan import Course, Plan, Stage
from fleet.rollout.record import Gate, Looked
from fleet.rundir import create_run
from fleet.shadow.summary import of_records
from tests.fleet.judge.worlds import missions
from tests.fleet.registry.test_registry import kept, policy, release_of
from tests.fleet.rollout.rollouts import Rollout


class Site:
    """A rollout that was started, and evidence for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        directory = create_run(folder, arguments=["test"], config={}, seed=1, clock="lockstep")
        self.root = directory.root
        self.keys = ensure_keys(directory.key)
        key = self.keys.node("operator_anna")
        assert key is not None
        write_keys(folder / "anna.key", Keys(nodes={"operator_anna": key}))
        registry = Registry(folder / "registry")
        policy(folder / "old", 1)
        self.graph = policy(folder / "new", 2).hash
        self.meta = policy(folder / "meta", 3, meta=True).hash
        old, new = kept(registry, folder / "old"), kept(registry, folder / "new")
        self.baseline = registry.release(release_of(old), "ann")
        self.candidate = registry.release(release_of(new), "ann")
        self.choosing = registry.release(release_of(new, kept(registry, folder / "meta")), "ann")
        registry.close()
        (folder / "robots.json").write_text(json.dumps({f"r{number}": "hall" for number in range(10)}))
        course = Course(robots=("r0",), fence=(0.0, 0.0, 5.0, 5.0))
        (folder / "plan.json").write_bytes(msgspec.json.encode(Plan(course=course)))

    def start(self, candidate: str) -> None:
        """Begin the rollout of a release."""
        words = ("--plan", "plan.json", "--robots", "robots.json")
        given = [str(self.folder / word) if index % 2 else word for index, word in enumerate(words)]
        assert self.order("start", f"--candidate={candidate}", f"--baseline={self.baseline}", *given) == 0

    def order(self, verb: str, *words: str, key: str = "anna.key") -> int:
        """The command line's exit code."""
        given = ["--key", str(self.folder / key), "--registry", str(self.folder / "registry")]
        return main(["rollout", verb, str(self.root), *words, *given])

    @property
    def at(self) -> tuple[Stage, str]:
        """Where it stands."""
        state = Store(self.root / FILE, self.keys).state()
        return state.stage, state.status

    def suite(self, name: str, release: str, contacts: int = 0) -> str:
        """A file of sixty simulated missions."""
        driven = [
            msgspec.structs.replace(one, release=release, done=True, contacts=contacts)
            for one in missions(1, hours=1)
            if one.arm == "candidate"
        ]
        append_missions(self.folder / name, driven[:60])
        return str(self.folder / name)

    def shadow(self, decision: str, candidate: str) -> str:
        """A folder with a summary."""
        found = of_records([])
        verdict = msgspec.structs.replace(found.verdict, decision=decision, reason="as planted")
        told = msgspec.structs.replace(found, candidate=candidate[:12], pairs=5000, verdict=verdict)
        (self.folder / "shadow.json").write_bytes(msgspec.json.encode(told))
        return str(self.folder)

    def estimate(self, policy: str, minutes: float, *abstains: str) -> str:
        """A file as `muster evaluate-offline --out` writes it."""
        told = {"muster": 1, "policy": policy, "choices": 900, "value": minutes, "low": minutes - 0.1,
                "high": minutes + 0.1, "level": 0.95, "episodes": 100, "effective": 80.0, "share": 0.02, "untried": 0.0,
                "logged": 2.0, "model": 2.0, "weighted": 2.0, "abstains": list(abstains)}  # fmt: skip
        if abstains:
            told |= {"low": float("nan"), "high": float("nan")}
        path = self.folder / "estimate.json"
        path.write_text(json.dumps(told))
        return str(path)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("fleet.rundir._made", [])  # a failed command would tidy this process's run away
    return Site(tmp_path)


def test_evidence_brings_a_candidate_from_the_start_to_the_closed_course(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.start(site.candidate)
    assert site.order("promote") == 2  # nothing but evidence ends such a stage
    assert site.order("gate") == 0  # both releases choose work by rule
    assert site.at == (Stage.SUITE, "running")
    assert site.order("gate", site.suite("missions.jsonl", site.candidate)) == 0
    assert site.at == (Stage.SHADOW, "running")
    assert site.order("gate", site.shadow("pass", site.graph)) == 0
    assert site.at == (Stage.COURSE, "running")
    capsys.readouterr()
    assert main(["rollout", "log", str(site.root)]) == 0
    told = capsys.readouterr().out
    assert "60 missions, 0 not done, 0 contacts" in told
    assert "evidence=shadow.json sha256" in told
    assert "operator_anna" in told
    assert site.order("gate", site.shadow("pass", site.graph)) == 2
    assert "the rollout is in course" in capsys.readouterr().err


@pytest.mark.parametrize(("minutes", "at"), [(2.0, (Stage.SUITE, "running")), (3.0, (Stage.OFFLINE, "rolled_back"))])
def test_an_estimate_of_the_meta_policy_decides(site: Site, minutes: float, at: tuple[Stage, str]) -> None:
    site.start(site.choosing)
    assert site.order("gate", site.estimate(site.meta, minutes)) == 0
    assert site.at == at


def test_an_abstention_holds_and_the_next_estimate_counts_once_it_is_resumed(site: Site) -> None:
    site.start(site.choosing)
    assert site.order("gate", site.estimate(site.meta, 2.0, "30 effective episodes, 50 are needed")) == 0
    assert site.at == (Stage.OFFLINE, "held")
    assert site.order("resume") == 0
    assert site.order("gate", site.estimate(site.meta, 2.0)) == 0
    assert site.at == (Stage.SUITE, "running")


def test_a_suite_with_a_contact_takes_the_candidate_back(site: Site) -> None:
    site.start(site.candidate)
    assert site.order("gate") == 0
    assert site.order("gate", site.suite("touched.jsonl", site.candidate, contacts=1)) == 0
    assert site.at == (Stage.SUITE, "rolled_back")


@pytest.mark.parametrize(("decision", "status"), [("reject", "rolled_back"), ("hold", "held")])
def test_a_shadow_that_does_not_pass_lets_nobody_on(site: Site, decision: str, status: str) -> None:
    site.start(site.candidate)
    assert site.order("gate") == 0
    assert site.order("gate", site.suite("missions.jsonl", site.candidate)) == 0
    assert site.order("gate", site.shadow(decision, site.graph)) == 0
    assert site.at == (Stage.SHADOW, status)


def test_what_is_no_evidence_of_the_candidate_is_refused_in_a_line(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.start(site.choosing)
    (site.folder / "nested.json").write_text("[" * 100_000)
    write_keys(site.folder / "stranger.key", Keys(nodes={"operator_anna": b"x" * 32}))
    cases = [
        ([], "expected a file of evidence"),
        ([site.estimate(site.graph[::-1], 2.0)], "expected evidence of release"),
        ([str(site.folder / "plan.json")], "expected other evidence"),
        ([str(site.folder / "nested.json")], "expected other evidence"),
        ([str(site.folder / "absent.json")], "absent.json"),
        ([str(site.folder)], str(site.folder)),
    ]
    for words, said in cases:
        capsys.readouterr()
        assert site.order("gate", *words) == 2, words
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1
    assert site.order("gate", site.estimate(site.meta, 2.0), key="stranger.key") == 2
    assert "not that of an operator" in capsys.readouterr().err
    assert site.at == (Stage.OFFLINE, "running")
    assert site.order("gate", site.estimate(site.meta, 2.0)) == 0
    assert site.order("gate", site.suite("others.jsonl", site.baseline)) == 2
    assert "expected evidence of release" in capsys.readouterr().err
    assert site.at == (Stage.SUITE, "running")


def test_a_suite_may_take_a_day_and_the_closed_course_a_week() -> None:
    rollout = Rollout()
    rollout.gate(Stage.OFFLINE)
    rollout.take(Gate(stamp=0, stage=Stage.SUITE, decision="promote", reason="all done"), after=86400.0)
    rollout.gate(Stage.SHADOW)
    for item in ("stops", "falls back"):
        by = {"stops": "operator_anna", "falls back": "operator_bert"}[item]
        rollout.order("sign", by=by, item=item, after=3 * 86400.0)
    assert rollout.order("promote", after=86400.0).stage is Stage.PART_1
    assert rollout.gate(Stage.SHADOW, "hold").status == "running", "evidence of a stage that is over says nothing"
    late = Looked(stamp=0, stage=Stage.PART_1, decision="hold", reason="", heard=rollout.state.stamp)
    assert rollout.take(late, after=86400.0).status == "held", (
        "in the fleet a day without a look is a clock that jumped"
    )
