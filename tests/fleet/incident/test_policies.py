"""`muster replay --policy WORD`: directory, version, release or alias of a registry; one line for anything else."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.policy import Policy
from fleet.cli import main
from fleet.registry.manifest import FIRMWARE, Release, describe
from fleet.registry.store import Registry
from hierarchy.chooser import choose_contract
from sim.robot import DiffDrive, RobotSpec
from sim.tasks.navigate_contract import navigate_contract
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.incident.conftest import SITE, SPEC, Run

ZEROS = "0" * 64


@dataclass(frozen=True)
class Shop:
    root: Path
    policy: Policy
    version: str
    release: str


def hand(place: Path, speed: float, spec: RobotSpec = SPEC) -> Policy:
    place.mkdir()
    return write_hand_policy(place, spec, speed=speed)


def release_of(version: str, name: str = "slow", spec: RobotSpec = SPEC) -> Release:
    return Release(
        name=name, embodiment=spec.embodiment_hash(), motor=FIRMWARE + ZEROS, skills={"navigate": version},
        contracts={"navigate": navigate_contract(spec).hash, "meta": choose_contract(spec).hash},
        shield=ZEROS, config=ZEROS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A registry with a slower policy, released, and called candidate on the recording's floor."""
    place = tmp_path_factory.mktemp("shop")
    policy = hand(place / "policy", 0.3)
    with closing(Registry(place / "registry")) as registry:
        version = registry.register(*describe(place / "policy"), "ann")
        release = registry.release(release_of(version), "ann")
        registry.name(SITE.name, "candidate", release, "ann")
    return Shop(place / "registry", policy, version, release)


def asked(
    run: Run, word: str, registry: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["replay", str(run.box), "--policy", word, "--registry", str(registry), *options])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("kind", ["version", "short version", "graph", "release", "alias"])
def test_a_registrys_policy_is_asked_by_whatever_it_is_called(
    incident_run: Run, shop: Shop, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    word = {
        "version": shop.version, "short version": shop.version[:8], "graph": shop.policy.hash[:12],
        "release": shop.release[:10], "alias": "candidate",
    }[kind]  # fmt: skip
    code, out, _ = asked(incident_run, word, shop.root, capsys)
    assert code == 0
    assert f"with policy {shop.policy.hash[:12]} instead of {incident_run.policy.hash[:12]}" in out


def test_an_alias_lets_its_policy_play_on(incident_run: Run, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(incident_run, "candidate", shop.root, capsys, "--sim", "3", "--seconds", "1")
    assert code == 0
    assert f"10 steps under policy {shop.policy.hash[:12]}" in out


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("abcdef123456", "begins no version of"),
        ("production", "nothing is production for this robot in"),
        ("spring", "spring"),
        ("abc", "abc"),
        ("a/b", "a/b"),
    ],
)
def test_a_policy_that_nobody_knows_is_one_line(
    incident_run: Run, shop: Shop, capsys: pytest.CaptureFixture[str], word: str, words: str
) -> None:
    code, _, err = asked(incident_run, word, shop.root, capsys)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert asked(incident_run, word, shop.root / "nowhere", capsys)[0] == 2


def test_an_alias_of_several_sites_is_that_of_the_recordings_floor_and_else_refused(
    incident_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    releases = {}
    with closing(Registry(tmp_path / "registry")) as registry:
        for number, site in enumerate((SITE.name, "other", "third")):
            hand(tmp_path / site, 0.3 + number / 10)
            version = registry.register(*describe(tmp_path / site), "ann")
            releases[site] = registry.release(release_of(version, f"of_{number}"), "ann")
        registry.name("other", "shadow", releases["other"], "ann")
        registry.name("third", "shadow", releases["third"], "ann")
    code, _, err = asked(incident_run, "shadow", tmp_path / "registry", capsys)
    assert code == 2
    assert "other, third have one each; name the release" in err
    with closing(Registry(tmp_path / "registry")) as registry:
        registry.name(SITE.name, "shadow", releases[SITE.name], "ann")
    code, out, _ = asked(incident_run, "shadow", tmp_path / "registry", capsys)
    assert code == 0
    assert Policy.load(tmp_path / SITE.name).hash[:12] in out


def test_a_release_for_another_robot_has_no_alias_here(
    incident_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = RobotSpec(drive=DiffDrive(speed_max=0.8))
    hand(tmp_path / "policy", 0.3, other)
    with closing(Registry(tmp_path / "registry")) as registry:
        version = registry.register(*describe(tmp_path / "policy"), "ann")
        release = registry.release(release_of(version, spec=other), "ann")
        registry.name(SITE.name, "candidate", release, "ann")
    assert "nothing is candidate" in asked(incident_run, "candidate", tmp_path / "registry", capsys)[2]
    code, _, err = asked(incident_run, version[:10], tmp_path / "registry", capsys)
    assert code == 2
    assert "contract" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "option", [("--speed-assumption", "2"), ("--sim", "1"), ("--to-test", "tests"), ("--policy", "p")]
)
def test_a_cars_recording_is_replayed_and_asked_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    from tests.fleet import drives
    from tests.fleet.test_drivelog import write

    path = write(tmp_path, drives.moments(0.5))
    assert main(["replay", str(path), *option]) == 2
    said = capsys.readouterr().err
    assert "is a drive's; those can be replayed, not asked more" in said
    assert said.count("\n") == 1
    assert main(["incident", str(path), "--at", "0.2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
