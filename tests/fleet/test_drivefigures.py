from __future__ import annotations

import dataclasses
import json
import math

import pytest

from fleet.drivefigures import contacts, figures
from tests.fleet import drives


def test_a_drive_at_constant_speed_by_hand() -> None:
    found = figures(drives.course(), drives.moments(2.0))
    assert found.steps == 40
    assert found.seconds == pytest.approx(2.0)
    assert found.driven == pytest.approx(40.0)
    assert found.speed == pytest.approx(20.0)
    assert found.speed_share == pytest.approx(20.0 / (130 / 3.6))
    # 50 m + 20 m/s * 1.95 s behind it of 500 m
    assert found.completion == pytest.approx((50.0 + 39.0) / 500.0)
    assert found.interventions == {"obstacle": 10}
    assert found.modes == {"policy": 30, "shielded": 10}
    assert found.least_ttc == pytest.approx(6.0 - 1.95)
    assert found.least_clearance == pytest.approx(35.0 - 1.95)
    assert found.lateral == pytest.approx((0.4, 0.4, 0.4))
    # 0.5 for 30 steps and 1.0 for 10, the jerk 1.5 / 0.05 twice of 39
    assert found.accel == pytest.approx((0.5, 1.0, 1.0))
    assert found.jerk[0] == 0.0
    assert found.jerk[2] == pytest.approx(30.0)
    assert found.lanes == 2


def test_contacts_count_by_their_blame() -> None:
    moments = drives.moments(0.5)
    for step, contact, blame in (
        (2, "car", "at fault"),
        (3, "truck", "at fault"),
        (5, "car", "struck from behind"),
        (8, "pedestrian", ""),
    ):
        moments[step] = dataclasses.replace(moments[step], contact=contact, blame=blame)
    assert contacts(moments) == {
        "at fault: car": 1,
        "at fault: truck": 1,
        "struck from behind: car": 1,
        "at fault: pedestrian": 1,
    }
    found = figures(drives.course(), moments)
    assert found.at_fault == 3
    assert found.plain()["at_fault"] == 3


def test_an_empty_drive_has_zeros_and_json_has_no_infinities() -> None:
    found = figures(drives.course(), [])
    assert (found.steps, found.completion, found.speed, found.accel) == (0, 0.0, 0.0, ())
    assert math.isnan(found.speed_share)
    plain = json.loads(json.dumps(found.plain(), allow_nan=False))
    assert plain["least_ttc"] is None
    assert plain["speed_share"] is None


def test_where_nobody_may_drive_there_is_no_share_of_the_limit() -> None:
    moments = [dataclasses.replace(moment, limit=0.0) for moment in drives.moments(0.5, speed=0.0)]
    assert math.isnan(figures(drives.course(), moments).speed_share)


def test_broken_invariants_are_counted_each_by_itself() -> None:
    moments = drives.moments(0.5)
    moments[1] = dataclasses.replace(moments[1], broken=("clearance", "speed limit"))
    moments[2] = dataclasses.replace(moments[2], broken=("speed limit",))
    assert figures(drives.course(), moments).broken == {"clearance": 1, "speed limit": 2}


def test_near_misses_are_stretches_in_motion_without_a_contact() -> None:
    """Steps of 0.05 s: two dips within a second, a third later, one while standing, one that ends in a contact."""
    room = {10: 0.45, 11: 0.3, 25: 0.49, 60: 0.2, 90: 0.5, 100: 0.1, 130: 0.4, 131: 0.0}
    moments = [
        dataclasses.replace(moment, clearance=room.get(k, 3.0), ttc=1.0 if k < 16 else 9.0)
        for k, moment in enumerate(drives.moments(8.0))
    ]
    moments[100] = dataclasses.replace(moments[100], motion=(0.0, 0.0, 0.0, 0.0))
    moments[132] = dataclasses.replace(moments[132], contact="car", blame="struck from behind")
    found = figures(drives.course(), moments)
    assert found.near_misses == 2, "10 to 25 is one, 60 another"
    assert found.plain()["near_misses"] == 2
    assert found.ttc_short == pytest.approx(16 / 159)
    assert figures(drives.course(), drives.moments(2.0)).near_misses == 0
