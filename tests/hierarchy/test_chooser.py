from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.errors import PolicyError
from coordination.messages import Offer, Offered
from hierarchy.chooser import (
    CONTEXT,
    FEATURES,
    META,
    TASKS,
    Rule,
    answer,
    choose_contract,
    load_chooser,
    possible,
    rows_of,
    write_rows,
)
from sim.robot import RobotSpec

OFFER = Offer(
    id=7,
    tasks=(
        Offered("far", 30, 10, level=4.0, home=5, onward=8, crowd=1, dwell=4.0),
        Offered("near", 4, 40, level=1.5, home=20, onward=-1, dwell=4.0),
    ),
    charger=10,
    queued=12,
    robots=4,
    charging=1,
)


def test_an_observation_holds_what_the_contract_says() -> None:
    observation = write_rows(rows_of(OFFER, 0.5))
    contract = choose_contract(RobotSpec())
    assert observation.shape == (1, contract.observation_size)
    assert contract.action_size == TASKS + 1
    tasks = observation[0, : TASKS * FEATURES].reshape(TASKS, FEATURES)
    assert tasks[0].tolist() == pytest.approx([1.0, 1.5, 0.5, 0.4, 0.25, 0.4, 0.5, 0.4, 2.5])
    assert tasks[1].tolist() == pytest.approx([1.0, 0.2, 2.0, 0.15, 1.0, -0.05, 0.0, 0.4, 0.0])
    assert not tasks[2:].any(), "places that nothing is offered in are zero"
    fleet = observation[0, -CONTEXT:]
    assert fleet.tolist() == pytest.approx([0.5, 1.0, 0.5, np.log1p(3.0), 0.25, 0.4])
    assert possible(observation).tolist() == [[True, True, False, False, False, False, True]]


def test_the_rule_takes_the_nearest_unless_another_is_pressing_enough() -> None:
    assert chosen(Rule(urgency=10.0, low=0.3, full=0.9), 0.5) == "near", "26 cells further, 2.5 levels more pressing"
    assert chosen(Rule(urgency=10.5, low=0.3, full=0.9), 0.5) == "far"


def test_the_rule_charges_below_its_threshold_and_until_full() -> None:
    rule = Rule(urgency=1.0, low=0.3, full=0.9)
    assert chosen(rule, 0.299) == ""
    assert chosen(rule, 0.301) == "near"
    at_charger = Offer(7, OFFER.tasks, charger=0, robots=4)
    assert chosen(rule, 0.899, at_charger) == ""
    assert chosen(rule, 0.901, at_charger) == "near"
    no_charger = Offer(7, OFFER.tasks, charger=-1, robots=4)
    assert chosen(rule, 0.1, no_charger) == "near", "charging is not offered"
    assert chosen(rule, 0.5, Offer(7, (), charger=3)) == "", "there is nothing else"


def chosen(rule: Rule, battery: float, offer: Offer = OFFER) -> str:
    said = answer(rule, offer, battery)
    assert said is not None
    assert (said.offer, said.deterministic, said.log_probability) == (7, True, 0.0)
    return said.task


def test_nothing_is_answered_where_nothing_can_be_done() -> None:
    def never(observation: NDArray[np.float32]) -> NDArray[np.intp]:
        raise AssertionError("it is not asked")

    assert answer(never, Offer(7, (), charger=-1), 0.5) is None


def test_more_tasks_than_it_looks_at_do_no_harm() -> None:
    many = Offer(7, OFFER.tasks * 5, charger=3, robots=4)
    assert write_rows(rows_of(many, 0.5)).shape == (1, TASKS * FEATURES + CONTEXT)


def test_a_missing_meta_policy_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=META):
        load_chooser(tmp_path, RobotSpec(), None)
