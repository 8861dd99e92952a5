from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from sim.env import BatchEnv, Step
from sim.filter import FilterInputs, FilterOutputs
from sim.generate import generate_campus
from sim.robot import SECOND
from sim.site import Site
from sim.snapshots import of_worlds
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import NavigateObserver, navigate_contract
from sim.tasks.task import Ending
from sim.vary import vary
from sim.worldrows import SnapshotError

CONFIG = NavigateConfig(paths=256)
CALM = replace(CONFIG, people=0, randomization=vary(level=0.0, stall_share=0.0, start_offset=0.0))
"""Nobody there, exact sensors, no latency."""


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def actions(steps: int, rows: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.0, 1.0, (steps, rows, 2)).astype(np.float32)


def follow(env: BatchEnv, speed: float = 1.0) -> NDArray[np.float32]:
    """Turn towards the next way-point, then drive to it: enough to finish paths on an empty floor."""
    corridor = env.observation.numpy()[:, 64:79].reshape(-1, 5, 3)
    x, y = corridor[:, 0, 0], corridor[:, 0, 1]
    far = np.hypot(x, y) * 5.0
    angle = np.arctan2(y, x)
    drive = np.where(np.abs(angle) < 0.3, np.clip(far, 0.1, speed), 0.0)
    drive = np.where(env.observation.numpy()[:, 86] * 5.0 < 0.2, 0.0, drive)
    return np.stack([drive, np.clip(2.0 * angle, -1.0, 1.0)], axis=-1).astype(np.float32)


def test_rows_that_end_leave_every_other_row_bit_identical(site: Site) -> None:
    """Two equal environments, but in one some robots are thrown off the floor: their neighbours notice nothing."""
    plain, disturbed = (BatchEnv(site, CONFIG, worlds=12, seed=1, threads=1) for _ in range(2))
    for env in (plain, disturbed):
        env.reset()
    moves = actions(40, 12)
    thrown = np.zeros(12, bool)
    for k, action in enumerate(moves):
        if k in (10, 25):
            rows = np.array([1, 4, 5, 11]) if k == 10 else np.array([0, 5])
            disturbed.backend.qpos.numpy()[rows, 0] += 500.0  # off the floor
            thrown[rows] = True
        plain.step(action)
        step = disturbed.step(action)
        if k in (10, 25):
            assert step.ending[rows].all()
        first, second = of_worlds(plain.snapshot()), of_worlds(disturbed.snapshot())
        assert first.keys() == second.keys()
        for name in first:
            assert len(first[name]) == 12, name
            np.testing.assert_array_equal(second[name][~thrown], first[name][~thrown], err_msg=name)
    assert (second["robot.episode"][thrown] > first["robot.episode"][thrown]).any()


def test_a_world_lives_the_same_life_among_few_or_many(site: Site) -> None:
    few, many = (BatchEnv(site, CONFIG, worlds=n, seed=3, threads=1) for n in (3, 9))
    np.testing.assert_array_equal(few.reset(), many.reset()[:3])
    for action in actions(60, 9):
        a, b = few.step(action[:3]), many.step(action)
        np.testing.assert_array_equal(a.observation, b.observation[:3])
        np.testing.assert_array_equal(a.reward, b.reward[:3])
        np.testing.assert_array_equal(a.ending, b.ending[:3])
    for name, values in of_worlds(few.snapshot()).items():
        np.testing.assert_array_equal(values, many.snapshot()[name][:3], err_msg=name)


@pytest.mark.parametrize("robots", [1, 3])
def test_rows_can_be_reset_from_outside(site: Site, robots: int) -> None:
    env, left_alone = (BatchEnv(site, CONFIG, worlds=5, robots=robots, seed=7, threads=1) for _ in range(2))
    for each in (env, left_alone):
        each.reset()
        for action in actions(20, each.rows):
            each.step(action)
    rows = np.zeros(env.rows, bool)
    rows[[1, env.rows - 1]] = True
    before = env.state.episode.numpy().copy()
    seen = env.reset(rows)
    np.testing.assert_array_equal(env.state.episode.numpy(), before + rows)
    np.testing.assert_array_equal(seen[~rows], left_alone.observation.numpy()[~rows])
    assert (seen[rows] != left_alone.observation.numpy()[rows]).any(axis=1).all()


