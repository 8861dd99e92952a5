"""What a run says, against runs that were drawn by hand: slopes, delays, odometry, strays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fleet.estimates import Measured, Run, measure, ramp
from safety.conformance import foresee, plan_commands
from sim.robot import RobotSpec


def drawn(
    v: float,
    w: float,
    accel: float,
    brake: float,
    turn: float,
    delay: float,
    *,
    scale: float = 1.0,
    period: float = 0.1,
) -> Run:
    """An ideal drive that answers `delay` late: up to (v, w) from 0.2 s on, held, a full stop at 3.2 s."""
    fine = np.arange(0.0, 6.0, 1e-3)

    def follow(target: float, up: float, down: float) -> np.ndarray:
        rise = np.clip((fine - 0.2 - delay) * up, 0.0, abs(target))
        fall = np.clip((fine - 3.2 - delay) * down, 0.0, abs(target))
        return np.copysign(rise - fall, target) if target else np.zeros_like(fine)

    speed, rate = follow(v, accel, brake), follow(w, turn, turn)
    yaw = np.concatenate(([0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * 1e-3)))
    x = np.concatenate(([0.0], np.cumsum(speed[:-1] * np.cos(yaw[:-1]) * 1e-3)))
    y = np.concatenate(([0.0], np.cumsum(speed[:-1] * np.sin(yaw[:-1]) * 1e-3)))
    times = np.arange(0.0, 5.5, period)
    at = np.round(times * 1000).astype(int)
    commands = np.where(((times > 0.15) & (times < 3.15))[:, None], [(v, w)], [(0.0, 0.0)])
    return Run(
        told=(v, w),
        times=times,
        commands=commands,
        pose_times=times,
        poses=np.column_stack([x[at], y[at], yaw[at]]),
        twist_times=times,
        twists=scale * np.column_stack([speed[at], rate[at]]),
        age=0.04,
        up=2,
        stop=32,
    )


def test_a_run_gives_the_accelerations_and_the_delay_that_it_was_drawn_with() -> None:
    found = measure(drawn(1.5, 1.2, 0.9, 1.7, 2.0, 0.06))
    assert found.accel == pytest.approx(0.9, rel=1e-3)
    assert found.brake == pytest.approx(1.7, rel=1e-3)
    assert (found.turn_accel, found.turn_brake) == pytest.approx((2.0, 2.0), rel=1e-3)
    assert found.latency == pytest.approx(0.06, abs=2e-3)
    assert found.age == 0.04
    assert found.gain == pytest.approx((1.0, 1.0), abs=1e-3)
    # v^2 / 2b + v (delay and what is left of the cycle's own)
    assert found.stop_way == pytest.approx(1.5**2 / 3.4 + 1.5 * 0.06, abs=0.03)


def test_backwards_and_to_the_right_are_measured_alike() -> None:
    found = measure(drawn(-1.0, -1.5, 0.8, 1.2, 2.5, 0.05))
    assert (found.accel, found.brake) == pytest.approx((0.8, 1.2), rel=1e-3)
    assert found.turn_brake == pytest.approx(2.5, rel=1e-2)
    assert found.latency == pytest.approx(0.05, abs=3e-3)


def test_the_odometry_is_compared_with_the_way_that_localisation_says() -> None:
    odometry, place = measure(drawn(1.0, 0.8, 1.0, 1.8, 3.0, 0.05, scale=1.03)).way
    assert odometry / place == pytest.approx(1.03, rel=2e-3)
    odometry, place = measure(drawn(1.0, 0.8, 1.0, 1.8, 3.0, 0.05, scale=1.03)).turn
    assert odometry / place == pytest.approx(1.03, rel=2e-3)


def test_a_stop_that_is_over_within_a_few_readings_gives_no_braking() -> None:
    found = measure(drawn(0.3, 0.0, 1.0, 1.8, 3.0, 0.05))
    assert math.isnan(found.brake)
    assert math.isnan(found.turn_accel)


def test_a_change_that_never_comes_is_no_ramp() -> None:
    times = np.arange(0.0, 2.0, 0.1)
    assert ramp(times, np.ones(20), 0.5, 1.0, 0.0, 3) is None


def test_a_plan_is_played_to_its_end_however_long_it_takes() -> None:
    assert plan_commands(np.array([1.0, -0.5, 0.4]), 0.1) == pytest.approx(
        np.array([(0.75, -0.375), (0.5, -0.25), (0.25, -0.125), (0.0, 0.0)])
    )
    assert len(plan_commands(np.array([1.0, 1.5, 3.05]), 0.1)) == 31  # more than a stored plan's 16 ticks
    assert len(plan_commands(np.zeros(3), 0.1)) == 0


def test_a_body_that_follows_the_prediction_strays_by_nothing_and_one_that_is_pushed_aside_by_as_much() -> None:
    spec = RobotSpec(latency_bound=0.0)
    seen = foresee(spec, np.array([(1.0, 0.0)]), np.array([(1.0, 0.0)]), np.array([(1.0, 0.0)]))
    times = np.arange(0.0, 1.5, 0.1)
    stop = 1.0 / spec.diff.brake_min
    after = np.clip(times - 0.1, 0.0, stop)  # the candidate's period, then the stop
    x = np.minimum(times, 0.1) + after - 0.5 * spec.diff.brake_min * after**2

    def run(aside: float) -> Measured:
        poses = np.column_stack([x, np.where(times > 0.45, aside, 0.0), np.zeros_like(x)])
        twists = np.zeros((len(times), 2))
        return measure(Run((1.0, 0.0), times, twists, times, poses, times, twists, 0.0, 0, 0, seen))

    kept, pushed = run(0.0), run(0.08)
    assert kept.error is not None
    assert kept.error.max() < 1e-3
    assert pushed.error is not None
    assert pushed.error.max() == pytest.approx(0.08, abs=2e-3)
