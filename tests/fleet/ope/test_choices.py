"""From offers and answers in black boxes to an estimate, and exploration that says how probable each answer was."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from coordination.messages import Chosen, Offer, Offered
from fleet.cli import main
from fleet.ope.choices import Made, log_of, made_by, target_of
from fleet.ope.estimate import evaluate
from fleet.ope.log import OpeError
from hierarchy.chooser import TASKS, Rule, answer, rows_of, write_rows


def offer_of(number: int, ways: tuple[int, ...], charger: int = 5) -> Offer:
    """Tasks at these distances."""
    tasks = tuple(Offered(f"task-{number}-{place}", way, 4, 0.0) for place, way in enumerate(ways))
    return Offer(number, tasks, charger=charger, queued=len(ways), robots=4)


NEAREST = Rule(urgency=0.0, low=0.2, full=0.9)


class Farthest:
    """A bad rule."""

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        tasks = observation[:, : TASKS * 9].reshape(-1, TASKS, 9)
        return np.argmax(np.where(tasks[..., 0] > 0.5, tasks[..., 1], -1.0), axis=1)


def test_exploration_draws_as_often_as_it_says() -> None:
    counts: Counter[str] = Counter()
    explored = 0
    for number in range(4000):
        said = answer(NEAREST, offer_of(number, (3, 9, 20)), 0.8, explore=0.2)
        assert said is not None
        assert not said.deterministic
        best = said.task.endswith("-0")
        assert math.exp(said.log_probability) == pytest.approx(0.2 / 4 + 0.8 * best)
        counts[said.task.rpartition("-")[2] if said.task else "charge"] += 1
        explored += said.exploration
    assert explored == pytest.approx(800, abs=110)
    for each in ("1", "2", "charge"):
        assert counts[each] == pytest.approx(200, abs=60), counts


def test_an_answer_is_the_same_each_time_and_certain_without_exploration() -> None:
    offer = offer_of(7, (3, 9))
    assert answer(NEAREST, offer, 0.8, explore=0.5) == answer(NEAREST, offer, 0.8, explore=0.5)
    assert answer(NEAREST, offer, 0.8) == Chosen(7, "task-7-0")


def test_what_is_offered_alone_can_be_drawn() -> None:
    for number in range(200):
        said = answer(NEAREST, offer_of(number, (3,), charger=-1), 0.8, explore=0.9)
        assert said is not None
        assert said.task == f"task-{number}-0"
        assert said.log_probability == pytest.approx(0.0)


def test_another_rule_is_judged_from_the_logs_of_one_that_explored() -> None:
    rng = np.random.default_rng(0)
    logs: list[list[Made]] = [[] for _ in range(8)]
    spent: dict[str, list[float]] = {"nearest": [], "farthest": []}
    for number in range(4000):
        offer = offer_of(number, tuple(int(each) for each in rng.integers(1, 40, 3)))
        said = answer(NEAREST, offer, 0.8, explore=0.3)
        assert said is not None
        made = made_by(offer, 0.8, said)
        assert made is not None

        def cost(task: str, offer: Offer = offer) -> float:
            return 30.0 + next((2.0 * each.way for each in offer.tasks if each.task == task), 60.0)

        logs[number % 8].append(Made(*made, cost(said.task) + rng.normal(0.0, 3.0)))
        observation = write_rows(rows_of(offer, 0.8))
        for name, rule in (("nearest", NEAREST), ("farthest", Farthest())):
            index = int(rule(observation)[0])
            spent[name].append(cost(offer.tasks[index].task if index < TASKS else "") / 60.0)
    log = log_of(logs, horizon=1)
    for name, rule in (("nearest", NEAREST), ("farthest", Farthest())):
        found = evaluate(log, target_of(rule))
        assert found.abstains == ()
        assert found.value == pytest.approx(-np.mean(spent[name]), rel=0.05), name
    silent = log_of([[msgspec_free(one) for one in made] for made in logs], horizon=1)
    assert evaluate(silent, target_of(Farthest())).abstains, "nothing was drawn: nothing is known of another rule"


def msgspec_free(one: Made) -> Made:
    """The same choice of a policy that drew nothing."""
    return Made(one.observation, int(NEAREST(one.observation[None])[0]), 1.0, one.seconds)


def test_an_answer_that_its_offer_does_not_hold_is_left_out() -> None:
    assert made_by(offer_of(1, (3,)), 0.5, Chosen(1, "another")) is None
    charged = made_by(offer_of(1, (3,)), 0.5, Chosen(1, ""))
    assert charged is not None
    assert charged[1] == TASKS


def test_logs_without_choices_are_one_line() -> None:
    with pytest.raises(OpeError, match="the logs hold none; record robots that choose"):
        log_of([[], []], horizon=8)


def test_the_last_episode_of_a_robot_may_be_shorter() -> None:
    made = Made(write_rows(rows_of(offer_of(1, (3,)), 0.5))[0], 0, 0.5, 60.0)
    log = log_of([[made] * 5, [made] * 2], horizon=3)
    assert log.alive.sum(axis=1).tolist() == [3, 2, 2]
    assert log.reward[log.alive].tolist() == [-1.0] * 7


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("nowhere", "--policy=nowhere"), "expected a trained policy"),
        (("nowhere", "--policy=nowhere", "--horizon=0"), "--horizon: expected 1 to 100"),
        (("--policy=nowhere",), "expected"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: tuple[str, ...],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate-offline", *words]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1
    assert msgspec.__name__ not in err
