"""Versions and releases by content: what is registered never changes, what does not close is refused, all is told."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from agents.errors import PolicyError
from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import MANIFEST, MODEL, Policy
from coordination.database import StoreError
from coordination.keys import Keys, new_keys
from fleet.registry.audit import broken, following
from fleet.registry.authority import proven
from fleet.registry.manifest import FIRMWARE, Manifest, RegistryError, Release, canonical, describe, read
from fleet.registry.store import Registry
from hierarchy.chooser import choose_contract
from sim.robot import DiffDrive, RobotSpec
from sim.tasks.navigate_contract import navigate_contract

SPEC = RobotSpec()
OTHER = RobotSpec(drive=DiffDrive(speed_max=0.8))
ZEROS = "0" * 64


def policy(place: Path, seed: int = 0, *, spec: RobotSpec = SPEC, meta: bool = False, below: str = "") -> Policy:
    """An untrained policy of the navigate or the meta level."""
    contract = choose_contract(spec) if meta else navigate_contract(spec)
    generator = torch.Generator().manual_seed(seed)
    made = ActorCritic(contract.observation_size, contract.action_size, (8,), generator=generator)
    place.mkdir(parents=True, exist_ok=True)
    training = {"below": {"navigate": below}} if below else {}
    return export(place, made, Moments(contract.observation_size), contract, training=training, evaluation={})


def kept(registry: Registry, place: Path) -> str:
    """Register what lies in a directory."""
    return registry.register(*describe(place), "ann")


def release_of(skill: str, meta: str = "", spec: RobotSpec = SPEC, name: str = "spring") -> Release:
    """A release on the firmware's motor."""
    return Release(
        name=name,
        embodiment=spec.embodiment_hash(),
        motor=FIRMWARE + ZEROS,
        skills={"navigate": skill},
        meta=meta,
        contracts={"navigate": navigate_contract(spec).hash, "meta": choose_contract(spec).hash},
        shield=ZEROS,
        config=ZEROS,
    )


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    ticks = iter(range(10**9))
    opened = Registry(tmp_path / "registry", wall=lambda: next(ticks))
    yield opened
    opened.close()


def test_a_version_is_the_content_of_its_manifest(registry: Registry, tmp_path: Path) -> None:
    policy(tmp_path / "a", 1)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    policy(tmp_path / "b", 2)
    first = kept(registry, tmp_path / "a")
    assert kept(registry, tmp_path / "copy") == first
    assert kept(registry, tmp_path / "b") != first
    assert len(registry.log()) == 2, "what is there already is no change"
    manifest = registry.version(first)
    assert (manifest.level, manifest.name) == ("skill", "navigate")
    assert manifest.contract == navigate_contract(SPEC).hash
    assert registry.objects.get(manifest.graph) == (tmp_path / "a" / MODEL).read_bytes()
    assert registry.check() == []


def test_a_manifest_with_a_wrong_hash_is_refused(registry: Registry, tmp_path: Path) -> None:
    policy(tmp_path / "a", 1)
    manifest, files = describe(tmp_path / "a")
    with pytest.raises(RegistryError, match=r"policy\.onnx has another sha256"):
        registry.register(manifest, {**files, MODEL: files[MODEL] + b"x"}, "ann")
    with pytest.raises(RegistryError, match="is missing"):
        registry.register(manifest, {MODEL: files[MODEL]}, "ann")
    (tmp_path / "a" / MODEL).write_bytes(files[MODEL][:-1])
    with pytest.raises(PolicyError, match="sha256"):
        describe(tmp_path / "a")
    assert registry.versions() == []
    assert registry.log() == []


def test_a_release_closes_or_says_every_reason_why_not(registry: Registry, tmp_path: Path) -> None:
    skill = policy(tmp_path / "a", 1)
    policy(tmp_path / "b", 2)
    policy(tmp_path / "meta", 3, meta=True, below=skill.hash)
    policy(tmp_path / "foreign", 4, spec=OTHER)
    a, b, meta, foreign = (kept(registry, tmp_path / name) for name in ("a", "b", "meta", "foreign"))
    whole = registry.release(release_of(a, meta), "ann")
    assert registry.released(whole) == release_of(a, meta)
    for wrong, reason in (
        (release_of(b, meta), "meta was trained on navigate .* the release pins"),
        (release_of(meta), "pinned as skill navigate, is meta"),
        (release_of(a, b), "pinned as meta, is skill"),
        (release_of(foreign), "skill navigate was trained for contract .* the robot's is"),
        (release_of("1" * 64), "111111111111 is not registered"),
        (msgspec.structs.replace(release_of(a), skills={}), "pins no skill"),
        (msgspec.structs.replace(release_of(a), motor=b), "pinned as motor, is skill"),
    ):
        with pytest.raises(RegistryError, match=reason):
            registry.release(wrong, "ann")
    assert [each.id for each in registry.releases()] == [whole]


