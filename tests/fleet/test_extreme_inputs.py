"""Thousands of control steps on inputs that no sensor or coordinator should send: a verdict each, never an exception.

Everything that comes over a wire is drawn, with the largest and the smallest numbers that its type can hold.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from coordination.messages import Assignment, Grant, Leg, LegKind, Picture
from fleet.control import ControlConfig, Stepper
from fleet.records import Inputs, Memory, Outputs, at_start
from safety.supervisor import Mode, may_drive
from sim.robot import SECOND, RobotSpec
from tests.fleet.episodes import LENGTH, aisle
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
SITE = aisle()
FLOATS = (0.0, -1.0, math.nan, math.inf, -math.inf, 1e30, 1e308, -1e308, 5e-324)
INTS = (0, -1, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, LENGTH, LENGTH + 1, 10**6)


def odd(draw: random.Random, usual: float, share: float = 0.1) -> float:
    return draw.choice(FLOATS) if draw.random() < share else usual


def odd_int(draw: random.Random, usual: int, share: float = 0.1) -> int:
    return draw.choice(INTS) if draw.random() < share else usual


def odd_picture(draw: random.Random, cycle: int, stamp: int, x: float) -> Picture | None:
    if draw.random() < 0.1:
        return None
    here = min(max(int(x / SITE.cell), 0), LENGTH - 1)
    cells = tuple(odd_int(draw, LENGTH + index, 0.02) for index in range(max(here - 1, 0), min(here + 5, LENGTH)))
    if draw.random() < 0.1:
        cells = tuple(draw.choices(cells, k=draw.randrange(40)))
    legs = tuple(
        Leg(odd_int(draw, LENGTH + draw.randrange(LENGTH)), draw.choice(list(LegKind)), odd(draw, 0.5, 0.3))
        for _ in range(draw.randrange(4))
    )
    assignment = Assignment("t", odd_int(draw, 1, 0.02), legs, odd(draw, 0.0), odd_int(draw, 0, 0.2))
    return Picture(
        round=odd_int(draw, cycle),
        stamp=odd_int(draw, stamp),
        site=draw.choice((SITE.hash,) * 9 + ("",)),
        grant=Grant(odd_int(draw, 1), cells, odd_int(draw, stamp + SECOND)) if draw.random() < 0.9 else None,
        others=tuple(draw.choices(INTS, k=draw.randrange(3))),
        robots=tuple((odd(draw, x + 3.0), odd(draw, 1.8), odd(draw, 0.5)) for _ in range(draw.randrange(20))),
        assignment=assignment if draw.random() < 0.8 else None,
        stop_epoch=odd_int(draw, 0),
        stopped=draw.random() < 0.01,
        error="no" * (draw.random() < 0.02),
    )


def odd_inputs(draw: random.Random, cycle: int, x: float, v: float, share: float) -> Inputs:
    """At x (m) and v (m/s) if nothing is odd; `share` of the readings' numbers are."""
    stamp = (cycle + 1) * SPEC.period
    scan = np.full(SPEC.lidar.rays, draw.choice((10.0, 5.0, 0.5)), np.float32)
    if draw.random() < share:
        with np.errstate(over="ignore"):
            scan[draw.randrange(len(scan))] = draw.choice(FLOATS)
    data = scan.tobytes()
    if draw.random() < share / 2:
        data = data[: draw.randrange(len(data))]
    return Inputs(
        cycle=odd_int(draw, cycle, share / 5),
        stamp=odd_int(draw, stamp, share / 5),
        scan=data,
        scan_stamp=odd_int(draw, stamp, share),
        pose=(odd(draw, x, share), odd(draw, 1.8, share), odd(draw, 0.0, share)),
        pose_stamp=odd_int(draw, stamp, share),
        twist=(odd(draw, v, share), odd(draw, 0.0, share)),
        twist_stamp=odd_int(draw, stamp, share),
        battery=odd(draw, 1.0, share),
        bumper=draw.random() < share / 10,
        picture=odd_picture(draw, cycle, stamp, x),
        missed=odd_int(draw, 0, share / 5),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy")


@pytest.mark.parametrize("person_speed", [0.0, 1.6])
def test_no_input_raises_and_each_step_releases_a_command_within_the_limits(folder: Path, person_speed: float) -> None:
    draw = random.Random(4)
    stepper = Stepper(ControlConfig(spec=SPEC, person_speed=person_speed), SITE, write_hand_policy(folder, SPEC))
    memory, drove, x, v, share = at_start(), 0, 0.0, 0.0, 0.0
    for cycle in range(3000):
        if cycle % 15 == 0:  # else the first latch ends it all
            x, v, share = SITE.cell * LENGTH * draw.random(), 0.0, draw.choice((0.0, 0.1, 0.3))
            memory = at_start((x, 1.8, 0.0))
        inputs = odd_inputs(draw, cycle, x, v, share)
        outputs, memory = stepper.step(inputs, memory)
        v, w = outputs.released
        x += 0.1 * v
        assert -SPEC.drive.reverse_max <= v <= SPEC.drive.speed_max, inputs
        assert abs(w) <= SPEC.drive.turn_max, inputs
        assert all(map(math.isfinite, (*outputs.report.pose, *outputs.report.twist, outputs.report.battery))), inputs
        for record, kind in ((outputs, Outputs), (memory, Memory)):
            data = msgspec.msgpack.encode(record)
            assert msgspec.msgpack.encode(msgspec.msgpack.decode(data, type=kind)) == data, inputs
        drove += may_drive(outputs.mode)
    assert drove > 60, "there are steps among them in which the robot may drive"


@pytest.mark.parametrize("place", [1e308, -1e308, math.nan, math.inf, 1e30])
def test_a_place_that_cannot_be_used_stops_the_robot_and_reports_the_last_one(folder: Path, place: float) -> None:
    stepper = Stepper(ControlConfig(spec=SPEC), SITE, write_hand_policy(folder, SPEC))
    draw = random.Random(1)
    inputs = msgspec.structs.replace(odd_inputs(draw, 3, 0.6, 0.0, 0.0), pose=(place, 1.8, 0.0))
    stamp = 4 * SPEC.period
    picture = Picture(
        3, stamp, SITE.hash, Grant(1, (LENGTH,), stamp + SECOND), robots=((3.0, 1.8, 0.5), (place, 0, 0.5))
    )
    outputs, _ = stepper.step(msgspec.structs.replace(inputs, picture=picture), at_start((0.6, 1.8, 0.0)))
    assert outputs.mode is Mode.STOPPED
    assert outputs.report.pose == (0.6, 1.8, 0.0)
