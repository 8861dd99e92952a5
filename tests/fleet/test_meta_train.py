"""The meta level from measured legs to a frozen policy, in small; its worth in the coordinator's rehearsal."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from agents.choices import ChoiceConfig, ChoiceLearner
from agents.errors import CheckpointError, ContractMismatch, PolicyError, TrainingError
from fleet import meta_run, meta_train
from fleet.findings import read_curve
from fleet.legs import LegsConfig, LegTable, LegWorlds, Places
from fleet.meta_legs import fit, measure_legs
from fleet.meta_run import MetaRun
from fleet.meta_score import Score, ScoreConfig, compare_meta, held_out_site, ratio, score
from fleet.meta_train import SHAPE, MetaProgress, lines_per_hour, prior_of, train_meta, tune_rule
from hierarchy.chooser import META, Rule, load_chooser
from sim.generate import generate_warehouse
from sim.robot import RobotSpec
from tests.fleet.hand_policy import write_hand_policy


def test_a_table_is_the_line_through_the_legs_and_what_is_left() -> None:
    legs = np.array([[4.0, 11.0], [8.0, 19.0], [4.0, 9.0], [8.0, 17.0], [10.0, 60.0]])
    table = fit(legs, np.array([True, True, True, True, False]), "skill")
    assert table.seconds_per_cell == pytest.approx(2.0)
    assert table.constant == pytest.approx(2.0)
    assert table.spread == pytest.approx(sorted([11 / 10, 9 / 10, 19 / 18, 17 / 18]))
    assert (table.failure, table.retry) == (pytest.approx(0.2), 60.0)


def test_a_skill_that_never_arrives_gives_no_table() -> None:
    legs = np.array([[4.0, 11.0], [8.0, 19.0], [4.0, 9.0]])
    with pytest.raises(TrainingError, match="that arrives over ways of different lengths, 0 of its 3 measured legs"):
        fit(legs, np.zeros(3, bool), "skill")
    with pytest.raises(TrainingError, match="2 of its 3"):
        fit(legs, np.array([True, False, True]), "skill")


def test_training_freezes_a_policy_that_is_pinned_to_its_skill(tmp_path: Path) -> None:
    (tmp_path / "skill").mkdir()
    (tmp_path / "other").mkdir()
    skill = write_hand_policy(tmp_path / "skill")
    outcome = train_meta(tmp_path / META, skill, iterations=1, worlds=8, table=LegTable())
    chooser = load_chooser(tmp_path / "skill", RobotSpec(), skill)
    assert chooser.policy.hash == outcome.chooser.policy.hash
    assert chooser.policy.manifest["training"]["below"] == {"navigate": skill.hash}
    with pytest.raises(ContractMismatch):
        load_chooser(tmp_path, RobotSpec(mass=99.0), skill)
    with pytest.raises(PolicyError, match="trained on skill"):
        load_chooser(tmp_path, RobotSpec(), replace(skill, hash="0" * 64))
    with pytest.raises(TrainingError, match="iteration"):
        train_meta(tmp_path / META, skill, iterations=0)


def test_a_robot_of_its_own_has_its_own_meta_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its legs are measured with its skill, and what it draws from its battery is what its weight takes."""
    monkeypatch.setattr(meta_train, "FLOORS", 4)
    (tmp_path / "skill").mkdir()
    heavy = RobotSpec(name="heavy", mass=190.0)
    skill = write_hand_policy(tmp_path / "skill", heavy)
    monkeypatch.setattr(meta_train, "measure_legs", partial(measure_legs, episodes=20, worlds=10))
    train_meta(tmp_path / META, skill, spec=heavy, iterations=1, worlds=8)
    chooser = load_chooser(tmp_path / "skill", heavy, skill)
    assert chooser.policy.manifest["training"]["legs"]["skill"] == skill.hash
    with pytest.raises(ContractMismatch, match="embodiment"):
        load_chooser(tmp_path / "skill", RobotSpec(), skill)
    floors, rule = [Places.of(generate_warehouse(3))], Rule(1.0, 0.3, 0.9)
    light, laden = (lines_per_hour(rule, floors, LegsConfig(), 0, spec, worlds=8) for spec in (RobotSpec(), heavy))
    assert laden < light
    site, config = held_out_site(0), ScoreConfig(robots=3, stock=6, seconds=120.0)
    assert score(rule, site, replace(config, spec=heavy), 5).owed > score(rule, site, config, 5).owed
    with pytest.raises(ContractMismatch, match="embodiment"):
        compare_meta(tmp_path / META, seeds=(1,), config=config)


class Killed(Exception):
    """What ends a training in the middle."""


