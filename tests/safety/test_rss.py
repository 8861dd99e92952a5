"""The rules against numbers that other people published."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from safety.rss import Rules, advance, beside, following, oncoming, stated, stopping

CASES = Path(__file__).parents[3] / "shared" / "data" / "safety" / "rss_cases.json"
if not CASES.exists():
    pytest.skip("../shared/data is absent", allow_module_level=True)
DATA: dict[str, Any] = json.loads(CASES.read_text())
TWO = Rules(reaction=2.0)  # what the table's tests take for both vehicles


def rows(name: str) -> list[Any]:
    return [pytest.param(row, id=row.get("test", str(number))) for number, row in enumerate(DATA[name])]


@pytest.mark.parametrize("row", rows("longitudinal_same_direction"))
def test_same_direction(row: dict[str, Any]) -> None:
    speed = row.get("vmax_kmh", 360.0) / 3.6
    rules = Rules(reaction=2.0, accel=row.get("accel_max", 3.5), speed=speed)
    assert (row["gap_m"] > following(row["v_rear_kmh"] / 3.6, row["v_front_kmh"] / 3.6, rules, rules)) == row["safe"]


@pytest.mark.parametrize("row", rows("longitudinal_opposite"))
def test_opposite(row: dict[str, Any]) -> None:
    in_lane = Rules(reaction=row.get("rho_correct", 2.0))
    bound = oncoming(row["v_correct_kmh"] / 3.6, row["v_wrong_kmh"] / 3.6, in_lane, TWO)
    assert (row["gap_m"] > bound) == row["safe"]


@pytest.mark.parametrize("row", rows("stated_braking_distance"))
def test_stated_distances(row: dict[str, Any]) -> None:
    rules = Rules(reaction=row["rho"], accel=row["accel_max"], brake=row["brake_min"])
    assert stated(row["v_kmh"] / 3.6, rules) == pytest.approx(row["expected_m"], abs=0.01)


@pytest.mark.parametrize("row", rows("stopping_distance"))
def test_stopping_distances(row: dict[str, Any]) -> None:
    assert stopping(row["v_kmh"] / 3.6, row["decel"]) == pytest.approx(row["expected_m"], abs=0.01)


@pytest.mark.parametrize("row", rows("accelerated_limited_movement"))
def test_movement(row: dict[str, Any]) -> None:
    assert advance(row["v0"], row["a"], row["t"], row["vmax"]) == pytest.approx((row["s"], row["v"]))


@pytest.mark.parametrize("index", range(5))
def test_beside_at_equal_speeds(index: int) -> None:
    table = DATA["lateral_same_speed_both"]
    v = table["lat_speed_kmh"][index] / 3.6
    assert beside(v, v, TWO, TWO) == pytest.approx(table["expected_safe_m"][index], abs=0.01)


@pytest.mark.parametrize("index", range(4))
def test_beside_one_that_keeps_its_place(index: int) -> None:
    table = DATA["lateral_other_zero"]
    v = table["lat_speed_left_kmh"][index] / 3.6
    assert beside(v, 0.0, TWO, TWO) == pytest.approx(table["expected_left_first"][index], abs=0.01)
    assert beside(0.0, v, TWO, TWO) == pytest.approx(table["expected_right_first"][index], abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: advance(-1.0, 1.0, 1.0),
        lambda: advance(1.0, 1.0, -1.0),
        lambda: stopping(1.0, -4.0),
        lambda: stopping(1.0, 0.0),
        lambda: following(-1.0, 1.0, TWO, TWO),
        lambda: Rules(brake=0.0),
        lambda: Rules(reaction=math.nan),
    ],
)
def test_what_makes_no_sense_is_refused(wrong) -> None:  # noqa: ANN001 a call
    with pytest.raises(ValueError, match="expected"):
        wrong()
