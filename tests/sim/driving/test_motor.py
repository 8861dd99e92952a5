"""The road's motor level: its task, the firmware's bounds of what it corrects, and a frozen policy inside the plant."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.bodies.specs import CAR
from sim.bounds import ConfigError
from sim.driving.atlas import Atlas
from sim.driving.drive import ACCEL_CORRECTION, SIDE_CORRECTION, STEER_CORRECTION
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.motor import Blind, MotorConfig, MotorTask, motor_car, motor_contract, motor_worlds
from sim.driving.motornet import motor_rows
from sim.driving.motorsense import ASK, FORGET, OBSERVATION
from sim.driving.plant import RoadPlant
from sim.driving.scene import RoadBody
from sim.driving.variedcars import car_rows
from sim.perceptron import Layers
from sim.roadgen import generate_rural
from sim.robot import SECOND, RobotSpec
from sim.vary import Change, Table, VaryError, vary
from sim.worlds import Worlds
from tests.sim.driving.carstand import Stand
from tests.sim.driving.plainworld import by_hand, plain_atlas, plain_worlds
from tests.sim.driving.test_car import draw, stop_bound

BODIES: tuple[RoadBody, ...] = ("full", "kinematic")
DRIVE = CAR.car
STEP = ASK * CAR.motor_period / SECOND
TRUE = vary().also(tuple(Change(row.name, 0.0, 0.0) for row in motor_rows()))
"""Sensors without errors."""


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return plain_atlas()


def task_of(env: Worlds) -> MotorTask:
    assert isinstance(env.task, MotorTask)
    return env.task


def motors(worlds: int = 4, body: RoadBody = "kinematic", **changes: object) -> Worlds:
    env = motor_worlds(replace(MotorConfig(), **changes), worlds=worlds, seed=5, body=body)
    env.reset()
    return env


def plain_cars(env: Worlds, speed: float) -> None:
    """Every car on a straight way at a speed, without lags, its brakes as told."""
    env.drive.lag.fill_(0.0)
    env.drive.brake.fill_(DRIVE.brake_min)
    env.drive.latency.fill_(0)
    env._plant.cars.steer_lag.fill_(0.0)  # type: ignore[attr-defined]  # the road's plant
    env.backend.qvel.numpy()[:, 0] = speed
    env.state.twist.numpy()[:, 0] = speed
    task_of(env).following.truth.numpy()[:, 2] = speed


def hold(env: Worlds, a: float, k: float, steps: int, action: tuple[float, float] = (0.0, 0.0)) -> list[float]:
    """Follow one command; the errors of the first row."""
    errors = []
    for _ in range(steps):
        task_of(env).following.command.numpy()[:] = (a, k)
        env.step(np.tile(np.array([action], np.float32), (env.rows, 1)))
        errors.append(float(task_of(env).following.error.numpy()[0]))
    return errors


def layers(seed: int, hidden: int = 8, size: float = 0.3) -> Layers:
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0.0, size, shape).astype(np.float32)

    return Layers(
        shift=drawn(OBSERVATION),
        scale=np.exp(drawn(OBSERVATION)),
        weights=(drawn(hidden, OBSERVATION), drawn(hidden, hidden), drawn(2, hidden)),
        biases=(drawn(hidden), drawn(hidden), drawn(2)),
        hash="0" * 64,
    )


def answer(net: Layers, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same perceptron in numpy."""
    x = np.clip((observation - net.shift) * net.scale, -10.0, 10.0)
    for index, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        x = x @ weight.T + bias
        x = np.tanh(x) if index < len(net.weights) - 1 else np.clip(x, -1.0, 1.0)
    return x.astype(np.float32)


