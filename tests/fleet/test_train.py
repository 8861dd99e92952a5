from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.errors import TrainingError
from agents.policy import Policy
from agents.trainer import Progress
from fleet import cli
from fleet.evaluate import PROFILES, EvaluationError, measure
from fleet.rundir import ENVIRONMENT
from fleet.train import Config, check, make_task, make_trainer
from sim.errors import MusterError
from sim.robot import DiffDrive, Lidar, RobotSpec
from sim.specfile import SpecFile, write_spec
from sim.tasks.navigate_contract import navigate_contract

SMALL = ["--steps", "4000", "--worlds", "32", "--seconds", "60", "--check-episodes", "20"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    # 4,000 steps learn nothing: the target is missed, which the exit code says, and the policy frozen all the same
    assert cli.main(["train", *SMALL, "--out", str(directory)]) == 1
    return directory


def test_training_leaves_a_policy_and_its_curve(trained: Path) -> None:
    policy = Policy.load(trained)
    manifest = policy.manifest
    assert manifest["training"]["seed"] == 1
    assert manifest["training"]["steps"] >= 4000
    assert manifest["training"]["task"]["reward"]
    assert 0.0 <= manifest["evaluation"]["success"] <= 1.0
    assert [json.loads(line)["steps"] for line in (trained / "train.jsonl").read_text().splitlines()]
    assert list((trained / "tb").glob("events.*"))
    assert list((trained / "checkpoints").glob("step_*.npz"))


def test_policy_trained_on_64_rays_fits_the_robot_with_360(trained: Path) -> None:
    policy = Policy.load(trained)
    policy.check(navigate_contract(RobotSpec()))
    policy.check(navigate_contract(RobotSpec(lidar=Lidar(rays=64))))
    with pytest.raises(MusterError, match="embodiment"):
        policy.check(navigate_contract(RobotSpec(mass=500.0)))


def test_a_policy_is_trained_for_the_robot_of_a_specification(tmp_path: Path) -> None:
    """As `muster calibrate` writes one: no other policy fits it."""
    spec = replace(RobotSpec(), name="depot7", drive=DiffDrive(brake_min=1.3))
    write_spec(tmp_path / "robot.yaml", SpecFile(spec))
    config = Config(spec=str(tmp_path / "robot.yaml"), worlds=8, check_episodes=4)
    trainer = make_trainer(config, tmp_path)
    assert trainer.contract.hash == navigate_contract(spec).hash
    assert trainer.contract.hash != navigate_contract(RobotSpec()).hash
    assert make_task(config).spec == replace(spec, lidar=make_task(Config()).spec.lidar), "with the task's rays"


@pytest.mark.parametrize(
    ("text", "said"),
    [("{mas: 3}", 'did you mean "mass"'), ("{length: 4.0, width: 1.8, drive: {wheelbase: 2.5}}", "differential")],
)
def test_a_robot_that_cannot_be_trained_for_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "robot.yaml").write_text(f"muster: 1\nrobot: {text}\n")
    with pytest.raises(MusterError, match=said):
        check(Config(spec=str(tmp_path / "robot.yaml")))


