"""Whose word an alias is: an operator's signature over the line of the log that changes it.

His key is made by `muster keys derive operator_ann`, as for the emergency stop.

The signature is BLAKE2b, keyed with the operator's node key for the registry, over who did what after which line: it
cannot be made by anybody else, changed, or used again later. It stands in the line as `signature`. Only who has the
fleet key, or the operator's, can check one.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from coordination.estop import is_operator
from coordination.keys import KEY_BYTES, NAME, Keys
from fleet.registry.audit import Entry
from fleet.registry.manifest import RegistryError

SERVICE = "rollout"
"""Who names what a rollout confirmed, with the fleet key: its server's name on the wire, so no robot's."""
SIGNATURE = "signature"
"""Key of a signature in what a line tells."""


def signed(who: str, deed: str, what: dict[str, str], before: str, keys: Keys) -> dict[str, str]:
    """What a line tells, with its signature; `before` is the hash of the line before it.

    Raises RegistryError where the keys are not `who`'s.
    """
    mac = _mac(who, deed, what, before, keys)
    if not mac:
        raise RegistryError(
            f"the key file holds no operator's key for {who or 'nobody'}; `muster keys derive operator_ann` makes one, "
            "give it by --key"
        )
    return {**what, SIGNATURE: mac}


def proven(entry: Entry, keys: Keys) -> bool:
    """Whether a line is signed by whom it names."""
    what = {key: value for key, value in entry.what.items() if key != SIGNATURE}
    mac = _mac(entry.who, entry.deed, what, entry.before, keys)
    return bool(mac) and hmac.compare_digest(mac, entry.what.get(SIGNATURE, ""))


def _mac(who: str, deed: str, what: dict[str, str], before: str, keys: Keys) -> str:
    key = keys.link(who, who, "registry") if NAME.fullmatch(who) and (is_operator(who) or who == SERVICE) else None
    if key is None:
        return ""
    text = json.dumps([who, deed, what, before], sort_keys=True, separators=(",", ":")).encode()
    return hashlib.blake2b(text, key=key, digest_size=KEY_BYTES, person=b"muster alias").hexdigest()
