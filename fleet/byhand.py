"""A control step in which an operator has the robot: what he proposes, and how the shield is asked about it.

The wish stands in the picture, and so in the step's inputs: black box and replay have it as they have everything. The
law of it is `safety/manual.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from coordination.messages import Jog, Picture
from fleet.guard import Guard, Verdict
from safety.manual import SLOWER, command
from safety.shield import Reason

JOG = "jog"
"""Who proposes, in the records."""


def lease(picture: Picture | None, site: str) -> Jog | None:
    """The lease by which an operator has this robot: then nobody else drives it, also after the lease has ended."""
    if picture is None or picture.error or picture.site != site:
        return None
    return picture.jog


def wish(jog: Jog, now: int, radius: float) -> tuple[float, float]:
    """What the operator proposes at `now`, v (m/s) and w (rad/s): to stand, where the lease is over. `radius` in m."""
    if now >= jog.expires:
        return (0.0, 0.0)
    return command((jog.v, jog.w), now - jog.stamp, radius)


def judge(
    guard: Guard, proposed: tuple[float, float], limit: float, laden: bool, load: Callable[[], None]
) -> tuple[Verdict, Reason]:
    """The shield's verdict on a wish, and why it was changed: the same arc slower, or the stored plan.

    What the shield releases instead of a policy's command may turn another way, and faster than the cap. `load` loads
    the guard, which it was before the call; `limit` and `laden` are `Guard.judge`'s.
    """
    first = Reason.NONE
    for share in SLOWER:
        verdict = guard.judge((proposed[0] * share, proposed[1] * share), limit, laden)
        if verdict.reason is Reason.NONE:
            return verdict, first
        first = first or verdict.reason
        load()  # as if it had not been asked
    return guard.play(laden), first
