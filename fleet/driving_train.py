"""`muster driving-train`: train the driving policies bottom-up, each frozen before the next.

    motor                     corrects the firmware, fifty decisions a second (fleet/roadmotor.py)
    lane, change, pull_over   the skills, twenty decisions a second, on the frozen motor level
    manoeuvre                 one decision a second, over the frozen skills

Each level is a folder of the run with its curve, its checkpoints, its frozen policy and, in its manifest, the hashes of
the levels that it was trained on. `minutes` shares its budget out by SHARES. The exit code is 0 when every level that
was asked for is frozen.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordination.ports import check_free, listeners
from fleet.drivinglevels import LEVELS, MANIFEST
from fleet.learning import check_ranges, check_seconds, device_named, held_out_on
from fleet.leveltrain import freeze, learn, make_trainer, run_directory
from fleet.metrics import TrainingMetrics
from fleet.rundir import plain
from sim.seeds import check_seed

if TYPE_CHECKING:
    from fleet.roadranges import Ranges
    from sim.driving.env import RoadConfig
    from sim.driving.skill import Skill
    from sim.perceptron import Layers
    from sim.vary import Table

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the threads belong to the lanes
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

STEPS = {"motor": 2_000_000, "lane": 6_000_000, "change": 3_000_000, "pull_over": 1_500_000, "manoeuvre": 400_000}
"""Decisions of each level at full length."""

SHARES = {"motor": 0.1, "lane": 0.4, "change": 0.2, "pull_over": 0.1, "manoeuvre": 0.2}
"""Of the wall time."""


@dataclass(frozen=True)
class Config:
    """Train motor, lane, change, pull_over and manoeuvre one after the other, each frozen before the next."""

    seconds: float = 2400.0
    """Budget of wall time for all levels, s."""
    steps: float = 1.0
    """Share of the levels' full numbers of decisions; 0.1 trains a tenth."""
    seed: int = 1
    """Of roads, weights and noise, at every level."""
    worlds: int = 256
    """Worlds that are simulated side by side."""
    traffic: int = 16
    """Other vehicles in each world."""
    roads: int = 12
    """Roads that each half of the worlds learns on."""
    randomization: str = ""
    """File with other ranges of what varies (sim/varyfile.py); empty: the tasks' own; `nominal`: nothing varies."""
    device: str = "cpu"
    """Where levels learn: cpu or cuda."""
    out: Path | None = None
    """Directory to write into; the launch's run directory, or a new one under runs/, when left out."""
    resume: str = ""
    """Run directory to go on with; empty for a new run."""
    metrics_port: int = 0
    """Port of /metrics on 127.0.0.1; 0 for none."""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `TrainingError` for values that cannot work, before anything is made for them."""
    from agents.errors import TrainingError

    check_seconds(config.seconds)
    check_seed(config.seed)
    check_ranges(config.randomization)
    if not 0.0 < config.steps <= 100.0:
        raise TrainingError(
            f"--steps: expected a share above 0 and up to 100, got {config.steps:g}; give for example 1"
        )
    if config.worlds < 2 or config.worlds % 2:
        raise TrainingError(f"--worlds: expected worlds in pairs, one for each lane, got {config.worlds}; add one")
    if not 0 <= config.traffic <= 48:
        raise TrainingError(f"--traffic: expected 0 to 48 vehicles, got {config.traffic}; give for example 16")
    if not 1 <= config.roads <= 1000:
        raise TrainingError(f"--roads: expected 1 to 1000 roads, got {config.roads}; give for example 12")
    device_named(config.device)
    check_free(ports(config))
    if config.randomization:  # else nothing can be wrong, and the task takes seconds to import
        from fleet.roadranges import ranges_of

        make_task(config, "lane")
        ranges_of(config.randomization)


def ports(config: Config) -> dict[str, str]:
    """What the process listens on, by option."""
    return listeners(metrics_port=config.metrics_port)


def randomization(config: Config) -> dict[str, Table]:
    """What varies in the training, for `muster launch FILE --show-randomization`."""
    from fleet.roadmotor import motor_task
    from fleet.roadranges import names, ranges_of

    return {
        "motor": motor_task(config.randomization, names()).table(),
        "drive": make_task(config, "lane").table(),
        "roads": ranges_of(config.randomization).roads,
    }


def make_task(config: Config, skill: Skill, motor: Layers | None = None) -> RoadConfig:
    """What a level drives, with the ranges of `--randomization`. Raises VaryError where they are out of bounds."""
    from fleet.roadranges import drive_of
    from sim.driving.env import RoadConfig

    return drive_of(RoadConfig(skill=skill, traffic=config.traffic, motor=motor), config.randomization)


def run(config: Config) -> int:
    """Every level that is not frozen yet."""
    check(config)
    root = run_directory(config)
    begin = time.monotonic()
    metrics = TrainingMetrics()
    metrics.serve(config.metrics_port)
    print(f"training to drive, bottom-up, seed {config.seed}, into {root}", flush=True)
    train_levels(config, root, metrics, config.seconds)
    print(f"driving trained in {time.monotonic() - begin:.0f} s", flush=True)
    return 0


def train_levels(config: Config, root: Path, metrics: TrainingMetrics, seconds: float) -> None:
    """Every level in its folder of `root`; one that is frozen already is left as it is.

    What is left of a level's share of the time goes to the next ones.
    """
    left, shares = seconds, dict(SHARES)
    for level in LEVELS:
        place = root / level
        share = left * shares[level] / sum(shares.values())
        del shares[level]
        if (place / MANIFEST).exists():
            print(f"{level} is frozen already", flush=True)
            continue
        place.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        if level == "motor":
            train_motor(config, root, share, metrics)
        elif level == "manoeuvre":
            train_manoeuvre(config, root, share, metrics)
        else:
            train_skill(config, root, level, share, metrics)
        left = max(left - (time.monotonic() - begin), 1.0)


def train_motor(config: Config, root: Path, seconds: float, metrics: TrainingMetrics) -> None:
    """The level below the skills, and how it compares with the firmware alone."""
    from fleet import roadmotor
    from fleet.roadranges import names

    done = roadmotor.train_motor(config, root, seconds, metrics, steps=_steps(config, "motor"), elsewhere=names())
    print(done.line(), flush=True)


def train_skill(config: Config, root: Path, skill: Skill, seconds: float, metrics: TrainingMetrics) -> None:
    """One skill on the kinematic body, half of its worlds under the shield."""
    from agents.driving import HELD_OUT, TRAINING, make_road_lanes, skill_ppo
    from agents.layers import read_layers
    from fleet.roadranges import ranges_of
    from sim.driving.meter import DriveMeter

    motor, ranges = read_layers(root / "motor"), ranges_of(config.randomization)
    task, place, device = make_task(config, skill, motor), root / skill, device_named(config.device)
    lanes = make_road_lanes(
        task, TRAINING + 100 * config.seed, config.worlds, config.seed, shielded=True, device=device,
        diverged=place / "diverged", roads=config.roads, table=ranges.roads,
    )  # fmt: skip
    checked = make_road_lanes(
        task, HELD_OUT, 64, HELD_OUT + config.seed, shielded=False, device=device, roads=config.roads,
        table=ranges.roads,
    )  # fmt: skip
    trainer = make_trainer(
        skill_ppo(), _steps(config, skill), seconds, config, lanes, lanes[0].contract,
        held_out_on(checked, 200, device, [DriveMeter(each) for each in checked]), place, _about(task, ranges),
    )  # fmt: skip
    learn(trainer, skill, place, metrics)
    freeze(trainer, place, config, below={"motor": motor.hash})


def train_manoeuvre(config: Config, root: Path, seconds: float, metrics: TrainingMetrics) -> None:
    """The choice of skills, on the frozen ones."""
    from agents.driving import HELD_OUT, TRAINING, make_road_lanes, manoeuvre_ppo, over_skills
    from agents.layers import read_layers
    from fleet.roadranges import ranges_of
    from sim.driving.contract import SKILLS
    from sim.driving.meter import DriveMeter

    motor, skills = read_layers(root / "motor"), {name: read_layers(root / name) for name in SKILLS}
    ranges = ranges_of(config.randomization)
    task, place, device = make_task(config, "route", motor), root / "manoeuvre", device_named(config.device)
    lanes = over_skills(
        make_road_lanes(
            task, TRAINING + 100 * config.seed, config.worlds, config.seed, shielded=True, device=device,
            diverged=place / "diverged", roads=config.roads, table=ranges.roads,
        ),
        skills,
    )  # fmt: skip
    checked = over_skills(
        make_road_lanes(
            task,
            HELD_OUT,
            64,
            HELD_OUT + config.seed,
            shielded=False,
            device=device,
            roads=config.roads,
            table=ranges.roads,
        ),
        skills,
    )
    trainer = make_trainer(
        manoeuvre_ppo(), _steps(config, "manoeuvre"), seconds, config, lanes, lanes[0].contract,
        held_out_on(checked, 100, device, [DriveMeter(each) for each in checked]), place, _about(task, ranges),
    )  # fmt: skip
    learn(trainer, "manoeuvre", place, metrics)
    freeze(trainer, place, config, below={"motor": motor.hash} | {name: layers.hash for name, layers in skills.items()})


def _about(task: RoadConfig, ranges: Ranges) -> dict[str, Any]:
    """What a manifest says of a level's task, and of its roads where those are not as usual."""
    roads = ranges.changed()
    return {"task": plain(replace(task, motor=None))} | ({"roads": roads} if roads else {})


def _steps(config: Config, level: str) -> int:
    return max(int(STEPS[level] * config.steps), 1)
