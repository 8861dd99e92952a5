"""What a candidate may be called, and how it is made ready to answer beside production.

    a directory with policy.onnx and policy.json, or one of these files
    an id of a release or a version in the registry, cut to eight digits or more
    an alias of the registry (production, candidate, shadow), of the site or of the only one that has it

A release or version is written to RUN/policies as a robot loads it, so that the run keeps what was in the shadow. Of a
car a directory has a folder for each level; one level alone takes the place of production's (`find_levels`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agents.policy import MANIFEST, MODEL, Policy
from fleet.control import ControlConfig, Stepper
from fleet.served import directory_of, rehearse
from hierarchy.skills import sees_limit
from sim.errors import MusterError, printable, shown
from sim.files import read_file, write_atomic
from sim.robot import RobotSpec
from sim.site import Site
from sim.tasks.navigate_contract import navigate_contract

if TYPE_CHECKING:
    from fleet.registry.store import Registry

REGISTRY = Path("registry")
"""Where the registry is unless told otherwise, as in `muster registry`."""


LEVELS = ("motor", "lane", "change", "pull_over", "manoeuvre")
"""Folders of a car's policies, those of `fleet.drivinglevels`, which robots on floors do not load."""


class ShadowError(MusterError):
    """A shadow cannot be run as asked."""


@contextlib.contextmanager
def refusing(option: str) -> Iterator[None]:
    """Say of every refusal which option of the command line it is about."""
    try:
        yield
    except MusterError as error:
        raise ShadowError(f"{option}: {error}") from error


def find(word: str, spec: RobotSpec, registry: Path, keep: Path, site: str = "") -> Path:
    """The directory of the candidate that `word` names; files of the registry are written below `keep`.

    Raises ShadowError, or what the registry raises, with one line.
    """
    place = Path(word)
    if place.exists():
        directory = directory_of(place)
        if not (directory / MODEL).exists():
            raise ShadowError(
                f"expected a directory with {MODEL} and {MANIFEST}, {place} has none; name a policy's directory"
            )
        return directory
    with _opened(word, registry) as store:
        release = _release(store, word, spec, registry, site)
        if not release:
            return _write_version(store, store.find(word), keep)
        place = keep / f"shadow-{release[:12]}"
        if not (place / MODEL).exists():
            store.checkout(release, place)
        return place


def find_levels(
    word: str, spec: RobotSpec, registry: Path, keep: Path, production: Path | None, site: str = ""
) -> Path:
    """The directory with every level of the candidate for a car that `word` names; put together below `keep`.

    A word that names one level alone (a skill, the manoeuvre policy) means `production` with that one in its place.
    Raises ShadowError, or what the registry raises, with one line.
    """
    place = Path(word)
    if place.exists():
        if any((place / level / MANIFEST).exists() for level in LEVELS):
            return place
        directory = directory_of(place)
        if not (directory / MODEL).exists():
            raise ShadowError(
                f"expected a run of driving-train ({', '.join(LEVELS)}) or one of these levels, {place} is "
                "neither; name another directory"
            )
        policy = Policy.load(directory)
        found = {_level_of(policy.manifest["contract"].get("task", "")): directory}
        return _levels(found, production, keep / f"shadow-{policy.hash[:12]}")
    with _opened(word, registry) as store:
        release = _release(store, word, spec, registry, site)
        pinned = store.released(release).pinned() if release else (store.find(word),)
        name = release or pinned[0]
        places = {each: _write_version(store, each, keep / "versions") for each in pinned}
        found = {_level_of(Policy.load(where).manifest["contract"].get("task", "")): where for where in places.values()}
        return _levels(found, production, keep / f"shadow-{name[:12]}")


def load(directory: Path, spec: RobotSpec, *, patience: float = 0.0) -> Policy:
    """The candidate's policy, checked against the robot and rehearsed.

    `patience` (s) above 0: its answer alone may take that long at most. Raises PolicyError or ContractMismatch.
    """
    policy = Policy.load(directory)
    contract = navigate_contract(spec, limited=sees_limit(policy, spec))
    rehearse(policy, contract, bound=1.0, **({"patience": patience} if patience > 0.0 else {}))
    return policy


def stepper_for(config: ControlConfig, site: Site, policy: Policy) -> Stepper:
    """A control step of the candidate's own: arrays and launches that production's never sees.

    It chooses no work: what is compared is how it drives.
    """
    return Stepper(replace(config, meta=""), site, policy)


@contextlib.contextmanager
def _opened(word: str, registry: Path) -> Iterator[Registry]:
    if not registry.is_dir():
        raise ShadowError(
            f'expected a directory or a version of the registry, "{printable(word)}" is no directory and there '
            f"is no registry at {registry}; name a policy's directory"
        )
    from fleet.registry.store import Registry

    store = Registry(registry, read_only=True)
    try:
        yield store
    finally:
        store.close()


def _release(store: Registry, word: str, spec: RobotSpec, registry: Path, site: str) -> str:
    """The id of the release that a word names by id or alias; empty where it names none."""
    from fleet.registry.manifest import RegistryError
    from fleet.registry.store import ALIASES

    if word not in ALIASES:
        try:
            return store.find(word, releases=True)
        except RegistryError:
            return ""
    body = spec.embodiment_hash()
    named = [one for one in store.aliases() if one.alias == word and one.embodiment == body]
    chosen = [one for one in named if one.site == site] or named
    if len({one.release for one in chosen}) != 1:
        raise ShadowError(
            f"expected one release that is called {word} for this robot, {registry} has {len(chosen)}; name the release"
        )
    return chosen[0].release


def _write_version(store: Registry, version: str, keep: Path) -> Path:
    place = keep / f"shadow-{version[:12]}"
    manifest = store.version(version)
    place.mkdir(parents=True, exist_ok=True)
    for name, data in sorted(manifest.files.items(), reverse=True):  # policy.onnx before its manifest
        write_atomic(place / name, store.objects.get(data))
    return place


def _level_of(task: str) -> str:
    """The folder of a driving policy by its contract's task, as drive.lane."""
    level = task.rpartition(".")[2]
    if level not in LEVELS:
        raise ShadowError(f"expected a policy of a car ({', '.join(LEVELS)}), got one for {shown(task)}; name another")
    return level


def keep_levels(place: Path, keep: Path) -> None:
    """Copy every level of a directory, so that a run keeps what was in its shadow."""
    _levels({level: place / level for level in LEVELS}, None, keep)


def _levels(found: Mapping[str, Path], production: Path | None, place: Path) -> Path:
    """A directory of every level: those that were found, and production's."""
    lacking = [level for level in LEVELS if level not in found]
    if lacking and production is None:
        raise ShadowError(
            f"expected every level of a car's policies, got {', '.join(found)} alone, and production's are not "
            "known here; name a directory or a release with all of them"
        )
    for level in LEVELS:
        source = found[level] if level in found else Path(production or "") / level
        (place / level).mkdir(parents=True, exist_ok=True)
        for name in (MODEL, MANIFEST):
            write_atomic(place / level / name, read_file(source / name))
    return place
