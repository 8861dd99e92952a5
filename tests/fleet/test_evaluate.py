"""Both counts of collisions of an evaluation, on contacts planted in its environment."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.evaluate import Witness
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.people import PERSON_RADIUS
from sim.site import MOVES
from sim.tasks.task import Ending

AHEAD, STAY = 1.0, 0.0


class Follower:
    """Stands in for the people: the first person of world `row` stays at `offset` (2,) in the robot's frame, others
    are far away. Owns that offset."""

    def __init__(self, env: BatchEnv, row: int) -> None:
        self.env, self.row = env, row
        self.offset: tuple[float, float] | None = None

    def launch(self) -> None:
        places = np.full(self.env.people.position.shape, -100.0)
        if self.offset is not None:
            x, y, yaw = self.env.state.pose.numpy()[self.row].tolist()
            turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
            places[self.row, 0] = (x, y) + turn @ self.offset
        self.env.people.position.numpy()[...] = places
        self.env.backend.mocap_pos.numpy()[..., :2] = places


@pytest.fixture
def faced() -> tuple[Witness, Follower, int]:
    """An evaluation one of whose robots stands 3 cm before a rack or wall and looks at it, in its own cell."""
    witness = Witness(generate_campus(5, blocks=(2, 2)), "no_shield", 40, seed=3)
    env = witness.environment
    env.reset()
    beside = env.site.blocked.reshape(-1)
    row, move = next(
        (row, move)
        for row, cell in enumerate(env.site.cell_at(env.state.pose.numpy()[:, :2]).tolist())
        for move, (down, right) in enumerate(MOVES)
        if beside[cell + down * env.site.width + right]
    )
    down, right = MOVES[move]
    toward = np.array([right, -down])
    x, y = env.site.centre(env.site.cell_at(env.state.pose.numpy()[row, :2])) + toward * (
        env.site.cell / 2 - env.spec.length / 2 - 0.03
    )
    env.backend.qpos.numpy()[row, :3] = x, y, np.arctan2(toward[1], toward[0])
    follower = Follower(env, row)
    env.plant.walk = follower
    env.plant.read()
    witness._remember(np.arange(env.rows))
    return witness, follower, row


def drive(witness: Witness, row: int, speed: float, steps: int) -> tuple[int, bool, bool]:
    """Drive `row` for some control steps, or to its end: its ending, what the oracle says, whether it was bumped."""
    action = np.zeros((witness.environment.rows, 2), np.float32)
    action[row, 0] = speed
    bumped = False
    for _ in range(steps):
        step = witness.environment.step(action)
        bumped |= bool(step.bumped[row])
        if step.ending[row] != Ending.RUNNING:
            break
    return int(step.ending[row]), bool(witness._hit[row]), bumped


def test_both_counts_see_a_robot_drive_into_the_map(faced: tuple[Witness, Follower, int]) -> None:
    witness, _, row = faced
    assert drive(witness, row, STAY, 3) == (Ending.RUNNING, False, False)
    assert drive(witness, row, AHEAD, 8) == (Ending.COLLIDED, True, False)


def test_both_counts_see_a_collision_that_begins_while_a_person_leans_on_the_robot(
    faced: tuple[Witness, Follower, int],
) -> None:
    witness, follower, row = faced
    assert drive(witness, row, STAY, 3) == (Ending.RUNNING, False, False)
    follower.offset = (-0.1, witness.environment.spec.width / 2 + PERSON_RADIUS - 0.01)  # a centimetre into its side
    assert drive(witness, row, STAY, 3) == (Ending.RUNNING, False, True)
    assert drive(witness, row, AHEAD, 8) == (Ending.COLLIDED, True, False)


def test_a_person_who_walks_into_a_standing_robot_is_a_collision_by_neither_count(
    faced: tuple[Witness, Follower, int],
) -> None:
    witness, follower, row = faced
    follower.offset = (-0.1, witness.environment.spec.width / 2 + PERSON_RADIUS - 0.01)
    assert drive(witness, row, STAY, 1) == (Ending.RUNNING, False, True)
    assert drive(witness, row, -0.2, 2) == (Ending.RUNNING, False, False)  # the same contact goes on, in motion
