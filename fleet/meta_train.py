"""Training the meta level on frozen skills, and freezing it: which offered task comes next, or to charge.

    measure legs (the frozen skill) -> tune the hand-written rule on training floors -> PPO from that rule -> freeze

The twin is tuned as honestly as the policy is trained: one number after the other (urgency, threshold, until when), on
the training floors, by the very figure that both are measured with. The policy starts as a soft version of that rule.
The frozen policy pins the skill that its legs were measured with (`below` in its manifest, with what that skill pins),
and carries the twin's numbers, so that what it is compared with is known.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agents.checkpoint import save_checkpoint
from agents.choices import ChoiceConfig, ChoiceLearner, ChoiceLosses, ChoiceNetwork, Prior, Shape, choice_graph
from agents.errors import TrainingError
from agents.journal import Journal
from agents.policy import MANIFEST, MANIFEST_VERSION, MODEL, Policy, graph_hash
from fleet.legs import LegsConfig, LegTable, LegWorlds, Places
from fleet.meta_legs import measure_legs
from fleet.meta_run import MetaRun, read_run
from hierarchy.chooser import CELLS, CONTEXT, FEATURES, TASKS, Chooser, Rule, choose_contract, possible
from sim.files import write_atomic
from sim.generate import generate_warehouse
from sim.robot import RobotSpec

FLOORS = 24
"""Warehouses that are trained on, seeds 0 and up."""
CHECKS = 1_000_000
"""First seed of those for checks; those that are measured on begin at `fleet.meta_score.HELD_OUT`."""
WORLDS = 512
ITERATIONS = 80
"""Of WORLDS x horizon decisions each: 2.6 M in all."""
SOFTNESS = 1.0
"""Cells of way that change a chance by a factor e in the policy that training starts with."""
LOOK = 10
"""Iterations between two looks at the check floors; the policy that does best there is frozen."""
SAVE = 5
"""Iterations between two checkpoints: some seconds of work, which a kill loses."""
CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints, as of the other levels."""
SHAPE = Shape(TASKS, FEATURES, CONTEXT)


@dataclass(frozen=True)
class MetaProgress:
    """Where the training stands after an iteration."""

    iteration: int
    iterations: int
    seconds: float
    decisions: int
    """Over all worlds, before a resume too"""
    per_hour: float
    """Lines per robot hour of the policy as it draws, charge at its price"""
    losses: ChoiceLosses
    check_per_hour: float = math.nan
    """Of the deterministic policy on the check floors, if this iteration had a look"""

    def entry(self) -> dict[str, float]:
        """For the learning curve."""
        losses = {f"loss_{name}": value for name, value in self.losses._asdict().items()}
        curve = {"per_hour": self.per_hour, "check_per_hour": self.check_per_hour, **losses}
        return {"steps": self.decisions, "seconds": self.seconds} | curve


@dataclass(frozen=True)
class MetaOutcome:
    """What training gave."""

    chooser: Chooser
    rule: Rule
    """The hand-written twin, tuned"""
    table: LegTable
    learned_per_hour: float
    """Lines per robot hour on the check floors, deterministic"""
    rule_per_hour: float
    seconds: float

    def line(self) -> str:
        """One line for a log."""
        return (
            f"{self.learned_per_hour:.1f} lines an hour and robot on the check floors, rule {self.rule_per_hour:.1f} "
            f"({self.rule}), legs {self.table.seconds_per_cell:.2f} s a cell + {self.table.constant:.1f} s, "
            f"{self.seconds:.0f} s"
        )


