"""Training and comparing the road's motor level."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.export import export
from agents.layers import read_layers
from agents.ppo import Learner
from fleet.metrics import TrainingMetrics
from fleet.roadmotor import compare_motor, firmware, motor_ppo, train_motor, velocity_error
from hierarchy.curriculum import read_comparison
from sim.driving.motor import MotorConfig, motor_contract
from sim.driving.motorsense import OBSERVATION


@dataclass(frozen=True)
class Config:
    seed: int = 2
    worlds: int = 64
    device: str = "cpu"
    out: Path | None = None
    resume: str = ""
    randomization: str = ""


def untrained(place: Path) -> Path:
    """What training begins with, frozen."""
    place.mkdir()
    learner = Learner(motor_ppo(), OBSERVATION, 2, parts=2, seed=2, device="cpu")
    contract = motor_contract(MotorConfig().spec)
    export(place, learner.network, learner.observation_moments, contract, training={}, evaluation={})
    return place


def test_seconds_of_training_beat_the_untrained_policy_and_the_firmware(tmp_path: Path) -> None:
    comparison = train_motor(Config(), tmp_path, 60.0, TrainingMetrics(), steps=50_000, episodes=16)
    assert comparison.ratio < 0.92
    assert read_comparison(tmp_path / "motor") == comparison
    assert json.loads((tmp_path / "motor" / "policy.json").read_text())["training"]["below"] == {}
    assert read_layers(tmp_path / "motor").weights[0].shape == (32, OBSERVATION)
    before = compare_motor(untrained(tmp_path / "untrained"), seed=2, episodes=16)
    assert before.twin == comparison.twin
    assert comparison.learned < 0.92 * before.learned


def test_the_twin_says_nothing_and_errs_as_stated() -> None:
    assert not firmware(np.ones((3, OBSERVATION), np.float32)).any()
    error = velocity_error(firmware, 1, 32, "kinematic", MotorConfig())
    assert 0.07 < error < 0.11  # 0.090 m/s over 200 episodes (2026-11)