# the firmware's bounds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", BODIES)
def test_a_policy_that_says_nothing_is_the_firmware_bit_for_bit(atlas: Atlas, body: RoadBody) -> None:
    plain, on_motor = plain_worlds("lane", 6, body=body, atlas=atlas), plain_worlds(
        "lane", 6, body=body, atlas=atlas, motor=layers(1, size=0.0)
    )  # fmt: skip
    plain.reset()
    on_motor.reset()
    for _ in range(40):
        action = by_hand(np.array(plain.observation.numpy()))
        plain.step(action)
        on_motor.step(action)
        assert np.array_equal(plain.backend.qpos.numpy(), on_motor.backend.qpos.numpy())
        assert np.array_equal(plain.backend.ctrl.numpy(), on_motor.backend.ctrl.numpy())


@pytest.mark.parametrize("body", BODIES)
def test_action_0_of_the_task_is_the_firmware_on_a_stand(body: RoadBody) -> None:
    env, stand = motors(3, body), Stand(body, worlds=3, spec=motor_car())
    stand.drive.lag.assign(env.drive.lag)
    stand.drive.brake.assign(env.drive.brake)
    stand.drive.latency.assign(env.drive.latency)
    cars = env._plant.cars  # type: ignore[attr-defined]  # the road's plant
    stand.cars.steer_lag.assign(cars.steer_lag)
    stand.cars.friction.assign(cars.friction)
    stand.cars.load.assign(cars.load)
    stand.place(env._plant.start_speed.numpy(), env.state.pose.numpy())  # type: ignore[attr-defined]
    if body == "full":  # with the loads in its model, too
        for name, values in env.backend.varied().items():
            stand.backend.set_field(name, values.numpy() if hasattr(values, "numpy") else values)
    for _ in range(50):
        command = task_of(env).following.command.numpy().copy()
        env.step(np.zeros((3, 2), np.float32))
        stand.go(command)
        assert np.array_equal(env.drive.output.numpy(), stand.drive.output.numpy())
        assert np.array_equal(env.backend.ctrl.numpy(), stand.backend.ctrl.numpy())


def test_corrections_are_bounded_by_the_firmware() -> None:
    env = motors(2)
    plain_cars(env, 20.0)
    hold(env, 0.0, 0.0, 50, (9.0, 0.0))
    assert env.state.twist.numpy()[0, 0] == pytest.approx(20.0 + ACCEL_CORRECTION * 50 * STEP, abs=0.02)
    plain_cars(env, 20.0)
    hold(env, 0.0, 0.0, 50, (0.0, 9.0))
    across = env.state.twist.numpy()[0, 0] * env.state.twist.numpy()[0, 1]
    assert across == pytest.approx(SIDE_CORRECTION, rel=0.01)
    plain_cars(env, 2.0)
    hold(env, 0.0, 0.0, 50, (0.0, -9.0))
    turned = np.arctan(DRIVE.wheelbase * env.state.twist.numpy()[0, 1] / env.state.twist.numpy()[0, 0])
    assert turned == pytest.approx(-STEER_CORRECTION, rel=0.01)
    plain_cars(env, DRIVE.speed_max - 0.01)
    hold(env, DRIVE.accel_max, 0.0, 100, (9.0, 0.0))
    assert env.state.twist.numpy()[0, 0] < DRIVE.speed_max + 0.01


def told_stops(body: RoadBody, told: float, corrections: NDArray[np.float32]) -> float:
    """Least margin of drawn cars, one for each correction (cars, 2), to where they must stand told to brake, m."""
    many = len(corrections)
    stand = Stand(body, worlds=many)
    draw(stand)
    rng = np.random.default_rng(0)
    v = rng.uniform(0.0, 1.0, many) ** 2 * 0.8 * DRIVE.speed_max + 1.0
    bend = rng.uniform(-1.0, 1.0, many) * np.minimum(0.2, DRIVE.lateral_max / v**2)
    stand.place(v, curvature=bend)
    stand.cars.correction.assign(corrections)
    before = stand.go(np.stack([np.zeros(many), bend], axis=1), 10)
    command = np.stack([np.full(many, -told), bend], axis=1)
    seen = np.concatenate([before[:, -1:], stand.go(command, round(20.0 * 36.0 / told))], axis=1)
    gone = np.hypot(*(np.diff(seen[:, :, k], axis=1) for k in (0, 1))).sum(axis=1)
    return min(stop_bound(speed, told) - way for speed, way in zip(seen[:, 0, 3], gone, strict=True))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("told", [DRIVE.brake_min, DRIVE.brake_comfort])