def test_missed_target_freezes_nothing_where_the_target_was_the_goal(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    code = cli.main(["train", *SMALL, "--until-target", "--target", "0.9", "--out", str(tmp_path)])
    assert code == 1
    said = capsys.readouterr().out
    assert "target missed" in said
    assert "simulation: graph on cpu: none, the physics runs on the host" in said
    assert not (tmp_path / "policy.onnx").exists()
    assert not (tmp_path / "policy.json").exists()


def test_run_goes_on_from_its_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cli.main(["train", *SMALL, "--out", str(tmp_path)])
    cli.main(["train", *SMALL[2:], "--steps", "6000", "--resume", str(tmp_path)])
    assert "resumed at 4,096 steps" in capsys.readouterr().out
    steps = [json.loads(line)["steps"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert steps[-1] >= 6000


class Killed(Exception):
    """What ends a run in the middle."""


def test_resumed_navigation_ends_with_the_weights_of_an_uninterrupted_run(tmp_path: Path) -> None:
    # the shield's memory, the people and the physics are all in the checkpoint: any of them missing changes the weights
    config = Config(steps=6000, worlds=32, target=1.0, check_episodes=2)
    whole = make_trainer(config, tmp_path / "whole")
    whole.run(lambda progress: None)
    killed = make_trainer(config, tmp_path / "killed")

    def kill(progress: Progress) -> None:
        if progress.steps > 0.6 * config.steps:
            killed.save()
            raise Killed

    with pytest.raises(Killed):
        killed.run(kill)
    assert killed.config.ppo.anneal >= 0.5  # so it was interrupted while the desired divergence fell
    resumed = make_trainer(config, tmp_path / "killed")
    resumed.resume(tmp_path / "killed")
    assert 0 < resumed.steps < config.steps
    resumed.run(lambda progress: None)
    assert resumed.weights_hash() == whole.weights_hash() != killed.weights_hash()


def test_resume_from_nowhere_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["train", *SMALL, "--resume", str(tmp_path / "nothing"), "--out", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worlds": 3}, "in pairs"),
        ({"worlds": 0}, "--worlds: expected 1 or more worlds, got 0; raise it"),
        ({"check_episodes": 0}, "--check-episodes: expected 1 or more episodes"),
        ({"seconds": 0.0}, "--seconds: expected a finite time above 0 s, got 0;"),
        ({"seconds": -1.0}, "--seconds: expected a finite time above 0 s, got -1;"),
        ({"seconds": float("inf")}, "--seconds: expected a finite time above 0 s, got inf;"),
        ({"seconds": float("nan")}, "--seconds: expected a finite time above 0 s, got nan;"),
        ({"target": 95.0}, "--target: expected a share above 0"),
        ({"device": "tpu"}, "expected device cpu"),
    ],
)
def test_values_that_cannot_work_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        make_trainer(Config(**change), tmp_path)  # pyright: ignore[reportArgumentType]


def test_frozen_policy_is_the_one_that_was_trained(trained: Path) -> None:
    trainer = make_trainer(Config(steps=4000, worlds=32), trained)
    trainer.resume(trained)
    observation = np.random.default_rng(1).uniform(0.0, 1.0, (64, trainer.contract.observation_size))
    expected = trainer.act()(observation.astype(np.float32))
    came = Policy.load(trained).act(observation.astype(np.float32))
    np.testing.assert_allclose(came, expected, atol=1e-5, rtol=0.0)


class Charge:
    """Full speed ahead, whatever is seen: the worst driver that there is."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        return np.tile(np.array([[1.0, 0.0]], np.float32), (len(observation), 1))


@pytest.mark.parametrize("profile", PROFILES)
def test_oracle_and_engine_count_the_same_collisions(profile: str) -> None:
    found = measure(Charge(), profile, episodes=20, seed=3, worlds=20)  # pyright: ignore[reportArgumentType]
    assert found.episodes == 20
    assert found.disagreements == 0
    assert found.collisions == found.oracle_collisions
    if profile == "no_shield":
        assert found.collisions > 0.2
        assert found.interventions == 0.0
    else:
        assert found.collisions == 0.0
        assert found.left == 0.0
        assert found.interventions > 0.1


def test_evaluation_of_nothing_is_refused(trained: Path) -> None:
    from fleet.evaluate import Config as EvaluateConfig
    from fleet.evaluate import run

    with pytest.raises(EvaluationError, match="at least 1 episode"):
        run(EvaluateConfig(policy=trained, episodes=0))


def test_evaluation_prints_a_line_for_each_profile(trained: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["evaluate", "--policy", str(trained), "--episodes", "4", "--worlds", "4", "--profiles", "no_shield"]
    assert cli.main(arguments) == 0
    assert "4 episodes a profile" in capsys.readouterr().out


def test_training_alone_makes_its_own_run_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    cli.main(["train", *SMALL])
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "policy.json").exists()
    assert json.loads((run / "run.json").read_text())["seed"] == 1