def test_the_seed_changes_the_episodes(site: Site) -> None:
    first, second = (BatchEnv(site, CONFIG, worlds=8, seed=seed, threads=1) for seed in (1, 2))
    assert (first.reset() != second.reset()).any(axis=1).all()


def test_a_restored_environment_goes_on_bit_for_bit(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=8, robots=2, seed=2, threads=1)
    env.reset()
    moves = actions(80, env.rows, seed=4)
    for action in moves[:40]:
        env.step(action)
    saved = env.snapshot()
    expected = [_copy(env.step(action)) for action in moves[40:]]
    other = BatchEnv(site, CONFIG, worlds=8, robots=2, seed=2, threads=2)
    other.restore(saved)
    for action, step in zip(moves[40:], expected, strict=True):
        got = other.step(action)
        for name in ("observation", "reward", "terminated", "truncated", "ending", "bumped"):
            np.testing.assert_array_equal(getattr(got, name), getattr(step, name), err_msg=name)
    first = env.snapshot()
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, first[name], err_msg=name)
    assert any(step.ending.any() for step in expected)


def _copy(step: Step) -> Step:
    names = step.__dataclass_fields__
    return Step(**{name: np.array(getattr(step, name)) for name in names})


def test_the_time_limit_truncates_and_terminates_nothing(site: Site) -> None:
    env = BatchEnv(site, replace(CALM, time_limit=1.0), worlds=6, threads=1)
    env.reset()
    for k in range(10):
        step = env.step(np.zeros((6, 2), np.float32))
        assert not step.terminated.any()
        assert step.truncated.all() == (k == 9)
    assert (step.ending == Ending.TIMED_OUT).all()
    assert not step.success.any()
    assert (env.state.episode.numpy() == 1).all()


def test_leaving_the_granted_cells_terminates(site: Site) -> None:
    env = BatchEnv(site, CALM, worlds=6, threads=1)
    env.reset()
    # backwards along the path, into a free cell: out of the only cells granted
    first, second = env.task.paths.cells.numpy()[env.task.course.path.numpy(), :2].T
    behind = 2 * env.site.centre(first) - env.site.centre(second)
    row = int(np.flatnonzero(~site.blocked.reshape(-1)[env.site.cell_at(behind)])[0])
    env.backend.qpos.numpy()[row, :2] = behind[row]
    step = env.step(np.zeros((6, 2), np.float32))
    assert step.ending[row] == Ending.LEFT
    assert step.terminated[row] == 1
    assert step.truncated[row] == 0
    assert step.reward[row] < -4.0
    others = np.arange(6) != row
    assert not step.terminated[others].any()


def test_a_hand_written_driver_finishes_on_an_empty_floor(site: Site) -> None:
    env = BatchEnv(site, CALM, worlds=64, threads=1)
    env.reset()
    endings = np.zeros(6, int)
    progress = np.zeros(64)
    for _ in range(400):
        start = env.task.course.remaining.numpy().copy()
        step = env.step(follow(env, speed=0.5))
        running = step.ending == 0
        progress[running] += start[running] - env.task.course.remaining.numpy()[running]
        endings += np.bincount(step.ending, minlength=6)
        np.testing.assert_array_equal(step.success, step.ending == Ending.SUCCEEDED)
        np.testing.assert_array_equal(step.terminated | step.truncated, (step.ending != 0).astype(np.uint8))
        assert (step.reward[step.success] > 4.0).all()
    finished = endings[1:].sum()
    assert finished > 80
    assert endings[Ending.SUCCEEDED] / finished > 0.95
    assert progress.mean() > 5.0


def test_the_last_observation_of_an_episode_is_kept(site: Site) -> None:
    """Equal environments with a limit of 1 s and of 60 s: at the limit one observes on, the other keeps what it saw."""
    short, long = (BatchEnv(site, replace(CALM, time_limit=t), worlds=5, threads=1) for t in (1.0, 60.0))
    for env in (short, long):
        env.reset()
    for _ in range(10):
        a, b = short.step(follow(short)), long.step(follow(long))
    assert a.truncated.all()
    np.testing.assert_array_equal(a.final_observation, b.observation)
    assert (a.observation != a.final_observation).any(axis=1).all()