def test_no_correction_takes_from_a_stop(body: RoadBody, told: float) -> None:
    sides = np.where(np.arange(48) % 2, 1.0, -1.0)
    worst = np.stack([np.full(48, ACCEL_CORRECTION), sides * STEER_CORRECTION], axis=1).astype(np.float32)
    assert told_stops(body, told, worst) > 0.0


def test_what_is_gentler_than_a_stop_may_be_weakened() -> None:
    """The same test bites where the firmware lets corrections through."""
    weaker = np.tile(np.array([[ACCEL_CORRECTION, 0.0]], np.float32), (48, 1))
    assert told_stops("kinematic", 0.95 * DRIVE.brake_comfort, weaker) < -1.0


# the task ---------------------------------------------------------------------------------------------------------


def test_error_and_reward_are_those_of_the_definition() -> None:
    env = motors(2, randomization=TRUE)
    plain_cars(env, 30.0)
    env.drive.brake.fill_(1.2 * DRIVE.brake_min)
    begun = hold(env, -1.0, 0.0, 20)[-1]  # the setpoint is there after 8 periods
    # brakes that give 1.2 of it: each period adds 0.2 dt and keeps 1 - dt / T
    errors, keep = hold(env, -1.0, 0.0, 50), 1.0 - 0.01 / FORGET
    rest = 0.2 * 0.01 * keep / (1.0 - keep)
    expected = rest + (begun - rest) * keep ** (2 * 50)
    assert expected > 0.08
    assert errors[-1] == pytest.approx(expected, rel=1e-3)
    task_of(env).following.command.numpy()[:] = (-1.0, 0.0)
    step = env.step(np.tile(np.array([[0.3, -0.2]], np.float32), (2, 1)))
    error = task_of(env).following.error.numpy()
    np.testing.assert_allclose(step.reward, -10.0 * error - 0.02 * (0.3**2 + 0.2**2), atol=1e-5)


def test_a_car_that_turns_too_little_is_behind_across() -> None:
    env = motors(2, randomization=TRUE)
    plain_cars(env, 20.0)
    hold(env, 0.0, 0.002, 100)
    truth = task_of(env).following.truth.numpy()
    # what is left in a steady bend is nothing: the setpoint's curvature is driven
    assert np.abs(truth[:, 1] * truth[:, 2]).max() < 0.005
    hold(env, 0.0, 0.002, 150, (0.0, -0.5))
    # half of 1 m/s^2 across is missing: rate 0.5 / v, held for FORGET, times v
    assert task_of(env).following.truth.numpy()[0, 1] * 20.0 == pytest.approx(-0.5 * FORGET, rel=0.05)


def test_sensors_say_what_is_true_where_they_have_no_errors_and_brakes_are_found_out() -> None:
    env = motors(2, randomization=TRUE)
    plain_cars(env, 35.0)
    env.drive.brake.fill_(1.2 * DRIVE.brake_min)
    hold(env, -2.0, 0.0, 200)
    motor, seen = task_of(env).motor, env.observation.numpy()
    assert motor.error.numpy()[0, 0] == pytest.approx(-0.4, abs=0.01)
    assert seen[0, 0] * 30.0 == pytest.approx(env.state.twist.numpy()[0, 0], abs=1e-3)
    assert motor.brakes.numpy()[0, 0] / motor.brakes.numpy()[0, 1] == pytest.approx(1.2, abs=0.02)
    drift = task_of(env).following.truth.numpy()[0, 0]
    assert motor.drift.numpy()[0, 0] == pytest.approx(drift, rel=0.03)  # it counts steps of 20 ms


