"""The adversarial benchmark in small: the shield holds in the plant, and the measure finds one that does not."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from sim.manners import Manners
from sim.people import Profile
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("shield_adversarial")


@pytest.mark.parametrize(
    ("profile", "person_speed", "policy"),
    [(Profile.STILL, 0.0, "throttle"), (Profile.WALKING, 1.6, "throttle"), (Profile.WALKING, 1.6, "worst")],
)
def test_nothing_is_hit_through_the_shield(
    bench: ModuleType, profile: Profile, person_speed: float, policy: str
) -> None:
    tally = bench.run(profile, person_speed, policy, True, 60, 60)
    assert tally.episodes >= 60
    assert (tally.contacts, tally.overlaps, tally.left) == (0, 0, 0)
    assert tally.distance / tally.steps > 0.3 * 0.03  # far from standing still


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["random", "throttle"])
@pytest.mark.parametrize(("profile", "person_speed"), [(Profile.STILL, 0.0), (Profile.WALKING, 1.6)])
def test_nothing_is_hit_on_wheels_by_the_shield_that_has_their_bound(
    bench: ModuleType, profile: Profile, person_speed: float, policy: str
) -> None:
    tally = bench.run(profile, person_speed, policy, True, 120, 60, None, "wheeled")
    assert tally.episodes >= 100
    assert (tally.contacts, tally.overlaps, tally.left) == (0, 0, 0)
    assert tally.distance / tally.steps > 0.2 * 0.03


EVERYBODY = vary(person_share=1.0)
CROWD = NavigateConfig(people=4, crowd="social_force", manners=Manners(crossing=1.0), randomization=EVERYBODY)
TRUCKS = NavigateConfig(people=0, forklifts=3, randomization=EVERYBODY)


@pytest.mark.parametrize(
    ("profile", "person_speed", "others"),
    [(Profile.STILL, 0.0, CROWD), (Profile.WALKING, 1.6, CROWD), (Profile.WALKING, 1.6, TRUCKS)],
    ids=["crowd_v0", "crowd_v16", "forklifts_v16"],
)
def test_nothing_of_a_crowd_and_no_forklift_is_hit_through_the_shield(
    bench: ModuleType, profile: Profile, person_speed: float, others: NavigateConfig
) -> None:
    tally = bench.run(profile, person_speed, "throttle", True, 100, 100, others)
    assert tally.episodes >= 100
    assert (tally.contacts, tally.overlaps, tally.left) == (0, 0, 0)
    assert tally.distance / tally.steps > 0.3 * 0.03


def test_people_who_run_break_the_contract_and_are_hit(bench: ModuleType) -> None:
    """Whoever runs obeys no profile: a shield that assumes V = 0 of them collides, which is what the figures count."""
    runners = NavigateConfig(people=4, crowd="social_force", manners=Manners(running=1.0), randomization=EVERYBODY)
    tally = bench.run(Profile.STILL, 0.0, "throttle", True, 100, 100, runners)
    assert tally.contacts > 3
    assert tally.overlaps > 3


@pytest.mark.parametrize("policy", ["random", "throttle", "worst"])
def test_without_a_shield_both_witnesses_count_collisions(bench: ModuleType, policy: str) -> None:
    tally = bench.run(Profile.WALKING, 1.6, policy, False, 60, 60)
    assert tally.contacts > 10
    assert tally.overlaps == tally.contacts


def test_shield_that_takes_walking_people_for_standing_ones_is_found_out(bench: ModuleType) -> None:
    tally = bench.run(Profile.WALKING, 0.0, "throttle", True, 200, 100)
    assert tally.contacts > 0
    assert tally.overlaps > 0