def test_a_world_that_diverges_ends_without_reward_and_harms_no_other(site: Site) -> None:
    env, healthy = (BatchEnv(site, CONFIG, worlds=5, seed=9, threads=1) for _ in range(2))
    for each in (env, healthy):
        each.reset()
    env.backend.qvel.numpy()[3] = np.nan
    action = actions(1, 5)[0]
    step, expected = env.step(action), healthy.step(action)
    assert step.ending[3] == Ending.DIVERGED
    assert step.terminated[3] == 1
    assert step.reward[3] == 0.0
    others = np.arange(5) != 3
    np.testing.assert_array_equal(step.observation[others], expected.observation[others])
    assert np.isfinite(env.step(action).observation).all()


def test_the_observation_of_a_row_is_what_a_robot_computes_bit_for_bit(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=16, robots=2, seed=6, threads=1)
    env.reset()
    robot = NavigateObserver(env.spec)
    for action in actions(30, env.rows, seed=1):
        step = env.step(action)
        for row in (0, 7, 31):
            robot.scan[0] = env.state.scan.numpy()[row]
            robot.pose[0] = env.state.measured_pose.numpy()[row]
            robot.twist[0] = env.state.measured_twist.numpy()[row]
            robot.last_command[0] = env.drive.released.numpy()[row]
            robot.points[0] = env.task.corridor.points.numpy()[row]
            robot.half_width[0] = env.task.corridor.half_width.numpy()[row]
            robot.count[0] = env.task.corridor.count.numpy()[row]
            robot.final[0] = env.task.corridor.final.numpy()[row]
            np.testing.assert_array_equal(robot.observe()[0], step.observation[row])


def test_observations_keep_the_bounds_of_the_contract(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=32, seed=8, threads=1)
    contract = env.contract
    assert contract.hash == navigate_contract(CONFIG.spec).hash
    assert contract.observation_size == env.observation_size
    env.reset()
    for action in actions(50, 32):
        observation = env.step(action).observation
        assert np.isfinite(observation).all()
        for field in contract.fields:
            part = observation[:, contract.slices()[field.name]]
            assert part.min() >= field.low, field.name
            assert part.max() <= field.high, field.name


def test_corridors_are_chains_of_free_cells_around_the_robot(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=24, seed=3, threads=1)
    env.reset()
    seen = set()
    for _ in range(120):
        env.step(follow(env, speed=0.6))
        points, count = env.task.corridor.points.numpy(), env.task.corridor.count.numpy()
        seen |= set(count.tolist())
        for row in range(env.rows):
            cells = env.site.cell_at(points[row, : count[row]])
            assert len(set(cells.tolist())) == len(cells)  # none twice
            assert not site.blocked.reshape(-1)[cells].any()
            steps = np.abs(np.diff(env.site.centre(cells), axis=0)).sum(axis=1)
            np.testing.assert_allclose(steps, site.cell, atol=1e-5)
            assert env.site.cell_at(env.state.pose.numpy()[row, :2]) in cells
    assert min(seen) >= 1
    assert max(seen) >= 7


def held_cells(env: BatchEnv, world: int) -> list[set[int]]:
    """Cells that each robot of a world may count on: from the one behind it to the end of its grant."""
    cells = env.task.paths.cells.numpy()
    index, granted, path = (getattr(env.task.course, name).numpy() for name in ("index", "granted", "path"))
    rows = range(world * env.robots, (world + 1) * env.robots)
    return [set(cells[path[row], max(index[row] - 1, 0) : granted[row] + 1].tolist()) for row in rows]


def test_robots_of_one_world_never_hold_the_same_cell(site: Site) -> None:
    env = BatchEnv(site, replace(CONFIG, people=1), worlds=4, robots=5, seed=5, threads=1)
    env.reset()
    shared = 0
    for _ in range(150):
        env.step(follow(env, speed=0.7))
        for world in range(env.worlds):
            held = held_cells(env, world)
            shared += sum(len(each) for each in held) - len(set.union(*held))
    assert shared == 0


