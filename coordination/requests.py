"""The words between clients and the coordinator: tasks, questions, emergency stop, driving by hand, with the answers.

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
    begin: int = 0
    """From which robot on: a state comes in pages (coordination/statepages.py)"""


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


class JogLine(msgspec.Struct, frozen=True):
    """A robot that an operator has, in a fleet state."""

    robot: str
    operator: str
    by: str
    expires: int
    """Stamp; from then on the robot stands until it is handed back"""


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
    asking: tuple[str, ...] = ()
    """Robots that ask for one"""
    jogs: tuple[JogLine, ...] = ()
    """Robots that operators have"""
    modes: bytes = b""
    """Two for each of `robots`, in their order, as it reported: `safety.supervisor.Mode` and the `Cause` of it; none
    from a coordinator that does not tell. Bytes, because 400 lines leave little room in a message"""
    begin: int = 0
    """Which robot is the first of `robots`"""
    of: int = 0
    """Robots in all; 0 from a coordinator that has one page"""
    waits: int = 0
    """Tasks that wait for an operator in all"""


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


class JogTake(msgspec.Struct, frozen=True):
    """A signed operator asks for a robot, or to keep it; answered once the lease is on disk."""

    request: str
    robot: str
    by: str
    """Person and terminal: of two with one operator's name only one has the robot"""
    lease: int = 0
    """Keep this lease and take none: whoever comes late or was asleep has no robot again by it; 0 to take"""


class JogMove(msgspec.Struct, frozen=True):
    """How a signed operator wants the robot to move that he has."""

    request: str
    robot: str
    lease: int
    number: int
    """Rises under a lease"""
    heard: int
    """`stamp` of the newest answer that the operator had: the wish is younger"""
    v: float
    """m/s"""
    w: float
    """rad/s"""


class JogRelease(msgspec.Struct, frozen=True):
    """A signed operator hands a robot back."""

    request: str
    robot: str
    by: str


class JogState(msgspec.Struct, frozen=True):
    """How it stands with a robot and its operator: the answer to `JogTake`, `JogMove` and `JogRelease`."""

    request: str
    robot: str
    stamp: int = 0
    """Site time, ns"""
    lease: int = 0
    """Its number; 0 where no operator has the robot"""
    expires: int = 0
    operator: str = ""
    by: str = ""
    obeyed: bool = False
    """The robot has said that it stands under this lease"""
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    twist: tuple[float, float] = (0.0, 0.0)
    mode: int = 0
    """`safety.supervisor.Mode`, as the robot reported"""
    reason: int = 0
    """`safety.supervisor.Cause`"""
    error: str = ""


JOGS = (JogTake, JogMove, JogRelease)
"""What only a signed operator may ask."""

REQUESTS = (Submit, Cancel, Query, StopRaise, StopReset, *JOGS)
"""What clients may ask."""


def refusal(request: msgspec.Struct, error: str, *, ends: bool = False) -> msgspec.Struct:
    """The answer to a request that was not met; `ends`: nor will any other, for the coordinator ends."""
    match request:
        case StopRaise(request=name) | StopReset(request=name):
            end = "; the coordinator ends and its robots stop" if ends else ""
            return StopState(name, False, 0, f"not stored: {error}{end}")
        case Query(request=name):
            return FleetState(name, 0, {}, error=error)
        case JogTake(request=name) | JogMove(request=name) | JogRelease(request=name):
            return JogState(name, request.robot, error=f"not stored: {error}")
        case Submit(request=name) | Cancel(request=name):
            return Submitted(name, error=f"not stored: {error}")
        case _:
            raise AssertionError(f"{type(request).__name__} is no request")
