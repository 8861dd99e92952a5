"""The fleet's emergency stop: a latch that anyone closes and only a signed operator opens.

Closed, it stays closed: over restarts of every process, because it is on disk before it is answered or passed on. It
has an epoch, the number of the stop; a reset names the stop that it ends, so that a late or repeated reset cannot open
a stop that came after it. Raising a stop that stands changes nothing (a flood of raises costs no disk).

This is a software stop above the robot's own safety circuit and replaces none: robots stop by themselves when the
coordinator is silent (see `client`), and this latch stops them while it speaks.
"""

from __future__ import annotations

from coordination.keys import owner_of
from coordination.requests import StopRaise, StopReset, StopState
from coordination.tasks import Store

OPERATOR = "operator"
"""Names that begin with it may reset, and drive by hand (their keys derive from the fleet key like everyone's)."""


def raise_stop(store: Store, message: StopRaise, sender: str, now: int) -> StopState:
    """Close the latch, on disk when this returns (or with the caller's transaction); anyone may, signed or not."""
    latch = store.latch()
    if not latch.stopped:
        by = message.by[:64] or sender
        latch = store.set_latch(True, latch.stop_epoch + 1, now, by, message.reason[:256])
    return StopState(message.request, latch.stopped, latch.stop_epoch)


def reset_stop(store: Store, message: StopReset, sender: str, signed: bool, now: int) -> StopState:
    """Open the latch if a signed operator names the stop that stands; otherwise say why not.

    `sender` is the name that the signature proved. A reset that comes twice is answered as the first was.
    """
    latch = store.latch()
    error = ""
    if not signed or not is_operator(sender):
        error = f"only a signed operator resets a stop; {sender} is {'no operator' if signed else 'not signed'}"
    elif message.stop_epoch != latch.stop_epoch:
        error = f"stop {message.stop_epoch} is not the one that stands; the newest is {latch.stop_epoch}"
    elif latch.stopped:
        latch = store.set_latch(False, latch.stop_epoch, now, owner_of(sender), message.by[:64])
    return StopState(message.request, latch.stopped, latch.stop_epoch, error)


def is_operator(sender: str) -> bool:
    """Whether a proven name is an operator's, or that of his page, whose key he alone can make."""
    owner = owner_of(sender)
    return owner == OPERATOR or owner.startswith(OPERATOR + "_")