def test_robots_of_one_world_stand_in_each_others_scan(site: Site) -> None:
    env = BatchEnv(site, CALM, worlds=1, robots=2, threads=1)
    env.reset()
    at = site.centre(site.free_cells[10])
    qpos = env.backend.qpos.numpy()
    qpos[0, :6] = (*at, 0.0, at[0] + 1.0, at[1], 0.0)
    env.step(np.zeros((2, 2), np.float32))
    if env.state.episode.numpy().any():  # they were outside their corridors: look at the step's own scan instead
        qpos[0, :6] = (*at, 0.0, at[0] + 1.0, at[1], 0.0)
        env.plant.read()
        env.observe()
    # 64 rays: number 32 looks ahead
    assert env.state.scan.numpy()[0, 32] == pytest.approx(1.0 - 0.32, abs=1e-3)
    assert env.state.scan.numpy()[1, 0] == pytest.approx(1.0 - 0.32, abs=1e-3)


class HalfSpeed:
    """A filter that releases half of what is proposed and counts what it is asked."""

    def __init__(self) -> None:
        self.launches = 0
        self.forgotten = np.zeros(0)

    def init(self, rows: int, device: str) -> Any:
        self.forgotten = np.zeros(rows)
        return replace_memory(rows)

    def launch(self, inputs: FilterInputs, memory: Any, out: FilterOutputs) -> None:
        self.launches += 1
        out.command.numpy()[...] = 0.5 * inputs.command.numpy()
        memory.calls.numpy()[...] += 1

    def reset(self, mask: wp.array, memory: Any) -> None:
        self.forgotten += mask.numpy()
        memory.calls.numpy()[mask.numpy().astype(bool)] = 0


def replace_memory(rows: int) -> Any:
    from dataclasses import make_dataclass

    return make_dataclass("Memory", ["calls"])(calls=wp.zeros(rows, dtype=wp.int32))


def test_a_filter_stands_between_action_and_drive(site: Site) -> None:
    gate = HalfSpeed()
    env = BatchEnv(site, replace(CALM, time_limit=2.0), worlds=4, threads=1, filter=gate)
    env.reset()
    full = np.array([[1.0, 0.0]] * 4, np.float32)
    env.step(full)
    np.testing.assert_allclose(env.drive.released.numpy()[:, 0], 0.5 * env.spec.drive.speed_max)
    np.testing.assert_array_equal(gate.forgotten, 1.0)  # the first reset
    for _ in range(19):
        env.step(np.zeros((4, 2), np.float32))
    assert gate.launches == 20
    np.testing.assert_array_equal(gate.forgotten, 2.0)
    assert (env.snapshot()["filter.calls"] == 0).all()


def test_actions_beyond_one_are_clipped(site: Site) -> None:
    env = BatchEnv(site, CALM, worlds=2, threads=1)
    env.reset()
    env.step(np.array([[9.0, -9.0], [-9.0, 9.0]], np.float32))
    drive = env.spec.drive
    np.testing.assert_allclose(
        env.drive.released.numpy(), [[drive.speed_max, -drive.turn_max], [-drive.reverse_max, drive.turn_max]]
    )


def test_hooks_see_every_physics_substep(site: Site) -> None:
    stamps: list[float] = []
    env = BatchEnv(
        site, CALM, worlds=2, threads=1, substep_hook=lambda e: stamps.append(float(e.state.pose.numpy()[0, 2]))
    )
    env.reset()
    env.step(np.array([[0.0, 1.0]] * 2, np.float32))
    assert len(stamps) == env.spec.period // env.spec.motor_period == 5
    assert len(set(stamps)) == 5
    assert env.spec.period == SECOND // 10


def test_randomization_stays_within_the_specification(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=256, seed=12, threads=1)
    env.reset()
    spec, rub = env.spec, CONFIG.table().row("friction")
    late = env.drive.latency.numpy() * 0.02 + env.drive.lag.numpy()
    assert late.max() <= spec.latency_bound - 0.01 + 1e-6  # the servo has the rest
    assert len(set(env.drive.latency.numpy().tolist())) == 3
    friction = env.state.friction.numpy()
    assert rub.low <= friction.min() < 0.45 < 0.8 < friction.max() <= rub.high
    payload = env.state.payload.numpy()
    assert 0.0 <= payload.min() < 5.0 < 35.0 < payload.max() <= spec.payload_max
    # what tyres and motors give is above what the firmware commands
    assert (env.plant.limits.numpy()[:, :2, 1] / spec.mass).min() > 1.2 * spec.drive.brake_min
    for _ in range(20):
        env.step(np.zeros((256, 2), np.float32))
        error = np.linalg.norm(env.state.measured_pose.numpy()[:, :2] - env.state.pose.numpy()[:, :2], axis=1)
        assert error.max() <= spec.localisation_bound + 1e-5
    assert error.max() > 0.5 * spec.localisation_bound


