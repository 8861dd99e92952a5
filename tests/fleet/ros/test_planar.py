"""Stamps and poses to messages and back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fleet.ros.cdr import deserialise, serialise
from fleet.ros.messages.geometry_msgs import Quaternion
from fleet.ros.planar import after, driven, inverse, rotation, stamp_of, time_of, yaw_of


def test_every_yaw_in_float32_comes_back_as_the_same_float32() -> None:
    drawn = np.random.default_rng(3)
    small = (10.0 ** drawn.uniform(-30, 0, 20_000) * drawn.choice((-1.0, 1.0), 20_000)).astype(np.float32)
    yaws = np.concatenate([drawn.uniform(-np.pi, np.pi, 100_000).astype(np.float32), small])
    edges = np.array((0.0, np.pi, -np.pi, np.pi / 2, np.nextafter(np.float32(np.pi), np.float32(0.0))), np.float32)
    for yaw in (*edges, *yaws):
        assert np.float32(yaw_of(rotation(float(yaw)))) == yaw, yaw


def test_over_the_wire_too() -> None:
    for yaw in np.random.default_rng(4).uniform(-np.pi, np.pi, 500).astype(np.float32):
        sent = serialise(rotation(float(yaw)))
        assert np.float32(yaw_of(deserialise(Quaternion, sent))) == yaw


@pytest.mark.parametrize(
    ("q", "yaw"),
    [
        (Quaternion(0.0, 0.0, 0.0, 1.0), 0.0),
        (Quaternion(0.0, 0.0, -math.sin(0.25), -math.cos(0.25)), 0.5),  # the same rotation, the other sign
        (Quaternion(0.02, -0.01, math.sin(0.25), math.cos(0.25)), 0.5),  # on a ramp
    ],
)
def test_a_rotation_about_z_has_its_yaw(q: Quaternion, yaw: float) -> None:
    assert yaw_of(q) == pytest.approx(yaw, abs=1e-3)


@pytest.mark.parametrize(
    "q",
    [
        Quaternion(0.0, 0.0, 0.0, 0.0),
        Quaternion(1.0, 0.0, 0.0, 0.0),
        Quaternion(0.0, 0.0, 2.0, 0.0),
        Quaternion(0.0, 0.0, math.nan, 1.0),
        Quaternion(0.0, 0.0, math.inf, 1.0),
    ],
)
def test_what_is_no_rotation_about_z_has_none(q: Quaternion) -> None:
    assert math.isnan(yaw_of(q))


def test_stamps_come_back() -> None:
    for stamp in (0, 1, 999_999_999, 1_000_000_000, 1_763_000_000_123_456_789):
        assert stamp_of(time_of(stamp)) == stamp


def test_a_frame_within_a_frame_and_back() -> None:
    a = (1.0, 2.0, math.pi / 2)
    assert after(a, (1.0, 0.0, 0.1)) == pytest.approx((1.0, 3.0, math.pi / 2 + 0.1))
    assert after(a, inverse(a)) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    assert driven((0.0, 0.0, 0.0), 1.0, 0.0, 2.0) == (2.0, 0.0, 0.0)
