"""The demo's releases: a policy's files, kept in the run's registry, pinned, and written where robots find them."""

from __future__ import annotations

from pathlib import Path

from coordination.estop import OPERATOR
from coordination.keys import Keys
from fleet.control import ControlConfig
from fleet.registry.manifest import FIRMWARE, Release, describe
from fleet.registry.pins import contracts, pins
from fleet.registry.store import Registry
from fleet.rollout import makers
from fleet.rollout.leasing import RELEASES
from hierarchy.motor import motor_hash
from sim.robot import RobotSpec

SITE = "demo"
"""Name of the site in the registry's aliases."""


def made(root: Path, name: str, law: makers.Law) -> Path:
    """The directory of a policy that is made here."""
    makers.write_policy(root / "made" / name, law)
    return root / "made" / name


def pinned(root: Path, keys: Keys, name: str, place: Path, parent: str = "") -> str:
    """Register the policy of a directory and pin it into a release; the release's id. One without a parent drives."""
    spec = RobotSpec()
    registry = Registry(root / "registry")
    try:
        manifest, files = describe(place)
        version = registry.register(manifest, files, "demo")
        found = pins(ControlConfig(spec=spec, person_speed=0.0, motor=motor_hash(spec)))
        release = registry.release(
            Release(
                name=name,
                embodiment=found.embodiment,
                motor=FIRMWARE + motor_hash(spec),
                skills={manifest.name: version},
                contracts=contracts(spec, [manifest]),
                shield=found.shield,
                config=found.config,
                parents=(parent,) if parent else (),
            ),
            "demo",
        )
        registry.checkout(release, root / RELEASES / release)
        if not parent:
            registry.name(SITE, "production", release, OPERATOR, "what drives at the start", keys)
    finally:
        registry.close()
    return release


def name_production(root: Path, keys: Keys, release: str, reason: str) -> None:
    """What drives from now on."""
    registry = Registry(root / "registry")
    try:
        registry.name(SITE, "production", release, "rollout", reason, keys)
    finally:
        registry.close()
