"""One level of a hierarchy after the other: its trainer, its learning, its freezing, and the run that they share.

What `muster hierarchy` (the warehouse) and `muster driving-train` (the road) have in common: a level is a folder of the
run, with checkpoints while it learns and a frozen policy when it has learned, which a resumed run goes on from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fleet.learning import device_named, run_watched
from fleet.metrics import TrainingMetrics
from fleet.rundir import join_run, open_run, plain

if TYPE_CHECKING:
    from agents.curriculum import Curriculum
    from agents.evaluation import HeldOut
    from agents.ppo import PpoConfig
    from agents.rollout import Environment
    from agents.trainer import Trainer
    from sim.tasks.contract import Contract


class LevelConfig(Protocol):
    """What a command that trains levels was told."""

    @property
    def seed(self) -> int:
        """Of everything."""
        ...

    @property
    def worlds(self) -> int:
        """Side by side."""
        ...

    @property
    def device(self) -> str:
        """Where levels learn."""
        ...

    @property
    def out(self) -> Path | None:
        """Directory to write into."""
        ...

    @property
    def resume(self) -> str:
        """Run directory to go on with, or empty."""
        ...


def make_trainer(
    ppo: PpoConfig,
    steps: int,
    seconds: float,
    config: LevelConfig,
    lanes: Sequence[Environment],
    contract: Contract,
    held_out: HeldOut,
    place: Path,
    settings: dict[str, Any],  # JSON for the manifest
    curriculum: Curriculum | None = None,
) -> Trainer:
    """A trainer that spends `steps` decisions, or `seconds` of wall time, on a level in the folder `place`."""
    import torch

    from agents.trainer import Trainer, TrainerConfig

    torch.set_num_threads(1)
    rules = TrainerConfig(
        ppo=ppo,
        seed=config.seed,
        steps=steps,
        seconds=seconds,
        stop_at_target=False,
        check_steps=steps,
        device=device_named(config.device),
    )
    return Trainer(
        rules,
        lanes,
        held_out,
        contract,
        place,
        settings={"worlds": config.worlds, **settings},
        on_device=rules.device != "cpu",
        curriculum=curriculum,
    )


def has_checkpoints(place: Path) -> bool:
    """Whether a level has begun to learn."""
    return any((place / "checkpoints").glob("*.npz"))


def learn(trainer: Trainer, name: str, place: Path, metrics: TrainingMetrics) -> None:
    """Learn to the end, from where the level stopped if it had begun; `name` is for people."""
    if has_checkpoints(place):
        left = trainer.config.seconds
        trainer.resume(place)
        trainer.config = replace(trainer.config, seconds=trainer.seconds + left)  # it counts what went before, too
        print(f"{name}: resumed at {trainer.steps:,} steps", flush=True)
        if trainer.steps >= trainer.config.steps:
            return
    run_watched(trainer, name, place.name, metrics)
    if trainer.diverged:
        print(f"{trainer.diverged} worlds blew up and ended as diverged: muster diverged {place}", flush=True)


def freeze(trainer: Trainer, place: Path, config: LevelConfig, *, below: dict[str, str], diverged: int = 0) -> None:
    """Write the level's policy; `below`: hashes of the levels it was trained on, `diverged`: worlds lost before."""
    from agents.export import export

    policy = export(
        place,
        trainer.learner.network,
        trainer.learner.observation_moments,
        trainer.contract,
        training={
            "below": below,
            "steps": trainer.steps,
            "seconds": round(trainer.seconds, 1),
            "diverged": trainer.diverged + diverged,
            "simulation": trainer.simulation,
            "command": plain(config),
            "config": plain(trainer.config),
            **trainer.settings,
        },
        evaluation={},
    )
    print(f"frozen: {place / 'policy.onnx'} (sha256 {policy.hash[:12]})", flush=True)


def run_directory(config: LevelConfig) -> Path:
    """The run that levels are folders of."""
    if config.resume:
        return open_run(Path(config.resume)).root
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
        return config.out.absolute()
    return join_run(arguments=sys.argv[1:], config=plain(config), seed=config.seed).root
