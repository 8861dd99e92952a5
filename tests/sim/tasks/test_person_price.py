"""What people close by cost in the navigate task's reward: by formula, against the same in numpy."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import warp as wp

from sim.people import PERSON_RADIUS
from sim.robot import RobotSpec
from sim.tasks.navigate import Reward
from sim.tasks.navigatekernels import Weights, price_of_person

SPEC = RobotSpec()
FRONT, SIDE = SPEC.length / 2, SPEC.width / 2


@wp.kernel
def ask(
    place: wp.vec2, v: float, w: float, length: float, width: float, weights: Weights, out: wp.array(dtype=float)
) -> None:  # pyright: ignore
    """The price of one person."""
    out[0] = price_of_person(place[0], place[1], v, w, length, width, weights)


def price(x: float, y: float, v: float, w: float) -> float:
    """Of a person at (x, y) in B, by a robot with the speeds v and w; `headway` left out."""
    weights = Weights()
    for name, value in asdict(Reward(headway=0.0)).items():
        setattr(weights, name, float(value))
    out = wp.zeros(1, dtype=wp.float32, device="cpu")
    wp.launch(ask, dim=1, inputs=[wp.vec2(x, y), v, w, FRONT, SIDE, weights], outputs=[out], device="cpu")
    return float(out.numpy()[0])


@pytest.mark.parametrize("v", [0.3, 0.05])
def test_driving_at_a_person_costs_by_speed_and_gap(v: float) -> None:
    for gap, share in ((0.2, 0.0), (0.1, 0.5), (0.0, 1.0), (-0.05, 1.0)):
        person = FRONT + PERSON_RADIUS + gap
        assert price(person, 0.0, v, 0.0) == pytest.approx(Reward().nearing * v * share, abs=1e-5)


def test_standing_and_driving_away_are_free() -> None:
    assert price(FRONT + PERSON_RADIUS + 0.05, 0.0, 0.0, 0.0) == 0.0
    assert price(FRONT + PERSON_RADIUS + 0.05, 0.0, -0.3, 0.0) == 0.0
    assert price(-FRONT - PERSON_RADIUS - 0.05, 0.0, 0.3, 0.0) == 0.0


def test_turning_the_hull_s_flank_onto_a_person_costs_and_off_them_does_not() -> None:
    beside = (FRONT - 0.1, SIDE + PERSON_RADIUS + 0.05)  # left of the front: a left turn brings the flank there
    assert price(*beside, 0.0, 1.0) == pytest.approx(Reward().nearing * (FRONT - 0.1) * 0.75, abs=1e-5)
    assert price(*beside, 0.0, -1.0) == 0.0


def test_the_price_is_the_rate_at_which_the_gap_shrinks() -> None:
    rng = np.random.default_rng(3)

    def gap(x: float, y: float) -> float:
        return float(np.hypot(max(abs(x) - FRONT, 0.0), max(abs(y) - SIDE, 0.0))) - PERSON_RADIUS

    compared = 0
    while compared < 200:
        x, y = rng.uniform(-1.0, 1.0, 2)
        v, w = rng.uniform(-0.5, 1.2), rng.uniform(-2.0, 2.0)
        now = gap(x, y)
        if not 0.01 < now < 0.2:
            continue
        h = 1e-5  # the person's way in B as the robot drives v and turns w
        rate = (gap(x - v * h + w * y * h, y - w * x * h) - gap(x + v * h - w * y * h, y + w * x * h)) / (2.0 * h)
        wanted = Reward().nearing * max(-rate, 0.0) * (1.0 - now / 0.2)
        assert price(x, y, v, w) == pytest.approx(wanted, abs=2e-3)
        compared += 1
