"""Speed zones in training: nothing faster is ever released in one, and a policy may see the limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import warp as wp

from safety.shield import Shield
from sim.env import BatchEnv
from sim.filter import FilterInputs, make_outputs
from sim.fixtures import Fixtures, SpeedZone
from sim.robot import Lidar, RobotSpec
from sim.site import Site, make_site, with_fixtures
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import OBSERVATION, navigate_contract
from sim.vary import vary

SPEC = RobotSpec(lidar=Lidar(rays=64))
LIMIT = 0.4
CONFIG = NavigateConfig(spec=SPEC, people=0, shortest=6, paths=200, randomization=vary(level=0.0))


def floor(*zones: SpeedZone) -> Site:
    """An open floor of 12 x 8 cells, slow from column 4 to column 7."""
    return with_fixtures(make_site("slow", np.zeros((8, 12), bool)), Fixtures(zones=zones))


SLOW = floor(SpeedZone(tuple(row * 12 + column for row in range(8) for column in range(4, 8)), LIMIT))


def in_zone(env: BatchEnv, radius: float) -> np.ndarray:
    """Rows whose footprint's circle is in a slow column."""
    x = env.state.pose.numpy()[:, 0]
    return (x + radius > 4 * 1.2) & (x - radius < 8 * 1.2)


def throttle(env: BatchEnv, rng: np.random.Generator) -> np.ndarray:
    """Full speed along the corridor, with a turn towards it and some noise."""
    track = env.observation.numpy()[:, 79:82]
    turn = np.clip(-2.0 * track[:, 1] - 1.5 * track[:, 0], -1.0, 1.0) + rng.normal(0.0, 0.2, len(track))
    return np.stack([np.ones(len(track)), turn], axis=-1).astype(np.float32)


@pytest.mark.parametrize("shielded", [False, True])
def test_no_released_command_is_faster_than_the_zone_allows(shielded: bool) -> None:
    env = BatchEnv(SLOW, CONFIG, worlds=48, seed=3, threads=1, filter=Shield(SPEC) if shielded else None)
    rng = np.random.default_rng(0)
    env.reset()
    inside, fastest, beyond = 0, 0.0, 0.0
    for _ in range(150):
        there = in_zone(env, SPEC.radius)
        env.step(throttle(env, rng))
        there &= in_zone(env, SPEC.radius)  # before and after: it was in the zone for the whole step
        released = np.abs(env.drive.released.numpy()[:, 0])
        inside += int(there.sum())
        # who only grazes the zone from the lane beside it is told to slow down when the footprint is over the edge
        centre = there & in_zone(env, 0.0)
        fastest = max(fastest, float(np.abs(env.state.twist.numpy()[centre, 0]).max(initial=0.0)))
        assert released[there].max(initial=0.0) <= LIMIT + 1e-6
        beyond = max(beyond, float(released[~there].max(initial=0.0)))
    assert inside > 1000
    assert 0.35 < fastest <= 1.02 * LIMIT
    assert beyond > 1.2  # elsewhere they drive on


def test_without_the_rule_the_same_drivers_are_too_fast() -> None:
    env = BatchEnv(floor(), CONFIG, worlds=48, seed=3, threads=1)
    rng = np.random.default_rng(0)
    env.reset()
    fastest = 0.0
    for _ in range(60):
        env.step(throttle(env, rng))
        there = in_zone(env, SPEC.radius)
        fastest = max(fastest, float(env.drive.released.numpy()[there, 0].max(initial=0.0)))
    assert fastest > 2.0 * LIMIT


def test_the_shield_s_own_candidates_keep_the_limit() -> None:
    """What was asked for is refused at the corridor's end; every candidate beyond the limit is left out."""
    env = BatchEnv(SLOW, CONFIG, worlds=64, seed=5, threads=1, filter=Shield(SPEC))
    env.reset()
    inputs = env.filter_inputs
    rows = env.rows
    out = make_outputs(rows)
    limit = wp.full(rows, 0.3, dtype=wp.float32)
    twist = wp.array(np.tile(np.array([[0.3, 0.0]], np.float32), (rows, 1)), dtype=wp.float32)
    asked = wp.array(np.tile(np.array([[1.5, 1.8]], np.float32), (rows, 1)), dtype=wp.float32)

    def replaced(given: FilterInputs) -> np.ndarray:
        shield = Shield(SPEC)
        memory = shield.init(rows)
        shield.launch(replace(given, command=asked, twist=twist, last_command=twist), memory, out)
        changed = out.reason.numpy() > 1
        return np.asarray(out.command.numpy()[changed, 0])

    free, kept = replaced(replace(inputs, speed_limit=None)), replaced(replace(inputs, speed_limit=limit))
    assert len(free) > 10
    assert free.max() > 0.3 + 1e-3  # the lattice reaches 0.1 m/s beyond what it drives
    assert kept.max() <= 0.3


def test_a_policy_may_see_the_limit_and_the_default_one_does_not() -> None:
    env = BatchEnv(SLOW, replace(CONFIG, limited=True), worlds=32, seed=1, threads=1)
    plain = BatchEnv(SLOW, CONFIG, worlds=32, seed=1, threads=1)
    seen, before = env.reset().copy(), plain.reset().copy()
    assert seen.shape[1] == OBSERVATION + 1
    np.testing.assert_array_equal(seen[:, :OBSERVATION], before)
    there = in_zone(env, SPEC.radius)
    np.testing.assert_allclose(seen[there, OBSERVATION], LIMIT / SPEC.drive.speed_max, rtol=1e-6)
    far = np.abs(env.state.pose.numpy()[:, 0] - 6 * 1.2) > 5.0
    assert there.any()
    assert far.any()
    assert (seen[far, OBSERVATION] > 0.9).all()
    assert navigate_contract(SPEC).hash != navigate_contract(SPEC, limited=True).hash == env.contract.hash


def test_a_floor_without_zones_launches_nothing() -> None:
    env = BatchEnv(floor(), CONFIG, worlds=2, threads=1, filter=Shield(SPEC))
    assert env.plant.pace(env.task.corridor) == []
    assert env.filter_inputs.speed_limit is None
