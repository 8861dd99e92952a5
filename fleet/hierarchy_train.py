"""`muster hierarchy`: train the levels bottom-up, each on the frozen one below, and compare each with its twin.

    <run>/motor/            task track, wheeled body, 20 ms steps
    <run>/navigate/planar/  navigate on the planar body, from nothing: a fifth of the wheeled body's cost per step
    <run>/navigate/         the same policy, tuned on wheels that the frozen motor policy drives
    <run>/meta/             which offer to take next, or to charge, on the frozen skills (fleet/meta_train.py)

Every level's folder gets its learning curve, checkpoints, `policy.onnx` with the manifest `policy.json` (its contract
and the hashes of the levels below it), and `comparison.json`; the run gets `report.html` with one table of all levels.
With `--resume` whatever is frozen stays, and the level that was under way goes on exactly from its newest checkpoint.
Steps decide how long a level trains, so that a seed gives the same policies; seconds only cap it. The exit code is 0
when every level reached its goal beside its twin, else 1.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from coordination.ports import check_free, listeners
from fleet.findings import read_curve
from fleet.learning import check_ranges, check_seconds, device_named, held_out_on, make_curriculum
from fleet.levels import motor_ppo, motor_task, navigate_ppo, planar_task, tune_ppo, wheel_task
from fleet.leveltrain import freeze, has_checkpoints, learn, make_trainer, run_directory
from fleet.metrics import TrainingMetrics
from fleet.report import write_report
from fleet.rundir import RunDirectory, plain
from hierarchy.curriculum import Comparison, check_chain, read_comparison
from sim.seeds import check_seed
from sim.specfile import named_spec

if TYPE_CHECKING:
    from agents.ppo import PpoConfig
    from agents.trainer import Trainer
    from sim.env import BatchEnv
    from sim.robot import RobotSpec
    from sim.tasks.navigate import NavigateConfig
    from sim.vary import Table

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the threads belong to the lanes
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

MANIFEST, PLANAR = "policy.json", "planar"


@dataclass(frozen=True)
class Config:
    """Train motor, navigate and meta one after the other, each frozen before the next."""

    seconds: float = 1200.0
    """Budget of wall time for all levels, s."""
    motor_steps: int = 800_000
    """Motor periods of 20 ms over all worlds."""
    planar_steps: int = 4_000_000
    """Control steps of navigate on the planar body."""
    wheel_steps: int = 800_000
    """Control steps of navigate on the frozen motor policy."""
    meta_iterations: int = 80
    """Of the meta level, of 33,000 decisions each: its lines an hour still rose after 50."""
    seed: int = 1
    """Of layouts, weights and noise, at every level."""
    worlds: int = 256
    """Worlds that are simulated side by side."""
    episodes: int = 200
    """Of each level's comparison with its twin."""
    curriculum: Literal["none", "success", "adr"] = "none"
    """Of navigate: widen what varies by measured success; adr is automatic domain randomization."""
    spec: str = ""
    """Robot that the levels are for (sim/specfile.py), as `muster calibrate` writes it; the default robot if empty"""
    randomization: str = ""
    """File with other ranges of what varies for motor and navigate (sim/varyfile.py); empty: the tasks' own; `nominal`:
    nothing varies."""
    device: str = "cpu"
    """Where motor and navigate learn: cpu or cuda."""
    out: Path | None = None
    """Directory to write into; the launch's run directory, or a new one under runs/, when left out."""
    resume: str = ""
    """Run directory to go on with; empty for a new run."""
    metrics_port: int = 0
    """Port of /metrics on 127.0.0.1; 0 for none."""


def run(config: Config) -> int:
    """Every level that is not frozen yet, then the report."""
    check(config)
    root = run_directory(config)
    begin = time.monotonic()
    metrics = TrainingMetrics()
    metrics.serve(config.metrics_port)
    print(f"training the hierarchy bottom-up, seed {config.seed}, into {root}", flush=True)
    comparisons: list[Comparison] = []
    for level, train in TRAINS.items():
        place = root / level
        done = read_comparison(place) if (place / MANIFEST).exists() else None
        if done is None:
            place.mkdir(parents=True, exist_ok=True)
            left = max(config.seconds - (time.monotonic() - begin), 1.0)
            done = train(config, root, left, metrics)
            done.write(place)
        else:
            check_frozen(level, place, robot(config))
            print(f"{level} is frozen already", flush=True)
        comparisons.append(done)
        print(done.line(), flush=True)
    check_chain({level: json.loads((root / level / MANIFEST).read_text()) for level in TRAINS})
    if (root / "run.json").exists():
        print(f"report: {write_report(RunDirectory(root))}", flush=True)
    print(f"hierarchy trained in {time.monotonic() - begin:.0f} s", flush=True)
    return conclude(comparisons)


