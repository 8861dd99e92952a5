"""The lattice in a closed loop: whoever asks for the same for ever gets on, or rests for a reason; nobody trembles."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from safety import fallback
from safety.shield import Reason

AISLE = [(0.0, 0.0), (1.2, 0.0), (2.4, 0.0), (3.6, 0.0)]
CORNER = [(0.0, 0.0), (1.2, 0.0), (2.4, 0.0), (2.4, 1.2), (2.4, 2.4)]
STARTS = [(0.0, 0.0), (0.1, 0.1), (0.0, 0.16), (-0.1, -0.16)]
HEADINGS = np.linspace(-np.pi, np.pi, 12, endpoint=False) + 0.013


@dataclass
class Course:
    """What rows of robots did that asked for the same command for 60 s."""

    arrived: NDArray[np.bool_]
    """Within 0.35 m of the corridor's end at some time."""
    twist: NDArray[np.float64]
    """(cycles, rows, 2)"""
    place: NDArray[np.float64]
    """(cycles, rows, 2)"""
    reason: NDArray[np.int8]
    """(cycles, rows)"""


def moved(scene: object, pose: NDArray[np.float64], twist: NDArray[np.float64]) -> NDArray[np.float64]:
    """The twist after 0.1 s of a drive that answers at once; the pose is moved in place."""
    told = scene.out.command.numpy().astype(np.float64)
    v, w = twist.T
    after_v = v + np.clip(told[:, 0] - v, -np.where(v > 0.0, 0.15, 0.10), np.where(v < 0.0, 0.15, 0.10))
    after_w = w + np.clip(told[:, 1] - w, -0.4, 0.4)
    heading = pose[:, 2] + 0.025 * (w + after_w)
    pose[:, 0] += 0.05 * (v + after_v) * np.cos(heading)
    pose[:, 1] += 0.05 * (v + after_v) * np.sin(heading)
    pose[:, 2] += 0.05 * (w + after_w)
    return np.stack([after_v, after_w], axis=-1)


def drive(
    make_scene: Callable[..., object], corridor: list[tuple[float, float]], asks: list[tuple[float, float]]
) -> Course:
    """Every ask, from every start and heading, for 60 s in an aisle of 1.2 m."""
    rows = list(itertools.product(HEADINGS, STARTS, asks))
    scene = make_scene(rows=len(rows))
    scene.corridor(corridor, 0.6)
    pose = np.array([(x, y, heading) for heading, (x, y), _ in rows])
    twist = np.zeros((len(rows), 2))
    course = Course(np.zeros(len(rows), bool), *np.zeros((2, 600, len(rows), 2)), np.zeros((600, len(rows)), np.int8))
    scene.inputs.command.numpy()[...] = [ask for _, _, ask in rows]
    for cycle in range(600):
        scene.inputs.pose.numpy()[...] = pose
        scene.inputs.twist.numpy()[...] = twist
        scene.inputs.last_command.numpy()[...] = scene.out.command.numpy()
        scene.judge()
        twist = moved(scene, pose, twist)
        course.twist[cycle], course.place[cycle] = twist, pose[:, :2]
        course.reason[cycle] = scene.out.reason.numpy()
        course.arrived |= np.hypot(*(pose[:, :2] - corridor[-1]).T) < 0.35
    return course


@pytest.mark.parametrize("corridor", [AISLE, CORNER], ids=["aisle", "corner"])
def test_who_asks_straight_ahead_for_ever_gets_on_from_every_heading(
    make_scene: Callable[..., object], corridor: list[tuple[float, float]]
) -> None:
    course = drive(make_scene, corridor, [(0.3, 0.0), (0.8, 0.0), (1.5, 0.0)])
    assert course.arrived.all()


@pytest.mark.parametrize("corridor", [AISLE, CORNER], ids=["aisle", "corner"])
def test_who_is_refused_for_ever_gets_on_or_comes_to_rest(
    make_scene: Callable[..., object], corridor: list[tuple[float, float]]
) -> None:
    course = drive(make_scene, corridor, [(v, w) for v in (0.3, 0.8, 1.5) for w in (0.05, 0.2, 1.0)])
    last = slice(400, None)
    refused = (course.reason[last] != Reason.NONE).all(axis=0)  # else it does what it asks: its own affair
    stays = np.ptp(course.place[last], axis=0).max(axis=-1) < 0.3
    rests = (np.abs(course.twist[-50:]) < 1e-3).all(axis=(0, 2))
    held = refused & stays & ~course.arrived
    assert rests[held].all()
    assert course.arrived.sum() > 0.5 * len(course.arrived)


def test_slow_proposal_that_is_refused_rests_with_its_reason(make_scene: Callable[..., object]) -> None:
    course = drive(make_scene, CORNER, [(0.1, 0.0), (0.15, 0.0)])
    rests = (np.abs(course.twist[-50:]) < 1e-3).all(axis=(0, 2))
    assert (rests | course.arrived).all()
    assert (course.reason[-50:, rests] == Reason.CORRIDOR).all()


def test_refused_advance_is_never_answered_by_driving_back(make_scene: Callable[..., object]) -> None:
    rows = 4096
    scene = make_scene(rows=rows)
    scene.corridor(CORNER, 0.6)
    rng = np.random.default_rng(3)
    scene.inputs.pose.numpy()[...] = rng.uniform((-0.2, -0.2, -3.1), (2.6, 0.2, 3.1), (rows, 3))
    scene.inputs.twist.numpy()[...] = rng.uniform((0.0, -0.5), (0.15, 0.5), (rows, 2))
    scene.inputs.last_command.numpy()[...] = scene.inputs.twist.numpy()
    scene.inputs.command.numpy()[...] = rng.uniform((0.0, -1.0), (1.5, 1.0), (rows, 2))
    scene.judge()
    assert (scene.out.reason.numpy() == Reason.CORRIDOR).sum() > 500
    assert (scene.out.command.numpy()[:, 0] >= 0.0).all()


@pytest.mark.parametrize("heading", [0.75, 1.5, 2.25, 3.0])
def test_fallback_is_not_turned_against_its_aim(make_scene: Callable[..., object], heading: float) -> None:
    scene = make_scene()
    scene.corridor(CORNER, 0.6)
    pose, twist = np.array([[2.0, 0.1, heading]]), np.zeros((1, 2))
    memory = fallback.FallbackMemory()
    for cycle in range(300):
        seen = fallback.FallbackInputs(
            cycle * 100_000_000, pose[0].astype(np.float32), twist[0].astype(np.float32), np.array(CORNER, np.float32)
        )
        told = fallback.step(seen, memory)
        memory = told.memory
        if told.handed_back:
            return
        scene.inputs.pose.numpy()[...] = pose
        scene.inputs.twist.numpy()[...] = twist
        scene.inputs.last_command.numpy()[...] = scene.out.command.numpy()
        scene.inputs.command.numpy()[...] = (told.v, told.w)
        scene.judge()
        twist = moved(scene, pose, twist)
    pytest.fail("the fallback never came out of the corner")
