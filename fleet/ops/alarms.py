"""What a person has to know of a fleet: conditions of one look, and alarms that last over many.

    conditions(seen, now)           what is wrong in this look, each with a key, a level, words and a remedy
    step(memory, conditions, now)   alarms that stand, those that are over, who acknowledged which

An alarm begins once its condition has held for as long as it may (`after`), keeps its key and its beginning while it
holds, and is over in the first look without it; if it comes again it is another one, which nobody has acknowledged.
Where the fleet cannot be seen (`blind`) nothing that is known of it is over. Acknowledging quiets an alarm and changes
nothing else; a page that is started again knows what was acknowledged (fleet/ops/acts.py). Both functions are pure;
times are s of one clock, given by the caller.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleet.ops.seen import Process, Robot, Rollout, Seen

SILENT = 2.0
"""s of the site's clock without a report: the lease of a grant (coordination/rules.py), after which a robot stands."""
STOPPED = 3.0
"""s for which a protective stop or the fallback may last before it is told: most end by themselves within a second."""
UNANSWERED = 3.0
"""s without an answer of the coordinator: a restart takes about one."""
STILL = 5.0
"""s for which the site's clock may stand still: a lockstep round waits 2 s at most for a member."""
STALE = 5.0
"""s without an answer of a metrics page: it is asked every 2 s."""
BATTERY = 0.15
"""An idle robot is sent to charge at 0.25 (coordination/rules.py): whoever comes here could not get to a charger."""
RECALLS = 20.0
"""s after the page's start: longer than any condition takes to be an alarm. What comes later is another one."""
STANDING_MAX, OVER_MAX = 200, 50
"""Alarms that are kept: more than a person reads, and a bound on what a browser is sent."""


