"""A small training run on the fake environment; also a script, so that a test can kill it from outside.

python training.py DIRECTORY STEPS [--resume]: trains, one checkpoint an iteration, and prints the hash of the weights.
The desired divergence falls over the last half of the steps, as by default in real training.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from agents.evaluation import HeldOut
from agents.ppo import PpoConfig
from agents.progress import Outcome, Progress
from agents.trainer import Trainer, TrainerConfig
from sim.tasks.contract import Contract
from tests.agents.point_goal import CONTRACT, PointGoal

SMALL = PpoConfig(hidden=(16, 16), horizon=16, epochs=3, minibatches=4, gamma=0.97)


def make_trainer(
    directory: Path,
    *,
    steps: int = 200_000,
    seed: int = 1,
    target: float = 0.95,
    contract: Contract = CONTRACT,
    ppo: PpoConfig = SMALL,
    worlds: int = 32,
    seconds: float = 60.0,
) -> Trainer:
    config = TrainerConfig(
        ppo=ppo,
        seed=seed,
        steps=steps,
        seconds=seconds,
        target=target,
        check_steps=10_000,
        window=200,
        checkpoint_iterations=1,
    )
    lanes = [PointGoal(worlds, seed=10 + lane) for lane in range(2)]
    held_out = HeldOut([PointGoal(worlds, seed=20 + lane) for lane in range(2)], episodes=200)
    return Trainer(config, lanes, held_out, contract, directory, settings={"worlds": worlds})


def train(trainer: Trainer) -> tuple[Outcome, list[Progress]]:
    curve: list[Progress] = []
    return trainer.run(curve.append), curve


if __name__ == "__main__":
    annealed = replace(SMALL, anneal=0.5)
    trainer = make_trainer(Path(sys.argv[1]), steps=int(sys.argv[2]), target=2.0, ppo=annealed)
    if "--resume" in sys.argv:
        trainer.resume(Path(sys.argv[1]))
    trainer.run(lambda progress: print(progress.steps, flush=True))
    print(trainer.weights_hash())
