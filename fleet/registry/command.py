"""`muster registry`: keep policies by content, pin them into releases, and say which release is meant where.

    muster registry add DIR                            keep the policies of a directory (and its meta/): versions
    muster registry release NAME VERSION|DIR ...       pin one of each level: the release's id, or why it does not close
    muster registry alias SITE ALIAS RELEASE           call a release production, candidate or shadow on a site
    muster registry list                               versions, releases and aliases
    muster registry show ID                            a manifest
    muster registry checkout RELEASE DIR               write its policies as a robot loads them
    muster registry log                                who changed what when
    muster registry verify                             everything that is wrong with it; exit code 1 where something is

Where operators have keys, `alias --key FILE` signs the change; from then on that site takes signed changes alone, and
`verify --key FLEET_KEY` proves who made them. Ids may be cut to eight digits or more.
"""

from __future__ import annotations

import getpass
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from tyro.conf import Positional

from agents.policy import MODEL
from coordination.keys import read_keys
from fleet.control import ControlConfig
from fleet.registry.manifest import FIRMWARE, Manifest, RegistryError, Release, describe
from fleet.registry.pins import contracts, pins
from fleet.registry.store import Registry
from hierarchy.chooser import META
from hierarchy.motor import motor_hash
from sim.bodies.specs import CAR
from sim.driving.contract import SKILLS
from sim.errors import printable
from sim.robot import Ackermann, RobotSpec
from sim.specfile import named_spec

TOP = "manoeuvre"
"""Folder of a car's topmost level (`fleet.drivinglevels`)."""

Action = Literal["add", "release", "alias", "list", "show", "checkout", "log", "verify"]

WORDS: dict[str, tuple[int, int, str]] = {
    "add": (1, 99, "DIR ..."),
    "release": (2, 99, "NAME VERSION|DIR ..."),
    "alias": (3, 3, "SITE ALIAS RELEASE"),
    "list": (0, 0, ""),
    "show": (1, 1, "ID"),
    "checkout": (2, 2, "RELEASE DIR"),
    "log": (0, 0, ""),
    "verify": (0, 0, ""),
}
"""How many words each action takes, least and most, and which."""


@dataclass(frozen=True)
class Config:
    """Keep policy versions and releases, immutable and by content."""

    action: Positional[Action]
    """What to do"""
    words: Positional[tuple[str, ...]] = ()
    """Of what: directories, versions, names"""
    registry: Path = Path("registry")
    """Its folder"""
    spec: str = ""
    """release: the robot's specification; empty for the default robot"""
    person_speed: float = 1.6
    """release: what the site assumes of people, m/s"""
    skill: str = ""
    """add: the skill's name; that of its contract's task if not given"""
    parent: tuple[str, ...] = ()
    """add, release: the versions or releases that it comes from"""
    reason: str = ""
    """alias: why, for the log"""
    key: Path | None = None
    """alias: the operator's key file, which signs the change; verify: the fleet's, to prove who named what"""
    by: str = ""
    """Who does it, for the log; the user's name if not given"""


def run(config: Config) -> int:
    """Do it. Raises RegistryError and what the store raises, each with one line."""
    least, most, shape = WORDS[config.action]
    if not least <= len(config.words) <= most:
        raise RegistryError(
            f"registry {config.action}: expected {shape or 'nothing more'}, got {' '.join(config.words) or 'nothing'}; "
            "muster registry --help shows all"
        )
    writes = config.action in ("add", "release", "alias")
    registry = Registry(config.registry, read_only=not writes)
    try:
        return _DEEDS[config.action](registry, config)
    finally:
        registry.close()


def _add(registry: Registry, config: Config) -> int:
    parents = tuple(registry.find(each) for each in config.parent)
    for word in config.words:
        for place in _levels(Path(word)) or [Path(word)]:
            version, manifest = _keep(registry, config, place, parents)
            print(f"{version}  {manifest.level} {manifest.name}  {place}")
    return 0


