"""Which policy a word of the command line means: a directory, or a version that the run or the registry has.

A version is the beginning (6 digits or more) of the policy's hash, or of its id in the registry; a release stands for
the policy that it pins, an alias (production, candidate, shadow) for a release.
"""

from __future__ import annotations

import contextlib
import string
import tempfile
from collections.abc import Iterable
from pathlib import Path

from agents.errors import PolicyError
from agents.policy import MODEL, Policy
from fleet.header import Header
from fleet.registry.manifest import Manifest, RegistryError, Release
from fleet.registry.store import ALIASES, Registry
from fleet.served import POLICIES
from sim.errors import MusterError
from sim.files import write_atomic

SKILL = "navigate"
"""What of a release answers a robot's observations."""
SHORTEST = 6
"""Digits of a version at least: with fewer two of a few thousand policies are likely to share them."""


def find(word: Path, run: Path, registry: Path, header: Header) -> Policy:
    """The policy of a directory, or of a version in the run's folder or a registry's.

    `header`: of the robot that is asked about; an alias is of its embodiment, and of its floor where several have one.
    Raises PolicyError, and RegistryError for what stands for several.
    """
    if word.exists() or len(word.parts) != 1:
        return Policy.load(word)
    text = str(word).lower()
    named = text in ALIASES
    if not named and (len(text) < SHORTEST or not set(text) <= set(string.hexdigits)):
        return Policy.load(word)  # which says what is wrong with the directory
    for place in () if named else _kept(run):
        with contextlib.suppress(MusterError):
            policy = Policy.load(place)
            if policy.hash.startswith(text):
                return policy
    found = _registered(text, registry, header)
    if found is None:
        what = f"is {text} for this robot in" if named else f"begins no version of {run} nor version or release of"
        raise PolicyError(
            f"expected a policy's directory, version, release or alias ({', '.join(ALIASES)}), {word} is no directory "
            f"and {'nothing ' if named else ''}{what} {registry}; give another, or --registry"
        )
    return found


def drove(header: Header, run: Path, also: Iterable[str] = ()) -> Policy | None:
    """The policy that a robot drove with, from its run or where it found it; None where neither has it."""
    wanted = {header.policy_hash, *also} - {""}
    for place in (*_kept(run), Path(header.policy_place or ".")):
        with contextlib.suppress(MusterError):
            policy = Policy.load(place)
            if policy.hash in wanted:
                return policy
    return None


def run_of(file: Path) -> Path:
    """The run that a black box lies in; its folder where that is no `blackbox`."""
    return file.parent.parent if file.parent.name == "blackbox" else file.parent


def _kept(run: Path) -> list[Path]:
    versions = run / POLICIES
    places = [run, *(sorted(versions.iterdir()) if versions.is_dir() else ())]
    return [place for place in places if (place / MODEL).exists()]


def _registered(text: str, root: Path, header: Header) -> Policy | None:
    if not (root / "registry.sqlite").exists():
        return None
    registry = Registry(root, read_only=True)
    try:
        versions = (
            []
            if text in ALIASES
            else [each for each in registry.versions() if each.id.startswith(text) or each.graph.startswith(text)]
        )
        if not versions:
            releases = _releases(text, registry, root, header)
            versions = [registry.version(each.skills[SKILL]) for each in releases if SKILL in each.skills]
        if len(versions) > 1:
            raise RegistryError(f"expected one version that begins with {text} in {root}, there are several; give more")
        return _load(registry, versions[0]) if versions else None
    finally:
        registry.close()


def _releases(text: str, registry: Registry, root: Path, header: Header) -> list[Release]:
    """Those whose id begins with a text, or the one that has an alias."""
    if text not in ALIASES:
        return [each for each in registry.releases() if each.id.startswith(text)]
    body, site = header.config.spec.embodiment_hash(), header.site.name
    named = [one for one in registry.aliases() if one.alias == text and one.embodiment == body]
    chosen = [one for one in named if one.site == site] or named
    if len({one.release for one in chosen}) > 1:
        raise RegistryError(
            f"expected one release that is {text} for this robot in {root}, {', '.join(one.site for one in chosen)} "
            "have one each; name the release"
        )
    return [registry.released(chosen[0].release)] if chosen else []


def _load(registry: Registry, manifest: Manifest) -> Policy:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in manifest.files.items():
            write_atomic(Path(folder) / name, registry.objects.get(data))
        return Policy.load(Path(folder))
