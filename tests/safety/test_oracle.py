"""What the shield releases, played out on a body and against people who mean it, by code that shares nothing with it.

Random states: a robot in motion, people around it (discs), a noisy scan of some age, a proposal. What is released with
a margin is driven in steps of 10 ms by a drive that hears its commands anything up to the latency bound late, brakes
up to 20 % better than guaranteed and reads its own speed wrong, then the stopping plan tick by tick; people walk
straight at the robot all the while (V = 1.6) or stand (V = 0). No circle of a moving robot may ever touch a person,
and none may leave the granted ground. Faults planted in the shield's parameters must be found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from sim.robot import RobotSpec

SPEC = RobotSpec()
DT = 0.01
PEOPLE = 3
PERSON = 0.25
ROWS = 2500

Array = NDArray[np.float64]


@dataclass
class State:
    """Random states, (rows, ...)."""

    v: Array
    last: Array
    command: Array
    measured: Array
    age: Array
    people: Array
    speed: Array
    offset: Array
    """Localisation error, (rows, 2)."""
    aisle: Array
    """Half width of the granted ground to each side of x, (rows,)."""
    ahead: Array
    """Where it ends."""


def draw(rng: np.random.Generator) -> State:
    rows = ROWS
    v = np.stack([rng.uniform(-0.3, 1.5, rows), rng.uniform(-1.5, 1.5, rows)], axis=-1)
    v[rng.random(rows) < 0.25] = 0.0
    straight = rng.random(rows) < 0.5
    v[straight, 1] *= 0.1
    last = v + rng.uniform((-0.15, -0.3), (0.1, 0.3), (rows, 2))
    command = np.stack([rng.uniform(-0.3, 1.5, rows), rng.uniform(-2.0, 2.0, rows)], axis=-1)
    command[straight] = np.stack([rng.uniform(0.5, 1.5, rows), rng.uniform(-0.3, 0.3, rows)], axis=-1)[straight]
    distance = rng.uniform(0.70, 4.0, (rows, PEOPLE))
    bearing = np.where(
        rng.random((rows, PEOPLE)) < 0.6, rng.normal(0.0, 0.5, (rows, PEOPLE)), rng.uniform(-3.1, 3.1, (rows, PEOPLE))
    )
    people = distance[..., None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    narrow = rng.random(rows) < 0.3
    angle = rng.uniform(0.0, 2.0 * np.pi, rows)
    return State(
        v=v,
        last=last,
        command=command,
        measured=v * (1.0 + rng.uniform(-0.02, 0.02, (rows, 1))) + rng.uniform(-0.02, 0.02, (rows, 2)),
        age=rng.choice([0.0, 0.05, 0.1], rows),
        people=people,
        speed=rng.choice([0.0, 1.6], rows),
        offset=(SPEC.localisation_bound * np.sqrt(rng.random(rows)) * np.stack([np.cos(angle), np.sin(angle)])).T,
        aisle=np.where(narrow, rng.uniform(0.5, 0.8, rows), 20.0),
        ahead=np.where(narrow, rng.uniform(0.5, 2.5, rows), 20.0),
    )


def scan_of(state: State, rng: np.random.Generator) -> NDArray[np.float32]:
    """Exact ranges of discs, then noise and dropout as the lidar has them."""
    angles = SPEC.lidar.angles().astype(np.float64)
    ranges = np.full((ROWS, len(angles)), SPEC.lidar.range_max)
    for k in range(PEOPLE):
        x, y = state.people[:, k, 0, None], state.people[:, k, 1, None]
        along = x * np.cos(angles) + y * np.sin(angles)
        square = PERSON**2 - (x**2 + y**2 - along**2)
        hit = (square > 0.0) & (along > 0.0)
        ranges = np.where(hit, np.minimum(ranges, along - np.sqrt(np.maximum(square, 0.0))), ranges)
    noise = np.clip(rng.normal(0.0, SPEC.lidar.noise, ranges.shape), -3 * SPEC.lidar.noise, 3 * SPEC.lidar.noise)
    ranges = np.where(ranges < SPEC.lidar.range_max, ranges + noise, ranges)
    ranges[rng.random(ranges.shape) < SPEC.lidar.dropout] = SPEC.lidar.range_max
    return ranges.astype(np.float32)


def toward(now: Array, goal: Array, away: float, rest: Array | float) -> Array:
    """The drive's setpoint one step on: `rest` towards zero and never across it, `away` from it."""
    shrinking = now * (goal - now) < 0.0
    floor = np.where(now * goal > 0.0, goal, 0.0)
    shrunk = np.where(now > 0.0, np.maximum(now - rest * DT, floor), np.minimum(now + rest * DT, floor))
    grown = now + np.clip(goal - now, -away * DT, away * DT)
    return np.where(shrinking, shrunk, grown)


