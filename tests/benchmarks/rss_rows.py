"""rss_rows: rows of other people's RSS tests that our closed forms answer otherwise; 0 is the goal.

The longitudinal rows of `../shared/data/safety/rss_cases.json` (same direction, opposite, stated and stopping
distances, limited movement); `lateral` counts those beside each other.
Distances agree within the rounding of the table: 1 cm.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from figure import Figure, NotHere

from safety.rss import Rules, advance, beside, following, oncoming, stated, stopping

CASES = Path(__file__).resolve().parents[3] / "shared" / "data" / "safety" / "rss_cases.json"
KMH = 1.0 / 3.6
BOTH = Rules(reaction=2.0)
"""What the table's tests take for both vehicles."""


def measure(quick: bool) -> Iterable[Figure]:
    """Mismatches; the number of rows is printed as the rival's value."""
    if not CASES.exists():
        raise NotHere("needs ../shared/data/safety/rss_cases.json")
    data = json.loads(CASES.read_text())
    right = list(longitudinal(data))
    yield Figure("wrong", right.count(False), "1", "rows", len(right))
    sideways = list(lateral(data))
    yield Figure("lateral", sideways.count(False), "1", "rows", len(sideways))


def longitudinal(data: dict) -> Iterable[bool]:
    """Whether each row is answered as it says."""
    for row in data["longitudinal_same_direction"]:
        rules = Rules(reaction=2.0, accel=row.get("accel_max", 3.5), speed=row.get("vmax_kmh", 360.0) * KMH)
        bound = following(row["v_rear_kmh"] * KMH, row["v_front_kmh"] * KMH, rules, rules)
        yield (row["gap_m"] > bound) == row["safe"]
    for row in data["longitudinal_opposite"]:
        in_lane = Rules(reaction=row.get("rho_correct", 2.0))
        bound = oncoming(row["v_correct_kmh"] * KMH, row["v_wrong_kmh"] * KMH, in_lane, BOTH)
        yield (row["gap_m"] > bound) == row["safe"]
    for row in data["stated_braking_distance"]:
        rules = Rules(reaction=row["rho"], accel=row["accel_max"], brake=row["brake_min"])
        yield abs(stated(row["v_kmh"] * KMH, rules) - row["expected_m"]) <= 0.01
    for row in data["stopping_distance"]:
        yield abs(stopping(row["v_kmh"] * KMH, row["decel"]) - row["expected_m"]) <= 0.01
    for row in data["accelerated_limited_movement"]:
        s, v = advance(row["v0"], row["a"], row["t"], row["vmax"])
        yield abs(s - row["s"]) <= 0.01 and abs(v - row["v"]) <= 0.01


def lateral(data: dict) -> Iterable[bool]:
    """Rows of two that drive beside each other."""
    same, other = data["lateral_same_speed_both"], data["lateral_other_zero"]
    for v, expected in zip(same["lat_speed_kmh"], same["expected_safe_m"], strict=True):
        yield abs(beside(v * KMH, v * KMH, BOTH, BOTH) - expected) <= 0.01
    for v, first, second in zip(
        other["lat_speed_left_kmh"], other["expected_left_first"], other["expected_right_first"], strict=True
    ):
        yield abs(beside(v * KMH, 0.0, BOTH, BOTH) - first) <= 0.01
        yield abs(beside(0.0, v * KMH, BOTH, BOTH) - second) <= 0.01
