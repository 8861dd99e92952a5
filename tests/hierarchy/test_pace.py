from __future__ import annotations

import math

import numpy as np
import pytest

from hierarchy.corridors import NO_WAY, window
from hierarchy.pace import Pace
from sim.fixtures import Fixtures, SpeedZone
from sim.pace import SHARE
from sim.robot import SECOND, RobotSpec
from sim.site import make_site, with_fixtures

SPEC = RobotSpec()
CELLS = tuple(range(9))
RADIUS = SPEC.radius + SPEC.localisation_bound


def pace(*zones: SpeedZone) -> Pace:
    """A lane of nine 1.2 m cells."""
    return Pace(SPEC, with_fixtures(make_site("lane", np.zeros((1, 9), bool)), Fixtures(zones=zones)))


def limit_at(x: float, speed: float, *zones: SpeedZone) -> float:
    site = make_site("lane", np.zeros((1, 9), bool))
    return pace(*zones).limit((x, 0.6), speed, window(site, CELLS, (x, 0.6), -1, RADIUS))


def test_no_zone_no_limit() -> None:
    assert limit_at(3.0, 1.5) == math.inf
    assert pace().apply((1.5, 0.3), (3.0, 0.6), 1.5, NO_WAY) == ((1.5, 0.3), math.inf)


def test_in_a_zone_the_limit_holds_while_any_part_of_the_footprint_is_in_it() -> None:
    zone = SpeedZone((4,), 0.5)  # x from 4.8 to 6.0
    assert limit_at(5.4, 1.0, zone) == 0.5
    assert limit_at(6.0 + RADIUS - 0.01, 1.0, zone) == 0.5
    assert limit_at(6.0 + RADIUS + 0.01, 1.0, zone) == math.inf  # it lies behind


def test_before_a_zone_the_limit_is_what_comes_down_in_time() -> None:
    zone = SpeedZone((4,), 0.5)
    delay = SPEC.period / SECOND + SPEC.latency_bound
    x = 3.0
    gap = 4.8 - x - RADIUS - 1.0 * delay
    assert limit_at(x, 1.0, zone) == pytest.approx(math.sqrt(0.25 + 2.0 * SHARE * SPEC.drive.accel_max * gap), rel=1e-5)
    # a way that ends before the zone has no limit: nobody is going there
    site = make_site("lane", np.zeros((1, 9), bool))
    assert pace(zone).limit((x, 0.6), 1.0, window(site, CELLS[:4], (x, 0.6), -1, RADIUS)) == math.inf


def test_the_lowest_of_several_zones_holds() -> None:
    assert limit_at(5.4, 0.5, SpeedZone((4, 5), 0.8), SpeedZone((4,), 0.3)) == pytest.approx(0.3)
    ahead = limit_at(5.4, 0.5, SpeedZone((4, 5), 0.8), SpeedZone((5,), 0.05))
    assert 0.05 < ahead < 0.8


def test_commands_keep_their_arc_and_doubts_are_left_to_others() -> None:
    lane = pace(SpeedZone((4,), 0.5))
    way = window(make_site("lane", np.zeros((1, 9), bool)), CELLS, (5.4, 0.6), -1, RADIUS)
    assert lane.apply((1.0, 0.4), (5.4, 0.6), 1.0, way) == (pytest.approx((0.5, 0.2)), 0.5)
    assert lane.apply((-0.3, 0.4), (5.4, 0.6), 1.0, way)[0] == (-0.3, 0.4)
    assert lane.apply((0.2, 1.9), (5.4, 0.6), 1.0, way)[0] == (0.2, 1.9)
    (v, w), _ = lane.apply((math.nan, 0.4), (5.4, 0.6), 1.0, way)
    assert math.isnan(v)
    assert w == 0.4


def test_driving_at_the_limit_the_drive_is_never_over_it_in_the_zone() -> None:
    zone, v, x = SpeedZone((4, 5), 0.4), 0.0, 0.6
    lane = pace(zone)
    site = make_site("lane", np.zeros((1, 9), bool))
    period, commanded, fastest = SPEC.period / SECOND, 0.0, 0.0
    while x < 8.0:
        way = window(site, CELLS, (x, 0.6), -1, RADIUS)
        delayed, commanded = commanded, lane.apply((1.5, 0.0), (x, 0.6), v, way)[0][0]
        for step in range(10):  # of 10 ms: the drive slews towards the command, a new one after its latency
            target = delayed if step < SPEC.latency_bound / 0.01 else commanded
            v += float(np.clip(target - v, -SPEC.drive.accel_max * period / 10, SPEC.drive.accel_max * period / 10))
            x += v * period / 10
            if x + SPEC.radius > 4.8 and x - SPEC.radius < 7.2:
                fastest = max(fastest, v)
    assert 0.39 <= fastest <= 0.4 * 1.02
