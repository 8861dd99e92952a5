"""The levels trained one after the other, in small: frozen on each other, resumable, beside their twins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.errors import ContractMismatch
from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import Policy
from fleet import cli
from fleet.hierarchy_train import COMPARES, TRAINS, Config, check, conclude
from fleet.launchfile import read_plan
from fleet.metrics import TrainingMetrics
from fleet.rundir import create_run
from hierarchy.chooser import choose_contract
from hierarchy.curriculum import Comparison, check_chain, read_comparisons
from sim.errors import MusterError
from sim.robot import RobotSpec
from sim.specfile import SpecFile, write_spec
from sim.tasks.navigate_contract import navigate_contract
from sim.tasks.track import track_contract
from tests.fleet.hand_policy import write_hand_policy

CONTRACTS = {"motor": track_contract, "navigate": navigate_contract, "meta": choose_contract}
# with a tenth of the planar steps no leg arrives, and meta has nothing to learn from
SMALL = ["motor_steps:=4096", "planar_steps:=65536", "wheel_steps:=1024", "meta_iterations:=1"]
SMALL += ["worlds:=32", "episodes:=4", "seconds:=240"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worlds": 3}, "worlds in pairs"),
        ({"motor_steps": 0}, "--motor-steps: expected a whole number from 1 up, got 0"),
        ({"episodes": -1}, "--episodes: expected a whole number from 1 up"),
        ({"seconds": float("inf")}, "--seconds: expected a finite time above 0 s, got inf;"),
        ({"seed": -2}, "--seed: expected a whole number"),
        ({"seed": 5_000_000_000}, "--seed: expected a whole number from 0 up to 1000000000, got 5000000000"),
    ],
)
def test_values_that_cannot_work_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MusterError, match=message):
        check(Config(**change))


def test_the_last_line_names_each_level_that_missed_its_goal(capsys: pytest.CaptureFixture) -> None:
    motor = Comparison("motor", "speed error", "m/s", 2.0, 1.0, 1.1, "lower", 4)
    navigate = Comparison("navigate", "success x speed", "m/s", 1.0, 1.0, 0.9, "higher", 4)
    meta = Comparison("meta", "lines", "1/h", 0.5, 1.0, 0.9, "higher", 4)
    assert conclude([motor, navigate, meta]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "motor (ratio 2.000, above its goal of 1.1), meta (ratio 0.500, below its goal of 0.9)" in line
    assert conclude([navigate]) == 0
    assert capsys.readouterr().out == ""


def test_a_run_that_is_none_is_not_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["hierarchy", "--resume", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not a run directory" in line


def test_a_run_is_not_gone_on_with_for_another_robot(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, contract = create_run(tmp_path), track_contract(RobotSpec(mass=75.0))
    place = run.root / "motor"
    place.mkdir()
    network = ActorCritic(
        contract.observation_size, contract.action_size, (8,), generator=torch.Generator().manual_seed(1)
    )
    export(place, network, Moments(contract.observation_size), contract, training={}, evaluation={})
    Comparison("motor", "speed error", "m/s", 1.0, 1.0, 1.1, "lower", 4).write(place)
    assert cli.main(["hierarchy", "--resume", str(run.root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "they differ in embodiment" in line
    assert not (run.root / "navigate").exists()


def test_a_launch_hands_the_robot_to_the_training(root: Path) -> None:
    plan = read_plan(root / "launch" / "hierarchy_train.launch.yaml", {"spec": "mine.yaml"}, {})
    (process,) = plan.processes
    assert process.command[process.command.index("--spec") + 1] == "mine.yaml"


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The run of a launch in small; its policies learned little."""
    runs = tmp_path_factory.mktemp("runs")
    launch(root, runs)
    (run,) = runs.iterdir()
    return run


def launch(root: Path, runs: Path, *more: str) -> str:
    command = [sys.executable, "-m", "fleet.cli", "launch", "launch/hierarchy_train.launch.yaml", *SMALL, *more]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    done = subprocess.run(
        [*command, "--runs", str(runs)], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: a level is below its goal, as it must be here
    assert "hierarchy trained in" in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_each_level_is_frozen_on_the_one_below(launched: Path) -> None:
    policies = {level: Policy.load(launched / level) for level in TRAINS}
    for level, contract in CONTRACTS.items():
        policies[level].check(contract(RobotSpec()))
    assert policies["navigate"].manifest["training"]["below"] == {"motor": policies["motor"].hash}
    check_chain({level: policy.manifest for level, policy in policies.items()})


@pytest.mark.slow
def test_the_report_has_one_table_with_every_level_beside_its_twin(launched: Path) -> None:
    comparisons = read_comparisons(launched)
    assert [comparison.level for comparison in comparisons] == list(TRAINS)
    text = (launched / "report.html").read_text()
    assert text.count("The hierarchy, bottom-up") == 1
    for comparison in comparisons:
        # two minutes of a fleet on a skill that learned little may deliver nothing
        assert comparison.twin > 0.0 or comparison.level == "meta"
        assert f"{comparison.ratio:.3f}" in text
        manifest = json.loads((launched / comparison.level / "policy.json").read_text())
        assert manifest["contract_hash"][:12] in text


@pytest.mark.slow
def test_each_level_is_trained_and_measured_for_the_robot_of_a_file(tmp_path: Path) -> None:
    """The skill is a hand-written one: two thousand steps teach none to arrive, and meta learns from legs that do."""
    heavy = RobotSpec(name="heavy", mass=75.0)
    write_spec(tmp_path / "heavy.yaml", SpecFile(heavy))
    small = Config(worlds=16, motor_steps=512, planar_steps=2048, wheel_steps=512, meta_iterations=1, episodes=2)
    config, metrics = replace(small, spec=str(tmp_path / "heavy.yaml")), TrainingMetrics()
    for level, train in TRAINS.items():
        if level == "meta":
            write_hand_policy(tmp_path / "navigate", heavy)
        (tmp_path / level).mkdir()
        assert train(config, tmp_path, 120.0, metrics).level == level
        policy = Policy.load(tmp_path / level)
        policy.check(CONTRACTS[level](heavy))
        with pytest.raises(ContractMismatch, match="embodiment"):
            policy.check(CONTRACTS[level](RobotSpec()))
        with pytest.raises(ContractMismatch, match="embodiment"):
            COMPARES[level](tmp_path, 1, 2)


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_left(launched: Path, root: Path, tmp_path: Path) -> None:
    """What is frozen stays; the level that was under way goes on and ends with the same bits."""
    before = {level: (launched / level / "policy.onnx").read_bytes() for level in TRAINS}
    for level in ("navigate", "meta"):
        (launched / level / "policy.json").unlink()
        (launched / level / "policy.onnx").unlink()
    said = launch(root, tmp_path, f"resume:={launched}")
    assert "motor is frozen already" in said
    assert "resumed at 1,024 steps" in said
    assert {level: (launched / level / "policy.onnx").read_bytes() for level in TRAINS} == before
