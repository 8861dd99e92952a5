"""Responsibility-sensitive safety: the distances that a road vehicle must keep, in closed form.

Shalev-Shwartz, Shammah and Shashua, "On a formal model of safe and scalable self-driving cars" (2017), definitions 1 to
6. `stated` is the distance that a vehicle may cover at worst: it accelerates for its reaction time, no faster than its
top speed, then brakes as it is bound to. Everybody else's worst is stated the same way, so that

    same direction   gap > stated(rear) - stopping(front at its hardest braking)
    opposite         gap > stated(the one in its own lane, braking little) + stated(the one in the wrong lane)
    lateral          gap > margin + how far both may drift towards each other before they have stopped doing so

A gap equal to a bound is unsafe. SI units; speeds are not negative but for lateral ones (positive to the right).
This module is the law in float64; the shield's kernels and the proofs are checked against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What is assumed of a vehicle; the defaults are those of intel/ad-rss-lib's documentation."""

    reaction: float = 1.0
    """s"""
    accel: float = 3.5
    """Largest acceleration during the reaction time, m/s^2"""
    brake: float = 4.0
    """Least braking after it, m/s^2"""
    brake_hardest: float = 8.0
    """Braking that a vehicle in front may show, m/s^2"""
    brake_in_lane: float = 3.0
    """Least braking of a vehicle in its own lane when another comes towards it, m/s^2"""
    speed: float = 100.0
    """Speed up to which it accelerates, m/s; one that is faster goes on as fast"""
    lateral_accel: float = 0.2
    """Largest lateral acceleration during the reaction time, m/s^2"""
    lateral_brake: float = 0.8
    """Least lateral braking after it, m/s^2"""
    fluctuation: float = 0.1
    """Sideways movement in a lane that is not counted as leaving it, m"""

    def __post_init__(self) -> None:
        numbers = (self.reaction, self.accel, self.speed, self.lateral_accel, self.fluctuation)
        brakes = (self.brake, self.brake_hardest, self.brake_in_lane, self.lateral_brake)
        if not (all(0.0 <= x < math.inf for x in numbers) and all(0.0 < x < math.inf for x in brakes)):
            raise ValueError(f"expected times, speeds and accelerations of 0 and more and braking above 0, got {self}")


def advance(v: float, accel: float, time: float, speed: float = math.inf) -> tuple[float, float]:
    """Distance and speed after `time` of accelerating, up to `speed` or down to 0; faster ones go on as fast.

    Raises ValueError for a negative speed or time.
    """
    if not (v >= 0.0 and time >= 0.0):
        raise ValueError(f"expected a speed and a time of 0 and more, got {v} and {time}")
    if accel > 0.0 and v >= speed:
        return v * time, v
    limit = speed if accel > 0.0 else 0.0
    until = time if accel == 0.0 else min(time, (limit - v) / accel)
    end = v + accel * until
    return v * until + 0.5 * accel * until * until + end * (time - until), end


def stopping(v: float, brake: float) -> float:
    """Distance to standstill, m. Raises ValueError for braking that is not above 0."""
    if not (v >= 0.0 and brake > 0.0):
        raise ValueError(f"expected a speed of 0 and more and braking above 0, got {v} and {brake}")
    return v * v / (2.0 * brake)


def stated(v: float, rules: Rules, brake: float | None = None) -> float:
    """The most that a vehicle covers: accelerating for its reaction time, then braking at least `brake`, m."""
    distance, reached = advance(v, rules.accel, rules.reaction, rules.speed)
    return distance + stopping(reached, rules.brake if brake is None else brake)


def following(v_rear: float, v_front: float, rear: Rules, front: Rules) -> float:
    """Distance that must be exceeded behind a vehicle, m (definition 1)."""
    return max(stated(v_rear, rear) - stopping(v_front, front.brake_hardest), 0.0)


def oncoming(v_in_lane: float, v_wrong: float, in_lane: Rules, wrong: Rules) -> float:
    """Distance that must be exceeded between two that drive towards each other, m (definition 2)."""
    return stated(v_in_lane, in_lane, in_lane.brake_in_lane) + stated(v_wrong, wrong)


def beside(v_left: float, v_right: float, left: Rules, right: Rules) -> float:
    """Lateral distance that must be exceeded, m (definition 6); speeds are positive to the right.

    Both accelerate towards each other for their reaction times, then bring that movement to rest.
    """
    margin = 0.5 * (left.fluctuation + right.fluctuation)
    return max(margin + _drift(v_left, left) + _drift(-v_right, right), 0.0)


def _drift(v: float, rules: Rules) -> float:
    """How far a vehicle may come towards the other, m; negative where it moves away.

    One that still moves away after its reaction time may stop doing so at once: only the way until then counts.
    """
    reached = v + rules.lateral_accel * rules.reaction
    moved = 0.5 * (v + reached) * rules.reaction
    return moved + max(reached, 0.0) ** 2 / (2.0 * rules.lateral_brake)
