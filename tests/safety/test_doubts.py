"""The shield in doubt: input that is no number, too old, beyond the limits, or of another robot."""

from __future__ import annotations

import numpy as np
import pytest

from safety.dynamics import PLAN_TICKS
from safety.shield import Reason, Shield, ShieldError, stored_plan
from sim.robot import DiffDrive, Lidar, RobotSpec

SPEC = RobotSpec()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name",
    ["command", "last_command", "scan", "point_speed", "scan_age", "pose", "twist", "corridor_points",
     "corridor_half_width", "phantoms"],
)  # fmt: skip
def test_input_that_is_no_number_plays_the_stored_plan(scene: object, name: str, value: float) -> None:
    scene.ask(1.0, 0.2, twist=(0.9, 0.2))
    (v, w), _, reason = scene.judge()
    assert reason is Reason.NONE
    plan_v, plan_w, stop = scene.memory.plan.numpy()[0]
    array = getattr(scene.inputs, name).numpy()
    if name == "phantoms":
        array[0, 0] = (1.0, 1.0, 2.0, 2.0, 0.25, 1.0)
        array[0, 0, 5] = value
        array[0, 0, 0] = value
    else:
        array.reshape(-1)[3 if name in ("scan", "point_speed", "corridor_points") else 0] = value
    if name == "corridor_half_width":
        array[0, 1] = value
    (v, w), margin, reason = scene.judge()
    assert reason is Reason.NOT_FINITE
    assert margin == -1.0
    assert v == pytest.approx(plan_v * (1.0 - 0.1 / stop))
    assert w == pytest.approx(plan_w * (1.0 - 0.1 / stop))


def test_range_that_is_negative_is_no_range(scene: object) -> None:
    scene.inputs.scan.numpy()[0, 7] = -0.5
    scene.ask(0.5)
    assert scene.judge()[2] is Reason.NOT_FINITE


def test_scan_older_than_its_bound_plays_the_stored_plan_to_rest(scene: object) -> None:
    scene.ask(1.2, 0.6, twist=(1.2, 0.6))
    scene.judge()
    scene.inputs.scan_age.numpy()[:] = 0.11
    speeds = []
    for _ in range(12):
        (v, w), margin, reason = scene.judge()
        assert reason is Reason.STALE_SCAN
        assert margin == -1.0
        if v > 0.0:
            assert w / v == pytest.approx(0.5, rel=1e-4)
        speeds.append(v)
    assert speeds[:3] == pytest.approx([1.05, 0.90, 0.75], abs=1e-5)
    assert speeds[-1] == 0.0
    assert scene.memory.played.numpy()[0] == 12
    scene.inputs.scan_age.numpy()[:] = 0.0
    scene.ask(0.2)
    assert scene.judge()[2] is Reason.NONE
    assert scene.memory.played.numpy()[0] == 0


def test_watchdog_gets_what_the_shield_would_have_played(scene: object) -> None:
    scene.ask(1.2, 0.6, twist=(1.2, 0.6))
    scene.judge()
    expected = stored_plan(scene.memory, 0, SPEC)
    assert expected.shape == (PLAN_TICKS, 2)
    scene.inputs.scan_age.numpy()[:] = 1.0
    for tick in expected[:9]:
        assert scene.judge()[0] == pytest.approx(tuple(tick), abs=1e-6)
    assert np.allclose(stored_plan(scene.memory, 0, SPEC), 0.0)


def test_command_beyond_the_limits_is_cut_and_told(scene: object) -> None:
    scene.ask(9.0, -7.0)
    assert scene.judge() == ((1.5, -2.0), 0.5, Reason.LIMITS)
    scene.ask(-9.0)
    assert scene.judge()[0][0] == pytest.approx(-0.3)


def test_scan_of_another_lidar_is_refused(scene: object) -> None:
    shield = Shield(RobotSpec(lidar=Lidar(rays=64)))
    with pytest.raises(ShieldError, match="360"):
        shield.launch(scene.inputs, scene.memory, scene.out)


def test_robot_whose_stop_outlasts_a_stored_plan_is_refused() -> None:
    with pytest.raises(ShieldError, match=r"3\.00 s to stop.*1\.60 s"):
        Shield(RobotSpec(drive=DiffDrive(speed_max=3.0, brake_min=1.0)))
