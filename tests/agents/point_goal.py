"""A tiny environment behind the learner's seam: a point on a square must stop at the origin. The fake beside the seam.

Observation: position and velocity. Success: within 0.15 of the origin. Collision: off the square. It keeps the
rules that a real environment keeps: keyed draws, reset inside step, `final_observation`, views that the next step
overwrites, and a snapshot that covers everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim.tasks.contract import Contract, Field

CONTRACT = Contract(
    task="point_goal",
    fields=(
        Field("position", (2,), "float32", "m", "W", -1.2, 1.2, 0.1, 0.0),
        Field("velocity", (2,), "float32", "m/s", "W", -1.0, 1.0, 0.1, 0.0),
    ),
    actions=(Field("acceleration", (2,), "float32", "1", "W", -1.0, 1.0, 0.1, 0.0),),
    embodiment="point",
)


@dataclass
class PointStep:
    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_observation: np.ndarray
    success: np.ndarray
    collision: np.ndarray


class PointGoal:
    """Owns position, velocity, age and episode number of every row."""

    observation_size = 4
    action_size = 2

    def __init__(self, worlds: int, seed: int = 0, limit: int = 60) -> None:
        self.rows = worlds
        self.seed = seed
        self.limit = limit
        self.checks = 0
        self.position = np.zeros((worlds, 2), np.float32)
        self.velocity = np.zeros((worlds, 2), np.float32)
        self.age = np.zeros(worlds, np.int32)
        self.episode = np.zeros(worlds, np.int32)
        self._out = PointStep(
            observation=np.zeros((worlds, 4), np.float32),
            reward=np.zeros(worlds, np.float32),
            terminated=np.zeros(worlds, np.uint8),
            truncated=np.zeros(worlds, np.uint8),
            final_observation=np.zeros((worlds, 4), np.float32),
            success=np.zeros(worlds, np.uint8),
            collision=np.zeros(worlds, np.uint8),
        )

    def reset(self) -> np.ndarray:
        self.episode[:] = 0
        self._begin(np.arange(self.rows))
        self._observe(self._out.observation)
        return self._out.observation

    def step(self, action: np.ndarray) -> PointStep:
        out = self._out
        before = np.linalg.norm(self.position, axis=1)
        self.velocity = (0.8 * self.velocity + 0.05 * np.clip(action, -1.0, 1.0)).astype(np.float32)
        self.position = self.position + self.velocity
        self.age += 1
        after = np.linalg.norm(self.position, axis=1)
        success = after < 0.15
        collision = np.abs(self.position).max(1) > 1.2
        out.reward[:] = before - after + 1.0 * success - 1.0 * collision
        out.terminated[:] = success | collision
        out.truncated[:] = (self.age >= self.limit) & ~(success | collision)
        out.success[:] = success
        out.collision[:] = collision
        self._observe(out.final_observation)
        self._begin(np.flatnonzero(out.terminated | out.truncated))
        self._observe(out.observation)
        return out

    def end_rollout(self) -> None:
        self.checks += 1

    def snapshot(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name).copy() for name in ("position", "velocity", "age", "episode")}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        for name in ("position", "velocity", "age", "episode"):
            setattr(self, name, np.array(state[name]))

    def _observe(self, into: np.ndarray) -> None:
        into[:, :2] = self.position
        into[:, 2:] = self.velocity

    def _begin(self, rows: np.ndarray) -> None:
        for row in rows:
            draw = np.random.default_rng((self.seed, int(row), int(self.episode[row])))
            self.position[row] = draw.uniform(-1.0, 1.0, 2)
        self.velocity[rows] = 0.0
        self.age[rows] = 0
        self.episode[rows] += 1
