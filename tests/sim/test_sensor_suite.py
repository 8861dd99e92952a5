"""What sensors in time say, against closed forms and against the engine's own sensors."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from sim.bodies import wheeled
from sim.bodies.parts import GRAVITY
from sim.robot import DiffDrive, Lidar, RobotSpec
from sim.scene import _add_ground
from sim.sensorspec import (
    NAMES,
    BatteryGauge,
    Bumper,
    Imu,
    LidarSensor,
    Odometry,
    Sensors,
    Timing,
    full_suite,
)
from sim.site import make_site
from tests.sim.sensorbench import Bench

EACH = Timing()
"""A sample at each physics step, at once."""

CLEAN = RobotSpec(lidar=Lidar(noise=0.0, dropout=0.0))
"""360 rays without noise."""


def test_a_lidar_is_noisy_by_range_and_never_beyond_what_it_reaches() -> None:
    sensor = LidarSensor(EACH, noise_share=0.004)
    bench = Bench(Sensors(lidar=sensor), rows=300, spec=RobotSpec(lidar=Lidar(rays=64, noise=0.01, dropout=0.0)))
    bench.ranges[:, :32], bench.ranges[:, 32:48], bench.ranges[:, 48:] = 1.0, 7.5, 10.0
    bench.step()
    bench.read()
    for rays, true in ((slice(0, 32), 1.0), (slice(32, 48), 7.5)):
        error = bench.scan[:, rays] - true
        spread = 0.01 + 0.004 * true
        assert error.std() == pytest.approx(spread, rel=0.04)
        assert error.mean() == pytest.approx(0.0, abs=4 * spread / math.sqrt(error.size))
        assert np.abs(error).max() <= 3 * spread + 1e-6  # what a shield counts on
    assert (bench.scan[:, 48:] == 10.0).all()  # nothing there: nothing to be noisy about


def test_dropout_and_ghosts_come_as_often_as_set() -> None:
    sensor = LidarSensor(EACH, ghosts=(0.05, 0.05), ghost_nearest=0.5)
    bench = Bench(Sensors(lidar=sensor), rows=400, spec=RobotSpec(lidar=Lidar(rays=128, noise=0.0, dropout=0.02)))
    bench.step()
    bench.read()
    scan = bench.scan.ravel()  # 51,200 rays that see 5 m
    ghosts = scan[(scan < 5.0) | ((scan > 5.0) & (scan < 10.0))]
    # a ghost on a ray that dropped out lies anywhere up to range_max
    assert len(ghosts) / scan.size == pytest.approx(0.05, abs=0.004)
    assert (scan == 10.0).mean() == pytest.approx(0.02 * 0.95, abs=0.0025)
    near = ghosts[ghosts < 5.0]
    assert near.min() >= 0.5
    assert near.mean() == pytest.approx((0.5 + 5.0) / 2, abs=0.12)
    assert near.std() == pytest.approx((5.0 - 0.5) / math.sqrt(12.0), abs=0.06)


def test_the_share_of_ghosts_is_the_episodes_own() -> None:
    sensor = LidarSensor(EACH, ghosts=(0.0, 0.4))
    bench = Bench(Sensors(lidar=sensor), rows=300, spec=CLEAN)
    shares = []
    for _ in range(2):
        bench.step()
        bench.read()
        shares.append((bench.scan < 5.0).mean(axis=1))
    assert np.corrcoef(*shares)[0, 1] > 0.95
    assert shares[0].min() < 0.02
    assert shares[0].max() > 0.35
    assert shares[0].mean() == pytest.approx(0.2, abs=0.03)
    bench.episode[:] = 1
    bench.begin()
    bench.step()
    bench.read()
    assert abs(np.corrcoef(shares[0], (bench.scan < 5.0).mean(axis=1))[0, 1]) < 0.25


def test_a_blocked_sector_is_one_run_of_rays_of_its_width_and_stays_for_the_episode() -> None:
    width = math.radians(30.0)
    sensor = LidarSensor(EACH, blocked_share=0.5, blocked_width=(width, width))
    bench = Bench(Sensors(lidar=sensor), rows=600, spec=CLEAN)
    bench.step()
    bench.read()
    blind = bench.scan == 10.0
    some = blind.any(axis=1)
    assert some.mean() == pytest.approx(0.5, abs=0.07)
    count = blind[some].sum(axis=1)
    assert set(count.tolist()) <= {30, 31}  # of rays one degree apart in 30 degrees
    assert (np.abs(np.diff(blind[some].astype(int), axis=1, prepend=blind[some][:, -1:])).sum(axis=1) == 2).all()
    middle = np.angle(np.exp(1j * bench.suite.senses.spec.lidar.angles()) @ blind[some].T)
    assert abs(np.exp(1j * middle).mean()) < 0.15  # any direction
    for _ in range(3):
        bench.step()
        bench.read()
        assert ((bench.scan == 10.0) == blind).all()
    near = replace(sensor, blocked_share=1.0, blocked_range=0.03)
    bench = Bench(Sensors(lidar=near), rows=5, spec=CLEAN)
    assert (bench.scan == np.float32(0.03)).any(axis=1).all()


def test_without_errors_a_lidar_says_what_it_saw_when_it_looked() -> None:
    sensor = LidarSensor(Timing(rate=10.0, latency=0.03, phase=0.0))
    bench = Bench(Sensors(lidar=sensor), level=0.0, timestep=0.005)
    before = int(bench.sweeps[0])
    for now in range(1, 101):
        bench.ranges[:] = now / 20
        bench.step()
        bench.read()
        looked = max((now - 6) // 20 * 20, 0)
        assert (bench.scan == np.float32(looked / 20 if looked else 5.0)).all()
        assert bench.age(0)[0] == pytest.approx((now - (now - 6) // 20 * 20) * 0.005, abs=1e-5)
    assert bench.sweeps[0] - before == 5  # once a period, not once a step


def straight(sensor: Odometry, rows: int, speed: float, metres: float, **more: float) -> Bench:
    """Rows that drive straight on at one speed, from the first step on (and slip on none of it)."""
    bench = Bench(Sensors(odometry=sensor), rows=rows, **more)  # type: ignore[arg-type]
    bench.twist[:, 0] = speed
    bench.step()  # the step in which it gained its speed
    bench.begin()
    bench.suite._own["odometry.wheels.rim"].fill_(speed)
    for _ in range(round(metres / speed / bench.timestep)):
        bench.step()
    bench.read()
    return bench


def test_reckoning_drifts_as_a_random_walk_of_both_wheels() -> None:
    sensor = Odometry(EACH, scale=0.0, walk=0.004, counts=0)
    bench = straight(sensor, 4000, 1.0, 4.0)
    x, y, yaw = bench.suite.readings["odometry"].numpy()[:, 2:].T
    # both wheels: variance k^2 d each; half their sum, and their difference over the track (0.42 m)
    assert x.std() == pytest.approx(0.004 * math.sqrt(4.0 / 2.0), rel=0.05)
    assert yaw.std() == pytest.approx(0.004 * math.sqrt(2.0 * 4.0) / 0.42, rel=0.05)
    # the integral of a random walk of heading: d^2 / 3 of its variance at the end
    assert y.std() == pytest.approx(yaw.std() * 4.0 / math.sqrt(3.0), rel=0.05)
    assert x.mean() == pytest.approx(4.0, abs=0.01)


def test_a_wheels_scale_is_drawn_for_the_episode() -> None:
    bench = straight(Odometry(EACH, scale=0.02, walk=0.0, counts=0), 2000, 1.0, 2.0)
    v = bench.measured_twist[:, 0]
    # half the sum of two uniforms of +-2 %: standard deviation 0.02 / sqrt(3) / sqrt(2)
    assert v.std() == pytest.approx(0.02 / math.sqrt(6.0), rel=0.05)
    assert np.abs(v - 1.0).max() <= 0.02 + 1e-6
    calm = straight(Odometry(EACH, counts=0), 3, 1.0, 2.0, level=0.0)
    assert calm.measured_twist[:, 0] == pytest.approx(1.0, abs=1e-6)


def test_encoders_count_whole_steps_and_lose_none() -> None:
    bench = straight(Odometry(EACH, scale=0.0, walk=0.0, counts=100), 1, 0.31, 1.0)
    quantum = 2.0 * math.pi * 0.08 / 100
    v, _, x, _, yaw = bench.suite.readings["odometry"].numpy()[0]
    assert v * 0.02 / quantum == pytest.approx(round(v * 0.02 / quantum), abs=1e-4)
    driven = round(1.0 / 0.31 / 0.02) * 0.31 * 0.02
    assert driven - quantum - 1e-5 <= x <= driven + 1e-5
    assert yaw == 0.0


def test_wheels_that_pull_turn_faster_than_the_ground_and_slower_when_they_brake() -> None:
    """On the planar base; the brush tyre's slip, inverted here by bisection instead of by the root."""
    grip, stiffness = 0.5, 20.0
    bench = Bench(Sensors(odometry=Odometry(EACH, counts=0, stiffness=stiffness)), level=0.0)
    bench.friction[:] = grip
    for accel in (1.0, -1.5, 4.9):
        bench.begin()
        bench.suite._own["odometry.wheels.rim"].fill_(1.0)
        bench.twist[:, 0] = 1.0 + accel * 0.02
        bench.step()
        bench.read()
        low, high = 0.0, 3.0 * grip / stiffness
        for _ in range(60):
            middle = 0.5 * (low + high)
            force = 1.0 - (1.0 - middle * stiffness / (3.0 * grip)) ** 3
            low, high = (middle, high) if force < abs(accel) / (grip * GRAVITY) else (low, middle)
        slip = (bench.measured_twist[0, 0] / (1.0 + accel * 0.02) - 1.0) * np.sign(accel)
        assert slip == pytest.approx(low, abs=2e-4)
        assert slip > 0.0


