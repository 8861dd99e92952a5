"""Which policy a word of the command line means: a directory, or a version that the run or the registry has.

A version is the beginning (6 digits or more) of the policy's hash, or of its id in the registry.
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
from fleet.registry.manifest import Manifest, RegistryError
from fleet.registry.store import Registry
from fleet.served import POLICIES
from sim.errors import MusterError
from sim.files import write_atomic

SHORTEST = 6
"""Digits of a version at least: with fewer two of a few thousand policies are likely to share them."""


def find(word: Path, run: Path, registry: Path) -> Policy:
    """The policy of a directory, or of a version in the run's folder or a registry's. Raises PolicyError."""
    if word.exists() or len(word.parts) != 1:
        return Policy.load(word)
    text = str(word).lower()
    if len(text) < SHORTEST or not set(text) <= set(string.hexdigits):
        return Policy.load(word)  # which says what is wrong with the directory
    for place in _kept(run):
        with contextlib.suppress(MusterError):
            policy = Policy.load(place)
            if policy.hash.startswith(text):
                return policy
    found = _registered(text, registry)
    if found is None:
        raise PolicyError(
            f"expected a policy's directory or version, {word} is no directory and begins no version of {run} or of "
            f"{registry}; give another, or --registry"
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


def _registered(text: str, root: Path) -> Policy | None:
    if not (root / "registry.sqlite").exists():
        return None
    registry = Registry(root, read_only=True)
    try:
        versions = [each for each in registry.versions() if each.id.startswith(text) or each.graph.startswith(text)]
        if len(versions) > 1:
            raise RegistryError(f"expected one version that begins with {text} in {root}, there are several; give more")
        return _load(registry, versions[0]) if versions else None
    finally:
        registry.close()


def _load(registry: Registry, manifest: Manifest) -> Policy:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in manifest.files.items():
            write_atomic(Path(folder) / name, registry.objects.get(data))
        return Policy.load(Path(folder))
