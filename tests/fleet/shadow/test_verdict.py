"""What pairs say: a candidate that the shield stops more often is rejected, one that is alike passes."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.shadow.pairs import Pair, Side
from fleet.shadow.record import Count, read, write
from fleet.shadow.summary import of_records
from fleet.shadow.verdict import BLOCK, HOLD, PASS, REJECT, Evidence, Settings


def made(
    seed: int, steps: int, *, production: float = 0.01, candidate: float = 0.01, apart: float = 0.05, slow: float = 0.0,
    near: float = 0.0, robots: int = 2, hang: int = 1,
) -> list[Pair]:  # fmt: skip
    """Pairs with rates of interventions per step, share of differing steps, slower by m/s, nearer by m."""
    draw = np.random.default_rng(seed)
    found = []
    for robot in range(robots):
        ours, theirs = (np.repeat(draw.random(steps // hang + 1) < rate, hang) for rate in (production, candidate))
        for cycle in range(steps):
            speed, margin = draw.normal(0.6, 0.1), draw.normal(0.6, 0.1)
            p = Side("a" * 12, (speed, 0.0), (speed, 0.0), int(ours[cycle]), margin)
            c = Side("b" * 12, (speed, 0.0), (speed - slow, 0.0), int(theirs[cycle]), margin - near)
            d = 0.6 if draw.random() < apart else 0.1
            found.append(Pair(f"r{robot}", cycle, cycle * 100_000_000, p, c, d))
    return sorted(found, key=lambda one: one.stamp)


def verdict(pairs: list[Pair], settings: Settings | None = None):  # noqa: ANN201
    evidence = Evidence(settings)
    for one in pairs:
        evidence.add(one)
    return evidence.look()


def test_no_data_is_a_hold() -> None:
    assert Evidence().look().decision == HOLD
    assert verdict(made(0, BLOCK - 1)).decision == HOLD
    few = verdict(made(0, 3 * BLOCK))
    assert few.decision == HOLD
    assert "not yet sure" in few.reason


@pytest.mark.parametrize(
    ("name", "worse"),
    [("interventions", {"candidate": 0.05}), ("margin", {"near": 0.2}), ("progress", {"slow": 0.2})],
)
def test_a_candidate_that_is_worse_is_rejected_for_that(name: str, worse: dict[str, float]) -> None:
    found = verdict(made(1, 4000, **worse))  # type: ignore[arg-type]  # rates alone
    assert found.decision == REJECT
    assert found.reason.startswith(name)


def test_a_rejection_stands_whatever_comes_later() -> None:
    evidence = Evidence()
    for one in made(1, 4000, candidate=0.05):
        evidence.add(one)
    assert evidence.look().decision == REJECT
    for one in made(2, 8000, production=0.05):
        evidence.add(one)
    assert evidence.look().decision == REJECT


def test_a_candidate_that_is_alike_passes() -> None:
    found = verdict(made(3, 6000))
    assert found.decision == PASS, found.reason


def test_a_candidate_that_differs_more_than_is_allowed_is_for_a_person_to_look_at() -> None:
    found = verdict(made(4, 4000, apart=0.3))
    assert found.decision == HOLD
    assert "30." in found.reason or "29." in found.reason
    assert verdict(made(4, 6000, apart=0.3), Settings(disagreement=0.5)).decision == PASS


def test_innocent_candidates_are_seldom_rejected_though_their_steps_hang_together() -> None:
    rejected = sum(
        verdict(made(seed, 2000, production=0.05, candidate=0.05, hang=20)).decision == REJECT for seed in range(60)
    )
    assert rejected <= 2, "stated level 0.01 over all looks; more than 2 of 60 has probability 0.003"


def test_an_intervention_that_lasts_counts_once() -> None:
    held = made(5, BLOCK, production=0.0, candidate=1.0, robots=1)
    (found,) = (one for one in verdict(held).findings if one.name == "interventions")
    assert found.candidate == pytest.approx(1 / BLOCK)


def test_what_is_written_is_read_and_the_newest_candidate_counts(tmp_path) -> None:  # noqa: ANN001
    first, second = made(6, 60, robots=1), made(7, 80, robots=1)
    later = [
        Pair(one.robot, one.cycle, one.stamp + 10**12, one.production,
             Side("c" * 12, *[getattr(one.candidate, name) for name in Side.__struct_fields__[1:]]), one.disagreement)
        for one in second
    ]  # fmt: skip
    path = tmp_path / "shadow" / "r0.jsonl"
    write(path, [*first, Count("r0", "b" * 12, 5, {"late": 7}), *later, Count("r0", "c" * 12, 10**13, {"late": 2})])
    with path.open("ab") as file:
        file.write(b'{"kind":"pair","robot":"r0"')
    held = list(read(path))
    assert held[: len(first)] == first
    found = of_records(held)
    assert (found.candidate, found.pairs, found.others, found.skipped) == ("c" * 12, 80, 60, {"late": 2})
    assert of_records(held, candidate="b" * 12).pairs == 60


def test_a_candidate_that_raised_does_not_pass_on_the_steps_in_which_it_did_not() -> None:
    pairs = made(3, 6000)
    assert of_records(pairs).verdict.decision == PASS
    assert of_records([*pairs, Count("r0", "b" * 12, 1, {"late": 50, "budget": 9})]).verdict.decision == PASS
    found = of_records([*pairs, Count("r0", "b" * 12, 1, {"fault": 3})]).verdict
    assert found.decision == HOLD
    assert "raised in 3 steps" in found.reason
