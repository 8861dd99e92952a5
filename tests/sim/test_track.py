"""The motor level's task, its wheels, and a frozen motor policy under another task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.env import BatchEnv
from sim.motornet import NavigateOnMotor
from sim.perceptron import Layers
from sim.robot import RobotSpec
from sim.scene import Body
from sim.site import make_site
from sim.tasks.navigate import NavigateConfig
from sim.tasks.track import TrackConfig, track_contract, track_site
from sim.tasks.trackkernels import OBSERVATION
from sim.vary import Variation, vary
from sim.wheels import CORRECTION_MAX, TRUE_WHEELS, wheel_rows

TRUE = Variation().also(TRUE_WHEELS)
STILL = vary(person_share=0.0)


def track(worlds: int = 4, body: Body = "wheeled", wheels: Variation = TRUE, **changes: object) -> BatchEnv:
    config = replace(TrackConfig(randomization=wheels), **changes)
    env = BatchEnv(track_site(), config, worlds=worlds, seed=5, body=body, threads=1, lidar=False)
    env.reset()
    return env


def hold(env: BatchEnv, v: float, w: float, steps: int, action: tuple[float, float] = (0.0, 0.0)) -> None:
    """Follow one command."""
    for _ in range(steps):
        env.task.following.command.numpy()[:] = (v, w)
        env.step(np.tile(np.array([action], np.float32), (env.rows, 1)))


def layers(seed: int, hidden: int = 8) -> Layers:
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0.0, 0.3, shape).astype(np.float32)

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


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_without_a_correction_the_drives_law_drives(body: Body) -> None:
    site = make_site("open", np.zeros((9, 9), bool), cell=12.0)
    plain, on_motor = (
        BatchEnv(site, config, worlds=8, seed=3, body=body, threads=1, lidar=False)
        for config in (
            NavigateConfig(people=0, randomization=STILL),
            NavigateOnMotor(people=0, randomization=STILL.also(TRUE_WHEELS)),
        )
    )
    rng = np.random.default_rng(1)
    for env in (plain, on_motor):
        env.reset()
    for _ in range(15):
        action = rng.uniform(-1.0, 1.0, (8, 2)).astype(np.float32)
        plain.step(action)
        on_motor.step(action)
    np.testing.assert_allclose(on_motor.state.pose.numpy(), plain.state.pose.numpy(), atol=1e-4)


def test_a_wheel_that_is_larger_than_believed_drives_farther_and_no_encoder_tells() -> None:
    env = track(worlds=2, body="planar")
    env.drive.lag.numpy()[:] = 0.0
    env.task.wheels.gain.numpy()[1] = 1.02
    hold(env, 1.0, 0.0, 150)
    v = env.state.twist.numpy()[:, 0]
    assert v[1] / v[0] == pytest.approx(1.02, abs=1e-3)
    np.testing.assert_allclose(env.task.wheels.wheel.numpy()[1, :2], 0.0, atol=2e-3)
    assert env.task.following.error.numpy()[1] == pytest.approx(0.02, abs=2e-3)


def test_a_track_that_is_narrower_than_believed_turns_faster_and_the_gyro_tells() -> None:
    env = track(worlds=2)
    env.drive.lag.numpy()[:] = 0.0
    env.task.wheels.track.numpy()[1] = 1.05
    hold(env, 0.3, 1.0, 100)
    w = env.state.twist.numpy()[:, 1]
    assert w[1] / w[0] == pytest.approx(1.05, abs=0.005)
    assert env.task.wheels.gyro.numpy()[1, 0] == pytest.approx(w[1] - 1.0, abs=5e-3)


def test_unequal_wheels_pull_aside() -> None:
    env = track(worlds=2)
    env.task.wheels.gain.numpy()[1] = (0.99, 1.01)
    hold(env, 1.0, 0.0, 120)
    track_width = env.spec.drive.track
    assert env.state.twist.numpy()[1, 1] == pytest.approx(0.02 / track_width, rel=0.1)  # (right - left) / track


def test_corrections_go_to_the_rims_and_are_bounded() -> None:
    env = track(worlds=2, body="planar")
    env.drive.lag.numpy()[:] = 0.0
    hold(env, 0.5, 0.0, 60, action=(9.0, 9.0))
    np.testing.assert_allclose(env.state.twist.numpy()[:, 0], 0.5 + CORRECTION_MAX, atol=5e-3)
    hold(env, 0.5, 0.0, 60, action=(-0.5, 0.5))
    expected = 2 * 0.5 * CORRECTION_MAX / env.spec.drive.track
    np.testing.assert_allclose(env.state.twist.numpy()[:, 1], expected, rtol=0.02)


def test_error_and_reward_are_those_of_the_definition() -> None:
    env = track()
    hold(env, 1.2, 0.8, 7)
    env.task.following.command.numpy()[:] = (1.2, 0.8)
    told = env.task.wheels.told.numpy()[:, :2].copy()
    action = np.tile(np.array([[0.3, -0.2]], np.float32), (env.rows, 1))
    step = env.step(action)
    dv = env.state.twist.numpy()[:, 0] - env.drive.setpoint.numpy()[:, 0]
    dw = env.spec.radius * (env.state.twist.numpy()[:, 1] - env.drive.setpoint.numpy()[:, 1])
    error = np.sqrt(dv**2 + dw**2)
    np.testing.assert_allclose(env.task.following.error.numpy(), error, atol=1e-6)
    np.testing.assert_allclose(step.reward, -10.0 * error - 0.02 * ((action - told) ** 2).sum(1), atol=1e-5)


def test_an_episode_of_small_errors_is_a_success_and_one_of_large_errors_is_none() -> None:
    env = track(worlds=2, time_limit=0.4)
    for step in range(20):
        env.task.following.command.numpy()[:] = 0.0
        action = np.zeros((2, 2), np.float32)
        action[1] = (-1.0, 1.0) if step % 8 < 4 else (1.0, -1.0)
        done = env.step(action)
    assert done.truncated.all()
    assert done.success.tolist() == [True, False]


def test_commands_hold_for_a_control_period_and_stay_in_range() -> None:
    env = track(worlds=64)
    drive = env.spec.drive
    seen = []
    for _ in range(100):
        seen.append(env.task.following.command.numpy().copy())
        env.step(np.zeros((64, 2), np.float32))
    commands = np.array(seen)
    changed = (np.diff(commands, axis=0) != 0.0).any(axis=-1)
    assert set(np.flatnonzero(changed.any(axis=1)) % 5) == {4}
    assert 0.55 < changed[4::5].mean() < 0.65  # jumps (0.15) and jitter (0.45)
    assert commands[..., 0].min() >= -drive.reverse_max
    assert commands[..., 0].max() <= drive.speed_max
    assert np.abs(commands[..., 1]).max() <= drive.turn_max


@pytest.mark.parametrize(("body", "near"), [("planar", 1e-4), ("wheeled", 0.02)])
def test_a_frozen_policy_answers_under_another_task_as_in_its_own(body: Body, near: float) -> None:
    net = layers(2)
    own = track(worlds=6, body=body, wheels=Variation())
    site = make_site("open", np.zeros((9, 9), bool), cell=12.0)
    config = NavigateOnMotor(people=0, randomization=STILL, motor=net)
    other = BatchEnv(site, config, worlds=6, seed=5, body=body, threads=1, lidar=False)
    other.reset()
    other.drive.latency.numpy()[:] = 0
    own.drive.lag.numpy()[:] = 0.02
    other.drive.lag.numpy()[:] = 0.02
    np.testing.assert_array_equal(own.task.wheels.gain.numpy(), other.task.wheels.gain.numpy())
    drive = own.spec.drive
    # the payload sets what the motors can do and is the plant's own draw: one seed, one payload
    np.testing.assert_array_equal(own.state.payload.numpy(), other.state.payload.numpy())
    for command in ((0.6, 0.4), (1.0, -0.5), (0.2, 0.0)):
        other.step(np.tile(np.array([[command[0] / drive.speed_max, command[1] / drive.turn_max]], np.float32), (6, 1)))
        for _ in range(5):
            own.task.following.command.numpy()[:] = command
            own.step(answer(net, own.observe()))
    np.testing.assert_allclose(other.task.wheels.told.numpy(), own.task.wheels.told.numpy(), atol=near)
    # contacts of wheels with the floor depend a little on where on it they are
    np.testing.assert_allclose(other.state.twist.numpy()[:, :2], own.state.twist.numpy()[:, :2], atol=near)


def test_a_policy_of_another_task_is_refused() -> None:
    wrong = replace(layers(1), weights=(np.zeros((2, 89), np.float32),), biases=(np.zeros(2, np.float32),))
    with pytest.raises(ValueError, match="19 inputs and 2 outputs, got 89 and 2"):
        BatchEnv(track_site(), NavigateOnMotor(people=0, motor=wrong), worlds=1, body="wheeled")


@pytest.mark.parametrize(
    ("change", "message"), [({"spec": RobotSpec()}, "control period of 0.02 s"), ({"people": 1}, "without people")]
)
def test_what_the_task_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        track(worlds=1, **change)


def test_the_contract_is_the_bases_whatever_lidar_and_control_period() -> None:
    spec = RobotSpec()
    assert track_contract(spec).hash == track_contract(TrackConfig().spec).hash
    assert track_contract(spec).observation_size == OBSERVATION
    heavier = replace(spec, mass=80.0)
    assert track_contract(heavier).hash != track_contract(spec).hash


def test_wheels_differ_between_episodes_and_stay_within_their_ranges() -> None:
    env = track(worlds=64, wheels=Variation(), time_limit=0.1)
    high = {row.name: row.high for row in wheel_rows()}
    seen = []
    for _ in range(20):
        env.step(np.zeros((64, 2), np.float32))
        seen.append(np.concatenate([env.task.wheels.gain.numpy(), env.task.wheels.track.numpy()[:, None]], axis=1))
    drawn = np.array(seen).reshape(-1, 3)
    assert np.abs(drawn[:, :2] - 1.0).max() <= high["wheel_radius"] + high["wheel_mismatch"] / 2 + 1e-6
    assert np.abs(drawn[:, :2] - 1.0).max() > 0.015
    assert 0.04 < np.abs(drawn[:, 2] - 1.0).max() <= high["wheel_track"] + 1e-6
    assert len(np.unique(drawn[:, 2])) > 4 * 64
