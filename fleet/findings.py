"""What a run left behind, read back for people: one record of figures, whichever parts of the run there were.

    run.json        arguments, seed, versions            fleet/rundir.py
    train.jsonl     the learning curve                   agents/journal.py
    tasks.sqlite    tasks, their attempts and events     coordination/schema.py
    plant.json      contacts, rounds, members            fleet/history.py, fleet/rounds.py
    robots-*.json   steps, interventions, stops          fleet/robot.py, fleet/seat.py
    audit.json      what the auditor found               fleet/warehouse.py
    <level>/        policies and comparisons             fleet/hierarchy_train.py

Files that are not there leave their part empty; files that are there are read only. The task store is opened read-only,
so that a run can be looked at while it goes on.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from coordination.messages import LegKind
from coordination.requests import Task, TaskState
from fleet.rundir import RunDirectory
from hierarchy.curriculum import Comparison, read_comparisons
from sim.errors import MusterError
from sim.robot import SECOND


class FindingsError(MusterError):
    """A file of a run is damaged."""


@dataclass(frozen=True)
class TaskLine:
    """One task's life."""

    id: str
    state: TaskState
    robot: str
    """Who worked on it last"""
    attempts: int
    legs: int
    submitted: int
    """ns of the site clock"""
    started: int
    """First assignment; -1 before"""
    ended: int
    """-1 while it is open"""
    reason: str = ""


@dataclass(frozen=True)
class Cargo:
    """A robot carried something from one stamp to another, ns."""

    robot: str
    begin: int
    end: int


