"""The words between clients and the coordinator: tasks, questions and the emergency stop, each with its answer.

They travel as all words do (coordination/messages.py). A request's `request` is the client's own name for it, which the
answer repeats.
"""

from __future__ import annotations

import enum

import msgspec

from coordination.messages import Leg, RobotStatus


class TaskState(enum.IntEnum):
    """Where a task stands; the order is that of a life that goes well, then the other ends."""

    QUEUED = 0
    ASSIGNED = 1
    RUNNING = 2
    DONE = 3
    CANCELLED = 4
    FAILED = 5
    SUSPENDED = 6


class Task(msgspec.Struct, frozen=True):
    """Work that a client asks for. The id (UUIDv7, made by the client) is the idempotency key."""

    id: str
    legs: tuple[Leg, ...]
    priority: int = 0
    """Larger is sooner"""
    deadline: int = 0
    """Stamp by which it should be done; 0 for none"""
    capability: str = ""
    payload: float = 0.0
    """kg"""


class Submit(msgspec.Struct, frozen=True):
    """New tasks of a client."""

    request: str
    tasks: tuple[Task, ...]


class Submitted(msgspec.Struct, frozen=True):
    """Sent after the tasks are on disk."""

    request: str
    accepted: tuple[str, ...] = ()
    error: str = ""


class Cancel(msgspec.Struct, frozen=True):
    """End a task that is not done yet."""

    request: str
    task: str


class Query(msgspec.Struct, frozen=True):
    """Ask for the fleet's state."""

    request: str


class RobotLine(msgspec.Struct, frozen=True):
    """One robot in a fleet state."""

    robot: str
    pose: tuple[float, float, float]
    status: RobotStatus
    battery: float
    task: str = ""
    age: float = 0.0
    """Since its last report, s"""


class Waiting(msgspec.Struct, frozen=True):
    """A task that goes on only when a person acts: cancel it, or bring its robot back."""

    task: str
    robot: str
    reason: str


class FleetState(msgspec.Struct, frozen=True):
    """The answer to a query."""

    request: str
    stamp: int
    counts: dict[str, int]
    """Tasks by state name"""
    robots: tuple[RobotLine, ...] = ()
    stopped: bool = False
    stop_epoch: int = 0
    error: str = ""
    waiting: tuple[Waiting, ...] = ()
    """Tasks that wait for an operator"""


class StopRaise(msgspec.Struct, frozen=True):
    """Anyone may send it, unsigned too."""

    by: str
    reason: str = ""
    request: str = ""


class StopReset(msgspec.Struct, frozen=True):
    """Only a signed operator's is heard; it names the stop that it ends."""

    by: str
    stop_epoch: int
    request: str = ""


class StopState(msgspec.Struct, frozen=True):
    """Whether the fleet is stopped: the answer to `StopRaise` and `StopReset`."""

    request: str
    stopped: bool
    stop_epoch: int
    error: str = ""


REQUESTS = (Submit, Cancel, Query, StopRaise, StopReset)
"""What clients may ask."""


def refusal(request: msgspec.Struct, error: str, *, ends: bool = False) -> msgspec.Struct:
    """The answer to a request that was not met; `ends`: nor will any other, for the coordinator ends."""
    match request:
        case StopRaise(request=name) | StopReset(request=name):
            end = "; the coordinator ends and its robots stop" if ends else ""
            return StopState(name, False, 0, f"not stored: {error}{end}")
        case Query(request=name):
            return FleetState(name, 0, {}, error=error)
        case Submit(request=name) | Cancel(request=name):
            return Submitted(name, error=f"not stored: {error}")
        case _:
            raise AssertionError(f"{type(request).__name__} is no request")
