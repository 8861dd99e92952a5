"""The point on a square whose start distance, drag and push vary by a table: a small environment with a curriculum.

The draws, pins and counts are the simulator's own kernels; only the physics is a toy. Also a script, as training.py:
python ranged_goal.py DIRECTORY STEPS [--resume] prints the hash of the weights and where the curriculum stands.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import warp as wp

from agents.curriculum import Curriculum, CurriculumConfig, CurriculumName
from agents.evaluation import HeldOut
from agents.ppo import PpoConfig
from agents.trainer import Trainer, TrainerConfig
from sim.device import start_warp
from sim.fields import Recompute
from sim.randomization import Term
from sim.ranges import write_ranges
from sim.vary import Row, Table, draw_episodes, make_arrays
from tests.agents.point_goal import CONTRACT, PointGoal, PointStep

NONE = Recompute.NONE
TABLE = Table(
    (
        Row(Term.START, "distance", "uniform", 0.2, 1.0, "m", "", NONE, "a test", bounds=(0.0, 2.0), nominal=0.2),
        Row(Term.FRICTION, "drag", "uniform", 0.7, 0.9, "1", "", NONE, "a test", bounds=(0.0, 1.0), nominal=0.8),
        Row(Term.PATH, "bearing", "uniform", -3.2, 3.2, "rad", "", NONE, "a test", bounds=(-4.0, 4.0)),
    )
)
"""The bearing has no nominal value: curricula leave it whole."""


class RangedGoal(PointGoal):
    """`agents.curriculum.Ranged`. Owns the values of its rows and the counts of their endings."""

    def __init__(self, worlds: int, seed: int = 0, limit: int = 60, table: Table = TABLE) -> None:
        super().__init__(worlds, seed, limit)
        start_warp()
        self.table = table
        self.varies = make_arrays(table, worlds, "cpu")
        self.counts = np.zeros((2 * len(table) + 1, 2), np.int64)

    def set_ranges(self, ranges: np.ndarray, boundaries: Sequence[int]) -> None:
        write_ranges(self.table, self.varies, ranges, boundaries)

    def take_counts(self) -> np.ndarray:
        taken, self.counts = self.counts, np.zeros_like(self.counts)
        return taken

    def step(self, action: np.ndarray) -> PointStep:
        drag = self.varies.values.numpy()[:, self.table.index("drag")]
        self.velocity *= (drag / 0.8)[:, None]  # the parent's own drag is 0.8
        pinned = np.array(self.varies.pinned.numpy())
        out = super().step(action)
        for row in np.flatnonzero(out.terminated | out.truncated):
            self.counts[pinned[row]] += (1, out.success[row])  # -1: the last row
        return out

    def _begin(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        mask = np.zeros(self.rows, np.uint8)
        mask[rows] = 1
        episode = wp.array(self.episode, dtype=wp.int32)
        inputs = [self.seed, episode, wp.array(mask, dtype=wp.uint8), self.varies]
        wp.launch(draw_episodes, dim=self.rows, inputs=inputs, device="cpu")
        values = self.varies.values.numpy()[rows]
        distance, bearing = values[:, 0], values[:, 2]
        self.position[rows] = np.stack([distance * np.cos(bearing), distance * np.sin(bearing)], axis=-1)
        self.velocity[rows] = 0.0
        self.age[rows] = 0
        self.episode[rows] += 1

    def snapshot(self) -> dict[str, np.ndarray]:
        drawn = {"values": self.varies.values, "pinned": self.varies.pinned}
        return super().snapshot() | {name: np.array(array.numpy()) for name, array in drawn.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:  # type: ignore[override]
        super().restore(state)
        self.varies.values.assign(state["values"])
        self.varies.pinned.assign(state["pinned"])


def make_trainer(
    directory: Path, name: CurriculumName, *, steps: int, buffer: int = 60, table: Table = TABLE
) -> Trainer:
    """A training of the point under a curriculum that begins at the nominal values."""
    config = TrainerConfig(
        ppo=PpoConfig(hidden=(16, 16), horizon=16, epochs=3, minibatches=4, gamma=0.97),
        seed=1,
        steps=steps,
        seconds=120.0,
        target=2.0,
        check_steps=10_000_000,
        window=200,
        checkpoint_iterations=1,
    )
    lanes = [RangedGoal(32, seed=10 + lane, table=table) for lane in range(2)]
    held_out = HeldOut([RangedGoal(32, seed=20, table=table)], episodes=64)
    curriculum = Curriculum(CurriculumConfig(name, buffer=buffer, step=0.2), table)
    return Trainer(config, lanes, held_out, CONTRACT, directory, settings={}, curriculum=curriculum)


if __name__ == "__main__":
    trainer = make_trainer(Path(sys.argv[1]), "adr", steps=int(sys.argv[2]))
    if "--resume" in sys.argv:
        trainer.resume(Path(sys.argv[1]))
    trainer.run(lambda progress: print(progress.steps, flush=True))
    assert trainer.curriculum is not None
    print(trainer.weights_hash(), trainer.curriculum.reach.tolist(), trainer.curriculum.seen.tolist())