def conclude(comparisons: Sequence[Comparison]) -> int:
    """The exit code; a last line names each level that missed its goal."""
    missed = [comparison.shortfall() for comparison in comparisons if not comparison.reached]
    if missed:
        print(f"goal missed: {', '.join(missed)}; train longer, or with other seeds", flush=True)
    return 1 if missed else 0


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `TrainingError` for values that cannot work, before anything is made for them."""
    from agents.errors import TrainingError

    check_seconds(config.seconds)
    check_seed(config.seed)
    check_ranges(config.randomization)
    for option, value in (
        ("--motor-steps", config.motor_steps),
        ("--planar-steps", config.planar_steps),
        ("--wheel-steps", config.wheel_steps),
        ("--meta-iterations", config.meta_iterations),
        ("--worlds", config.worlds),
        ("--episodes", config.episodes),
    ):
        if value < 1:
            raise TrainingError(f"{option}: expected a whole number from 1 up, got {value}; raise it")
    from agents.navigation import LANES  # takes seconds

    if config.worlds % LANES:
        raise TrainingError(f"--worlds: expected worlds in pairs, one for each lane, got {config.worlds}; add one")
    device_named(config.device)
    check_free(ports(config))
    spec = robot(config)
    _ = spec.diff  # a car is trained by `muster driving-train`
    if config.randomization:  # else nothing can be wrong, and the tasks take seconds to import
        for task in (motor_task, planar_task, wheel_task):
            task(config.randomization, spec)


def check_frozen(level: str, place: Path, spec: RobotSpec) -> None:
    """Raise ContractMismatch for a level that was frozen for another robot, which a resumed run would build on."""
    from agents.policy import Policy
    from hierarchy.chooser import choose_contract
    from sim.tasks.navigate_contract import navigate_contract
    from sim.tasks.track import track_contract

    contracts = {"motor": track_contract, "navigate": navigate_contract, "meta": choose_contract}
    Policy.load(place).check(contracts[level](spec))


def robot(config: Config) -> RobotSpec:
    """The robot that is trained for. Raises FileError and SpecError."""
    return named_spec(config.spec).spec


def ports(config: Config) -> dict[str, str]:
    """What the process listens on, by option."""
    return listeners(metrics_port=config.metrics_port)


def randomization(config: Config) -> dict[str, Table]:
    """What varies at the two levels that learn from the plant, for `muster launch FILE --show-randomization`."""
    spec = robot(config)
    return {
        "track": motor_task(config.randomization, spec).table(),
        "navigate": planar_task(config.randomization, spec).table(),
    }


# the levels ----------------------------------------------------------------------------------------------------


def train_motor(config: Config, root: Path, seconds: float, metrics: TrainingMetrics) -> Comparison:
    """The task track on an open floor."""
    from agents.navigation import HELD_OUT, LANES
    from sim.env import BatchEnv
    from sim.tasks.track import track_site

    task = motor_task(config.randomization, robot(config))
    site, place, device = track_site(), root / "motor", device_named(config.device)

    def lanes(seed: int, worlds: int, diverged: Path | None = None) -> list[BatchEnv]:
        return [
            BatchEnv(
                site,
                task,
                worlds=worlds // LANES,
                seed=LANES * seed + lane,
                body="wheeled",
                threads=1,
                device=device,
                lidar=False,
                diverged=diverged and diverged / f"lane{lane}",
            )
            for lane in range(LANES)
        ]

    learned = lanes(config.seed, config.worlds, place / "diverged")
    checked = held_out_on(lanes(HELD_OUT + config.seed, 2 * LANES * 16), 64, device)
    contract, settings = learned[0].contract, {"task": plain(task)}
    trainer = make_trainer(
        motor_ppo(), config.motor_steps, seconds, config, learned, contract, checked, place, settings
    )
    learn(trainer, "motor", place, metrics)
    freeze(trainer, place, config, below={})
    return measure_motor(root, config.seed, config.episodes, config.spec)


def train_navigate(config: Config, root: Path, seconds: float, metrics: TrainingMetrics) -> Comparison:
    """Navigate on the planar body, then on the motor policy's wheels."""
    from agents.layers import read_layers
    from agents.navigation import HELD_OUT, TRAINING, make_lanes

    begin, place, device = time.monotonic(), root / "navigate", device_named(config.device)
    layers = read_layers(root / "motor")
    spec = robot(config)
    on_wheels, on_planar = wheel_task(config.randomization, spec, layers), planar_task(config.randomization, spec)

    def trainer(task: NavigateConfig, body: Any, ppo: PpoConfig, steps: int, into: Path) -> Trainer:
        seed = config.seed
        left = max(seconds - (time.monotonic() - begin), 1.0)
        # under the shield a policy learns to be slower than pure pursuit: 1.00 x 0.91 m/s against 1.00 x 1.01 (2026-11)
        lanes = make_lanes(
            task,
            TRAINING + seed,
            config.worlds,
            seed,
            shielded=False,
            diverged=into / "diverged",
            device=device,
            body=body,
            curriculum=config.curriculum != "none",
        )
        checked = make_lanes(task, HELD_OUT + seed, 64, HELD_OUT + seed, shielded=False, device=device, body=body)
        settings = {"task": plain(on_planar), "body": body, "motor": layers.hash if body == "wheeled" else ""}
        curriculum = make_curriculum(config.curriculum, lanes)
        held_out = held_out_on(checked, 128, device)
        contract = lanes[0].contract
        return make_trainer(ppo, steps, left, config, lanes, contract, held_out, into, settings, curriculum=curriculum)

    into = place / PLANAR
    into.mkdir(exist_ok=True)
    tuned = trainer(on_wheels, "wheeled", tune_ppo(), config.wheel_steps, place)
    if not has_checkpoints(place):
        first = trainer(on_planar, "planar", navigate_ppo(), config.planar_steps, into)
        learn(first, "navigate (planar body)", into, metrics)
        tuned.learner.load({**first.learner.state(), "learning_rate": tuned.learner.state()["learning_rate"]})
        tuned.widen_as(first)
        tuned.config = replace(tuned.config, seconds=max(seconds - (time.monotonic() - begin), 1.0))
    learn(tuned, "navigate (on motor)", place, metrics)
    freeze(tuned, place, config, below={"motor": layers.hash}, diverged=_diverged(into))
    return measure_navigate(root, config.seed, config.episodes, config.spec)


