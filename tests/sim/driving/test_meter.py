"""What episodes of driving come to: times to collision against the witness, figures against a drive's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fleet.drivefigures import figures
from fleet.driverecord import DriveRecorder
from fleet.venues import Among, course_of, make_env, make_venue
from sim.driving.meter import EVERY, HORIZON, DriveMeter, times_to_collision
from sim.driving.moment import Moment
from sim.driving.witness import STEP, time_to_collision
from tests.sim.driving.plainworld import by_hand


def test_times_to_collision_are_the_witness_s() -> None:
    """The witness tries boxes in steps of 0.1 s; 300 worlds of five boxes each."""
    rng = np.random.default_rng(3)
    worlds, many = 300, 5
    pose = np.concatenate(
        [rng.uniform(-40.0, 40.0, (worlds, many, 2)), rng.uniform(-math.pi, math.pi, (worlds, many, 1))], axis=-1
    )
    speed = rng.uniform(0.0, 20.0, (worlds, many))
    size = rng.uniform(1.0, 6.0, (worlds, many, 2))
    kind = np.where(rng.random((worlds, many)) < 0.2, -1, 0)
    kind[:, 0] = 0
    read = {"kind": kind, "pose": pose, "motion": np.stack([speed, speed, speed], axis=-1), "size": size}
    found = times_to_collision(read, 1)
    expected = np.array(
        [
            time_to_collision(
                pose[w, 0], size[w, 0], speed[w, 0], *(each[w, 1:][kind[w, 1:] >= 0] for each in (pose, size, speed))
            )
            for w in range(worlds)
        ]
    )
    hits = np.isfinite(expected)
    assert 30 < hits.sum() < 270
    assert (found[hits] <= expected[hits] + 1e-6).all()
    late = np.minimum(expected, 2.0 * HORIZON) - np.minimum(found, 2.0 * HORIZON)
    brief = np.where(hits, late > STEP + 1e-6, found < HORIZON)  # touches between two steps of the witness
    assert brief.mean() < 0.03


def test_two_boxes_by_hand() -> None:
    pose = np.array([[(0.0, 0.0, 0.0), (24.0, 0.5, math.pi / 2), (4.0, 2.5, 0.0)]])
    motion = np.zeros((1, 3, 3))
    motion[0, :, 0] = 10.0, 0.0, 10.0
    read = {"kind": np.zeros((1, 3), int), "pose": pose, "motion": motion, "size": np.array([[(4.0, 2.0)] * 3])}
    assert times_to_collision(read, 1) == pytest.approx([2.1])  # 24 m less 2 m and half a width, at 10 m/s
    assert times_to_collision(read, 3) == pytest.approx([2.1, 1.7, 1.7])


@pytest.mark.parametrize(("site", "wild"), [("highway:3", False), ("blocked_lane", True)])
def test_an_episode_comes_to_what_its_drive_does(site: str, wild: bool) -> None:
    """The same drive, once from its moments (what steps begin with), once by the meter (what they end with)."""
    venue = make_venue(site)
    env = make_env(venue, 3, Among(seconds=30.0 if wild else 12.0, traffic=40, walkers=0, shield=False))
    env.reset()
    meter = DriveMeter(env)
    meter.begin()
    course = course_of(venue, env, 3, "by hand")
    recorder, moments = DriveRecorder(env, course), list[Moment]()
    while not recorder.over:
        act = by_hand(np.array(env.observation.numpy(), np.float32))
        if wild:
            act[:, 0] = 1.0
        step = env.step(act)
        meter.step()
        moments.append(recorder.take())
    assert (np.asarray(step.terminated) | np.asarray(step.truncated)).all()
    (found,) = ({name: float(values[0]) for name, values in meter.take(np.array([0])).items()},)
    drive = figures(course, moments)
    assert found["at_fault"] == (drive.at_fault > 0)
    if not wild:  # of a scenario the time counts
        assert found["completion"] == pytest.approx(drive.completion, abs=0.02)
    assert found["speed"] == pytest.approx(drive.speed_share, abs=0.02)
    assert found["ttc"] == pytest.approx(min(drive.least_ttc, HORIZON), abs=STEP + EVERY * course.period)
    accel = np.array([moment.motion[1] for moment in moments])
    assert found["accel"] == pytest.approx(math.sqrt((accel**2).mean()), rel=0.1, abs=0.02)
    jerk = np.diff(accel) / course.period
    assert found["jerk"] == pytest.approx(math.sqrt((jerk**2).mean()), rel=0.15, abs=0.05)
    assert 0.0 <= found["ttc_short"] <= 1.0
    if wild:
        assert drive.at_fault, "who only accelerates ends in somebody"
        assert found["ttc_short"] > 0.0
