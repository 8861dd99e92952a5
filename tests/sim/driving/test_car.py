"""The car on both bodies: it obeys its firmware, keeps what its specification guarantees, and stands still."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from sim.actors import ActorKind
from sim.bodies.specs import CAR, amr
from sim.driving.scene import BOX_MAX, PARKED, RoadBody, build_road_scene
from sim.driving.variedcars import (
    BRAKE_SPREAD,
    SERVO_RESERVE,
    car_rows,
    friction_least,
    latency_periods,
)
from sim.robot import SECOND, Ackermann, WrongDriveError
from sim.specfile import SpecError
from sim.vary import Table, VaryError, vary
from tests.sim.driving.carstand import Stand, draw

BODIES: tuple[RoadBody, ...] = ("full", "kinematic")
DRIVE = CAR.car
DT = CAR.motor_period / SECOND


def stop_bound(v: float, b: float = DRIVE.brake_min) -> float:
    """Distance of: coast for latency_bound, then brake by `b` at jerk_max; m. Worked as integrals by hand."""
    j = DRIVE.jerk_max
    ramp = b / j
    if v <= b * ramp / 2.0:  # it stands while braking still grows: v = j t^2 / 2
        t = math.sqrt(2.0 * v / j)
        return v * CAR.latency_bound + v * t - j * t**3 / 6.0
    rest = v - b * ramp / 2.0
    return v * CAR.latency_bound + v * ramp - j * ramp**3 / 6.0 + rest**2 / (2.0 * b)


def test_the_bound_of_a_stop_is_what_steps_of_a_tenth_of_a_millisecond_give() -> None:
    for v in (0.5, 5.0, 36.0):
        at, speed, t = 0.0, v, 0.0
        while speed > 0.0:
            a = min(max(t - CAR.latency_bound, 0.0) * DRIVE.jerk_max, DRIVE.brake_min)
            at, speed, t = at + speed * 1e-4, speed - a * 1e-4, t + 1e-4
        assert stop_bound(v) == pytest.approx(at, abs=0.005)


@pytest.mark.parametrize("body", BODIES)
def test_a_car_accelerates_as_told_and_no_faster_than_its_jerk(body: RoadBody) -> None:
    stand = Stand(body)
    stand.place(5.0)
    seen = stand.go((2.0, 0.0), 60)[0]
    # the ramp to 2 m/s^2 takes 2 / 12.65 = 0.158 s and costs half of it: v = 5 + 2 (3 - 0.079)
    assert seen[-1, 3] == pytest.approx(5.0 + 2.0 * (3.0 - 0.079), abs=0.1)
    assert seen[100:, 6] == pytest.approx(2.0, abs=0.05)
    setpoints = stand.drive.setpoint.numpy()[0, 0]
    assert setpoints == pytest.approx(2.0)
    stand.go((9.0, 0.0), 1)
    assert stand.drive.setpoint.numpy()[0, 0] == pytest.approx(2.0 + DRIVE.jerk_max * CAR.period / SECOND, rel=1e-3)


@pytest.mark.parametrize("body", BODIES)
def test_commands_beyond_the_specification_are_cut_to_it(body: RoadBody) -> None:
    stand = Stand(body)
    stand.place(35.0)
    seen = stand.go((50.0, 5.0), 60)[0]
    assert seen[:, 3].max() < DRIVE.speed_max + 0.05
    assert np.abs(seen[:, 3] * seen[:, 4]).max() < 1.1 * DRIVE.lateral_max
    angles = np.arctan(DRIVE.wheelbase * seen[:, 7])
    assert np.abs(np.diff(angles)).max() <= 1.3 * DRIVE.steer_rate * DT  # the full body's servo overshoots a little
    stand.place(2.0)
    seen = stand.go((0.0, -5.0), 100)[0]
    assert np.abs(seen[:, 7]).max() == pytest.approx(DRIVE.curvature_max, rel=0.01)


@pytest.mark.parametrize("body", BODIES)
def test_a_car_never_reverses_and_stands_still_for_a_minute(body: RoadBody) -> None:
    stand = Stand(body, worlds=2)
    stand.place((8.0, 0.0), curvature=(0.05, 0.0))
    seen = stand.go((-6.0, 0.05), 60)
    assert seen[:, :, 3].min() > -0.05  # what the springs still do
    still = stand.go((-2.0, 0.05), 1200)
    moved = np.hypot(*(still[:, :, k] - still[:, :1, k] for k in (0, 1)))
    assert moved.max() < 0.01
    assert np.abs(still[:, -1, 3]).max() < 1e-4
    away = stand.go((1.0, 0.0), 40)  # braking is forgotten
    assert away[:, -1, 3] == pytest.approx([2.0 - 0.04, 2.0 - 0.04], abs=0.1)


@pytest.mark.parametrize("body", BODIES)
def test_every_drawn_car_stops_within_its_guarantee_on_straights_and_bends(body: RoadBody) -> None:
    stand = Stand(body, worlds=64)
    draw(stand)
    rng = np.random.default_rng(0)
    v = rng.uniform(1.0, DRIVE.speed_max, 64)
    bend = rng.uniform(-1.0, 1.0, 64) * np.minimum(0.2, DRIVE.lateral_max / v**2)
    stand.place(v, curvature=bend)
    told = np.stack([np.zeros(64), bend], axis=1)
    before = stand.go(told, 10)
    told[:, 0] = -DRIVE.brake_min
    seen = np.concatenate([before[:, -1:], stand.go(told, 140)], axis=1)
    gone = np.hypot(*(np.diff(seen[:, :, k], axis=1) for k in (0, 1))).sum(axis=1)
    margin = np.array([stop_bound(speed) for speed in seen[:, 0, 3]]) - gone
    assert margin.min() > 0.0
    assert np.abs(seen[:, -1, 3]).max() < 0.02
    # and the test bites: brakes that give 15 % less than told do not keep it
    stand.drive.brake.fill_(0.85 * DRIVE.brake_min)
    stand.drive.latency.fill_(latency_periods(CAR))
    stand.place(30.0)
    weak = stand.go((-DRIVE.brake_min, 0.0), 160)
    assert (weak[:, -1, 0] > stop_bound(30.0)).all()


def test_draws_stay_within_what_the_specification_states() -> None:
    stand = Stand("kinematic", worlds=4000)
    draw(stand)
    late = stand.drive.latency.numpy() * DT
    for lag, most in ((stand.drive.lag.numpy(), DRIVE.drive_lag), (stand.cars.steer_lag.numpy(), DRIVE.steer_lag)):
        assert 0.0 <= lag.min() < 0.1 * most
        assert 0.9 * most < lag.max() <= most
        assert (late + lag).max() <= CAR.latency_bound - SERVO_RESERVE + 1e-6
    assert set(stand.drive.latency.numpy().tolist()) == {0, 1, 2}
    assert stand.cars.friction.numpy().min() >= friction_least(CAR)
    assert stand.drive.brake.numpy().min() >= BRAKE_SPREAD[0] * DRIVE.brake_min
    assert 0.9 * CAR.payload_max < stand.cars.load.numpy().max() <= CAR.payload_max
    draw(stand, level=0.0)
    for nothing in (stand.drive.latency, stand.drive.lag, stand.cars.steer_lag, stand.cars.load):
        assert not nothing.numpy().any()
    with pytest.raises(VaryError, match="tyre_friction: low: expected a number from"):
        Table(car_rows(CAR)).changed(vary(tyre_friction=(0.3, 0.9)).changes)  # ice breaks the guarantee


def test_tyres_and_load_are_the_physics_own() -> None:
    stand = Stand("full", worlds=3)
    draw(stand, payload=(375.0, 375.0), tyre_friction=(0.75, 1.0))
    stand.grip.launch()
    wheels = stand.scene.wheels[0]
    field = stand.backend.field("geom_friction").numpy()
    np.testing.assert_allclose(field[:, wheels, 0], np.repeat(stand.cars.friction.numpy()[:, None], 4, axis=1))
    model = stand.scene.model
    assert model is not None
    assert stand.backend.field("body_mass").numpy().sum(axis=1) == pytest.approx(model.body_mass.sum() + 375.0)
    stand.place(0.0)
    still = stand.go((0.0, 0.0), 40)
    assert np.abs(still[:, :, 3]).max() < 0.01  # placed where the springs carry the load
    assert stand.backend.qpos.numpy()[:, 2] == pytest.approx(-375.0 * 9.81 / (80.8 * 1500.0), abs=0.004)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("speed", "curvature"), [(5.0, 0.1), (12.0, -0.02), (30.0, 0.003)])
def test_a_car_tracks_a_curvature(body: RoadBody, speed: float, curvature: float) -> None:
    stand = Stand(body)
    stand.place(speed)
    seen = stand.go((0.0, curvature), 60)[0]
    assert seen[-1, 4] / seen[-1, 3] == pytest.approx(curvature, rel=0.02)
    assert seen[-1, 7] == pytest.approx(curvature, rel=0.005)
    back = stand.go((0.0, 0.0), 40)[0]
    assert np.abs(back[:, 7]).max() <= abs(curvature) * 1.02  # and while the wheels' angles pass through zero
    assert np.abs(back[-100:, 7]).max() < 1e-4
    stand.place(speed, curvature=curvature)
    arc = stand.go((0.0, curvature), 40)[0][-1]
    turned = curvature * speed * 2.0
    expected = np.array([math.sin(turned), 1.0 - math.cos(turned)]) / curvature
    assert np.hypot(*(arc[:2] - expected)) < 0.25  # tyres creep by 3 cm/s
    assert arc[2] == pytest.approx(turned, abs=0.01)


def test_a_loaded_car_does_not_roll_over_or_lift_a_wheel_at_its_lateral_limit() -> None:
    stand = Stand("full", worlds=2)
    draw(stand, payload=(375.0, 375.0), tyre_friction=(1.2, 1.2))
    stand.place(10.0)
    model, data = stand.scene.model, mujoco.MjData(stand.scene.model)
    assert model is not None
    lowest = np.inf
    for cycle in range(80):  # left and right in turn, as fast as the steering goes
        stand.go((0.3, 0.03 if cycle // 20 % 2 else -0.03))
        data.qpos[:], data.qvel[:] = stand.backend.qpos.numpy()[1], stand.backend.qvel.numpy()[1]
        mujoco.mj_forward(model, data)
        assert data.body("robot0").xmat[8] > math.cos(math.radians(8.0))  # roll and pitch
        assert data.ncon == 4
        lowest = min(lowest, *(data.contact[k].dist for k in range(4)))
    assert lowest > -0.006  # ellipsoid wheels stand on the ground, not in it


@pytest.mark.parametrize("body", BODIES)
def test_a_rolling_start_has_no_transient(body: RoadBody) -> None:
    stand = Stand(body, worlds=3)
    stand.place((3.0, 15.0, 33.0), pose=(10.0, -4.0, 2.5), curvature=(0.0, 0.01, 0.002))
    pose = stand.pose.numpy().copy()
    np.testing.assert_allclose(pose, np.tile(np.float32((10.0, -4.0, 2.5)), (3, 1)))
    seen = stand.go(np.stack([np.zeros(3), (0.0, 0.01, 0.002)], axis=1), 20)
    assert np.abs(seen[:, :, 3] - seen[:, :1, 3]).max() < 0.05
    # the arc's tangent at the start is the pose's yaw
    np.testing.assert_allclose(seen[:, 0, 2], 2.5, atol=0.01)
    expected = pose[:, :2] + seen[:, 0, 3:4] * DT * np.array([math.cos(2.5), math.sin(2.5)])
    np.testing.assert_allclose(seen[:, 0, :2], expected, atol=0.005)


def test_others_are_boxes_of_their_size_and_empty_slots_are_away() -> None:
    stand = Stand("full", worlds=2, actors=3)
    stand.actors.kind.numpy()[0, 1:] = (1, 2)
    stand.actors.pose.numpy()[0, 1:] = ((20.0, 3.0, 0.5), (30.0, -2.0, 0.0))
    stand.actors.size.numpy()[0, 1:] = ((12.0, 2.5), (0.5, 0.5))
    stand.place(5.0)
    model, data = stand.scene.model, mujoco.MjData(stand.scene.model)
    assert model is not None
    np.testing.assert_allclose(stand.backend.mocap_pos.numpy()[0, :, :2], [(20.0, 3.0), (30.0, -2.0)])
    np.testing.assert_allclose(stand.backend.mocap_pos.numpy()[1], [PARKED, PARKED])
    sizes = stand.backend.field("geom_size").numpy()[0, stand.scene.boxes]
    np.testing.assert_allclose(sizes[:, :2], [(6.0, 1.25), (0.25, 0.25)])
    np.testing.assert_allclose(model.geom_size[stand.scene.boxes[0], :2], np.array(BOX_MAX[:2]) / 2.0)
    # and the hull meets it: a car drives up to a standing one's rear and is held there
    stand.actors.pose.numpy()[0, 1] = (12.0, 0.0, 0.0)
    stand.actors.size.numpy()[0, 1] = (4.0, 2.0)
    stand.place(5.0)
    seen = stand.go((0.0, 0.0), 40)
    assert seen[0, -1, 0] + CAR.middle + CAR.length / 2.0 < 10.0 + 0.3
    assert seen[1, -1, 0] == pytest.approx(10.0, abs=0.2)
    data.qpos[:] = stand.backend.qpos.numpy()[0]
    assert np.isfinite(data.qpos).all()


def test_nobody_on_foot_pushes_a_car_and_a_lorry_does() -> None:
    moved = []
    for kind in (ActorKind.PEDESTRIAN, ActorKind.BICYCLE, ActorKind.TRUCK):
        stand = Stand("full", actors=2)
        stand.place()
        before = stand.go((-1.0, 0.0), cycles=2)[0, -1, :2]
        stand.actors.kind.numpy()[0, 1] = kind
        stand.actors.size.numpy()[0, 1] = (0.6, 0.6)
        stand.actors.pose.numpy()[0, 1] = (0.0, 0.9, 0.0)
        moved.append(float(np.hypot(*(stand.go((-1.0, 0.0), cycles=4)[0, -1, :2] - before))))
    assert max(moved[:2]) < 0.01 < 0.05 < moved[2]


def test_egos_show_themselves_among_the_actors() -> None:
    stand = Stand("kinematic", worlds=2, robots=2, actors=5)
    stand.place(4.0, pose=((0.0, 0.0, 0.0), (5.0, 5.0, math.pi / 2), (1.0, 0.0, 0.0), (0.0, 9.0, math.pi)))
    np.testing.assert_allclose(
        stand.actors.pose.numpy()[:, :2].reshape(4, 3)[:, :2],
        [(CAR.middle, 0.0), (5.0, 5.0 + CAR.middle), (1.0 + CAR.middle, 0.0), (-CAR.middle, 9.0)],
        atol=1e-5,
    )
    np.testing.assert_allclose(stand.actors.motion.numpy()[:, :2, 0], 4.0)
    np.testing.assert_allclose(stand.actors.size.numpy()[:, :2], np.full((2, 2, 2), (4.5, 1.8)), rtol=1e-6)
    np.testing.assert_array_equal(stand.actors.kind.numpy(), [[1, 1, -1, -1, -1]] * 2)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: build_road_scene(amr(), 1, 1), WrongDriveError, "expected a car's drive"),
        (lambda: build_road_scene(replace(CAR, drive=Ackermann(track=2.5)), 1, 1), SpecError, "wheels under the hull"),
        (lambda: build_road_scene(CAR, 2, 1), ValueError, "got 2 robots and 1 slots"),
        (lambda: build_road_scene(CAR, 0, 1), ValueError, "at least 1 robot"),
    ],
)
def test_what_cannot_be_a_road_scene_is_refused(make: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        make()


def distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(a[..., 0] - b[..., 0], a[..., 1] - b[..., 1])


def test_the_kinematic_body_stays_beside_the_full_one() -> None:
    stands = [Stand(body, worlds=32) for body in BODIES]
    rng = np.random.default_rng(1)
    v = rng.uniform(3.0, 33.0, 32)
    told = [
        np.stack([rng.uniform(-3.0, 2.0, 32), rng.uniform(-1.0, 1.0, 32) * np.minimum(0.1, 2.5 / v**2)], axis=1)
        for _ in range(3)
    ]
    for stand in stands:
        draw(stand)
        stand.place(v)
    ways = [np.concatenate([stand.go(command, 10) for command in told], axis=1) for stand in stands]
    assert distances(*ways).max() < 0.25  # 1.5 s at up to 36 m/s