def play(
    state: State, released: Array, plan: Array, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each row's moving circle touched a person, and whether it left its ground."""
    rows = ROWS
    drive = SPEC.drive
    late = rng.uniform(0.0, SPEC.latency_bound, rows)
    brake = drive.brake_min * rng.uniform(1.0, 1.2, rows)
    setpoint, people = state.v.copy(), state.people.copy()
    pose = np.zeros((rows, 3))
    touched, left = np.zeros(rows, bool), np.zeros(rows, bool)
    for step in range(round(1.45 / DT)):
        since = step * DT - state.age - late  # since the released command rules
        tick = np.floor(since / 0.1 + 1e-9)
        left_share = np.maximum(1.0 - tick * 0.1 / np.maximum(plan[:, 2], 1e-9), 0.0)
        goal = np.where((tick >= 1.0)[:, None], plan[:, :2] * left_share[:, None], released)
        goal = np.where((since < 0.0)[:, None], state.last, goal)
        after_v = toward(setpoint[:, 0], goal[:, 0], drive.accel_max, brake)
        after_w = toward(setpoint[:, 1], goal[:, 1], drive.turn_accel_max, drive.turn_accel_max)
        mean = 0.5 * (setpoint[:, 0] + after_v)
        heading = pose[:, 2] + 0.25 * DT * (setpoint[:, 1] + after_w)
        pose[:, 0] += mean * DT * np.cos(heading)
        pose[:, 1] += mean * DT * np.sin(heading)
        pose[:, 2] += 0.5 * DT * (setpoint[:, 1] + after_w)
        setpoint = np.stack([after_v, after_w], axis=-1)
        gap = pose[:, None, :2] - people
        distance = np.linalg.norm(gap, axis=-1)
        walk = np.minimum(state.speed[:, None] * DT, np.maximum(distance - 1e-3, 0.0))
        people += gap * (walk / np.maximum(distance, 1e-9))[..., None]
        distance = np.linalg.norm(pose[:, None, :2] - people, axis=-1).min(axis=1)
        moving = (np.abs(after_v) > 0.02) | (np.abs(after_w) > 0.02)
        touched |= moving & (distance < SPEC.radius + PERSON)
        out = (np.abs(pose[:, 1]) + SPEC.radius > state.aisle) | (pose[:, 0] + SPEC.radius > state.ahead)
        left |= moving & out
    return touched, left


def count(make_scene: Callable[..., object], batches: int, seed: int, **planted: float) -> tuple[int, int, int, int]:
    """Verified states, those of them that refused the proposal, touches, and rows that left their ground."""
    scene = make_scene(rows=ROWS)
    for name, value in planted.items():
        if name != "person_speed":
            setattr(scene.shield.bounds, name, value)
    everyone = wp.full(ROWS, 1, dtype=wp.uint8, device="cpu")
    verified = refused = touches = leaves = 0
    for batch in range(batches):
        rng = np.random.default_rng([seed, batch])
        state = draw(rng)
        view = scene.inputs
        view.scan.numpy()[...] = scan_of(state, rng)
        view.point_speed.numpy()[...] = planted.get("person_speed", state.speed[:, None])
        view.command.numpy()[...] = state.command
        view.last_command.numpy()[...] = state.last
        view.twist.numpy()[...] = state.measured
        view.scan_age.numpy()[...] = state.age
        view.pose.numpy()[:, :2] = state.offset
        points = np.zeros((ROWS, 8, 2), np.float32)
        points[:, 0, 0] = -20.0
        points[:, 1, 0] = state.ahead - state.aisle
        points[:, 2:] = points[:, 1:2]
        view.corridor_points.numpy()[...] = points
        view.corridor_half_width.numpy()[...] = state.aisle[:, None]
        view.corridor_count.numpy()[...] = 2
        scene.shield.reset(everyone, scene.memory)
        scene.shield.launch(scene.inputs, scene.memory, scene.out)
        released = scene.out.command.numpy().astype(np.float64)
        plan = scene.memory.plan.numpy().astype(np.float64)
        good = scene.out.margin.numpy() >= 0.0
        # people may not overlap the robot to begin with
        good &= np.linalg.norm(state.people, axis=-1).min(axis=1) > SPEC.radius + PERSON
        touched, left = play(state, released, plan, rng)
        verified += int(good.sum())
        refused += int((good & (scene.out.reason.numpy() != 0)).sum())
        touches += int((good & touched).sum())
        leaves += int((good & left).sum())
    return verified, refused, touches, leaves


def test_released_command_never_touches_anybody_nor_leaves_its_ground(make_scene: Callable[..., object]) -> None:
    verified, refused, touches, leaves = count(make_scene, 40, 1)
    assert verified > 40 * ROWS * 0.3
    assert refused > 500
    assert (touches, leaves) == (0, 0)


@pytest.mark.slow
def test_released_command_never_touches_anybody_in_two_hundred_thousand_states(
    make_scene: Callable[..., object],
) -> None:
    verified, _, touches, leaves = count(make_scene, 120, 2)
    assert verified > 150_000
    assert (touches, leaves) == (0, 0)


@pytest.mark.parametrize(
    ("fault", "planted"),
    [
        ("brakes believed to be twice as good", {"brake": 3.0}),
        ("latency forgotten", {"latency": 0.0}),
        ("a smaller robot", {"radius": 0.33}),
        ("people believed to stand", {"person_speed": 0.0}),
        ("people believed to walk at half their speed", {"person_speed": 0.8}),
    ],
)
def test_planted_fault_is_found(make_scene: Callable[..., object], fault: str, planted: dict[str, float]) -> None:
    _, _, touches, leaves = count(make_scene, 4, 3, **planted)
    assert touches + leaves > 0, fault


def test_corridor_taken_for_wider_is_found(make_scene: Callable[..., object]) -> None:
    _, _, _, leaves = count(make_scene, 4, 3, radius=0.30)
    assert leaves > 0
