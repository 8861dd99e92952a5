"""Open-loop errors, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sim.candidates import NAMES, Stretch, nominal
from sim.openloop import Drive, Samples, open_loop_errors, relative, sample
from sim.robot import RobotSpec

SPEC = RobotSpec()


def cruise(seconds: float, speed: float = 1.0, *, wheels: bool = False) -> Drive:
    """A robot that was told 1 m/s all the time, and measured to drive `speed`."""
    times = np.arange(0.0, seconds + 1e-6, 0.1)
    pose = np.stack([5.0 + speed * times, 0.0 * times + 2.0, 0.0 * times], axis=-1)
    twist = np.stack([speed + 0.0 * times, 0.0 * times], axis=-1)
    turning = Samples(times, np.full((len(times), 2), speed / SPEC.drive.wheel_radius)) if wheels else None
    stretch = Stretch(np.array([0.0]), np.array([(1.0, 0.0)]), (speed, 0.0), seconds)
    return Drive("r0", stretch, Samples(times, pose), Samples(times, twist), turning)


def test_a_pose_seen_from_another() -> None:
    a, b = np.array([1.0, 2.0, np.pi / 2]), np.array([0.0, 5.0, np.pi])
    assert relative(a, b) == pytest.approx((3.0, 1.0, np.pi / 2))


def test_between_ticks_the_motion_is_linear() -> None:
    out = np.array([[0.0], [1.0], [4.0]])
    assert sample(out, 0.02, np.array([0.0, 0.01, 0.03, 0.04, 9.0]))[:, 0] == pytest.approx([0.0, 0.5, 2.5, 4.0, 4.0])


def test_the_robot_that_does_what_it_is_told_has_no_error() -> None:
    found = open_loop_errors(SPEC, [cruise(8.0, wheels=True)], nominal(SPEC)[None])
    assert [one.horizon for one in found] == [0.1, 0.5, 1.0, 2.0, 5.0]
    assert [one.starts for one in found] == [7, 7, 7, 6, 3]
    for one in found:
        # the velocity servo drives 0.6 % slower than it is told, because the wheels' bearings take torque
        assert one.rms[0, 0] == pytest.approx(0.006 * one.horizon, rel=0.15)
        assert one.rms[0, 3] == pytest.approx(0.006, rel=0.15)
        assert one.rms[0, 5:7] == pytest.approx(0.006 / SPEC.drive.wheel_radius, rel=0.15)
        assert np.all(one.rms[0, [1, 2, 4]] < 1e-6)
        assert np.isnan(one.rms[0, 7:]).all()  # no torques were recorded


def test_a_robot_that_drives_a_tenth_faster_is_ahead_by_a_tenth() -> None:
    drive = cruise(8.0, 1.1)
    faster = nominal(SPEC)
    faster[NAMES.index("wheel_radius")] *= 1.1
    found = open_loop_errors(SPEC, [drive], np.stack([nominal(SPEC), faster]))
    last = found[-1]
    assert last.rms[0, 0] == pytest.approx(0.53, abs=0.01)  # and the servo's 0.006 of 5 m
    assert last.p95[0, 0] == pytest.approx(0.53, abs=0.01)
    assert last.rms[1, 0] == pytest.approx(0.03, abs=0.01)
    assert np.isnan(last.rms[:, 5:]).all()


def test_a_horizon_that_nobody_drove_has_no_starts() -> None:
    found = open_loop_errors(SPEC, [cruise(2.5)], nominal(SPEC)[None])
    assert [one.starts for one in found] == [2, 2, 1, 0, 0]
    assert np.isnan(found[-1].rms).all()
    nothing = open_loop_errors(SPEC, [cruise(1.0)], nominal(SPEC)[None])
    assert [one.starts for one in nothing] == [0] * 5


def test_a_simulation_that_blows_up_is_infinitely_wrong() -> None:
    broken = nominal(SPEC)
    broken[NAMES.index("mass")] = np.nan
    found = open_loop_errors(SPEC, [cruise(3.0)], np.stack([nominal(SPEC), broken]))
    assert np.isinf(found[2].rms[1, 0])
    assert found[2].rms[0, 0] < 0.02