@pytest.mark.slow
def test_both_engines_live_the_same_episode(site: Site) -> None:
    from sim.warp_backend import WarpBackend

    calm = replace(CONFIG, randomization=vary(stall_share=0.0))
    batch = BatchEnv(site, calm, worlds=4, seed=2, threads=1)
    warp = BatchEnv(
        site, calm, worlds=4, seed=2, threads=1, backend=lambda scene, worlds: WarpBackend(scene.model, worlds)
    )
    np.testing.assert_allclose(warp.reset(), batch.reset(), atol=1e-6)
    # float32 rounding moves the pose by micrometres; a ray that grazes an edge may then read something else
    differing = 0
    for _ in range(20):
        action = follow(batch, speed=0.4)
        a, b = warp.step(action), batch.step(action)
        np.testing.assert_allclose(warp.state.pose.numpy(), batch.state.pose.numpy(), atol=1e-5)
        np.testing.assert_allclose(a.observation[:, 64:], b.observation[:, 64:], atol=1e-3)
        differing += int((np.abs(a.observation[:, :64] - b.observation[:, :64]) > 1e-3).sum())
        np.testing.assert_array_equal(a.ending, b.ending)
    assert differing <= 4


def test_a_snapshot_keeps_the_ranges_that_a_curriculum_wrote(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=6, seed=3, threads=1, curriculum=True)
    env.reset()
    ranges = env.table.ranges()
    friction = env.table.index("friction")
    ranges[friction] = 0.4, 0.5
    env.set_ranges(ranges, (2 * friction,))
    moves = actions(80, 6)
    for action in moves[:20]:
        env.step(action)
    saved = env.snapshot()
    for action in moves[20:]:
        env.step(action)
    first, ended = env.snapshot(), env.take_counts()
    assert (first["robot.episode"] > saved["robot.episode"]).any()  # some draw from the ranges afterwards
    env.set_ranges(env.table.ranges())
    env.restore(saved)
    for action in moves[20:]:
        env.step(action)
    for name, values in env.snapshot().items():
        np.testing.assert_array_equal(values, first[name], err_msg=name)
    np.testing.assert_array_equal(env.take_counts(), ended)


def test_a_snapshot_of_an_environment_that_was_made_otherwise_is_refused_whole(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=4, seed=3, threads=1)
    env.reset()
    for action in actions(5, 4):
        env.step(action)
    before = env.snapshot()
    others = {
        "expected a snapshot of seed 3, got one of 4": BatchEnv(site, CONFIG, worlds=4, seed=4, threads=1),
        r"expected shape \(4,.* in the snapshot, got \(5,": BatchEnv(site, CONFIG, worlds=5, seed=3, threads=1),
        "randomization changes the same fields of the model": BatchEnv(
            site, replace(CONFIG, randomization=vary(payload_mass=(0.5, 1.0))), worlds=4, seed=3, threads=1
        ),
        "one that the environment does not have": BatchEnv(site, CONFIG, worlds=4, seed=3, threads=1, curriculum=True),
        r"qpos: expected shape \(4, 3\) in the snapshot, got \(4, 9\)": BatchEnv(
            site, CONFIG, worlds=4, seed=3, threads=1, body="wheeled"
        ),
    }
    for said, other in others.items():
        other.reset()
        with pytest.raises(SnapshotError, match=said):
            env.restore(other.snapshot())
    for name in ("robot.episode", "backend.qvel"):
        with pytest.raises(SnapshotError, match=f'"{name.removeprefix("backend.")}"'):
            env.restore({key: values for key, values in before.items() if key != name})
    for name, values in env.snapshot().items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