def test_commands_hold_for_40_to_100_ms_and_reach_all_speeds() -> None:
    env = motors(64)
    commands, speeds = [], []
    for _ in range(290):
        commands.append(task_of(env).following.command.numpy().copy())
        env.step(np.zeros((64, 2), np.float32))
        speeds.append(env.state.twist.numpy()[:, 0].copy())
    told = np.array(commands)
    changed = (np.diff(told, axis=0) != 0.0).any(axis=-1)
    gaps = np.concatenate([np.diff(np.flatnonzero(changed[:, row])) for row in range(64)])
    assert gaps.min() == 2
    assert 0.5 < changed.mean() * 3.5 < 0.7  # jumps (0.15) and jitter (0.45), every 3.5 steps
    assert -DRIVE.brake_min <= told[..., 0].min() < -4.0
    assert 2.5 < told[..., 0].max() <= DRIVE.accel_max
    fast = np.array(speeds)
    assert (fast < 5.0).mean() > 0.05
    assert (fast > 30.0).mean() > 0.05
    assert np.abs(told[..., 1]).max() > 0.5 * DRIVE.curvature_max


def test_an_episode_of_small_errors_is_a_success_and_one_of_large_errors_is_none() -> None:
    env = motors(2, time_limit=0.4)
    plain_cars(env, 10.0)
    for _ in range(20):
        task_of(env).following.command.numpy()[:] = 0.0
        done = env.step(np.array([[0.0, 0.0], [1.0, 0.0]], np.float32))
    assert done.truncated.all()
    assert done.success.tolist() == [True, False]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"control period of 0\.02 s"):
        motor_worlds(MotorConfig(spec=CAR), worlds=1)
    with pytest.raises(ConfigError, match="time_limit"):
        motor_worlds(MotorConfig(time_limit=60.0), worlds=1)
    wrong = replace(layers(1), weights=(np.zeros((2, 89), np.float32),), biases=(np.zeros(2, np.float32),))
    with pytest.raises(ValueError, match="24 inputs and 2 outputs, got 89 and 2"):
        plain_worlds("lane", 1, motor=wrong)
    with pytest.raises(VaryError, match="motor_accel_bias"):
        RoadPlant(
            Atlas([generate_rural(1)], routes=1), CAR, worlds=1, actors=1, vary=Table(car_rows(CAR)), motor=layers(1)
        )  # fmt: skip


def test_the_contract_is_the_car_s_whatever_lidar_and_control_period() -> None:
    assert motor_contract(CAR).hash == motor_contract(motor_car()).hash
    assert motor_contract(CAR).observation_size == OBSERVATION
    heavier: RobotSpec = replace(CAR, mass=1800.0)
    assert motor_contract(heavier).hash != motor_contract(CAR).hash


# many worlds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", BODIES)
def test_worlds_do_not_know_of_each_other(body: RoadBody) -> None:
    few, many = (motor_worlds(MotorConfig(time_limit=0.5), worlds=n, robots=2, seed=3, body=body) for n in (2, 5))
    few.reset()
    many.reset()
    rng = np.random.default_rng(2)
    for _ in range(60):
        action = rng.uniform(-1.0, 1.0, (10, 2)).astype(np.float32)
        many.step(action)
        few.step(action[:4])
        assert np.array_equal(few.observation.numpy(), many.observation.numpy()[:4])


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_snapshot_goes_on_bit_for_bit_and_a_masked_reset_leaves_the_others_alone(
    atlas: Atlas, body: RoadBody, frozen: bool
) -> None:
    env = plain_worlds("lane", 5, body=body, atlas=atlas, motor=layers(3)) if frozen else motors(5, body)
    env.reset()
    reset = np.zeros(5, bool)
    reset[2] = True

    def drive(steps: int) -> list[NDArray[np.float32]]:
        rng, seen = np.random.default_rng(1), []
        for step in range(steps):
            env.step(rng.uniform(-0.3, 0.3, (5, 2)).astype(np.float32))
            if step == 7:
                env.reset(reset)  # its policy is asked in other motor periods from now on
            seen.append(np.concatenate([env.observation.numpy().ravel(), env.backend.qpos.numpy().ravel()]))
        return seen

    drive(9)
    saved = env.snapshot()
    count = next(name for name in saved if name.endswith("motor.count"))
    assert saved[count].max() > saved[count][2] > 0
    first = drive(25)
    env.restore(saved)
    assert all(np.array_equal(a, b) for a, b in zip(first, drive(25), strict=True))
    before = env.snapshot()
    env.reset(reset)
    after = env.snapshot()
    for name, array in after.items():
        if len(array) == 5 and name != count:
            assert np.array_equal(before[name][[0, 1, 3, 4]], array[[0, 1, 3, 4]]), name
    assert after[count].tolist() == [*before[count][:2], 0, *before[count][3:]]


