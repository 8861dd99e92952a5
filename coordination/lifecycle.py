"""The life of a task: its states, what can happen to it, and how pressing it is.

A task lives QUEUED -> ASSIGNED -> RUNNING -> DONE, or ends CANCELLED or FAILED; a queued or assigned task may be set
aside (SUSPENDED). Each time a robot gets it is an attempt with its own number; what an older attempt says is not
heard. `transition` is the whole law; the store (`tasks`) applies it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from coordination.requests import Task, TaskState
from sim.robot import SECOND

AGEING = 60 * SECOND
"""A task that waits this long rises by one level of priority, so that none waits for ever."""

URGENT = 120 * SECOND
"""A task whose deadline is nearer than this counts one level more."""

PRIORITIES = 1000
"""Largest priority of a task: a level is a minute, and ranks in ns stay far from the end of 64 bits."""

TERMINAL = frozenset({TaskState.DONE, TaskState.CANCELLED, TaskState.FAILED})
"""States that a task never leaves."""


class TaskEvent(enum.IntEnum):
    """What can happen to a task."""

    ASSIGN = 0
    """A robot gets it: a new attempt."""
    START = 1
    """The robot says that it works on it."""
    FINISH = 2
    FAIL = 3
    """It cannot be done, or too many attempts failed."""
    CANCEL = 4
    REQUEUE = 5
    """The attempt ended without success; another robot may try."""
    SUSPEND = 6
    RESUME = 7


def transition(state: TaskState, event: TaskEvent) -> TaskState | None:
    """The state after an event; None when the event cannot happen in that state.

    A terminal state wins over every later event: a task that is done stays done, whatever a late message says.
    A running task is not suspended, because its load may be on board.
    """
    match state, event:
        case TaskState.QUEUED, TaskEvent.ASSIGN:
            return TaskState.ASSIGNED
        case TaskState.ASSIGNED, TaskEvent.START:
            return TaskState.RUNNING
        case ((TaskState.ASSIGNED | TaskState.RUNNING), TaskEvent.FINISH):
            return TaskState.DONE
        case ((TaskState.ASSIGNED | TaskState.RUNNING), TaskEvent.REQUEUE):
            return TaskState.QUEUED
        case ((TaskState.QUEUED | TaskState.ASSIGNED), TaskEvent.SUSPEND):
            return TaskState.SUSPENDED
        case TaskState.SUSPENDED, TaskEvent.RESUME:
            return TaskState.QUEUED
        case ((TaskState.QUEUED | TaskState.ASSIGNED | TaskState.RUNNING | TaskState.SUSPENDED), TaskEvent.CANCEL):
            return TaskState.CANCELLED
        case ((TaskState.QUEUED | TaskState.ASSIGNED | TaskState.RUNNING | TaskState.SUSPENDED), TaskEvent.FAIL):
            return TaskState.FAILED
        case _:
            return None


@dataclass(frozen=True)
class TaskRecord:
    """A task and where it stands."""

    task: Task
    state: TaskState
    attempt: int
    """Number of the newest attempt; 0 before the first."""
    robot: str
    """Who has the live attempt; empty when there is none."""
    legs_done: int
    """Legs that the live attempt has behind it; 0 while the task waits for one."""
    submitted: int
    """Stamp, ns"""
    changed: int
    """Stamp of the last change, ns"""
    reason: str = ""
    """Why the last attempt, or the task, ended without success, or why the live attempt waits for an operator."""


def priority_of(task: Task) -> int:
    """A task's priority; a store of former versions may hold any, and counts the nearest that may be."""
    return max(-PRIORITIES, min(task.priority, PRIORITIES))


def level(record: TaskRecord, now: int) -> float:
    """How pressing a task is: priority, plus a level for each AGEING of waiting, plus one when its deadline is near."""
    near = record.task.deadline and record.task.deadline - now < URGENT
    return priority_of(record.task) + (now - record.submitted) / AGEING + bool(near)
