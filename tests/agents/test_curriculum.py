"""Curricula: what moves ranges which way, in small real trainings; exactly the same after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.curriculum import Curriculum, CurriculumConfig, CurriculumName
from agents.errors import CheckpointError, TrainingError
from agents.progress import Progress
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.tasks.navigate import NavigateConfig
from sim.vary import Table, vary
from tests.agents.ranged_goal import TABLE, RangedGoal, make_trainer

SCRIPT = Path(__file__).parent / "ranged_goal.py"
DISTANCE, DRAG_LOW, DRAG_HIGH = 1, 2, 3
"""Boundaries of the point's table that move: the far end of the distance, both ends of the drag."""


class Judge:
    """A fake environment that reports whatever counts it is given."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.counts = np.zeros((2 * len(table) + 1, 2), np.int64)
        self.ranges = table.ranges()
        self.boundaries: tuple[int, ...] = ()

    def set_ranges(self, ranges: np.ndarray, boundaries: object) -> None:
        self.ranges, self.boundaries = ranges, tuple(boundaries)  # type: ignore[arg-type]

    def take_counts(self) -> np.ndarray:
        taken, self.counts = self.counts, np.zeros_like(self.counts)
        return taken


def adr(name: CurriculumName = "adr", **settings: float) -> Curriculum:
    return Curriculum(CurriculumConfig(name, **settings), TABLE)  # type: ignore[arg-type]  # whole and other numbers


# decisions ----------------------------------------------------------------------------------------------------------


def test_a_curriculum_begins_at_the_nominal_values_and_leaves_rows_without_one_whole() -> None:
    curriculum, judge = adr(), Judge(TABLE)
    curriculum.write([judge])
    np.testing.assert_allclose(judge.ranges, [[0.2, 0.2], [0.8, 0.8], [-3.2, 3.2]], rtol=1e-6)
    assert judge.boundaries == (DISTANCE, DRAG_LOW, DRAG_HIGH)
    assert curriculum.progress == 0.0


def test_each_boundary_moves_by_its_own_full_buffer() -> None:
    curriculum, judge = adr(buffer=100, step=0.25), Judge(TABLE)
    curriculum.reach[[DISTANCE, DRAG_LOW, DRAG_HIGH]] = 0.5
    judge.counts[DISTANCE] = 60, 60
    curriculum.learn([judge])
    assert curriculum.reach[DISTANCE] == 0.5  # not full yet
    judge.counts[DISTANCE] = 40, 25  # 85 of 100: out
    judge.counts[DRAG_LOW] = 100, 50  # back, at the threshold
    judge.counts[DRAG_HIGH] = 100, 65  # between: stays, and the buffer is emptied
    curriculum.learn([judge])
    assert curriculum.reach[[DISTANCE, DRAG_LOW, DRAG_HIGH]].tolist() == [0.75, 0.25, 0.5]
    np.testing.assert_allclose(judge.ranges[:2], [[0.2, 0.8], [0.775, 0.85]], rtol=1e-6)
    assert (curriculum.seen == 0).all()


def test_boundaries_stop_at_nominal_and_at_the_whole_range() -> None:
    curriculum, judge = adr(buffer=1, step=0.4), Judge(TABLE)
    for _ in range(5):
        judge.counts[DISTANCE], judge.counts[DRAG_LOW] = (9, 9), (9, 0)
        curriculum.learn([judge])
    assert (curriculum.reach[DISTANCE], curriculum.reach[DRAG_LOW]) == (1.0, 0.0)
    np.testing.assert_allclose(judge.ranges[0], [0.2, 1.0], rtol=1e-6)


def test_success_moves_all_rows_together_by_all_episodes() -> None:
    curriculum, judge = adr("success", buffer=10, step=0.5), Judge(TABLE)
    curriculum.write([judge])
    assert judge.boundaries == ()  # nobody is pinned
    judge.counts[-1] = 10, 9
    curriculum.learn([judge])
    np.testing.assert_allclose(judge.ranges, [[0.2, 0.6], [0.75, 0.85], [-3.2, 3.2]], rtol=1e-6)
    judge.counts[-1] = 10, 2
    curriculum.learn([judge])
    assert curriculum.progress == 0.0


def test_a_range_on_one_side_of_nominal_moves_as_a_whole_and_choices_stay_whole_numbers() -> None:
    table = NavigateConfig(randomization=vary(payload=(10.0, 20.0), stall_share=0.4)).table()
    curriculum, judge = Curriculum(CurriculumConfig("success", buffer=1, step=0.5), table), Judge(table)
    judge.counts[-1] = 1, 1
    curriculum.learn([judge])
    assert judge.ranges[table.index("payload")].tolist() == [5.0, 10.0]
    np.testing.assert_allclose(judge.ranges[table.index("stall_share")], [0.2, 0.2])
    assert judge.ranges[table.index("latency")].tolist() == [0.0, 1.0]
    assert judge.ranges[table.index("layout")].tolist() == [0.0, 1.0]
    judge.counts[-1] = 1, 1
    curriculum.learn([judge])
    np.testing.assert_array_equal(judge.ranges, table.ranges())  # the whole table, to the bit


def test_settings_that_cannot_work_are_refused() -> None:
    for settings in ({"narrow": 0.9}, {"step": 0.0}, {"buffer": 0}, {"widen": 1.5}):
        with pytest.raises(TrainingError, match="curriculum: expected 0 <= narrow < widen <= 1"):
            adr(**settings)
    with pytest.raises(TrainingError, match="expected a row that varies around a nominal value"):
        Curriculum(CurriculumConfig(), Table((TABLE.row("bearing"),)))
    with pytest.raises(CheckpointError, match="expected the curriculum of 3 rows, the checkpoint has 1"):
        adr().load({"reach": np.zeros(2), "seen": np.zeros((3, 2), np.int64)})


# pins and counts, by the simulator ------------------------------------------------------------------------------------


def test_half_of_the_episodes_are_pinned_and_have_the_value_of_their_boundary() -> None:
    env = RangedGoal(4000, seed=3)
    env.set_ranges(np.array([[0.2, 0.7], [0.75, 0.9], [-3.2, 3.2]], np.float32), (DISTANCE, DRAG_LOW, DRAG_HIGH))
    env.reset()
    pinned, values = env.varies.pinned.numpy(), env.varies.values.numpy()
    assert np.mean(pinned >= 0) == pytest.approx(0.5, abs=0.03)
    for boundary, column, end in ((DISTANCE, 0, 0.7), (DRAG_LOW, 1, 0.75), (DRAG_HIGH, 1, 0.9)):
        assert np.mean(pinned == boundary) == pytest.approx(1 / 6, abs=0.02)
        assert (values[pinned == boundary, column] == np.float32(end)).all()
    free = values[pinned < 0]
    assert free[:, 0].min() < 0.21 < 0.69 < free[:, 0].max() < 0.7


def test_navigation_counts_how_pinned_episodes_end_and_diverged_ones_not() -> None:
    site = generate_campus(5, blocks=(2, 2))
    task = replace(NavigateConfig(), paths=64, time_limit=0.5, people=0)
    env = BatchEnv(site, task, worlds=64, seed=3, threads=1, curriculum=True)
    curriculum = Curriculum(CurriculumConfig("adr"), env.table)
    curriculum.reach[curriculum.boundaries] = 0.5
    curriculum.write([env])
    env.reset()
    pinned = np.array(env.plant.varies.pinned.numpy())
    values, ranges = env.plant.varies.values.numpy(), curriculum.ranges()
    assert curriculum.ranges()[env.table.index("payload"), 1] == 20.0
    checked = 0
    for row in np.flatnonzero(pinned >= 0):
        k, side = divmod(int(pinned[row]), 2)
        if env.table.rows[k].drawn and env.table.rows[k].distribution == "uniform":
            assert values[row, k] == ranges[k, side]
            checked += 1
    assert checked > 10
    action = np.zeros((64, 2), np.float32)
    action[7] = np.nan  # diverges in the first step
    for step in range(5):
        env.step(action if step == 0 else np.zeros((64, 2), np.float32))
    counts = env.take_counts()
    assert counts[:, 0].sum() == 63  # all but world 7 timed out
    assert counts[:, 1].sum() == 0
    for boundary in np.unique(np.delete(pinned, 7)):
        assert counts[boundary, 0] == np.sum(np.delete(pinned, 7) == boundary)
    assert env.take_counts().sum() == 0
    with pytest.raises(ValueError, match="curriculum=True"):
        BatchEnv(site, task, worlds=2, seed=3, threads=1).take_counts()


# real trainings -------------------------------------------------------------------------------------------------------


def test_adr_widens_while_the_policy_succeeds(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, "adr", steps=120_000)
    curve: list[Progress] = []
    trainer.run(curve.append)
    reach = [progress.ranges["curriculum"] for progress in curve]
    assert reach[0] < 0.2
    assert reach[-1] > 0.9
    assert curve[-1].ranges["range_distance_high"] > 0.9
    for lane in trainer._ranged:
        np.testing.assert_allclose(lane.varies.ranges.numpy(), trainer.curriculum.ranges())  # type: ignore[union-attr]


def test_adr_narrows_while_the_policy_fails(tmp_path: Path) -> None:
    # 2 m from the goal is off the square: nobody succeeds there, however long he learns
    table = Table((replace(TABLE.row("distance"), high=2.0), *TABLE.rows[1:]))
    trainer = make_trainer(tmp_path, "adr", steps=20_000, buffer=30, table=table)
    curriculum = trainer.curriculum
    assert curriculum is not None
    curriculum.reach[curriculum.boundaries] = 1.0
    curriculum.write(trainer._ranged)
    curve: list[Progress] = []
    trainer.run(curve.append)
    far = [progress.ranges["range_distance_high"] for progress in curve]
    assert far[-1] <= 1.7
    assert max(far[len(far) // 2 :]) < 2.0


def test_success_widens_in_a_real_training(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, "success", steps=60_000)
    trainer.run(lambda progress: None)
    assert trainer.curriculum is not None
    assert trainer.curriculum.progress >= 0.6


def test_a_killed_run_goes_on_with_its_curriculum_exactly(tmp_path: Path, root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), *words], stdout=subprocess.PIPE, text=True, env=environment, cwd=root
        )

    steps = "40000"
    whole, killed = start(str(tmp_path / "whole"), steps), start(str(tmp_path / "killed"), steps)
    assert killed.stdout is not None
    for line in killed.stdout:
        if int(line) >= 25_000:  # some boundaries have moved
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    resumed = start(str(tmp_path / "killed"), steps, "--resume")
    expected = whole.communicate(timeout=60)[0].splitlines()[-1]
    assert resumed.communicate(timeout=60)[0].splitlines()[-1] == expected
    digest, rest = expected.split(" ", 1)
    assert len(digest) == 64
    assert not rest.startswith("[0.0, 0.0, 0.0,")  # boundaries had moved


def test_a_checkpoint_of_another_curriculum_is_refused(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, "adr", steps=2_000)
    trainer.run(lambda progress: None)
    with pytest.raises(CheckpointError, match="was trained with curriculum"):
        make_trainer(tmp_path, "success", steps=2_000).resume(tmp_path)


def test_a_training_goes_on_with_the_ranges_that_another_reached(tmp_path: Path) -> None:
    """Rows are met by their names: tables of two bodies differ, and rows that are new begin at their nominal value."""
    first = make_trainer(tmp_path / "first", "adr", steps=1_000)
    assert first.curriculum is not None
    first.curriculum.reach[:] = np.linspace(0.1, 0.8, len(first.curriculum.reach))
    new = replace(TABLE.rows[0], name="new", counter=7)
    turned = Table((new, *reversed(TABLE.rows)))
    second = make_trainer(tmp_path / "second", "adr", steps=1_000, table=turned)
    assert second.curriculum is not None
    second.widen_as(first)
    assert second.curriculum.reach[:2].tolist() == [0.0, 0.0]
    for name in (row.name for row in TABLE):
        k, of = turned.index(name), TABLE.index(name)
        before = first.curriculum.reach[2 * of : 2 * of + 2]
        assert second.curriculum.reach[2 * k : 2 * k + 2].tolist() == before.tolist()
    (lane, _) = second._ranged
    np.testing.assert_array_equal(lane.varies.ranges.numpy(), second.curriculum.ranges())