def test_firmware_with_a_wrong_radius_and_track_reports_wrong_speeds() -> None:
    drive = DiffDrive(firmware_wheel_radius=0.084, firmware_track=0.40)
    bench = Bench(Sensors(odometry=Odometry(EACH, counts=0)), level=0.0, spec=RobotSpec(drive=drive))
    bench.twist[:, 0], bench.twist[:, 1] = 0.5, 0.3
    for _ in range(3):
        bench.step()
    bench.read()
    assert bench.measured_twist[0] == pytest.approx((0.5 * 0.084 / 0.08, 0.3 * 0.084 / 0.08 * 0.42 / 0.40), rel=1e-4)


def test_imu_noise_has_its_density_and_bias_its_walk() -> None:
    timing = Timing(rate=50.0)
    sensor = Imu(timing, accel_noise=0.01, accel_bias=0.2, accel_walk=0.005, gyro_noise=0.002, gyro_bias=0.05)
    rows, ticks = 3000, 100
    bench = Bench(Sensors(imu=sensor), rows=rows, timestep=0.005)
    first = bench.suite._own["imu.memory.bias"].numpy().copy()
    assert np.abs(first[:, :3]).max() <= 0.2
    assert first[:, 0].std() == pytest.approx(0.2 / math.sqrt(3.0), rel=0.05)
    assert first[:, 5].std() == pytest.approx(0.05 / math.sqrt(3.0), rel=0.05)
    for _ in range(4 * ticks):
        bench.step()
    bench.read()
    said, bias = bench.suite.readings["imu"].numpy(), bench.suite._own["imu.memory.bias"].numpy()
    noise = said - bias - (0.0, 0.0, GRAVITY, 0.0, 0.0, 0.0)
    assert noise[:, 0].std() == pytest.approx(0.01 * math.sqrt(50.0), rel=0.05)
    assert noise[:, 4].std() == pytest.approx(0.002 * math.sqrt(50.0), rel=0.05)
    assert np.abs(noise.mean(axis=0)).max() < 0.005
    # after 2 s the walk has gone sigma sqrt(t)
    assert (bias - first)[:, 1].std() == pytest.approx(0.005 * math.sqrt(2.0), rel=0.05)