def train_choices(config: Config, root: Path, seconds: float, metrics: TrainingMetrics) -> Comparison:
    """Which offered task comes next, or to charge, on legs as the frozen skill drives them."""
    from agents.policy import Policy
    from fleet.meta_train import WORLDS, train_meta

    outcome = train_meta(
        root / "meta",
        Policy.load(root / "navigate"),
        spec=robot(config),
        motor=root / "motor",
        seed=config.seed,
        iterations=config.meta_iterations,
        worlds=min(WORLDS, 2 * config.worlds),
        seconds=seconds,
        resume=has_checkpoints(root / "meta"),
        report=lambda progress: metrics.show("meta", progress.decisions, progress.seconds),
    )
    print(f"meta: {outcome.line()}", flush=True)
    return measure_meta(root, config.seed, config.episodes, config.spec)


def measure_motor(root: Path, seed: int, episodes: int, spec: str = "") -> Comparison:
    """The frozen motor level of a run beside its twin."""
    from fleet.compare import compare_motor

    return compare_motor(root / "motor", named_spec(spec).spec, seed=seed, episodes=episodes)


def measure_navigate(root: Path, seed: int, episodes: int, spec: str = "") -> Comparison:
    """The frozen navigate level of a run beside its twin."""
    from fleet.compare import compare_navigate

    return compare_navigate(root / "navigate", root / "motor", named_spec(spec).spec, seed=seed, episodes=episodes)


def measure_meta(root: Path, seed: int, episodes: int, spec: str = "") -> Comparison:
    """The frozen meta level of a run beside its twin, for some 100 s and 3.6 s more for each episode."""
    from fleet.meta_score import ScoreConfig, compare_meta

    config = ScoreConfig(seconds=100.0 + 3.6 * episodes, spec=named_spec(spec).spec)
    return compare_meta(root / "meta", seeds=(seed,), config=config)


TRAINS = {"motor": train_motor, "navigate": train_navigate, "meta": train_choices}
"""Bottom-up, of `hierarchy.curriculum.LEVELS`."""
COMPARES = {"motor": measure_motor, "navigate": measure_navigate, "meta": measure_meta}
"""Each level of a run's folder beside its twin: folder, seed, episodes, the file of the robot."""


# parts ---------------------------------------------------------------------------------------------------------


def _diverged(place: Path) -> int:
    """Worlds that blew up in a training that is over, by its curve; 0 without one."""
    curve = read_curve(place / "train.jsonl")
    return int(curve[-1]["diverged"]) if curve else 0
