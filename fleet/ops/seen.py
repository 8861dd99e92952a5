"""What one look at a fleet found: plain values, as they are judged (`alarms`) and sent to browsers (`server`).

Poses are x, y (m) and yaw (rad) in W, stamps ns of the site's clock, ages s. `Mode` and `Cause` come as words: what the
page shows is what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from coordination.messages import RobotStatus
from coordination.requests import FleetState, JogLine
from safety.supervisor import Cause, Mode

CAUSES = {
    Cause.NONE: "",
    Cause.SHIELD: "the shield changed its command",
    Cause.POLICY: "the policy gave no usable command",
    Cause.BLOCKED: "no safe way ahead for a while",
    Cause.DEADLINE: "its control steps come too late",
    Cause.TRACKING: "its body left the predicted track",
    Cause.PICTURE_STALE: "it hears no coordinator",
    Cause.GRANT_STALE: "its right of way has run out",
    Cause.ODOMETRY_STALE: "odometry or pose is too old",
    Cause.SCAN_STALE: "no fresh scan",
    Cause.NOT_FINITE: "a reading is no number",
    Cause.BUMPER: "its bumper was touched",
    Cause.EMERGENCY_STOP: "emergency stop",
}
"""Why a mode holds, for people who do not read code."""

UNKNOWN = "unknown"
ROBOTS_SHOWN = 300
"""Robots of a rollout that are sent one by one."""
_MODES, _CAUSES = set(map(int, Mode)), set(map(int, Cause))


class Robot(msgspec.Struct, frozen=True):
    """One robot as it was heard last."""

    name: str
    pose: tuple[float, float, float]
    status: str
    battery: float
    task: str
    age: float
    """Since its last report, s"""
    mode: str
    """A `Mode` in small letters; unknown from a coordinator that does not tell"""
    cause: str
    """A `Cause` in small letters"""
    why: str
    """The same in words; empty where there is nothing to say"""
    operator: str = ""
    """Who has it by hand"""


class Process(msgspec.Struct, frozen=True):
    """One process that serves metrics."""

    name: str
    url: str
    answered: bool
    age: float
    """Since its last answer, s; -1 where there was none yet"""
    said: Mapping[str, float] = {}
    """What was read: memory (bytes), step_p99 (s) and counts, see `fleet.ops.scrape.figures`"""


class Stop(msgspec.Struct, frozen=True):
    """The fleet's emergency stop."""

    latched: bool = False
    epoch: int = 0
    by: str = ""
    reason: str = ""
    """Of the stop that stands; empty where the store is elsewhere"""


class Rollout(msgspec.Struct, frozen=True):
    """How a rollout stands."""

    name: str
    stage: str
    status: str
    reason: str = ""
    candidate: str = ""
    baseline: str = ""
    number: int = 0
    """Of its newest event"""
    stages: tuple[str, ...] = ()
    """All of them, in their order"""
    arms: Mapping[str, int] = {}
    """Robots by what they drive"""
    robots: Mapping[str, str] = {}
    """What each drives, by name, ROBOTS_SHOWN at most"""
    error: str = ""
    """Why it cannot be read"""


class Seen(msgspec.Struct, frozen=True):
    """One look."""

    answered: bool
    """The coordinator answered"""
    ended: str = ""
    """How the run ended; empty while it goes on"""
    error: str = ""
    """Why there was no answer"""
    stamp: int = 0
    tasks: Mapping[str, int] = {}
    """By state, in small letters"""
    robots: tuple[Robot, ...] = ()
    stop: Stop = Stop()
    waiting: tuple[tuple[str, str, str], ...] = ()
    """Tasks that wait for a person: task, robot, reason"""
    asking: tuple[str, ...] = ()
    """Robots that ask for an operator"""
    processes: tuple[Process, ...] = ()
    rollout: Rollout | None = None
    coordinated: bool = True
    """Whether there is a coordinator, so that there are tasks and a stop"""


def robots_of(state: FleetState) -> tuple[Robot, ...]:
    """The robots of a fleet state, with their modes in words."""
    jogs: dict[str, JogLine] = {line.robot: line for line in state.jogs}
    told = state.modes if len(state.modes) == 2 * len(state.robots) else b""
    found = []
    for number, line in enumerate(state.robots):
        mode, cause = (told[2 * number], told[2 * number + 1]) if told else (-1, 0)
        held = jogs.get(line.robot)
        found.append(
            Robot(
                name=line.robot,
                pose=line.pose,
                status=RobotStatus(line.status).name.lower(),
                battery=line.battery,
                task=line.task,
                age=line.age,
                mode=Mode(mode).name.lower() if mode in _MODES else UNKNOWN,
                cause=Cause(cause).name.lower() if cause in _CAUSES else UNKNOWN,
                why=CAUSES[Cause(cause)] if cause in _CAUSES else "for a reason that this version does not know",
                operator=(held.by or held.operator) if held is not None else "",
            )
        )
    return tuple(found)
