"""The prediction: hand-worked numbers, the note's table, and published cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import warp as wp
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.dynamics import (
    PLAN_TICKS,
    Bounds,
    bounds,
    following_gap,
    needed_gap,
    slew,
    stop_time,
    stopping_ticks,
    waiting_target,
)
from sim.robot import RobotSpec

CASES = Path(__file__).parents[2].parent / "shared/data/safety/rss_cases.json"


@wp.kernel
def slew_all(args: wp.array2d(dtype=wp.float32), out: wp.array2d(dtype=wp.float32)) -> None:
    i = wp.tid()
    r = slew(args[i, 0], args[i, 1], args[i, 2], args[i, 3], args[i, 4])
    out[i, 0] = r[0]
    out[i, 1] = r[1]


@wp.kernel
def stop_all(v: float, w: float, last: float, b: Bounds, out: wp.array(dtype=wp.float32)) -> None:
    out[0] = stop_time(v, w, b)
    out[1] = waiting_target(v, last)


def run_slew(*args: float) -> tuple[float, float]:
    out = wp.zeros((1, 2), dtype=wp.float32, device="cpu")
    wp.launch(slew_all, dim=1, inputs=[wp.array([args], dtype=wp.float32, device="cpu"), out], device="cpu")
    end, mean = out.numpy()[0]
    return float(end), float(mean)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((0.0, 1.5, 1.0, 1.5, 0.1), (0.1, 0.05)),  # speeding up from rest
        ((1.0, 1.05, 1.0, 1.5, 0.1), (1.05, 1.0375)),  # 0.05 s to the target, then held: 0.05*1.025 + 0.05*1.05
        ((1.0, 0.0, 1.0, 1.5, 0.1), (0.85, 0.925)),  # braking
        ((0.1, 0.0, 1.0, 1.5, 0.1), (0.0, 0.1 * (0.1 / 1.5) / 2 / 0.1)),  # at rest inside the step
        ((0.15, -1.0, 1.0, 1.5, 0.2), (-0.1, (0.0075 - 0.005) / 0.2)),  # 0.1 s of braking, then 0.1 s backwards
        ((-1.0, -0.9, 1.0, 1.5, 0.1), (-0.9, -(0.95 / 15 + 0.9 * (0.1 - 1 / 15)) / 0.1)),  # braking backwards
        ((0.7, 0.7, 1.0, 1.5, 0.1), (0.7, 0.7)),
        ((0.7, 0.0, 1.0, 1.5, 0.0), (0.7, 0.7)),  # no time
    ],
)
def test_slew_is_the_trapezoid_worked_by_hand(args: tuple[float, ...], expected: tuple[float, float]) -> None:
    assert run_slew(*args) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.floats(0.01, 0.5),
)
def test_slew_agrees_with_a_thousand_small_steps(value: float, target: float, dt: float) -> None:
    v, way, step = value, 0.0, dt / 1000
    for _ in range(1000):
        toward_rest = v * (target - v) < 0.0
        rate = (1.5 if toward_rest else 1.0) * step
        after = v + max(-rate, min(rate, target - v))
        way += 0.5 * (v + after) * step
        v = after
    end, mean = run_slew(value, target, 1.0, 1.5, dt)
    assert end == pytest.approx(v, abs=3e-3)
    assert mean * dt == pytest.approx(way, abs=2e-3)


def test_stop_takes_as_long_as_the_slower_of_speed_and_turn() -> None:
    out = wp.zeros(2, dtype=wp.float32, device="cpu")
    spec = bounds(RobotSpec())
    for v, w, seconds in ((1.5, 0.0, 1.0), (0.3, 2.0, 0.5), (-0.3, 0.4, 0.2), (0.0, 0.0, 0.0)):
        wp.launch(stop_all, dim=1, inputs=[v, w, 0.0, spec, out], device="cpu")
        assert out.numpy()[0] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("candidate", "last", "faster"),
    [(1.0, 0.5, 1.0), (0.5, 1.0, 1.0), (-0.2, 0.5, 0.5), (0.0, 0.4, 0.4), (0.3, 0.0, 0.3)],
)
def test_while_the_drive_may_not_have_heard_the_faster_command_counts(
    candidate: float, last: float, faster: float
) -> None:
    out = wp.zeros(2, dtype=wp.float32, device="cpu")
    wp.launch(stop_all, dim=1, inputs=[candidate, 0.0, last, bounds(RobotSpec()), out], device="cpu")
    assert out.numpy()[1] == pytest.approx(faster)


@pytest.mark.parametrize(
    ("v", "still", "walking"), [(0.5, 0.34, 1.74), (1.0, 0.90, 3.10), (1.5, 1.71, 4.71), (2.0, 2.77, 6.57)]
)
def test_needed_gap_is_that_of_the_published_table(v: float, still: float, walking: float) -> None:
    # safety note: b = 1 m/s^2, A = 0.5 m/s^2, rho = 0.25 s
    assert needed_gap(v, 0.0, brake=1.0, accel=0.5, rho=0.25) == pytest.approx(still, abs=0.005)
    assert needed_gap(v, 1.6, brake=1.0, accel=0.5, rho=0.25) == pytest.approx(walking, abs=0.005)


@pytest.mark.parametrize("bad", [{"v": -1.0}, {"person_speed": -0.1}, {"brake": 0.0}, {"rho": -0.1}])
def test_needed_gap_refuses_what_is_no_speed_or_time(bad: dict[str, float]) -> None:
    args = {"v": 1.0, "person_speed": 0.0, "brake": 1.0, "accel": 0.5, "rho": 0.25} | bad
    with pytest.raises(ValueError, match="must be"):
        needed_gap(**args)


def test_stopping_ticks_scale_turn_with_speed_and_end_in_rest() -> None:
    ticks = stopping_ticks(1.2, 0.6, 0.8, 0.0, 0.1)
    assert ticks.shape == (PLAN_TICKS, 2)
    assert ticks[0] == pytest.approx((1.05, 0.525))
    assert ticks[6] == pytest.approx((0.15, 0.075), abs=1e-6)
    assert np.all(ticks[8:] == 0.0)
    moving = ticks[:7]
    assert np.allclose(moving[:, 1] / moving[:, 0], 0.5)
    assert np.all(stopping_ticks(0.0, 0.0, 0.0, 0.0, 0.1) == 0.0)
    assert stopping_ticks(1.2, 0.6, 0.8, 0.3, 0.1)[0] == pytest.approx((0.6, 0.3))


@pytest.mark.skipif(not CASES.exists(), reason="../shared/data is absent")
def test_following_gap_gives_every_published_verdict_for_one_direction() -> None:
    kmh = 1.0 / 3.6
    told = 0
    for case in json.loads(CASES.read_text())["longitudinal_same_direction"]:
        rear, front = case["v_rear_kmh"] * kmh, case["v_front_kmh"] * kmh
        if "vmax_kmh" in case:
            continue  # a cap on the speed reached while reacting: our robots have none in the formula
        accel = case.get("accel_max", 3.5)
        safe = case["gap_m"] > following_gap(rear, front, rho=2.0, accel=accel, brake=4.0, brake_front=8.0)
        assert safe is case["safe"], case["test"]
        told += 1
    assert told == 8


@pytest.mark.skipif(not CASES.exists(), reason="../shared/data is absent")
def test_stated_braking_distances_are_a_needed_gap_before_a_wall() -> None:
    for case in json.loads(CASES.read_text())["stated_braking_distance"]:
        gap = needed_gap(case["v_kmh"] / 3.6, 0.0, brake=case["brake_min"], accel=case["accel_max"], rho=case["rho"])
        assert gap == pytest.approx(case["expected_m"], abs=0.01)
