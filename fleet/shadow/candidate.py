"""What a candidate may be called, and how it is made ready to answer beside production.

    a directory with policy.onnx and policy.json, or one of these files
    an id of a release or a version in the registry, cut to eight digits or more
    an alias of the registry (production, candidate, shadow), of the site or of the only one that has it

A release or version is written to RUN/policies as a robot loads it, so that the run keeps what was in the shadow.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agents.policy import MANIFEST, MODEL, Policy
from fleet.control import ControlConfig, Stepper
from fleet.served import directory_of, rehearse
from hierarchy.skills import sees_limit
from sim.errors import MusterError, printable
from sim.files import write_atomic
from sim.robot import RobotSpec
from sim.site import Site
from sim.tasks.navigate_contract import navigate_contract

REGISTRY = Path("registry")
"""Where the registry is unless told otherwise, as in `muster registry`."""


class ShadowError(MusterError):
    """A shadow cannot be run as asked."""


def find(word: str, spec: RobotSpec, registry: Path, keep: Path, site: str = "") -> Path:
    """The directory of the candidate that `word` names; files of the registry are written below `keep`.

    Raises ShadowError, or what the registry raises, with one line.
    """
    place = Path(word)
    if place.exists():
        directory = directory_of(place)
        if not (directory / MODEL).exists():
            raise ShadowError(
                f"shadow: expected a directory with {MODEL} and {MANIFEST}, {place} has none; name a policy's directory"
            )
        return directory
    if not registry.is_dir():
        raise ShadowError(
            f'shadow: expected a directory or a version of the registry, "{printable(word)}" is no directory and there '
            f"is no registry at {registry}; name a policy's directory"
        )
    return _registered(word, spec, registry, keep, site)


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


def _registered(word: str, spec: RobotSpec, registry: Path, keep: Path, site: str) -> Path:
    from fleet.registry.manifest import RegistryError
    from fleet.registry.store import ALIASES, Registry

    store = Registry(registry, read_only=True)
    try:
        if word in ALIASES:
            body = spec.embodiment_hash()
            named = [one for one in store.aliases() if one.alias == word and one.embodiment == body]
            chosen = [one for one in named if one.site == site] or named
            if len({one.release for one in chosen}) != 1:
                raise ShadowError(
                    f"shadow: expected one release that is called {word} for this robot, {registry} has {len(chosen)}; "
                    "name the release"
                )
            release = chosen[0].release
        else:
            try:
                release = store.find(word, releases=True)
            except RegistryError:
                version = store.find(word)
                place = keep / f"shadow-{version[:12]}"
                manifest = store.version(version)
                place.mkdir(parents=True, exist_ok=True)
                for name, data in sorted(manifest.files.items(), reverse=True):  # policy.onnx before its manifest
                    write_atomic(place / name, store.objects.get(data))
                return place
        place = keep / f"shadow-{release[:12]}"
        if not (place / MODEL).exists():
            store.checkout(release, place)
        return place
    finally:
        store.close()
