"""The two manifests of the registry: one policy version, and the release that pins versions of all levels.

Both are canonical JSON (sorted keys, no spaces), whose sha256 is the id. A version's manifest is made from a policy's
directory (`describe`): the files by hash, the contract and its embodiment, the range of what it may command, how it was
trained and evaluated, the policies below it that it was trained on (by the hashes of their graphs) and its parents.

`close` says why a release cannot drive as a whole: a level that is missing or of another robot, a policy that was
trained on others than those beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec

from agents.policy import MANIFEST, MODEL, Policy
from sim.errors import MusterError, shown
from sim.files import read_file

Level = Literal["meta", "skill", "motor"]
LEVELS: tuple[Level, ...] = get_args(Level)

TASK_LEVELS: Mapping[str, Level] = {"choose": "meta", "manoeuvre": "meta", "track": "motor", "motor": "motor"}
"""The level of a policy by its contract's task; every other task is a skill's, which is called by it. Those of cars
are called by what stands after `drive.`, as the folders of their levels are."""

FIRMWARE = "firmware:"
"""How a release names a motor that is no policy: this, and the hash of its law (`hierarchy.motor.motor_hash`)."""

DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
"""Names of releases, skills, sites and aliases."""

M = TypeVar("M", bound="Manifest | Release")


class RegistryError(MusterError):
    """The registry refuses something, or is not as it must be."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy version."""

    muster: Literal[1] = 1
    level: Level
    name: str
    """Of the skill; the level's name for meta and motor"""
    graph: str
    """sha256 of policy.onnx: the policy's identity in logs"""
    files: dict[str, str]
    """sha256 by file name"""
    contract: str
    """Hash of the contract"""
    embodiment: str
    """Of the robot that it was trained for, as its contract says it: without what the policy does not see of it"""
    envelope: dict[str, tuple[float, float]]
    """What it may command at most: low and high of each action, by name and unit"""
    below: dict[str, str] = {}
    """Graphs of the policies that it was trained on, by level or skill"""
    training: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}
    parents: tuple[str, ...] = ()
    """Versions that it was trained from"""

    @property
    def id(self) -> str:
        """The version."""
        return digest(canonical(self))


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is deployed, swapped and taken back: whole."""

    muster: Literal[1] = 1
    name: str
    embodiment: str
    """The robot's (specification and all)"""
    motor: str
    """Version of the motor policy, or `firmware:` and the hash of the law"""
    skills: dict[str, str]
    """Versions by name of the skill"""
    meta: str = ""
    """Version of the meta policy; empty where work is assigned"""
    contracts: dict[str, str]
    """Hash of the contract that this robot has with each policy, by skill, `meta` or `motor`"""
    shield: str
    """Hash of the shield's parameters (`fleet.registry.pins`)"""
    config: str
    """Hash of the control configuration"""
    parents: tuple[str, ...] = ()
    """Releases that it replaces"""

    @property
    def id(self) -> str:
        """The release's version."""
        return digest(canonical(self))

    def pinned(self) -> tuple[str, ...]:
        """Every policy version in it."""
        motor = () if self.motor.startswith(FIRMWARE) else (self.motor,)
        return (*((self.meta,) if self.meta else ()), *self.skills.values(), *motor)