# the frozen policy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "near"), [("kinematic", 1e-4), ("full", 2e-3)])
def test_a_frozen_policy_answers_at_50_hz_within_steps_of_50_ms_as_in_its_own_task(body: RoadBody, near: float) -> None:
    net, worlds = layers(2), 6
    own = motors(worlds, body)
    table = MotorConfig().table()
    other = RoadPlant(
        Atlas([generate_rural(1)], routes=1), CAR, worlds=worlds, actors=1, vary=table, seed=5, body=body, threads=1,
        motor=net,
    )  # fmt: skip
    other.complete(Blind(), [])
    other.renew(other.all_rows).launch()
    other.footing.lane.fill_(-1)
    other.state.pose.assign(own.state.pose)
    other.start_speed.assign(own._plant.start_speed)  # type: ignore[attr-defined]  # the road's plant
    other.place(other.all_rows).launch()
    assert set(other.drive.latency.numpy()) > {0}
    frozen = other.arrays()["motor.told"]
    for command in ((1.0, 0.002), (-2.0, -0.001), (-4.0, 0.0), (0.5, 0.001)):
        for half in range(2):
            other.drive.before.assign(other.drive.released)
            other.drive.released.assign(np.tile(np.array(command, np.float32), (worlds, 1)))
            asked = [frozen.numpy().copy()]
            other.move(lambda asked=asked: asked.append(frozen.numpy().copy()))
            changes = [not np.array_equal(a, b) for a, b in itertools.pairwise(asked)]
            in_periods = changes[:: other.substeps]
            assert in_periods == ([True, False, True, False, True] if half == 0 else [False, True, False, True, False])
        for _ in range(5):
            task_of(own).following.command.numpy()[:] = command
            own.step(answer(net, own.observe()))
    np.testing.assert_allclose(frozen.numpy(), task_of(own).motor.told.numpy(), atol=near * 10.0)
    np.testing.assert_allclose(other.state.twist.numpy()[:, :2], own.state.twist.numpy()[:, :2], atol=near)


def test_a_frozen_policy_drives_among_others_and_is_part_of_their_snapshot(atlas: Atlas) -> None:
    env, plain = (
        RoadEnv(atlas, RoadConfig(traffic=4, walkers=1, motor=motor), worlds=4, seed=5, threads=1)
        for motor in (layers(3), None)
    )
    env.reset()
    plain.reset()
    action = np.tile(np.array([[0.3, 0.0]], np.float32), (4, 1))
    for _ in range(10):
        env.step(action)
        plain.step(action)
    apart = np.abs(env.state.pose.numpy() - plain.state.pose.numpy())[:, :2].max()
    assert 0.001 < apart < 1.0  # the same episodes, corrected
    saved = env.snapshot()
    assert set(saved["motor.count"]) == {50}
    after = np.array(env.step(action).observation)
    env.restore(saved)
    assert np.array_equal(env.step(action).observation, after)
