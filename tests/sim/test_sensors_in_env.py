"""Sensors in time in the environments that tasks are trained in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.sensorspec import (
    BatteryGauge,
    Imu,
    LidarSensor,
    Localisation,
    Odometry,
    Sensors,
    Timing,
    full_suite,
    stale_lidar,
)
from sim.site import Site, make_site
from sim.snapshots import of_worlds
from sim.tasks.navigate import NavigateConfig
from sim.tasks.registry import TASKS
from sim.vary import vary

CONFIG = NavigateConfig(paths=256)
CALM = replace(CONFIG, randomization=vary(level=0.0, stall_share=0.0))
"""Exact sensors; people walk."""
LATE = replace(
    full_suite(),
    lidar=LidarSensor(Timing(rate=25.0, latency=0.06, jitter=0.03, hold=0.1), ghosts=(0.0, 0.1), blocked_share=0.5),
    observed=True,
)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def actions(steps: int, rows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, rows, 2)).astype(np.float32)


def test_without_sensors_in_time_nothing_is_there(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=2, seed=1)
    assert env.plant.suite is None
    env.reset()
    assert not [name for name in env.snapshot() if "sensor" in name or "sensed" in name]


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_sensors_at_once_and_without_errors_say_what_was_always_read(site: Site, body: str) -> None:
    """And they move nothing: the same physics to the bit."""
    sensors = Sensors(LidarSensor(Timing()), Localisation(Timing()), Odometry(Timing(rate=10.0, phase=0.0), counts=0))
    plain, timed = (
        BatchEnv(site, replace(CALM, sensors=each), worlds=6, seed=2, body=body, threads=1)
        for each in (Sensors(), sensors)
    )
    for env in (plain, timed):
        env.reset()
    for action in actions(25, 6):
        for env in (plain, timed):
            env.step(action)
        np.testing.assert_array_equal(timed.state.scan.numpy(), plain.state.scan.numpy())
        np.testing.assert_array_equal(timed.state.measured_pose.numpy(), plain.state.measured_pose.numpy())
        np.testing.assert_array_equal(timed.backend.qpos.numpy(), plain.backend.qpos.numpy())
    assert (timed.plant.suite.oldest.numpy() == 0.0).all()  # type: ignore[union-attr]


def test_a_scan_one_period_late_is_the_scan_of_the_step_before(site: Site) -> None:
    plain, late = (
        BatchEnv(site, replace(CALM, sensors=each), worlds=6, seed=2, threads=1)
        for each in (Sensors(), stale_lidar(10.0, 0.1))
    )
    before = None
    for env in (plain, late):
        env.reset()
    for number, action in enumerate(actions(20, 6)):
        before = plain.state.scan.numpy().copy(), plain.state.measured_pose.numpy().copy()
        began = plain.state.step.numpy() == 0
        plain.step(action)
        late.step(action)
        ongoing = (plain.state.step.numpy() > 0) & ~began & (number > 0)
        np.testing.assert_array_equal(late.state.scan.numpy()[ongoing], before[0][ongoing])
        np.testing.assert_array_equal(late.state.measured_pose.numpy()[ongoing], before[1][ongoing])
        assert late.plant.suite is not None
        assert late.plant.suite.oldest.numpy() == pytest.approx(0.1)


def test_a_latency_within_a_control_step_shows_that_very_physics_step(site: Site) -> None:
    """40 ms late on 20 ms physics: the pose two physics steps before the control step ends, and no other."""
    timing = Timing(rate=50.0, latency=0.037, phase=0.0)
    config = replace(CALM, sensors=Sensors(localisation=Localisation(timing)))
    poses: list[NDArray[np.float32]] = []
    env = BatchEnv(
        site, config, worlds=3, seed=2, threads=1, substep_hook=lambda e: poses.append(e.state.pose.numpy().copy())
    )
    env.reset()
    for _ in range(4):
        poses.clear()
        env.step(np.tile(np.array([0.8, 0.3], np.float32), (3, 1)))
        np.testing.assert_array_equal(env.state.measured_pose.numpy(), poses[-3])
        assert not np.array_equal(poses[-3], poses[-2])


def test_a_world_senses_the_same_among_few_or_many(site: Site) -> None:
    config = replace(CONFIG, sensors=LATE)
    few, many = (BatchEnv(site, config, worlds=n, seed=3, threads=1) for n in (3, 8))
    np.testing.assert_array_equal(few.reset(), many.reset()[:3])
    for action in actions(25, 8):
        np.testing.assert_array_equal(few.step(action[:3]).observation, many.step(action).observation[:3])
    for name, values in of_worlds(few.snapshot()).items():
        np.testing.assert_array_equal(values, many.snapshot()[name][:3], err_msg=name)


def test_a_restored_environment_senses_on_bit_for_bit(site: Site) -> None:
    first, second = (BatchEnv(site, replace(CONFIG, sensors=LATE), worlds=5, seed=4, threads=n) for n in (1, 2))
    for env in (first, second):
        env.reset()
    for action in actions(7, 5):
        first.step(action)
    second.restore(first.snapshot())
    for action in actions(8, 5, seed=1):
        np.testing.assert_array_equal(first.step(action).observation, second.step(action).observation)


@pytest.mark.parametrize("robots", [1, 2])
def test_a_step_without_a_look_from_the_host_senses_the_same(site: Site, robots: int) -> None:
    config = replace(CONFIG, sensors=LATE, time_limit=1.5)
    looked, blind = (BatchEnv(site, config, worlds=4, robots=robots, seed=4, threads=1) for _ in range(2))
    for env in (looked, blind):
        env.reset()
    ended = 0
    for action in actions(40, looked.rows):
        ended += int((looked.step(action).ending != 0).sum())
        blind.action.assign(action)
        blind._play()
    second = blind.snapshot()
    for name, values in looked.snapshot().items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)
    assert ended > 5


@pytest.mark.parametrize("task", ["navigate", "dock", "carry", "avoid"])
def test_what_sensors_say_stands_behind_any_tasks_own_observation(site: Site, task: str) -> None:
    plain = TASKS[task]()
    config = (
        replace(plain, sensors=LATE, paths=128) if isinstance(plain, NavigateConfig) else replace(plain, sensors=LATE)
    )
    env = BatchEnv(site, config, worlds=3, seed=1)
    own = env.task.contract.observation_size
    seen = env.reset()
    for action in np.full((5, *env.action.shape), 0.2, np.float32):
        seen = env.step(action).observation
    assert seen.shape[1] == env.contract.observation_size == own + 6 + 1 + 2 + 6
    assert env.contract.hash != env.task.contract.hash
    where, suite = env.contract.slices(), env.plant.suite
    assert suite is not None
    np.testing.assert_array_equal(seen[:, :own], env.task.observation.numpy())
    np.testing.assert_allclose(seen[:, where["ages"]] * 0.1, suite.age.numpy(), rtol=1e-6)
    np.testing.assert_allclose(seen[:, where["imu"]][:, 2] * 9.81, suite.readings["imu"].numpy()[:, 2], rtol=1e-6)
    np.testing.assert_array_equal(seen[:, where["battery"]][:, 0], suite.readings["battery"].numpy()[:, 0])


def test_wheels_that_slip_run_ahead_of_the_robot(site: Site) -> None:
    """On a floor of friction 0.1 the wheels spin up at once and the robot follows: odometry sees the wheels alone."""
    calm = vary(level=0.0, stall_share=0.0, friction=0.9)
    sensors = Sensors(odometry=Odometry(Timing(), scale=0.0, walk=0.0, counts=0))
    env = BatchEnv(site, replace(CALM, randomization=calm, people=0, sensors=sensors), worlds=1, seed=1, body="wheeled")
    env.reset()
    friction = env.backend.field("geom_friction").numpy()
    gap = {}
    for grip in (0.9, 0.05):
        friction[..., 0] = grip
        env.reset()
        apart = 0.0
        for _ in range(6):
            env.step(np.array([[1.0, 0.0]], np.float32))
            apart = max(apart, float(env.state.measured_twist.numpy()[0, 0] - env.state.twist.numpy()[0, 0]))
        gap[grip] = apart
    assert gap[0.05] > 0.15
    assert abs(gap[0.9]) < 0.03


def test_a_sensor_that_is_not_asked_for_launches_nothing(site: Site) -> None:
    one = BatchEnv(site, replace(CONFIG, sensors=Sensors(imu=Imu())), worlds=2, seed=1).plant.suite
    assert one is not None
    assert len(one.step) == 2  # the clock and the IMU
    assert set(one.rings) == {"imu"}


def test_faults_are_rows_of_the_table_that_change_by_name(site: Site) -> None:
    blocked = Sensors(lidar=LidarSensor(Timing()))
    randomization = vary(level=0.0, stall_share=0.0, lidar_blocked=1.0, lidar_blocked_width=3.0, lidar_ghosts=0.3)
    config = replace(CALM, sensors=blocked, randomization=randomization, people=0)
    assert {"lidar_latency", "lidar_ghosts", "lidar_blocked"} <= {row.name for row in config.table()}
    assert not [row.name for row in CALM.table() if row.name.startswith(("lidar_ghosts", "lidar_latency"))]
    env, clean = (BatchEnv(site, each, worlds=20, seed=2, threads=1) for each in (config, replace(config, randomization=
                  CALM.randomization)))  # fmt: skip
    for each in (env, clean):
        each.reset()
    blind = env.state.scan.numpy() == env.spec.lidar.range_max
    assert blind.mean() > 3.0 / 6.3 - 0.05
    seen = env.state.scan.numpy()[~blind]
    assert (seen < clean.state.scan.numpy()[~blind] - 1e-3).mean() == pytest.approx(0.3, abs=0.06)


@pytest.mark.slow
def test_sensors_in_time_are_part_of_the_graph_of_a_step(site: Site) -> None:
    from sim.warp_backend import WarpBackend

    captured, plain = (
        BatchEnv(
            site,
            replace(CONFIG, sensors=LATE, time_limit=1.0),
            worlds=4,
            seed=4,
            backend=lambda scene, worlds: WarpBackend(scene.model, worlds),
        )
        for _ in range(2)
    )
    for env in (captured, plain):
        env.reset()
    plain.substep_hook = lambda env: None  # a hook runs in Python: no graph
    for action in actions(15, 4):
        step, expected = captured.step(action), plain.step(action)
        np.testing.assert_array_equal(step.observation, expected.observation)
    for name, values in plain.snapshot().items():
        np.testing.assert_array_equal(captured.snapshot()[name], values, err_msg=name)
    assert captured.graph.used
    assert captured.graph.captures == 1


def test_who_stands_in_a_charger_s_cell_charges_and_nobody_else() -> None:
    floor = make_site("hall", np.zeros((6, 12), bool), chargers=[2 * 12 + 3])
    sensors = Sensors(battery=BatteryGauge(start=(0.5, 0.5)))
    env = BatchEnv(floor, replace(CALM, people=0, sensors=sensors), worlds=3, seed=1, threads=1)
    env.reset()
    x, y = floor.centre(2 * 12 + 3)
    places = np.array([(x, y), (x + 0.5, y - 0.5), (x + 1.3, y)])
    env.backend.qpos.numpy()[:, :2] = places
    env.state.pose.numpy()[:, :2] = places
    suite = env.plant.suite
    assert suite is not None
    charge = suite._own["battery.pack.charge"].numpy()
    before = charge.copy()
    for _ in range(20):
        env.plant.move()  # the plant alone: the task would begin them anew, off their corridors
    # 20 A into 20 Ah for 2 s: 2 / 3600 of the pack; the third robot's electronics take 60 W
    np.testing.assert_allclose(charge[:2] - before[:2], 2.0 / 3600.0, rtol=0.02)
    assert before[2] - charge[2] == pytest.approx(2.0 * 60.0 / 52.8 / 20.0 / 3600.0, rel=0.03)