def canonical(manifest: Manifest | Release) -> bytes:
    """The bytes whose sha256 is the id."""
    return json.dumps(msgspec.to_builtins(manifest), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(data: bytes) -> str:
    """sha256, hex."""
    return hashlib.sha256(data).hexdigest()


def read(data: bytes, kind: type[M], where: str) -> M:
    """A manifest from its bytes; raises RegistryError where it is none, or not the canonical text of one."""
    try:
        manifest = msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RegistryError(f"expected a {kind.__name__.lower()} manifest, {where} is none ({error})") from error
    check_manifest(manifest, where)
    return manifest


def describe(place: Path, name: str = "", parents: tuple[str, ...] = ()) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of the policy in a directory, and its files.

    Raises PolicyError when it is no whole policy, RegistryError when `name` is none.
    """
    directory = place.parent if place.name in (MANIFEST, MODEL) else place
    policy = Policy.load(directory)
    files = {each: read_file(directory / each) for each in (MODEL, MANIFEST)}
    told, contract = policy.manifest, policy.manifest["contract"]
    task = str(contract.get("task", "")).removeprefix("drive.")
    level = TASK_LEVELS.get(task, "skill")
    training, evaluation = _told(told, "training", directory), _told(told, "evaluation", directory)
    below = _told(training, "below", directory)
    training.pop("below", None)
    manifest = Manifest(
        level=level,
        name=name or (task if level == "skill" else level),
        graph=policy.hash,
        files={each: digest(data) for each, data in files.items()},
        contract=policy.contract_hash,
        embodiment=str(contract.get("embodiment", "")),
        envelope={
            f"{each['name']} {each['unit']}".strip(): (float(each["low"]), float(each["high"]))
            for each in contract.get("actions", ())
        },
        below={str(key): str(value) for key, value in below.items()},
        training=training,
        evaluation=evaluation,
        parents=parents,
    )
    check_manifest(manifest, str(directory))
    return manifest, files


def _told(manifest: Mapping[str, Any], name: str, directory: Path) -> dict[str, Any]:  # JSON values
    """What a policy's manifest says under a name. Raises RegistryError where a registry could not keep it."""
    found = manifest.get(name, {})
    try:
        if not isinstance(found, dict):
            raise TypeError(f"it is {type(found).__name__}")
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RegistryError(
            f'expected "{name}" in {directory / MANIFEST} to be an object of finite numbers and text ({error}); '
            "export the policy again"
        ) from error
    return dict(found)


def close(release: Release, versions: Mapping[str, Manifest]) -> list[str]:
    """Why a release cannot drive; empty where it closes.

    Args:
        release: what is to be deployed
        versions: every version that it pins and that is known, by id

    """
    faults = [f"{each[:12]} is not registered" for each in release.pinned() if each not in versions]
    if not release.skills:
        faults.append("it pins no skill")
    motor = "" if release.motor.startswith(FIRMWARE) else release.motor
    wanted: list[tuple[str, Level, str, str]] = [("meta", "meta", "", release.meta), ("motor", "motor", "", motor)]
    for name, each in release.skills.items():
        wanted.append((f"skill {name}", "skill", name, each))
    graphs = {name: versions[each].graph for name, each in release.skills.items() if each in versions}
    if release.motor.startswith(FIRMWARE):
        graphs["motor"] = release.motor.removeprefix(FIRMWARE)
    elif release.motor in versions:
        graphs["motor"] = versions[release.motor].graph
    for what, level, name, each in wanted:
        manifest = versions.get(each)
        if not each or manifest is None:
            continue
        if manifest.level != level or (name and manifest.name != name):
            faults.append(f"{each[:12]}, pinned as {what}, is {manifest.level} {manifest.name}")
        asked = release.contracts.get(name or level, "")
        if manifest.contract != asked:
            faults.append(
                f"{what} was trained for contract {manifest.contract[:12]}, the robot's is {asked[:12] or 'not pinned'}"
            )
        for lower, graph in sorted(manifest.below.items()):
            beside = graphs.get(lower)
            if beside is None:
                faults.append(f"{what} was trained on {lower} {graph[:12]}, of which the release pins none")
            elif beside != graph:
                faults.append(f"{what} was trained on {lower} {graph[:12]}, the release pins {beside[:12]}")
    return faults


def check_name(name: str, what: str) -> None:
    """Raise RegistryError unless `name` can be the name of `what`."""
    if not NAME.fullmatch(name):
        raise RegistryError(
            f"expected {what} of small letters, digits, `_`, `.` and `-` that begins with a letter, got {shown(name)}; "
            "correct it"
        )


def check_manifest(manifest: Manifest | Release, where: str) -> None:
    """Raise RegistryError unless every name and every hash in it can be one."""
    check_name(manifest.name, "a name")
    hashes = [manifest.embodiment, *manifest.parents]
    if isinstance(manifest, Manifest):
        hashes += [manifest.graph, manifest.contract, *manifest.files.values(), *manifest.below.values()]
        for name in manifest.files:
            if name in ("", ".", "..") or "/" in name or not name.isprintable():
                raise RegistryError(f"expected names of files, {where} has {shown(name)}; make the manifest again")
    else:
        hashes += [manifest.motor.removeprefix(FIRMWARE), manifest.shield, manifest.config, *manifest.pinned()]
        hashes += manifest.contracts.values()
        for name in manifest.skills:
            check_name(name, "a skill's name")
    wrong = next((each for each in hashes if not DIGEST.fullmatch(each)), None)
    if wrong is not None:
        raise RegistryError(f"expected sha256 hashes, {where} has {shown(wrong)}; make the manifest again")