def test_a_parent_must_be_known(registry: Registry, tmp_path: Path) -> None:
    policy(tmp_path / "a", 1)
    manifest, files = describe(tmp_path / "a", parents=("2" * 64,))
    with pytest.raises(RegistryError, match="registered version, 222222222222"):
        registry.register(manifest, files, "ann")
    skill = kept(registry, tmp_path / "a")
    with pytest.raises(RegistryError, match="registered release, 222222222222"):
        registry.release(msgspec.structs.replace(release_of(skill), parents=("2" * 64,)), "ann")


def test_an_alias_is_per_site_and_embodiment_and_its_past_is_in_the_log(registry: Registry, tmp_path: Path) -> None:
    policy(tmp_path / "a", 1)
    policy(tmp_path / "b", 2)
    policy(tmp_path / "c", 3, spec=OTHER)
    a, b = (registry.release(release_of(kept(registry, tmp_path / name)), "ann") for name in "ab")
    c = registry.release(release_of(kept(registry, tmp_path / "c"), spec=OTHER), "ann")
    registry.name("hall2", "production", a, "ann")
    registry.name("hall2", "production", c, "ann")
    registry.name("hall3", "production", b, "bob")
    registry.name("hall2", "production", b, "bob", "it is faster")
    mine, other = SPEC.embodiment_hash(), OTHER.embodiment_hash()
    assert registry.named("hall2", mine, "production") == b
    assert registry.named("hall2", other, "production") == c
    assert registry.named("hall3", mine, "candidate") == ""
    last = registry.log()[-1]
    assert (last.who, last.what["before"], last.what["reason"]) == ("bob", a, "it is faster")
    registry.unname("hall2", mine, "production", "bob")
    assert registry.named("hall2", mine, "production") == ""
    with pytest.raises(RegistryError, match="expected one of production, candidate, shadow"):
        registry.name("hall2", "canary", a, "ann")
    with pytest.raises(RegistryError, match="site's name"):
        registry.name("../hall", "shadow", a, "ann")
    assert registry.check() == []


def test_what_was_altered_is_found(registry: Registry, tmp_path: Path) -> None:
    policy(tmp_path / "a", 1)
    version = kept(registry, tmp_path / "a")
    release = registry.release(release_of(version), "ann")
    graph = registry.objects.path(registry.version(version).graph)
    before = graph.read_bytes()
    for data, reason in ((before[:-1] + b"x", "was altered"), (b"", "was altered"), (None, "it is gone")):
        graph.chmod(0o644) if graph.exists() else None
        graph.unlink()
        if data is not None:
            graph.write_bytes(data)
        assert any(reason in fault for fault in registry.check()), reason
        with pytest.raises(RegistryError, match=reason):
            registry.checkout(release, tmp_path / "out")
        assert not (tmp_path / "out" / MANIFEST).exists(), "a policy that is not whole must not look like one"
        registry.objects.put(before)
    assert registry.check() == []


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        ("UPDATE audit SET who = 'eve' WHERE number = 2", "line 2 was altered"),
        ("DELETE FROM audit WHERE number = 2", "line 2 is missing"),
        ("UPDATE audit SET number = 9 WHERE number = 1", "line 1 is missing"),
        ("DELETE FROM audit WHERE number = 3", "the log says otherwise"),
        ("UPDATE aliases SET alias = 'shadow'", "the log says otherwise"),
        ("DELETE FROM versions", "in the log and not in versions"),
        ("INSERT INTO releases VALUES ('ab', 'x', 'y')", "in releases and not in the log"),
    ],
)
def test_who_writes_past_the_log_is_found(registry: Registry, tmp_path: Path, tamper: str, reason: str) -> None:
    policy(tmp_path / "a", 1)
    release = registry.release(release_of(kept(registry, tmp_path / "a")), "ann")
    registry.name("hall2", "production", release, "ann")
    assert broken(registry.log()) == ""
    registry.connection.execute(tamper)
    assert any(reason in fault for fault in registry.check())


