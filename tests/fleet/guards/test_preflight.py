"""Skews between training and a robot are found on golden observations, before anything moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.errors import ContractMismatch, PolicyError
from agents.policy import MANIFEST, Policy
from fleet.guards.preflight import observed, preflight
from sim.robot import RobotSpec
from tests.fleet.guarded import write_guarded_policy
from tests.fleet.hand_policy import write_hand_policy

Raw = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_guarded_policy(tmp_path_factory.mktemp("guarded"))


@pytest.mark.parametrize("rays", [64, 360, 720])
def test_a_robot_with_any_number_of_rays_sees_what_training_saw(policy: Policy, rays: int) -> None:
    spec = replace(RobotSpec(), lidar=replace(RobotSpec().lidar, rays=rays))
    report = preflight(policy, spec)
    assert report.guarded
    assert report.golden == 2


SKEWS: dict[str, Callable[[Raw], Raw]] = {
    "ranges in millimetres": lambda raw: raw | {"scan": raw["scan"] * 1000.0},
    "ranges / 6 m": lambda raw: raw | {"scan": raw["scan"] / 6.0},
    "scan reversed": lambda raw: raw | {"scan": raw["scan"][:, ::-1]},
    "scan begins ahead": lambda raw: raw | {"scan": np.roll(raw["scan"], 32, 1)},
    "scan one ray on": lambda raw: raw | {"scan": np.roll(raw["scan"], 1, 1)},
    "yaw in degrees": lambda raw: raw | {"pose": raw["pose"] * np.array([1.0, 1.0, 57.3])},
    "x and y exchanged": lambda raw: raw | {"pose": raw["pose"][:, [1, 0, 2]]},
    "speed in km/h": lambda raw: raw | {"twist": raw["twist"] * np.array([3.6, 1.0])},
    "yaw rate of the other sign": lambda raw: raw | {"twist": raw["twist"] * np.array([1.0, -1.0])},
    "command of the cycle after": lambda raw: raw | {"last_command": raw["twist"]},
    "corridor of whole widths": lambda raw: raw | {"half_width": raw["half_width"] * 2.0},
    "goal never told": lambda raw: raw | {"final": raw["final"] * 0},
}


@pytest.mark.parametrize("skew", SKEWS)
def test_a_skew_of_the_feature_code_is_refused_with_the_field(policy: Policy, skew: str) -> None:
    with pytest.raises(PolicyError, match="expected this robot to see"):
        preflight(policy, RobotSpec(), lambda raw, spec: observed(SKEWS[skew](raw), spec))


def test_fields_in_another_order_are_refused(policy: Policy) -> None:
    with pytest.raises(PolicyError, match="of its feature code are others"):
        preflight(policy, RobotSpec(), lambda raw, spec: np.roll(observed(raw, spec), 3, 1))
    with pytest.raises(PolicyError, match="this robot's 40: its feature code is another"):
        preflight(policy, RobotSpec(), lambda raw, spec: observed(raw, spec)[:, :40])


def test_another_embodiment_is_refused(policy: Policy) -> None:
    with pytest.raises(ContractMismatch):
        preflight(policy, replace(RobotSpec(), length=0.9))


def test_a_graph_with_another_normaliser_or_other_weights_is_refused(policy: Policy, tmp_path: Path) -> None:
    manifest = json.loads(json.dumps(policy.manifest))
    manifest["guard"]["golden"][1]["action"][0] += 0.01
    with pytest.raises(PolicyError, match="its normaliser or weights are others"):
        preflight(replace(policy, manifest=manifest), RobotSpec())


@pytest.mark.parametrize("golden", [None, [], [{}], [{"raw": 3}], {"a": 1}, [{"raw": {}, "observation": "x"}]])
def test_golden_observations_that_cannot_be_read_are_one_line(policy: Policy, golden: object) -> None:
    with pytest.raises(PolicyError, match="golden observations"):
        preflight(replace(policy, manifest={**policy.manifest, "guard": {"golden": golden}}), RobotSpec())


def test_an_older_policy_drives_without_a_guard_and_that_is_said(tmp_path: Path) -> None:
    report = preflight(write_hand_policy(tmp_path), RobotSpec())
    assert not report.guarded
    assert "has no guard" in report.line
    assert "guard" not in json.loads((tmp_path / MANIFEST).read_text())