@dataclass(frozen=True)
class Level:
    """One level of a hierarchy that was trained: how it compares, and what it is frozen as."""

    comparison: Comparison
    manifest: dict[str, Any]
    """policy.json"""
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Learning curves by the folder they stand in, in the order of training"""


@dataclass
class Findings:
    """Everything that is known of a run."""

    name: str
    record: dict[str, Any] = field(default_factory=dict)
    """run.json"""
    curve: list[dict[str, float]] = field(default_factory=list)
    """train.jsonl"""
    plant: dict[str, Any] = field(default_factory=dict)
    """plant.json"""
    tasks: list[TaskLine] = field(default_factory=list)
    cargo: list[Cargo] = field(default_factory=list)
    robots: dict[str, dict[str, Any]] = field(default_factory=dict)
    """robots-*.json, by robot"""
    audit: dict[str, Any] = field(default_factory=dict)
    """audit.json"""
    levels: list[Level] = field(default_factory=list)
    """Of a hierarchy, bottom-up."""

    @property
    def done(self) -> list[TaskLine]:
        """Tasks that ended well."""
        return [task for task in self.tasks if task.state is TaskState.DONE]

    @property
    def open(self) -> list[TaskLine]:
        """Tasks that did not end well, or not yet."""
        return [task for task in self.tasks if task.state is not TaskState.DONE]

    @property
    def work_seconds(self) -> float:
        """Simulated time from the first assignment to the last task done, s."""
        done = self.done
        return (max(task.ended for task in done) - self.begin) / SECOND if done else 0.0

    @property
    def begin(self) -> int:
        """Stamp of the first assignment, ns. Not of the submission: a coordinator without a plant has its own clock."""
        return min((task.started for task in self.tasks if task.started >= 0), default=0)

    @property
    def tasks_per_hour(self) -> float:
        """Tasks done in an hour of simulated time."""
        return 3600.0 * len(self.done) / self.work_seconds if self.work_seconds > 0 else 0.0

    def total(self, key: str) -> Counter[str]:
        """A counter (interventions, stops, modes) summed over all robots."""
        summed: Counter[str] = Counter()
        for line in self.robots.values():
            summed.update(line.get(key, {}))
        return summed

    def step_milliseconds(self) -> dict[str, float]:
        """Control-step latency over the fleet: the median robot's p50, the worst p99 and the longest step, ms."""
        lines = [line["step_seconds"] for line in self.robots.values() if line.get("steps")]
        if not lines:
            return {}
        medians = sorted(line["p50"] for line in lines)
        return {
            "p50": 1e3 * medians[len(medians) // 2],
            "p99": 1e3 * max(line["p99"] for line in lines),
            "max": 1e3 * max(line["max"] for line in lines),
        }


def read_findings(directory: RunDirectory) -> Findings:
    """All that a run directory holds. Raises `FindingsError` where a file that is there cannot be understood."""
    root = directory.root
    findings = Findings(root.name, record=_json(directory.record), plant=_json(root / "plant.json"))
    findings.audit = _json(root / "audit.json")
    findings.curve = read_curve(root / "train.jsonl")
    findings.levels = [
        Level(comparison, _json(root / comparison.level / "policy.json"), _curves(root, comparison.level))
        for comparison in read_comparisons(root)
    ]
    for path in sorted(root.glob("robots-*.json")):
        findings.robots |= _json(path).get("robots", {})
    if directory.tasks.exists():
        findings.tasks, findings.cargo = read_tasks(directory.tasks)
    return findings


def read_tasks(path: Path) -> tuple[list[TaskLine], list[Cargo]]:
    """Every task of a store with its life, in order of submission, and who carried what when."""
    try:
        store = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
        try:
            rows = store.execute("SELECT id, body, state, attempt, submitted, changed, reason FROM tasks").fetchall()
            events = store.execute(
                "SELECT stamp, event, task, attempt, robot, detail FROM events WHERE task != '' ORDER BY seq"
            ).fetchall()
        finally:
            store.close()
        bodies = {row[0]: msgspec.msgpack.decode(row[1], type=Task) for row in rows}
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise FindingsError(f"{path}: expected a task store, got {error}; is it a store of this version?") from error
    started: dict[str, int] = {}
    robots: dict[str, str] = {}
    loaded: dict[str, tuple[str, int]] = {}
    order: dict[str, int] = {}
    cargo: list[Cargo] = []
    for stamp, event, task, _, robot, detail in events:
        if event == "submit":
            order.setdefault(task, len(order))
        elif event == "assign":
            started.setdefault(task, stamp)
            robots[task] = robot
        elif event == "leg":
            if int(detail) == 1 and bodies[task].legs[0].kind is LegKind.FETCH:
                loaded[task] = (robot, stamp)
        elif event not in ("start", "operator", "operator_done") and task in loaded:
            robot, begin = loaded.pop(task)
            cargo.append(Cargo(robot, begin, stamp))
    last = max((event[0] for event in events), default=0)
    cargo += [Cargo(robot, begin, last + SECOND) for robot, begin in loaded.values()]
    lines = []
    for name, _, state, attempt, submitted, changed, reason in rows:
        ended = changed if TaskState(state) in (TaskState.DONE, TaskState.CANCELLED, TaskState.FAILED) else -1
        legs = len(bodies[name].legs)
        lines.append(
            TaskLine(
                name,
                TaskState(state),
                robots.get(name, ""),
                attempt,
                legs,
                submitted,
                started.get(name, -1),
                ended,
                reason,
            )
        )
    return sorted(lines, key=lambda line: order.get(line.id, 0)), cargo


def _curves(root: Path, level: str) -> dict[str, list[dict[str, float]]]:
    """A level's curves: what it was first trained on stands in a folder inside its own."""
    folders = [*sorted(path.parent for path in (root / level).glob("*/train.jsonl")), root / level]
    curves = {str(folder.relative_to(root)): read_curve(folder / "train.jsonl") for folder in folders}
    return {name: curve for name, curve in curves.items() if curve}


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FindingsError(f"{path}: expected JSON, got {error}; run again") from error


def read_curve(path: Path) -> list[dict[str, float]]:
    """The learning curve; a last line that a killed trainer left half-written is dropped."""
    entries: list[dict[str, float]] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                break
    return entries
