"""`muster train`: train the navigation skill on random layouts, watch it learn, freeze it.

The run directory gets `train.jsonl` and `tb/` (the curve), `checkpoints/` (exact resume), `diverged/` (worlds that blew
up, for `muster diverged`) and, at the end, the frozen policy `policy.onnx` with its manifest
`policy.json`. The exit code is 0 when the last held-out check reached the target and 1 when it did not; with
`--until-target` a policy below the target is not frozen, so nothing goes on with it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from coordination.ports import check_free, listeners
from fleet.learning import (
    check_ranges,
    check_seconds,
    device_named,
    driven_by,
    held_out_on,
    make_curriculum,
    run_watched,
    varied,
)
from fleet.metrics import TrainingMetrics
from fleet.rundir import RunDirectory, join_run, plain
from sim.seeds import check_seed
from sim.specfile import named_spec

if TYPE_CHECKING:
    from agents.progress import Outcome
    from agents.trainer import Trainer
    from sim.tasks.navigate import NavigateConfig
    from sim.vary import Table

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the threads belong to the lanes
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

WORLDS_MAX = 131_072
"""Worlds side by side: beyond what a GPU of 80 GB holds; a slip of the pen would fill the memory of the machine."""


@dataclass(frozen=True)
class Config:
    """Train the navigation skill on random layouts and freeze it."""

    seconds: float = 1200.0
    """Budget of wall time, s."""
    steps: int = 5_000_000
    """Budget of control steps, over all worlds."""
    target: float = 0.95
    """Share of the episodes on held-out layouts that must succeed."""
    until_target: bool = False
    """End as soon as the target is reached, instead of spending the budget on a better policy."""
    seed: int = 1
    """Of layouts, weights and noise."""
    worlds: int = 256
    """Worlds that are simulated side by side."""
    check_episodes: int = 500
    """Episodes of a held-out check; fewer make the target a rough one."""
    curriculum: Literal["none", "success", "adr"] = "none"
    """Widen the randomization by measured success: all rows together, or each boundary for itself (automatic domain
    randomization)."""
    spec: str = ""
    """Robot that the policy is for (sim/specfile.py), as `muster calibrate` writes it; the default robot if empty"""
    randomization: str = ""
    """File with other ranges of what varies (sim/varyfile.py); empty: the task's own; `nominal`: nothing varies."""
    device: str = "cpu"
    """Where environments, networks and updates live: cpu or cuda."""
    out: Path | None = None
    """Directory to write into; the launch's run directory, or a new one under runs/, when left out."""
    resume: Path | None = None
    """Run directory or checkpoint to go on from; its run is written on unless `out` is given."""
    metrics_port: int = 0
    """Port of /metrics on 127.0.0.1; 0 for none."""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `TrainingError` for values that cannot work, before anything is made for them."""
    from agents.errors import TrainingError

    check_seconds(config.seconds)
    for option, what, value in (
        ("--steps", "control steps", config.steps),
        ("--worlds", "worlds", config.worlds),
        ("--check-episodes", "episodes", config.check_episodes),
    ):
        if value < 1:
            raise TrainingError(f"{option}: expected 1 or more {what}, got {value}; raise it")
    if not 0.0 < config.target <= 1.0:
        raise TrainingError(
            f"--target: expected a share above 0 and at most 1, got {config.target:g}; give for example 0.95"
        )
    if config.worlds > WORLDS_MAX:
        raise TrainingError(f"--worlds: expected at most {WORLDS_MAX} worlds, got {config.worlds}; take fewer")
    check_seed(config.seed)
    check_ranges(config.randomization)
    device_named(config.device)
    check_free(ports(config))
    if config.spec:
        _ = named_spec(config.spec).spec.diff  # a car is trained by `muster driving-train`
    if config.randomization:  # else nothing can be wrong, and torch takes seconds to import
        make_task(config)


def ports(config: Config) -> dict[str, str]:
    """What the process listens on, by option."""
    return listeners(metrics_port=config.metrics_port)


def make_task(config: Config) -> NavigateConfig:
    """What is trained on: the robot of `--spec`, the ranges of `--randomization`. Raises SpecError and VaryError."""
    from agents.navigation import training_task

    return varied(driven_by(training_task(), named_spec(config.spec).spec), config.randomization)


def randomization(config: Config) -> dict[str, Table]:
    """What varies in the training, by task, for `muster launch FILE --show-randomization`."""
    task = make_task(config)
    return {task.task: task.table()}


def run(config: Config) -> int:
    """Train, freeze, say how it went."""
    check(config)
    directory = _directory(config)
    trainer = make_trainer(config, directory)
    if config.resume is not None:
        trainer.resume(config.resume)
        print(f"resumed at {trainer.steps:,} steps from {config.resume}", flush=True)
    print(f"training the navigation skill, seed {config.seed}, {config.worlds} worlds, into {directory}", flush=True)
    metrics = TrainingMetrics()
    metrics.serve(config.metrics_port)
    outcome = run_watched(trainer, "training", "navigate", metrics)
    if config.device != "cpu":
        print(f"updates on {config.device}: {trainer.learner.how}", flush=True)
    return _conclude(config, trainer, outcome, directory)


def make_trainer(config: Config, directory: Path) -> Trainer:
    """The trainer that a command line asks for. Raises TrainingError for values that cannot work."""
    import torch

    from agents.navigation import HELD_OUT, LANES, TRAINING, make_lanes, ppo_for_best, ppo_for_speed
    from agents.trainer import Trainer, TrainerConfig

    torch.set_num_threads(1)
    check(config)
    task, seed, device = make_task(config), config.seed, device_named(config.device)
    lanes = make_lanes(
        task,
        TRAINING + seed,
        config.worlds,
        seed,
        shielded=True,
        diverged=directory / "diverged",
        device=device,
        curriculum=config.curriculum != "none",
    )
    watched = LANES * max(1, min(config.check_episodes, 250) // LANES)
    checked = make_lanes(task, HELD_OUT + seed, watched, HELD_OUT + seed, shielded=False, device=device)
    settings = TrainerConfig(
        ppo=ppo_for_speed() if config.until_target else ppo_for_best(),
        seed=config.seed,
        steps=config.steps,
        seconds=config.seconds,
        target=config.target,
        stop_at_target=config.until_target,
        device=device,
    )
    return Trainer(
        settings,
        lanes,
        held_out_on(checked, config.check_episodes, device),
        lanes[0].contract,
        directory,
        settings={"worlds": config.worlds, "task": plain(task)},
        on_device=device != "cpu",
        curriculum=make_curriculum(config.curriculum, lanes),
    )


def _directory(config: Config) -> Path:
    if config.out is not None:
        try:
            config.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            from agents.errors import TrainingError

            raise TrainingError(
                f"--out: cannot make the directory {config.out}: {error.strerror}; name another"
            ) from error
        return config.out.absolute()
    if config.resume is not None and config.resume.is_dir():
        return config.resume.absolute()
    directory: RunDirectory = join_run(arguments=sys.argv[1:], config=plain(config), seed=config.seed)
    return directory.root


def _conclude(config: Config, trainer: Trainer, outcome: Outcome, directory: Path) -> int:
    from agents.export import export

    held_out = outcome.held_out
    figures = (
        f"{held_out.success:.1%} of {held_out.episodes} episodes on held-out layouts after {outcome.steps:,} steps and "
        f"{outcome.seconds:.0f} s ({outcome.cpu_seconds:.0f} CPU-s)"
    )
    if trainer.diverged:
        print(f"{trainer.diverged} worlds blew up and ended as diverged: muster diverged {directory}", flush=True)
    if not outcome.reached:
        print(f"target missed: {figures}; wanted {config.target:.1%}", flush=True)
        if config.until_target:
            return 1
    policy = export(
        directory,
        trainer.learner.network,
        trainer.learner.observation_moments,
        trainer.contract,
        training={
            "seed": config.seed,
            "steps": outcome.steps,
            "seconds": round(outcome.seconds, 1),
            "diverged": trainer.diverged,
            "simulation": trainer.simulation,
            "command": plain(config),
            "config": plain(trainer.config),
            **trainer.settings,
        },
        evaluation={"layouts": "held out", **held_out.plain()},
    )
    if outcome.reached:
        print(f"target reached: {figures}", flush=True)
    print(f"frozen: {directory / 'policy.onnx'} (sha256 {policy.hash[:12]})", flush=True)
    return 0 if outcome.reached else 1