def train_meta(
    directory: Path,
    skill: Policy,
    *,
    spec: RobotSpec | None = None,
    seed: int = 0,
    iterations: int = ITERATIONS,
    worlds: int = WORLDS,
    motor: Path | None = None,
    seconds: float = math.inf,
    table: LegTable | None = None,
    resume: bool = False,
    report: Callable[[MetaProgress], None] = lambda progress: None,
) -> MetaOutcome:
    """Train on legs of `skill`, with a curve (train.jsonl), and freeze into `directory`; about two minutes on one core.

    `spec` is the robot (the default one if None), `motor` the folder of the motor policy under the skill, None for the
    planar body; `table` spares the measuring. After `seconds` of wall time no further iteration begins. With `resume`
    it goes on from the newest checkpoint in `directory`, and ends with the policy of a training that was never
    interrupted.
    Raises TrainingError for numbers that cannot work, CheckpointError where there is nothing to go on from, or the
    checkpoint is of another training.
    """
    if iterations < 1 or worlds < 1:
        raise TrainingError(f"expected at least one iteration and world, got {iterations} and {worlds}; ask for more")
    begun = time.monotonic()
    torch.set_num_threads(1)
    spec = spec or RobotSpec()
    identity = {"skill": skill.hash, "seed": seed, "worlds": worlds, "choices": asdict(ChoiceConfig())}
    saved = read_run(directory, spec, identity) if resume else None
    if saved is not None:
        table, rule = LegTable.of(saved.header["legs"]), Rule(**saved.header["rule"])
        begun -= saved.header["seconds"]
        seconds += saved.header["seconds"]
    else:
        table, rule = table or measure_legs(skill, spec, motor, seed=seed), None
    config = LegsConfig(table=table)
    floors = [Places.of(generate_warehouse(number)) for number in range(FLOORS)]
    checks = [Places.of(generate_warehouse(CHECKS + number)) for number in range(FLOORS // 2)]
    few, decisions = min(worlds, 192), worlds * ChoiceConfig().horizon
    rule = rule or tune_rule(floors, config, seed, spec, worlds=few)
    run = MetaRun(
        ChoiceLearner(ChoiceConfig(), SHAPE, prior_of(rule), seed), LegWorlds(floors, config, worlds, seed, spec)
    )
    if saved is not None:
        run.load(saved)
    else:
        run.worlds.rate = lines_per_hour(rule, floors, config, seed, spec, worlds=few) / 3600.0

    def save() -> None:
        known = {"training": identity, "legs": asdict(table), "rule": asdict(rule), "seconds": time.monotonic() - begun}
        header = {"contract_hash": choose_contract(spec).hash, **known}
        save_checkpoint(directory / CHECKPOINTS, run.iteration, header, run.arrays())

    save()
    journal = Journal(directory, resumed_at=run.iteration * decisions)
    try:
        while run.iteration < iterations:
            rate, losses = run.iterate(iterations)
            spent, found = time.monotonic() - begun, math.nan
            ends = run.iteration == iterations or spent > seconds
            if run.iteration % LOOK == 0 or ends:
                found = lines_per_hour(_greedy(run.learner), checks, config, seed, spec, worlds=few)
                run.look(found)
            done = run.iteration * decisions
            progress = MetaProgress(run.iteration, iterations, spent, done, rate * 3600.0, losses, found)
            journal.write(progress.entry())
            report(progress)
            if run.iteration % SAVE == 0 or ends:
                save()
            if ends:
                break
    finally:
        journal.close()
    run.learner.network.load_state_dict(run.kept)
    chooser = freeze(directory, run.learner.network, spec, skill, rule, table, seed)
    return MetaOutcome(
        chooser=chooser,
        rule=rule,
        table=table,
        learned_per_hour=lines_per_hour(chooser, checks, config, seed, spec, worlds=few),
        rule_per_hour=lines_per_hour(rule, checks, config, seed, spec, worlds=few),
        seconds=time.monotonic() - begun,
    )


def _greedy(learner: ChoiceLearner) -> Callable[[NDArray[np.float32]], NDArray[np.intp]]:
    """The learner's policy as it would be frozen."""
    return lambda observation: learner.act(observation, possible(observation))


def tune_rule(floors: Sequence[Places], config: LegsConfig, seed: int, spec: RobotSpec, *, worlds: int = 192) -> Rule:
    """The rule whose numbers deliver most on the training floors: each in turn, twice over what is left."""
    rule = Rule(urgency=1.0, low=0.3, full=0.9)
    for name, values in (
        ("urgency", (0.0, 0.5, 1.0, 2.0, 4.0, 10.0)),
        ("low", (0.2, 0.3, 0.4, 0.5, 0.6)),
        ("full", (0.6, 0.8, 0.9, 0.95)),
        ("urgency", (0.0, 0.5, 1.0, 2.0, 4.0)),
    ):
        tried = [Rule(**(asdict(rule) | {name: value})) for value in values]
        rule = max(tried, key=lambda each: lines_per_hour(each, floors, config, seed, spec, worlds=worlds))
    return rule


def lines_per_hour(
    choose: Callable[[NDArray[np.float32]], NDArray[np.intp]],
    floors: Sequence[Places],
    config: LegsConfig,
    seed: int,
    spec: RobotSpec,
    *,
    worlds: int = 192,
    decisions: int = 240,
) -> float:
    """Lines per robot hour, charge at its price, over worlds that are the same for every `choose`."""
    measured = LegWorlds(floors, config, worlds, seed + 1_000, spec)
    observation = measured.reset()
    for _ in range(decisions):
        observation, _ = measured.step(choose(observation))
    return float(measured.lines.sum() / measured.spent.sum() * 3600.0)


def prior_of(rule: Rule) -> Prior:
    """The rule as logits: ways and urgency in units of SOFTNESS; charging wins some 10 cells below the threshold."""
    tasks = torch.zeros(FEATURES)
    tasks[1], tasks[8] = -CELLS / SOFTNESS, rule.urgency / SOFTNESS
    context = torch.zeros(CONTEXT, 1)
    context[0] = -20.0
    return Prior(tasks, context, 20.0 * rule.low - 5.0)


def freeze(
    directory: Path, network: ChoiceNetwork, spec: RobotSpec, skill: Policy, rule: Rule, table: LegTable, seed: int
) -> Chooser:
    """Write policy.onnx, then policy.json; the policy as a robot would load it."""
    directory.mkdir(parents=True, exist_ok=True)
    graph = choice_graph(network).SerializeToString(deterministic=True)
    contract = choose_contract(spec)
    manifest = {
        "muster": MANIFEST_VERSION,
        "onnx_sha256": graph_hash(graph),
        "contract": json.loads(contract.json()),
        "contract_hash": contract.hash,
        "training": {
            "below": {**skill.manifest.get("training", {}).get("below", {}), "navigate": skill.hash},
            "seed": seed,
            "rule": asdict(rule),
            "legs": asdict(table),
        },
        "evaluation": {},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "torch", "onnx", "onnxruntime")},
        },
    }
    (directory / MANIFEST).unlink(missing_ok=True)
    write_atomic(directory / MODEL, graph)
    write_atomic(directory / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return Chooser(Policy.load(directory))