def _release(registry: Registry, config: Config) -> int:
    name, *words = config.words
    versions: list[str] = []
    for word in words:
        if _levels(Path(word)):
            versions += [_keep(registry, config, place, ())[0] for place in _levels(Path(word))]
        else:
            versions.append(registry.find(word))
    manifests = [registry.version(version) for version in versions]
    of_car = not config.spec and any(each.name in SKILLS for each in manifests)
    spec = CAR if of_car else named_spec(config.spec).spec
    skills: dict[str, str] = {}
    places = {"meta": "", "motor": ""}
    for version in versions:
        manifest = registry.version(version)
        if manifest.level == "skill":
            other = skills.setdefault(manifest.name, version)
        else:
            other = places[manifest.level] = places[manifest.level] or version
        if other != version:
            raise RegistryError(
                f"expected one {manifest.level} {manifest.name}, got {other[:12]} and {version[:12]}; pin one of them"
            )
    graph = registry.version(places["meta"]).graph if places["meta"] else ""
    car = isinstance(spec.drive, Ackermann)
    if car and not places["motor"]:
        raise RegistryError("expected the motor policy that the car's others were trained on, got none; pin it too")
    motor = registry.version(places["motor"]).graph if car else motor_hash(spec)
    pinned = pins(ControlConfig(spec=spec, person_speed=config.person_speed, motor=motor, meta=graph))
    release = Release(
        name=name,
        embodiment=pinned.embodiment,
        motor=places["motor"] or FIRMWARE + motor,
        skills=skills,
        meta=places["meta"],
        contracts=contracts(spec, manifests, _known(spec) if car else None),
        shield=pinned.shield,
        config=pinned.config,
        parents=tuple(registry.find(each, releases=True) for each in config.parent),
    )
    print(f"{registry.release(release, _who(config))}  {name}")
    return 0


def _alias(registry: Registry, config: Config) -> int:
    site, alias, release = config.words
    found = registry.find(release, releases=True)
    keys = read_keys(config.key) if config.key is not None else None
    who = config.by or next(iter(keys.nodes), "") if keys is not None else _who(config)
    registry.name(site, alias, found, who, config.reason, keys)
    print(f"{found}  {alias} on {site}")
    return 0


def _list(registry: Registry, config: Config) -> int:
    for manifest in registry.versions():
        print(f"version  {manifest.id[:12]}  {manifest.level:<5}  {manifest.name}  robot {manifest.embodiment[:12]}")
    for release in registry.releases():
        pinned = ", ".join(f"{name} {each[:12]}" for name, each in release.skills.items())
        meta = f", meta {release.meta[:12]}" if release.meta else ""
        print(f"release  {release.id[:12]}  {release.name}  {pinned}{meta}  robot {release.embodiment[:12]}")
    for alias in registry.aliases():
        print(f"alias    {alias.release[:12]}  {alias.alias} on {alias.site}  robot {alias.embodiment[:12]}")
    return 0


def _show(registry: Registry, config: Config) -> int:
    word = config.words[0]
    try:
        found: Manifest | Release = registry.version(registry.find(word))
    except RegistryError:
        found = registry.released(registry.find(word, releases=True))
    print(json.dumps({"id": found.id, **msgspec.to_builtins(found)}, indent=1, sort_keys=True))
    return 0


def _checkout(registry: Registry, config: Config) -> int:
    release, place = registry.find(config.words[0], releases=True), Path(config.words[1])
    registry.checkout(release, place)
    print(f"{release}  {place}")
    return 0


def _log(registry: Registry, config: Config) -> int:
    for entry in registry.log():
        when = datetime.fromtimestamp(entry.when / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
        what = " ".join(
            f"{key}={value[:12] if len(value) == 64 else value}" for key, value in entry.what.items() if value
        )
        print(printable(f"{entry.number:>5}  {when}Z  {entry.who}  {entry.deed}  {what}  {entry.hash[:12]}"))
    return 0


def _verify(registry: Registry, config: Config) -> int:
    faults = registry.check(read_keys(config.key) if config.key is not None else None)
    for fault in faults:
        print(fault)
    log = registry.log()
    if not faults:
        print(
            f"sound: {len(registry.versions())} versions, {len(registry.releases())} releases, {len(log)} lines, head "
            f"{log[-1].hash[:12] if log else 'none'}"
        )
    return 1 if faults else 0


_DEEDS = {
    "add": _add,
    "release": _release,
    "alias": _alias,
    "list": _list,
    "show": _show,
    "checkout": _checkout,
    "log": _log,
    "verify": _verify,
}


def _known(spec: RobotSpec) -> dict[str, tuple[str, ...]]:
    from fleet.registry.cars import known  # here, because its map takes scipy, which a floor's registry does not

    return known(spec)


def _levels(place: Path) -> list[Path]:
    """The policies of a directory: its own and that of its meta level, or every level of a car; or none."""
    if (place / TOP / MODEL).exists():
        return [place / name for name in ("motor", *SKILLS, TOP)]
    if not (place / MODEL).exists():
        return []
    return [place, *([place / META] if (place / META / MODEL).exists() else [])]


def _keep(registry: Registry, config: Config, place: Path, parents: tuple[str, ...]) -> tuple[str, Manifest]:
    manifest, files = describe(place, parents=parents)
    if config.skill and manifest.level == "skill":
        manifest = msgspec.structs.replace(manifest, name=config.skill)
    return registry.register(manifest, files, _who(config)), manifest


def _who(config: Config) -> str:
    if config.by:
        return config.by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
