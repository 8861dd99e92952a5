"""Who may drive: modes, causes, and the one function that goes from mode to mode.

    POLICY     the policy's command was released as it is
    SHIELDED   the shield released another one
    FALLBACK   `safety/fallback.py` proposes instead of the policy; the shield judges it all the same
    STOPPED    a protective stop: the stored plan plays to rest; ends by itself once its cause has been clear for RESUME
    LATCHED    a stop that only a reset ends, and then through STOPPED
    MANUAL     an operator proposes instead of the policy (`safety/manual.py`); the shield judges it all the same

Every cause names the mode that it demands; of several causes the worst counts, and no cause ever gives a mode more
authority. Simplex after ASTM F3269; restart by itself only from a protective stop (ISO 3691-4, 4.1.14): a robot that
was driven by hand goes on by itself once an operator has handed it back, and through STOPPED.
It holds no clock and no memory of its own: stamps are arguments, the memory is a value.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sim.robot import SECOND


class Mode(enum.IntEnum):
    """Who may drive, in falling authority; what came later stands last, for records keep the numbers."""

    POLICY = 0
    SHIELDED = 1
    FALLBACK = 2
    STOPPED = 3
    LATCHED = 4
    MANUAL = 5
    """Has FALLBACK's authority."""


class Cause(enum.IntEnum):
    """Why a mode holds, in rising severity: of several the largest is told."""

    NONE = 0
    SHIELD = 1
    """The shield released another command than the policy's."""
    POLICY = 2
    """The policy gave no usable command: not finite, an exception, too late."""
    BLOCKED = 3
    """No command but the stored plan has been verified for a while, though there is a corridor."""
    DEADLINE = 4
    """The control step has missed its deadline several times in a row."""
    TRACKING = 5
    """The body was further from its prediction than the error bound allows."""
    PICTURE_STALE = 6
    """No picture of the fleet within its age bound."""
    GRANT_STALE = 7
    """The grant's lease is over."""
    ODOMETRY_STALE = 8
    """The twist or the localised pose is older than its bound."""
    SCAN_STALE = 9
    NOT_FINITE = 10
    """A reading is not a number, or out of every range."""
    BUMPER = 11
    EMERGENCY_STOP = 12


DEMANDS: dict[Cause, Mode] = {
    Cause.NONE: Mode.POLICY,
    Cause.SHIELD: Mode.SHIELDED,
    Cause.POLICY: Mode.FALLBACK,
    Cause.BLOCKED: Mode.FALLBACK,
    Cause.DEADLINE: Mode.STOPPED,
    Cause.TRACKING: Mode.STOPPED,
    Cause.PICTURE_STALE: Mode.STOPPED,
    Cause.GRANT_STALE: Mode.STOPPED,
    Cause.ODOMETRY_STALE: Mode.STOPPED,
    Cause.SCAN_STALE: Mode.STOPPED,
    Cause.NOT_FINITE: Mode.STOPPED,
    Cause.BUMPER: Mode.LATCHED,
    Cause.EMERGENCY_STOP: Mode.LATCHED,
}
"""The mode that each cause demands."""

RESUME = SECOND // 2
"""ns that a stop's cause must be clear before work goes on: five control cycles, so that a source that comes and goes
does not make the robot jerk."""


@dataclass(frozen=True)
class SupervisorMemory:
    """What the supervisor remembers from one cycle to the next."""

    mode: Mode = Mode.POLICY
    cause: Cause = Cause.NONE
    """Why `mode` holds; in STOPPED and LATCHED the cause that began it, or a worse one since (NONE in STOPPED: an
    operator has handed the robot back)."""
    clear_since: int = -1
    """Stamp from which no cause has demanded a stop; -1 while one does."""


def transition(
    memory: SupervisorMemory,
    cause: Cause,
    now: int,
    *,
    reset: bool = False,
    handed_back: bool = False,
    manual: bool = False,
) -> SupervisorMemory:
    """The next mode.

    Args:
        memory: the last cycle's result. cause: the worst cause of this cycle (`worst`). now: stamp, ns.
        reset: an operator's reset is in force. handed_back: the fallback has done what it was called for.
        manual: an operator has the robot.
    """
    wanted = DEMANDS[cause]
    if wanted is Mode.LATCHED:
        return SupervisorMemory(Mode.LATCHED, max(cause, memory.cause))
    if memory.mode is Mode.LATCHED:
        if not reset:
            return memory
        # the reset itself moves nothing: the robot stands, as after any stop, until all has been clear for a while
        return SupervisorMemory(Mode.STOPPED, max(cause, memory.cause), now if wanted < Mode.STOPPED else -1)
    if wanted is Mode.STOPPED:
        worst_so_far = max(cause, memory.cause) if memory.mode is Mode.STOPPED else cause
        return SupervisorMemory(Mode.STOPPED, worst_so_far)
    if memory.mode is Mode.STOPPED:
        since = now if memory.clear_since < 0 else memory.clear_since
        if now - since < RESUME:
            return SupervisorMemory(Mode.STOPPED, memory.cause, since)
    if manual:
        return SupervisorMemory(Mode.MANUAL, cause)
    if memory.mode is Mode.MANUAL:
        return SupervisorMemory(Mode.STOPPED, cause, now)
    if wanted is Mode.FALLBACK:
        return SupervisorMemory(Mode.FALLBACK, cause)
    if memory.mode is Mode.FALLBACK and not handed_back:
        return SupervisorMemory(Mode.FALLBACK, memory.cause)
    return SupervisorMemory(wanted, cause)


def worst(*causes: Cause) -> Cause:
    """The cause that counts."""
    return max(causes, default=Cause.NONE)


def may_drive(mode: Mode) -> bool:
    """Whether anything but the stored stopping plan may be released."""
    return mode <= Mode.FALLBACK or mode is Mode.MANUAL
