"""The meta level from measured legs to a frozen policy, in small; its worth in the coordinator's rehearsal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.errors import ContractMismatch, PolicyError, TrainingError
from fleet.legs import LegsConfig, LegTable, Places
from fleet.meta_legs import fit
from fleet.meta_score import Score, ScoreConfig, held_out_site, ratio, score
from fleet.meta_train import lines_per_hour, prior_of, train_meta, tune_rule
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


def test_the_twin_is_tuned_to_be_no_worse_than_where_it_begins() -> None:
    floors = [Places.of(generate_warehouse(3))]
    config = LegsConfig()
    tuned, first = tune_rule(floors, config, 0, worlds=8), Rule(1.0, 0.3, 0.9)
    of_tuned, of_first = (lines_per_hour(rule, floors, config, 0, worlds=8) for rule in (tuned, first))
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