def test_an_imu_on_wheels_agrees_with_the_engines_own() -> None:
    """MuJoCo's accelerometer and gyro at base_link, averaged over the same 20 ms, while it speeds up, turns and brakes.

    Ours is the difference of speeds over each step, the engine's the acceleration at the step's start: on average they
    are the same; in single steps contacts ring.
    """
    spec = RobotSpec()
    model = _with_imu(spec)
    data = mujoco.MjData(model)
    data.qpos[:3] = 7.0, 7.0, 0.0
    bench = Bench(Sensors(imu=Imu(Timing(rate=50.0, phase=0.0))), level=0.0, timestep=0.005, wheels=True)
    gyro, accel = model.sensor("gyro").adr[0], model.sensor("accel").adr[0]
    ours, theirs, sums = [], [], np.zeros(6)
    for step in range(1, 601):
        wheel = 5.0 if step > 60 else 0.0
        wheel = 1.0 if step > 450 else wheel
        data.ctrl[:2] = np.clip(
            data.ctrl[:2] + np.clip(np.array([wheel, 1.4 * wheel]) - data.ctrl[:2], -0.06, 0.06), 0, 9
        )
        mujoco.mj_step(model, data)
        sums += [*data.sensordata[accel : accel + 3], *data.sensordata[gyro : gyro + 3]]
        bench.qpos[0], bench.qvel[0] = data.qpos[:9], data.qvel[:8]
        bench.step()
        if step % 4 == 0:
            bench.read()
            ours.append(bench.suite.readings["imu"].numpy()[0].copy())
            theirs.append(sums / 4)
            sums = np.zeros(6)
    one, two = np.array(ours)[20:], np.array(theirs)[20:]
    assert np.abs(two[:, 5]).max() > 0.3  # it did turn,
    assert np.abs(two[:, 0]).max() > 0.3  # and speed up
    assert np.abs(one - two)[:, 3:].max() < 0.02
    assert np.abs(one - two)[:, :2].mean() < 0.03
    assert one[:, 2].mean() == pytest.approx(GRAVITY, abs=0.02)
    for k in (0, 1, 5):
        assert np.corrcoef(one[:, k], two[:, k])[0, 1] > 0.98


