"""Who may say what: an operator's order, signed with his own key of the fleet (`muster keys derive operator_ann`).

The signature is BLAKE2b over the order's canonical JSON, keyed with the operator's node key for the rollout: an order
cannot be made by anybody else, changed, or used for another rollout. It says which event its operator had seen last, so
that an order to go on, made on a picture that is over, is refused; and when it was made, so that it is not kept back.
A kill, a rollback and a hold take authority away and are taken on any picture.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from coordination.estop import is_operator
from coordination.keys import KEY_BYTES, NAME, Keys
from fleet.rollout.plan import RolloutError
from fleet.rollout.record import Order

FRESH = 60.0
"""s for which an order may be on its way: a person at a page with a clock of its own."""
SECOND = 1_000_000_000


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it travels and is kept."""

    rollout: str
    verb: str
    by: str
    """The operator"""
    seen: int
    """Number of the newest event that the operator had seen"""
    stamp: int
    """ns of the site clock when it was made"""
    reason: str = ""
    item: str = ""
    signature: str = ""
    """Hex"""


def sign(order: Signed, keys: Keys) -> Signed:
    """The order with its signature. Raises RolloutError where the keys are not the operator's."""
    return msgspec.structs.replace(order, signature=_mac(order, keys))


def proven(signed: Signed, keys: Keys, now: int | None = None) -> Order:
    """The order of a signed one. Raises RolloutError where it is not its operator's, or (with `now`) too old."""
    if not NAME.fullmatch(signed.by):
        raise RolloutError(
            "expected the name of an operator on an order; `muster keys derive operator_ann` makes a key"
        )
    if not is_operator(signed.by):
        raise RolloutError(
            f"expected an operator's key, got that of {signed.by}: a robot or a page that reads gives no orders; "
            f"derive one with `muster keys derive operator_{signed.by}`"[:300]
        )
    if not hmac.compare_digest(_mac(signed, keys), signed.signature):
        raise RolloutError(
            f"the {signed.verb[:16]} of {signed.by} is not signed with that operator's key; "
            f"derive one with `muster keys derive {signed.by}` and give it by --key"
        )
    if now is not None and abs(now - signed.stamp) > int(FRESH * SECOND):
        raise RolloutError(
            f"the {signed.verb} of {signed.by} was made {(now - signed.stamp) / SECOND:.0f} s ago, {FRESH:g} s are "
            "allowed; say it again"
        )
    told = {"stamp": signed.stamp, "verb": signed.verb, "by": signed.by, "reason": signed.reason}
    try:
        return msgspec.convert({**told, "event": "order", "item": signed.item, "seen": signed.seen}, Order)
    except msgspec.ValidationError as error:
        raise RolloutError(f"expected an order that a rollout knows, got {signed.verb[:32]!r} ({error})") from error


def _mac(signed: Signed, keys: Keys) -> str:
    key = keys.link(signed.by, signed.by, "rollout")
    if key is None:
        raise RolloutError(
            f"the key file holds no key for {signed.by}; derive one with `muster keys derive {signed.by}`"
        )
    text = msgspec.json.encode(msgspec.structs.replace(signed, signature=""))
    return hashlib.blake2b(text, key=key, digest_size=KEY_BYTES, person=b"muster order").hexdigest()
