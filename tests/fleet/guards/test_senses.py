"""Readings that agree, and readings that contradict each other, in each of the ways that there are scores for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as with_

from agents.policy import RESIDUALS
from fleet.guards.raw import Raw
from fleet.guards.senses import WHEELS, RowSenses, Senses
from fleet.guards.watch import GuardMemory, Reading, watch
from hierarchy.skills import Answer
from sim.geometry import CORRIDOR_POINTS
from sim.robot import SECOND
from tests.fleet.guards.test_walls import SPEC, room, seen

PERIOD = SECOND // 10
STEPS = 14
Reads = list[Reading]


def drive(speed: float = 0.5, turn: float = 0.3, noise: float = 0.003) -> Reads:
    """An arc through the room, as read."""
    generator, (x, y, yaw), told = np.random.default_rng(4), (2.2, 2.2, 0.5), []
    for step in range(STEPS):
        scan = seen((x, y, yaw)) + generator.normal(0.0, noise, (1, 64))
        told.append(
            Reading(
                (x, y, yaw),
                step * PERIOD,
                (speed, turn),
                step * PERIOD,
                step * PERIOD,
                scan.astype(np.float32).tobytes(),
            )
        )
        x += 0.1 * speed * math.cos(yaw + 0.05 * turn)
        y += 0.1 * speed * math.sin(yaw + 0.05 * turn)
        yaw += 0.1 * turn
    return told


def scores(reads: Reads) -> dict[str, np.ndarray]:
    """Residuals of each step, as a robot's guard finds them."""
    senses, memory, found = Senses(room(), SPEC), GuardMemory(), []
    for cycle, reading in enumerate(reads):
        sensed = senses.look(memory, cycle, reading)
        found.append(sensed.residuals[0])
        fix = tuple(float(value) for value in sensed.fix[0])
        said = Answer((0.0, 0.0), policy="p", novelty=(0.0,) * 20, fix=fix)
        memory = watch(memory, said, b"1234", cycle, reading.pose_stamp, reading).memory
    return dict(zip(RESIDUALS, np.stack(found).T, strict=True))


QUIET = {"odometry": 0.3, "beyond": 0.04, "rough": 0.04, "place": 0.8, "bias": 0.004, "drift": 0.8, "still": 0.01}
"""Of readings that agree; a third of the limits that calibration finds, or less."""


def test_readings_that_agree_score_low() -> None:
    found = scores(drive())
    assert {name: float(found[name].max()) for name in RESIDUALS if found[name].max() > QUIET[name]} == {}


AT = 7
"""Step in which something goes wrong."""


def wrong(change: Callable[[Reading, Reads], Reading], speed: float = 0.5, turn: float = 0.3) -> dict[str, np.ndarray]:
    reads = drive(speed, turn)
    spoiled = [change(reading, reads[: step + 1]) if step >= AT else reading for step, reading in enumerate(reads)]
    return scores(spoiled)


def scan_of(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Reading, Reads], Reading]:
    def changed(reading: Reading, past: Reads) -> Reading:
        return with_(reading, scan=change(np.frombuffer(reading.scan, np.float32)).astype(np.float32).tobytes())

    return changed


def test_odometry_that_tells_too_little_shows_within_five_steps() -> None:
    found = wrong(lambda reading, past: with_(reading, twist=(0.6 * 0.5, 0.6 * 0.3)))
    assert found["odometry"][: AT + 1].max() < 1.0
    assert found["odometry"][AT + 4] > 2.0
    assert all(found[name].max() <= QUIET[name] for name in RESIDUALS if name != "odometry")


@pytest.mark.parametrize("jump", [(0.1, 0.0, 0.0), (0.0, 0.0, 0.1)])
def test_a_pose_that_jumps_contradicts_odometry_and_map(jump: tuple[float, float, float]) -> None:
    found = wrong(lambda reading, past: with_(reading, pose=tuple(np.add(reading.pose, jump).tolist())))
    assert found["odometry"][AT] > 2.5
    assert found["place"][AT:].min() > 2.5
    assert found["drift"][AT] > 2.0


def test_a_scan_that_is_late_drifts_over_the_map_and_a_later_stamp_explains_it() -> None:
    found = wrong(lambda reading, past: with_(reading, scan=past[-4].scan))
    assert found["place"][AT:].min() > 2.0
    late = wrong(lambda reading, past: with_(reading, scan=past[-2].scan, scan_stamp=past[-2].scan_stamp))
    assert late["place"].max() < 1.0, "it is no fault that a scan is as old as its stamp says"


