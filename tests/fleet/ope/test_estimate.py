"""What a candidate would have achieved: right where the logs can tell, and silent where they cannot."""

from __future__ import annotations

import dataclasses
import importlib
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.ope.estimate import evaluate
from fleet.ope.log import Log, OpeError


@pytest.fixture(scope="module")
def problems(root: Path) -> Iterator[types.ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tests" / "benchmarks"))
        yield importlib.import_module("ope_problems")


def log_of(**changes: Any) -> Log:  # any array of a Log
    """A sound log of three episodes."""
    rng = np.random.default_rng(0)
    sound = Log(
        rng.normal(size=(3, 2, 2)),
        np.array([[0, 1], [1, 0], [0, 0]]),
        np.ones((3, 2)),
        np.full((3, 2), 0.5),
        np.array([[True, True], [True, False], [True, True]]),
        2,
    )
    return dataclasses.replace(sound, **changes)


@pytest.mark.parametrize("world", ["bandit", "table", "errands", "drift"])
def test_the_interval_holds_the_truth_where_the_logs_can_tell(problems: types.ModuleType, world: str) -> None:
    held = []
    for seed in range(100, 104):  # seeds that no figure uses
        problem = getattr(problems, world)(seed)
        found = evaluate(problem.log, problem.target, problem.discount)
        assert abs(found.value - problem.truth) < 0.1 * abs(problem.truth)
        held.append(found.low <= problem.truth <= found.high)
    assert sum(held) >= 3


@pytest.mark.parametrize(
    ("world", "why"),
    [("decided", "because it drew nothing"), ("apart", "are needed|are allowed"), ("few", "are needed")],
)
def test_where_the_logs_cannot_tell_nothing_is_said(problems: types.ModuleType, world: str, why: str) -> None:
    problem = getattr(problems, world)(100)
    found = evaluate(problem.log, problem.target, problem.discount)
    assert found.abstains
    assert re.search(why, "; ".join(found.abstains))


def test_the_logs_own_policy_is_worth_what_the_logs_say(problems: types.ModuleType) -> None:
    rng = np.random.default_rng(3)
    chances = np.array([0.3, 0.7])
    action = (rng.random((400, 3)) < 0.7).astype(np.int64)
    reward = action + rng.normal(0.0, 0.1, action.shape)
    log = Log(rng.normal(size=(400, 3, 2)), action, reward, chances[action], np.ones((400, 3), bool), 2)
    found = evaluate(log, lambda x: np.tile(chances, (len(x), 1)))
    assert found.low <= 2.1 <= found.high
    assert found.abstains == ()
    assert found.effective > 300.0


def test_either_fit_may_be_wrong(problems: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from fleet.ope import estimate

    problem = problems.bandit(101)
    whole: Callable[..., Any] = estimate.fit_model

    def wrong(*arguments: Any) -> Any:
        model = whole(*arguments)
        return dataclasses.replace(
            model, coefficients=0.0 * model.coefficients, low=model.low - 9.0, high=model.high + 9.0
        )

    monkeypatch.setattr(estimate, "fit_model", wrong)
    by_weights = evaluate(problem.log, problem.target)
    assert by_weights.model == 0.0
    assert abs(by_weights.value - problem.truth) < 0.1 * problem.truth, "the weights alone must carry it"


def test_an_estimate_can_be_repeated_bit_for_bit(problems: types.ModuleType) -> None:
    problem = problems.errands(102)
    assert evaluate(problem.log, problem.target) == evaluate(problem.log, problem.target)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"propensity": np.zeros((3, 2))}, "propensities above 0"),
        ({"propensity": np.full((3, 2), 1.5)}, "up to 1"),
        ({"propensity": np.full((3, 2), np.nan)}, "propensities"),
        ({"reward": np.full((3, 2), np.inf)}, "finite"),
        ({"reward": np.zeros((2, 2))}, "expected reward of shape"),
        ({"action": np.full((3, 2), 7)}, "actions from 0 to 1"),
        ({"state": np.zeros((3, 2))}, "states of shape"),
        ({"alive": np.array([[True, True], [False, True], [True, True]])}, "begin with their first step"),
        ({"alive": np.zeros((0, 2), bool)}, "one choice at least"),
    ],
)
def test_an_unsound_log_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(OpeError, match=line) as error:
        evaluate(log_of(**changes), lambda x: np.full((len(x), 2), 0.5))
    assert "\n" not in str(error.value)


def test_a_target_that_gives_no_probabilities_is_one_line() -> None:
    for target in (lambda x: np.full((len(x), 2), 0.4), lambda x: np.full((len(x), 3), 1.0 / 3.0)):
        with pytest.raises(OpeError, match="probabilities"):
            evaluate(log_of(), target)
    with pytest.raises(OpeError, match="discount"):
        evaluate(log_of(), lambda x: np.full((len(x), 2), 0.5), discount=0.0)


def test_three_episodes_are_no_ground_for_a_conclusion() -> None:
    found = evaluate(log_of(), lambda x: np.full((len(x), 2), 0.5))
    assert any("are needed" in why for why in found.abstains)
