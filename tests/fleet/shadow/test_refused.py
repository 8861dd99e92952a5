"""A wrong candidate is refused in one line that names the argument, before a launch makes or starts anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet import cli, launch
from fleet.registry import command as registry
from sim.robot import RobotSpec
from tests.fleet.drivepolicies import write_driving_policies
from tests.fleet.hand_policy import write_hand_policy

HERE = Path(__file__).parents[3] / "launch"
FLOORS = ("warehouse", "warehouse_demo", "fleet_ros", "robot", "shadow")


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("production")
    write_hand_policy(place, RobotSpec())
    return place


def _nowhere(place: Path) -> str:
    return str(place / "nowhere")


def _another_robot(place: Path) -> str:
    write_hand_policy(place, RobotSpec(length=0.5))
    return str(place)


def _altered(place: Path) -> str:
    write_hand_policy(place, RobotSpec())
    with (place / "policy.onnx").open("ab") as file:
        file.write(b"\0")
    return str(place)


def _a_car(place: Path) -> str:
    return str(write_driving_policies(place))


def _unknown_version(place: Path) -> str:
    _registered(place, RobotSpec())
    return "0123456789"


def _unknown_alias(place: Path) -> str:
    _registered(place, RobotSpec())
    return "candidate"


def _version_for_another(place: Path) -> str:
    return _registered(place, RobotSpec(length=0.5))


def _altered_in_the_registry(place: Path) -> str:
    version = _registered(place, RobotSpec())
    largest = max((place / "registry" / "objects").glob("*/*"), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"\0")
    return version


def _registered(place: Path, spec: RobotSpec) -> str:
    (place / "policy").mkdir()
    write_hand_policy(place / "policy", spec)
    config = registry.Config("add", (str(place / "policy"),), registry=place / "registry", by="ann")
    assert registry.run(config) == 0
    store = registry.Registry(place / "registry", read_only=True)
    (manifest,) = store.versions()
    store.close()
    return manifest.id[:12]


WRONG: list[tuple[Callable[[Path], str], str]] = [
    (_nowhere, "there is no registry"),
    (_another_robot, "embodiment"),
    (_altered, "sha256"),
    (_a_car, "expected a directory with policy.onnx"),
    (_unknown_version, "there are none"),
    (_unknown_alias, "called candidate for this robot"),
    (_version_for_another, "embodiment"),
    (_altered_in_the_registry, "sha256"),
]


@pytest.mark.parametrize(("make", "why"), WRONG)
@pytest.mark.parametrize("file", FLOORS)
def test_a_launch_of_robots_refuses_a_wrong_candidate_before_it_makes_anything(
    file: str,
    make: Callable[[Path], str],
    why: str,
    production: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if file == "fleet_ros":
        pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    (tmp_path / "made").mkdir()
    (tmp_path / "here").mkdir()
    word = make(tmp_path / "made")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(launch, "create_run", lambda *_, **__: pytest.fail("the launch begins"))
    capsys.readouterr()
    words = [f"policy:={production}", f"shadow:={word}", f"registry:={tmp_path / 'made' / 'registry'}"]
    assert cli.main(["launch", str(HERE / f"{file}.launch.yaml"), *words]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert f"shadow:={word}: " in said
    assert why in said
    assert list((tmp_path / "here").iterdir()) == []


def test_a_log_that_is_none_or_a_candidate_for_another_robot_is_refused_before_the_offline_launch(
    production: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["launch", str(HERE / "shadow.launch.yaml"), "offline:=true", "log:=nothing", f"shadow:={production}"]
    assert cli.main(words) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "nothing does not exist" in said
    assert list(tmp_path.iterdir()) == []