def test_a_scan_that_stands_still_is_told_once_it_came_three_times() -> None:
    found = wrong(lambda reading, past: with_(reading, scan=past[AT].scan))
    assert found["still"][AT : AT + 4].tolist() == [0.0, 0.0, 1.0, 1.0]
    same = wrong(lambda reading, past: with_(reading, scan=past[AT].scan, scan_stamp=past[AT].scan_stamp))
    assert same["still"].max() == 0.0, "its stamp says that it is the same"


def test_a_robot_that_stands_may_see_the_same_again() -> None:
    assert scores(drive(0.0, 0.0, noise=0.0))["still"].max() == 0.0
    assert scores(drive(0.3, 0.0, noise=0.0))["still"].max() < 0.1


def test_mirrored_scaled_and_noisy_scans_fit_no_wall() -> None:
    assert wrong(scan_of(lambda scan: scan[::-1]))["beyond"][AT:].min() > 0.15
    assert wrong(scan_of(lambda scan: 1.3 * scan))["beyond"][AT:].min() > 0.15
    generator = np.random.default_rng(1)
    noisy = wrong(scan_of(lambda scan: scan + generator.normal(0.0, 0.1, scan.shape)))
    assert noisy["rough"][AT:].min() > 0.2


def test_after_a_gap_nothing_is_compared_with_what_was_before() -> None:
    senses, reads = Senses(room(), SPEC), drive()
    memory = watch(
        GuardMemory(), Answer((0.0, 0.0), policy="p", novelty=(0.0,) * 20, fix=(0.0,) * 3), b"1234", 0, 0, reads[0]
    ).memory
    jumped = with_(reads[1], pose=(2.25, 2.2, 0.5))
    of = lambda cycle: dict(zip(RESIDUALS, senses.look(memory, cycle, jumped).residuals[0], strict=True))  # noqa: E731
    assert of(1)["odometry"] > 0.3
    assert (of(2)["odometry"], of(2)["drift"], of(2)["still"]) == (0.0, 0.0, 0.0)
    assert of(2)["place"] == of(1)["place"]


def test_rows_in_simulation_are_judged_as_a_robot_is() -> None:
    reads = [drive(0.5, 0.3), drive(-0.2, 0.8), drive(1.0, -0.4)]
    alone = np.stack([np.stack(list(scores(each).values()), 1) for each in reads], 1)
    rows, first = RowSenses(room(), SPEC, 3), np.ones(3, bool)
    for step in range(STEPS):
        now = [each[step] for each in reads]
        raw = Raw(
            scan=np.stack([np.frombuffer(each.scan, np.float32) for each in now]),
            pose=np.array([each.pose for each in now], np.float32),
            twist=np.array([each.twist for each in now], np.float32),
            last_command=np.zeros((3, 2), np.float32),
            points=np.zeros((3, CORRIDOR_POINTS, 2), np.float32),
            half_width=np.zeros((3, CORRIDOR_POINTS), np.float32),
            count=np.zeros(3, np.int32),
            final=np.zeros(3, np.uint8),
        )
        np.testing.assert_allclose(rows.look(raw, first), alone[step], atol=2e-4)
        first = np.zeros(3, bool)
    again = np.array([True, False, False])
    assert rows.look(replace(raw, pose=raw.pose + np.float32(0.2)), again)[:, 0].tolist()[0] == 0.0


def test_odometry_of_another_instant_than_the_pose_is_moved_to_it() -> None:
    speeding = []
    for step in range(STEPS):
        at, told = 0.1 * step, 0.1 * step + 0.08  # the twist is 0.08 s newer
        turned = 0.5 * at**2
        scan = seen((2.2, 2.2, 0.1 + turned)).astype(np.float32).tobytes()
        stamp = step * PERIOD
        speeding.append(Reading((2.2, 2.2, 0.1 + turned), stamp, (0.0, told), stamp + 8 * PERIOD // 10, stamp, scan))
    assert scores(speeding)["odometry"].max() < 0.1
    unstamped = [with_(each, twist_stamp=each.pose_stamp) for each in speeding]
    assert scores(unstamped)["odometry"].max() > 0.8


def test_wheels_of_two_sizes_are_no_fault() -> None:
    reads = drive(1.0, 0.1)
    worn = [with_(each, twist=(1.0, 0.1 + WHEELS * 1.0 / SPEC.diff.track)) for each in reads]
    assert scores(worn)["odometry"].max() < 0.8
    slow = [with_(each, twist=(0.1, 0.1 + WHEELS * 1.0 / SPEC.diff.track)) for each in drive(0.1, 0.1)]
    assert scores(slow)["odometry"].max() > 0.9, "a slow robot's wheels turn it less"
