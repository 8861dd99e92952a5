"""What a candidate may be called: a directory, a version, a release, an alias; anything else is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.policy import Policy
from fleet import cli
from fleet.registry.store import Registry
from fleet.shadow.candidate import ShadowError, find, load
from sim.errors import MusterError
from sim.robot import RobotSpec
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Policy, str, str]:
    """A registry with one release, which is the shadow of site hall: its folder, policy, version and release."""
    root = tmp_path_factory.mktemp("registry")
    place = root / "policy"
    place.mkdir()
    policy = write_hand_policy(place, SPEC)
    folder = root / "registry"
    assert cli.main(["registry", "release", "spring", str(place), "--registry", str(folder), "--by", "t"]) == 0
    store = Registry(folder)
    (release,), (version,) = store.releases(), store.versions()
    store.name("hall", "shadow", release.id, "t")
    store.close()
    return folder, policy, version.id, release.id


@pytest.mark.parametrize("how", ["directory", "file", "version", "release", "alias"])
def test_every_name_of_a_candidate_leads_to_the_same_policy(
    how: str, kept: tuple[Path, Policy, str, str], tmp_path: Path
) -> None:
    folder, policy, version, release = kept
    place = folder.parent / "policy"
    word = {
        "directory": str(place),
        "file": str(place / "policy.onnx"),
        "version": version[:12],
        "release": release[:12],
        "alias": "shadow",
    }[how]
    found = find(word, SPEC, folder, tmp_path, "hall")
    assert load(found, SPEC).hash == policy.hash
    assert (found.parent == tmp_path) == (how in ("version", "release", "alias"))


@pytest.mark.parametrize(
    ("word", "said"),
    [("candidate", "expected one release that is called candidate"), ("0" * 12, "there are none"), ("x", "digits")],
)
def test_a_name_that_means_nothing_is_one_line(
    word: str, said: str, kept: tuple[Path, Policy, str, str], tmp_path: Path
) -> None:
    with pytest.raises(MusterError, match=said) as told:
        find(word, SPEC, kept[0], tmp_path, "hall")
    assert "\n" not in str(told.value)


def test_another_robot_has_no_shadow_here(kept: tuple[Path, Policy, str, str], tmp_path: Path) -> None:
    with pytest.raises(ShadowError, match="expected one release that is called shadow for this robot"):
        find("shadow", RobotSpec(length=0.5), kept[0], tmp_path, "hall")
