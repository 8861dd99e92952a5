"""Drives through scenarios by the batch: what is found is what happened, and a search finds what is worst."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import warp as wp

from sim.driving.blame import Blame
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.families import KMH, decelerating_lead
from sim.driving.filter import RoadInputs
from sim.driving.scenario import ScenarioError
from sim.driving.search import begin_search, refine, search_round
from sim.driving.trials import HARDEST, Found, Trials, meeting
from sim.driving.witness import boxes, time_to_collision
from sim.filter import FilterOutputs


@dataclass(frozen=True)
class Nothing:
    """No memory."""


class Told:
    """A filter that releases what it was told, m/s^2, straight on."""

    def init(self, rows: int, device: str) -> Nothing:
        self.told = wp.zeros((rows, 2), dtype=wp.float32, device=device)
        return Nothing()

    def launch(self, inputs: RoadInputs, memory: Nothing, out: FilterOutputs) -> None:
        wp.copy(out.command, self.told)

    def reset(self, mask: wp.array, memory: Nothing) -> None:
        pass


class Braking:
    """Keeps its speed, straight on, and brakes after a fixed time, m/s^2."""

    def __init__(self, after: float, braking: float) -> None:
        self.after, self.braking = after, braking

    def drive(self, env: RoadEnv, watch: Callable[[], bool]) -> None:
        assert isinstance(env.filter, Told)
        told, nothing = env.filter.told.numpy(), np.zeros((env.rows, 2), np.float32)
        step, over = 0, False
        while not over:
            told[:, 0] = -self.braking if 0.05 * step >= self.after else 0.0
            env.step(nothing)
            step += 1
            over = watch()


SCENARIO = decelerating_lead(60.0).fixed(ego=40 * KMH)
ROWS = np.array([[40 * KMH, 1.4, 2.0], [40 * KMH, 1.4, 5.0], [40 * KMH, 2.4, 1.0]])


@pytest.fixture(scope="module")
def trials() -> Trials:
    return Trials(SCENARIO, RoadConfig("route"), worlds=2, seed=1, filter=Told())


def test_who_goes_on_strikes_a_lead_that_brakes(trials: Trials) -> None:
    """Three rows in two worlds: each is driven once, in order, for as long as it lasts."""
    found = trials.drive(ROWS, Braking(math.inf, 0.0))
    assert found.at_fault.all()
    assert found.contacts.shape == (3, len(Blame))
    assert (found.clearance == 0.0).all()
    assert (found.ttc < 0.2).all()
    assert (found.impact > 5.0).all()
    assert (found.danger == -HARDEST - found.impact).all()


def test_who_brakes_in_time_strikes_nobody(trials: Trials) -> None:
    found = trials.drive(ROWS, Braking(2.5, 6.0))
    assert not found.contacts.any()
    assert (found.clearance > 0.5).all()
    assert (found.danger == -found.braking).all()
    assert 0.3 < found.braking[1] < 2.0, "2.5 m/s are lost on a few metres, while the lead brakes as hard"
    assert found.ttc[1] < found.ttc[0]
    assert found.danger[2] > found.danger[1]


def test_a_search_finds_the_hardest_braking(trials: Trials) -> None:
    driver, kept = Braking(3.0, 2.0), list[tuple[np.ndarray, Found]]()
    score = trials.evaluate(driver, kept)
    state = search_round(SCENARIO, begin_search(SCENARIO, 3), score, 8)
    state = refine(SCENARIO, state, score, 4, 1)
    assert state.evaluated == sum(len(rows) for rows, _ in kept) > 8
    assert state.score[0] == min(float(found.danger.min()) for _, found in kept)
    assert state.score[0] < -HARDEST, "a car that brakes late and little strikes the lead"
    assert state.worst[0, 2] > 2.0


def test_an_exempt_contact_is_no_danger() -> None:
    contacts = np.zeros((2, len(Blame)), np.int64)
    contacts[0, Blame.BOUNDS] = 1
    found = Found(
        contacts, np.zeros(2), np.array([0.0, 3.0]), np.array([0.1, math.inf]), np.full(2, 4.0), np.zeros(2, np.int64)
    )
    assert found.danger.tolist() == [math.inf, -4.0]


def test_boxes_meet_when_the_witness_says() -> None:
    """Against the witness's own way: boxes moved on in small steps until they overlap."""
    rng = np.random.default_rng(4)
    many, hits = 200, 0
    for _ in range(many):
        pose, other = rng.uniform((-5, -5, -3), (5, 5, 3)), rng.uniform((-30, -10, -3), (30, 10, 3))
        size, speeds = rng.uniform((2, 1), (6, 3), (2, 2)), rng.uniform(0.0, 20.0, 2)
        heading = np.array([[math.cos(p[2]), math.sin(p[2])] for p in (pose, other)])
        own, theirs = boxes(np.array([pose]), size[:1]), boxes(np.array([other]), size[1:])
        exact = float(meeting(own, theirs, heading[1:] * speeds[1] - heading[:1] * speeds[0])[0])
        stepped = time_to_collision(pose.tolist(), size[0].tolist(), speeds[0], other[None], size[1:], speeds[1:])
        if math.isfinite(stepped):  # who only brushes past may do so between two steps
            hits += 1
            assert stepped - 0.1 - 1e-6 <= exact <= stepped + 1e-6
    assert hits > 30


def test_rows_that_cannot_be_run_are_refused(trials: Trials) -> None:
    with pytest.raises(ScenarioError, match="expected from"):
        trials.drive(np.array([[40 * KMH, 1.4, 99.0]]), Braking(0.0, 0.0))
