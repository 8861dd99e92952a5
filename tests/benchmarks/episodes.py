"""The runs behind nav_success and nav_collisions: one evaluation per profile, measured once in a process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from policy import trained_policy

from agents.policy import Policy
from fleet.evaluate import PROFILES, Measurement, ProfileName, measure
from sim.robot import RobotSpec
from sim.tasks.navigate_contract import navigate_contract

EPISODES = 2000
QUICK = 200
SEED = 1
"""Of the evaluation's layouts."""


def measurements(quick: bool) -> Iterator[Measurement]:
    """Every profile in turn."""
    episodes = QUICK if quick else EPISODES
    for profile in PROFILES:
        yield _measured(profile, episodes)


@lru_cache
def _measured(profile: ProfileName, episodes: int) -> Measurement:
    policy = Policy.load(trained_policy())
    policy.check(navigate_contract(RobotSpec()))
    return measure(policy, profile, episodes, SEED)
