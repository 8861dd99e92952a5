"""What the doctor says of the models that a robot answers by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.checkup.finding import Finding, Reading, Verdict
from fleet.checkup.models import ModelFacts, PolicyFacts, check, look
from sim.bodies.specs import CAR
from sim.robot import DiffDrive, RobotSpec
from tests.fleet.drivepolicies import write_driving_policies
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
GOOD = PolicyFacts("a" * 64, "b" * 64, 360_000, answer=5e-5)
WELL = ModelFacts("1.31.1", "", "warp 1.19.0", "", Reading("runs/x", GOOD))


def faults(facts: ModelFacts) -> list[Finding]:
    return [each for each in check(facts) if each.verdict is Verdict.MEND]


def test_libraries_that_load_and_a_policy_that_answers_are_well() -> None:
    assert faults(WELL) == []


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("onnxruntime", replace(WELL, runtime_error="its process ended by SIGILL")),
        ("kernels", replace(WELL, kernels_error="cannot write")),
        ("policy", replace(WELL, policy=Reading("x", error="no such file"))),
        ("policy", replace(WELL, policy=Reading("x", replace(GOOD, complaint="another contract")))),
        ("inference", replace(WELL, policy=Reading("x", replace(GOOD, answer=0.03)))),
    ],
)
def test_a_planted_fault_is_named_with_what_to_do(name: str, facts: ModelFacts) -> None:
    (fault,) = faults(facts)
    assert fault.name == name
    assert fault.remedy


def test_a_policy_is_loaded_compared_and_asked(tmp_path: Path) -> None:
    write_hand_policy(tmp_path, SPEC)
    facts = look(tmp_path, SPEC)
    assert faults(facts) == []
    assert facts.policy is not None
    assert facts.policy.value is not None
    assert 0.0 < facts.policy.value.answer < 0.05
    other = replace(SPEC, drive=DiffDrive(speed_max=0.7))
    (fault,) = faults(look(tmp_path, other))
    assert "expected a policy for contract" in fault.found


@pytest.mark.parametrize("damage", ["graph", "manifest", "missing"])
def test_a_damaged_policy_is_one_line(tmp_path: Path, damage: str) -> None:
    write_hand_policy(tmp_path, SPEC)
    if damage == "graph":
        (tmp_path / "policy.onnx").write_bytes(b"no graph")
    elif damage == "manifest":
        manifest = json.loads((tmp_path / "policy.json").read_text())
        (tmp_path / "policy.json").write_text(json.dumps({**manifest, "contract_hash": "0" * 64}))
    else:
        (tmp_path / "policy.onnx").unlink()
    (fault,) = faults(look(tmp_path, SPEC))
    assert fault.name == "policy"
    assert "\n" not in fault.found


def test_driving_policies_are_loaded_compared_and_asked_for_a_car(tmp_path: Path) -> None:
    """A warehouse robot's and a car's: which it is, the folder says where no specification does."""
    write_driving_policies(tmp_path)
    for spec in (None, CAR):
        facts = look(tmp_path, spec)
        assert faults(facts) == []
        assert facts.policy is not None
        assert facts.policy.value is not None
        assert 0.0 < facts.policy.value.answer < 0.05


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (replace(CAR, period=2 * CAR.period), "expected a policy for contract"),
        (SPEC, "a differential drive"),
    ],
    ids=["another car", "no car"],
)
def test_driving_policies_of_another_vehicle_are_to_mend(tmp_path: Path, spec: RobotSpec, said: str) -> None:
    write_driving_policies(tmp_path)
    (fault,) = faults(look(tmp_path, spec))
    assert fault.name == "policy"
    assert said in fault.found
    assert "\n" not in fault.found
    assert len(fault.found) < 400, "without both contracts, which are a page each"


def test_a_skill_in_anothers_place_is_to_mend(tmp_path: Path) -> None:
    write_driving_policies(tmp_path)
    (tmp_path / "lane").rename(tmp_path / "aside")
    (tmp_path / "change").rename(tmp_path / "lane")
    (tmp_path / "aside").rename(tmp_path / "change")
    (fault,) = faults(look(tmp_path, CAR))
    assert "lane: expected a policy for contract" in fault.found


@pytest.mark.parametrize("damage", ["graph", "level", "a robot's"])
def test_damaged_driving_policies_are_one_line(tmp_path: Path, damage: str) -> None:
    write_driving_policies(tmp_path)
    place: Path = tmp_path
    if damage == "graph":
        (tmp_path / "change" / "policy.onnx").write_bytes(b"no graph")
    elif damage == "level":
        (tmp_path / "pull_over" / "policy.json").unlink()
    else:
        place = tmp_path / "hand"
        place.mkdir()
        write_hand_policy(place, SPEC)
    (fault,) = faults(look(place, CAR))
    assert fault.name == "policy"
    assert "\n" not in fault.found
    assert {"graph": "change", "level": "got none in pull_over", "a robot's": "expected driving policies"}[
        damage
    ] in fault.found
