"""Picking from a bin into the tote by hand-written motion: where the arm's joints go, and when the cup sucks.

The cup always points straight down, so that the wrist's angle follows from the others and the inverse of the arm is
that of two links in a vertical plane (law of cosines):

    cos(elbow) = (r^2 + h^2 - a^2 - b^2) / (2 a b)      r, h of the wrist from the shoulder; a, b the two links
    shoulder   = atan2(r, h) - atan2(b sin(elbow), a + b cos(elbow))           from straight up, elbow upwards
    wrist      = pi - shoulder - elbow

A pick is a list of places of the cup in cylinder coordinates about the arm's foot (pan, r, z): over the item, onto it,
up, round to the tote, down into it, up, home. Between them the cup moves with zero speed and acceleration at both ends
(Flash and Hogan, J. Neurosci. 5(7), 1985: minimum jerk). Pure functions over rows; numpy alone. Where the item lies is
looked at once, when the plan is made: nothing here corrects a slip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.robot import Arm

PRESS = 0.004
"""How far below the item's face the cup is sent, m: the arm's softness turns it into contact."""

CLEAR = 0.05
"""What a carried item keeps above walls, m."""

DROP = 0.02
"""An item is let go at this height over the tote's floor, m."""

LEGS: tuple[tuple[str, float, float], ...] = (
    ("over", 1.6, 0.0),
    ("onto", 1.0, 1.0),
    ("hold", 0.3, 1.0),
    ("up", 1.0, 1.0),
    ("round", 3.2, 1.0),
    ("down", 1.0, 1.0),
    ("open", 0.4, 0.0),
    ("away", 0.8, 0.0),
    ("home", 2.4, 0.0),
)
"""Name, seconds and suction of each leg. Half a turn with an item peaks at 1.8 rad/s: at 2.5 rad/s two of a hundred
items slipped off the cup (2026-11)."""

DURATION = sum(seconds for _, seconds, _ in LEGS)
"""Of a whole pick, s."""


@dataclass(frozen=True)
class PickPlan:
    """Places of the cup's face, in cylinder coordinates about the arm's foot."""

    places: NDArray[np.float64]
    """(rows, legs + 1, 3): pan (rad), r (m) and z above the floor (m) before and after each leg."""
    reachable: NDArray[np.bool_]
    """Whether the arm can be at all of them, (rows,)."""


def inverse(arm: Arm, deck: float, places: NDArray[np.floating]) -> NDArray[np.float64]:
    """Joint angles (..., 5) of the arm that put the cup's face at places (..., 3) of pan, r, z; straight down.

    Angles count from the folded pose, as the model has them; NaN where the arm is too short.
    """
    pan, r, z = np.moveaxis(np.asarray(places, np.float64), -1, 0)
    foot, upper, fore, hand = arm.lengths
    h = z + hand - deck - foot
    cosine = (r**2 + h**2 - upper**2 - fore**2) / (2.0 * upper * fore)
    with np.errstate(invalid="ignore"):
        elbow = np.arccos(cosine)
    shoulder = np.arctan2(r, h) - np.arctan2(fore * np.sin(elbow), upper + fore * np.cos(elbow))
    wrist = math.pi - shoulder - elbow
    return np.stack([pan, shoulder, elbow, wrist, np.zeros_like(pan)], axis=-1) - np.array(arm.home)


def forward(arm: Arm, deck: float, angles: NDArray[np.floating]) -> NDArray[np.float64]:
    """Places (..., 3) of the cup's face, pan, r, z, for joint angles (..., 5)."""
    pan, shoulder, elbow, wrist, _ = np.moveaxis(np.asarray(angles) + np.array(arm.home), -1, 0)
    foot, *links = arm.lengths
    tilts = np.stack([shoulder, shoulder + elbow, shoulder + elbow + wrist], axis=-1)
    r, up = (tilts_of(tilts) @ np.array(links) for tilts_of in (np.sin, np.cos))
    return np.stack([pan, r, deck + foot + up], axis=-1)


def plan_pick(arm: Arm, deck: float, item: NDArray[np.floating], height: NDArray[np.floating], rim: float) -> PickPlan:
    """A pick of items whose upper faces' middles are at `item` (rows, 3) in B; `height` (rows,) is the items' own, m.

    `deck` is the height of the arm's foot, `rim` that of the bin's walls, m.
    """
    item, height = np.asarray(item, np.float64), np.asarray(height, np.float64)
    rows = len(item)
    x, y = item[:, 0] - arm.mount[0], item[:, 1] - arm.mount[1]
    pan, r = np.arctan2(y, x), np.hypot(x, y)
    to_tote = np.array(arm.tote_at) - np.array(arm.mount)
    tote_pan, tote_r = math.atan2(to_tote[1], to_tote[0]), math.hypot(*to_tote)
    # the way round that does not cross the pan's own half turn
    tote_pan = np.where(pan < 0.0, -abs(tote_pan), abs(tote_pan))
    high = np.maximum(item[:, 2], rim + height + CLEAR)
    tote_floor = deck + 0.02
    over_tote = tote_floor + arm.tote[2] + height + CLEAR
    home = np.broadcast_to(forward(arm, deck, np.zeros(5)), (rows, 3))
    over = np.stack([pan, r, high], axis=-1)
    onto = np.stack([pan, r, item[:, 2] - PRESS], axis=-1)
    round_ = np.stack([tote_pan, np.full(rows, tote_r), over_tote], axis=-1)
    down = np.stack([tote_pan, np.full(rows, tote_r), tote_floor + height + DROP], axis=-1)
    places = np.stack([home, over, onto, onto, over, round_, down, down, round_, home], axis=1)
    reachable = np.isfinite(inverse(arm, deck, places)).reshape(rows, -1).all(axis=1)
    return PickPlan(places, np.asarray(reachable, bool))


def follow(arm: Arm, deck: float, plan: PickPlan, seconds: float) -> tuple[NDArray[np.float64], float]:
    """Joint angles (rows, 5) and suction (0 or 1) of a plan some seconds after its start; the last place afterwards.

    Rows that are not reachable stay folded.
    """
    leg, left = 0, seconds
    while leg < len(LEGS) - 1 and left > LEGS[leg][1]:
        left -= LEGS[leg][1]
        leg += 1
    s = min(left / LEGS[leg][1], 1.0)
    share = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
    place = plan.places[:, leg] + share * (plan.places[:, leg + 1] - plan.places[:, leg])
    angles = np.where(plan.reachable[:, None], inverse(arm, deck, place), 0.0)
    return angles, LEGS[leg][2]
