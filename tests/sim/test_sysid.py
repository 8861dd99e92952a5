"""Identification: planted parameters are recovered, and what cannot be known is said to be unknown."""

from __future__ import annotations

import numpy as np
import pytest

from sim.candidates import NAMES, Stretch
from sim.descent import pace
from sim.excitation import plant_robot, record, true_parameters
from sim.openloop import Drive, Samples
from sim.refit import refit
from sim.robot import RobotSpec
from sim.specfile import check_spec
from sim.sysid import IdentificationError, between_variance, identify, pieces

SPEC = RobotSpec()
CLOSE = 0.05
"""The goal: planted parameters within 5 %."""


def test_the_variance_between_recordings_by_hand() -> None:
    # equal errors e: the variance of the values (n - 1 below) less e^2
    values = np.array([1.0, 2.0, 3.0])
    assert between_variance(values, np.full(3, 0.5)) == pytest.approx(1.0 - 0.25)
    assert between_variance(values, np.full(3, 2.0)) == 0.0  # they differ by less than their errors explain
    assert between_variance(values[:1], np.full(1, 0.5)) == 0.0


def test_recordings_that_are_too_short_or_at_rest_are_refused() -> None:
    times = np.arange(0.0, 10.0, 0.1)
    rest = Samples(times, np.zeros((100, 3)))
    still = Drive("r0", Stretch(times, np.zeros((100, 2)), (0.0, 0.0), 9.9), rest, None)
    with pytest.raises(IdentificationError, match="expected at least one stretch of 3 s of driving"):
        identify(SPEC, [still])
    with pytest.raises(IdentificationError, match="record longer runs"):
        identify(SPEC, [])


def test_the_liveliest_pieces_of_each_recording_are_learned_from() -> None:
    times = np.arange(0.0, 70.0, 0.1)
    rest = Samples(times, np.zeros((700, 3)))
    calm = np.ones((700, 2))
    lively = calm.copy()
    lively[400:500:2] = -1.0
    one = Drive("r0", Stretch(times, calm, (0.0, 0.0), 70.0), rest, None)
    two = Drive("r1", Stretch(times, lively, (0.0, 0.0), 70.0), rest, None)
    assert [part.duration for part in pieces([one])] == pytest.approx([17.5] * 4)
    chosen = pieces([one, two], 36.0)
    assert [part.recording for part in chosen] == ["r0", "r1"]
    assert (chosen[1].stretch.commands == -1.0).sum() == 2 * 50  # both columns of the one part that holds them all
    assert sum(part.duration for part in pieces([one, two] * 9)) <= 120.0


def test_planted_parameters_are_found_again_from_noisy_poses_and_odometry() -> None:
    spec, planted = plant_robot(SPEC, 0)
    fit = identify(SPEC, record(spec, planted, 10.0, 1, 1))
    truth = true_parameters(spec, planted)
    for name in ("wheel_radius", "track", "accel", "brake", "turn_accel"):
        estimate = fit.estimate(name)
        assert estimate.identifiable
        assert estimate.value == pytest.approx(truth[NAMES.index(name)], rel=CLOSE), name
        assert abs(estimate.before / truth[NAMES.index(name)] - 1.0) > 0.01  # the fit did not begin there
    delay = fit.estimate("lag").value + fit.estimate("latency").value
    assert delay == pytest.approx(truth[-2] + truth[-1], rel=CLOSE)
    mass = fit.estimate("mass")
    assert not mass.identifiable
    assert "no torques were recorded" in mass.reason
    assert mass.value == SPEC.mass
    written = refit(SPEC, fit, "again")
    check_spec(written.spec)
    assert written.spec.drive.wheel_radius == fit.estimate("wheel_radius").value
    assert written.spec.drive.believed_wheel_radius == SPEC.drive.wheel_radius
    assert written.sources["drive.track"].startswith("measured: ")
    assert written.randomization["track"].low < fit.estimate("track").value < written.randomization["track"].high


@pytest.mark.slow
@pytest.mark.parametrize("robot", [1, 2])
def test_every_planted_parameter_is_found_again_within_five_percent(robot: int) -> None:
    spec, planted = plant_robot(SPEC, robot)
    fit = identify(SPEC, record(spec, planted, 20.0, 4, 10 + robot, wheels=True, torques=True))
    truth = true_parameters(spec, planted)
    for estimate, value in zip(fit.estimates, truth.tolist(), strict=True):
        assert estimate.identifiable, f"{estimate.name}: {estimate.reason}"
        assert estimate.value == pytest.approx(value, rel=CLOSE), estimate.name


@pytest.mark.slow
def test_what_the_recordings_do_not_show_is_kept_and_said() -> None:
    spec, planted = plant_robot(SPEC, 0)
    gentle = record(spec, planted, 20.0, 2, 3)
    slow = [_slowed(drive) for drive in gentle]
    fit = identify(SPEC, slow)
    traction = fit.estimate("traction")
    assert not traction.identifiable
    assert traction.value == traction.before
    assert traction.reason
    assert fit.estimate("brake").reason or not fit.estimate("brake").identifiable


def _slowed(drive: Drive) -> Drive:
    """A recording of a robot that stands almost still, told next to nothing."""
    return Drive(
        drive.recording,
        Stretch(drive.stretch.times, np.tile([0.05, 0.0], (len(drive.stretch.times), 1)), (0.05, 0.0), drive.duration),
        Samples(drive.pose.times, np.stack([0.053 * drive.pose.times, 0 * drive.pose.times, 0 * drive.pose.times], -1)),
        None,
    )


def test_a_fit_says_how_long_it_still_takes() -> None:
    assert pace(125, 10.0) == "125 candidates simulated in 10 s, some 30 s left"  # of 500 in 40 s
    assert pace(600, 48.0) == "600 candidates simulated in 48 s, longer than usual"
