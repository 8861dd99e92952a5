"""Candidates: the same firmware as the plant's, the same body, and worlds that do not disturb each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from sim.candidates import NAMES, Candidates, Restart, Stretch, nominal
from sim.drive import make_drive, record_drive
from sim.excitation import Planted, excitation, record, true_parameters
from sim.openloop import Drive, relative, sample
from sim.robot import SECOND, RobotSpec

SPEC = RobotSpec()
DT = SPEC.motor_period / SECOND


def stretch(seconds: float = 4.0, seed: int = 3) -> Stretch:
    commands = excitation(SPEC, seconds, seed).astype(np.float64)
    times = np.arange(len(commands)) * SPEC.period / SECOND
    return Stretch(np.concatenate([[-1.0], times]), np.concatenate([np.zeros((1, 2)), commands]), (0.0, 0.0), seconds)


def parameters(**changes: float) -> NDArray[np.float64]:
    values = nominal(SPEC)
    for name, value in changes.items():
        values[NAMES.index(name)] = value
    return values[None]


@pytest.mark.parametrize("latency", [0, 1, 3])
def test_at_whole_motor_periods_the_firmware_is_the_plants_to_the_bit(latency: int) -> None:
    driven = stretch()
    candidates = Candidates(SPEC, [driven], 1)
    seen: list[NDArray[np.float64]] = []
    step = candidates.backend.step
    candidates.backend.step = lambda substeps=1: (
        seen.append(candidates.backend.ctrl.numpy()[0].copy()),
        step(substeps),
    )  # type: ignore[method-assign,assignment]  # a spy
    candidates.run(parameters(latency=latency * DT, lag=0.013))
    drive = make_drive(1, "cpu")
    drive.latency.fill_(latency)
    drive.lag.fill_(0.013)
    ctrl = wp.zeros((1, 2), dtype=wp.float64)
    launches = record_drive(SPEC, drive, ctrl, 1, 2, "cpu")
    wanted = []
    for command in driven.commands[1:]:
        drive.before.assign(drive.released)
        drive.released.assign(command[None].astype(np.float32))
        for launch in launches:
            launch.launch()
            wanted.append(ctrl.numpy()[0].copy())
    assert np.abs(wanted).max() > 5.0  # it drove
    assert np.array_equal(np.array(seen), np.array(wanted))


def test_between_whole_motor_periods_the_answer_lies_between() -> None:
    late = np.array([0.02, 0.025, 0.03, 0.035, 0.04])
    rows = np.concatenate([parameters(latency=float(latency)) for latency in late])
    step = Stretch(np.array([-1.0, 0.1]), np.array([(0.0, 0.0), (1.0, 0.0)]), (0.0, 0.0), 0.5)
    speed = Candidates(SPEC, [step], len(late)).run(rows)[:, 0, -1, 3]
    assert np.all(np.diff(speed) < 0.0)
    assert np.allclose(np.diff(speed), -0.005 * SPEC.drive.accel_max, rtol=0.02)  # on the ramp: acceleration x delay


def test_a_candidate_does_not_depend_on_the_others() -> None:
    driven = [stretch(2.0, 1), stretch(3.0, 2)]
    rows = np.concatenate([parameters(), parameters(wheel_radius=0.09, mass=80.0), parameters(traction=0.2)])
    together = Candidates(SPEC, driven, 3, threads=2).run(rows)
    alone = Candidates(SPEC, driven[1:], 1, threads=1).run(rows[2:])
    assert np.array_equal(together[2, 1], alone[0, 0])
    again = Candidates(SPEC, driven, 3, threads=2)
    again.run(rows[::-1].copy())
    assert np.array_equal(again.run(rows), together)  # nothing of an earlier run compounds


def test_a_larger_wheel_and_a_wider_track_do_what_geometry_says() -> None:
    straight = Stretch(np.array([0.0]), np.array([(1.0, 0.0)]), (0.0, 0.0), 3.0)
    spin = Stretch(np.array([0.0]), np.array([(0.0, 1.0)]), (0.0, 0.0), 3.0)
    rows = np.concatenate([parameters(), parameters(wheel_radius=0.088), parameters(track=0.462)])
    out = Candidates(SPEC, [straight, spin], 3).run(rows)
    v, w = out[:, 0, -1, 3], out[:, 1, -1, 4]
    assert v[1] / v[0] == pytest.approx(1.1, abs=0.002)
    assert w[1] / w[0] == pytest.approx(1.1, abs=0.004)
    assert w[2] / w[0] == pytest.approx(1.0 / 1.1, abs=0.004)
    assert out[:, 0, -1, 1] == pytest.approx(0.0, abs=1e-3)


def test_a_heavier_robot_takes_more_torque_and_a_slippery_floor_less_brake() -> None:
    go = Stretch(np.array([0.0, 2.0]), np.array([(1.5, 0.0), (0.0, 0.0)]), (0.0, 0.0), 3.0)
    rows = np.concatenate([parameters(), parameters(mass=90.0), parameters(traction=0.12)])
    out = Candidates(SPEC, [go], 3).run(rows)[:, 0]
    torque = out[:, round(1.0 / DT), 7] - 0.05 * out[:, round(1.0 / DT), 5]  # less what the wheel's bearing takes
    assert torque[1] / torque[0] == pytest.approx(1.5, rel=0.02)
    braking = -np.diff(out[:, round(2.1 / DT) : round(2.5 / DT), 3], axis=1).mean(axis=1) / DT
    assert braking[0] == pytest.approx(1.8, rel=0.03)
    # its whole weight on two wheels, of which casters carry a part: what the motors may pull is what counts
    assert braking[2] == pytest.approx(0.12 * 9.81, rel=0.15)


def test_the_planted_robot_is_its_candidate() -> None:
    spec = replace(SPEC, drive=replace(SPEC.drive, wheel_radius=0.085, firmware_wheel_radius=0.08, accel_max=0.8))
    planted = Planted(traction=0.5, lag=0.02, latency=2)
    (drive,) = record(spec, planted, 6.0, 1, 4, level=0.0)
    out = Candidates(SPEC, [drive.stretch], 1).run(true_parameters(spec, planted)[None])[0, 0]
    there = sample(out, DT, drive.pose.times)[:, :3]
    real = relative(drive.pose.values[:1], drive.pose.values)
    assert np.abs(real[-1]).max() > 0.5
    assert np.abs(there - real).max() < 0.01
    nominal_out = Candidates(SPEC, [drive.stretch], 1).run(nominal(SPEC)[None])[0, 0]
    assert np.abs(sample(nominal_out, DT, drive.pose.times)[:, :3] - real).max() > 0.1


def test_a_restart_gives_the_body_the_measured_twist_and_leaves_the_firmware_alone() -> None:
    cruise = Stretch(np.array([0.0]), np.array([(1.0, 0.0)]), (0.0, 0.0), 3.0)
    candidates = Candidates(SPEC, [cruise], 1)
    tick = round(2.0 / DT)
    out = candidates.run(parameters(), Restart(tick, np.array([(0.5, 0.2)])))[0, 0]
    assert out[tick, 3:5] == pytest.approx((0.5, 0.2), abs=1e-6)
    assert out[-1, 3] == pytest.approx(1.0, abs=0.02)  # the firmware still wants what was commanded


def test_excitation_is_the_same_for_the_same_seed_and_uses_the_whole_range() -> None:
    one, two = excitation(SPEC, 60.0, 1), excitation(SPEC, 60.0, 1, run=1)
    assert np.array_equal(one, excitation(SPEC, 60.0, 1))
    assert not np.array_equal(one, two)
    assert one[:, 0].max() > 1.4
    assert one[:, 0].min() < -0.1
    assert abs(one[:, 1]).max() == pytest.approx(SPEC.drive.turn_max)


def test_a_drive_is_cut_with_the_commands_that_are_on_their_way() -> None:
    (drive,) = record(SPEC, Planted(), 4.0, 1, 4)
    part = drive.cut(1.05, 3.05)
    assert isinstance(part, Drive)
    assert part.duration == pytest.approx(2.0)
    assert part.stretch.times[0] < 0.0
    at = int(np.flatnonzero(part.stretch.times <= 1e-9)[-1])
    assert np.array_equal(part.stretch.commands[at], drive.stretch.commands[11])  # told at 1.0 s; one before the start
    assert part.pose.times[0] == pytest.approx(0.05)