def test_two_who_write_at_once_wait_for_each_other(tmp_path: Path) -> None:
    root, failed = tmp_path / "registry", []
    for number in range(4):
        policy(tmp_path / f"p{number}", number)

    def work(number: int) -> None:
        try:
            with_own = Registry(root)
            kept(with_own, tmp_path / f"p{number}")
            with_own.close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    after = Registry(root, read_only=True)
    assert len(after.versions()) == len(after.log()) == 4
    assert after.check() == []
    after.close()
    held = Registry(root)
    with pytest.raises(StoreError, match="another process that writes the registry"):
        Registry(root, wait=0.1)
    held.close()


def test_a_failed_commit_leaves_neither_the_change_nor_its_line(registry: Registry, tmp_path: Path) -> None:
    policy(tmp_path / "a", 1)
    registry.connection.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises((StoreError, sqlite3.Error)):
        kept(registry, tmp_path / "a")
    assert registry.versions() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "none"),
        (b"[]", "none"),
        (b'{"muster": 2}', "none"),
        (b'{"name": "x"}', "none"),
    ],
)
def test_what_is_no_manifest_is_refused_in_a_line(data: bytes, reason: str) -> None:
    for kind in (Manifest, Release):
        with pytest.raises(RegistryError, match=reason) as error:
            read(data, kind, "a file")
        assert "\n" not in str(error.value)


def test_a_manifest_that_leads_out_of_its_folder_is_refused() -> None:
    told = {"muster": 1, "level": "skill", "name": "navigate", "graph": ZEROS, "files": {"../x": ZEROS}}
    told |= {"contract": ZEROS, "embodiment": ZEROS, "envelope": {}}
    with pytest.raises(RegistryError, match="names of files"):
        read(msgspec.json.encode(told), Manifest, "a file")
    release = msgspec.structs.replace(release_of("not a hash"), name="x")
    with pytest.raises(RegistryError, match="sha256 hashes"):
        read(canonical(release), Release, "a file")


def test_a_site_whose_aliases_were_signed_takes_no_others_and_a_forged_one_is_found(
    registry: Registry, tmp_path: Path
) -> None:
    policy(tmp_path / "a", 1)
    release, fleet = registry.release(release_of(kept(registry, tmp_path / "a")), "operator_ann"), new_keys()
    ann = Keys(nodes={"operator_ann": fleet.node("operator_ann") or b""})
    registry.name("hall2", "production", release, "operator_ann", keys=ann)
    registry.name("hall3", "production", release, "bob")
    for keys, said in (
        (None, "operator's signature"),
        (Keys(nodes={"bob": b"x" * 32}), "holds no operator.s key for operator_ann"),
    ):
        with pytest.raises(RegistryError, match=said):
            registry.name("hall2", "candidate", release, "operator_ann", keys=keys)
    with pytest.raises(RegistryError, match="operator's signature"):
        registry.unname("hall2", registry.released(release).embodiment, "production", "eve")
    assert registry.check() == []
    assert registry.check(fleet) == ["production of hall3: line 4 of the log is not signed by bob"]
    registry.name("hall3", "production", release, "operator_ann", keys=ann)
    assert registry.check(fleet) == []
    registry.name(
        "hall2", "production", release, "operator_ann", keys=Keys(nodes={"operator_ann": b"x" * 32})
    )  # who has the files may
    assert registry.check() == []
    assert registry.check(fleet) == ["production of hall2: line 6 of the log is not signed by operator_ann"]


def test_a_signed_change_cannot_be_used_again_after_another_line(registry: Registry, tmp_path: Path) -> None:
    policy(tmp_path / "a", 1)
    release, fleet = registry.release(release_of(kept(registry, tmp_path / "a")), "operator_ann"), new_keys()
    registry.name(
        "hall2",
        "production",
        release,
        "operator_ann",
        keys=Keys(nodes={"operator_ann": fleet.node("operator_ann") or b""}),
    )
    line = registry.log()[-1]
    assert proven(line, fleet)
    assert not proven(following(line, line.when, line.who, line.deed, line.what), fleet)