def _with_imu(spec: RobotSpec) -> mujoco.MjModel:
    world = mujoco.MjSpec()
    world.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    world.option.timestep = 0.005
    _add_ground(world, make_site("hall", np.zeros((12, 12), bool)), False)
    wheeled.add(world, spec, 0)
    world.body("robot0").add_site(name="imu")
    for name, kind in (("accel", mujoco.mjtSensor.mjSENS_ACCELEROMETER), ("gyro", mujoco.mjtSensor.mjSENS_GYRO)):
        world.add_sensor(name=name, type=kind, objtype=mujoco.mjtObj.mjOBJ_SITE, objname="imu")
    return world.compile()


def test_an_imu_on_the_planar_base_feels_the_turn() -> None:
    bench = Bench(Sensors(imu=Imu(EACH)), level=0.0)
    yaw = 0.0
    for _ in range(50):
        bench.qpos[0, 2] = yaw
        bench.qvel[0] = math.cos(yaw), math.sin(yaw), 0.5  # 1 m/s on a circle of 2 m
        bench.step()
        yaw += 0.5 * 0.02
    bench.read()
    force = bench.suite.readings["imu"].numpy()[0]
    assert force == pytest.approx((0.0, 0.5, GRAVITY, 0.0, 0.0, 0.5), abs=0.005)  # v w towards the middle


def test_a_bumper_latches_a_touch_that_ends_before_its_next_sample() -> None:
    bench = Bench(Sensors(bumper=Bumper(Timing(rate=10.0, latency=0.02, phase=0.0))), rows=2)
    said = []
    for step in range(1, 16):
        bench.touching[1, 0] = step == 7
        bench.step()
        bench.read()
        said.append(bench.suite.readings["bumper"].numpy()[:, 0].copy())
    pressed = np.array(said)
    assert not pressed[:, 0].any()
    # touched in step 7, sampled at step 10, there at step 11, and gone with the sample of step 15
    assert pressed[:, 1].tolist() == [0.0] * 10 + [1.0] * 5


def test_a_battery_gauge_is_off_by_its_error_and_counts_in_its_resolution() -> None:
    sensor = BatteryGauge(EACH, start=(0.4, 0.6), error=0.05, resolution=0.01, voltage_noise=0.0)
    bench = Bench(Sensors(battery=sensor), rows=500)
    true = bench.suite._own["battery.pack.charge"].numpy()
    assert true.min() >= 0.4
    assert true.max() <= 0.6
    assert true.std() == pytest.approx(0.2 / math.sqrt(12.0), rel=0.1)
    for _ in range(50):
        bench.step()
    bench.read()
    said, voltage = bench.suite.readings["battery"].numpy().T
    assert np.abs(said - true).max() <= 0.05 + 0.005 + 1e-6
    assert (said - true).std() == pytest.approx(0.05 / math.sqrt(3.0), rel=0.1)
    assert said * 100 == pytest.approx(np.round(said * 100), abs=1e-3)
    # 60 W of electronics out of 16 cells of 3.29 to 3.30 V over 0.08 ohm
    assert voltage == pytest.approx(52.7 - 60.0 / 52.7 * 0.08, abs=0.15)
    assert (true < 0.6).all()


def test_every_sensor_has_a_number() -> None:
    assert tuple(full_suite().timings()) == NAMES


def test_a_level_of_zero_switches_errors_off_and_keeps_the_delays() -> None:
    faulty = LidarSensor(Timing(latency=0.06), noise_share=0.1, ghosts=(0.5, 0.5), blocked_share=1.0)
    bench = Bench(Sensors(lidar=faulty), level=0.0, spec=RobotSpec(lidar=Lidar(rays=32)))
    for _ in range(5):
        bench.step()
    bench.read()
    assert (bench.scan == 5.0).all()
    assert bench.age(0)[0] == pytest.approx(0.06)