def test_a_resumed_training_freezes_the_policy_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed one iteration after a checkpoint, between two looks and two renewals of the worlds."""
    for module, name, value in ((meta_train, "SAVE", 2), (meta_train, "LOOK", 3), (meta_run, "RENEW", 3)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(meta_train, "FLOORS", 4)
    (tmp_path / "skill").mkdir()
    train = partial(train_meta, skill=write_hand_policy(tmp_path / "skill"), iterations=7, worlds=8)
    whole = train(tmp_path / "whole", table=LegTable())

    def kill(progress: MetaProgress) -> None:
        if progress.iteration == 5:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "killed", table=LegTable(), report=kill)
    assert not (tmp_path / "killed" / "policy.json").exists()
    seen: list[int] = []
    resumed = train(tmp_path / "killed", resume=True, report=lambda progress: seen.append(progress.iteration))
    assert seen == [5, 6, 7], "it goes on after the checkpoint of iteration 4"
    assert (resumed.rule, resumed.table) == (whole.rule, whole.table), "nothing is measured or tuned twice"
    for name in ("policy.onnx", "policy.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    ends = [load_checkpoint(find_checkpoint(tmp_path / name)) for name in ("killed", "whole")]
    assert ends[0].arrays.keys() == ends[1].arrays.keys()
    for name, array in ends[0].arrays.items():
        np.testing.assert_array_equal(array, ends[1].arrays[name], err_msg=name)
    curves = [read_curve(tmp_path / name / "train.jsonl") for name in ("killed", "whole")]
    assert [[entry["steps"] for entry in curve] for curve in curves] == [[8 * 64 * k for k in range(1, 8)]] * 2
    assert [entry["per_hour"] for entry in curves[0]] == [entry["per_hour"] for entry in curves[1]]
    assert [number for number, entry in enumerate(curves[0], 1) if "check_per_hour" in entry] == [3, 6, 7]
    again = train(tmp_path / "killed", resume=True, report=kill)
    assert again.chooser.policy.hash == whole.chooser.policy.hash, "a training that is over is frozen once more"


def test_the_best_policy_so_far_is_in_a_checkpoint() -> None:
    """The look that found it may have been long before the kill."""

    def made(seed: int) -> MetaRun:
        worlds = LegWorlds([Places.of(generate_warehouse(3))], LegsConfig(), 4, seed, RobotSpec())
        return MetaRun(ChoiceLearner(ChoiceConfig(), SHAPE, prior_of(Rule(1.0, 0.3, 0.9)), seed), worlds)

    one, other = made(0), made(1)
    one.look(50.0)
    best = {name: value.clone() for name, value in one.kept.items()}
    one.iterate(4)
    other.load(Checkpoint({"steps": one.iteration}, one.arrays()))
    other.look(49.0)
    assert (other.iteration, other.best) == (1, 50.0)
    for name, value in best.items():
        assert torch.equal(other.kept[name], value)
    assert not torch.equal(other.learner.network.none.weight, best["none.weight"])
    with pytest.raises(CheckpointError, match="does not fit"):
        other.load(Checkpoint({"steps": 1}, {}))


def test_a_training_is_not_gone_on_with_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_train, "FLOORS", 4)
    (tmp_path / "skill").mkdir()
    skill = write_hand_policy(tmp_path / "skill")
    train = partial(train_meta, tmp_path / META, table=LegTable(), iterations=1, worlds=8)
    with pytest.raises(CheckpointError, match="expected a checkpoint or a run directory"):
        train(skill, resume=True)
    train(skill)
    with pytest.raises(CheckpointError, match="was trained with seed 0, expected 5; resume with the arguments"):
        train(skill, seed=5, resume=True)
    with pytest.raises(CheckpointError, match="was trained with worlds 8, expected 16"):
        train(skill, worlds=16, resume=True)
    with pytest.raises(CheckpointError, match="was trained with skill"):
        train(replace(skill, hash="0" * 64), resume=True)


def test_the_twin_is_tuned_to_be_no_worse_than_where_it_begins() -> None:
    floors = [Places.of(generate_warehouse(3))]
    config = LegsConfig()
    tuned, first = tune_rule(floors, config, 0, RobotSpec(), worlds=8), Rule(1.0, 0.3, 0.9)
    of_tuned, of_first = (lines_per_hour(rule, floors, config, 0, RobotSpec(), worlds=8) for rule in (tuned, first))
    assert of_tuned >= of_first > 30.0
    assert float(prior_of(tuned).tasks[1]) < 0.0


def test_the_arms_of_a_seed_share_all_but_the_answers() -> None:
    site, config = held_out_site(0), ScoreConfig(robots=3, stock=6, seconds=120.0)
    near, again = (score(Rule(0.0, 0.2, 0.9), site, config, 5) for _ in range(2))
    assert near == again
    assert near.lines > 0
    assert near.charged == 0
    oldest = score(Rule(1000.0, 0.2, 0.9), site, config, 5)
    assert oldest != near, "the answers matter"
    by_rule = score(None, site, config, 5)
    assert by_rule.lines > 0


def test_an_hour_that_ends_emptier_owes_the_charging() -> None:
    full = Score(lines=100, seconds=3600.0, owed=0.0, waited=0.0, longest=0.0, charged=0)
    empty = replace(full, lines=110, owed=360.0)
    assert full.per_hour == pytest.approx(100.0)
    assert empty.per_hour == pytest.approx(100.0)
    assert ratio([empty], [full]) == pytest.approx(1.0)