class Level(enum.IntEnum):
    """How much it matters."""

    WARNING = 0
    """Somebody should look"""
    CRITICAL = 1
    """The fleet, or a robot, stands until somebody acts"""


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now."""

    key: str
    """What makes it the same one in the next look"""
    level: Level
    text: str
    remedy: str
    after: float = 0.0
    """s for which it must hold before it is an alarm"""


@dataclass(frozen=True)
class Alarm:
    """Something that a person has to know."""

    key: str
    level: Level
    text: str
    remedy: str
    begun: float
    over: float = -1.0
    """When it ended; -1 while it stands"""
    acknowledged: str = ""
    """By whom"""


@dataclass(frozen=True)
class Memory:
    """What is known from look to look."""

    standing: Mapping[str, Alarm] = field(default_factory=dict)
    over: tuple[Alarm, ...] = ()
    """The newest first"""
    pending: Mapping[str, float] = field(default_factory=dict)
    """Since when conditions hold that are no alarms yet"""
    recalled: Mapping[str, str] = field(default_factory=dict)
    """By whom alarms were acknowledged that stood when the page ended, until they are seen again"""
    recalls: float = 0.0
    """Until when one that comes is taken for the one that stood"""


def conditions(seen: Seen) -> list[Condition]:
    """What is wrong in one look; of a run that has ended only what stays of it."""
    found: list[Condition] = []
    if seen.rollout is not None:
        found += _of_rollout(seen.rollout)
    if seen.ended:
        return found
    if not seen.answered:
        remedy = "look at the coordinator's process and its log; robots stop by themselves while it is silent"
        found.append(
            Condition(
                "coordinator", Level.CRITICAL, f"No answer from the coordinator: {seen.error}", remedy, UNANSWERED
            )
        )
    if seen.stop.latched:
        by = f", raised by {seen.stop.by}" if seen.stop.by else ""
        why = f": {seen.stop.reason}" if seen.stop.reason else ""
        text = f"Emergency stop {seen.stop.epoch} is latched{by}{why}"
        found.append(
            Condition(
                f"stop:{seen.stop.epoch}", Level.CRITICAL, text, "clear its cause, then reset it with an operator's key"
            )
        )
    if (
        seen.answered and seen.coordinated and seen.robots
    ):  # another key with every stamp: it holds for STILL only where the stamp stays
        remedy = "look at the plant, or at what keeps the site's time: robots stand when it does"
        found.append(Condition(f"still:{seen.stamp}", Level.CRITICAL, "The site's clock stands still", remedy, STILL))
    for robot in seen.robots:
        found += _of_robot(robot, seen)
    for task, robot, reason in seen.waiting:
        found.append(
            Condition(
                f"waiting:{task}",
                Level.WARNING,
                f"Task {task[-8:]} of {robot or 'nobody'} waits: {reason}",
                "bring the robot back, or cancel the task",
            )
        )
    if failed := seen.tasks.get("failed", 0):
        text = f"{failed} {'task has' if failed == 1 else 'tasks have'} failed"
        found.append(Condition(f"failed:{failed}", Level.WARNING, text, "the report of the run says why"))
    for process in seen.processes:
        found += _of_process(process)
    return found


def blind(seen: Seen) -> bool:
    """Whether a look says nothing of the fleet, so that what was known of it stands."""
    return not seen.answered and not seen.ended


def step(memory: Memory, now_wrong: Sequence[Condition], now: float, *, blind: bool = False) -> Memory:
    """The alarms after a look at `now`; `blind`: it saw neither robots nor tasks."""
    wrong = {condition.key: condition for condition in now_wrong}
    standing: dict[str, Alarm] = {}
    pending: dict[str, float] = {}
    recalled = dict(memory.recalled) if now <= memory.recalls else {}
    for key, condition in wrong.items():
        known = memory.standing.get(key)
        if known is not None:
            standing[key] = replace(known, level=condition.level, text=condition.text, remedy=condition.remedy)
            continue
        since = memory.pending.get(key, now)
        if now - since >= condition.after:
            by = recalled.pop(key, "")
            standing[key] = Alarm(key, condition.level, condition.text, condition.remedy, since, acknowledged=by)
        else:
            pending[key] = since
    over = list(memory.over)
    for key, alarm in memory.standing.items():
        if key in standing:
            continue
        if blind:
            standing[key] = alarm
        else:
            over.insert(0, replace(alarm, over=now))
    kept = sorted(standing.values(), key=lambda alarm: (bool(alarm.acknowledged), -alarm.level, -alarm.begun))
    return Memory(
        {alarm.key: alarm for alarm in kept[:STANDING_MAX]}, tuple(over[:OVER_MAX]), pending, recalled, memory.recalls
    )


def acknowledge(memory: Memory, key: str, by: str) -> Memory:
    """The same alarms, one of them quiet; one that does not stand, or is quiet already, changes nothing."""
    alarm = memory.standing.get(key)
    if alarm is None or alarm.acknowledged:
        return memory
    return replace(memory, standing={**memory.standing, key: replace(alarm, acknowledged=by)})


def _of_robot(robot: Robot, seen: Seen) -> list[Condition]:
    name, why = robot.name, f": {robot.why}" if robot.why else ""
    if robot.age > SILENT:
        remedy = "look at its process and its network; it stops by itself and its ground stays its own"
        return [Condition(f"silent:{name}", Level.CRITICAL, f"{name} is silent for {robot.age:.0f} s", remedy)]
    found = []
    if robot.mode == "latched" and not (robot.cause == "emergency_stop" and seen.stop.latched):
        text = f"{name} stands latched{why}"
        found.append(
            Condition(
                f"latched:{name}",
                Level.CRITICAL,
                text,
                "go to it and clear the cause; an emergency stop and its reset release it",
                1.0,
            )
        )
    elif robot.mode == "stopped" and robot.cause != "none" and not seen.stop.latched:
        text = f"{name} is in a protective stop{why}"
        found.append(
            Condition(f"stopped:{name}", Level.WARNING, text, "it goes on by itself once the cause is gone", STOPPED)
        )
    elif robot.mode == "fallback":
        text = f"The fallback drives {name}{why}"
        found.append(
            Condition(f"fallback:{name}", Level.WARNING, text, "look at what is in its way, and at its policy", STOPPED)
        )
    if (name in seen.asking or robot.status == "operator") and not robot.operator:
        found.append(
            Condition(
                f"asks:{name}", Level.WARNING, f"{name} asks for a person", f"drive it by hand: muster jog {name}"
            )
        )
    if 0.0 <= robot.battery < BATTERY and robot.status != "working":
        text = f"{name} has {100.0 * robot.battery:.0f} % of charge left"
        found.append(Condition(f"battery:{name}", Level.WARNING, text, "bring it to a charger", 10.0))
    return found


def _of_process(process: Process) -> list[Condition]:
    found = []
    if not process.answered and (process.age < 0.0 or process.age > STALE):
        age = f"for {process.age:.0f} s" if process.age >= 0.0 else "yet"
        text = f"{process.name} serves no metrics {age}"
        found.append(
            Condition(f"metrics:{process.name}", Level.WARNING, text, "look at the process and its log", STALE)
        )
    if faults := process.said.get("faults", 0.0):
        text = f"{process.name}: writers of black boxes made {faults:.0f} mistakes and went on"
        found.append(
            Condition(f"faults:{process.name}", Level.WARNING, text, "its log says which; tell who maintains it")
        )
    if lost := process.said.get("lost", 0.0):
        text = f"{process.name}: black boxes have lost {lost:.0f} control steps"
        found.append(Condition(f"lost:{process.name}", Level.WARNING, text, "look at the disk: is it full, or slow?"))
    return found


def _of_rollout(rollout: Rollout) -> list[Condition]:
    key = f"rollout:{rollout.name}:{rollout.status}"
    if rollout.error:
        return [
            Condition(
                "rollout:unreadable", Level.CRITICAL, f"The rollout cannot be read: {rollout.error}", "restore its file"
            )
        ]
    if rollout.status in ("rolled_back", "killed"):
        text = f"Rollout {rollout.name} is {rollout.status.replace('_', ' ')}: {rollout.reason or 'no reason given'}"
        return [Condition(key, Level.CRITICAL, text, "all robots drive the old release; start another rollout")]
    if rollout.status == "held":
        text = f"Rollout {rollout.name} is held: {rollout.reason or 'no reason given'}"
        return [Condition(key, Level.WARNING, text, "look at its verdict, then let it go on or take it back")]
    return []
