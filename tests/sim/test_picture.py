from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from sim.drawing import camera_distance
from sim.picture import build_picture, looking
from sim.site import make_site
from sim.trace import Trace, blend


@pytest.mark.parametrize(("width", "height"), [(32, 22), (10, 40), (161, 63)])
def test_the_camera_sees_every_corner_and_is_no_further_than_needed(width: int, height: int) -> None:
    tilt, half = math.radians(60.0), math.tan(math.radians(9.0))

    def fits(distance: float) -> bool:
        for x in (-width * 0.6, width * 0.6):
            for y in (-height * 0.6, height * 0.6):
                # camera at distance behind and above the middle, looking down by the tilt
                depth = distance + y * math.cos(tilt)
                if abs(y * math.sin(tilt)) > depth * half or abs(x) > depth * half * 1.6:
                    return False
        return True

    distance = camera_distance((1.2 * width, 1.2 * height), 1.6, 18.0, 60.0)
    assert fits(distance)
    assert not fits(distance * 0.85)


def test_the_picture_of_a_large_floor_stays_small() -> None:
    blocked = np.random.default_rng(0).random((63, 161)) < 0.4
    trace = Trace(
        site=make_site("large", blocked),
        stamps=np.zeros(1, np.int64),
        poses=np.zeros((1, 3, 3), np.float32),
        people=np.zeros((1, 2, 2), np.float32),
        footprint=(0.64, 0.48, 0.3),
        names=("a", "b", "c"),
    )
    model = build_picture(trace)
    assert model.nmocap == 5
    assert model.ngeom < blocked.sum()


@pytest.mark.parametrize("yaw", [0.0, 1.0, 3.0, -2.5])
def test_a_camera_looks_where_it_is_told_with_the_floor_below(yaw: float) -> None:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, looking(yaw, 0.4))
    right, up, back = matrix.reshape(3, 3).T
    assert -back == pytest.approx([math.cos(yaw) * math.cos(0.4), math.sin(yaw) * math.cos(0.4), -math.sin(0.4)])
    assert right[2] == pytest.approx(0.0, abs=1e-12)  # the horizon is level
    assert up[2] > 0.9


def test_yaw_is_blended_the_shorter_way_round() -> None:
    between = blend(np.array([[0.0, 0.0, 3.0]]), np.array([[1.0, 2.0, -3.0]]), 0.5)
    assert between[0, :2].tolist() == [0.5, 1.0]
    assert abs(between[0, 2]) == pytest.approx(math.pi)
